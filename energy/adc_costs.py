"""A component library for one ADC: its own rate, energy and area where it gives them, the library's where not."""

from __future__ import annotations

from dataclasses import replace

from circuits.adc import Adc
from devicekit.common.provenance import Constant
from devicekit.common.quantities import unit_factor
from energy.adc_formulas import conversion_time, decisions, flag
from energy.errors import EnergyError
from energy.library import Action, Component, Library


def with_adc(library: Library, adc: Adc) -> Library:
    """Return the library with what an ADC costs.

    An ADC that gives nothing is the library's of its kind; a kind that the library does not know is one ADC a column,
    whose energy and area are the survey's regression at its resolution and rate. A rate, an energy of a conversion
    and an area that the ADC gives stand in for the library's; an energy or area is that of the whole ADC, a column's
    share of a ramp or a reference included, and goes to the first of its kind's components.

    Args:
        library: components and constants.
        adc: the ADC.

    Raises:
        EnergyError: a kind without a clock cycle, in the library or of its own, for an ADC that gives no rate.
    """
    kind, own = adc.its_kind, flag(adc.kind)
    if adc.kind in library.adc_kinds and not adc.has_costs:
        return library
    constants, units = _time(library, adc)
    components = dict(library.components)
    first, *others = [name for name in kind.component_names() if name in components] or [own]
    if first not in components:
        components[first] = Component(
            label=kind.label[:1].upper() + kind.label[1:],
            instances=f"slice_chains * has_adc * {own}",
            actions={"convert": Action(f"slice_conversions * {own}", "one conversion", each="survey_energy_j")},
            area_each="survey_area_m2",
        )
        constants[f"{first}.leakage"] = Constant(
            value=0.0, unit="W", kind="assumed", source="not given: its energy of a conversion contains it"
        )
        units[f"{first}.leakage"] = "W"
    energy, area = adc.cost("energy"), adc.cost("area")
    decision = adc.cost("decision_energy")
    if energy is not None or decision is not None:
        action = Action(f"slice_conversions * {own}", f"one conversion of {adc.label}")
        if energy is None:
            count = f"slice_conversions * {own} * ({decisions(kind)})"
            action, energy = Action(count, f"one decision of {adc.label}"), decision
        components[first] = replace(components[first], actions={"convert": action})
        components |= {name: replace(components[name], actions={}) for name in others}
        assert energy is not None
        constants[f"{first}.convert.energy"], units[f"{first}.convert.energy"] = energy, "J"
    if area is not None:
        components[first] = replace(components[first], area_each=None, area_scale=None)
        components |= {name: replace(components[name], area_each="0", area_scale=None) for name in others}
        constants[f"{first}.area"], units[f"{first}.area"] = area, "m^2"
    si = {name: value.value * unit_factor(value.unit, units[name], name) for name, value in constants.items()}
    return replace(
        library,
        constants={**library.constants, **constants},
        si={**library.si, **si},
        si_units={**library.si_units, **units},
        components=components,
        recipe=f"energy.adc_costs.with_adc({library.recipe}, circuits.adc.adc_from_mapping({adc.to_mapping()!r}))",
    ).calibrated_without(constants)


def _time(library: Library, adc: Adc) -> tuple[dict[str, Constant], dict[str, str]]:
    """Return the constant of an ADC's time with its unit: of one conversion, or of a clock cycle the library lacks."""
    rate, clock = adc.cost("rate"), adc.its_kind.clock_constant()
    if rate is not None:
        factor = unit_factor(rate.unit, "1/s", "`rate`")
        ends = None if rate.interval is None else tuple(1 / (end * factor) for end in reversed(rate.interval))
        time = rate.model_copy(update={"value": 1 / (rate.value * factor), "unit": "s", "interval": ends})
        return {conversion_time(adc.kind): time}, {conversion_time(adc.kind): "s"}
    if clock in library.si:
        return {}, {}
    cycle = adc.its_kind.cycle_time
    if cycle is None:
        raise EnergyError(
            f"The component library {library.name!r} has no `{clock}`, the clock cycle of a {adc.its_kind.label}: give "
            f"the ADC a `rate`, its kind a `cycle_time`, or the library that constant."
        )
    return {clock: cycle}, {clock: "s"}
