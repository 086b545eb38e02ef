"""A memory cell: mean and spread of its read current against the programmed current, by time and temperature."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devicekit.cells.compensation import CompensationLike, ReadCompensation, as_compensation
from devicekit.cells.drift_law import DriftLaw
from devicekit.cells.error_model import ErrorModel
from devicekit.cells.mean_shifts import MeanShift
from devicekit.cells.posterior import draw_error, draw_shift
from devicekit.cells.retention import ExtrapolationWarning, Retention, RetentionPoint, arrhenius_factor
from devicekit.cells.subthreshold import SubthresholdTemperature, TemperatureLaw
from devicekit.cells.tails import Tail
from devicekit.common.engineering import engineering
from devicekit.common.errors import DeviceError
from devicekit.common.numbers import is_real, is_temperature
from devicekit.common.plain import plain_dict
from devicekit.common.provenance import Constant
from devicekit.common.quantities import parse_quantity
from devicekit.common.unit_checks import warn_of_current, warn_of_temperature, warn_of_time

Currents = NDArray[np.float64]
Seed = int | np.random.Generator


@dataclass(frozen=True)
class Spatial:
    """Variance components of the cell current: within a die, between the dies of a wafer, between wafers.

    Attributes:
        die: share of the variance between dies of one wafer, 0 to 1.
        wafer: share between wafers, 0 to 1; what is left of 1 is within the die.
    """

    die: float = 0.0
    wafer: float = 0.0

    def __post_init__(self) -> None:
        shares = _number(self.die) and _number(self.wafer)
        if not (shares and self.die >= 0 and self.wafer >= 0 and self.die + self.wafer < 1):
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
    """A memory cell: mean and spread [A] of its read current against the programmed current [A].

    Immutable. `at` gives the cell at another time or temperature, `draw` one chip with parameters drawn from their
    uncertainty.

    Attributes:
        error: spread over cells after programming, a function of the programmed current.
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
        tail: outlier cells, beside which `error` describes the body of the others; None: none.
        measured_range: lowest and highest programmed state that was measured [A]; None: not known.
        covariance: covariance of the parameters of `error`, in their order and units; None: not known.
        retention_covariance: the same for the error model of each retention time [s].
        read_noise_covariance: the same for `read_noise`.
        provenance: where each number came from, by name.
        time: time after programming at which the cell is read [s].
        temperature: temperature of the read [K]; None: that of the measurement.
        compensation: bias that follows that temperature; None: none, as the cell itself is.
        die_deviate: common deviation of the cells of a chosen die, in spreads; None: no die was chosen.
        error_scale: factor on the spread over cells at all times, to ask what a better or worse cell would do.
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
    tail: Tail | None = None
    measured_range: tuple[float, float] | None = None
    covariance: NDArray[np.float64] | None = None
    retention_covariance: Mapping[float, NDArray[np.float64]] = field(default_factory=dict)
    read_noise_covariance: NDArray[np.float64] | None = None
    provenance: Mapping[str, Constant] = field(default_factory=dict)
    time: float = 0.0
    temperature: float | None = None
    die_deviate: float | None = None
    error_scale: float = 1.0
    compensation: ReadCompensation | None = None

    def __post_init__(self) -> None:
        law = self.temperature_law
        for name, ok, requirement in (
            ("name", isinstance(self.name, str), "a text"),
            ("technology", isinstance(self.technology, str), "a text"),
            ("error", isinstance(self.error, ErrorModel), "an error model such as SaturatingExponential(s_max, i_sat)"),
            ("mean_error", isinstance(self.mean_error, MeanShift | None), "a MeanShift such as TableShift, or None"),
            ("retention", isinstance(self.retention, Retention | None), "a Retention or None"),
            ("read_noise", isinstance(self.read_noise, ErrorModel | None), "an error model or None"),
            ("temperature_law", law is None or hasattr(law, "slope"), "a law such as SubthresholdTemperature"),
            ("spatial", isinstance(self.spatial, Spatial | None), "a Spatial or None"),
            ("i_max", _positive(self.i_max), "a finite current in A above 0"),
            ("on_off_ratio", _number(self.on_off_ratio) and self.on_off_ratio > 1, "a ratio above 1"),
            ("read_voltage", _positive(self.read_voltage), "a finite voltage in V above 0"),
            ("time", _number(self.time) and 0 <= self.time < math.inf, "a finite time in s of at least 0"),
            ("error_scale", _number(self.error_scale) and 0 <= self.error_scale < math.inf, "a factor of at least 0"),
            ("tail", self.tail is None or isinstance(self.tail, Tail), "a devicekit.Tail or None"),
        ):
            if not ok:
                raise DeviceError(
                    f"Cell {self.name!r}: expected `{name}` to be {requirement}, but got {getattr(self, name)!r}."
                )
        for name, model, covariance in (
            ("covariance", self.error, self.covariance),
            ("read_noise_covariance", self.read_noise, self.read_noise_covariance),
        ):
            size = 0 if model is None else len(model.values())
            if covariance is not None and np.shape(covariance) != (size, size):
                raise DeviceError(
                    f"Cell {self.name!r}: expected `{name}` to be a {size} x {size} matrix, one row a parameter, but"
                    f" got shape {np.shape(covariance)}."
                )
        warn_of_current(f"Cell {self.name!r}: `i_max`", self.i_max, None, stacklevel=3)
        spread = float(self.error.sigma(self.i_max, self.i_max))
        warn_of_current(f"Cell {self.name!r}: the spread by `error`", spread, self.i_max, stacklevel=3)

    @property
    def is_fresh(self) -> bool:
        """Whether it is read right after programming, at the temperature of its measurement."""
        return not self.time and self.temperature is None

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

        Warns:
            UnitWarning: a target that is plainly in another unit than A.
        """
        return self._mean(self._checked(target))

    def _mean(self, targets: Currents) -> Currents:
        mean = self._mean_at_reference(targets)
        if self.die_deviate is not None:
            mean = mean + self.die_deviate * self._sigma_at_reference(targets)
        if self.temperature_law is not None and self.temperature is not None:
            mean = self.temperature_law.current(mean, self.temperature) * self._bias_factor
        return mean

    @property
    def _bias_factor(self) -> float:
        """What a bias that follows the temperature makes of all currents."""
        if self.compensation is None or self.temperature_law is None or self.temperature is None:
            return 1.0
        return self.compensation.factor(self.temperature_law, self.i_max, self.temperature)

    def sigma(self, target: ArrayLike) -> Currents:
        """Return the spread over cells [A] of the read current of cells programmed to `target` [A], same shape.

        That of the body, where the cell has a `tail`.

        Raises:
            DeviceError: a target that is negative or no number.

        Warns:
            UnitWarning: a target that is plainly in another unit than A.
        """
        return self._sigma(self._checked(target))

    def _sigma(self, targets: Currents) -> Currents:
        sigma = self._sigma_at_reference(targets)
        if self.temperature_law is not None and self.temperature is not None:
            slope = self.temperature_law.slope(self._mean_at_reference(targets), self.temperature)
            sigma = sigma * slope * self._bias_factor
        if self.die_deviate is not None and self.spatial is not None:
            sigma = sigma * math.sqrt(self.spatial.within)
        return sigma

    def _mean_at_reference(self, targets: Currents) -> Currents:
        if self.retention is not None:
            return targets + self.retention.shift(targets, self.time, self.mean_error)
        return targets + (self.mean_error.shift(targets) if self.mean_error is not None else 0.0)

    def _sigma_at_reference(self, targets: Currents) -> Currents:
        if self.retention is not None:
            return self.error_scale * self.retention.sigma(targets, self.time, self.i_max, self.error)
        return self.error_scale * self.error.sigma(targets, self.i_max)

    def _checked(self, target: ArrayLike) -> Currents:
        targets = _numbers(target)
        if targets is None or not np.all(targets >= 0):
            raise DeviceError(
                f"Cell {self.name!r}: expected `target` to be currents in A of at least 0, but got {target!r}."
            )
        warn_of_current(f"Cell {self.name!r}: `target`", float(np.max(targets, initial=0.0)), self.i_max, stacklevel=3)
        return targets

    def program(self, target: ArrayLike, seed: Seed) -> Currents:
        """Return the read currents [A] of cells programmed to `target` [A], one cell a target, same shape.

        Currents are mean + sigma * z, not clipped. The standard normals z are drawn in array order from the seed, so
        the same seed is the same set of cells at all times and temperatures. Where the error is correlated over dies
        and no die was chosen with `on_die`, the cells of one call share a die, drawn from the seed as well. Then one
        uniform number a cell picks and places the cells of a `tail`; the others are those of the same seed without one.

        Args:
            target: programmed currents [A], any shape.
            seed: a seed, or a generator to go on drawing from.

        Raises:
            DeviceError: a target that is negative or no number.

        Warns:
            UnitWarning: a target that is plainly in another unit than A.
        """
        generator = _generator(seed)
        targets = self._checked(target)
        deviates = generator.standard_normal(targets.shape)
        cell = self
        if self.spatial is not None and self.die_deviate is None:
            cell = self.on_die(generator)
        if self.tail is None:
            return cell._mean(targets) + cell._sigma(targets) * deviates
        uniform = generator.random(targets.shape)
        currents = cell._mean(targets) + cell._sigma(targets) * self.tail.redraw(deviates, uniform)
        return self.tail.misplace(currents, uniform, self.i_max)

    def read_sigma(self, current: ArrayLike) -> Currents:
        """Return the read noise [A], the spread over reads of a cell of mean current `current` [A]; 0 where unknown.

        Raises:
            DeviceError: a current that is no number.
        """
        currents = _numbers(current)
        if currents is None or np.any(np.isnan(currents)):
            raise DeviceError(f"Cell {self.name!r}: expected `current` to be currents in A, but got {current!r}.")
        warn_of_current(
            f"Cell {self.name!r}: `current`", float(np.max(currents, initial=0.0)), self.i_max, stacklevel=2
        )
        if self.read_noise is None:
            return np.zeros(currents.shape)
        return self.read_noise.sigma(np.maximum(currents, 0.0), self.i_max)

    def flicker_sigma(self, target: ArrayLike) -> Currents:
        """Return the 1/f noise [A] since programming of cells programmed to `target` [A], a part of `sigma`.

        It is slower than a matrix-vector product, so that a cell holds its deviation through one: it counts among the
        differences between cells, not among reads. 0 for cells without a law of it.

        Raises:
            DeviceError: a target that is negative or no number.
        """
        targets = self._checked(target)
        law = None if self.retention is None else self.retention.law
        if not isinstance(law, DriftLaw):
            return np.zeros(targets.shape)
        return np.asarray(law.flicker(targets, self.time) * self._mean(targets))

    def at(
        self,
        time: float | str | None = None,
        temperature: float | str | None = None,
        stored_at: float | str | None = None,
        compensation: CompensationLike | None = None,
    ) -> Cell:
        """Return the same cell at another time after programming, or read at another temperature.

        Read by itself a cell is uncompensated; cores as built are compensated unless they say otherwise.

        Args:
            time: time after programming [s], or text such as ``"2 days"``; None: unchanged.
            temperature: temperature of the read [K], or text such as ``"85 degC"``; None: unchanged.
            stored_at: storage (bake) temperature until then [K]; None: that of the retention measurement. A hotter
                store ages the cell by the Arrhenius factor of its activation energy.
            compensation: bias that follows the temperature of the read, as for
                `devicekit.cells.compensation.as_compensation`; None: unchanged.

        Raises:
            DeviceError: a time below 0, a temperature that is not above 0 K, a law the cell does not have, or an
                unknown compensation.

        Warns:
            ExtrapolationWarning: the law of temperature puts the full current above its own I_0.
            UnitError: text that is no time or temperature.
        """
        who = f"Cell {self.name!r}:"
        seconds = None if time is None else parse_quantity(time, "s", "`time`")
        kelvin = None if temperature is None else parse_quantity(temperature, "K", "`temperature`")
        store = None if stored_at is None else parse_quantity(stored_at, "K", "`stored_at`")
        if seconds is not None:
            if seconds < 0:
                raise DeviceError(f"{who} expected `time` to be a finite time in s of at least 0, but got {time!r}.")
            warn_of_time(f"{who} `time`", seconds, stacklevel=2)
        for what, value in (("temperature", kelvin), ("stored_at", store)):
            if value is not None:
                if not is_temperature(value):
                    raise DeviceError(f"{who} expected `{what}` to be in K and above 0, but got {value!r}.")
                warn_of_temperature(f"{who} `{what}`", value, stacklevel=2)
        if kelvin is not None and self.temperature_law is None:
            raise DeviceError(f"Cell {self.name!r} has no law of read temperature, so `temperature` cannot be set.")
        if store is not None:
            if self.retention is None or self.retention.activation_energy is None:
                raise DeviceError(
                    f"Cell {self.name!r} has no activation energy of its retention, so `stored_at` cannot be used."
                )
            if seconds is None:
                raise DeviceError("Expected `time` with `stored_at`: how long the cell was stored [s].")
            seconds *= arrhenius_factor(self.retention.activation_energy, store, self.retention.temperature)
        if seconds is not None and self.retention is not None:
            self.retention.warn_beyond(seconds, self.name)
        moved = replace(
            self,
            time=self.time if seconds is None else seconds,
            temperature=self.temperature if kelvin is None else kelvin,
            compensation=self.compensation if compensation is None else as_compensation(compensation),
        )
        moved._warn_above_subthreshold()
        return moved

    def _warn_above_subthreshold(self) -> None:
        """Warn where the law of temperature puts the full current above I_0, which no cell in subthreshold carries."""
        law, kelvin = self.temperature_law, self.temperature
        if not isinstance(law, SubthresholdTemperature) or kelvin is None:
            return
        full, limit = float(law.current(self.i_max, kelvin)) * self._bias_factor, law.i_0_at(kelvin)
        if full > limit:
            warnings.warn(
                f"Cell {self.name!r}: at {kelvin:g} K the subthreshold law puts its full current at "
                f"{engineering(full, 'A')}, above I_0 ({engineering(limit, 'A')}), where it no longer holds: cells "
                "leave weak inversion and carry less.",
                ExtrapolationWarning,
                stacklevel=3,
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the cell as plain values: its numbers with their units, its law of error, and all sources."""
        values = self.error.values()
        return plain_dict(
            {
                "name": self.name,
                "technology": self.technology,
                "i_max_a": self.i_max,
                "on_off_ratio": self.on_off_ratio,
                "read_voltage_v": self.read_voltage,
                "time_s": self.time,
                "temperature_k": self.temperature,
                **({} if self.compensation is None else {"compensation": self.compensation.to_dict()}),
                "error_model": self.error.name,
                **({"error_scale": self.error_scale} if self.error_scale != 1.0 else {}),
                "parameters": {name: {"value": value, "unit": self.error.unit(name)} for name, value in values.items()},
                "provenance": dict(self.provenance),
            }
        )

    def on_die(self, seed: Seed, wafer_seed: Seed | None = None) -> Self:
        """Return the cell on one die: the common deviation of its cells in the mean, the rest in the spread.

        Args:
            seed: chooses the die.
            wafer_seed: chooses the wafer, so that dies can share one; None: drawn with the die.

        Raises:
            DeviceError: the cell has no variance components.
        """
        if self.spatial is None:
            raise DeviceError(f"Cell {self.name!r} has no variance components over dies and wafers.")
        generator = _generator(seed)
        die = float(generator.standard_normal())
        wafer = float((generator if wafer_seed is None else _generator(wafer_seed)).standard_normal())
        deviate = math.sqrt(self.spatial.die) * die + math.sqrt(self.spatial.wafer) * wafer
        return replace(self, die_deviate=deviate)

    @property
    def has_uncertainty(self) -> bool:
        """Whether covariances or standard errors are known, so that `draw` changes the parameters."""
        points = self.retention.points if self.retention is not None else ()
        shifts = [self.mean_error, *(point.mean for point in points)]
        return (
            self.covariance is not None
            or self.read_noise_covariance is not None
            or bool(self.retention_covariance)
            or any(getattr(shift, "stderr", None) is not None for shift in shifts)
            or (self.tail is not None and self.tail.stderr > 0)
        )

    def draw(self, seed: Seed) -> Self:
        """Return the cell of one chip: parameters drawn from the uncertainty of their fit, and a die.

        Positive parameters are drawn on their logarithms, mean currents from their standard errors. Where the error is
        correlated over dies and wafers, the die is drawn too (`on_die`), so that all arrays of the chip share it. A
        cell with neither is returned as it is.

        Args:
            seed: a seed or generator.
        """
        generator = _generator(seed)
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
            law = None if retention.law is None else retention.law.draw(generator)
            retention = replace(retention, points=points, law=law)
        noise, tail = self.read_noise, self.tail
        return replace(
            self,
            error=draw_error(self.error, self.covariance, generator),
            mean_error=draw_shift(self.mean_error, generator),
            retention=retention,
            read_noise=None if noise is None else draw_error(noise, self.read_noise_covariance, generator),
            tail=None if tail is None else tail.draw(generator),
        )


def _number(value: float) -> bool:
    return isinstance(value, int | float | np.floating | np.integer) and not isinstance(value, bool)


def _positive(value: float) -> bool:
    return is_real(value) and value > 0


def _numbers(values: ArrayLike) -> Currents | None:
    """Return numbers as an array, None for what is no number."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None


def _generator(seed: Seed) -> np.random.Generator:
    if seed is not None:
        try:
            return np.random.default_rng(seed)
        except (TypeError, ValueError):
            pass
    raise DeviceError(f"Expected `seed` to be a whole number of at least 0 or a numpy Generator, but got {seed!r}.")
