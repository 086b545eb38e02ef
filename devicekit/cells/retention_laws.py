"""Laws of retention: how mean and spread of a state go on with the logarithm of time, beyond what was measured.

With x(t) = ln(t / t_s) where the first measurement was taken at t_s > 0, else x(t) = ln(1 + t / t_0), the ratio of a
state's mean to that at the start is

- power law: exp(-nu x), the drift of phase-change and resistive cells, I ~ t^-nu (Ielmini et al., IEEE Trans. Electron
  Devices 54 (2007) 308, doi 10.1109/TED.2006.888752);
- log-time: 1 - r x, charge loss from traps, dI ~ -ln t (as in SONOS and floating gates).

The spread of all states grows by one ratio of the same form, exp(b x) or 1 + b x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devicekit.common.errors import DeviceError, unknown_name

Floats = NDArray[np.float64]
LawName = Literal["power", "log_time"]
LAW_NAMES: tuple[LawName, ...] = get_args(LawName)


def log_clock(time: ArrayLike, start: float, t_0: float) -> Floats:
    """Return x(t): ln(t / start) for a start above 0, else ln(1 + t / t_0); times in s."""
    times = np.asarray(time, dtype=np.float64)
    return np.log(times / start) if start > 0 else np.log1p(times / t_0)


def ratio_of(name: LawName, rate: ArrayLike, clock: ArrayLike) -> Floats:
    """Return the ratio to the start, exp(rate x) or max(0, 1 + rate x).

    Args:
        name: the law.
        rate: -nu, -r or b.
        clock: x(t), broadcast against `rate`.
    """
    exponent = np.asarray(rate, dtype=np.float64) * np.asarray(clock, dtype=np.float64)
    return np.exp(exponent) if name == "power" else np.maximum(1.0 + exponent, 0.0)


@dataclass(frozen=True)
class RetentionLaw:
    """A law of retention with a rate for each state.

    Attributes:
        name: one of `LAW_NAMES`.
        targets: programmed currents that rates were measured at, rising [A].
        rates: change of each state's mean, in shares of itself for each factor e of time: -nu or -r.
        sigma_rate: b, change of the spread, the same for all states.
        start: time of the first measurement [s].
        t_0: where the logarithm begins, for a start of 0 [s].
        stderr: standard error of each rate; None: not known.
        sigma_stderr: standard error of `sigma_rate`.

    Raises:
        DeviceError: an unknown name, or numbers that are no law.
    """

    name: LawName
    targets: tuple[float, ...]
    rates: tuple[float, ...]
    sigma_rate: float = 0.0
    start: float = 0.0
    t_0: float = 1.0
    stderr: tuple[float, ...] | None = None
    sigma_stderr: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in LAW_NAMES:
            raise DeviceError(unknown_name("retention law", str(self.name), LAW_NAMES))
        numbers: list[Sequence[float]] = [self.targets, self.rates, *([] if self.stderr is None else [self.stderr])]
        if not self.targets or any(len(each) != len(self.targets) or not np.all(np.isfinite(each)) for each in numbers):
            raise DeviceError(
                "Expected a retention law to have one finite rate (and standard error) for each target, but got"
                f" {self.targets!r}, {self.rates!r} and {self.stderr!r}."
            )
        if any(np.diff(self.targets) <= 0) or not (self.start >= 0 and self.t_0 > 0):
            raise DeviceError(
                "Expected rising targets, a start of at least 0 s and t_0 above 0 s in a retention law, but got"
                f" {self.targets!r}, {self.start!r} and {self.t_0!r}."
            )

    def mean_ratio(self, target: ArrayLike, time: float) -> Floats:
        """Return mean(time) over mean(start) at the programmed currents `target` [A]; rates are held at the ends."""
        rate = np.interp(np.asarray(target, dtype=np.float64), self.targets, self.rates)
        return ratio_of(self.name, rate, log_clock(time, self.start, self.t_0))

    def sigma_ratio(self, time: float) -> float:
        """Return sigma(time) over sigma(start)."""
        return float(ratio_of(self.name, self.sigma_rate, log_clock(time, self.start, self.t_0)))

    def mean_ratio_interval(self, target: ArrayLike, time: float) -> tuple[Floats, Floats]:
        """Return the 95 % interval of `mean_ratio` that the rates' standard errors leave; itself without them."""
        errors = np.zeros(len(self.targets)) if self.stderr is None else np.asarray(self.stderr)
        ends = [
            replace(self, rates=tuple(np.asarray(self.rates) + side * 1.96 * errors)).mean_ratio(target, time)
            for side in (-1.0, 1.0)
        ]
        return ends[0], ends[1]

    def draw(self, generator: np.random.Generator) -> Self:
        """Return the law with its rates drawn from their standard errors; itself without them."""
        if self.stderr is None:
            return self
        rates = np.asarray(self.rates) + np.asarray(self.stderr) * generator.standard_normal(len(self.rates))
        growth = self.sigma_rate + self.sigma_stderr * float(generator.standard_normal())
        return replace(self, rates=tuple(map(float, rates)), sigma_rate=growth)
