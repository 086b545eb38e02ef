"""Quantities with units, such as ``1.6 uA``, as plain SI numbers; the only place where units are parsed.

A quantity is one number and one unit. The grammar is checked before pint sees the text, because pint computes whatever
arithmetic it is given: ``1,6uA`` came out as 16 uA, ``5 2 nA`` as 10 nA, and ``9**9**9**9`` never.
"""

from __future__ import annotations

import math
import re
from functools import cache
from numbers import Real
from typing import Any

from devicekit.common.errors import UnitError

LONGEST_UNIT = 60
"""Characters of the longest unit that is looked at."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+(?![,.0-9])")
_PER = re.compile(r"1\s*/")
# Names with small exponents, multiplied or divided; no numbers but a leading 1, no power of a power. A name is taken
# whole (possessive *+): in pieces, a sentence could be split in more ways than there is time for.
_EXPONENT = r"(?:\s*(?:\*\*|\^)\s*\(?[+-]?[0-9](?:\.[0-9])?\)?(?!\s*(?:\*\*|\^))|[⁻]?[²³¹])"
_UNIT = re.compile(rf"(?:1\s*/\s*)?(?:[^\W\d]\w*+(?:{_EXPONENT})?|[%°℃]|[\s*/·()]){{1,{LONGEST_UNIT}}}")


@cache
def unit_registry() -> Any:
    """Return the one pint registry (made on first use: it takes a noticeable part of a second)."""
    import pint

    registry: Any = pint.UnitRegistry()
    registry.define("fraction = [] = frac")
    registry.define("@alias ohm = Ohm")
    return registry


def parse_quantity(value: float | str, unit: str, argument: str) -> float:
    """Return a quantity as a number in an SI unit.

    Args:
        value: a plain number, already in `unit`, or text with a unit such as ``"1.6 uA"``, ``"2 days"``, ``"27 degC"``.
        unit: the SI unit wanted, such as ``"A"``, ``"s"``, ``"Ohm"``.
        argument: what to call the quantity in an error.

    Raises:
        UnitError: the text is not one number and one unit (a decimal comma, thousands separators, two numbers), the
            unit is unknown or of another dimension, or the value is not finite.
    """
    if isinstance(value, bool) or not isinstance(value, Real | str):
        raise UnitError(f"Expected {argument} to be a number in {unit} or text with a unit, but got {value!r:.100}.")
    if isinstance(value, str):
        magnitude = _parsed(value, unit, argument)
    else:
        try:
            magnitude = float(value)
        except OverflowError:
            magnitude = math.inf
    if not math.isfinite(magnitude):
        raise UnitError(f"Expected {argument} to be finite, but got {value!r:.100}.")
    return magnitude


def unit_factor(unit: str, si_unit: str, argument: str) -> float:
    """Return the conversion factor from `unit` to `si_unit`.

    Args:
        unit: the unit as a user or a column header writes it, such as ``"nA"``, ``"uS"`` or ``"1e-9 A"``.
        si_unit: the unit wanted.
        argument: where the unit was found, for the error.

    Raises:
        UnitError: unknown unit, another dimension, or a unit with another zero (degrees Celsius), which no factor
            converts.
    """
    where = f"the unit of {argument}"
    text = unit.strip()
    scale, rest = _split(text if text[:1].isdigit() and not _PER.match(text) else f"1 {text}", si_unit, where)
    found = _unit(rest, si_unit, where, unit)
    if _converted(0.0, found, si_unit, where, unit) != 0.0:
        raise UnitError(f"Expected {where} to be a multiple of {si_unit}, but {unit!r} has another zero.")
    factor = _converted(scale, found, si_unit, where, unit)
    if not 0 < factor < math.inf:
        raise UnitError(f"Expected {where} to be a finite multiple of {si_unit}, but got {unit!r:.100}.")
    return factor


def _parsed(text: str, unit: str, argument: str) -> float:
    """Return the SI value of one number followed by at most one unit."""
    magnitude, rest = _split(text.strip(), unit, argument)
    # In the SI unit itself, as device files are written, there is nothing for pint to do.
    if rest in ("", unit):
        return magnitude
    return _converted(magnitude, _unit(rest, unit, argument, text), unit, argument, text)


def _split(text: str, unit: str, argument: str) -> tuple[float, str]:
    """Return the number with which a text begins, and the rest."""
    comma = _DECIMAL_COMMA.match(text)
    if comma:
        meant = comma.group().replace(",", ".")
        raise _no_quantity(text, unit, argument, f"a comma is no decimal point here; write {meant!r} if that is meant")
    number = _NUMBER.match(text)
    if number is None:
        raise _no_quantity(text, unit, argument, "it does not begin with a number")
    rest = text[number.end() :].strip()
    if rest and rest[0] in "_,.'+-0123456789" and not _PER.match(rest):
        raise _no_quantity(text, unit, argument, "expected one number, digits alone, then a unit")
    return float(number.group()), rest


def _unit(unit: str, si_unit: str, argument: str, text: str) -> Any:
    """Return one unit in it as a pint quantity of magnitude 1, its text checked before pint reads it."""
    if len(unit) > LONGEST_UNIT or not _UNIT.fullmatch(unit.strip()):
        raise _no_quantity(text, si_unit, argument, f"{unit.strip()[:LONGEST_UNIT]!r} is not a unit")
    registry = unit_registry()
    try:
        # Areas are written as um2.
        return registry.Quantity(1.0, registry.parse_units(re.sub(r"(?<=[a-zA-Z])2$", "^2", unit.strip())))
    except Exception as error:
        # pint raises half a dozen unrelated types (its own, tokenizer, type and assertion errors) on odd text.
        raise _no_quantity(text, si_unit, argument, str(error) or type(error).__name__) from error


def _converted(magnitude: float, one: Any, si_unit: str, argument: str, text: str) -> float:
    """Return a magnitude in the SI unit wanted."""
    try:
        return float(unit_registry().Quantity(magnitude, one.units).to(si_unit or "dimensionless").magnitude)
    except Exception as error:
        raise _no_quantity(text, si_unit, argument, str(error) or type(error).__name__) from error


def _no_quantity(text: str, unit: str, argument: str, reason: str) -> UnitError:
    return UnitError(
        f"Expected {argument} to be a quantity in {unit}, such as '1 {unit}', but got {text!r:.100}: {reason[:200]}."
    )
