"""What one core costs: energy, area, latency, efficiency, with counts, breakdown and intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from circuits import Activity, CoreDesign
from devicekit.errors import unknown_name
from energy.core_formulas import COUNT_COLUMNS, FIELDS
from energy.core_model import (
    Values,
    check_activity,
    check_adc,
    default_activity,
    default_draws,
    design_arrays,
    evaluate,
)
from energy.errors import EnergyError
from energy.explanations import Explanation, IntervalExplanation, explain_quantity
from energy.library import BREAKDOWN, Library
from energy.library_files import load_library
from energy.uncertainty import DRAWS, draw_constants

STRUCTURES: Mapping[str, Mapping[str, float]] = {
    "ramp_per_core": {"structure.ramp_per_array": 0.0},
    "ramp_per_array": {"structure.ramp_per_array": 1.0},
    "gain_everywhere": {"structure.gain_in_offset": 1.0},
    "gain_in_differential": {"structure.gain_in_offset": 0.0},
    "register_per_array": {"structure.register_per_slice": 1.0},
    "register_shared": {"structure.register_per_slice": 0.0},
}
"""Structural alternatives by name, as the constants that choose them."""


@dataclass(frozen=True)
class CoreCost:
    """Cost of one core. Every number can be explained (`explain`).

    Attributes:
        design: the design.
        library: the component library, with the cell's current and voltage.
        activity: what the cells conduct and how often rows are driven.
        adc: kind of converter.
        seed: seed of the draws behind the intervals.
    """

    design: CoreDesign
    library: Library = field(repr=False)
    activity: Activity = field(repr=False)
    adc: str = "ramp"
    seed: int = 0
    _measured: bool = field(default=False, repr=False)

    @cached_property
    def arrays(self) -> Values:
        """What the formulas read of the design."""
        return design_arrays([self.design], [self.activity], [self.adc])

    @cached_property
    def values(self) -> Values:
        """Every quantity by name, arrays of shape (1, 1, slices or 1)."""
        return evaluate(self.library, self.arrays)

    @cached_property
    def drawn(self) -> Values:
        """Every quantity for each draw of the constants, arrays (1, draws, slices or 1)."""
        draws = draw_constants(self.library, seed=self.seed)
        arrays = self.arrays
        if not self._measured:
            arrays = default_draws([self.design], self.library, arrays, draws)
        return evaluate(self.library, arrays, draws)

    def value(self, name: str) -> float:
        """Return one quantity that is a plain number, in SI units unless its name carries a unit.

        Args:
            name: any count, constant or result, such as ``"conversions"`` or ``"ramp.run.joules"``.

        Raises:
            EnergyError: an unknown name, or a quantity that differs between slices.
        """
        if name not in self.values:
            raise EnergyError(unknown_name("quantity", name, self.values))
        array = self.values[name]
        if array.size != 1:
            raise EnergyError(f"The quantity {name!r} has one value a slice: {np.ravel(array).tolist()}.")
        return float(array.ravel()[0])

    def interval_of(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """Return the interval of a quantity, propagated from the intervals of the components.

        Args:
            name: any result.
            level: probability that it holds.
        """
        self.value(name)
        drawn = np.ravel(self.drawn[name])
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    @property
    def energy_j_per_mvm(self) -> float:
        """Energy [J] of one matrix-vector product."""
        return self.value("energy_j_per_mvm")

    @property
    def energy_fj_per_op(self) -> float:
        """Energy [fJ] of one operation; a MAC counts as two."""
        return self.value("energy_fj_per_op")

    @property
    def area_mm2(self) -> float:
        """Area [mm2] of the core."""
        return self.value("area_mm2")

    @property
    def latency_ns(self) -> float:
        """Time [ns] from the first input bit to the result, one step after another."""
        return self.value("latency_ns")

    @property
    def interval_ns(self) -> float:
        """Time [ns] between products when the next input is applied while the last is converted."""
        return self.value("interval_ns")

    @property
    def tops(self) -> float:
        """Tera-operations a second, pipelined."""
        return self.value("tops")

    @property
    def tops_per_w(self) -> float:
        """Tera-operations a joule."""
        return self.value("tops_per_w")

    @property
    def tops_per_mm2(self) -> float:
        """Tera-operations a second and mm2, pipelined."""
        return self.value("tops_per_mm2")

    @property
    def power_mw(self) -> float:
        """Power [mW] at full pipelined rate."""
        return self.value("power_mw")

    @property
    def counts(self) -> dict[str, int | float]:
        """How much of everything: arrays, cells, conversions, bit-additions."""
        values = {name: self.value(name) for name in ("operations", *COUNT_COLUMNS)}
        return {name: int(value) if value.is_integer() else value for name, value in values.items()}

    @property
    def interval(self) -> dict[str, tuple[float, float]]:
        """95 % interval of each result, by name."""
        return {formula.name: self.interval_of(formula.name) for formula in self.library.results}

    @cached_property
    def breakdown(self) -> pd.DataFrame:
        """One row a component: instances, energy [pJ], [fJ/op] and share, area [um2], [mm2] and share."""
        rows = []
        for name, component in self.library.components.items():
            row: dict[str, Any] = {"component": name, "label": component.label}
            for column in ("instances", *(entry[0] for entry in BREAKDOWN)):
                row[column] = self.value(f"{name}.{column}")
            rows.append(row)
        return pd.DataFrame(rows)

    def explain(self, name: str) -> Explanation | IntervalExplanation:
        """Return where a number came from: formula, counts, constants and their sources.

        Args:
            name: any quantity: a result or count of a table, ``COMPONENT.energy_pj`` and the like of a breakdown, a
                constant, or a result's interval end (``energy_fj_per_op_low``).

        Raises:
            EnergyError: an unknown name.
        """
        plain, level = interval_end(name)
        if level is not None and plain in self.values:
            value = self.interval_of(plain)[level > 0.5]
            return interval_explanation(name, value, level, self._explained(plain), self)
        return self._explained(name)

    def _explained(self, name: str) -> Explanation:
        library = self.library
        given = dict(FIELDS)
        given["mean_conductance"] += f": {self.activity.source}"
        given["input_activity"] += f": {self.activity.source}"
        return explain_quantity(name, library.formulas, self.values, library.constants, library.si_units, given)

    def row(self) -> dict[str, Any]:
        """Return the results as one flat row of a table, intervals as ``_low`` and ``_high``."""
        row: dict[str, Any] = {"design": self.design.name, "adc": self.adc}
        for formula in self.library.results:
            row[formula.name] = self.value(formula.name)
            row[f"{formula.name}_low"], row[f"{formula.name}_high"] = self.interval_of(formula.name)
        return row | self.counts | {"b_out": self.value("b_out")}


def interval_end(name: str) -> tuple[str, float | None]:
    """Return the quantity of which a name is an end of the interval, and which quantile; None for a plain name."""
    for ending, level in (("_low", 0.025), ("_high", 0.975)):
        if name.endswith(ending):
            return name.removesuffix(ending), level
    return name, None


def interval_explanation(
    name: str, value: float, level: float, central: Explanation, cost: CoreCost
) -> IntervalExplanation:
    """Return the explanation of one end of an interval.

    Args:
        name: the end.
        value: its value.
        level: which quantile it is.
        central: explanation of the quantity.
        cost: the core, whose library and seed made the draws.
    """
    library = cost.library
    alone = [key for key, constant in library.constants.items() if constant.interval and key not in library.draws]
    return IntervalExplanation(name, value, level, DRAWS, cost.seed, central, tuple(library.draws), tuple(alone))


def estimate_core(
    design: CoreDesign,
    activity: Activity | None = None,
    library: str | Path | Library = "sonos_40nm",
    cell: Any = None,
    *,
    adc: str = "ramp",
    structure: str | None = None,
    seed: int = 0,
) -> CoreCost:
    """Return what a core costs.

    Args:
        design: the core.
        activity: mean conductance by weight slice and input activity by input slice, measured on a network; None for
            the library's statistics, whose interval is wide.
        library: name, path or library of components.
        cell: a `devicekit.Cell` whose read current, voltage and on/off ratio replace the library's.
        adc: ``"ramp"`` (calibrated), ``"sar"`` or ``"flash"`` (survey regression).
        structure: a structural alternative, see `STRUCTURES`; None for the library's.
        seed: seed of the draws behind the intervals.

    Raises:
        EnergyError: unknown library, ADC or structure, a cell of another technology, an activity of another design.
    """
    check_adc(adc)
    loaded = load_library(library)
    if structure is not None:
        loaded = with_structure(loaded, structure)
    if cell is not None:
        loaded = loaded.with_cell(cell)
    if activity is not None:
        check_activity(design, activity)
    used = default_activity(design, loaded) if activity is None else activity
    return CoreCost(design, loaded, used, adc, seed, activity is not None)


def with_structure(library: Library, structure: str) -> Library:
    """Return the library with a structural alternative chosen.

    Raises:
        EnergyError: unknown alternative.
    """
    if structure not in STRUCTURES:
        raise EnergyError(unknown_name("structure", structure, STRUCTURES))
    return library.with_values(STRUCTURES[structure], source=f"chosen: {structure}")
