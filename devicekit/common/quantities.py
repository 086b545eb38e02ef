"""Units at the boundary: text such as ``1.6 uA`` becomes a plain SI float here, once, and nowhere else."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from devicekit.common.errors import UnitError


@cache
def unit_registry() -> Any:
    """Return the one pint registry (made on first use: it takes a noticeable part of a second)."""
    import pint

    registry: Any = pint.UnitRegistry()
    registry.define("fraction = [] = frac")
    registry.define("@alias ohm = Ohm")
    return registry


def parse_quantity(value: float | str, unit: str, argument: str) -> float:
    """Return a user's quantity as a float in an SI unit.

    Args:
        value: a plain number, already in `unit`, or text with a unit such as ``"1.6 uA"`` or ``"2 days"``.
        unit: the SI unit wanted, such as ``"A"``, ``"s"``, ``"Ohm"``.
        argument: what to call the quantity in an error.

    Raises:
        UnitError: the text is no quantity, the unit is unknown or of another dimension, or the value is not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise UnitError(f"Expected {argument} to be a number in {unit} or text with a unit, but got {value!r}.")
    if isinstance(value, str):
        registry = unit_registry()
        try:
            quantity = registry.Quantity(value)
            if not quantity.unitless:
                quantity = quantity.to(unit)
            magnitude = float(quantity.magnitude)
        except Exception as error:
            # pint raises half a dozen unrelated types (its own, tokenizer, type and assertion errors) on odd text.
            reason = str(error) or type(error).__name__
            raise UnitError(
                f"Expected {argument} to be a quantity in {unit}, such as '1 {unit}', but got {value!r}: {reason}."
            ) from error
    else:
        magnitude = float(value)
    if not math.isfinite(magnitude):
        raise UnitError(f"Expected {argument} to be finite, but got {value!r}.")
    return magnitude


def unit_factor(unit: str, si_unit: str, argument: str) -> float:
    """Return the factor that turns a number in `unit` into `si_unit`.

    Args:
        unit: the unit as a user or a column header writes it, such as ``"nA"`` or ``"uS"``.
        si_unit: the unit wanted.
        argument: where the unit was found, for the error.

    Raises:
        UnitError: unknown unit or another dimension.
    """
    return parse_quantity(f"1 {unit}", si_unit, f"the unit of {argument}")
