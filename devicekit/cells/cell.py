"""One memory cell: what its current is, on average and over cells, for a programmed target, then and there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devicekit.cells.error_models import ErrorModel
from devicekit.cells.mean_shifts import MeanShift
from devicekit.cells.posterior import draw_error, draw_shift
from devicekit.cells.retention import Retention, RetentionPoint, arrhenius_factor
from devicekit.cells.subthreshold import TemperatureLaw
from devicekit.common.errors import DeviceError
from devicekit.common.provenance import Constant

Currents = NDArray[np.float64]
Seed = int | np.random.Generator


@dataclass(frozen=True)
class Spatial:
    """How the variance of a cell's current splits: within a die, between dies of a wafer, between wafers.

    Attributes:
        die: share of the variance between dies of one wafer, 0 to 1.
        wafer: share between wafers, 0 to 1; what is left of 1 is within the die.
    """

    die: float = 0.0
    wafer: float = 0.0

    def __post_init__(self) -> None:
        if not (self.die >= 0 and self.wafer >= 0 and self.die + self.wafer < 1):
            raise DeviceError(
                "Expected the variance shares `die` and `wafer` to be at least 0 and to leave some of 1 within the die,"
                f" but got {self.die!r} and {self.wafer!r}."
            )

    @property
    def within(self) -> float:
        """Share of the variance within a die."""
        return 1.0 - self.die - self.wafer


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """A memory cell as an array sees it: mean and spread of its read current against the programmed target.

    Immutable. `at` gives the cell at another time or temperature, `draw` one that the data allow as well.

    Attributes:
        error: spread after programming, a function of the programmed target.
        i_max: largest programmed current [A].
        on_off_ratio: i_max over the smallest programmed current.
        read_voltage: voltage over the cell during a read [V].
        name: what messages and tables call it.
        technology: process it belongs to, such as ``"sonos_40nm"``; energy libraries ask for it.
        mean_error: shift of the mean after programming; None: none.
        retention: mean and spread at later times; None: does not change.
        read_noise: spread of one cell's current over reads, a function of the current itself; None: none.
        temperature_law: current against read temperature; None: `at(temperature=)` is refused.
        spatial: correlation of the error over dies and wafers; None: cells are independent.
        covariance: covariance of the parameters of `error`, in their order and units; None: not known.
        retention_covariance: the same for the error model of each retention time [s].
        read_noise_covariance: the same for `read_noise`.
        provenance: where each number came from, by name.
        time: time after programming this cell is looked at [s].
        temperature: temperature of the read [K]; None: that of the measurement.
        die_deviate: common deviation of the cells of a chosen die, in spreads; None: no die was chosen.
    """

    error: ErrorModel
    i_max: float
    on_off_ratio: float = math.inf
    read_voltage: float = 0.1
    name: str = "cell"
    technology: str = ""
    mean_error: MeanShift | None = None
    retention: Retention | None = None
    read_noise: ErrorModel | None = None
    temperature_law: TemperatureLaw | None = None
    spatial: Spatial | None = None
    covariance: NDArray[np.float64] | None = None
    retention_covariance: Mapping[float, NDArray[np.float64]] = field(default_factory=dict)
    read_noise_covariance: NDArray[np.float64] | None = None
    provenance: Mapping[str, Constant] = field(default_factory=dict)
    time: float = 0.0
    temperature: float | None = None
    die_deviate: float | None = None

    def __post_init__(self) -> None:
        for name, ok, requirement in (
            ("error", isinstance(self.error, ErrorModel), "an error model such as SaturatingExponential"),
            ("i_max", _positive(self.i_max), "a finite current in A above 0"),
            ("on_off_ratio", _number(self.on_off_ratio) and self.on_off_ratio > 1, "a ratio above 1"),
            ("read_voltage", _positive(self.read_voltage), "a finite voltage in V above 0"),
            ("time", _number(self.time) and 0 <= self.time < math.inf, "a finite time in s of at least 0"),
        ):
            if not ok:
                raise DeviceError(
                    f"Cell {self.name!r}: expected `{name}` to be {requirement}, but got {getattr(self, name)!r}."
                )

    @property
    def g_max(self) -> float:
        """Largest conductance, i_max / read_voltage [S]."""
        return self.i_max / self.read_voltage

    @property
    def i_min(self) -> float:
        """Smallest programmed current, i_max / on_off_ratio [A]."""
        return self.i_max / self.on_off_ratio

    def mean(self, target: ArrayLike) -> Currents:
        """Return the mean read current [A] of cells programmed to `target` [A], same shape.

        Raises:
            DeviceError: a target that is negative or no number.
        """
        targets = self._checked(target)
        mean = self._mean_at_reference(targets)
        if self.die_deviate is not None:
            mean = mean + self.die_deviate * self._sigma_at_reference(targets)
        if self.temperature_law is not None and self.temperature is not None:
            mean = self.temperature_law.current(mean, self.temperature)
        return mean

    def sigma(self, target: ArrayLike) -> Currents:
        """Return the spread over cells [A] of the read current of cells programmed to `target` [A], same shape.

        Raises:
            DeviceError: a target that is negative or no number.
        """
        targets = self._checked(target)
        sigma = self._sigma_at_reference(targets)
        if self.temperature_law is not None and self.temperature is not None:
            sigma = sigma * self.temperature_law.slope(self._mean_at_reference(targets), self.temperature)
        if self.die_deviate is not None and self.spatial is not None:
            sigma = sigma * math.sqrt(self.spatial.within)
        return sigma

    def _mean_at_reference(self, targets: Currents) -> Currents:
        if self.retention is not None:
            return targets + self.retention.shift(targets, self.time, self.mean_error)
        return targets + (self.mean_error.shift(targets) if self.mean_error is not None else 0.0)

    def _sigma_at_reference(self, targets: Currents) -> Currents:
        if self.retention is not None:
            return self.retention.sigma(targets, self.time, self.i_max, self.error)
        return self.error.sigma(targets, self.i_max)

    def _checked(self, target: ArrayLike) -> Currents:
        targets = np.asarray(target, dtype=np.float64)
        if not np.all(targets >= 0):
            raise DeviceError(f"Cell {self.name!r}: expected target currents of at least 0 A, but got {target!r}.")
        return targets

    def program(self, target: ArrayLike, seed: Seed) -> Currents:
        """Return the currents [A] of one cell for each target: mean + sigma * z, not clipped.

        The standard normals z are drawn once, in array order, from the seed, so the same seed is the same set of
        cells at all times and temperatures. Where the error is correlated over dies and no die was chosen with
        `on_die`, the cells of one call share a die, drawn from the seed as well.

        Args:
            target: programmed currents [A], any shape.
            seed: a seed, or a generator to go on drawing from.

        Raises:
            DeviceError: a target that is negative or no number.
        """
        generator = np.random.default_rng(seed)
        targets = self._checked(target)
        deviates = generator.standard_normal(targets.shape)
        cell = self
        if self.spatial is not None and self.die_deviate is None:
            cell = self.on_die(generator)
        return cell.mean(targets) + cell.sigma(targets) * deviates

    def read_sigma(self, current: ArrayLike) -> Currents:
        """Return the spread [A] over reads of a cell whose current is `current` [A]; zeros without read noise."""
        currents = np.asarray(current, dtype=np.float64)
        if self.read_noise is None:
            return np.zeros(currents.shape)
        return self.read_noise.sigma(np.maximum(currents, 0.0), self.i_max)

    def at(self, time: float | None = None, temperature: float | None = None, stored_at: float | None = None) -> Cell:
        """Return the cell then and there.

        Args:
            time: time after programming [s]; None: as it is.
            temperature: temperature of the read [K]; None: as it is.
            stored_at: storage (bake) temperature until then [K]; None: that of the retention measurement. A hotter
                store ages the cell by the Arrhenius factor of its activation energy.

        Raises:
            DeviceError: a time below 0, a temperature that is not above 0 K, or a law the cell does not have.
        """
        if time is not None and not (_number(time) and 0 <= time < math.inf):
            raise DeviceError(
                f"Cell {self.name!r}: expected `time` to be a finite time in s of at least 0, got {time!r}."
            )
        if temperature is not None:
            if not _positive(temperature):
                raise DeviceError(
                    f"Cell {self.name!r}: expected `temperature` to be in K and above 0, but got {temperature!r}."
                )
            if self.temperature_law is None:
                raise DeviceError(f"Cell {self.name!r} has no law of read temperature, so `temperature` cannot be set.")
        if stored_at is not None:
            if self.retention is None or self.retention.activation_energy is None:
                raise DeviceError(
                    f"Cell {self.name!r} has no activation energy of its retention, so `stored_at` cannot be used."
                )
            if time is None:
                raise DeviceError("Expected `time` with `stored_at`: how long the cell was stored [s].")
            time *= arrhenius_factor(self.retention.activation_energy, stored_at, self.retention.temperature)
        if time is not None and self.retention is not None:
            self.retention.warn_beyond(time, self.name)
        return replace(
            self,
            time=self.time if time is None else float(time),
            temperature=self.temperature if temperature is None else float(temperature),
        )

    def on_die(self, seed: Seed, wafer_seed: Seed | None = None) -> Self:
        """Return the cell as it is on one die: its common deviation in the mean, the rest in the spread.

        Args:
            seed: chooses the die.
            wafer_seed: chooses the wafer, so that dies can share one; None: drawn with the die.

        Raises:
            DeviceError: the cell has no variance components.
        """
        if self.spatial is None:
            raise DeviceError(f"Cell {self.name!r} has no variance components over dies and wafers.")
        generator = np.random.default_rng(seed)
        die = float(generator.standard_normal())
        wafer = float((generator if wafer_seed is None else np.random.default_rng(wafer_seed)).standard_normal())
        deviate = math.sqrt(self.spatial.die) * die + math.sqrt(self.spatial.wafer) * wafer
        return replace(self, die_deviate=deviate)

    @property
    def has_uncertainty(self) -> bool:
        """Whether a covariance or standard errors are known, so that `draw` gives something else."""
        points = self.retention.points if self.retention is not None else ()
        shifts = [self.mean_error, *(point.mean for point in points)]
        return (
            self.covariance is not None
            or self.read_noise_covariance is not None
            or bool(self.retention_covariance)
            or any(getattr(shift, "stderr", None) is not None for shift in shifts)
        )

    def draw(self, seed: Seed) -> Self:
        """Return the cell of one chip that the data allow as well: parameters drawn from their covariance, and a die.

        Positive parameters are drawn on their logarithms, mean currents from their standard errors. Where the error is
        correlated over dies and wafers, the die is drawn too (`on_die`), so that all arrays of the chip share it. A
        cell with neither is returned as it is.

        Args:
            seed: a seed or generator.
        """
        generator = np.random.default_rng(seed)
        drawn = self._with_drawn_parameters(generator) if self.has_uncertainty else self
        if drawn.spatial is not None and drawn.die_deviate is None:
            return drawn.on_die(generator)
        return drawn

    def _with_drawn_parameters(self, generator: np.random.Generator) -> Self:
        retention = self.retention
        if retention is not None:
            points = tuple(
                RetentionPoint(
                    time=point.time,
                    mean=draw_shift(point.mean, generator),
                    error=draw_error(point.error, self.retention_covariance.get(point.time), generator),
                )
                for point in retention.points
            )
            retention = replace(retention, points=points)
        noise = self.read_noise
        return replace(
            self,
            error=draw_error(self.error, self.covariance, generator),
            mean_error=draw_shift(self.mean_error, generator),
            retention=retention,
            read_noise=None if noise is None else draw_error(noise, self.read_noise_covariance, generator),
        )


def _number(value: float) -> bool:
    return isinstance(value, int | float | np.floating | np.integer) and not isinstance(value, bool)


def _positive(value: float) -> bool:
    return _number(value) and 0 < float(value) < math.inf
