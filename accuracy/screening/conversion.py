"""Errors between exact cells and digital outputs: rounding of inputs and ADCs, clipping, wires, periphery, read noise.

They are read, not derived: the layer's arrays on the design, with cells that hold exactly their targets, read a few
thousand inputs from the calibration data. What the readings differ by from exact products is split, for each column,
into an offset, a gain and a rest; the rest is taken as independent from reading to reading.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy.arrays.analog_array import digit_conductances
from accuracy.arrays.cells import ExactCells
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
        built: errors of wires, periphery and read noise beside.
        flipped: share of flipped columns of each slice.
    """

    rounding: ColumnErrors
    built: ColumnErrors
    flipped: tuple[float, ...]


def layer_conversion(sensitivity: LayerSensitivity, core: Core, seed: int = 0) -> LayerConversion:
    """Return the errors of a layer's conversions on a core.

    Args:
        sensitivity: of the layer, with its inputs.
        core: as built.
        seed: of drawn peripheries and noise.

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
        rounding = _split(ideal - exact, exact)
        built = ColumnErrors.none(exact.shape[-1])
        if acts(core):
            reads = [_read_built(layer, x, seed + draw) for draw in range(2 if _is_drawn(layer) else 1)]
            built = _over_draws([_split(read - ideal, exact) for read in reads])
    flipped = tuple(float(part.mean()) for part in layer.array.mapping.flipped)
    return LayerConversion(rounding, built, flipped)


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


def _read_built(layer: AnalogLayer, x: Tensor, seed: int) -> Tensor:
    """Return outputs of exact cells behind everything else of the core, drawn afresh."""
    array = layer.array
    layer.program(seed)
    array.take_cells(ExactCells(array.mapping, digit_conductances(array.mapping, array.g_min)))
    return _read(layer, x)


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
