"""The runs that a peripheral model is drawn from, as arrays and as tables."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from circuits.peripherals.model import PeripheralModel
from circuits.peripherals.noise import NoiseFloor
from circuits.peripherals.parameters import Parameters
from circuits.peripherals.ramp_adc import RampRun

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Runs:
    """What ngspice gave for a column of peripherals, and the model that was drawn from it.

    Attributes:
        model: what accuracy and energy read.
        parameters: of the circuit, with the calibrated ramp.
        levels: of the static curve, in units of full scale in every bit, shape (levels,).
        front_end: static output of the front end at the levels, shape (levels,) [V].
        adc: the ADC's run over its codes.
        pattern_levels: bit levels of random patterns, least significant first, shape (patterns, bits).
        pattern_errors: output for a pattern less that of the static curve at the same sum, shape (patterns,) [LSB].
        weighted_errors: the same, with the sum taken with the weights that the bits really get.
        column_gain: gain of each column with mismatch, shape (columns,).
        column_offset_lsb: offset of each column with mismatch, shape (columns,) [LSB].
        noise: sources of noise by name.
        waveform_time: of the waveforms [s].
        waveforms: the alternating pattern through ``out`` (integrator), ``hold`` (accumulator), ``gained`` [V].
    """

    model: PeripheralModel
    parameters: Parameters
    levels: NDArray[np.float64]
    front_end: NDArray[np.float64]
    adc: RampRun
    pattern_levels: NDArray[np.float64]
    pattern_errors: NDArray[np.float64]
    weighted_errors: NDArray[np.float64]
    column_gain: NDArray[np.float64]
    column_offset_lsb: NDArray[np.float64]
    noise: dict[str, NoiseFloor]
    waveform_time: NDArray[np.float64]
    waveforms: dict[str, NDArray[np.float64]]

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the runs as tables: transfer curve, ADC, random patterns, and columns with mismatch.

        ``transfer``: level in units of full scale, front end's output [V], reading in codes and what is ideal.
        ``adc``: input from zero signal [V] and reading in codes. ``patterns``: levels of the bits, least
        significant first, and differences from the static curve [LSB]. ``columns``: gain and offset [LSB] of each.
        """
        import pandas as pd

        p = self.parameters
        bits = {f"bit_{k}": level for k, level in enumerate(self.pattern_levels.T)}
        differences = {"difference_lsb": self.pattern_errors, "difference_weighted_lsb": self.weighted_errors}
        return {
            "transfer": pd.DataFrame(
                {
                    "level": self.levels,
                    "front_end_v": self.front_end,
                    "reading_codes": reading(self.adc, self.front_end) * (p.codes - 1),
                    "ideal_codes": (p.zero + self.levels * (1 - p.zero)) * (p.codes - 1),
                }
            ),
            "adc": pd.DataFrame({"input_v": self.adc.inputs, "reading_codes": self.adc.readings}),
            "patterns": pd.DataFrame(bits | differences),
            "columns": pd.DataFrame({"gain": self.column_gain, "offset_lsb": self.column_offset_lsb}),
        }


def reading(adc: RampRun, voltage: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the position in the range that the ADC reads for a voltage, interpolated between its columns.

    Args:
        adc: a run with inputs in rising order.
        voltage: any shape [V].
    """
    inside = np.clip(voltage, adc.inputs[0], adc.inputs[-1])
    return np.asarray(PchipInterpolator(adc.inputs, adc.readings)(inside)) / (adc.codes - 1)
