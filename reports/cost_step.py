"""The energy part of a study: what each core costs, and the constants it rests on."""

from __future__ import annotations

from circuits import Activity, CoreDesign
from devicekit import Cell
from reports.cell_step import constant_entry
from reports.results import CostResult, Provenance, Share
from reports.table import COST_COLUMNS


def cost_of(design: CoreDesign, cell: Cell, library: str, seed: int, activity: Activity | None = None) -> CostResult:
    """Return what a core costs.

    Args:
        design: the core.
        cell: the memory cell, for its read current and voltage.
        library: component library.
        seed: seed of the draws behind the intervals.
        activity: measured activity; None for published statistics.

    Raises:
        EnergyError: unknown library, or one for another technology than the cell's.
    """
    from energy import estimate_core

    cost = estimate_core(design, activity, library, cell, seed=seed)
    intervals = cost.interval
    breakdown = tuple(
        Share(component=row["label"], energy_fj_per_op=row["energy_fj_per_op"], area_mm2=row["area_mm2"])
        for row in cost.breakdown.to_dict(orient="records")
    )
    return CostResult(
        energy_fj_per_op=cost.energy_fj_per_op,
        area_mm2=cost.area_mm2,
        latency_ns=cost.latency_ns,
        tops_per_w=cost.tops_per_w,
        intervals={name: intervals[name] for name in COST_COLUMNS if intervals[name][0] < intervals[name][1]},
        breakdown=breakdown,
        activity=cost.activity.source,
    )


def library_sources(library: str, cell: Cell) -> list[Provenance]:
    """Return every constant of a component library.

    Args:
        library: component library.
        cell: the memory cell whose constants replace the library's.
    """
    from energy import load_library

    loaded = load_library(library).with_cell(cell)
    room = f"energy and area: library {loaded.name}"
    return [constant_entry(room, name, constant) for name, constant in loaded.constants.items()]
