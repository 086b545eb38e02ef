"""ADCs in the formulas of a core: a flag a kind, and the time of one conversion from the kinds that a library knows."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence

from circuits.adc_kinds import AdcKind, adc_kind, adc_kind_names
from energy.errors import EnergyError
from energy.expressions import expression
from energy.formulas import Formula


def flag(kind: str) -> str:
    """Return the name of what is 1 for ADCs of a kind and 0 for others."""
    return f"{kind}_adc"


def flag_meaning(kind: str) -> str:
    """Return what tables of fields say of a kind's flag."""
    return f"1 for a {adc_kind(kind).label}"


def conversion_time(kind: str) -> str:
    """Return the name of the constant that is the time of one conversion, for ADCs that give their rate."""
    return f"timing.{kind}_conversion"


def kinds_of(constants: Container[str]) -> tuple[str, ...]:
    """Return the kinds of ADC that a library has a clock cycle or a time of conversion for.

    Args:
        constants: names of the library's constants.
    """
    return tuple(
        name
        for name in adc_kind_names()
        if adc_kind(name).clock_constant() in constants or conversion_time(name) in constants
    )


def cycles(kind: type[AdcKind]) -> str:
    """Return the clock cycles of one conversion as a formula of a core.

    Args:
        kind: the kind.

    Raises:
        EnergyError: the kind's own formula is no arithmetic of ``bits``.
    """
    try:
        names = expression(kind.cycles).names
    except EnergyError as error:
        raise EnergyError(f"ADC kind {kind.name!r}: `cycles`: {error}") from None
    if set(names) - {"bits"}:
        raise EnergyError(f"ADC kind {kind.name!r}: expected `cycles` as a formula of `bits`, but got {kind.cycles!r}.")
    return re.sub(r"\bbits\b", "largest_adc_bits", kind.cycles)


def conversion_formula(kinds: Sequence[str], constants: Container[str]) -> Formula:
    """Return the formula of the time of one conversion.

    Args:
        kinds: kinds of ADC, see `kinds_of`.
        constants: names of the library's constants; a time of conversion comes before cycles of a clock.
    """
    terms = []
    for name in kinds:
        kind, own = adc_kind(name), conversion_time(name)
        count = cycles(kind)
        clocked = kind.clock_constant() if count == "1" else f"({count}) * {kind.clock_constant()}"
        terms.append(f"{flag(name)} * {own if own in constants else clocked}")
    text = f"has_adc * ({' + '.join(terms)})" if terms else "0 * has_adc"
    return Formula("conversion_s", "s", text, "time of one conversion")
