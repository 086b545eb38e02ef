"""Two results side by side: what changed in cells, accuracy, costs and the recommended core, and is it chance?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from devicekit import DeviceError, DeviceFit, device_names, fit_device, load_device, read_measurements
from devicekit.common.foreign import reading
from devicekit.common.paths import is_file
from devicekit.common.plain import PlainValues
from reports.cell_step import find_measurements
from reports.errors import StudyError
from reports.results import Values, interval_of
from reports.store.store import Store
from reports.sweeps.result import SweepResult, sweep_result
from reports.sweeps.selection import select

LEVEL = 0.05
"""Probability of calling a change significant where there is none, over all designs (or states) of a comparison."""
SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Programmed targets at which cells are compared, as fractions of the lesser largest current."""
_STORES = (".sqlite", ".sqlite3", ".db")
_COSTS = {
    "network_energy_uj": ("network_cost", "energy_gated_uj"),
    "network_area_mm2": ("network_cost", "area_mm2"),
    "network_latency_us": ("network_cost", "latency_us"),
    "energy_fj_per_op": ("cost", "energy_fj_per_op"),
}


@dataclass(frozen=True)
class Comparison(PlainValues):
    """What changed between two results.

    Attributes:
        old: what the first was.
        new: what the second was.
        kind: ``"results"`` or ``"cells"``.
        cells: rows of the cells at equal targets: mean and spread of both [A], standard errors where they were fitted,
            and the p-values of no change (Holm's correction is in ``significant``).
        designs: rows of the designs that both have: accuracy and loss of both, difference with its 95 % interval over
            chips, p-value, and the costs of both.
        only_old: names of designs that the first alone has.
        only_new: names of designs that the second alone has.
        sentences: what changed, in words.
    """

    old: str
    new: str
    kind: str
    cells: list[Values]
    designs: list[Values]
    only_old: list[str]
    only_new: list[str]
    sentences: list[str]


def compare(old: str | Path | SweepResult, new: str | Path | SweepResult) -> Comparison:
    """Return two results, or two cells, side by side with the significance of what changed.

    Args:
        old: a run (``STORE.sqlite:NAME``, or the store alone where it has one run), the folder or ``results.json`` of a
            report or a sweep, a result of `sweep`; or a cell: a file of measurements, a device file, a bundled device.
        new: likewise, of the same kind.

    Raises:
        StudyError: something that is none of these, a result beside a cell, or no design in common.
        DevicekitError: a file that cannot be read.
    """
    one, other = _side(old), _side(new)
    if isinstance(one, _Cells) != isinstance(other, _Cells):
        raise StudyError(f"Expected two results or two cells, but got {_what(one)} and {_what(other)}.")
    if isinstance(one, _Cells):
        assert isinstance(other, _Cells)
        rows = _cell_rows(one, other)
        return Comparison(one.name, other.name, "cells", rows, [], [], [], _cell_sentences(rows))
    assert isinstance(other, _Results)
    both = [name for name in one.designs if name in other.designs]
    if not both:
        raise StudyError(
            f"{one.name} and {other.name} have no design in common: {', '.join(list(one.designs)[:3])} ... and "
            f"{', '.join(list(other.designs)[:3])} ..."
        )
    designs = _design_rows(both, one, other)
    left = [name for name in one.designs if name not in other.designs]
    right = [name for name in other.designs if name not in one.designs]
    told = [*_setting_sentences(one, other), *_design_sentences(designs), *_choice_sentences(one, other)]
    return Comparison(one.name, other.name, "results", [], designs, left, right, told)


@dataclass(frozen=True)
class _Cells:
    """A cell, and the fit that it came from.

    Attributes:
        name: what the user called it.
        cell: the cell.
        fit: its fit; None for a device as it stands.
    """

    name: str
    cell: Any
    fit: DeviceFit | None


@dataclass(frozen=True)
class _Results:
    """A result.

    Attributes:
        name: what the user called it.
        designs: entries with ``accuracy``, ``cost`` and ``network_cost``, by name.
        facts: what it was made with.
        choice: the recommended core of each set of conditions, where it was a sweep.
    """

    name: str
    designs: dict[str, Values]
    facts: dict[str, Any]
    choice: dict[str, str]


def _what(side: _Cells | _Results) -> str:
    return f"{'a cell' if isinstance(side, _Cells) else 'a result'} ({side.name})"


def _side(source: str | Path | SweepResult) -> _Cells | _Results:
    if isinstance(source, SweepResult):
        return _of_sweep(source.name, source)
    text = str(source)
    path, colon, run = text.rpartition(":")
    if colon and path.endswith(_STORES):
        return _of_store(Path(path), run)
    if text.endswith(_STORES):
        return _of_store(Path(text), None)
    place = Path(text)
    if place.is_dir():
        place = place / "results.json"
        if not place.is_file():
            raise StudyError(f"{text}: a folder without results.json; give that of a report or a sweep.")
    if place.suffix == ".json" and is_file(place):
        return _of_json(text, place)
    if text in device_names() or text.endswith(".toml"):
        return _Cells(text, load_device(text), None)
    try:
        return _Cells(text, *_fitted(find_measurements(text)))
    except DeviceError as error:
        raise StudyError(f"{text}: {error}") from None


def _fitted(path: Path) -> tuple[Any, DeviceFit]:
    fit = fit_device(read_measurements(path))
    return fit.cell, fit


def _of_store(path: Path, run: str | None) -> _Results:
    with Store(path, create=False) as store:
        names = [entry["name"] for entry in store.runs()]
        if run is None and len(names) != 1:
            raise StudyError(f"{path}: expected STORE:RUN, for the store has {len(names)} runs: {', '.join(names)}.")
        own = names[0] if run is None else run
        entry = store.run(own)
        facts = {"devicekit": entry["version"], "code": entry["code"][:8]}
        return _of_sweep(f"{path}:{own}", sweep_result(store, own), facts)


def _of_sweep(name: str, result: SweepResult, facts: Mapping[str, Any] | None = None) -> _Results:
    designs = {point["name"]: point for point in result.points if point["status"] == "done"}
    study = {key: value for key, value in result.study.items() if key not in ("vary", "title")}
    choice = {repr(own.conditions): own.name for own in select(result).choices if own.point is not None}
    return _Results(name, designs, {**study, **(facts or {})}, choice)


def _of_json(name: str, path: Path) -> _Results:
    with reading(path, StudyError, "the results.json of a report or a sweep"):
        content = json.loads(path.read_text(encoding="utf-8"))
        entries = content["designs"] if "designs" in content else content["points"]
        designs = {entry["name"]: entry for entry in entries if entry.get("status", "done") == "done"}
        for entry in designs.values():
            assert entry["cost"] is not None
        settings = content["settings"] if "settings" in content else content["study"]
        facts = {key: value for key, value in settings.items() if key not in ("vary", "title", "designs", "cores")}
        facts |= {"cell": content["device"]["name"]} if "device" in content else {}
        facts |= {"devicekit": content["software"]["devicekit"]} if "software" in content else {}
    return _Results(name, designs, facts, {})


# -- cells -----------------------------------------------------------------------------------------------------------


def _cell_rows(one: _Cells, other: _Cells) -> list[Values]:
    scale = min(one.cell.i_max, other.cell.i_max)
    rows = []
    for share in SHARES:
        target = share * scale
        row: Values = {"target_a": target}
        row |= _compared("mean", [(float(side.cell.mean(target)), _mean_error(side, target)) for side in (one, other)])
        row |= _compared(
            "sigma", [(float(side.cell.sigma(target)), _sigma_error(side, target)) for side in (one, other)]
        )
        rows.append(row)
    for what in ("mean", "sigma"):
        _mark_significant(rows, f"{what}_p", f"{what}_significant")
    return rows


def _compared(what: str, sides: Sequence[tuple[float, float | None]]) -> Values:
    (before, before_error), (after, after_error) = sides
    p = None
    if before_error is not None and after_error is not None and (before_error or after_error):
        z = (after - before) / float(np.hypot(before_error, after_error))
        p = float(2 * stats.norm.sf(abs(z)))
    return {
        f"{what}_old_a": before,
        f"{what}_new_a": after,
        f"{what}_old_stderr_a": before_error,
        f"{what}_new_stderr_a": after_error,
        f"{what}_p": p,
    }


def _mean_error(side: _Cells, target: float) -> float | None:
    """Return the standard error of the mean at a target, from the nearest measured states."""
    if side.fit is None:
        return None
    table = side.fit.table.sort_values("target")
    errors = table["sigma"] / np.sqrt(table["n"])
    return float(np.interp(target, table["target"], errors))


def _sigma_error(side: _Cells, target: float) -> float | None:
    return None if side.fit is None else float(side.fit.fit.sigma_stderr(np.array([target]))[0])


def _cell_sentences(rows: Sequence[Values]) -> list[str]:
    told = []
    for what, word in (("sigma", "spread"), ("mean", "mean current")):
        changes = [100 * (row[f"{what}_new_a"] / row[f"{what}_old_a"] - 1) for row in rows if row[f"{what}_old_a"] > 0]
        if not changes:
            continue
        span = f"from {min(changes):+.1f} % to {max(changes):+.1f} %".replace("-", "−")
        if all(row[f"{what}_p"] is None for row in rows):
            told.append(f"The {word} differs by {span}; a device file does not say what is chance in it.")
            continue
        sure = sum(bool(row[f"{what}_significant"]) for row in rows)
        verdict = f"significant at {sure} of {len(rows)} targets" if sure else "no more than chance"
        told.append(f"The {word} changes by {span}: {verdict} (level {LEVEL:.0%} over all targets).")
    return told


# -- designs ---------------------------------------------------------------------------------------------------------


def _design_rows(names: Sequence[str], one: _Results, other: _Results) -> list[Values]:
    rows = []
    for name in names:
        before, after = one.designs[name], other.designs[name]
        row: Values = {"design": name, **_accuracy_change(before["accuracy"], after["accuracy"])}
        for column, (part, field) in _COSTS.items():
            row |= _cost_change(column, before[part], after[part], field)
        rows.append(row)
    _mark_significant(rows, "accuracy_p", "accuracy_significant")
    return rows


def _accuracy_change(before: Values | None, after: Values | None) -> Values:
    """Return means, losses, the change of the mean with its interval over chips (Welch's t), and its p-value.

    A spread below that of rounding to one example is taken as that one, so that equal trials are not called certain.
    """
    known = before is not None and after is not None
    row: Values = {
        f"{what}_{when}": None if own is None else own[field]
        for what, field in (("accuracy", "mean"), ("loss", "loss"))
        for when, own in (("old", before), ("new", after))
    }
    row |= {"accuracy_change": None, "accuracy_change_low": None, "accuracy_change_high": None, "accuracy_p": None}
    if not known:
        return row
    assert before is not None
    assert after is not None
    change = after["mean"] - before["mean"]
    row["accuracy_change"] = change
    if before["per_trial"] == after["per_trial"]:
        return row | {"accuracy_change_low": 0.0, "accuracy_change_high": 0.0, "accuracy_p": 1.0}
    squares, freedoms = [], []
    for own in (before, after):
        rounding = 1.0 / (own["images"] * np.sqrt(12.0)) if own["images"] else 0.0
        spread = max(float(own["std"]), rounding)
        squares.append(spread**2 / own["trials"])
        freedoms.append(own["trials"] - 1)
    total = sum(squares)
    if not total > 0 or min(freedoms) < 1:
        return row
    freedom = total**2 / sum(square**2 / free for square, free in zip(squares, freedoms, strict=True))
    half = float(stats.t.ppf(0.975, freedom)) * np.sqrt(total)
    return row | {
        "accuracy_change_low": float(change - half),
        "accuracy_change_high": float(change + half),
        "accuracy_p": float(2 * stats.t.sf(abs(change) / np.sqrt(total), freedom)),
    }


def _cost_change(column: str, before: Values | None, after: Values | None, field: str) -> Values:
    row: Values = {
        f"{column}_{when}": None if own is None else own[field] for when, own in (("old", before), ("new", after))
    }
    apart = None
    if before is not None and after is not None:
        one, other = interval_of(before, field), interval_of(after, field)
        if one is not None and other is not None:
            apart = one[1] < other[0] or other[1] < one[0]
    return row | {f"{column}_apart": apart}


def _mark_significant(rows: list[Values], p: str, into: str) -> None:
    """Mark the rows whose p-values are below the level by Holm's step-down correction."""
    known = sorted((row for row in rows if row[p] is not None), key=lambda row: row[p])
    still = True
    for number, row in enumerate(known):
        still = still and row[p] * (len(known) - number) <= LEVEL
        row[into] = still
    for row in rows:
        row.setdefault(into, None)


def _setting_sentences(one: _Results, other: _Results) -> list[str]:
    keys = [key for key in (*one.facts, *other.facts) if one.facts.get(key) != other.facts.get(key)]
    if not keys:
        return ["Both were made with the same settings."]
    parts = [f"{key} {_brief(one.facts.get(key))} → {_brief(other.facts.get(key))}" for key in dict.fromkeys(keys)]
    return [f"What was set differently: {'; '.join(parts)}."]


def _brief(value: Any) -> str:
    text = "none" if value in (None, "", [], ()) else str(value)
    return text if len(text) <= 60 else f"...{text[-57:]}"


def _design_sentences(rows: Sequence[Values]) -> list[str]:
    told = []
    tried = [row for row in rows if row["accuracy_p"] is not None]
    sure = [row for row in tried if row["accuracy_significant"]]
    if tried and not sure:
        told.append(f"Accuracy: no change beyond chance in {len(tried)} designs (level {LEVEL:.0%} over all of them).")
    elif sure:
        most = max(sure, key=lambda row: abs(row["accuracy_change"]))
        told.append(
            f"Accuracy changes beyond chance in {len(sure)} of {len(tried)} designs, most in {most['design']}: "
            f"{100 * most['accuracy_change']:+.2f} points ({100 * most['accuracy_change_low']:+.2f} to "
            f"{100 * most['accuracy_change_high']:+.2f}).".replace("-", "−")
        )
    for column, label in (("network_energy_uj", "Network energy"), ("network_area_mm2", "Network area")):
        pairs = [(row[f"{column}_old"], row[f"{column}_new"], row["design"]) for row in rows]
        changes = {
            name: after / before - 1 for before, after, name in pairs if before is not None and after is not None
        }
        if not changes:
            continue
        most = max(changes, key=lambda name: abs(changes[name]))
        if abs(changes[most]) < 5e-4:
            told.append(f"{label}: unchanged.")
        else:
            told.append(f"{label} changes most in {most}: {100 * changes[most]:+.1f} %.".replace("-", "−"))
    return told


def _choice_sentences(one: _Results, other: _Results) -> list[str]:
    told = []
    for key in one.choice:
        if key not in other.choice:
            continue
        where = "" if key == "{}" else f" ({key.strip('{}')})"
        if one.choice[key] == other.choice[key]:
            told.append(f"The recommended core stays {one.choice[key]}{where}.")
        else:
            told.append(f"The recommended core changes{where}: {one.choice[key]} → {other.choice[key]}.")
    return told
