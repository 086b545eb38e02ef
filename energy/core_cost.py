"""What one core costs: energy, area, latency, efficiency, with counts, breakdown and intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from circuits import Activity, Adc, Core, CoreDesign, as_core
from circuits.adc_kinds import DEFAULT_KIND
from circuits.core import AdcLike, CellLike, PeripheralsLike
from circuits.core_entries import cell_recipe
from circuits.peripherals.load import as_peripherals
from devicekit import Cell
from devicekit.common.errors import unknown_name
from devicekit.common.plain import plain_dict
from energy.adc_costs import with_adc
from energy.adc_formulas import flag, flag_meaning
from energy.core_formulas import COUNT_COLUMNS, FIELDS
from energy.core_model import (
    NO_SPREAD,
    Values,
    check_activity,
    default_activity,
    default_draws,
    design_arrays,
    evaluate,
)
from energy.errors import EnergyError
from energy.explanations import Draws, Explanation, Value, explain_quantity, interval_end, provenance, quantile
from energy.library import BREAKDOWN, Library
from energy.library_files import load_library
from energy.statistics import as_aged, mean_digits, mean_states_as_read
from energy.structural_error import FEATURES, distance, features, with_spreads
from energy.uncertainty import DRAWS, draw_constants

STRUCTURES: Mapping[str, Mapping[str, float]] = {
    "ramp_per_core": {"structure.ramp_per_array": 0.0},
    "ramp_per_array": {"structure.ramp_per_array": 1.0},
    "gain_everywhere": {"structure.gain_everywhere": 1.0},
    "gain_where_stretched": {"structure.gain_everywhere": 0.0},
    "register_per_array": {"structure.register_per_array": 1.0},
    "register_shared": {"structure.register_per_array": 0.0},
    "conveyor_follows_current": {"structure.conveyor_follows_current": 1.0},
    "conveyor_flat": {"structure.conveyor_follows_current": 0.0},
}
"""Structural alternatives by name, as the constants that choose them."""


@dataclass(frozen=True)
class CoreCost:
    """Energy, area, latency and counts of one core; every number can be explained (`explain`).

    Attributes:
        design: the design.
        library: the component library, with the cell's current and voltage.
        activity: what the cells conduct and how often rows are driven.
        adc: the ADC.
        seed: seed of the draws behind the intervals.
        aged: the cell where its currents are read at another time or temperature than it was programmed at; None where
            they are the library's statistics as they stand.
        spreads: structural error of the totals of the core that this is a part of; None where it is the core.
    """

    design: CoreDesign
    library: Library = field(repr=False)
    activity: Activity = field(repr=False)
    adc: Adc = field(default_factory=Adc)
    seed: int = 0
    _measured: bool = field(default=False, repr=False)
    aged: Cell | None = field(default=None, repr=False)
    spreads: Values | None = field(default=None, repr=False)

    @cached_property
    def arrays(self) -> Values:
        """What the formulas read of the design."""
        arrays = design_arrays([self.design], [self.activity], [self.adc.kind])
        return with_spreads(self.library, arrays) if self.spreads is None else {**arrays, **self.spreads}

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
            arrays = default_draws([self.design], self.library, arrays, draws, self.aged)
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
        """Number of arrays, cells, conversions, bit-additions and so on, by name."""
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

    def explain(self, name: str) -> Explanation:
        """Return where a number came from: formula, counts, constants and their sources.

        Args:
            name: any quantity: a result or count of a table, ``COMPONENT.energy_pj`` and the like of a breakdown, a
                constant, or a result's interval end (``energy_fj_per_op_low``).

        Raises:
            EnergyError: an unknown name.
        """
        plain, level = interval_end(name)
        if level is not None and plain in self.values:
            low, high = self.interval_of(plain)
            return quantile(name, self._explained(plain), high if level > 0.5 else low, level, self.draws)
        # What explanations print but no formula of the library gives, such as the mean state of cells.
        printed = None if name in self.values else self._explained("energy_j_per_mvm").part(name)
        return printed or self._explained(name)

    @property
    def draws(self) -> Draws:
        """Where the draws behind the intervals come from."""
        library = self.library
        recipe = f"energy.uncertainty.draw_constants({library.recipe}, seed={self.seed})"
        alone = [
            name for name, constant in library.constants.items() if constant.interval and name not in library.draws
        ]
        return Draws(recipe, DRAWS, tuple(library.draws), tuple(alone))

    def _explained(self, name: str) -> Explanation:
        return explain_quantity(name, self.library.formulas, self.values, self.leaf)

    def is_calibrated(self, total: str) -> bool:
        """Return whether a total was calibrated rather than predicted: the printed one of this very core.

        Args:
            total: ``"energy"`` or ``"area"``.
        """
        return self.value(f"{total}_spread") < 1e-9

    def leaf(self, name: str, value: Value) -> Explanation:
        """Return the explanation of a constant, a field of the design, or its activity.

        Args:
            name: a constant, a field of the design or of its activity.
            value: its value.
        """
        library = self.library
        if name in library.constants:
            return Explanation(name, value, library.si_units[name], provenance(library.constants[name]))
        if name == "mean_conductance" and not self._measured:
            return self._default_conductance(value)
        if name == "input_activity" and not self._measured:
            formula = "min(activity.per_bit, 1) * (input_slice_width > 0)"
            inputs = self._constant("activity.per_bit"), self._field("input_slice_width")
            return Explanation(name, value, "", f"{FIELDS[name]}: the library's statistics", formula, inputs)
        if name in NO_SPREAD:
            return Explanation(name, value, "", f"{FIELDS[name]}: {self._how_far(name.partition('_')[0])}")
        measured = f": {self.activity.source}" if name in ("mean_conductance", "input_activity") else ""
        fields = FIELDS | {flag(kind): flag_meaning(kind) for kind in library.adc_kinds}
        return Explanation(name, value, "", fields[name] + measured)

    def _how_far(self, total: str) -> str:
        """Return how the structural error of a total follows from what the library was calibrated to."""
        own = self.library.si
        scale, length = own[f"discrepancy.{total}_scale"], own["discrepancy.octaves"]
        known = self.library.anchors and self.adc.kind == DEFAULT_KIND
        far = float(distance(total, features(self.library, self.arrays), self.library.anchors).ravel()[0])
        where = f"{far:.3g} octaves" if known and math.isfinite(far) else "far"
        return (
            f"energy.structural_error.spread with s = {scale:.3g} and L = {length:.3g} octaves, {where} from the "
            f"nearest calibrated design in {', '.join(FEATURES[total])}"
        )

    def _constant(self, name: str) -> Explanation:
        return self.leaf(name, self.library.si[name])

    def _field(self, name: str) -> Explanation:
        row = np.ravel(self.values[name])
        return self.leaf(name, float(row[0]) if row.size == 1 else tuple(float(entry) for entry in row))

    def _default_conductance(self, value: Value) -> Explanation:
        """Explain the mean conductance of weights that nobody has seen."""
        design, magnitude = self.design, self._constant("activity.mean_magnitude")
        arguments = [
            f"circuits.weight_code({design.negative_weights!r})({design.weight_bits}, {design.cell_bits})",
            magnitude.name,
        ]
        if self.aged is None:
            digits, how = mean_digits(design.weight_code, self.library.si["activity.mean_magnitude"]), ""
        else:
            digits = mean_states_as_read(design.weight_code, self.library.si["activity.mean_magnitude"], self.aged)
            arguments.append(cell_recipe(self.aged))
            how = ", as it is read at the cell's age and temperature"
        states = Explanation(
            "mean_state",
            digits if len(digits) > 1 else digits[0],
            "",
            f"mean programmed state of each weight slice, 0..1, over every physical cell{how}, for weights of a "
            "two-sided exponential distribution of that mean magnitude",
            f"energy.statistics.mean_states({', '.join(arguments)})",
            (magnitude,),
        )
        g_min = self._constant("cell.off_on_ratio")
        formula = "cell.off_on_ratio + (1 - cell.off_on_ratio) * mean_state"
        meaning = f"{FIELDS['mean_conductance']}: the library's statistics"
        return Explanation("mean_conductance", value, "", meaning, formula, (g_min, states))

    def row(self) -> dict[str, Any]:
        """Return the results as one flat row of a table, intervals as ``_low`` and ``_high``."""
        adc = "none" if self.design.adc_bits is None else self.adc.label
        row: dict[str, Any] = {"design": self.design.name, "adc": adc}
        for formula in self.library.results:
            row[formula.name] = self.value(formula.name)
            row[f"{formula.name}_low"], row[f"{formula.name}_high"] = self.interval_of(formula.name)
        if self.library.borrowed:
            row["periphery_borrowed_from"] = self.library.borrowed
        for total in FEATURES:
            row[f"{total}_basis"] = "calibrated" if self.is_calibrated(total) else "predicted"
        return row | self.counts | {"b_out": self.value("b_out")}

    def to_dict(self) -> dict[str, Any]:
        """Return `row`, the source of the activity, and the breakdown with one mapping a component, as plain values."""
        return plain_dict(self.row() | {"activity": self.activity.source, "breakdown": self.breakdown})


def estimate_core(
    design: Core | CoreDesign | str,
    activity: Activity | None = None,
    library: str | Path | Library = "sonos_40nm",
    cell: CellLike | None = None,
    *,
    adc: AdcLike | None = None,
    peripherals: PeripheralsLike | None = None,
    structure: str | None = None,
    seed: int = 0,
) -> CoreCost:
    """Return energy, area and latency of a core, with counts, breakdown and intervals.

    Args:
        design: the core: as built, a design, or a name (``"A"``, ``"FILE:NAME"``).
        activity: mean conductance by weight slice and input activity by input slice, measured on a network; None for
            the library's statistics, whose interval is wide. An activity that is given is taken as it is; the
            statistics are of the cell at its age and temperature.
        library: name, path or library of components.
        cell: the memory cell, or its name, whose read current, voltage and on/off ratio replace the library's; None
            for the core's own. Where it was moved in time or temperature, so are the currents of its states.
        adc: the ADC, its file, or its kind: ``"ramp"`` (calibrated), ``"sar"`` or ``"flash"`` (survey regression) or a
            registered one; None for the core's own, a ramp where it has none.
        peripherals: simulated ones, or their name, whose energies replace the library's (`Library.with_peripherals`);
            of a name, the variant for the design's use. None: the library's.
        structure: a structural alternative, see `STRUCTURES`; None for the library's.
        seed: seed of the draws behind the intervals.

    Raises:
        DesignError: no core, design or name; an unknown or impossible ADC; a cell or ADC beside one of the core's own.
        PeripheralError: unknown or malformed peripherals.
        EnergyError: unknown library or structure, a cell of another technology, an activity of another design,
            peripherals without simulated energies.
    """
    core = as_core(design, cell=cell, adc=adc)
    loaded = load_library(library)
    if peripherals is not None:
        loaded = loaded.with_peripherals(as_peripherals(peripherals, core.design))
    if structure is not None:
        loaded = with_structure(loaded, structure)
    if core.cell is not None:
        loaded = loaded.with_cell(core.cell)
    used_adc = core.adc_in_use
    loaded = with_adc(loaded, used_adc)
    if activity is not None:
        check_activity(core.design, activity)
    aged = as_aged(core.cell)
    used = default_activity(core.design, loaded, aged) if activity is None else activity
    return CoreCost(core.design, loaded, used, used_adc, seed, activity is not None, aged)


def with_structure(library: Library, structure: str) -> Library:
    """Return the library with a structural alternative chosen.

    Raises:
        EnergyError: unknown alternative.
    """
    if structure not in STRUCTURES:
        raise EnergyError(unknown_name("structure", structure, STRUCTURES))
    return library.with_values(STRUCTURES[structure], source=f"chosen: {structure}")
