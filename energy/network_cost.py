"""What a network costs on cores of one design: layer by layer, gated and ungated, sequential and pipelined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from circuits import Activity, Core, CoreDesign, LayerShape, as_core
from circuits.core import AdcLike, CellLike
from devicekit.common.errors import unknown_name
from devicekit.common.plain import plain_dict
from energy.core_cost import estimate_core
from energy.errors import EnergyError
from energy.explanations import Explanation
from energy.library import Library
from energy.network_explanations import NetworkExplanations
from energy.network_formulas import NETWORK_FORMULAS
from energy.placement import PlacedNetwork, balanced_replicas


class NetworkCost(PlacedNetwork):
    """Energy, area and latency of a network; each number can be explained. Attributes as in `PlacedNetwork`."""

    def explain(self, name: str, layer: str | None = None) -> Explanation:
        """Return where a number came from.

        Args:
            name: a total or an end of its interval (``energy_gated_uj_low``); a column of the per-layer table, with
                `layer` or as ``LAYER.COLUMN``; any number of the core as ``core.NAME``, or plainly where no total is
                called so.
            layer: the layer's name.

        Raises:
            EnergyError: an unknown name.
        """
        return self._explanations.explain(name, layer)

    def row(self) -> dict[str, Any]:
        """Return the totals as one flat row of a table, intervals as ``_low`` and ``_high`` but for plain counts."""
        row: dict[str, Any] = {"design": self.core.design.name}
        for formula in NETWORK_FORMULAS:
            row[formula.name] = self.value(formula.name)
            if formula.unit:
                row[f"{formula.name}_low"], row[f"{formula.name}_high"] = self.interval_of(formula.name)
        borrowed = self.core.library.borrowed
        row |= {"periphery_borrowed_from": borrowed} if borrowed else {}
        return row | {name: int(self.value(name)) for name in ("weights", "macs", "cores")}

    def to_dict(self) -> dict[str, Any]:
        """Return `row` and the layers' table with one mapping a layer, as plain values."""
        return plain_dict(self.row() | {"layers": self.table})

    @cached_property
    def _explanations(self) -> NetworkExplanations:
        return NetworkExplanations(self)


def estimate_network(
    layers: Sequence[LayerShape],
    design: Core | CoreDesign | str,
    activities: Mapping[str, Activity] | Activity | None = None,
    library: str | Path | Library = "sonos_40nm",
    cell: CellLike | None = None,
    *,
    adc: AdcLike | None = None,
    structure: str | None = None,
    groups: str = "packed",
    core_budget: int | None = None,
    seed: int = 0,
) -> NetworkCost:
    """Return energy, area and latency of a network on cores of one design, layer by layer.

    Every layer holds its weights in cores of its own. Element-wise operations, pooling, buffers and the wires between
    cores are not counted.

    Args:
        layers: the layers, such as `accuracy.layer_shapes` gives them.
        design: the core: as built, a design, or a name.
        activities: one for all layers, or by layer name; the library's statistics elsewhere.
        library: name, path or library of components.
        cell: the memory cell, or its name, see `estimate_core`.
        adc: the ADC, see `estimate_core`.
        structure: a structural alternative.
        groups: ``"packed"``: groups that fit lie block-diagonally in one core; ``"one_core_each"``.
        core_budget: cores to spend on copies of slow layers, so that the pipeline is balanced; None: no copies.
        seed: seed of the draws behind the intervals.

    Raises:
        EnergyError: no layers, two of one name, an activity for no layer or of another design, too few cores, and as
            for `estimate_core`.
    """
    names = [layer.name for layer in layers]
    if not names:
        raise EnergyError("Expected at least one layer, but got none.")
    doubled = [name for name in names if names.count(name) > 1]
    if doubled:
        raise EnergyError(f"Expected layers of different names, but {doubled[0]!r} stands twice.")
    if groups not in ("packed", "one_core_each"):
        raise EnergyError(unknown_name("way to place groups", groups, ("packed", "one_core_each")))
    built = as_core(design, cell=cell, adc=adc)
    shared = activities if isinstance(activities, Activity) else None
    own = dict(activities) if isinstance(activities, Mapping) else {}
    for name, activity in own.items():
        if name not in names:
            raise EnergyError(unknown_name("layer", name, names))
        estimate_core(built, activity, library, structure=structure)
    core = estimate_core(built, shared, library, structure=structure, seed=seed)
    if shared is not None:
        own = dict.fromkeys(names, shared)
    packed = groups == "packed"
    cost = NetworkCost(tuple(layers), core, own, packed, (1,) * len(names))
    if core_budget is None:
        return cost
    cores = [int(entry) for entry in cost.table["cores"]]
    replicas = balanced_replicas(cores, [layer.mvms for layer in layers], core_budget)
    return NetworkCost(tuple(layers), core, own, packed, replicas)
