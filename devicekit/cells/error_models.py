"""The error models of devicekit: the laws of `error_laws` with named parameters and starting values for fits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from devicekit.cells.error_laws import (
    polynomial_sigma,
    power_law_sigma,
    saturating_exponential_sigma,
    state_independent_sigma,
    state_proportional_sigma,
)
from devicekit.cells.error_model import (
    Currents,
    Domain,
    ErrorModel,
    Guess,
    finite_numbers,
    parameter,
    require,
    sorted_states,
)
from devicekit.cells.error_registry import register_error_model
from devicekit.common.interpolation import monotone_cubic
from devicekit.common.numbers import is_real


@register_error_model
@dataclass(frozen=True)
class StateIndependent(ErrorModel):
    """State-independent error, sigma = alpha * I_max / 2.

    Attributes:
        alpha: error as a fraction of half the full scale.
    """

    alpha: float = field(metadata=parameter(""))
    name: ClassVar[str] = "state_independent"

    def sigma(self, target: ArrayLike, i_max: float) -> Currents:
        """Return the spread [A]; see `state_independent_sigma`."""
        return state_independent_sigma(target, self.alpha, i_max)

    @classmethod
    def guess(cls, target: ArrayLike, sigma: ArrayLike, i_max: float) -> Self:
        """Start from the root mean square spread."""
        return cls(2.0 * float(np.sqrt(np.mean(np.square(sigma)))) / i_max)


@register_error_model
@dataclass(frozen=True)
class StateProportional(ErrorModel):
    """State-proportional error, sigma = alpha * I.

    Attributes:
        alpha: error as a fraction of the state's own current.
    """

    alpha: float = field(metadata=parameter(""))
    name: ClassVar[str] = "state_proportional"

    def sigma(self, target: ArrayLike, i_max: float) -> Currents:
        """Return the spread [A]; see `state_proportional_sigma`."""
        return state_proportional_sigma(target, self.alpha)

    @classmethod
    def guess(cls, target: ArrayLike, sigma: ArrayLike, i_max: float) -> Self:
        """Start from the median ratio of spread to current."""
        targets, sigmas = sorted_states(target, sigma)
        return cls(float(np.median(sigmas[targets > 0] / targets[targets > 0])))


@register_error_model
@dataclass(frozen=True)
class SaturatingExponential(ErrorModel):
    """Saturating error, sigma = floor + s_max * (1 - exp(-I / i_sat)); without floor the law of 40 nm SONOS cells.

    Attributes:
        s_max: spread approached at large currents, above the floor [A].
        i_sat: current at which 63 % of it is reached [A].
        floor: spread left at zero current [A]; a parameter of its own where it is above 0.
    """

    s_max: float
    i_sat: float = field(metadata=parameter(above_minimum=True))
    floor: float = 0.0
    name: ClassVar[str] = "saturating_exponential"

    def sigma(self, target: ArrayLike, i_max: float) -> Currents:
        """Return the spread [A]; see `saturating_exponential_sigma`."""
        return saturating_exponential_sigma(target, self.s_max, self.i_sat, self.floor)

    def values(self) -> dict[str, float]:
        """Return s_max and i_sat, and the floor [A] where there is one."""
        values = {"s_max": float(self.s_max), "i_sat": float(self.i_sat)}
        return {**values, "floor": float(self.floor)} if self.floor else values

    @classmethod
    def guess(cls, target: ArrayLike, sigma: ArrayLike, i_max: float) -> Self:
        """Start from the largest spread and the current that reaches 63 % of it."""
        targets, sigmas = sorted_states(target, sigma)
        top = float(np.mean(sigmas[-max(1, len(sigmas) // 4) :]))
        reached = np.flatnonzero(sigmas >= 0.632 * top)
        knee = float(targets[reached[0]]) if reached.size else i_max
        return cls(s_max=top, i_sat=min(max(knee, 0.02 * i_max), 3.0 * i_max))

    @classmethod
    def forms(cls) -> dict[str, Guess]:
        """Return the plain law and the one on a floor."""
        return {cls.name: cls.guess, "floored_exponential": cls.guess_floored}

    @classmethod
    def guess_floored(cls, target: ArrayLike, sigma: ArrayLike, i_max: float) -> Self:
        """Start from the plain law on top of half the smallest spread."""
        _, sigmas = sorted_states(target, sigma)
        floor = 0.5 * float(sigmas.min())
        return replace(cls.guess(target, np.maximum(np.asarray(sigma) - floor, 0.1 * floor), i_max), floor=floor)


@register_error_model
@dataclass(frozen=True)
class PowerLaw(ErrorModel):
    """Power law, sigma = s_full * (I / I_max)**exponent.

    Attributes:
        s_full: spread at full scale [A].
        exponent: 0 is state-independent, 1 state-proportional.
    """

    s_full: float
    exponent: float = field(metadata=parameter(""))
    name: ClassVar[str] = "power_law"

    def sigma(self, target: ArrayLike, i_max: float) -> Currents:
        """Return the spread [A]; see `power_law_sigma`."""
        return power_law_sigma(target, self.s_full, self.exponent, i_max)

    @classmethod
    def guess(cls, target: ArrayLike, sigma: ArrayLike, i_max: float) -> Self:
        """Start from the straight line through logarithms."""
        targets, sigmas = sorted_states(target, sigma)
        targets, sigmas = targets[targets > 0], sigmas[targets > 0]
        if len(targets) < 2:
            return cls(float(np.mean(sigmas)) if len(sigmas) else 1e-12, 0.5)
        slope, offset = np.polyfit(np.log(targets / i_max), np.log(sigmas), 1)
        return cls(float(np.exp(offset)), float(max(slope, 0.01)))


@register_error_model
@dataclass(frozen=True)
class Polynomial(ErrorModel):
    """Polynomial, sigma = scale * max(0, sum_k c_k (I / scale)**k), constant outside `valid`.

    Attributes:
        coefficients: c_0, c_1, ... for currents in units of `scale`.
        scale: the unit of current the coefficients are stated in [A].
        valid: lowest and highest current the law was stated for [A]; None: any.
    """

    coefficients: tuple[float, ...] = field(metadata=parameter("", minimum=-math.inf))
    scale: float = 1.0
    valid: tuple[float, float] | None = None
    name: ClassVar[str] = "polynomial"

    def __init__(self, coefficients: Sequence[float], scale: float = 1.0, valid: Sequence[float] | None = None) -> None:
        kind = type(self).__name__
        some = finite_numbers(coefficients)
        require(some is not None and len(some) > 0, kind, "coefficients", "finite numbers, at least one", coefficients)
        require(is_real(scale) and scale > 0, kind, "scale", "a finite number above 0", scale)
        if valid is not None:
            edges = finite_numbers(valid)
            rising = edges is not None and len(edges) == 2 and edges[0] < edges[1]
            require(bool(rising), kind, "valid", "a low and a higher current", valid)
        object.__setattr__(self, "coefficients", tuple(float(value) for value in coefficients))
        object.__setattr__(self, "scale", float(scale))
        object.__setattr__(self, "valid", None if valid is None else (float(valid[0]), float(valid[1])))

    def sigma(self, target: ArrayLike, i_max: float) -> Currents:
        """Return the spread [A]; see `polynomial_sigma`."""
        held = np.asarray(target, dtype=np.float64)
        if self.valid is not None:
            held = np.clip(held, *self.valid)
        return polynomial_sigma(held, self.coefficients, self.scale)

    def domain(self, parameter: str) -> Domain:
        """Return the range of a coefficient: any number, in units of `scale`."""
        return Domain("", minimum=-math.inf, power=0)

    def values(self) -> dict[str, float]:
        """Return c0, c1, ... in units of `scale`."""
        return {f"c{power}": value for power, value in enumerate(self.coefficients)}

    def with_values(self, values: Mapping[str, float]) -> Self:
        """Return the polynomial with other coefficients."""
        merged = {**self.values(), **values}
        return type(self)(tuple(merged.values()), self.scale, self.valid)

    def scaled(self, factor: float) -> Self:
        """Return the same coefficients in another unit of current."""
        valid = None if self.valid is None else (self.valid[0] * factor, self.valid[1] * factor)
        return type(self)(self.coefficients, self.scale * factor, valid)

    @classmethod
    def guess(cls, target: ArrayLike, sigma: ArrayLike, i_max: float) -> Self:
        """Start from the least-squares parabola in units of the full scale."""
        targets, sigmas = sorted_states(target, sigma)
        degree = min(2, len(np.unique(targets)) - 1)
        return cls(tuple(np.polynomial.polynomial.polyfit(targets / i_max, sigmas / i_max, degree)), i_max)


@register_error_model
@dataclass(frozen=True)
class Table(ErrorModel):
    """Table of sigma at some currents, linear between them, constant outside.

    Attributes:
        currents: programmed currents, rising [A].
        sigmas: spread at each [A].
    """

    currents: tuple[float, ...]
    sigmas: tuple[float, ...]
    name: ClassVar[str] = "table"
    saturated: ClassVar[bool] = True
    least: ClassVar[int] = 1

    def __init__(self, currents: Sequence[float], sigmas: Sequence[float]) -> None:
        kind = type(self).__name__
        at, heights = finite_numbers(currents), finite_numbers(sigmas)
        rising = at is not None and len(at) >= self.least and bool(np.all(np.diff(at) > 0))
        require(rising, kind, "currents", f"at least {self.least} rising numbers", currents)
        fitting = at is not None and heights is not None and len(heights) == len(at) and bool(np.all(heights >= 0))
        require(fitting, kind, "sigmas", "one number of at least 0 for each current", sigmas)
        object.__setattr__(self, "currents", tuple(map(float, currents)))
        object.__setattr__(self, "sigmas", tuple(map(float, sigmas)))

    def sigma(self, target: ArrayLike, i_max: float) -> Currents:
        """Return the spread [A], interpolated."""
        return np.asarray(np.interp(np.asarray(target, dtype=np.float64), self.currents, self.sigmas))

    def values(self) -> dict[str, float]:
        """Return s0, s1, ...: the spread at each current [A]."""
        return {f"s{index}": value for index, value in enumerate(self.sigmas)}

    def domain(self, parameter: str) -> Domain:
        """Return the range of a spread: currents of at least 0."""
        return Domain()

    def with_values(self, values: Mapping[str, float]) -> Self:
        """Return the table with other spreads at the same currents."""
        merged = {**self.values(), **values}
        return type(self)(self.currents, tuple(merged.values()))

    def scaled(self, factor: float) -> Self:
        """Return the table with currents and spreads multiplied."""
        return type(self)(
            tuple(value * factor for value in self.currents), tuple(value * factor for value in self.sigmas)
        )

    @classmethod
    def guess(cls, target: ArrayLike, sigma: ArrayLike, i_max: float) -> Self:
        """Take the spreads as they are."""
        targets, sigmas = sorted_states(target, sigma)
        return cls(tuple(targets), tuple(sigmas))


@register_error_model
@dataclass(frozen=True, init=False)
class Spline(Table):
    """Monotone cubic spline of sigma through knots (no overshoot), constant outside.

    Attributes:
        currents: knots, rising [A].
        sigmas: spread at each knot [A].
    """

    name: ClassVar[str] = "spline"
    saturated: ClassVar[bool] = False
    least: ClassVar[int] = 2
    knots: ClassVar[int] = 5

    def sigma(self, target: ArrayLike, i_max: float) -> Currents:
        """Return the spread [A], interpolated."""
        return monotone_cubic(np.asarray(target, dtype=np.float64), self.currents, self.sigmas)

    @classmethod
    def guess(cls, target: ArrayLike, sigma: ArrayLike, i_max: float) -> Self:
        """Start from up to five knots at equal steps through the states, interpolated there."""
        return cls.through(target, sigma, cls.knots)

    @classmethod
    def forms(cls) -> dict[str, Guess]:
        """Return splines through up to five and up to nine knots."""
        return {cls.name: cls.guess, "fine_spline": cls.guess_fine}

    @classmethod
    def guess_fine(cls, target: ArrayLike, sigma: ArrayLike, i_max: float) -> Self:
        """Start from up to nine knots: for spreads that rise and fall again."""
        return cls.through(target, sigma, 2 * cls.knots - 1)

    @classmethod
    def through(cls, target: ArrayLike, sigma: ArrayLike, most: int) -> Self:
        """Return the spline through at most `most` knots at equal steps through the states."""
        targets, sigmas = sorted_states(target, sigma)
        count = min(most, len(np.unique(targets)))
        knots = np.quantile(np.unique(targets), np.linspace(0, 1, count))
        return cls(tuple(knots), tuple(np.interp(knots, targets, sigmas)))
