"""Component libraries: data files in which every number has a value, unit, kind, source and interval."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import ValidationError

from circuits import PeripheralModel
from circuits.peripherals.load import Peripherals
from devicekit.common.errors import unknown_name
from devicekit.common.provenance import Constant
from devicekit.common.quantities import unit_factor
from devicekit.common.validation import problem_of
from energy.adc_formulas import conversion_formulas, flag, kinds_of
from energy.core_formulas import COUNTS, FEATURES, FIELDS, RESULTS, SURVEY, TIMES, WRITING
from energy.errors import EnergyError
from energy.expressions import Array
from energy.formulas import Formula, Formulas

GROUPS = {"cell": None, "timing": "s", "activity": "", "structure": "", "digital": "J", "survey": "", "discrepancy": ""}
"""Tables of constants outside components, with the SI unit of their entries (None: each has its own)."""

BORROW = "borrow:"
"""What stands before a library's name where cells of another technology borrow its periphery."""

OF_THE_CELL = ("cell.i_max", "cell.read_voltage", "cell.off_on_ratio")
"""What no other technology lends."""

OF_NO_TECHNOLOGY = ("survey", "discrepancy", "process")
"""Groups of constants that hold whatever the cell is."""

CELL_UNITS = {
    "i_max": "A",
    "read_voltage": "V",
    "off_on_ratio": "",
    "write_pulse_energy": "J",
    "write_pulse_time": "s",
    "write_pulses": "",
    "cells_written_at_once": "",
}


BREAKDOWN = (
    ("energy_pj", "pJ", "COMPONENT.joules * 1e12", "energy of one MVM"),
    ("energy_fj_per_op", "fJ/op", "COMPONENT.joules / operations * 1e15", "energy of one operation"),
    ("energy_share", "", "COMPONENT.joules / energy_j_per_mvm", "share of the energy"),
    ("area_um2", "um2", "COMPONENT.square_metres * 1e12", "area"),
    ("area_mm2", "mm2", "COMPONENT.square_metres * 1e6", "area"),
    ("area_share", "", "COMPONENT.square_metres / area_m2", "share of the area"),
)
"""Columns of a breakdown with unit and formula, in which COMPONENT stands for the component's name."""


@dataclass(frozen=True)
class Action:
    """Something a component does, and what it costs each time.

    Attributes:
        count: formula of how often an MVM makes it do so.
        label: one line for the reader.
        each: formula of the energy [J] of one, where it follows from other constants; else a constant of the
            library named ``COMPONENT.ACTION.energy`` gives it.
        scale: formula that multiplies the energy.
    """

    count: str
    label: str
    each: str | None = None
    scale: str | None = None


@dataclass(frozen=True)
class Component:
    """One kind of circuit in a core.

    Attributes:
        label: what tables call it.
        instances: formula of how many a core has.
        actions: what it does, by name.
        area_each: formula of one instance's area [m2] where it is no constant.
        area_scale: formula that multiplies the area.
    """

    label: str
    instances: str
    actions: Mapping[str, Action]
    area_each: str | None = None
    area_scale: str | None = None


@dataclass(frozen=True)
class Library:
    """Components and constants of one technology.

    Attributes:
        name: name of the library.
        technology: the cell technology it is for.
        description: one line.
        constants: every number with its provenance, by dotted name, in its own unit.
        si: the same numbers in SI units.
        si_units: SI unit of each.
        components: by name.
        draws: draws of constants [SI] from their joint distribution, each of shape (draws,); a constant that is
            not in it is drawn from its own interval.
        borrowed: name of the library of another technology whose periphery this one uses; empty where it is its own.
        lends: whether cells of any technology may borrow its periphery, see `borrowed_for`.
        anchors: features of the designs that its fitted constants were calibrated to, see `energy.structural_error`;
            none where a fitted constant was replaced since.
        recipe: Python that makes this library, printed wherever its draws are explained.
    """

    name: str
    technology: str
    description: str
    constants: Mapping[str, Constant]
    si: Mapping[str, float]
    si_units: Mapping[str, str]
    components: Mapping[str, Component]
    draws: Mapping[str, Array] = field(default_factory=dict, repr=False)
    borrowed: str = ""
    lends: bool = False
    anchors: Mapping[str, Array] = field(default_factory=dict, repr=False)
    recipe: str = field(default="library", repr=False)

    def in_si(self, name: str) -> float:
        """Return a constant in SI units.

        Raises:
            EnergyError: the library lacks it.
        """
        if name not in self.si:
            raise EnergyError(
                f"The component library {self.name!r} has no `{name}`, which every core needs: give it a value."
            )
        return self.si[name]

    @cached_property
    def formulas(self) -> Formulas:
        """Every quantity of a core as formulas of its design and of these constants."""
        times = conversion_formulas(self.adc_kinds, self.si)
        core = (*COUNTS, *FEATURES, *component_formulas(self.components), *times, *TIMES, *SURVEY, *self.results)
        return Formulas(core, (*FIELDS, *map(flag, self.adc_kinds), *self.si))

    @cached_property
    def adc_kinds(self) -> tuple[str, ...]:
        """Kinds of ADC whose time and cost the library knows."""
        return kinds_of(self.si)

    @property
    def results(self) -> tuple[Formula, ...]:
        """What tables show; the cost of writing where the library gives its constants."""
        writes = all(name in self.si for formula in WRITING for name in formula.expression.names if "." in name)
        return (*RESULTS, *WRITING) if writes else RESULTS

    def si_interval(self, name: str) -> tuple[float, float] | None:
        """Return the 95 % interval of a constant [SI], None where it has none."""
        constant = self.constants[name]
        if constant.interval is None:
            return None
        factor = self.si[name] / constant.value if constant.value else 1.0
        return constant.interval[0] * factor, constant.interval[1] * factor

    def with_values(self, values: Mapping[str, float], *, source: str, kind: str = "assumed") -> Library:
        """Return the library with some constants replaced by exact SI values.

        Args:
            values: SI values by name.
            source: where they come from.
            kind: their kind.

        Raises:
            EnergyError: an unknown name or a negative or infinite value.
        """
        constants = {}
        for name, value in values.items():
            if name not in self.constants:
                raise EnergyError(unknown_name("constant", name, self.constants))
            own = {"value": value, "unit": self.si_units[name], "kind": kind, "source": source}
            constants[name] = checked_constant(own, name, "values")
        exact = {name: float(value) for name, value in values.items()}
        recipe = f"{self.recipe}.with_values({exact!r}, source={source!r}, kind={kind!r})"
        return self._replaced(constants, exact, recipe)

    def with_constants(self, constants: Mapping[str, Constant]) -> Library:
        """Return the library with some constants replaced, provenance and interval included.

        Args:
            constants: by name, in units of the same dimension as the library's.

        Raises:
            EnergyError: an unknown name or a negative value.
            UnitError: a unit of another dimension.
        """
        si = {}
        for name, constant in constants.items():
            if name not in self.constants:
                raise EnergyError(unknown_name("constant", name, self.constants))
            checked_constant(constant.model_dump(), name, "constants")
            si[name] = constant.value * si_factor(constant.unit, self.si_units[name], name)
        shown = ", ".join(f"{name!r}: devicekit.{constant!r}" for name, constant in constants.items())
        return self._replaced(constants, si, f"{self.recipe}.with_constants({{{shown}}})")

    def _replaced(self, constants: Mapping[str, Constant], si: Mapping[str, float], recipe: str) -> Library:
        """Return the library with other constants, no longer drawn together with the rest."""
        return replace(
            self,
            constants={**self.constants, **constants},
            si={**self.si, **si},
            recipe=recipe,
        ).calibrated_without(constants)

    def calibrated_without(self, replaced: Collection[str]) -> Library:
        """Return the library without the joint draws of replaced constants, and no longer as calibrated.

        Args:
            replaced: names of the constants.
        """
        kept = {name: draw for name, draw in self.draws.items() if name not in replaced}
        as_calibrated = len(kept) == len(self.draws) and not any(name.startswith("structure.") for name in replaced)
        return replace(self, draws=kept, anchors=self.anchors if as_calibrated else {})

    def with_fitted(
        self,
        values: Mapping[str, float],
        intervals: Mapping[str, tuple[float, float]],
        draws: Mapping[str, Array],
        *,
        source: str,
        recipe: str,
    ) -> Library:
        """Return the library with fitted SI values, their 95 % intervals and their joint draws.

        Args:
            values: by name.
            intervals: by name.
            draws: by name, each (draws,), drawn together.
            source: what they were fitted to.
            recipe: Python that makes the result.
        """
        constants, si = dict(self.constants), dict(self.si)
        for name, value in values.items():
            old = constants[name]
            factor = self.si[name] / old.value
            low, high = (end / factor for end in intervals[name])
            constants[name] = Constant(
                value=value / factor, unit=old.unit, kind="fitted", source=source, interval=(low, high)
            )
            si[name] = value
        return replace(self, constants=constants, si=si, draws=dict(draws), recipe=recipe)

    def with_peripherals(self, peripherals: Peripherals) -> Library:
        """Return the library with the energies of simulated peripherals (kind ``simulated``) instead of fitted ones.

        The simulated comparator replaces ``comparator.convert.energy``, brought to the 8 bits that constant is for,
        and the integrator's simulated amplifier, over the input bits it was simulated for, ``integrator.integrate.
        energy``. Where a circuit was sized for a design, which says the conveyor's bias, its conveyor is part of that,
        and the library's law of what a conveyor takes (``integrator.supply_currents``) goes; elsewhere the law stays.
        A simulated ramp generator does not replace ``ramp.run.energy``, which also holds the counter and the wires to
        all comparators; it must only not exceed it.

        Args:
            peripherals: `circuits.characterize(...).model`, or `circuits.load_peripherals`; a sized circuit counts at
                the middle of its ranges.

        Raises:
            EnergyError: the model has no simulated energies, the library none of the constants they replace, or the
                simulated ramp generator alone takes more than the library's ramp and counter.
        """
        model = peripherals if isinstance(peripherals, PeripheralModel) else peripherals.nominal
        steps = 2.0**model.adc_bits / 256
        replaced = {}
        for name, block, times in (
            ("comparator.convert.energy", "comparator", steps),
            ("integrator.integrate.energy", "integrator_amplifier", model.input_bits),
        ):
            if name in self.constants and block in model.energy:
                total = model.energy[block]
                if block == "integrator_amplifier" and "conveyor" in model.energy:
                    source = f"amplifier, and conveyor computed (bias and line current from the supply): {total.source}"
                    both = total.value + model.energy["conveyor"].value
                    total = total.model_copy(update={"value": both, "source": source, "interval": None})
                    if "integrator.supply_currents" in self.constants:
                        contained = "contained in the simulated conveyor of integrator.integrate.energy"
                        replaced["integrator.supply_currents"] = Constant(
                            value=0.0, unit="", kind="simulated", source=contained
                        )
                replaced[name] = _each(total, times)
        if not replaced:
            raise EnergyError(
                f"Expected simulated energies of a comparator or an integrator in the peripherals {model.name!r}, and "
                f"constants in the library {self.name!r} that they replace; the peripherals have "
                f"{', '.join(model.energy) or 'no energies'}."
            )
        ramp = model.energy.get("ramp_generator")
        if ramp is not None and "ramp.run.energy" in self.si and ramp.value / steps > self.si["ramp.run.energy"]:
            raise EnergyError(
                f"The simulated ramp generator of {model.name!r} takes {ramp.value:.3g} J a ramp, more than the "
                f"library's ramp and counter together, {self.si['ramp.run.energy'] * steps:.3g} J."
            )
        return self.with_constants(replaced)

    def borrowed_for(self, technology: str) -> Library:
        """Return the library as cells of another technology borrow it: every constant that is taken over says so.

        Such a library is calibrated to nothing, and what a write costs is left out: the cell itself is never borrowed,
        and its read current, voltage and on/off ratio have to be replaced by the cell's own.

        Args:
            technology: of the cells that borrow.
        """
        constants = {
            name: constant if name.partition(".")[0] in OF_NO_TECHNOLOGY else self._lent(constant)
            for name, constant in self.constants.items()
            if not name.startswith("cell.") or name in OF_THE_CELL
        }
        return replace(
            self,
            technology=technology,
            constants=constants,
            si={name: value for name, value in self.si.items() if name in constants},
            si_units={name: unit for name, unit in self.si_units.items() if name in constants},
            draws={name: draw for name, draw in self.draws.items() if name in constants},
            borrowed=self.borrowed or self.name,
            lends=False,
            anchors={},
            recipe=f"{self.recipe}.borrowed_for({technology!r})",
        )

    def _lent(self, constant: Constant) -> Constant:
        source = f"borrowed from {self.name}, for cells of {self.technology}: {constant.source}"
        return constant.model_copy(update={"kind": "assumed", "source": source})

    def with_cell(self, cell: Any) -> Library:
        """Return the library with the read current and voltage of a cell.

        Where the library lends its periphery, a cell of another technology borrows it, see `borrowed_for`.

        Args:
            cell: the cell, of which ``technology``, ``i_max``, ``read_voltage`` and ``on_off_ratio`` are read.

        Raises:
            EnergyError: the cell is of another technology than the library, which does not lend.
        """
        if cell.technology != self.technology and self.lends:
            return self.borrowed_for(cell.technology).with_values(
                _of_cell(cell), source=f"the cell {cell.name}", kind="measured"
            )
        if cell.technology != self.technology:
            own = f"of technology {cell.technology!r}" if cell.technology else "of no named technology"
            raise EnergyError(
                f"The cell {cell.name!r} is {own}, but the component library {self.name!r} "
                f"is for {self.technology!r}: energy of one technology must not stand beside accuracy of another. "
                "Give a library of the cell's technology, name the cell's technology if it is this one, or borrow the "
                f"periphery, marked as borrowed wherever it counts: `library` = {BORROW + self.name!r}."
            )
        values = _of_cell(cell)
        changed = {name: value for name, value in values.items() if not np.isclose(value, self.si[name], rtol=1e-12)}
        return self.with_values(changed, source=f"the cell {cell.name}", kind="measured") if changed else self


def _of_cell(cell: Any) -> dict[str, float]:
    """Return the library's constants of a cell, from the cell [SI]."""
    return {
        "cell.i_max": float(cell.i_max),
        "cell.read_voltage": float(cell.read_voltage),
        "cell.off_on_ratio": 1 / float(cell.on_off_ratio),
    }


def _each(total: Constant, times: float) -> Constant:
    """Return an energy [pJ] of one of so many actions, of which `total` [J] is the sum."""
    factor = 1e12 / times
    interval = None if total.interval is None else (total.interval[0] * factor, total.interval[1] * factor)
    source = total.source if times == 1 else f"1/{times:g} of: {total.source}"
    return total.model_copy(
        update={"value": total.value * factor, "unit": "pJ", "source": source, "interval": interval}
    )


def si_factor(unit: str, si_unit: str, name: str) -> float:
    """Return what a number in `unit` is multiplied with to be in `si_unit`.

    Args:
        unit: the given unit.
        si_unit: the SI unit; ``""`` for a plain number.
        name: what to call the quantity in an error.

    Raises:
        UnitError: an unknown unit or one of another dimension.
    """
    return unit_factor(unit, si_unit, name) if si_unit else 1.0


def checked_constant(values: Mapping[str, Any], name: str, where: object) -> Constant:
    """Return a constant with its provenance.

    Args:
        values: value, unit, kind, source and perhaps interval.
        name: what to call it in an error.
        where: file or other origin, for the error.

    Raises:
        EnergyError: something is missing, impossible or negative.
    """
    try:
        constant = Constant(**values)
    except (ValidationError, TypeError) as error:
        key, why, _ = problem_of(error) if isinstance(error, ValidationError) else ("", str(error), None)
        raise EnergyError(f"{where}: `{name}{key and '.' + key}`: {why}, but got {dict(values)!r}.") from None
    low = constant.value if constant.interval is None else min(constant.value, constant.interval[0])
    if low < 0 and not name.startswith("survey."):
        raise EnergyError(f"{where}: expected `{name}` to be at least 0, but got {low:g} {constant.unit}.")
    return constant


def component_formulas(components: Mapping[str, Component]) -> list[Formula]:
    """Return the formulas of count, energy, area and leakage of each component, and of their sums."""
    formulas = []
    for name, component in components.items():
        label = component.label
        formulas.append(Formula(f"{name}.instances", "", f"total({component.instances})", f"{label}: instances"))
        for action, what in component.actions.items():
            own = f"{name}.{action}"
            meaning = f"{label}: {what.label}"
            formulas.append(Formula(f"{own}.count", "", f"total({what.count})", meaning + ", count"))
            joules = _product(f"{own}.count", what.count, f"{own}.energy", what.each, what.scale)
            formulas.append(Formula(f"{own}.joules", "J", joules, meaning + ", energy"))
        energies = " + ".join(f"{name}.{action}.joules" for action in component.actions) or "0 * operations"
        formulas.append(Formula(f"{name}.joules", "J", energies, f"{label}: energy of one MVM"))
        area = _product(
            f"{name}.instances", component.instances, f"{name}.area", component.area_each, component.area_scale
        )
        formulas.append(Formula(f"{name}.square_metres", "m^2", area, f"{label}: area"))
        formulas.append(Formula(f"{name}.watts", "W", f"{name}.instances * {name}.leakage", f"{label}: idle power"))
        for column, unit, text, meaning in BREAKDOWN:
            own_text = text.replace("COMPONENT", name)
            formulas.append(Formula(f"{name}.{column}", unit, own_text, f"{label}: {meaning}"))
    for result, part, unit, meaning, error in (
        ("energy_j_per_mvm", "joules", "J", "energy of one MVM", "discrepancy.energy ** energy_spread"),
        ("area_m2", "square_metres", "m^2", "area of the core", "discrepancy.area ** area_spread"),
        ("leakage_w", "watts", "W", "power while idle", ""),
    ):
        parts = " + ".join(f"{name}.{part}" for name in components)
        formulas.append(Formula(result, unit, f"({parts}) * {error}" if error else parts, meaning))
    return formulas


def _product(count: str, count_text: str, constant: str, each: str | None, scale: str | None) -> str:
    """Return ``count * constant``; a price that may differ between slices multiplies before the slices are summed."""
    product = f"{count} * {constant}" if each is None else f"total(({count_text}) * ({each}))"
    return f"{product} * ({scale})" if scale else product
