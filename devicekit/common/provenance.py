"""A constant with its unit, kind, source and interval."""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, model_validator

Kind = Literal["measured", "published", "fitted", "simulated", "resampled", "assumed"]


def kind_named(text: str) -> Kind:
    """Return the kind that a file's own words begin with (``"resampled from ..."``); assumed for any other word."""
    words = text.strip().lower().split()
    return next((kind for kind in get_args(Kind) if words and words[0].strip(",.;:") == kind), "assumed")


class Constant(BaseModel):
    """One constant with its unit, its kind, its source and the interval it lies in.

    Attributes:
        value: the number, in `unit`.
        unit: unit as text, such as ``"pJ"`` or ``"um2"``.
        kind: how it was obtained.
        source: where it was obtained: a citation, a file, or the reason for an assumption.
        interval: 95 % interval (low, high) in `unit`; None for exact or unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    value: float
    unit: str
    kind: Kind
    source: str
    interval: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _interval_holds_value(self) -> Self:
        if self.interval is not None and not self.interval[0] <= self.value <= self.interval[1]:
            raise ValueError(f"interval {self.interval} does not hold the value {self.value}")
        if not self.source.strip():
            raise ValueError("source is empty")
        return self
