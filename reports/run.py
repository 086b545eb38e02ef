"""Run a study: cells, wires, costs and accuracy in one go, and write table, page and everything behind them."""

from __future__ import annotations

import json
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from circuits import CoreDesign, load_design
from devicekit.common.paths import replacing
from devicekit.common.plain import plain
from reports.cache import ResultCache
from reports.cell_step import cell_of, device_sources
from reports.cost_step import calibration_note, cost_of, library_sources, network_cost_of
from reports.design_step import design_sources
from reports.network_step import check_same_baseline, evaluate_design, load_network, summarise_network
from reports.page import render
from reports.results import DesignResult, SpiceCheck, StudyResult
from reports.study import Study
from reports.table import joint_rows, to_csv
from reports.wires_step import confirm_spice, line_errors, peripheral_summary

SHOWN_VERSIONS = ("devicekit", "torch", "numpy", "scipy", "lmfit", "plotly")


class Progress(Protocol):
    """Hears how far a study is."""

    def __call__(self, done: int, total: int, text: str | None = None) -> None:
        """Hear that `done` of `total` steps are done, and what comes next."""


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
    folder = Path(out)
    return write(compute(study, folder, progress), study, folder)


def compute(study: Study, folder: Path, progress: Progress | None = None) -> StudyResult:
    """Run the chain of a study.

    Args:
        study: the study.
        folder: where results of earlier runs lie, and new ones are kept.
        progress: called with (steps done, steps in all, what comes next).
    """
    started = time.monotonic()
    # Everything that can be wrong with what the user named is found here, before the slow part.
    designs = _unique_names([load_design(name) for name in study.designs])
    fitted = cell_of(study)
    costs = {design.name: cost_of(design, fitted.cell, study.library, study.seed) for design in designs}
    network = load_network(study)
    total = 2 + len(designs) * (study.trials + 2)

    def report(done: int, text: str) -> None:
        if progress is not None:
            progress(done, total, text)

    report(0, "Bit line in ngspice")
    spice = confirm_spice()
    cache = ResultCache(folder / ".cache")
    report(1, "Bit lines of the designs")
    wires = line_errors(designs, cache, study.seed)
    evaluations = {}
    for number, design in enumerate(designs):
        before = 2 + number * (study.trials + 2)
        text = f"Design {design.name}"
        report(before, text)

        def step(done: int, passes: int, before: int = before, text: str = text) -> None:
            report(before + round(done / passes * (study.trials + 2)), text)

        evaluations[design.name] = evaluate_design(study, network, design, fitted.cell, cache, step)
    baseline = check_same_baseline([found.accuracy for found in evaluations.values()])
    return StudyResult(
        title=study.title or _title(study, len(designs)),
        settings=_settings(study),
        fit=fitted.fit,
        device=fitted.summary,
        spice=spice,
        network=summarise_network(study, network, baseline),
        designs=tuple(
            DesignResult(
                name=design.name,
                fields=design.to_mapping(),
                b_out=design.b_out,
                slices=design.slices,
                partitions=design.partitions,
                conversions_per_mvm=design.conversions_per_mvm,
                accuracy=evaluations[design.name].accuracy,
                cost=costs[design.name],
                network_cost=network_cost_of(
                    design,
                    network.layers,
                    fitted.cell,
                    study.library,
                    study.seed,
                    evaluations[design.name].activities,
                ),
                signals=evaluations[design.name].signals,
            )
            for design in designs
        ),
        provenance=(
            *device_sources(fitted),
            *library_sources(study.library, fitted.cell),
            *design_sources(study.designs, designs),
        ),
        software={"python": platform.python_version()} | {name: version(name) for name in SHOWN_VERSIONS},
        cost_note=calibration_note(designs, study.library),
        remarks=_remarks(spice),
        wires=wires,
        peripherals=peripheral_summary(fitted.cell.technology),
        seconds=time.monotonic() - started,
    )


def write(result: StudyResult, study: Study, folder: Path) -> Path:
    """Write the page and what stands behind it.

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
    for name, text in files.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    study.save(folder / "study.toml")
    return folder / "index.html"


def document(result: StudyResult) -> dict[str, Any]:
    """Return a result as JSON holds it: the joint table first, then everything.

    Args:
        result: what the study found.
    """
    return {"table": plain(joint_rows(result)), **plain(result)}


def _unique_names(designs: list[CoreDesign]) -> list[CoreDesign]:
    """Give designs of the same name from different files different names."""
    names = [design.name for design in designs]
    seen: dict[str, int] = {}
    unique = []
    for design in designs:
        seen[design.name] = seen.get(design.name, 0) + 1
        twice = names.count(design.name) > 1
        unique.append(design.replace(name=f"{design.name} ({seen[design.name]})") if twice else design)
    return unique


def _title(study: Study, count: int) -> str:
    numbers = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    number = numbers[count] if count < len(numbers) else str(count)
    network = study.network.rpartition(":")[2]
    return f"{network} on {number} analog core{'' if count == 1 else 's'}"


def _settings(study: Study) -> dict[str, Any]:
    return {key: value for key, value in study.model_dump(mode="json").items() if value not in (None, "")}


def _remarks(spice: SpiceCheck) -> tuple[str, ...]:
    return ("The SPICE step was skipped for want of ngspice; its recorded values are shown.",) if spice.recorded else ()
