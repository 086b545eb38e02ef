"""From the unit that a column is written in to SI: currents, conductances, resistances, shares, times, temperatures."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from devicekit.common.errors import MeasurementError, UnitError
from devicekit.common.quantities import unit_factor
from devicekit.measurements.column_roles import CURRENTS
from devicekit.measurements.header_names import CELSIUS, FAHRENHEIT, TIME_WORDS

Floats = NDArray[np.float64]

_LOWER_CASE = {"a": "A", "ma": "mA", "ua": "uA", "µa": "uA", "na": "nA", "pa": "pA", "fa": "fA",
               "ms": "mS", "us": "uS", "µs": "uS", "ns": "nS", "ps": "pS"}  # fmt: skip
"""What header writers in lower case mean where only a current or a conductance can stand."""
_UPPER_CASE = {"UA": "uA", "NA": "nA", "PA": "pA", "FA": "fA", "US": "uS", "NS": "nS"}
"""Instruments that know capitals only; MA and MS could be milli or mega and are asked about."""
_QUANTUM = frozenset({"g0", "g_0", "g₀", "2e2/h", "2e^2/h", "2e²/h", "2e**2/h"})
_SHARES = {
    **dict.fromkeys(("i_max", "imax", "g_max", "gmax", "of i_max", "of imax", "of gmax", "of g_max", "share",
                     "fraction", "i/i_max", "i/imax", "g/gmax", "g/g_max", "full scale", "fs", "of full scale"), 1.0),
    **dict.fromkeys(("% of i_max", "% of imax", "% of g_max", "% of gmax", "% i_max", "% imax", "% gmax", "% g_max",
                     "%imax", "%gmax", "%i_max", "%g_max", "% of full scale", "% fs", "%fs", "% full scale",
                     "percent of i_max", "percent of gmax"), 0.01),
}  # fmt: skip
_NOT_SAID = frozenset({"%", "percent", "a.u.", "a.u", "au", "arb.units", "arb.u.", "arb", "norm", "norm.", "rel",
                       "rel.", "normalized", "normalised", "1", "lsb", "code", "codes", "dn", "counts"})  # fmt: skip
"""Units without a scale."""
KINDS = {"current": "A", "conductance": "S", "resistance": "ohm"}
"""What the numbers of a current's column may be, with the SI unit."""


@dataclass(frozen=True)
class Conversion:
    """How numbers of a column become SI.

    Attributes:
        unit: the unit they were read in, as written.
        factor: multiplier to SI (for shares: to the full scale).
        offset: added afterwards; not 0 for temperatures in degrees only.
        quantity: ``"current"``, ``"conductance"``, ``"resistance"``, ``"share"`` (of i_max), or ``"plain"``.
        base: of the logarithm that was taken of the numbers; 1 for none.
        read_voltage: [V]; for conductances and resistances.
        i_max: full scale [A]; for shares.
    """

    unit: str
    factor: float
    offset: float = 0.0
    quantity: str = "plain"
    base: float = 1.0
    read_voltage: float | None = None
    i_max: float | None = None

    def __call__(self, numbers: Floats) -> Floats:
        """Return SI values: I = G V for conductances, V / R for resistances (0 ohm gives an infinite current)."""
        if self.base != 1.0:
            with np.errstate(over="ignore"):
                numbers = np.power(self.base, numbers)
        if self.quantity == "resistance" and self.read_voltage is not None:
            with np.errstate(divide="ignore"):
                return np.asarray(self.read_voltage / (numbers * self.factor), dtype=np.float64)
        scale = self.factor
        if self.quantity == "conductance" and self.read_voltage is not None:
            scale *= self.read_voltage
        elif self.quantity == "share" and self.i_max is not None:
            scale *= self.i_max
        return np.asarray(numbers * scale + self.offset, dtype=np.float64)


def conversion(role: str, unit: str, place: str) -> Conversion:
    """Return how numbers in `unit` become the role's SI unit; ``log10 A`` is the unit of a logarithm.

    Args:
        role: a role with a unit.
        unit: as a user or a header writes it.
        place: file and column, for errors.

    Raises:
        MeasurementError: an unknown unit, or one of another kind of quantity.
    """
    logarithm = re.fullmatch(r"(log10|lg|ln)\s*[\s\(/]\s*(.+?)\)?", unit.strip(), re.IGNORECASE)
    if logarithm is not None:
        inner = conversion(role, logarithm[2], place)
        return replace(inner, unit=unit, base=math.e if logarithm[1].lower() == "ln" else 10.0)
    if role in CURRENTS:
        return _current(role, unit, place)
    plain = unit.lower().strip()
    if role == "time":
        spoken = "day" if plain == "d" else TIME_WORDS.get(plain, unit)
        try:
            return Conversion(unit, unit_factor(spoken, "s", place))
        except UnitError as error:
            raise MeasurementError(f"{place}: expected the unit of time to convert to s, but got {unit!r}.") from error
    if plain.replace(" ", "") in CELSIUS or plain in CELSIUS:
        return Conversion(unit, 1.0, 273.15)
    if plain in FAHRENHEIT:
        return Conversion(unit, 5.0 / 9.0, 273.15 - 32.0 * 5.0 / 9.0)
    try:
        return Conversion(unit, unit_factor("K" if plain in ("k", "kelvin") else unit, "K", place))
    except UnitError as error:
        raise MeasurementError(f"{place}: expected the unit of {role} to convert to K, but got {unit!r}.") from error


def _current(role: str, unit: str, place: str) -> Conversion:
    plain = " ".join(unit.lower().split())
    if plain.replace(" ", "") in _QUANTUM:
        return Conversion(unit, unit_factor("conductance_quantum", "S", place), quantity="conductance")
    if plain in _SHARES:
        return Conversion(unit, _SHARES[plain], quantity="share")
    if plain.replace(" ", "") in _NOT_SAID:
        share = "% of i_max" if plain in ("%", "percent") else "i_max"
        raise MeasurementError(
            f"{place}: {unit!r} says no scale; where it means shares of the full scale, pass"
            f" units={{{role!r}: {share!r}}} and i_max='1.6 uA' or what it is; else the unit of current."
        )
    if unit.strip() in ("MA", "MS"):
        raise MeasurementError(f"{place}: {unit!r} can be milli or mega; pass the unit of {role}, such as 'mA'.")
    spelling = _UPPER_CASE.get(unit.strip(), _LOWER_CASE.get(unit.strip(), _ohms(unit.strip())))
    for quantity, si_unit in KINDS.items():
        try:
            return Conversion(unit, unit_factor(spelling, si_unit, place), quantity=quantity)
        except UnitError:
            continue
    raise MeasurementError(
        f"{place}: expected the unit of {role} to be one of current or conductance or resistance, such as nA, uS or"
        f" kohm, but got {unit!r}."
    )


def _ohms(unit: str) -> str:
    """Return a unit of resistance as pint knows it: ``KOhm``, ``MOhms`` and ``kΩ`` become ``kohm``, ``Mohm``."""
    match = re.fullmatch(r"(?P<prefix>[kKMGTmu]?)\s*(?:[oO][hH][mM][sS]?|Ω|Ω)", unit)
    if match is None:
        return unit
    return {"K": "k"}.get(match["prefix"], match["prefix"]) + "ohm"


def is_unit(text: str) -> bool:
    """Return whether a field is the unit of a quantity, as in a second header line; not empty, no number."""
    inner = text.strip().strip("()[]{}").strip()
    if not inner or len(inner) > 24 or inner[0].isdigit():
        return False
    if " ".join(inner.lower().split()) in _NOT_SAID - {"1"}:
        return True
    for role in ("value", "time", "temperature"):
        try:
            conversion(role, inner, "")
        except MeasurementError:
            continue
        return True
    return inner in ("V", "mV", "uV", "Hz", "kHz", "MHz", "F", "pF", "fF")
