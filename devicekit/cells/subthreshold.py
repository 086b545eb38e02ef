"""Subthreshold physics of a charge-trap cell: threshold-voltage spread from current spread, current by temperature.

I_D = I_0 exp(-eta q V_T / kT), so dI = -(q eta / kT) dV_T I (V_G = 0). I_0 is where the law would put a cell with
V_T = 0; eta = 1 / n is the gate's coupling to the channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devicekit.common.errors import DeviceError
from devicekit.common.numbers import is_temperature
from devicekit.common.unit_checks import warn_of_temperature

ELEMENTARY_CHARGE = 1.602176634e-19
"""q [C], exact in the SI."""
BOLTZMANN = 1.380649e-23
"""k [J/K], exact in the SI."""
ROOM_TEMPERATURE = 300.0
"""Temperature assumed where none is stated [K]."""

Currents = NDArray[np.float64]


def thermal_voltage(temperature: float) -> float:
    """Return kT/q [V] at `temperature` [K]."""
    return BOLTZMANN * temperature / ELEMENTARY_CHARGE


def threshold_spread(
    current: ArrayLike, sigma: ArrayLike, eta: float = 1.0, temperature: float = ROOM_TEMPERATURE
) -> NDArray[np.float64]:
    """Return the threshold-voltage spread [V] behind a current spread, sigma_VT = (kT / q eta) sigma_I / I.

    Valid in subthreshold and for sigma_I well below I (first order). What the write process must reach: with
    eta = 1, 1 % of current is 0.26 mV at room temperature.

    Args:
        current: mean current of a state [A], above 0.
        sigma: spread of its current [A], same shape.
        eta: gate coupling, 0 to 1.
        temperature: temperature of the read [K].

    Raises:
        DeviceError: a current that is not above 0, eta outside 0..1, or a temperature that is not above 0.
    """
    currents = np.asarray(current, dtype=np.float64)
    if not np.all(currents > 0):
        raise DeviceError("Expected `current` to be above 0 everywhere: a threshold spread is relative to it.")
    _check_subthreshold(eta, temperature)
    warn_of_temperature("`temperature`", temperature, stacklevel=2)
    return thermal_voltage(temperature) / eta * np.asarray(sigma, dtype=np.float64) / currents


def _check_subthreshold(eta: float, temperature: float) -> None:
    if not 0 < eta <= 1:
        raise DeviceError(f"Expected `eta` to be above 0 and at most 1, but got {eta!r}.")
    if not is_temperature(temperature):
        raise DeviceError(f"Expected `temperature` to be a finite number of kelvins above 0, but got {temperature!r}.")


@dataclass(frozen=True)
class SubthresholdTemperature:
    """Subthreshold law of read current, d ln I / dT = ln(I_0 / I) / T - (eta q / kT) dV_T/dT + m / T.

    Integrated from the reference T_r with dV_T/dT = slope and I_0(T) = i_0 (T / T_r)^m:
    ln(I(T) / I_0(T)) = (T_r / T) ln(I(T_r) / i_0) - eta q slope (T - T_r) / (k T). Low states move more.

    Valid in weak inversion, for currents well below I_0 (a tenth of it is near its end), down to where leakage takes
    over: there is none in it. In silicon I_0 goes with mobility times (kT/q)^2, about T^-1.5 T^2: m = 0.5 would add
    0.17 % a kelvin at 300 K to all states alike.

    Attributes:
        i_0: current the law puts at V_T = 0 and the reference [A].
        eta: gate coupling, 0 to 1.
        threshold_slope: dV_T/dT [V/K], negative in silicon.
        reference: temperature the cell was measured at [K].
        i_0_exponent: m, of the temperature in I_0; 0 holds I_0 constant.
    """

    i_0: float
    eta: float = 1.0
    threshold_slope: float = 0.0
    reference: float = ROOM_TEMPERATURE
    i_0_exponent: float = 0.0

    def __post_init__(self) -> None:
        _check_subthreshold(self.eta, self.reference)
        warn_of_temperature("SubthresholdTemperature: `reference`", self.reference, stacklevel=3)
        if not 0 < self.i_0 < np.inf:
            raise DeviceError(f"Expected `i_0` to be a finite current above 0, but got {self.i_0!r}.")
        for name in ("threshold_slope", "i_0_exponent"):
            if not np.isfinite(getattr(self, name)):
                raise DeviceError(f"Expected `{name}` to be finite, but got {getattr(self, name)!r}.")

    def current(self, current: ArrayLike, temperature: float) -> Currents:
        """Return the current [A] at `temperature` [K] of cells that read `current` [A] at the reference."""
        _check_subthreshold(self.eta, temperature)
        currents = np.asarray(current, dtype=np.float64)
        ratio = np.maximum(currents, 0.0) / self.i_0
        shift = self.eta * self.threshold_slope * (temperature - self.reference) / thermal_voltage(temperature)
        # A mean below zero (an offset of the measurement) has no threshold: it is left where it is.
        moved = self.i_0_at(temperature) * ratio ** (self.reference / temperature) * np.exp(-shift)
        return np.where(currents > 0, moved, currents)

    def i_0_at(self, temperature: float) -> float:
        """Return I_0 [A] at `temperature` [K]."""
        return float(self.i_0 * (temperature / self.reference) ** self.i_0_exponent)

    def slope(self, current: ArrayLike, temperature: float) -> NDArray[np.float64]:
        """Return dI(T) / dI(T_r) = (T_r / T) I(T) / I(T_r), the factor of a small spread; same shape as `current`."""
        currents = np.asarray(current, dtype=np.float64)
        positive = np.where(currents > 0, currents, 1.0)
        slope = (self.reference / temperature) * self.current(positive, temperature) / positive
        return np.where(currents > 0, slope, 1.0)


@dataclass(frozen=True, eq=False)
class MeasuredTemperature:
    """Measured law of read current against temperature: ratios I(T) / I(T_r) by current and temperature.

    Straight lines between temperatures; between currents straight lines, end ratios held outside.

    Attributes:
        temperatures: rising [K], shape (temperatures,).
        currents: reference currents, rising [A], shape (states,).
        ratios: I(T) / I(T_r), shape (temperatures, states).
        reference: T_r [K].
    """

    temperatures: tuple[float, ...]
    currents: tuple[float, ...]
    ratios: tuple[tuple[float, ...], ...]
    reference: float

    def __post_init__(self) -> None:
        rising = all(np.all(np.diff(values) > 0) for values in (self.temperatures, self.currents))
        shaped = np.shape(self.ratios) == (len(self.temperatures), len(self.currents)) and np.all(
            np.asarray(self.ratios) > 0
        )
        if not (self.temperatures and self.currents and rising and shaped):
            raise DeviceError(
                "Expected a temperature table to have rising `temperatures`, rising `currents` and one ratio above 0"
                f" for each pair, but got shapes {np.shape(self.temperatures)}, {np.shape(self.currents)} and"
                f" {np.shape(self.ratios)}."
            )
        warn_of_temperature("MeasuredTemperature: the lowest of `temperatures`", self.temperatures[0], stacklevel=3)

    def current(self, current: ArrayLike, temperature: float) -> Currents:
        """Return the current [A] at `temperature` [K] of cells that read `current` [A] at the reference.

        Raises:
            DeviceError: a temperature outside the measured ones.
        """
        low, high = self.temperatures[0], self.temperatures[-1]
        if not low <= temperature <= high:
            raise DeviceError(
                f"Expected `temperature` within the measured {low:g} to {high:g} K, but got {temperature!r}."
            )
        ratios = np.array([np.interp(temperature, self.temperatures, column) for column in np.array(self.ratios).T])
        currents = np.asarray(current, dtype=np.float64)
        return np.asarray(currents * np.interp(currents, self.currents, ratios), dtype=np.float64)

    def slope(self, current: ArrayLike, temperature: float) -> NDArray[np.float64]:
        """Return dI(T) / dI(T_r), the factor of a small spread, by a central difference of 0.1 %."""
        currents = np.asarray(current, dtype=np.float64)
        step = 1e-3 * np.maximum(np.abs(currents), 1e-6 * self.currents[-1])
        rise = self.current(currents + step, temperature) - self.current(currents - step, temperature)
        return np.asarray(rise / (2 * step), dtype=np.float64)


TemperatureLaw = SubthresholdTemperature | MeasuredTemperature
