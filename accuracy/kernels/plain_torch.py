"""The reading that the other kernels are held to: plain torch, on every device, with every stage of `physics`."""

from __future__ import annotations

from collections.abc import Iterator

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
from accuracy.kernels.products import Products, column_products, input_sums
from accuracy.kernels.protocol import Reading
from accuracy.kernels.steps import finished, quantised
from accuracy.mapping.adc import UniformAdc
from accuracy.mapping.inputs import InputSlice, digitised_slices


def digitised(array: AnalogArray, partition: int, v: Tensor, adc: UniformAdc) -> Tensor:
    """Return what the digital side reads of column currents (..., blocks, columns): here a current becomes a code.

    Peripherals move the current first; the ADC may have noise and transition levels of its own.
    """
    if array.peripherals is not None:
        assert array.column_errors is not None
        v = through_peripherals(v, adc, array.peripherals, array.column_errors[partition], array.noise)
    return adc.read(v) if array.adc_errors is None else through_adc(v, adc, array.adc_errors, array.noise)


class PlainTorch:
    """Reads any array in any way, and shows currents to whoever observes or counts them."""

    def suits(self, array: AnalogArray, how: Reading) -> bool:
        """Always."""
        return True

    def read(self, array: AnalogArray, x: Tensor, how: Reading) -> Tensor:
        """Quantise, draw column currents one by one, digitise, sum digitally."""
        integers, unit = quantised(array, x, how)
        adc = None if how.adc is None else how.adc.uniform(array.lines)
        factors = array.factors.to(array.accumulator)
        total: Tensor | None = None
        for partition, v, piece in self._currents(array, integers, unit, how):
            if array.reads_noisily:
                v = v + self._read_noise(array, partition, integers, unit, piece, how)
            if how.observer is not None:
                how.observer(v)
            if how.observation is not None:
                how.observation.add_currents(v)
            reading = v if adc is None else digitised(array, partition, v, adc)
            worth = (reading.to(array.accumulator) * (factors[partition] * piece.weight)).sum(dim=-2)
            total = worth if total is None else total + worth
        assert total is not None
        if array.sum_factors is not None:
            total = total + input_sums(array, integers) * unit
        return finished(array, total * (array.output_scale.to(array.accumulator) * how.full_scale), how)

    def _currents(
        self, array: AnalogArray, x: Tensor, unit: float, how: Reading
    ) -> Iterator[tuple[int, Tensor, InputSlice]]:
        """Yield (partition, currents, the inputs behind them) for everything that the ADCs read by itself."""
        design, partitions = array.mapping.design, array.mapping.partitions
        weights = None if array.peripherals is None else array.peripherals.bit_weights
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
                yield partition, columns.currents(values, partition).mul_(value), piece

    def _read_noise(
        self, array: AnalogArray, partition: int, x: Tensor, unit: float, piece: InputSlice, how: Reading
    ) -> Tensor:
        """Return read noise of column currents; rounding can leave a variance a hair below 0."""
        design = array.mapping.design
        if design.input_accumulation == "analog":
            share = read_noise_inputs(x, unit, design, how.signed)
        else:
            share = slice_noise_input(piece.values, design) * piece.unit**2
        where = (array.device, array.dtype, array.operator)
        variances = array.laid_out(self, where, lambda: Products(array, array.read_noise_variances()))
        variance = variances.currents(share, partition).clamp_(min=0.0)
        return variance.sqrt_() * array.noise.normals(variance.shape, variance)
