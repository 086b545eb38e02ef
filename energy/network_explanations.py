"""Where the numbers of a network came from: totals from layers, layers from cores, cores from counts and constants.

Names say whose quantity it is: ``core.X`` is that of a whole core, ``LAYER.X`` that of a layer, ``LAYER.tile2.X`` that
of the second kind of core that the layer uses; constants are shared and bear their own names. Where layers lie on cores
of several kinds, see `CoreNames`.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

from devicekit.common.errors import unknown_name
from energy.core_formulas import FIELDS
from energy.errors import EnergyError
from energy.explanations import (
    Draws,
    Explanation,
    Value,
    explain_quantity,
    interval_end,
    prefixed,
    quantile,
    renamed,
)
from energy.network_formulas import LAYER_COLUMNS, LAYER_FIELDS, LAYER_SET, TILES, TOTAL_SET
from energy.placement import PlacedNetwork
from energy.uncertainty import shared_constants

CORE = "core."
"""Before what belongs to a core."""


def identifiers(names: Sequence[str], reserved: Sequence[str] = ()) -> list[str]:
    """Return names as formulas can read them: ``layer1.0.conv1`` is ``layer1_0_conv1``, no two alike.

    Args:
        names: of layers, or of kinds of cores.
        reserved: names that they must not have; those that are no layers' need not be among them.
    """
    found: list[str] = []
    for name in names:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII)
        if not plain or plain[0].isdigit() or plain in (*reserved, "layers", *TILES) or keyword.iskeyword(plain):
            plain = f"layer_{plain}"
        while plain in found:
            plain += "_"
        found.append(plain)
    return found


class NetworkExplanations:
    """Explains the numbers of one network's cost.

    What belongs to a core is explained in names of its own first (``core.X``, constants plainly) and then called by
    those of its kind.

    Args:
        cost: the placed network.
    """

    def __init__(self, cost: PlacedNetwork) -> None:
        self.cost = cost
        self.names = [layer.name for layer in cost.layers]
        self.kinds = CoreNames(cost)
        self.identifiers = identifiers(self.names, self.kinds.reserved)
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
        if name in self.cost.values:
            return self._total(name)
        if end in totals and level is not None:
            low, high = self.cost.interval_of(end)
            return quantile(name, self._total(end), high if level > 0.5 else low, level, self.kinds.draws)
        owner, _, column = name.rpartition(".")
        for names in (self.names, self.identifiers):
            if owner in names and column in self.cost.layer_values:
                return self._column(names.index(owner), column)
        kind, plain = self.kinds.split(name)
        core = self.cost.cores[kind].values
        if plain in core or interval_end(plain)[0] in core:
            return self.kinds.called(kind, self._core(kind, plain))
        # What explanations print besides, such as a number of one of a layer's cores.
        for total in ("energy_gated_uj", "energy_ungated_uj", "latency_us"):
            printed = self._total(total).part(name)
            if printed is not None:
                return printed
        raise EnergyError(unknown_name("quantity", name, (*totals, *LAYER_COLUMNS, *core)))

    def _explained_core(self, kind: int, name: str) -> Explanation:
        """Explain a number of a kind of core, as ``core.NAME`` whichever it is."""
        return prefixed(self.cost.cores[kind].explain(name), CORE, self._stays(kind))

    def _stays(self, kind: int) -> Callable[[str], bool]:
        """Return whether a name is that of a whole core, or of a constant, and no part of what explains it."""
        constants = self.cost.cores[kind].library.constants
        return lambda name: name in constants or name.startswith(CORE)

    def _total(self, name: str) -> Explanation:
        return explain_quantity(name, TOTAL_SET, self.cost.values, self._of_total)

    def _of_total(self, name: str, value: Value) -> Explanation:
        """Explain what totals read: columns of layers."""
        own = name.removeprefix("layers.")
        parts = tuple(self._column(index, own) for index in range(len(self.names)))
        names = ", ".join(part.name for part in parts)
        formula = names if len(parts) == 1 else f"[{names}]"
        return Explanation(name, value, parts[0].unit, f"of each layer: {parts[0].meaning}", formula, parts)

    def _column(self, index: int, name: str) -> Explanation:
        if name not in self.cost.layer_values:
            raise EnergyError(unknown_name("quantity of a layer", name, self.cost.layer_values))
        return self._layer(index, name)

    def _explained_layer(self, index: int, name: str) -> Explanation:
        kind = self.cost.on[index]

        def leaf(own: str, value: Value) -> Explanation:
            tile, _, column = own.partition(".")
            if tile in TILES:
                return self._of_tile(index, TILES.index(tile), column, value)
            if own in LAYER_FIELDS:
                return Explanation(own, value, "", f"{LAYER_FIELDS[own]}: layer {self.names[index]}")
            if own.startswith(CORE):
                return self._core(kind, own.removeprefix(CORE))
            return self.cost.cores[kind].leaf(own, value)

        explained = explain_quantity(name, LAYER_SET, self.cost.layer_values, leaf, index)
        return self.kinds.called(kind, prefixed(explained, f"{self.identifiers[index]}.", self._stays(kind)))

    def _of_tile(self, index: int, number: int, name: str, value: Value) -> Explanation:
        """Explain count or energy of one kind of core that a layer uses."""
        prefix, kind = f"{TILES[number]}.", self.cost.on[index]
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
            whole = self._core(kind, own)
            if own == "input_activity" or tile.density == 1:
                return Explanation(own, own_value, "", FIELDS[own], whole.name, (whole,))
            density = Explanation(
                "density", tile.density, "", "share of the cells in use that hold weights of block-diagonal groups"
            )
            return Explanation(own, own_value, "", FIELDS[own], f"{whole.name} * density", (whole, density))

        explained = explain_quantity(name, core.library.formulas, core.values, leaf)
        return prefixed(explained, prefix, self._stays(kind))


class CoreNames:
    """What quantities of the kinds of cores of a network are called, so that each name is one number.

    Numbers of the core that names the whole are ``core.X``, those of another ``core_B.X``, by its design. A constant
    bears its own name where it is the same for all kinds, else it is its core's: ``core_B.cell.i_max``.

    Args:
        cost: the placed network.

    Attributes:
        reserved: what no layer may be called in formulas.
    """

    def __init__(self, cost: PlacedNetwork) -> None:
        self._cost = cost
        self.reserved = identifiers([f"core_{label}" if kind else "core" for kind, label in enumerate(cost.labels)])
        self._libraries = [core.library for core in cost.cores]
        self._shared = shared_constants(self._libraries)

    def split(self, name: str) -> tuple[int, str]:
        """Return the kind of core that a name belongs to, and what the core itself calls it."""
        owner, dot, plain = name.partition(".")
        return (self.reserved.index(owner), plain) if dot and owner in self.reserved else (0, name)

    def called(self, kind: int, explained: Explanation) -> Explanation:
        """Return what explains a number of a kind of core in the names of that kind.

        Args:
            kind: which.
            explained: the same in names of its own.
        """
        if len(self.reserved) == 1:
            return explained
        found = renamed(explained, lambda name: self._named(kind, name))
        return found if found.draws is None else replace(found, draws=self.draws)

    def _named(self, kind: int, name: str) -> str:
        if name.startswith(CORE):
            return f"{self.reserved[kind]}.{name.removeprefix(CORE)}"
        apart = name in self._libraries[kind].constants and name not in self._shared
        return f"{self.reserved[kind]}.{name}" if apart else name

    @property
    def draws(self) -> Draws:
        """Where the draws behind the intervals come from: of all kinds, each constant by its name."""
        if len({library.recipe for library in self._libraries}) == 1:
            return self._cost.core.draws
        owners = {f"{owner}.": core.library.recipe for owner, core in zip(self.reserved, self._cost.cores, strict=True)}
        libraries = ", ".join(f"{owner!r}: {recipe}" for owner, recipe in owners.items())
        each = [core.draws for core in self._cost.cores]
        together, alone = (
            tuple(dict.fromkeys(self._named(kind, name) for kind, own in enumerate(each) for name in getattr(own, how)))
            for how in ("together", "alone")
        )
        recipe = f"energy.uncertainty.draw_all({{{libraries}}}, seed={self._cost.core.seed})"
        return Draws(recipe, each[0].count, together, alone)
