"""Peripherals of one sized circuit as a function of range and common current, interpolated in a recorded grid.

ngspice is run at a few full-scale and common currents of each gain tap (`circuits.peripherals.grid_runs`).
Between them errors are interpolated as what they are: voltages at the ADC and shares of the current, which change
slowly, not codes, which go with one over the range. Needs neither ngspice nor PySpice.
"""

from __future__ import annotations

import functools
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from circuits.bit_line.envelope import EnvelopeWarning
from circuits.peripherals.model import NonNegative, PeripheralError, PeripheralModel, first_problem
from devicekit.common.paths import replacing
from devicekit.common.provenance import Constant

LINEAR = ("gain", "offset_lsb", "common_gain", "common_offset_lsb", "clip_low", "clip_high")
"""Figures of a point that are interpolated as they are; offsets in codes with the range taken out."""
SPREADS = ("gain_sigma", "offset_sigma_lsb", "common_offset_sigma_lsb", "noise_lsb", "shot_noise_lsb", "pattern_lsb")
"""Figures whose squares are interpolated."""
COMMON_REACH = (0.05, 2.5)
"""How far below its smallest and above its largest common current the law of a run's patterns holds."""
_OF_RANGE = (
    "offset_lsb",
    "offset_sigma_lsb",
    "common_offset_lsb",
    "common_offset_sigma_lsb",
    "noise_lsb",
    "noise_before_adc_lsb",
    "noise_common_lsb",
    "kick_back_lsb",
)
"""Figures in codes that go with one over the range, more or less."""


class GridPoint(BaseModel):
    """What ngspice gave at one full-scale and one common current.

    Attributes:
        full_scale_a: full-scale current of the ADC's range [A].
        common_a: mean current of a column's lines [A].
        tap: gain of the gain stage.
        figures: of `LINEAR` and `SPREADS` by name; ``calibration`` and ``ramp``, the factors by which range and ramp
            were fitted; ``settling_time`` [s] and ``kick_back_lsb``.
        inl_lsb: integral non-linearity at evenly spaced positions [LSB].
        energy_j: energy of a conversion by block [J].
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    full_scale_a: float = Field(gt=0)
    common_a: NonNegative
    tap: float = Field(gt=0)
    figures: dict[str, float]
    inl_lsb: tuple[float, ...]
    energy_j: dict[str, float] = Field(default_factory=dict)


class PeripheralGrid(BaseModel):
    """Peripherals of a circuit sized for a design, over full-scale and common currents.

    Attributes:
        name: what tables call it.
        design: the design it was sized for.
        source: simulator, parameters, seed.
        adc_bits: resolution of its ADC.
        zero: position of zero signal.
        temperature: of the runs [K].
        bit_weights: as in `PeripheralModel`, of the circuit's capacitors.
        sizing: the sized values and the load, see `circuits.peripherals.sizing.Sizing`.
        points: the runs; at each tap the same common currents at every full-scale current.
        without: whether the noise of the ADC has been taken out, see `without_adc`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["devicekit-peripheral-grid-1"] = "devicekit-peripheral-grid-1"
    name: str = Field(min_length=1)
    design: str
    source: str = Field(min_length=1)
    adc_bits: int = Field(ge=1, le=16)
    zero: float = Field(ge=0, lt=1)
    temperature: float = Field(default=300.15, gt=0)
    bit_weights: tuple[NonNegative, ...] | None = None
    sizing: dict[str, Any]
    points: tuple[GridPoint, ...] = Field(min_length=1)
    without: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for tap in self.taps:
            own = [point for point in self.points if point.tap == tap]
            scales, commons = self._axes(tap)
            if len(own) != len(scales) * len(commons):
                raise ValueError(f"points: expected a full grid of currents at the tap {tap:g}, but got {len(own)}")
        return self

    @property
    def taps(self) -> tuple[float, ...]:
        """Gains of the gain stage in rising order."""
        return tuple(sorted({point.tap for point in self.points}))

    @property
    def currents(self) -> tuple[float, float]:
        """Smallest and largest full-scale current of the runs [A]."""
        scales = [point.full_scale_a for point in self.points]
        return min(scales), max(scales)

    @property
    def common_currents(self) -> tuple[float, float]:
        """Smallest and largest common current that the runs and their law cover [A]."""
        commons = [point.common_a for point in self.points]
        return COMMON_REACH[0] * min(commons), COMMON_REACH[1] * max(commons)

    @property
    def input_bits(self) -> int:
        """Input bits before one conversion."""
        return 1 if self.bit_weights is None else len(self.bit_weights)

    @property
    def input_resistance_ohm(self) -> float:
        """Input resistance of a line's conveyor at the load's common current, as sized [Ohm]."""
        return float(self.sizing["input_resistance_ohm"])

    @property
    def nominal(self) -> PeripheralModel:
        """The model in the middle of the load that the circuit is sized for."""
        load = self.sizing["load"]
        return self.at(math.sqrt(load["largest_range_a"] * load["smallest_range_a"]), load["common_a"])

    def tap(self, full_scale: float) -> float:
        """Return the gain tap that realises a range: the largest whose runs reach it, else the least.

        Args:
            full_scale: full-scale current of the range [A].
        """
        reach = {tap: self._axes(tap)[0][-1] for tap in self.taps}
        return max((tap for tap, most in reach.items() if full_scale <= most * (1 + 1e-6)), default=self.taps[0])

    def at(self, full_scale: float, common: float, where: str = "a range") -> PeripheralModel:
        """Return the peripherals at a range and a common current, interpolated.

        Outside of the runs the nearest edge is taken, with an `EnvelopeWarning` (once for a circuit).

        Args:
            full_scale: full-scale current of the ADC's range [A].
            common: mean current of a column's lines [A]; without meaning for lines by themselves.
            where: whose range it is, for the warning.

        Raises:
            PeripheralError: currents that are not positive.
        """
        if not (math.isfinite(full_scale) and full_scale > 0 and math.isfinite(common) and common >= 0):
            raise PeripheralError(
                f"Expected currents above 0, but got a range of {full_scale} and {common} A in common."
            )
        self._check(full_scale, common, where)
        return _interpolated(self, float(full_scale), float(common))

    def _check(self, full_scale: float, common: float, where: str) -> None:
        (low, high), (least, most) = self.currents, self.common_currents
        outside = []
        if not low * (1 - 1e-6) <= full_scale <= high * (1 + 1e-6):
            outside.append(f"a full scale of {full_scale:.3g} A, outside {low:.3g} to {high:.3g} A")
        if most > least and common > most * (1 + 1e-6):
            outside.append(f"a common current of {common:.3g} A, above {most:.3g} A")
        if outside and self.name not in _warned:
            _warned.add(self.name)
            warnings.warn(
                f"The peripherals {self.name!r} are used for {where} with {' and '.join(outside)}: the edge of their "
                "runs is taken. Size and simulate a circuit for these currents (devicekit peripherals --size).",
                EnvelopeWarning,
                stacklevel=3,
            )

    def _axes(self, tap: float) -> tuple[list[float], list[float]]:
        own = [point for point in self.points if point.tap == tap]
        return sorted({point.full_scale_a for point in own}), sorted({point.common_a for point in own})

    def calibration(self, full_scale: float, common: float) -> tuple[float, float]:
        """Return the factors by which range and ramp are fitted at a place, see `Parameters.calibrated`.

        Args:
            full_scale: [A].
            common: [A].
        """
        place = _Place.of(self, full_scale, common)
        excess = place.common / place.run_common - 1 if place.run_common else 0.0
        change = place.linear("common_gain") * (place.run_common / place.common if excess else 1.0) * excess
        return place.linear("calibration") * (1 + change), place.linear("ramp")

    def without_adc(self) -> PeripheralGrid:
        """Return the grid for another ADC behind the same columns, see `PeripheralModel.without_adc`."""
        return self.model_copy(update={"without": True})

    def to_dict(self) -> dict[str, Any]:
        """Return the grid as plain values: the content of its file."""
        return self.model_dump(mode="json")

    def save(self, path: Path | str) -> Path:
        """Write the grid as a JSON file, whole or not at all.

        Args:
            path: where; the folder is made.
        """
        path = Path(path)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n", "utf-8")
        return path

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], where: str) -> Self:
        """Return a grid from plain values, as its file holds them.

        Args:
            values: fields by name.
            where: what they came from, for the message.

        Raises:
            PeripheralError: a field missing, unknown or out of its range.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise PeripheralError(f"{where}: {first_problem(error)}") from None

    def __hash__(self) -> int:
        return hash((self.name, self.source, self.without, len(self.points)))


_warned: set[str] = set()


def forget_grid_warnings() -> None:
    """Let the envelope of every grid warn again."""
    _warned.clear()


class _Place:
    """A place between the runs of a tap: points around it with their shares."""

    def __init__(self, scale: float, common: float, run_common: float, points: Sequence[tuple[GridPoint, float]]):
        self.scale, self.common, self.run_common, self.points = scale, common, run_common, points

    @classmethod
    def of(cls, grid: PeripheralGrid, full_scale: float, common: float) -> _Place:
        tap = grid.tap(full_scale)
        scales, commons = grid._axes(tap)
        scale = float(np.clip(full_scale, scales[0], scales[-1]))
        # Beyond the runs in common current their law goes on: gain and offset go with it, noise with its root.
        own = float(np.clip(common, commons[0], commons[-1]))
        known = {(point.full_scale_a, point.common_a): point for point in grid.points if point.tap == tap}
        # In 1 / range, with which voltages and codes go; the common current as it is.
        across, along = _shares([1 / s for s in scales], 1 / scale), _shares(commons, own)
        points = [(known[scales[i], commons[j]], a * b) for i, a in across for j, b in along if a * b]
        least, most = (share * end for share, end in zip(COMMON_REACH, (commons[0], commons[-1]), strict=True))
        return cls(scale, float(np.clip(common, least, most)), own, points)

    def linear(self, name: str) -> float:
        """Return a figure; one that goes with one over the range, by its product with the range."""
        return sum(share * point.figures[name] * self._weight(name, point) for point, share in self.points)

    def spread(self, name: str) -> float:
        """Return a standard deviation, by its variance."""
        squares = (share * (point.figures[name] * self._weight(name, point)) ** 2 for point, share in self.points)
        return math.sqrt(max(sum(squares), 0.0))

    def _weight(self, name: str, point: GridPoint) -> float:
        weight = point.full_scale_a / self.scale if name in _OF_RANGE else 1.0
        if name.startswith("common_") and point.common_a > 0:
            # Per relative change of the common current: in proportion to it.
            weight *= self.common / point.common_a
        return weight

    def inl(self, codes: int) -> NDArray[np.float64]:
        table = sum(share * np.array(point.inl_lsb) for point, share in self.points)
        grid = np.linspace(0, 1, len(self.points[0][0].inl_lsb))
        return np.asarray(np.interp(np.linspace(0, 1, codes), grid, table))


def _shares(axis: Sequence[float], value: float) -> list[tuple[int, float]]:
    """Return the neighbours of a value on a monotone axis with their linear shares."""
    order = np.argsort(axis)
    values = np.asarray(axis)[order]
    if values.size == 1:
        return [(int(order[0]), 1.0)]
    low = int(np.clip(np.searchsorted(values, value) - 1, 0, values.size - 2))
    share = float(np.clip((value - values[low]) / (values[low + 1] - values[low]), 0, 1))
    return [(int(order[low]), 1 - share), (int(order[low + 1]), share)]


@functools.lru_cache(maxsize=512)
def _interpolated(grid: PeripheralGrid, full_scale: float, common: float) -> PeripheralModel:
    place = _Place.of(grid, full_scale, common)
    values: dict[str, Any] = {name: place.linear(name) for name in LINEAR}
    values |= {name: place.spread(name) for name in SPREADS}
    if grid.without:
        values["noise_lsb"] = place.spread("noise_before_adc_lsb")
    # Shot noise of the common current: its variance goes with it.
    beyond = place.spread("noise_common_lsb") ** 2 * (place.common / place.run_common - 1) if place.run_common else 0.0
    values["noise_lsb"] = math.sqrt(max(values["noise_lsb"] ** 2 + beyond, 0.0))
    energies = {
        block: sum(share * point.energy_j.get(block, 0.0) for point, share in place.points)
        for block in grid.points[0].energy_j
    }
    return PeripheralModel(
        name=grid.name,
        kind="simulated",
        source=f"{grid.source}; interpolated at {full_scale:.4g} A full scale and {common:.4g} A in common",
        adc_bits=grid.adc_bits,
        zero=grid.zero,
        temperature=grid.temperature,
        inl_lsb=tuple(float(value) for value in place.inl(2**grid.adc_bits)),
        full_scale_current=full_scale,
        common_current=place.common,
        bit_weights=grid.bit_weights,
        energy={
            block: Constant(value=value, unit="J", kind="simulated", source=grid.source)
            for block, value in energies.items()
        },
        figures={
            "kick_back_lsb": Constant(
                value=place.linear("kick_back_lsb"), unit="", kind="simulated", source=grid.source
            ),
            "gain_stage_settling_time": Constant(
                value=place.linear("settling_time"), unit="s", kind="simulated", source=grid.source
            ),
            "tap": Constant(value=place.points[0][0].tap, unit="", kind="simulated", source=grid.source),
        },
        **values,
    )
