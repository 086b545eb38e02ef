"""What an analog layer is set to: what a pass computes, the ranges found by calibration, digital corrections."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from torch import Tensor

from accuracy.mapping.adc import Range


class Mode(Enum):
    """What a forward pass of an analog layer computes."""

    FLOAT = "float"
    OBSERVE_INPUTS = "observe inputs"
    OBSERVE_CURRENTS = "observe currents"
    ANALOG = "analog"


@dataclass
class Calibration:
    """What calibration found for one layer.

    Attributes:
        design: the design it holds for, as plain values.
        x_min: lower edge of the input range.
        x_max: upper edge.
        ranges: ADC range of each slice; empty for designs without ADCs.
        samples: images the ranges rest on.
        clipped: fraction of the calibration currents beyond the range, for each slice.
        used_codes: fraction of the ADC's codes that calibration currents reach, for each slice.
        useful_range: range over the largest current of the array's rows, for each slice: the part of full scale that
            carries signal.
        common: mean current of a line of each slice, in units of a full cell; empty where no circuit asks for it.
        ran: whether the layer ran on the calibration data; one that did not has no ranges worth the name.
    """

    design: dict[str, Any]
    x_min: float
    x_max: float
    ranges: tuple[Range, ...] = ()
    samples: int = 0
    clipped: tuple[float, ...] = ()
    used_codes: tuple[float, ...] = ()
    useful_range: tuple[float, ...] = ()
    ran: bool = True
    common: tuple[float, ...] = ()

    @property
    def signed(self) -> bool:
        """Whether the layer's inputs carry signs."""
        return self.x_min < 0

    @property
    def scale(self) -> float:
        """Input value that counts as full scale."""
        return max(-self.x_min, self.x_max)


@dataclass(frozen=True, eq=False)
class ColumnCorrection:
    """A digital gain and offset of each column.

    Attributes:
        gain: shape (columns,).
        offset: shape (columns,), in output units.
    """

    gain: Tensor
    offset: Tensor

    def apply(self, columns: Tensor) -> Tensor:
        """Return corrected outputs; columns are the last axis."""
        return columns * self.gain.to(columns) + self.offset.to(columns)

    def after(self, first: ColumnCorrection | None) -> ColumnCorrection:
        """Return this correction on top of another."""
        if first is None:
            return self
        return ColumnCorrection(self.gain * first.gain, self.gain * first.offset + self.offset)
