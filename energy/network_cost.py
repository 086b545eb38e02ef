"""What a network costs on cores: layer by layer, gated and ungated, sequential and pipelined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from circuits import Activity, Core, CoreDesign, LayerShape, NetworkCores, network_cores
from circuits.core import AdcLike, CellLike, PeripheralsLike
from devicekit.common.errors import unknown_name
from devicekit.common.plain import plain_dict
from energy.core_cost import estimate_core
from energy.core_model import check_activity
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
        """Return the totals as one flat row of a table, intervals as ``_low`` and ``_high`` but for plain counts.

        Where layers lie on other cores than the one that names the row, ``placed_on`` says how many there are of each.
        """
        row: dict[str, Any] = {"design": self.core.design.name}
        if self.is_mixed:
            row["placed_on"] = ", ".join(f"{count} {name}" for name, count in self.cores_by_kind.items())
        for formula in NETWORK_FORMULAS:
            row[formula.name] = self.value(formula.name)
            if formula.unit:
                row[f"{formula.name}_low"], row[f"{formula.name}_high"] = self.interval_of(formula.name)
        borrowed = dict.fromkeys(self.core_of(index).library.borrowed for index in range(len(self.layers)))
        lent = " and ".join(filter(None, borrowed))
        row |= {"periphery_borrowed_from": lent} if lent else {}
        return row | {name: int(self.value(name)) for name in ("weights", "macs", "cores")}

    def to_dict(self) -> dict[str, Any]:
        """Return `row`, cores of each kind, and the layers' table with one mapping a layer, as plain values."""
        return plain_dict(self.row() | {"cores_by_kind": self.cores_by_kind, "layers": self.table})

    @cached_property
    def _explanations(self) -> NetworkExplanations:
        return NetworkExplanations(self)


def estimate_network(
    layers: Sequence[LayerShape],
    design: Core | CoreDesign | str | NetworkCores,
    activities: Mapping[str, Activity] | Activity | None = None,
    library: str | Path | Library = "sonos_40nm",
    cell: CellLike | None = None,
    *,
    adc: AdcLike | None = None,
    overrides: Mapping[str, Core | CoreDesign | str] | None = None,
    peripherals: PeripheralsLike | None = None,
    structure: str | None = None,
    groups: str = "packed",
    core_budget: int | None = None,
    seed: int = 0,
) -> NetworkCost:
    """Return energy, area and latency of a network on cores, layer by layer.

    Every layer holds its weights in cores of its own, all of one kind, and costs what it costs on them: energies, areas
    and latencies of layers add up, and the slowest layer sets the pace. Element-wise operations, pooling, buffers and
    the wires between cores are not counted.

    Args:
        layers: the layers, such as `accuracy.layer_shapes` gives them.
        design: the core: as built, a design, or a name; or the cores of all layers (`circuits.NetworkCores`), as they
            are.
        activities: one for all layers, or by layer name; the library's statistics elsewhere.
        library: name, path or library of components.
        cell: the memory cell, or its name, see `estimate_core`.
        adc: the ADC, see `estimate_core`.
        overrides: another core for layers whose name matches a pattern, as in `accuracy.convert`: the first match
            holds, and what that core leaves open is that of the others. Constants that both share are drawn together.
        peripherals: simulated peripherals, see `estimate_core`; a name is looked up for each design's own use.
        structure: a structural alternative.
        groups: ``"packed"``: groups that fit lie block-diagonally in one core; ``"one_core_each"``.
        core_budget: cores to spend on copies of slow layers, so that the pipeline is balanced; None: no copies.
        seed: seed of the draws behind the intervals.

    Raises:
        EnergyError: no layers, two of one name, a pattern or an activity for no layer, an activity of another design,
            too few cores, and as for `estimate_core`.
        DesignError: as for `circuits.network_cores`.
    """
    names = [layer.name for layer in layers]
    if not names:
        raise EnergyError("Expected at least one layer, but got none.")
    doubled = [name for name in names if names.count(name) > 1]
    if doubled:
        raise EnergyError(f"Expected layers of different names, but {doubled[0]!r} stands twice.")
    if groups not in ("packed", "one_core_each"):
        raise EnergyError(unknown_name("way to place groups", groups, ("packed", "one_core_each")))
    built = network_cores(design, overrides, cell=cell, adc=adc)
    for pattern in built.unmatched(layer.names for layer in layers):
        raise EnergyError(unknown_name("layer or pattern", pattern, names))
    kinds = built.kinds
    on = tuple(built.kind(layer.names) for layer in layers)
    shared = activities if isinstance(activities, Activity) else None
    own = dict(activities) if isinstance(activities, Mapping) else {}
    if shared is not None:
        own = dict.fromkeys(names, shared)
    for name, activity in own.items():
        if name not in names:
            raise EnergyError(unknown_name("layer", name, names))
        check_activity(kinds[on[names.index(name)]].design, activity)
    options: dict[str, Any] = {"peripherals": peripherals, "structure": structure, "seed": seed}
    cores = tuple(
        estimate_core(core, shared if kind in on else None, library, **options) for kind, core in enumerate(kinds)
    )
    packed = groups == "packed"
    cost = NetworkCost(tuple(layers), cores, on, own, packed, (1,) * len(names))
    if core_budget is None:
        return cost
    replicas = balanced_replicas(
        [int(entry) for entry in cost.table["cores"]],
        [layer.mvms for layer in layers],
        core_budget,
        [cores[kind].value("interval_s") for kind in on],
    )
    return NetworkCost(tuple(layers), cores, on, own, packed, replicas)
