"""Outlier cells: how many there are, and where their currents lie. Part of a cell, drawn with it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Real
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from devicekit.common.errors import DeviceError, unknown_name

Floats = NDArray[np.float64]
TailShape = Literal["normal", "low", "high", "uniform"]
TAIL_SHAPES: tuple[TailShape, ...] = get_args(TailShape)
OVER_RANGE = 1.25
"""Measured cells that are stuck up to so many full scales still belong to a uniform tail."""


@dataclass(frozen=True)
class Tail:
    """A fraction of cells that do not belong to the body of their state.

    With z a cell's deviation from the mean in spreads of the body, a tail cell is drawn from

    - ``"normal"``: a normal `scale` times as wide as the body;
    - ``"low"``, ``"high"``: an exponential below or above the mean, of `scale` spreads on average;
    - ``"uniform"``: any current from 0 to the full scale, whatever the target was (stuck and misprogrammed cells).

    Attributes:
        fraction: share of tail cells, 0 to below 0.5.
        shape: one of `TAIL_SHAPES`.
        scale: width of the tail in spreads of the body; not used by ``"uniform"``.
        stderr: standard error of the fraction; 0: exact or not known.

    Raises:
        DeviceError: a fraction, shape or scale that is impossible.
    """

    fraction: float
    shape: TailShape = "normal"
    scale: float = 5.0
    stderr: float = 0.0

    def __post_init__(self) -> None:
        if self.shape not in TAIL_SHAPES:
            raise DeviceError(unknown_name("tail shape", str(self.shape), TAIL_SHAPES))
        for name, ok, requirement in (
            ("fraction", _number(self.fraction) and 0 <= self.fraction < 0.5, "a number of at least 0 and below 0.5"),
            ("scale", _number(self.scale) and 0 < self.scale < math.inf, "a finite number of spreads above 0"),
            ("stderr", _number(self.stderr) and 0 <= self.stderr < math.inf, "a finite number of at least 0"),
        ):
            if not ok:
                raise DeviceError(f"Expected `{name}` of a tail to be {requirement}, but got {getattr(self, name)!r}.")

    def describe(self) -> str:
        """Return the tail as a sentence: how many cells, of which shape."""
        shape = {
            "normal": f"spread {self.scale:.3g} times as wide about the same mean",
            "low": f"below their state by {self.scale:.3g} spreads on average",
            "high": f"above their state by {self.scale:.3g} spreads on average",
            "uniform": "anywhere between 0 and the full scale",
        }[self.shape]
        error = f" +- {100 * self.stderr:.2g}" if self.stderr else ""
        return f"{100 * self.fraction:.2g}{error} % of the cells are a tail, {shape}"

    def chosen(self, uniform: Floats) -> NDArray[np.bool_]:
        """Return which cells are tail cells, from one uniform number each."""
        return np.asarray(uniform < self.fraction)

    def redraw(self, deviates: Floats, uniform: Floats) -> Floats:
        """Return deviations of cells [spreads of the body] with those of tail cells drawn from the tail.

        Args:
            deviates: standard normals, any shape.
            uniform: one uniform number a cell, same shape.
        """
        chosen = self.chosen(uniform)
        if self.shape == "uniform" or not np.any(chosen):
            return deviates
        result = np.array(deviates, dtype=np.float64)
        result[chosen] = self.deviates(uniform[chosen])
        return result

    def misplace(self, currents: Floats, uniform: Floats, i_max: float) -> Floats:
        """Return currents of cells with those of ``"uniform"`` tail cells anywhere from 0 to `i_max`, same unit.

        Args:
            currents: of cells as `redraw` left them, any shape.
            uniform: one uniform number a cell, same shape.
            i_max: full scale.
        """
        chosen = self.chosen(uniform)
        if self.shape != "uniform" or not np.any(chosen):
            return currents
        result = np.array(currents, dtype=np.float64)
        result[chosen] = uniform[chosen] / self.fraction * i_max
        return result

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the fraction, by its logit; the fraction itself where no error is known."""
        return self._shifted(-1.96), self._shifted(1.96)

    def draw(self, generator: np.random.Generator) -> Self:
        """Return the tail with its fraction drawn from its standard error, on the logit; itself without one."""
        return replace(self, fraction=self._shifted(float(generator.standard_normal()))) if self.stderr else self

    def _shifted(self, errors: float) -> float:
        if not (self.stderr and self.fraction):
            return self.fraction
        odds = self.fraction / (1.0 - self.fraction)
        odds *= math.exp(min(errors * self.stderr / (self.fraction * (1.0 - self.fraction)), 30.0))
        return min(odds / (1.0 + odds), 0.499)

    def deviates(self, uniform: Floats) -> Floats:
        """Return deviations of tail cells from their mean, in spreads of the body.

        Args:
            uniform: the uniform numbers of cells that `chosen` picked; below `fraction`, so that one number both picks
                a cell and places it.
        """
        place = np.clip(uniform / max(self.fraction, 1e-300), 1e-16, 1.0 - 1e-16)
        if self.shape == "normal":
            # Whoever has no tail need not wait for scipy.
            from scipy.special import ndtri

            return np.asarray(self.scale * ndtri(place), dtype=np.float64)
        distance = -self.scale * np.log(place)
        return np.asarray(-distance if self.shape == "low" else distance, dtype=np.float64)

    def log_density(self, z: Floats, spread: Floats, i_max: float, current: Floats) -> Floats:
        """Return the logarithm of the tail's density of currents [1/A].

        Args:
            z: deviations from the mean in spreads of the body.
            spread: the body's spread [A], same shape.
            i_max: full scale [A].
            current: the currents [A], same shape.
        """
        if self.shape == "uniform":
            # The full scale is often the highest target only; stuck cells do not know it.
            inside = (current >= 0) & (current <= OVER_RANGE * i_max)
            return np.where(inside, -math.log(OVER_RANGE * i_max), -np.inf)
        if self.shape == "normal":
            return np.asarray(-0.5 * (z / self.scale) ** 2 - np.log(self.scale * spread) - 0.5 * math.log(2 * math.pi))
        distance = -z if self.shape == "low" else z
        return np.where(distance >= 0, -distance / self.scale - np.log(self.scale * spread), -np.inf)


def _number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
