"""The energy part of a study: what each core costs, and the constants it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from circuits import Activity, CoreDesign, LayerShape, load_design
from devicekit import Cell
from reports.cell_step import constant_entry
from reports.results import CostResult, LayerCost, NetworkCostResult, Provenance, Share
from reports.table import COST_COLUMNS

if TYPE_CHECKING:
    from energy import Library


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


_TOTALS = (
    "area_mm2", "energy_gated_uj", "energy_ungated_uj", "latency_us", "inferences_per_s", "spatial_utilisation",
    "peak_tops_per_w", "utilised_tops_per_w",
)  # fmt: skip


def network_cost_of(
    design: CoreDesign,
    layers: Sequence[LayerShape],
    cell: Cell,
    library: str,
    seed: int,
    activities: Mapping[str, Activity] | None = None,
) -> NetworkCostResult:
    """Return what an inference of a network costs.

    Args:
        design: the core.
        layers: the network's layers as matrices.
        cell: the memory cell, for its read current and voltage.
        library: component library.
        seed: seed of the draws behind the intervals.
        activities: measured activity by layer name; published statistics elsewhere.
    """
    from energy import estimate_network

    cost = estimate_network(layers, design, activities, library, cell, seed=seed)
    intervals = {name: cost.interval_of(name) for name in ("energy_gated_uj", "area_mm2", "utilised_tops_per_w")}
    return NetworkCostResult(
        cores=int(cost.value("cores")),
        **{name: cost.value(name) for name in _TOTALS},
        intervals={name: ends for name, ends in intervals.items() if ends[0] < ends[1]},
        layers=tuple(
            LayerCost(
                name=str(row["layer"]),
                cores=int(row["cores"]),
                utilisation=float(row["utilisation"]),
                energy_gated_nj=float(row["energy_gated_nj"]),
                latency_us=float(row["latency_us"]),
            )
            for row in cost.table.to_dict(orient="records")
        ),
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


def calibration_note(designs: Sequence[CoreDesign], library: str | Library) -> str:
    """Return which of the designs a library was calibrated to, as a sentence; empty where it was to none.

    Args:
        designs: the core designs.
        library: component library.
    """
    from energy import load_library
    from energy.published import load_published

    published = load_published()
    fitted = [design.name for design in designs if design.name in published and design == load_design(design.name)]
    if not fitted or not load_library(library).draws:
        return ""
    others = [design.name for design in designs if design.name not in fitted]
    note = (
        f"The components' values were calibrated to the published energy and area of {', '.join(fitted)}: there, "
        "agreement and narrow intervals are the calibration's, not a prediction."
    )
    return note + (f" {', '.join(others)} {'is' if len(others) == 1 else 'are'} predicted." if others else "")
