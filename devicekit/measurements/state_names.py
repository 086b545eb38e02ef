"""Targets that are no currents: names of states, windows, numbers in order; and the currents they stand for."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devicekit.common.errors import MeasurementError
from devicekit.measurements.column_units import WITH_UNIT, ColumnUnits
from devicekit.measurements.header_names import HeaderName
from devicekit.measurements.interpreted import Array, Interpreted
from devicekit.measurements.number_formats import MISSING, is_number
from devicekit.measurements.raw_tables import RawTable
from devicekit.measurements.read_options import ReadOptions

Floats = NDArray[np.float64]

_NUMBER = r"[+\-−]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?"
_WINDOW = re.compile(
    rf"[\[\(]?\s*(?P<low>{_NUMBER})\s*(?P<first>[A-Za-zµμΩΩ%]*)\s*(?P<joint>-|–|—|\.\.+|to|bis|,|;|~|:|±|\+/-|\+-)\s*"
    rf"(?P<high>{_NUMBER})\s*(?P<unit>[A-Za-zµμΩΩ%]*\d?)\s*[\]\)]?"
)
_INDEX_NAMES = re.compile(r"(?:state|level|lvl|zustand|index|no|number|id|code)(?:_|$)")
CLOSE = 1.5
"""Bare whole numbers are levels, not numbers of states, where the states' means lie within this factor of them."""
MANY_TIMES = 64
"""More times than that are a series of reads, not steps of retention."""


@dataclass(frozen=True)
class Windows:
    """Edges of the windows that cells were written into, one a row, as written; `unit` is empty where none is."""

    low: Floats
    high: Floats
    unit: str


def window_entries(table: RawTable, index: int) -> Windows | None:
    """Return a column of windows (``90-110``, ``[90, 110] nA``), or None where its entries are none."""
    raw = table.columns[index]
    if table.is_numeric(index) or not len(raw) or _WINDOW.fullmatch(str(raw[0]).strip()) is None:
        return None
    matches = [_WINDOW.fullmatch(str(item).strip()) for item in raw]
    if any(match is None for match in matches):
        return None
    found = [match for match in matches if match is not None]
    if all(is_number(str(item)) for item in raw):
        return None
    units = {match["unit"] or match["first"] for match in found}
    if len(units) > 1:
        raise MeasurementError(f"{table.where(0, index)}: windows in several units: {', '.join(sorted(units))}.")
    low, high = (
        np.array([float(match[edge].replace(",", ".").replace("−", "-")) for match in found])
        for edge in ("low", "high")
    )
    about = np.array([match["joint"] in ("±", "+/-", "+-") for match in found])
    return Windows(np.where(about, low - high, low), np.where(about, low + high, high), units.pop())


def state_column(table: RawTable, index: int, options: ReadOptions) -> Array | None:
    """Return a target column that holds states instead of currents, or None.

    States are names (``HRS``, ``L3``), codes of zeros and ones, and numbers where the user said what they stand for.
    """
    raw = table.columns[index]
    if options.levels is not None and options.levels != "first":
        return table.labels(index)
    if isinstance(raw, np.ndarray) and raw.dtype.kind in "fiub":
        return None
    if table.is_numeric(index) and any(not set(str(item).strip()) <= {"0", "1"} for item in raw[:100]):
        return None
    texts = [str(item).strip() for item in raw]
    filled = [text for text in texts if text.lower() not in MISSING]
    codes = {len(text) if set(text) <= {"0", "1"} else 0 for text in filled}
    if len(codes) == 1 and codes.isdisjoint({0, 1}) and any(text[0] == "0" for text in filled):
        return np.array(texts)
    named = [text for text in filled if not is_number(text) and WITH_UNIT.fullmatch(text) is None]
    return np.array(texts) if len(named) > len(filled) / 2 else None


def resolve_levels(result: Interpreted, options: ReadOptions) -> None:
    """Give every row a target [A], in place: from windows, from what states stand for, or from first reads.

    Raises:
        MeasurementError: states whose currents nobody gave, windows without an end.
    """
    columns = result.columns
    if {"target", "state", "target_low"} & set(columns) and options.levels == "first":
        raise MeasurementError(
            f"{result.place}: levels='first' takes each cell's first read for its target, but there is a column of"
            " targets; leave one of them out."
        )
    if "target_low" in columns and "target_high" in columns:
        _windows(result, options)
    elif "state" in columns:
        _states(result, options)
    elif options.levels == "first":
        _first_reads(result)
    elif "target" in columns and options.levels is None and not result.is_histogram:
        _check_indices(result, options)


def _windows(result: Interpreted, options: ReadOptions) -> None:
    columns = result.columns
    if "target" in columns:
        return
    low, high = (
        np.minimum(columns["target_low"], columns["target_high"]),
        np.maximum(columns["target_low"], columns["target_high"]),
    )
    if options.levels == "mean":
        pairs = np.stack([low, high], axis=1)
        code = np.unique(pairs, axis=0, return_inverse=True)[1].ravel()
        columns["target"] = _means(result, code)
        result.notes.append("targets are windows; each one's own mean was taken for its level")
    else:
        endless = ~np.isfinite(high)
        if np.any(endless):
            row = int(np.flatnonzero(endless)[0])
            raise MeasurementError(
                f"{result.place}: the window from {low[row]:g} to {high[row]:g} A has no middle; take each window's"
                " own mean with levels='mean'."
            )
        columns["target"] = (low + high) / 2
        result.notes.append("targets are windows; their middles were taken for the levels")
    columns["target_low"], columns["target_high"] = low, high


def _states(result: Interpreted, options: ReadOptions) -> None:
    columns = result.columns
    states = columns.pop("state")
    distinct = np.unique(states)
    if states.dtype.kind == "U" and all(map(is_number, distinct)) and not any(map(_is_code, distinct)):
        # Numbers that were read as text count as numbers: state 10 comes after state 9.
        states = states.astype(np.float64)
    entries, code = np.unique(states, return_inverse=True)
    names = [f"{entry:g}" if states.dtype.kind in "fiub" else str(entry) for entry in entries]
    shown = ", ".join(names[:8]) + (" ..." if len(names) > 8 else "")
    if options.levels is None:
        raise MeasurementError(
            f"{result.place}: targets are states by name or number ({shown}); give their currents with"
            f" levels='{names[0]}=10 nA, ...', or take each state's own mean with levels='mean'."
        )
    if options.levels == "mean":
        columns["target"] = _means(result, code)
        result.notes.append(f"each state's own mean was taken for its level ({shown})")
        return
    told = options.levels
    given: dict[str, str]
    if isinstance(told, tuple):
        if len(told) != len(names):
            raise MeasurementError(
                f"{result.place}: {len(told)} levels were given, but there are {len(names)} states ({shown})."
            )
        given = dict(zip(names, told, strict=True))
    else:
        assert isinstance(told, dict)
        given = told
    currents = _currents(given, result, options)
    lacking = [name for name in names if _key(name) not in currents]
    if lacking:
        raise MeasurementError(f"{result.place}: levels give no current for the states {', '.join(lacking[:8])}.")
    columns["target"] = np.array([currents[_key(name)] for name in names])[code]
    result.notes.append(
        f"levels of states as given: {', '.join(f'{name} = {given_}' for name, given_ in given.items())}"
    )


def _is_code(name: str) -> bool:
    return len(name) > 1 and name[0] == "0" and name.isdigit()


def _key(name: str) -> str:
    return f"{float(name):g}" if is_number(name) and "," not in name and not _is_code(name) else name.strip().lower()


def _currents(given: dict[str, str], result: Interpreted, options: ReadOptions) -> dict[str, float]:
    """Return the currents [A] of levels in text; the last one's unit holds for those without."""
    matches = {name: WITH_UNIT.fullmatch(text.strip()) for name, text in given.items()}
    shared = next((m["unit"] for m in reversed(list(matches.values())) if m), options.units.get("target") or
                  options.units.get("current"))  # fmt: skip
    table = RawTable(result.place, ("levels",), ((),), metadata=result.metadata)
    units = ColumnUnits(table, options)
    if units.read_voltage is None:
        units.read_voltage = result.read_voltage
    currents = {}
    for name, text in given.items():
        match = matches[name]
        if match is None and (shared is None or not is_number(text)):
            raise MeasurementError(
                f"{result.place}: the level of state {name!r} needs a unit, such as 10 nA; got {text!r}."
            )
        number = float((match["number"] if match else text).replace(",", ".").replace("−", "-"))
        unit = match["unit"] if match else shared
        currents[_key(name)] = float(units.convert("target", np.array([number]), 0, HeaderName("", unit), None)[0])
    return currents


def _means(result: Interpreted, code: NDArray[np.int64]) -> Floats:
    """Return for each row the mean of its state [A], at the earliest time and the lowest temperature."""
    columns = result.columns
    if "value" not in columns:
        raise MeasurementError(
            f"{result.place}: the mean of a state needs its cells, not a histogram; give the levels."
        )
    first = np.ones(result.rows, dtype=bool)
    for role in ("time", "temperature", "bake_temperature"):
        if role in columns:
            entries = result.numbers(role)
            if len(np.unique(entries)) > MANY_TIMES:
                # A time series: its reads are of one state.
                continue
            for state in range(code.max() + 1):
                own = (code == state) & first
                if np.any(own):
                    first[own] = entries[own] == entries[own].min()
    value = result.numbers("value")
    count = np.bincount(code[first], minlength=code.max() + 1)
    sums = np.bincount(code[first], value[first], minlength=code.max() + 1)
    # A state that is off has a mean of noise about zero; a level cannot be below it.
    return np.asarray(np.maximum(sums / np.maximum(count, 1), 0.0)[code])


def _first_reads(result: Interpreted) -> None:
    columns = result.columns
    if "cell" not in columns or "time" not in columns or "value" not in columns:
        raise MeasurementError(
            f"{result.place}: levels='first' takes each cell's first read for its target; it needs columns of cell,"
            " time and value."
        )
    keys = [np.unique(columns[role], return_inverse=True)[1] for role in
            ("cell", "die", "wafer", "cycle", "bake_temperature") if role in columns]  # fmt: skip
    cell = np.unique(np.stack(keys, axis=1), axis=0, return_inverse=True)[1].ravel()
    time = result.numbers("time")
    value = result.numbers("value")
    earliest = np.full(cell.max() + 1, np.inf)
    np.minimum.at(earliest, cell, time)
    first = time == earliest[cell]
    level = np.bincount(cell[first], value[first]) / np.bincount(cell[first])
    if np.any(level < 0):
        result.notes.append(f"{int(np.sum(level < 0))} first reads below 0 A count as targets of 0 A")
    columns["target"] = np.maximum(level, 0.0)[cell]
    later = result.kept(~first)
    if not later.rows:
        raise MeasurementError(f"{result.place}: every cell was read once, so no read is left beside the first ones.")
    result.columns, result.spare, result.row_of, result.table_of = (
        later.columns, later.spare, later.row_of, later.table_of,
    )  # fmt: skip
    result.notes.append(
        f"the first read of each cell stands for its target; those {int(first.sum())} reads are no cells of their own"
    )


def _check_indices(result: Interpreted, options: ReadOptions) -> None:
    """Refuse whole numbers 0, 1, 2, ... as targets, unless the values follow them.

    Where they have a unit of their own, most values must be elsewhere.
    """
    targets = result.numbers("target")
    own = np.unique(targets)
    levels = own / (result.target_scale or 1.0)
    whole = np.rint(levels)
    counted = whole[0] in (0, 1) and np.all(np.diff(whole) == 1) and np.all(np.abs(levels - whole) < 1e-6)
    if len(levels) < 2 or not counted or "indices" in options.accept:
        return
    value = result.numbers("value")
    means = np.array([np.median(value[targets == target]) for target in own])
    ratio = means[own > 0] / own[own > 0]
    follow = np.mean((ratio > 1 / CLOSE) & (ratio < CLOSE))
    if follow == 1.0 or (not result.borrowed_target and (follow >= 0.5 or len(levels) < 4)):
        return
    line = next((line for line in result.roles if line.role in ("target", "value")), None)
    raise MeasurementError(
        f"{result.place}: targets {whole[0]:.0f}..{whole[-1]:.0f} of {line.header if line else 'the table'!r} look"
        " like numbers of states, not like currents; give the levels in order, levels='0, 100, 200 nA', take each"
        " state's own mean with levels='mean', or accept='indices' if they are currents."
    )
