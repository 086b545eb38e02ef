"""Numbers that are plainly in another unit than the one asked for.

A warning says which unit was probably meant; where no cell could be meant, the number is refused.
"""

from __future__ import annotations

import warnings

from devicekit.common.engineering import engineering
from devicekit.common.errors import DeviceError

FAR = 100.0
"""Currents that many times a cell's full scale are not currents of that cell."""
IMPOSSIBLE = 1000.0
"""Currents that many times a cell's full scale are refused."""
LARGEST = 1e-3
"""No memory cell is read with more current [A]."""
COLD = 200.0
"""No memory is specified below this temperature [K]; 25 or 85 are degrees Celsius."""
LONG = 1e10
"""More than 300 years [s]: no retention time."""

_SMALLER = {"mA": 1e-3, "uA": 1e-6, "nA": 1e-9, "pA": 1e-12}


class UnitWarning(UserWarning):
    """A number is plainly in another unit than the one asked for."""


def warn_of_current(
    what: str, current: float, full_scale: float | None, stacklevel: int, called: str = "the full scale"
) -> None:
    """Warn when a current lies far above a full scale, and name the unit in which it would not.

    Args:
        what: subject of the sentence, such as "`target`".
        current: the largest value [A].
        full_scale: of the cell [A]; None: `current` is itself a full scale, to be at most `LARGEST`.
        stacklevel: as of `warnings.warn`, counted from the caller.
        called: what the full scale is.
    """
    limit, most = (LARGEST, LARGEST) if full_scale is None else (FAR * full_scale, 1.25 * full_scale)
    if not current > limit:
        return
    scale = "what cells are read with" if full_scale is None else f"{called} of {engineering(full_scale, 'A')}"
    meant = next((unit for unit, factor in _SMALLER.items() if current * factor <= most), None)
    hint = "" if meant is None else f"; for {current:g} {meant} give {current * _SMALLER[meant]:g}"
    warnings.warn(
        f"{what} is {engineering(current, 'A')}, far above {scale}. Currents are in A{hint}.",
        UnitWarning,
        stacklevel=stacklevel + 1,
    )


def refuse_current(what: str, current: float, full_scale: float, times: float = IMPOSSIBLE) -> None:
    """Refuse a current that no cell of that full scale can have.

    Args:
        what: subject of the sentence.
        current: the largest value [A].
        full_scale: of the cell [A].
        times: how many full scales are too many.

    Raises:
        DeviceError: it names both currents.
    """
    if not current <= times * full_scale:
        raise DeviceError(
            f"{what} is {engineering(current, 'A')}, more than {times:g} times the full scale of "
            f"{engineering(full_scale, 'A')}: one of the two is in another unit than the file says."
        )


def warn_of_temperature(what: str, temperature: float, stacklevel: int) -> None:
    """Warn when a temperature [K] looks like degrees Celsius; arguments as of `warn_of_current`."""
    if temperature < COLD:
        warnings.warn(
            f"{what} is {temperature:g} K, which is {temperature - 273.15:.0f} degC. Temperatures are in K; for"
            f" {temperature:g} degC give {temperature + 273.15:g}.",
            UnitWarning,
            stacklevel=stacklevel + 1,
        )


def warn_of_time(what: str, time: float, stacklevel: int) -> None:
    """Warn when a time [s] is longer than any retention; arguments as of `warn_of_current`."""
    if time > LONG:
        warnings.warn(
            f"{what} is {time:g} s, which is {time / 3.156e7:.0f} years. Times are in s.",
            UnitWarning,
            stacklevel=stacklevel + 1,
        )
