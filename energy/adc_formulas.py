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
    return _of_bits(kind, "cycles", kind.cycles, "largest_adc_bits")


def decisions(kind: type[AdcKind]) -> str:
    """Return the decisions of comparators in one conversion of each weight slice as a formula of a core.

    Args:
        kind: a kind that says how many there are.

    Raises:
        EnergyError: the kind's own formula is no arithmetic of ``bits``.
    """
    return _of_bits(kind, "decisions", kind.decisions or "1", "adc_bits")


def _of_bits(kind: type[AdcKind], what: str, text: str, bits: str) -> str:
    try:
        names = expression(text).names
    except EnergyError as error:
        raise EnergyError(f"ADC kind {kind.name!r}: `{what}`: {error}") from None
    if set(names) - {"bits"}:
        raise EnergyError(f"ADC kind {kind.name!r}: expected `{what}` as a formula of `bits`, but got {text!r}.")
    return re.sub(r"\bbits\b", bits, text)


def conversion_formulas(kinds: Sequence[str], constants: Container[str]) -> tuple[Formula, Formula]:
    """Return the formulas of the time of one conversion, and of the time from one to the next.

    They differ for kinds that begin a conversion before the last one has ended, see `AdcKind.interval`.

    Args:
        kinds: kinds of ADC, see `kinds_of`.
        constants: names of the library's constants; a time between conversions comes before cycles of a clock.
    """
    whole, apart = [], []
    for name in kinds:
        kind, own = adc_kind(name), conversion_time(name)
        count = cycles(kind)
        clock = kind.clock_constant()
        between = None if kind.interval is None else _of_bits(kind, "interval", kind.interval, "largest_adc_bits")
        if own in constants:
            every = own
            one = own if between is None else _times(f"({count}) / ({between})", own)
        else:
            one = _times(count, clock)
            every = one if between is None else _times(between, clock)
        whole.append(f"{flag(name)} * {one}")
        apart.append(f"{flag(name)} * {every}")
    return (
        Formula("conversion_s", "s", _sum(whole), "time of one conversion"),
        Formula("conversion_interval_s", "s", _sum(apart), "time from one conversion of an ADC to the next"),
    )


def _times(count: str, constant: str) -> str:
    return constant if count == "1" else f"({count}) * {constant}"


def _sum(terms: Sequence[str]) -> str:
    return f"has_adc * ({' + '.join(terms)})" if terms else "0 * has_adc"
