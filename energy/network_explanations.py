"""Where the numbers of a network came from: totals from layers, layers from cores, cores from counts and constants.

Names say whose quantity it is: ``core.X`` is that of a whole core, ``LAYER.X`` that of a layer, ``LAYER.tile2.X`` that
of the second kind of core that the layer uses; constants are shared and bear their own names.
"""

from __future__ import annotations

import keyword
import re
from functools import cache

from devicekit.common.errors import unknown_name
from energy.core_formulas import FIELDS
from energy.errors import EnergyError
from energy.explanations import Explanation, Value, explain_quantity, interval_end, prefixed, quantile
from energy.network_formulas import LAYER_COLUMNS, LAYER_FIELDS, LAYER_SET, TILES, TOTAL_SET
from energy.placement import PlacedNetwork


def identifiers(names: list[str]) -> list[str]:
    """Return names of layers as formulas can read them: ``layer1.0.conv1`` is ``layer1_0_conv1``, no two alike.

    Args:
        names: the layers' names.
    """
    found: list[str] = []
    for name in names:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII)
        if not plain or plain[0].isdigit() or plain in ("core", "layers", *TILES) or keyword.iskeyword(plain):
            plain = f"layer_{plain}"
        while plain in found:
            plain += "_"
        found.append(plain)
    return found


class NetworkExplanations:
    """Explains the numbers of one network's cost.

    Args:
        cost: the placed network.
    """

    def __init__(self, cost: PlacedNetwork) -> None:
        self.cost = cost
        self.names = [layer.name for layer in cost.layers]
        self.identifiers = identifiers(self.names)
        self._core = cache(self._explained_core)
        self._layer = cache(self._explained_layer)

    def explain(self, name: str, layer: str | None = None) -> Explanation:
        """Return where a number came from, see `NetworkCost.explain`."""
        if layer is not None:
            if layer not in self.names:
                raise EnergyError(unknown_name("layer", layer, self.names))
            return self._column(self.names.index(layer), name)
        totals = self.cost.totals
        end, level = interval_end(name)
        if name in self.cost.values and not name.startswith("core."):
            return self._total(name)
        if end in totals and level is not None:
            low, high = self.cost.interval_of(end)
            return quantile(name, self._total(end), high if level > 0.5 else low, level, self.cost.core.draws)
        owner, _, column = name.rpartition(".")
        for names in (self.names, self.identifiers):
            if owner in names and column in self.cost.layer_values:
                return self._column(names.index(owner), column)
        plain = name.removeprefix("core.")
        core = self.cost.core.values
        if plain in core or interval_end(plain)[0] in core:
            return self._core(plain)
        # What explanations print besides, such as a number of one of a layer's cores.
        for total in ("energy_gated_uj", "energy_ungated_uj", "latency_us"):
            printed = self._total(total).part(name)
            if printed is not None:
                return printed
        raise EnergyError(unknown_name("quantity", name, (*totals, *LAYER_COLUMNS, *core)))

    def _shared(self, name: str) -> bool:
        return name in self.cost.core.library.constants or name.startswith("core.")

    def _explained_core(self, name: str) -> Explanation:
        return prefixed(self.cost.core.explain(name), "core.", self._shared)

    def _total(self, name: str) -> Explanation:
        return explain_quantity(name, TOTAL_SET, self.cost.values, self._of_total)

    def _of_total(self, name: str, value: Value) -> Explanation:
        """Explain what totals read: columns of layers, values of the core, constants."""
        if not name.startswith("layers."):
            return self._of_core(name, value)
        own = name.removeprefix("layers.")
        parts = tuple(self._column(index, own) for index in range(len(self.names)))
        names = ", ".join(part.name for part in parts)
        formula = names if len(parts) == 1 else f"[{names}]"
        return Explanation(name, value, parts[0].unit, f"of each layer: {parts[0].meaning}", formula, parts)

    def _of_core(self, name: str, value: Value) -> Explanation:
        if name.startswith("core."):
            return self._core(name.removeprefix("core."))
        return self.cost.core.leaf(name, value)

    def _column(self, index: int, name: str) -> Explanation:
        if name not in self.cost.layer_values:
            raise EnergyError(unknown_name("quantity of a layer", name, self.cost.layer_values))
        return self._layer(index, name)

    def _explained_layer(self, index: int, name: str) -> Explanation:
        def leaf(own: str, value: Value) -> Explanation:
            tile, _, column = own.partition(".")
            if tile in TILES:
                return self._of_tile(index, TILES.index(tile), column, value)
            if own in LAYER_FIELDS:
                return Explanation(own, value, "", f"{LAYER_FIELDS[own]}: layer {self.names[index]}")
            return self._of_core(own, value)

        explained = explain_quantity(name, LAYER_SET, self.cost.layer_values, leaf, index)
        return prefixed(explained, f"{self.identifiers[index]}.", self._shared)

    def _of_tile(self, index: int, number: int, name: str, value: Value) -> Explanation:
        """Explain count or energy of one kind of core that a layer uses."""
        prefix = f"{TILES[number]}."
        if number >= len(self.cost.tiles[index]):
            return Explanation(prefix + name, value, "", "there is no such kind of core in this layer")
        tile = self.cost.tiles[index][number]
        if name == "count":
            return Explanation(prefix + name, value, "", f"cores with {tile.rows} rows x {tile.columns} columns in use")
        core = self.cost.tile_cost(index, number)
        measured = self.names[index] in self.cost.activities

        def leaf(own: str, own_value: Value) -> Explanation:
            if measured or own not in ("mean_conductance", "input_activity"):
                return core.leaf(own, own_value)
            whole = self._core(own)
            if own == "input_activity" or tile.density == 1:
                return Explanation(own, own_value, "", FIELDS[own], whole.name, (whole,))
            density = Explanation(
                "density", tile.density, "", "share of the cells in use that hold weights of block-diagonal groups"
            )
            return Explanation(own, own_value, "", FIELDS[own], f"{whole.name} * density", (whole, density))

        explained = explain_quantity(name, core.library.formulas, core.values, leaf)
        return prefixed(explained, prefix, self._shared)
