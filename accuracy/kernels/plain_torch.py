"""The reading that the other kernels are held to: plain torch, on every device, with every stage of `physics`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from accuracy.arrays.analog_array import AnalogArray
from accuracy.arrays.physics import (
    read_noise_inputs,
    slice_noise_input,
    through_adc,
    through_peripherals,
    weighted_inputs,
)
from accuracy.arrays.wires import bit_line_currents, line_cells
from accuracy.errors import NotFiniteError
from accuracy.kernels import periphery
from accuracy.kernels.products import Products, bias_currents, column_products, input_sums, numpy_type
from accuracy.kernels.protocol import Reading
from accuracy.kernels.steps import finished, quantised
from accuracy.mapping.adc import UniformAdc
from accuracy.mapping.inputs import InputSlice, digitised_slices

_CACHED_VALUES = 1 << 19
"""Currents that are digitised together where images go through alone: two megabytes."""


def digitised(
    array: AnalogArray, partition: int, v: Tensor, adc: UniformAdc, how: Reading, common: Tensor | None
) -> Tensor:
    """Return what the digital side reads of column currents (..., blocks, columns): here a current becomes a code.

    Peripherals move the current first, also by the common current of a column's lines (..., slices, columns); the ADC
    may have noise and transition levels of its own.
    """
    if array.peripherals is not None:
        assert array.column_deviates is not None
        assert how.peripherals is not None
        behind = adc, how.peripherals, array.column_deviates[partition], array.noise, common
        if not periphery.available(v):
            v = through_peripherals(v, *behind)
        elif array.adc_errors is None:
            return periphery.converted(v, *behind)
        else:
            v = periphery.converted(v, *behind, convert=False)
    if array.adc_errors is None:
        return adc.read(v, overwrite=how.observer is None and how.observation is None)
    return through_adc(v, adc, array.adc_errors, array.noise, array.converters(partition))


def _bit_weights(array: AnalogArray) -> Sequence[float] | None:
    return None if array.peripherals is None else array.peripherals.bit_weights


def _follows_common_current(array: AnalogArray, how: Reading) -> bool:
    """Whether conversions depend on the common current of lines that are subtracted."""
    models = how.peripherals if array.peripherals is not None and how.adc is not None else None
    return models is not None and any(model.follows_common_current for model in models)


def _common(
    array: AnalogArray, partition: int, integers: Tensor, unit: float, piece: InputSlice, how: Reading, number: int
) -> Tensor:
    """Return the mean current of each column's lines over the one that its peripherals are for, wires left out.

    Shape (..., slices, physical columns). Phases of signed inputs count half each.
    """
    assert how.peripherals is not None
    assert array.cell is not None
    design, slices = array.mapping.design, array.mapping.design.slices
    where = ("common", array.device, array.dtype, array.operator)
    products = array.laid_out(_common, where, lambda: Products(array, array.common_matrices(), slices))
    values, value = piece.values.abs(), piece.unit
    weights = _bit_weights(array)
    if weights is not None and design.input_accumulation == "analog" and design.input_slice_bits == 1:
        values, value = weighted_inputs(integers.abs(), design, how.signed, weights), 1.0
    value *= 0.5 if how.signed else 1.0
    currents = products.currents(values, partition).mul_(value)
    if array.biases is not None and partition == 0:
        own = array.laid_out("common of biases", (), array.bias_common)
        currents += bias_currents(array, how.signed, own, weights)[number] * (0.5 if how.signed else 1.0)
    means = [model.common_current or 1.0 for model in how.peripherals]
    scale = torch.tensor([array.cell.i_max / mean for mean in means], dtype=currents.dtype, device=currents.device)
    return currents.mul_(scale[:, None])


class PlainTorch:
    """Reads any array in any way, and shows currents to whoever observes or counts them."""

    def suits(self, array: AnalogArray, how: Reading) -> bool:
        """Always."""
        return True

    def read(self, array: AnalogArray, x: Tensor, how: Reading) -> Tensor:
        """Quantise, draw column currents one by one, digitise, sum digitally.

        Where images go through alone, a few do at once, so that their currents stay in the processor's cache.
        """
        images = self._images_at_once(array, x, how)
        if images >= x.shape[0]:
            return self._read(array, x, how)
        counts = array.input_counts
        try:
            return torch.cat([self._read(array, part, how) for part in torch.split(x, images)])
        except NotFiniteError:
            array.input_counts = counts
            raise

    def _images_at_once(self, array: AnalogArray, x: Tensor, how: Reading) -> int:
        alone = array.only_quantises and how.observer is None and how.observation is None
        if not alone or array.device.type != "cpu":
            return x.shape[0]
        values = array.operator.positions(x) * array.blocks * array.mapping.physical_columns
        return max(1, _CACHED_VALUES // max(1, values))

    def _read(self, array: AnalogArray, x: Tensor, how: Reading) -> Tensor:
        integers, unit = quantised(array, x, how)
        adc = None if how.adc is None else how.adc.uniform(array.lines)
        factors = array.factors.to(array.accumulator)
        total: Tensor | None = None
        follows = _follows_common_current(array, how)
        biases = self._biases(array, how)
        for place, (partition, v, piece) in enumerate(self._currents(array, integers, unit, how)):
            number = place // len(array.mapping.partitions)
            if biases and partition == 0:
                v = v + biases[number]
            if array.reads_noisily:
                v = v + self._read_noise(array, partition, integers, unit, piece, how, number)
            if how.observer is not None:
                how.observer(v)
            if how.observation is not None:
                how.observation.add_currents(v)
            common = _common(array, partition, integers, unit, piece, how, number) if follows else None
            reading = v if adc is None else digitised(array, partition, v, adc, how, common)
            # What an observer was shown may have been kept.
            fresh = adc is not None or (how.observer is None and how.observation is None)
            own = reading.to(array.accumulator)
            scale = factors[partition] * piece.weight
            own = own.mul_(scale) if fresh else own * scale
            worth = own.squeeze(-2) if own.shape[-2] == 1 else own.sum(dim=-2)
            total = worth if total is None else total.add_(worth)
        assert total is not None
        if array.sum_factors is not None:
            total = total + input_sums(array, integers) * unit
            if array.biases is not None:
                total = total + array.bias_constant
        return finished(array, total * (array.output_scale.to(array.accumulator) * how.full_scale), how)

    def _biases(self, array: AnalogArray, how: Reading) -> list[Tensor]:
        """Return the currents of bias rows for each digitised slice; none without bias rows."""
        if array.biases is None:
            return []
        columns = array.laid_out("biases", (), array.bias_columns)
        return bias_currents(array, how.signed, columns, _bit_weights(array))

    def _currents(
        self, array: AnalogArray, x: Tensor, unit: float, how: Reading
    ) -> Iterator[tuple[int, Tensor, InputSlice]]:
        """Yield (partition, currents, the inputs behind them) for everything that the ADCs read by itself."""
        design, partitions = array.mapping.design, array.mapping.partitions
        weights = _bit_weights(array)
        if array.resistive:
            for partition, (rows, cells) in enumerate(zip(partitions, line_cells(array), strict=True)):
                solved = bit_line_currents(array.operator, x, rows, cells, design, how.signed, weights)
                pieces = digitised_slices(x, unit, design, how.signed)
                yield from ((partition, v, piece) for v, piece in zip(solved, pieces, strict=True))
            return
        columns = column_products(array)
        for piece in digitised_slices(x, unit, design, how.signed):
            values, value = piece.values, piece.unit
            if weights is not None and design.input_accumulation == "analog" and design.input_slice_bits == 1:
                values, value = weighted_inputs(x, design, how.signed, weights), 1.0
            for partition in range(len(partitions)):
                v = columns.currents(values, partition)
                yield partition, v if value == 1.0 else v.mul_(value), piece

    def _read_noise(
        self, array: AnalogArray, partition: int, x: Tensor, unit: float, piece: InputSlice, how: Reading, number: int
    ) -> Tensor:
        """Return read noise of column currents; rounding can leave a variance a hair below 0."""
        design = array.mapping.design
        if design.input_accumulation == "analog":
            share = read_noise_inputs(x, unit, design, how.signed)
        else:
            share = slice_noise_input(piece.values, design) * piece.unit**2
        where = (array.device, array.dtype, array.operator)
        variances = array.laid_out(
            self, where, lambda: Products(array, array.read_noise_variances(numpy_type(array.dtype)))
        )
        variance = variances.currents(share, partition)
        if array.biases is not None and partition == 0:
            code = torch.tensor([array.biases.code], dtype=torch.float64)
            own = array.laid_out("noise of biases", (), array.bias_noise_variances)
            variance = variance + torch.from_numpy(own).to(variance) * self._share(
                array, code, unit, how.signed, number
            )
        variance = variance.clamp_(min=0.0)
        return variance.sqrt_() * array.noise.normals(variance.shape, variance)

    def _share(self, array: AnalogArray, code: Tensor, unit: float, signed: bool, number: int) -> float:
        """Return the weight of the read-noise variance of the bias rows in a digitised slice."""
        design = array.mapping.design
        if design.input_accumulation == "analog":
            return float(read_noise_inputs(code, unit, design, signed))
        piece = list(digitised_slices(code, unit, design, signed))[number]
        return float(slice_noise_input(piece.values, design)) * piece.unit**2
