"""Schema of device files, checked when one is read; docs/devices.md describes it in words."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from devicekit.common.provenance import Kind

FORMAT = "devicekit-cell-1"
"""First line of every device file; a later, different form gets another number."""


def _no_truth_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("Input should be a number, not true or false")
    return value


Real = Annotated[float, BeforeValidator(_no_truth_value)]
"""A finite number; true is not 1."""
Quantity = Annotated[float | str, BeforeValidator(_no_truth_value)]
"""A number in SI units, or text with a unit such as ``"1.6 uA"``."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Number(_Table):
    """One constant with its provenance."""

    value: Real
    unit: str = ""
    kind: Kind
    source: str
    interval: tuple[Real, Real] | None = None


class ErrorTable(_Table):
    """An error model: its name, its parameters and their covariance (SI units)."""

    model: str
    parameters: dict[str, Quantity | list[Real] | list[str]]
    covariance: list[list[Real]] | None = None
    kind: Kind
    source: str
    note: str | None = None


class MeanTable(_Table):
    """Mean currents at some targets, all in `unit`."""

    model: Literal["table"]
    unit: str
    targets: list[Real]
    means: list[Real]
    stderr: list[Real] | None = None
    kind: Kind
    source: str
    note: str | None = None


class MeanPolynomial(_Table):
    """Mean minus target as a polynomial, all in `unit`."""

    model: Literal["polynomial"]
    unit: str
    coefficients: list[Real]
    valid: tuple[Real, Real]
    kind: Kind
    source: str
    note: str | None = None


Mean = Annotated[MeanTable | MeanPolynomial, Field(discriminator="model")]


class PointTable(_Table):
    """Mean and spread at one time."""

    time: Quantity
    mean: Mean | None = None
    error: ErrorTable


class RetentionLawTable(_Table):
    """How mean and spread go on after the last time; see `retention_laws`."""

    model: Literal["power", "log_time"]
    unit: str
    targets: list[float]
    rates: list[float]
    stderr: list[float] | None = None
    sigma_rate: float = 0.0
    sigma_stderr: float = 0.0
    t_0: Quantity = 1.0
    kind: Kind
    source: str


class ClippedLogarithmTable(_Table):
    """min(max(slope ln g + intercept, low), high), g the state over full scale."""

    slope: Real
    intercept: Real
    low: Real
    high: Real


class FlickerTable(_Table):
    """Q = min(coefficient / g^exponent, high)."""

    coefficient: Real
    exponent: Real
    high: Real


class DriftLawTable(_Table):
    """Drift with a spread of exponents, and 1/f noise; see `drift_law`."""

    model: Literal["drift"]
    full_scale: Quantity
    nu: ClippedLogarithmTable
    nu_sigma: ClippedLogarithmTable
    flicker: FlickerTable
    t_read: Quantity
    measured_until: Quantity
    kind: Kind
    source: str


class RetentionTable(_Table):
    """Mean and spread at later times; the programmed state at time 0 is the file's own `mean` and `error`."""

    time_axis: Literal["linear", "log"] = "linear"
    start: Quantity = 0.0
    """Time after programming of the file's own `mean` and `error`."""
    temperature: Number | None = None
    activation_energy: Number | None = None
    points: list[PointTable] = Field(default_factory=list)
    law: Annotated[RetentionLawTable | DriftLawTable, Field(discriminator="model")] | None = None


class SubthresholdTable(_Table):
    """Read temperature by the subthreshold law."""

    model: Literal["subthreshold"]
    i_0: Number
    eta: Number
    threshold_slope: Number
    reference: Number
    i_0_exponent: Number | None = None


class MeasuredTemperatureTable(_Table):
    """Read temperature as measured: I(T) / I(reference)."""

    model: Literal["measured"]
    unit: str
    temperatures_k: list[Real]
    currents: list[Real]
    ratios: list[list[Real]]
    reference_k: Real
    kind: Kind
    source: str


class SpatialTable(_Table):
    """Shares of the variance."""

    die: Number
    wafer: Number


class TailTable(_Table):
    """Outlier cells: their share, where they lie, and how far out in spreads of the body."""

    fraction: Number
    shape: Literal["normal", "low", "high", "uniform"] = "normal"
    scale: Number | None = None


class DeviceFile(_Table):
    """A whole device file."""

    format: Literal["devicekit-cell-1"]
    name: str
    technology: str
    error_scale: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)
    title: str
    notes: list[str] = Field(default_factory=list)
    i_max: Number
    on_off_ratio: Number
    read_voltage: Number
    error: ErrorTable
    mean: Mean | None = None
    retention: RetentionTable | None = None
    read_noise: ErrorTable | None = None
    temperature: Annotated[SubthresholdTable | MeasuredTemperatureTable, Field(discriminator="model")] | None = None
    spatial: SpatialTable | None = None
    tail: TailTable | None = None
    measured_range: tuple[Quantity, Quantity] | None = None
    """Lowest and highest programmed state that was measured."""
    fit: dict[str, Any] | None = None
    """Record of the fit (data file, criterion, alternatives); not used by the cell."""
