"""Run a study: cells, wires, costs and accuracy in one go, and write table, page and everything behind them."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from circuits import (
    Activity,
    Core,
    NetworkCores,
    choose_cores,
    confirm_bit_line,
    load_core,
    load_peripherals,
    peripheral_names,
)
from devicekit.common.file_sets import replacing_together, settle
from reports.built_cores import built, costly_periphery, with_overrides, without_periphery
from reports.cache import ResultCache
from reports.cell_step import cell_of
from reports.errors import StudyError
from reports.layer_cores import overrides_shown, without_design
from reports.network_step import (
    LoadedNetwork,
    evaluate_design,
    evaluate_stages,
    load_network,
    remarks_of,
    summarise_network,
)
from reports.page import render
from reports.results import StudyResult, Values
from reports.sources import borrowed_note, calibration_note, core_sources, design_sources, library_sources
from reports.stages import stages
from reports.study import Study
from reports.table import joint_rows, to_csv
from reports.trained_step import evaluate_trained, load_trained, passes
from reports.wire_rule import WireCost, wire_note, wired
from reports.wires_step import line_errors

SHOWN_VERSIONS = ("devicekit", "torch", "numpy", "scipy", "lmfit")
SKIPPED_SPICE = "The SPICE step gave nothing here, so that its recorded values are shown."


class Progress(Protocol):
    """Called as a study goes on, such as by a progress bar."""

    def __call__(self, done: int, total: int, text: str | None = None) -> None:
        """Take note: `done` of `total` steps are done; `text` says what comes next."""


def run_study(study: Study | str | Path, out: str | Path, *, progress: Progress | None = None) -> Path:
    """Run a study and write its page, ``table.csv``, ``results.json`` and ``study.toml``.

    Accuracy, the slow part, is kept design by design under the output folder: a run that was interrupted goes on where
    it stopped, and one with other inputs starts anew.

    Args:
        study: the study, or the path of its file.
        out: folder to write to; made if need be.
        progress: called with (steps done, steps in all, what comes next).

    Returns:
        The path of the page.

    Raises:
        StudyError: a malformed study file.
        DevicekitError: an unknown name or unusable file that the study names; before anything slow is done.
    """
    if not isinstance(study, Study):
        study = Study.load(study)
    if study.vary:
        raise StudyError(
            f"The study varies {', '.join(study.vary)}: run it with devicekit sweep (reports.sweep), which keeps its "
            "points in a store."
        )
    if study.accuracy != "all" or study.search is not None:
        asked = "search" if study.search is not None else f"accuracy = {study.accuracy!r}"
        raise StudyError(
            f"The study asks for {asked}, but a report tries every core: run it with devicekit sweep (reports.sweep)."
        )
    folder = Path(out)
    return write(compute(study, folder, progress), study, folder)


def compute(study: Study, folder: Path, progress: Progress | None = None) -> StudyResult:
    """Return what a study finds: cell, wires, costs and accuracy of its designs.

    Args:
        study: the study.
        folder: where results of earlier runs lie, and new ones are kept.
        progress: called with (steps done, steps in all, what comes next).
    """
    from energy import estimate_core, estimate_network

    started = time.monotonic()
    settle(folder)
    # Everything that can be wrong with what the user named is found here, before the slow part.
    asked = choose_cores((*study.designs, *study.cores))
    others = {pattern: load_core(name) for pattern, name in study.overrides.items()}
    fitted = cell_of(
        study, [*(core.cell for core in asked.values()), *filter(None, (own.cell for own in others.values()))]
    )
    cell = fitted.cell
    built_cores = _unique_names([built(study, core, cell) for core in asked.values()])
    rows = [with_overrides(study, core, others) for core in built_cores]
    own: dict[str, Any] = {"library": study.library, "seed": study.seed}
    costs = {cores.name: estimate_core(cores.core, **own).to_dict() for cores in rows}
    for core in _all_cores(rows)[len(rows) :]:
        estimate_core(core, **own)
    network, trained = load_network(study), load_trained(study)
    total = 2 + sum(_steps(study, cores) for cores in rows)

    def report(done: int, text: str) -> None:
        if progress is not None:
            progress(done, total, text)

    report(0, "Bit line in ngspice")
    spice = confirm_bit_line().to_dict()
    cache = ResultCache(folder / ".cache")
    report(1, "Bit lines of the designs")
    designs = {core.name: core.design for core in _all_cores(rows)}
    wires = line_errors(list(designs.values()), cache, study.seed)
    evaluations: dict[str, Values] = {}
    wire_costs: dict[str, WireCost] = {}
    before = 2
    for number, cores in enumerate(rows):
        steps = _steps(study, cores)

        def step(done: int, passes: int, text: str = f"Design {cores.name}", before: int = before) -> None:
            report(before + round(done / passes * (study.trials + 2)), text)

        step(0, 1)
        evaluation = evaluate_design(study, network, cores, cache, step)
        if evaluation["wire_cost"] is not None:
            wire_costs[cores.name] = own_cost = WireCost(**evaluation["wire_cost"])
            rows[number] = cores = wired(cores, own_cost)
        before += study.trials + 2

        def stage_step(
            done: int,
            passes: int,
            text: str = f"Design {cores.name}, by parts",
            before: int = before,
            own: int = steps - study.trials - 2 - passes(study),
        ) -> None:
            report(before + round(done / passes * own), text)

        stage_step(0, 1)
        evaluation["stages"] = evaluate_stages(study, network, cores, cache, stage_step)
        stage_step(1, 1)
        before += steps - study.trials - 2 - passes(study)
        if trained is not None:

            def trained_step(
                done: int, of: int, text: str = f"Design {cores.name}, trained", before: int = before
            ) -> None:
                report(before + round(done / of * passes(study)), text)

            evaluation["trained"] = evaluate_trained(study, network, trained, cores, cache, trained_step)
        evaluations[cores.name] = evaluation
        before += passes(study)
    found: list[Values] = []
    for cores in rows:
        evaluation = evaluations[cores.name]
        activities = {name: Activity(**values) for name, values in evaluation["activities"].items()}
        found.append(
            {
                **cores.core.design.to_dict(),
                "core": without_design(cores.core),
                "overrides": overrides_shown(cores, network.layers),
                "accuracy": evaluation["accuracy"],
                "cost": costs[cores.name],
                "network_cost": estimate_network(network.layers, cores, activities, **own).to_dict(),
                "trained": _trained(evaluation.get("trained"), network, cores, own),
                "stages": evaluation["stages"],
                "last_stage": stages(cores)[-1].name,
                "wire_cost": evaluation["wire_cost"],
                "layer_reports": evaluation["layer_reports"],
            }
        )
    return StudyResult(
        title=study.title or _title(study, len(rows)),
        settings={
            key: value
            for key, value in study.model_dump(mode="json").items()
            if value not in (None, "", []) or (key == "corrections" and value is not None)
        },
        device=fitted.device,
        fit=fitted.fit,
        spice=spice,
        wires=wires,
        peripherals=load_peripherals(cell.technology).to_dict() if cell.technology in peripheral_names() else None,
        metric=network.metric.to_dict(),
        network=summarise_network(study, network, evaluations.values()),
        designs=found,
        provenance=[
            *core_sources(_all_cores(rows)),
            *library_sources(study.library, [cell, *(core.cell for core in _all_cores(rows) if core.cell is not None)]),
            *design_sources(_named(zip(asked, (cores.core for cores in rows), strict=True), study.overrides, others)),
        ],
        software={"python": platform.python_version()} | {name: version(name) for name in SHOWN_VERSIONS},
        cost_note=" ".join(
            filter(None, (borrowed_note(found), calibration_note([cores.core for cores in rows], study.library)))
        ),
        remarks=[
            *([f"{SKIPPED_SPICE} {spice['reason']}".strip()] if spice["recorded"] else []),
            *without_periphery(study, rows),
            *(costly_periphery(found, rows) if network.metric.to_dict()["unit"] == "%" else []),
            *filter(None, [wire_note(wire_costs)]),
            *_remarks(evaluations),
        ],
        seconds=time.monotonic() - started,
    )


def _all_cores(rows: Sequence[NetworkCores]) -> list[Core]:
    """Return the cores that name rows, then those of some layers."""
    return [*(cores.core for cores in rows), *(core for cores in rows for core in cores.kinds[1:])]


def _named(
    rows: Iterable[tuple[str, Core]], overrides: Mapping[str, str], others: Mapping[str, Core]
) -> Iterator[tuple[str, Core]]:
    """Yield every core with what names it, those of some layers as well, each name once."""
    yield from {**{overrides[pattern]: core for pattern, core in others.items()}, **dict(rows)}.items()


def _trained(
    found: Values | None, network: LoadedNetwork, cores: NetworkCores, own: Mapping[str, Any]
) -> Values | None:
    """Return what trained weights give on some cores, and what an inference with them costs."""
    from energy import estimate_network

    if found is None:
        return None
    activities = {name: Activity(**values) for name, values in found["activities"].items()}
    cost = estimate_network(network.layers, cores, activities, **own).to_dict()
    return {"comparison": found["comparison"], "network_cost": cost}


def _remarks(evaluations: Mapping[str, Values]) -> list[str]:
    """Return remarks on results, and on models used beyond what they are known for, once each with its designs."""
    said: dict[str, list[str]] = {}
    for name, evaluation in evaluations.items():
        for text in remarks_of(evaluation):
            said.setdefault(text, []).append(name)
    return [f"{', '.join(names)}: {text}" for text, names in said.items()]


def _steps(study: Study, cores: NetworkCores) -> int:
    """Return the passes over the images that a row takes, its wires left out, which are not known before."""
    own = len(stages(cores)) - 1 if study.trials_a_stage else 0
    return study.trials + 2 + own * (study.trials_a_stage + 2) + passes(study)


def write(result: StudyResult, study: Study, folder: Path) -> Path:
    """Write the page and what stands behind it, all or none.

    Args:
        result: what the study found.
        study: the study.
        folder: where.

    Returns:
        The path of the page.
    """
    files = {
        "table.csv": to_csv(joint_rows(result)),
        "results.json": json.dumps(document(result), indent=1, ensure_ascii=False) + "\n",
        "index.html": render(result, made=datetime.now(UTC)),
    }
    with replacing_together(folder) as together:
        study.save(together / "study.toml", place=folder)
        for name, text in files.items():
            (together / name).write_text(text, encoding="utf-8")
    return folder / "index.html"


def document(result: StudyResult) -> Values:
    """Return a result as JSON holds it: the joint table first, then everything.

    Args:
        result: what the study found.
    """
    return {"table": joint_rows(result), **result.to_dict()}


def _unique_names(cores: list[Core]) -> list[Core]:
    """Give cores of the same name from different files different names."""
    names = [core.name for core in cores]
    seen: dict[str, int] = {}
    unique = []
    for core in cores:
        seen[core.name] = seen.get(core.name, 0) + 1
        twice = names.count(core.name) > 1
        unique.append(core.replace(name=f"{core.name} ({seen[core.name]})") if twice else core)
    return unique


def _title(study: Study, count: int) -> str:
    numbers = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    number = numbers[count] if count < len(numbers) else str(count)
    return f"{study.network_name} on {number} analog core{'' if count == 1 else 's'}"
