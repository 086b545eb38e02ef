"""From inputs to outputs: quantise, draw column currents, convert, sum digitally.

Several ways lead through it and agree but for rounding ties. The general one is plain torch, serves every device and
every stage of `physics`, and lets calibration look at currents. Where only quantisation and programming errors act on
the host, one-bit digital accumulation is looked up (`bit_serial`), convolutions accumulated in analog are summed and
converted in registers (`direct_convolution`), and everything else is convolved and converted in one pass (`direct`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from accuracy.arrays.analog_array import AnalogArray
from accuracy.arrays.physics import read_noise_inputs, slice_noise_input, through_peripherals, weighted_inputs
from accuracy.arrays.wires import bit_line_currents
from accuracy.kernels import bit_serial, direct, direct_convolution, fused
from accuracy.kernels.ranges import Observation
from accuracy.mapping.adc import AdcRanges
from accuracy.mapping.inputs import digitised_slices, input_steps, quantise_inputs, slice_layout

Observer = Callable[[Tensor], None]


@dataclass(frozen=True, eq=False)
class Reading:
    """How a layer reads its array.

    Attributes:
        full_scale: input value that counts as 1.
        signed: whether inputs carry signs.
        adc: range and levels of each slice; None to leave currents as they are.
        bias: digital biases, shape (columns,).
        relu: whether negative outputs become 0.
        observer: called with the currents of every (input slice, partition) before conversion, shape
            (..., blocks, physical columns).
        observation: where currents are counted, for calibration.
    """

    full_scale: float
    signed: bool
    adc: AdcRanges | None
    bias: Tensor | None = None
    relu: bool = False
    observer: Observer | None = None
    observation: Observation | None = None


def read(array: AnalogArray, x: Tensor, how: Reading) -> Tensor:
    """Return a layer's outputs for real inputs, shape (..., columns), in the floating type of the array.

    Args:
        array: programmed cells.
        x: inputs, in the layout of the array's operator; the first axis counts images.
        how: scales, ADC ranges, biases.
    """
    array.noise.begin(x.shape[0])
    if _counts_by_look_up(array, how):
        return _count(array, x, how)
    if _fast(array, how):
        assert how.adc is not None
        if bit_serial.suits(array.mapping.design, array.operator, how.signed, how.adc):
            return _look_up(array, x, how, how.adc)
        if not array.wide and direct_convolution.suits(array.operator, array.mapping.design):
            return _in_registers(array, x, how, how.adc)
        return _direct(array, x, how, how.adc)
    integers, unit = _quantise(array, x, how)
    integers = array.operator.prepare(integers)
    total = _sum(array, integers, unit, how) * (array.output_scale.to(array.accumulator) * how.full_scale)
    return _finish(array, total, how)


def _fast(array: AnalogArray, how: Reading) -> bool:
    """Whether the C kernels serve: they convert float32 currents on the host, and know no stage but programming."""
    if how.adc is None or not fused.available() or not _plain(array, how):
        return False
    return max(how.adc.levels) < fused.LARGEST_CODE and array.mapping.design.input_bits is not None


def _plain(array: AnalogArray, how: Reading) -> bool:
    """Whether nothing but programming errors and conversion acts, in float32 on the host, unobserved."""
    if how.observer is not None or array.resistive or array.reads_noisily or array.peripherals is not None:
        return False
    return array.device.type == "cpu" and array.dtype == torch.float32


def _counts_by_look_up(array: AnalogArray, how: Reading) -> bool:
    if how.observation is None or how.adc is not None or not fused.available() or not _plain(array, how):
        return False
    return bit_serial.suits(array.mapping.design, array.operator, how.signed, None)


def _quantise(array: AnalogArray, x: Tensor, how: Reading) -> tuple[Tensor, float]:
    """Return integers and the value of one, and count what is out of range."""
    design = array.mapping.design
    if design.input_bits is None:
        return x / how.full_scale, 1.0
    lowest = -how.full_scale if how.signed else 0.0
    array.inputs_seen += x.numel()
    array.inputs_clipped += int(((x > how.full_scale) | (x < lowest)).sum())
    return quantise_inputs(x / how.full_scale, design, how.signed)


def _fused_quantise(array: AnalogArray, x: Tensor, how: Reading) -> tuple[Tensor, float]:
    integers, clipped = direct.quantise(x, how.full_scale, how.signed, array.mapping.design, array.operator)
    array.inputs_seen += x.numel()
    array.inputs_clipped += clipped
    steps = input_steps(array.mapping.design, how.signed)
    assert steps is not None
    return array.operator.prepare(integers), 1.0 / steps


def _finish(array: AnalogArray, total: Tensor, how: Reading) -> Tensor:
    """Subtract a unit column, add biases, cut off negative outputs; `total` has the full scale applied."""
    if array.mapping.design.has_unit_column:
        columns = array.mapping.columns
        measured = total[..., columns:]
        total = total[..., :columns] - measured.repeat_interleave(columns // measured.shape[-1], dim=-1)
        total = total * array.step
    if how.bias is not None:
        total = total + how.bias
    total = total.to(array.dtype)
    return total.clamp_(min=0.0) if how.relu else total


def _look_up(array: AnalogArray, x: Tensor, how: Reading, adc: AdcRanges) -> Tensor:
    integers, unit = _fused_quantise(array, x, how)
    scale = array.output_scale.numpy() * how.full_scale
    total = array.reader(how.signed).read(integers, unit, adc, scale, wide=array.wide)
    return _finish(array, total, how)


def _count(array: AnalogArray, x: Tensor, how: Reading) -> Tensor:
    assert how.observation is not None
    integers, unit = _fused_quantise(array, x, how)
    scale = array.output_scale.numpy() * how.full_scale
    total = array.reader(how.signed).count(
        integers, unit, how.observation.currents, scale, absolute=how.observation.symmetric, wide=array.wide
    )
    return _finish(array, total, how)


def _in_registers(array: AnalogArray, x: Tensor, how: Reading, adc: AdcRanges) -> Tensor:
    steps = input_steps(array.mapping.design, how.signed)
    assert steps is not None
    bias = None if how.bias is None else how.bias.detach().numpy().astype(np.float64)
    key = (how.full_scale, how.signed, adc, how.relu, None if bias is None else bias.tobytes())
    reader = array.convolution_reader(key)
    if reader is None:
        scale = array.output_scale.numpy() * how.full_scale
        reader = direct_convolution.ConvolutionReader(
            array.operator,
            array.mapping.partitions,
            array.column_matrices(),
            array.factors.numpy() * scale,
            adc,
            lines=array.lines,
            start=np.zeros(scale.size) if bias is None else bias,
            floor=0.0 if how.relu else -math.inf,
        )
        array.keep_convolution_reader(key, reader)
    lowest = -float(steps) if how.signed else 0.0
    result, clipped = reader.read(x, steps / how.full_scale, lowest, float(steps), 1.0 / steps)
    array.inputs_seen += x.numel()
    array.inputs_clipped += clipped
    return result


def _direct(array: AnalogArray, x: Tensor, how: Reading, adc: AdcRanges) -> Tensor:
    scale = array.output_scale.numpy() * how.full_scale
    whole = not array.wide
    start = how.bias.detach().numpy().astype(np.float64) if whole and how.bias is not None else np.zeros(scale.size)
    reader = direct.DirectReader(
        array.mapping.design,
        array.operator,
        array.currents,
        array.kernels(),
        factors=array.factors.numpy(),
        lines=array.lines,
        wide=array.wide,
        signed=how.signed,
        adc=adc,
        scale=scale,
        start=start,
        floor=0.0 if how.relu and whole else -math.inf,
    )
    result: Tensor | None = None
    done = 0
    for part in torch.split(x, reader.chunk(x)):
        integers, unit = _fused_quantise(array, part, how)
        images = slice(done, done + part.shape[0])
        done = images.stop
        if whole:
            # Sums are finished outputs: they are written where they belong.
            def place(shape: Sequence[int], images: slice = images) -> Tensor:
                nonlocal result
                if result is None:
                    result = torch.empty((x.shape[0], *shape[1:]))
                return result[images]

            reader.read(integers, unit, place)
            continue
        total = reader.read(integers, unit, lambda shape: torch.empty(tuple(shape), dtype=torch.float64))
        if array.sum_factors is not None:
            total = total + array.input_sums(integers) * (unit * torch.from_numpy(scale))
        finished = _finish(array, total, how)
        result = torch.empty((x.shape[0], *finished.shape[1:])) if result is None else result
        result[images] = finished
    assert result is not None
    return result


def _sum(array: AnalogArray, x: Tensor, unit: float, how: Reading) -> Tensor:
    """Return the digital sum over slices and partitions; shape (..., physical columns)."""
    factors = array.factors.to(array.accumulator)
    total: Tensor | None = None
    for partition, v, weight in _column_currents(array, x, unit, how):
        if how.observer is not None:
            how.observer(v)
        if how.observation is not None:
            how.observation.add_currents(v)
        if how.adc is not None:
            v = _digitised(array, partition, v, how.adc)
        reading = (v.to(array.accumulator) * (factors[partition] * weight)).sum(dim=-2)
        total = reading if total is None else total + reading
    assert total is not None
    if array.sum_factors is not None:
        total = total + array.input_sums(x) * unit
    return total


def _column_currents(array: AnalogArray, x: Tensor, unit: float, how: Reading) -> Iterator[tuple[int, Tensor, float]]:
    """Yield (partition, currents, weight of the reading) for everything that is converted by itself."""
    design = array.mapping.design
    if array.resistive:
        yield from _wired_currents(array, x, unit, how)
        return
    weights = None if array.peripherals is None else array.peripherals.bit_weights
    unequal = weights is not None and design.input_accumulation == "analog" and design.input_slice_bits == 1
    for piece in digitised_slices(x, unit, design, how.signed):
        values, value = piece.values, piece.unit
        if unequal and weights is not None:
            values, value = weighted_inputs(x, design, how.signed, weights), 1.0
        for partition, kernel in enumerate(array.kernels()):
            v = array.currents(values, kernel).mul_(value)
            if array.reads_noisily:
                if design.input_accumulation == "analog":
                    share = read_noise_inputs(x, unit, design, how.signed)
                else:
                    share = slice_noise_input(piece.values, design) * piece.unit**2
                v = v + _read_noise(array, share, partition)
            yield partition, v, piece.weight


def _wired_currents(array: AnalogArray, x: Tensor, unit: float, how: Reading) -> Iterator[tuple[int, Tensor, float]]:
    design = array.mapping.design
    layout = slice_layout(design, how.signed)
    weights = None if array.peripherals is None else array.peripherals.bit_weights
    for partition, rows in enumerate(array.mapping.partitions):
        cells = array.conductances[:, :, rows, :]
        currents = bit_line_currents(
            array.operator, x, rows, cells, design, array.physics.bit_line, how.signed, weights
        )
        if design.input_accumulation == "analog":
            share = read_noise_inputs(x, unit, design, how.signed) if array.reads_noisily else None
            noise = 0.0 if share is None else _read_noise(array, share, partition)
            yield partition, currents[0] + noise, 1.0
            continue
        for v, piece, (_, _, _, weight) in zip(
            currents, digitised_slices(x, unit, design, how.signed), layout, strict=True
        ):
            share = slice_noise_input(piece.values, design) * piece.unit**2
            yield partition, v + (_read_noise(array, share, partition) if array.reads_noisily else 0.0), weight


def _read_noise(array: AnalogArray, share: Tensor, partition: int) -> Tensor:
    """Return read noise of column currents; rounding can leave a variance a hair below 0."""
    variance = array.currents(share, array.noise_kernels()[partition]).clamp_(min=0.0)
    return variance.sqrt_() * array.noise.normals(variance.shape, variance)


def _digitised(array: AnalogArray, partition: int, v: Tensor, adc: AdcRanges) -> Tensor:
    if array.peripherals is not None:
        assert array.column_errors is not None
        errors = array.column_errors[partition]
        v = through_peripherals(v, adc, array.lines, array.peripherals, errors, array.noise)
    shape = (array.blocks, 1)
    lo, hi, q = (
        torch.tensor(values, device=v.device, dtype=v.dtype).repeat_interleave(array.lines).reshape(shape)
        for values in (
            [r[0] for r in adc.ranges],
            [r[1] for r in adc.ranges],
            adc.codes_per_unit,
        )
    )
    return torch.round((torch.minimum(torch.maximum(v, lo), hi) - lo) * q) / q + lo
