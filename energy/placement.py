"""A network placed on cores: which cores its layers use, and every quantity of layers and totals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from circuits import Activity, CoreDesign, LayerShape
from devicekit.common.errors import unknown_name
from energy.core_cost import CoreCost
from energy.core_model import NO_SPREAD, Values, default_draws, design_arrays, evaluate
from energy.errors import EnergyError
from energy.expressions import Array
from energy.network_formulas import (
    CORE_CONSTANTS,
    CORE_VALUES,
    LAYER_COLUMNS,
    LAYER_SET,
    NETWORK_FIELDS,
    NETWORK_FORMULAS,
    TILES,
    TOTAL_SET,
)
from energy.uncertainty import DRAWS, draw_constants


@dataclass(frozen=True)
class Tile:
    """A core as one layer uses it.

    Attributes:
        count: cores of this kind in one copy of the layer.
        rows: rows in use.
        columns: columns in use.
        density: share of the cells at those rows and columns that hold weights; the others are idle.
    """

    count: int
    rows: int
    columns: int
    density: float


def tiles_of(layer: LayerShape, design: CoreDesign, *, packed: bool = True) -> tuple[Tile, ...]:
    """Return the kinds of cores that a layer uses (full ones, and those at its last rows and columns), at most four.

    Args:
        layer: the layer.
        design: the core.
        packed: whether groups that fit are packed block-diagonally into one core.
    """
    rows, columns = design.matrix_rows, design.matrix_columns
    if packed and layer.groups > 1 and layer.rows <= rows and layer.columns <= columns:
        each = min(layer.groups, rows // layer.rows, columns // layer.columns)
        full, rest = divmod(layer.groups, each)
        sizes = [(full, each), (1 if rest else 0, rest)]
        return tuple(
            Tile(count, size * layer.rows, size * layer.columns, 1 / size) for count, size in sizes if count > 0
        )
    row_parts = _parts(layer.rows, rows)
    column_parts = _parts(layer.columns, columns)
    return tuple(
        Tile(layer.groups * row_count * column_count, row_size, column_size, 1.0)
        for column_count, column_size in column_parts
        for row_count, row_size in row_parts
    )


def _parts(size: int, largest: int) -> list[tuple[int, int]]:
    """Return (count, size) of full parts and of the rest."""
    full, rest = divmod(size, largest)
    return [(count, part) for count, part in ((full, largest), (1 if rest else 0, rest)) if count]


@dataclass(frozen=True)
class PlacedNetwork:
    """The layers of a network on cores, each layer on cores of one kind.

    Attributes:
        layers: the layers.
        cores: the kinds of cores; the first is that of every layer that nobody named, and names the whole.
        on: for each layer, the number of its kind of core.
        activities: measured activity by layer name; the library's statistics elsewhere.
        packed: whether groups are packed block-diagonally.
        replicas: copies of each layer.
    """

    layers: tuple[LayerShape, ...]
    cores: tuple[CoreCost, ...]
    on: tuple[int, ...]
    activities: Mapping[str, Activity] = field(repr=False)
    packed: bool
    replicas: tuple[int, ...]

    @property
    def core(self) -> CoreCost:
        """The core of every layer that nobody named."""
        return self.cores[0]

    @property
    def is_mixed(self) -> bool:
        """Whether layers lie on another kind of core than the one that names the whole."""
        return any(self.on)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """A name for each kind of core, no two alike."""
        found: list[str] = []
        for core in self.cores:
            own, number = core.design.name, 2
            while own in found:
                own, number = f"{core.design.name} ({number})", number + 1
            found.append(own)
        return tuple(found)

    @property
    def cores_by_kind(self) -> dict[str, int]:
        """Cores of each kind in use, copies included, by `labels`."""
        counts = dict.fromkeys(self.labels, 0)
        for kind, count in zip(self.on, self.table["cores"], strict=True):
            counts[self.labels[kind]] += int(count)
        return {name: count for name, count in counts.items() if count}

    def core_of(self, layer: int) -> CoreCost:
        """Return the core that a layer lies on.

        Args:
            layer: which layer.
        """
        return self.cores[self.on[layer]]

    @cached_property
    def tiles(self) -> tuple[tuple[Tile, ...], ...]:
        """The kinds of cores of each layer."""
        return tuple(
            tiles_of(layer, self.core_of(index).design, packed=self.packed) for index, layer in enumerate(self.layers)
        )

    def tile_cost(self, layer: int, tile: int) -> CoreCost:
        """Return the cost of one product on the used part of a core.

        Args:
            layer: which layer.
            tile: which of its kinds of cores.
        """
        used, core = self.tiles[layer][tile], self.core_of(layer)
        design = core.design
        own = design.replace(
            name=f"{self.layers[layer].name}: {used.rows} x {used.columns}",
            matrix_rows=used.rows,
            matrix_columns=used.columns,
            # Rows keep to the arrays the core has; what does not reach an array leaves it off.
            max_rows=design.rows_per_array - design.bias_rows,
        )
        activity = self.activities.get(self.layers[layer].name, core.activity)
        if used.density < 1:
            source = f"{activity.source}; {used.density:.4g} of the cells hold weights of block-diagonal groups"
            lines = None if activity.lines is None else activity.lines.scaled(used.density)
            activity = Activity(
                activity.mean_conductance * used.density, activity.input_activity, source, activity.most, lines
            )
        return CoreCost(own, core.library, activity, core.adc, core.seed, True, spreads=self._spreads(layer))

    def _spreads(self, layer: int) -> Values:
        """Return the structural error of a layer's cores, which is that of the whole core with the layer's activity."""
        core = self.core_of(layer)
        measured = self.activities.get(self.layers[layer].name)
        if measured is not None:
            core = CoreCost(core.design, core.library, measured, core.adc, core.seed, True)
        return {name: core.arrays[name] for name in NO_SPREAD}

    def _core_values(self, *, drawn: bool) -> Values:
        """Return what layers read of their cores, arrays (layers, 1 or draws, 1)."""
        found: Values = {}
        of_kinds = [core.drawn if drawn else core.values for core in self.cores]
        for name in (*CORE_VALUES, *CORE_CONSTANTS):
            each = np.broadcast_arrays(*(values[name] for values in of_kinds))
            found[f"core.{name}" if name in CORE_VALUES else name] = np.concatenate([each[kind] for kind in self.on])
        return found

    def _tile_joules(self, *, drawn: bool) -> list[Array]:
        """Return the energy of each kind of core of each layer, (kinds, 1 or draws)."""
        found: dict[int, Array] = {}
        for kind in sorted(set(self.on)):
            members = [index for index, own in enumerate(self.on) if own == kind]
            found |= dict(zip(members, self._joules_on(kind, members, drawn=drawn), strict=True))
        return [found[index] for index in range(len(self.layers))]

    def _joules_on(self, kind: int, members: Sequence[int], *, drawn: bool) -> list[Array]:
        """Return the same for the layers on one kind of core."""
        core, tiles = self.cores[kind], [self.tiles[index] for index in members]
        costs = [self.tile_cost(index, tile) for index in members for tile in range(len(self.tiles[index]))]
        designs = [cost.design for cost in costs]
        arrays = design_arrays(designs, [cost.activity for cost in costs], [core.adc.kind] * len(costs))
        for name in NO_SPREAD:
            arrays[name] = np.concatenate([cost.arrays[name] for cost in costs])
        # With one seed, a constant that several kinds of cores share is drawn alike for all of them.
        draws = draw_constants(core.library, seed=core.seed) if drawn else None
        if draws is not None:
            varied = default_draws(designs, core.library, arrays, draws, core.aged)
            densities = np.array([tile.density for own in tiles for tile in own])
            default = np.array([self.layers[index].name not in self.activities for index in members])
            kinds = np.repeat(default, [len(own) for own in tiles])[:, None, None]
            arrays["mean_conductance"] = np.where(
                kinds, varied["mean_conductance"] * densities[:, None, None], arrays["mean_conductance"]
            )
            arrays["input_activity"] = np.where(kinds, varied["input_activity"], arrays["input_activity"])
        joules = evaluate(core.library, arrays, draws)["energy_j_per_mvm"][:, :, 0]
        ends = np.cumsum([len(own) for own in tiles])
        return np.split(joules, ends[:-1])

    def _layer_values(self, *, drawn: bool) -> Values:
        def column(entries: Sequence[float]) -> Array:
            return np.asarray(entries, dtype=np.float64).reshape(-1, 1, 1)

        joules = self._tile_joules(drawn=drawn)
        size = max(own.shape[1] for own in joules)
        given: Values = {
            "rows": column([layer.rows for layer in self.layers]),
            "columns": column([layer.columns for layer in self.layers]),
            "groups": column([layer.groups for layer in self.layers]),
            "mvms": column([layer.mvms for layer in self.layers]),
            "replicas": column(self.replicas),
            "packed": column([float(self.packed)]),
            **self._core_values(drawn=drawn),
        }
        for number, tile in enumerate(TILES):
            given[f"{tile}.count"] = column([own[number].count if number < len(own) else 0 for own in self.tiles])
            given[f"{tile}.energy_j_per_mvm"] = np.stack(
                [np.broadcast_to(own[number] if number < len(own) else 0.0, size) for own in joules]
            )[:, :, None]
        return LAYER_SET.evaluate(given)

    @cached_property
    def layer_values(self) -> Values:
        """Every quantity of every layer by name, arrays (layers, 1, 1)."""
        return self._layer_values(drawn=False)

    def _network_values(self, layers: Values) -> Values:
        size = len(self.layers)
        return TOTAL_SET.evaluate(
            {
                name: np.broadcast_to(layers[own], (size, *layers[own].shape[1:])).transpose(2, 1, 0)
                for name, own in ((name, name.removeprefix("layers.")) for name in NETWORK_FIELDS)
            }
        )

    @cached_property
    def values(self) -> Values:
        """Every total by name, arrays (1, 1, 1), and the layers' columns they are made of."""
        return self._network_values(self.layer_values)

    @cached_property
    def _drawn(self) -> Values:
        return self._network_values(self._layer_values(drawn=True))

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a layer: shape, cores (and which, where that differs), utilisation, energy, times, area."""
        size = len(self.layers)
        columns: dict[str, Any] = {
            "layer": [layer.name for layer in self.layers],
            "kind": [layer.kind for layer in self.layers],
        }
        if self.is_mixed:
            columns["core"] = [self.labels[kind] for kind in self.on]
        for name in LAYER_COLUMNS:
            columns[name] = np.broadcast_to(self.layer_values[name].ravel(), size)
        frame = pd.DataFrame(columns)
        whole = [name for name in LAYER_COLUMNS if (frame[name] % 1 == 0).all() and self._is_count(name)]
        return frame.astype(dict.fromkeys(whole, "int64"))

    @staticmethod
    def _is_count(name: str) -> bool:
        return name not in LAYER_SET.by_name or (LAYER_SET.by_name[name].unit == "" and name != "utilisation")

    def value(self, name: str) -> float:
        """Return one total.

        Args:
            name: such as ``"energy_gated_uj"``.

        Raises:
            EnergyError: an unknown name.
        """
        if name not in TOTAL_SET.by_name:
            raise EnergyError(unknown_name("total", name, TOTAL_SET.by_name))
        return float(self.values[name].ravel()[0])

    def interval_of(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """Return the interval of a total, propagated from the intervals of the components.

        Args:
            name: a total.
            level: probability that it holds.
        """
        self.value(name)
        low, high = np.quantile(self._drawn[name].ravel(), [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def draws_of(self, name: str) -> Array:
        """Return a total for each draw of the components' constants, shape (draws,).

        Totals of designs with the same library and seed go together, draw by draw.

        Args:
            name: a total.
        """
        self.value(name)
        drawn = self._drawn[name].ravel()
        return np.broadcast_to(drawn, (DRAWS,)) if drawn.size == 1 else drawn

    @property
    def totals(self) -> dict[str, float]:
        """Every total by name."""
        return {formula.name: self.value(formula.name) for formula in NETWORK_FORMULAS}


def balanced_replicas(
    cores: Sequence[int], mvms: Sequence[int], budget: int, intervals: Sequence[float] | None = None
) -> tuple[int, ...]:
    """Return copies of each layer for the fastest pipeline on so many cores.

    Args:
        cores: cores of one copy of each layer.
        mvms: products an inference makes with each layer.
        budget: cores there are, of whatever kind.
        intervals: time between products of each layer's cores [s]; None where it is the same for all.

    Returns:
        Copies of each layer, as few as the fastest possible pipeline needs.

    Raises:
        EnergyError: fewer cores than one copy of each layer takes.
    """
    if budget < sum(cores):
        raise EnergyError(f"Expected a core budget of at least {sum(cores)}, one copy of each layer, but got {budget}.")
    each = [1.0] * len(mvms) if intervals is None else [float(interval) for interval in intervals]
    # A pipeline's time is that of a layer: so many intervals of its core, no more than it makes products.
    longest = {interval: max(m for m, i in zip(mvms, each, strict=True) if i == interval) for interval in set(each)}
    ends = {interval: interval * np.arange(1, count + 1) for interval, count in longest.items()}
    times = np.unique(np.concatenate(list(ends.values())))

    def copies(time: float) -> tuple[int, ...] | None:
        steps = [int(np.searchsorted(ends[interval], time, side="right")) for interval in each]
        return None if 0 in steps else tuple(-(-count // own) for count, own in zip(mvms, steps, strict=True))

    def fits(time: float) -> bool:
        found = copies(time)
        return found is not None and sum(c * r for c, r in zip(cores, found, strict=True)) <= budget

    low, high = 0, len(times) - 1  # the shortest time that fits, found by bisection: shorter ones need more cores
    while low < high:
        middle = (low + high) // 2
        if fits(times[middle]):
            high = middle
        else:
            low = middle + 1
    found = copies(times[low])
    assert found is not None
    return found
