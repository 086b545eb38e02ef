"""Drift and 1/f noise of phase-change cells: a power law of time whose exponent differs from cell to cell.

With g the programmed current over full scale and t the time after programming:

- drift (t > t_c): I(t) = I_prog (t / t_c)^-|nu|, nu normal of mean mu(g) and spread s(g), both clipped logarithms
  ``min(max(slope ln g + intercept, low), high)``;
- 1/f noise (t > t_read): sigma = I(t) Q(g) sqrt(ln((t + t_read) / (2 t_read))) with Q(g) = min(coefficient /
  g^exponent, high): what a cell has moved by since its last verifying read, at frequencies from 1/t to 1/(2 t_read).

Joshi et al., Nature Communications 11, 2473 (2020), doi 10.1038/s41467-020-16108-9; Nandakumar et al., ICECS 2019, doi
10.1109/ICECS46596.2019.8964852.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devicekit.common.errors import DeviceError
from devicekit.common.numbers import is_real

Floats = NDArray[np.float64]
LOWEST_STATE = 1e-7
"""Share of full scale below which the laws of the state are held."""


@dataclass(frozen=True)
class ClippedLogarithm:
    """A function of the state g: min(max(slope ln g + intercept, low), high).

    Raises:
        DeviceError: a number that is not finite, or limits that are negative or in the wrong order.
    """

    slope: float
    intercept: float
    low: float
    high: float

    def __post_init__(self) -> None:
        values = (self.slope, self.intercept, self.low, self.high)
        if not all(map(is_real, values)) or not 0 <= self.low <= self.high:
            raise DeviceError(
                f"Expected finite numbers, 0 <= low <= high, in a clipped logarithm of the state, but got {values!r}."
            )

    def at(self, state: ArrayLike) -> Floats:
        """Return the value at states g, same shape."""
        g = np.clip(np.asarray(state, dtype=np.float64), LOWEST_STATE, 1.0)
        return np.clip(self.slope * np.log(g) + self.intercept, self.low, self.high)


@dataclass(frozen=True)
class DriftLaw:
    """Drift with its spread, and 1/f noise; see the module.

    Attributes:
        full_scale: programmed current that is state 1 [A].
        nu: mean drift exponent against the state.
        nu_sigma: its spread from cell to cell.
        start: t_c, time after programming from which the power law counts [s].
        t_read: length of a read [s].
        flicker_coefficient: Q at full scale.
        flicker_exponent: how Q rises towards small states.
        flicker_high: largest Q.
        measured_until: last time of the measurement [s].

    Raises:
        DeviceError: numbers that are no law.
    """

    full_scale: float
    nu: ClippedLogarithm
    nu_sigma: ClippedLogarithm
    start: float
    t_read: float
    flicker_coefficient: float
    flicker_exponent: float
    flicker_high: float
    measured_until: float
    name: ClassVar[str] = "drift"

    def __post_init__(self) -> None:
        above = {name: getattr(self, name) for name in ("full_scale", "start", "t_read", "measured_until")}
        least = {name: getattr(self, name) for name in ("flicker_coefficient", "flicker_exponent", "flicker_high")}
        for name, value in {**above, **least}.items():
            if not is_real(value) or value < 0 or (name in above and value == 0):
                raise DeviceError(
                    f"Expected `{name}` of a drift law to be finite and {'above' if name in above else 'at least'} 0, "
                    f"but got {value!r}."
                )

    def moments(self, target: ArrayLike, time: float) -> tuple[Floats, Floats]:
        """Return mean and mean square over cells of the drift's ratio (t / t_c)^-|nu|, at targets [A] and a time [s].

        For nu normal, E[exp(-L |nu|)] = e^(s^2 L^2 / 2) (e^(-mu L) Phi(mu/s - s L) + e^(mu L) Phi(-mu/s - s L)).
        """
        state = np.asarray(target, dtype=np.float64) / self.full_scale
        length = math.log(max(time, self.start) / self.start)
        mu, sigma = self.nu.at(state), self.nu_sigma.at(state)
        return _folded(mu, sigma, length), _folded(mu, sigma, 2.0 * length)

    def flicker(self, target: ArrayLike, time: float) -> Floats:
        """Return the 1/f noise since programming as a share of the cell's current, at targets [A] and a time [s]."""
        state = np.clip(np.asarray(target, dtype=np.float64) / self.full_scale, LOWEST_STATE, 1.0)
        if time <= self.t_read:
            return np.zeros(state.shape)
        q = np.minimum(self.flicker_coefficient / state**self.flicker_exponent, self.flicker_high)
        return np.asarray(q * math.sqrt(math.log((time + self.t_read) / (2.0 * self.t_read))))

    def mean(self, programmed: ArrayLike, target: ArrayLike, time: float) -> Floats:
        """Return the mean current [A] of cells with mean `programmed` [A] after programming to `target` [A]."""
        return np.asarray(np.asarray(programmed, dtype=np.float64) * self.moments(target, time)[0])

    def sigma(self, programmed: ArrayLike, spread: ArrayLike, target: ArrayLike, time: float) -> Floats:
        """Return the spread over cells [A] at a time [s]: of programming, of the exponents, and 1/f noise.

        Args:
            programmed: mean after programming [A].
            spread: spread after programming [A].
            target: programmed currents [A].
            time: [s].
        """
        mean, own = np.asarray(programmed, dtype=np.float64), np.asarray(spread, dtype=np.float64)
        first, second = self.moments(target, time)
        square = (mean**2 + own**2) * second
        drifted = np.maximum(square - (mean * first) ** 2, 0.0)
        return np.sqrt(drifted + self.flicker(target, time) ** 2 * square)

    def draw(self, generator: np.random.Generator) -> Self:
        """Return the law itself: its parameters have no standard errors."""
        return self


def _folded(mu: Floats, sigma: Floats, length: float) -> Floats:
    """Return E[exp(-length |nu|)] for nu normal."""
    from scipy.special import log_ndtr

    spread = np.maximum(sigma, 1e-300)
    half = 0.5 * (sigma * length) ** 2
    below = np.exp(half - mu * length + log_ndtr(mu / spread - sigma * length))
    above = np.exp(half + mu * length + log_ndtr(-mu / spread - sigma * length))
    return np.asarray(below + above)
