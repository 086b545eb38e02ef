"""A cell's mean and spread against time: interpolation between measured times, Arrhenius for storage temperature."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devicekit.cells.drift_law import DriftLaw
from devicekit.cells.error_model import ErrorModel, require
from devicekit.cells.mean_shifts import MeanShift
from devicekit.cells.retention_laws import RetentionLaw
from devicekit.cells.subthreshold import BOLTZMANN, ELEMENTARY_CHARGE
from devicekit.common.errors import DeviceError
from devicekit.common.numbers import is_real, is_temperature
from devicekit.common.unit_checks import warn_of_temperature

Currents = NDArray[np.float64]


class ExtrapolationWarning(UserWarning):
    """A cell is evaluated after the last time that was measured."""


@dataclass(frozen=True)
class RetentionPoint:
    """Mean shift and spread measured at one time after programming.

    Attributes:
        time: time after programming [s].
        mean: shift of the mean against the programmed target; None: none.
        error: spread over cells, as a function of the programmed target.
    """

    time: float
    mean: MeanShift | None
    error: ErrorModel

    def __post_init__(self) -> None:
        for name, ok, requirement in (
            ("time", is_real(self.time) and self.time >= 0, "a finite time in s of at least 0"),
            ("mean", isinstance(self.mean, MeanShift | None), "a MeanShift such as TableShift, or None"),
            ("error", isinstance(self.error, ErrorModel), "an error model such as StateProportional(alpha)"),
        ):
            require(ok, "RetentionPoint", name, requirement, getattr(self, name))


_BY = {
    None: "in the logarithm of time",
    "power": "by its power law of time",
    "log_time": "by its law in the logarithm of time",
    "drift": "by its law of drift",
}


def _later(then: Currents, last: Currents) -> Currents:
    """Return the ratio of a law's values at two times; 1 where it had run out already."""
    return np.divide(then, last, out=np.ones_like(then), where=last > 0)


def arrhenius_factor(activation_energy: float, temperature: float, reference: float) -> float:
    """Return the acceleration factor of a thermally activated loss, exp(E_a / k * (1 / T_ref - 1 / T)).

    Args:
        activation_energy: E_a [eV].
        temperature: storage (bake) temperature T [K].
        reference: temperature T_ref that times refer to [K].

    Raises:
        DeviceError: a temperature that is not above 0.
    """
    if not (is_temperature(temperature) and is_temperature(reference)):
        raise DeviceError(f"Expected storage temperatures above 0 K, but got {temperature!r} and {reference!r}.")
    per_kelvin = activation_energy * ELEMENTARY_CHARGE / BOLTZMANN
    return float(np.exp(per_kelvin * (1.0 / reference - 1.0 / temperature)))


@dataclass(frozen=True)
class Retention:
    """Mean and spread of a cell against time after programming; at the start they are the cell's own.

    Attributes:
        points: later times, rising; at least one unless there is an activation energy to hold.
        time_axis: ``"linear"`` interpolates in t, ``"log"`` in ln(1 + t / t_1), t_1 the first time above 0.
        activation_energy: of the loss [eV]; None where it is not known.
        temperature: storage temperature of the measured times [K].
        start: time after programming of the programmed state [s].
        law: how mean and spread go on after the last time; None: along the line through the last two, in ln t. A
            `DriftLaw` is the whole retention and stands without points.
    """

    points: tuple[RetentionPoint, ...]
    time_axis: Literal["linear", "log"] = "linear"
    activation_energy: float | None = None
    temperature: float = 300.0
    start: float = 0.0
    law: RetentionLaw | DriftLaw | None = None

    def __post_init__(self) -> None:
        for point in self.points:
            require(isinstance(point, RetentionPoint), "Retention", "points", "RetentionPoint objects", point)
        require(is_temperature(self.temperature), "Retention", "temperature", "in K", self.temperature)
        warn_of_temperature("Retention: `temperature`", self.temperature, stacklevel=3)
        times = self.times
        if times[0] < 0 or not np.all(np.isfinite(times)) or any(np.diff(times) <= 0):
            raise DeviceError(f"Expected retention times to rise from 0 s or later, but got {times!r}.")
        if self.time_axis not in ("linear", "log"):
            raise DeviceError(f"Expected `time_axis` to be 'linear' or 'log', but got {self.time_axis!r}.")
        if isinstance(self.law, DriftLaw) and self.points:
            raise DeviceError("Expected a law of drift without measured times beside it: it says all that a cell does.")

    @property
    def times(self) -> tuple[float, ...]:
        """Measured times [s], that of the programmed state first."""
        return (self.start, *(point.time for point in self.points))

    @property
    def measured_until(self) -> float:
        """Last time that was measured [s]."""
        return self.law.measured_until if isinstance(self.law, DriftLaw) else self.times[-1]

    def weights(self, time: float) -> NDArray[np.float64]:
        """Return the interpolation weight of each measured time at `time` [s]; weights sum to 1.

        After the last measured time the line through the last two continues in the logarithm of time, as charge loss
        does; where only one time above 0 was measured, it is held. Before the first time the first is held.
        """
        times = np.asarray(self.times)
        weights = np.zeros(len(times))
        if time <= times[0] or len(times) == 1:
            weights[0] = 1.0
            return weights
        if time > times[-1]:
            two_above_zero = times[-2] > 0
            beyond = np.log(time / times[-1]) / np.log(times[-1] / times[-2]) if two_above_zero else 0.0
            weights[-2:] = -beyond, 1.0 + beyond
            return weights
        axis = times if self.time_axis == "linear" else np.log1p(times / times[times > 0][0])
        position = time if self.time_axis == "linear" else float(np.log1p(time / times[times > 0][0]))
        upper = int(np.searchsorted(times, time, side="left"))
        share = (position - axis[upper - 1]) / (axis[upper] - axis[upper - 1])
        weights[upper - 1 : upper + 1] = 1.0 - share, share
        return weights

    def warn_beyond(self, time: float, name: str) -> None:
        """Warn, naming the cell, when `time` [s] lies after the last measurement."""
        if time > self.measured_until:
            warnings.warn(
                f"Cell {name!r} was measured up to {self.measured_until:g} s; at {time:g} s its mean and spread are"
                f" extrapolated {_BY[None if self.law is None else self.law.name]}.",
                ExtrapolationWarning,
                stacklevel=3,
            )

    def shift(self, target: ArrayLike, time: float, programmed: MeanShift | None) -> Currents:
        """Return mean minus target [A] at `time` [s].

        Args:
            target: programmed currents [A], any shape.
            time: time after programming [s].
            programmed: shift of the programmed state; None: none.
        """
        last = self.times[-1]
        if isinstance(self.law, DriftLaw):
            targets = np.asarray(target, dtype=np.float64)
            start = targets + (0.0 if programmed is None else programmed.shift(targets))
            return self.law.mean(start, targets, time) - targets
        if self.law is not None and time > last:
            targets = np.asarray(target, dtype=np.float64)
            mean = targets + self.shift(targets, last, programmed)
            return mean * _later(self.law.mean_ratio(targets, time), self.law.mean_ratio(targets, last)) - targets
        total = np.zeros(np.shape(target))
        shifts = (programmed, *(point.mean for point in self.points))
        for weight, shift in zip(self.weights(time), shifts, strict=True):
            if weight and shift is not None:
                total = total + weight * shift.shift(target)
        return total

    def sigma(self, target: ArrayLike, time: float, i_max: float, programmed: ErrorModel) -> Currents:
        """Return the spread [A] at `time` [s]; never below 0.

        Args:
            target: programmed currents [A], any shape.
            time: time after programming [s].
            i_max: full scale [A].
            programmed: spread of the programmed state.
        """
        last = self.times[-1]
        if isinstance(self.law, DriftLaw):
            # A mean shift of programming counts in the mean; in the spread it is of second order.
            return self.law.sigma(target, programmed.sigma(target, i_max), target, time)
        if self.law is not None and time > last:
            growth = _later(np.asarray(self.law.sigma_ratio(time)), np.asarray(self.law.sigma_ratio(last)))
            return np.asarray(self.sigma(target, last, i_max, programmed) * growth, dtype=np.float64)
        total = np.zeros(np.shape(target))
        errors = (programmed, *(point.error for point in self.points))
        for weight, error in zip(self.weights(time), errors, strict=True):
            if weight:
                total = total + weight * error.sigma(target, i_max)
        return np.maximum(total, 0.0)
