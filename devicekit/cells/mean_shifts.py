"""Mean current minus target against the programmed current: error of programming, drift afterwards.

A shift is a function of the programmed target. Below the lowest and above the highest measured state the relative
shift is held: a shift of threshold voltage moves a subthreshold current in proportion.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devicekit.common.errors import DeviceError

Currents = NDArray[np.float64]


def held_relative(target: ArrayLike, low: float, high: float, shift_at: NDArray[np.float64]) -> Currents:
    """Return mean shifts [A], constant relative to the target outside the measured range.

    Args:
        target: programmed currents [A], any shape.
        low: lowest measured state [A].
        high: highest measured state [A].
        shift_at: shift [A] at `target` clipped to low..high, same shape.
    """
    targets = np.asarray(target, dtype=np.float64)
    inside = np.clip(targets, low, high)
    # A lowest state of exactly 0 has no relative shift; its own shift is the one that is held there.
    ratio = np.divide(targets, inside, out=np.ones_like(targets), where=inside > 0)
    return shift_at * ratio


class MeanShift(ABC):
    """Mean current minus target [A] as a function of the programmed current."""

    @abstractmethod
    def shift(self, target: ArrayLike) -> Currents:
        """Return mean minus target [A] at the programmed currents `target` [A], same shape."""

    @abstractmethod
    def scaled(self, factor: float) -> Self:
        """Return the same shift for currents in a unit `factor` times smaller."""


def _increasing(name: str, values: Sequence[float]) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in values)
    if not numbers or not np.all(np.isfinite(numbers)) or any(np.diff(numbers) <= 0):
        raise DeviceError(f"Expected `{name}` of a mean shift to be rising finite numbers, but got {values!r}.")
    return numbers


@dataclass(frozen=True)
class TableShift(MeanShift):
    """Mean shift from a table of mean currents by programmed current, linear between them.

    Attributes:
        targets: programmed currents, rising [A].
        means: mean current of the cells programmed to each [A].
        stderr: standard error of each mean [A]; None where it is not known.
    """

    targets: tuple[float, ...]
    means: tuple[float, ...]
    stderr: tuple[float, ...] | None = None

    def __init__(self, targets: Sequence[float], means: Sequence[float], stderr: Sequence[float] | None = None) -> None:
        object.__setattr__(self, "targets", _increasing("targets", targets))
        for name, values in (("means", means), ("stderr", stderr)):
            if values is not None and (len(values) != len(targets) or not np.all(np.isfinite(values))):
                raise DeviceError(
                    f"Expected `{name}` of a mean shift to be one finite number for each of the {len(targets)} targets,"
                    f" but got {values!r}."
                )
            object.__setattr__(self, name, None if values is None else tuple(float(value) for value in values))

    def shift(self, target: ArrayLike) -> Currents:
        """Return mean minus target [A]."""
        knots = np.asarray(self.targets)
        inside = np.clip(np.asarray(target, dtype=np.float64), knots[0], knots[-1])
        shifts = np.interp(inside, knots, np.asarray(self.means) - knots)
        return held_relative(target, self.targets[0], self.targets[-1], np.asarray(shifts))

    def scaled(self, factor: float) -> Self:
        """Return the table with all currents multiplied."""

        def multiplied(values: tuple[float, ...]) -> tuple[float, ...]:
            return tuple(value * factor for value in values)

        return type(self)(
            multiplied(self.targets), multiplied(self.means), None if self.stderr is None else multiplied(self.stderr)
        )


@dataclass(frozen=True)
class PolynomialShift(MeanShift):
    """Mean shift by a polynomial, scale * sum_k p_k (I / scale)**k, between two currents.

    Attributes:
        coefficients: p_0, p_1, ... for currents in units of `scale`.
        scale: the unit of current the coefficients are stated in [A].
        valid: lowest and highest current of the fit [A].
    """

    coefficients: tuple[float, ...]
    scale: float
    valid: tuple[float, float]

    def __init__(self, coefficients: Sequence[float], scale: float, valid: Sequence[float]) -> None:
        if not len(coefficients) or not np.all(np.isfinite(coefficients)):
            raise DeviceError(
                f"Expected `coefficients` of a mean shift to be finite numbers, at least one, but got {coefficients!r}."
            )
        if not (np.isfinite(scale) and scale > 0):
            raise DeviceError(f"Expected `scale` of a mean shift to be a number above 0, but got {scale!r}.")
        if len(valid) != 2 or not 0 <= valid[0] < valid[1] < np.inf:
            raise DeviceError(
                f"Expected `valid` of a mean shift to be a low current and a higher one, but got {valid!r}."
            )
        object.__setattr__(self, "coefficients", tuple(float(value) for value in coefficients))
        object.__setattr__(self, "scale", float(scale))
        object.__setattr__(self, "valid", (float(valid[0]), float(valid[1])))

    def shift(self, target: ArrayLike) -> Currents:
        """Return mean minus target [A]."""
        inside = np.clip(np.asarray(target, dtype=np.float64), *self.valid)
        shifts = self.scale * np.polynomial.polynomial.polyval(inside / self.scale, self.coefficients)
        return held_relative(target, *self.valid, np.asarray(shifts))

    def scaled(self, factor: float) -> Self:
        """Return the same coefficients in another unit of current."""
        return type(self)(self.coefficients, self.scale * factor, tuple(value * factor for value in self.valid))
