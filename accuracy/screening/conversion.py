"""Errors between exact cells and digital outputs: rounding of inputs and ADCs, clipping, wires, periphery, read noise.

They are read, not derived: the layer's arrays on the design read about a thousand inputs from the calibration data,
with exact cells and once with programmed ones. What the readings differ by is split, for each column, into an offset, a
gain and a rest; the rest is taken as independent from reading to reading.

ADCs do more to errors of cells than add to them: where one code is one digit, errors below half a code are rounded
away; where columns saturate, they are cut. So the errors of programmed cells are regressed on what these cells change
in exact products; the slope is the share of them that arrives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy.calibration.calibrate import needs_currents, set_adc_ranges, set_input_ranges
from accuracy.kernels.histograms import Observation
from accuracy.layers.analog_layers import AnalogLayer, analog_layer, with_own_bits
from accuracy.layers.gradients import product
from accuracy.layers.layer_state import Mode
from accuracy.screening.errors import ScreeningError
from accuracy.screening.sensitivities import LayerSensitivity
from circuits import Core

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ColumnErrors:
    """Errors of a layer's outputs with exact cells, by column, in units of the outputs; shapes (columns,).

    Attributes:
        offset: mean error where the output is 0.
        gain: mean error in proportion to the output (without bias).
        variance: of what is left.
        offset_variance: of the offset over chips.
        gain_variance: of the gain over chips.
    """

    offset: Floats
    gain: Floats
    variance: Floats
    offset_variance: Floats
    gain_variance: Floats

    @classmethod
    def none(cls, columns: int) -> ColumnErrors:
        """Return no errors."""
        return cls(*(np.zeros(columns) for _ in range(5)))


@dataclass(frozen=True, eq=False)
class LayerConversion:
    """What one layer's arrays on a design do with exact cells.

    Attributes:
        rounding: errors of inputs and ADCs, which cells without errors have as well.
        built: errors of wires, periphery and read noise beside, and of ADCs beside errors of cells.
        arriving: share of the errors of cells that is left behind the ADCs.
        flipped: share of flipped columns of each slice.
    """

    rounding: ColumnErrors
    built: ColumnErrors
    arriving: float
    flipped: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class ExactReading:
    """A layer on a design, with what it reads on exact cells and ideal circuits.

    Attributes:
        layer: with its ranges.
        weights: what exact cells stand for, shape (rows, columns).
        exact: products with them, columns last.
        ideal: readings.
        rounding: errors of inputs and ADCs.
    """

    layer: AnalogLayer
    weights: Tensor
    exact: Tensor
    ideal: Tensor
    rounding: ColumnErrors


def read_exactly(sensitivity: LayerSensitivity, core: Core) -> ExactReading:
    """Return a layer's readings with exact cells behind ideal circuits; of a cell, its on/off ratio counts alone.

    Args:
        sensitivity: of the layer, with its inputs.
        core: as built.

    Raises:
        ScreeningError: a design whose weights have no common full scale.
        MappingError, DesignError, CalibrationError: the layer is impossible on the design.
    """
    reference, x = sensitivity.layer, sensitivity.x
    own = with_own_bits(core, reference.digital)
    if own.design.weight_scale not in ("layer", "column"):
        raise ScreeningError(
            f"Core {core.name!r} scales its weights by {own.design.weight_scale!r}; the screen knows one full scale a "
            "layer or a column: try it with trials."
        )
    if own.design.bias_rows:
        raise ScreeningError(f"Core {core.name!r} has biases on its arrays, which the screen leaves to trials.")
    layer = analog_layer(reference.name, reference.digital, own, reference.key)
    with torch.no_grad():
        _set_ranges(layer, sensitivity)
        layer.array.idealise()
        weights = layer.array.programmed_weights()
        exact = product(layer.sized(x), x, weights.to(x.dtype))
        ideal = _read(layer, x)
        return ExactReading(layer, weights, exact, ideal, _split(ideal - exact, exact))


def layer_conversion(reading: ExactReading, x: Tensor, core: Core, seed: int = 0) -> LayerConversion:
    """Return the errors of a layer's conversions on a core.

    Args:
        reading: of the layer, for this core's design and on/off ratio.
        x: the inputs that it read.
        core: as built.
        seed: of programmed cells, drawn peripheries and noise.
    """
    flipped = tuple(float(part.mean()) for part in reading.layer.array.mapping.flipped)
    errs = core.cell is not None or core.faults is not None
    has_adc = core.design.adc_bits is not None
    if not (acts(core) or (errs and has_adc)):
        return LayerConversion(reading.rounding, ColumnErrors.none(reading.exact.shape[-1]), 1.0, flipped)
    digital = reading.layer
    layer = analog_layer(digital.name, digital.digital, with_own_bits(core, digital.digital), digital.key)
    layer.set_calibration(digital.calibration)
    layer.mode = Mode.ANALOG
    draws, shares = [], []
    with torch.no_grad():
        for draw in range(2 if _is_drawn(layer) else 1):
            layer.program(seed + draw)
            change = layer.array.programmed_weights() - reading.weights
            moved = product(layer.sized(x), x, change.to(x.dtype)).double()
            error = _read(layer, x).double() - reading.ideal.double()
            power = float(moved.square().sum())
            share = float((error * moved).sum()) / power if power > 0 else 1.0
            shares.append(share)
            draws.append(_split(error - share * moved, reading.exact))
    return LayerConversion(reading.rounding, _over_draws(draws), float(np.mean(shares)), flipped)


def _set_ranges(layer: AnalogLayer, sensitivity: LayerSensitivity) -> None:
    """Calibrate the layer alone, on the inputs that were kept."""
    seen = Observation(layer.design.slices)
    seen.positive, seen.negative = sensitivity.inputs.positive, sensitivity.inputs.negative
    seen.samples, seen.thorough = sensitivity.inputs.samples, True
    layer.observed = seen
    set_input_ranges([layer])
    layer.array.idealise()
    if needs_currents(layer):
        layer.mode = Mode.OBSERVE_CURRENTS
        layer(sensitivity.x)
    set_adc_ranges([layer])
    layer.mode, layer.observed = Mode.ANALOG, None


def acts(core: Core) -> bool:
    """Return whether anything but ideal ADCs stands between exact cells and outputs of a core."""
    noisy = core.cell is not None and core.cell.read_noise is not None
    has_adc = core.design.adc_bits is not None
    return core.lines.any or noisy or (has_adc and (core.column_peripherals is not None or any(core.adc_errors)))


def _is_drawn(layer: AnalogLayer) -> bool:
    return layer.array.physics.peripherals is not None or bool(layer.array.physics.adc)


def _read(layer: AnalogLayer, x: Tensor) -> Tensor:
    found = layer.columns_last(layer.array_outputs(x))
    bias = layer.bias
    return found if bias is None else found - bias


def _split(error: Tensor, exact: Tensor) -> ColumnErrors:
    """Regress errors on outputs, column by column."""
    e, y = (part.reshape(-1, part.shape[-1]).double() for part in (error, exact))
    mean, centre = e.mean(dim=0), y.mean(dim=0)
    variance = y.var(dim=0, unbiased=False)
    moves = variance > 1e-12 * (centre**2 + 1e-300)
    gain = torch.where(moves, ((e - mean) * (y - centre)).mean(dim=0) / torch.where(moves, variance, 1.0), 0.0)
    rest = e - mean - gain * (y - centre)
    offset = mean - gain * centre
    nothing = np.zeros(len(gain))
    return ColumnErrors(offset.numpy(), gain.numpy(), rest.square().mean(dim=0).numpy(), nothing, nothing)


def _over_draws(draws: list[ColumnErrors]) -> ColumnErrors:
    """Put readings of differently drawn peripheries together; their spread is pooled over the layer's columns."""
    if len(draws) == 1:
        return draws[0]
    one, other = draws
    columns = len(one.offset)
    return ColumnErrors(
        (one.offset + other.offset) / 2,
        (one.gain + other.gain) / 2,
        (one.variance + other.variance) / 2,
        np.full(columns, np.mean((one.offset - other.offset) ** 2) / 2),
        np.full(columns, np.mean((one.gain - other.gain) ** 2) / 2),
    )
