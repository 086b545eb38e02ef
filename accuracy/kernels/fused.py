"""ADC, digital sums, scale and bias in one pass over column currents, in C.

Currents come of one torch product for each partition, all slices of which are its columns, or of the solution of its
bit lines. Images go through in chunks, so that inputs and currents stay in the processor's cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy.arrays.analog_array import AnalogArray
from accuracy.arrays.wires import POSITIONS, bit_line_currents, line_cells
from accuracy.errors import NotFiniteError
from accuracy.kernels import elementwise
from accuracy.kernels.products import bias_currents, column_products, input_sums
from accuracy.kernels.protocol import Reading, quantises_in_single
from accuracy.kernels.steps import finished, quantised_in_c
from accuracy.mapping.inputs import digitised_slices, digitised_weights

CHUNK_VALUES = 1 << 20
"""Inputs and currents of a chunk, in float32 values: 4 MiB."""


class Fused:
    """Reads every kind of layer where only quantisation acts, in single precision on the host.

    Args:
        resistive: whether it reads arrays whose bit lines are solved, instead of those without wires.
    """

    def __init__(self, *, resistive: bool = False) -> None:
        self.resistive = resistive

    def suits(self, array: AnalogArray, how: Reading) -> bool:
        """Whether only quantisation acts, with codes that the C code can round."""
        if how.adc is None or max(how.adc.levels) >= elementwise.LARGEST_CODE or not elementwise.available():
            return False
        return quantises_in_single(array, how, resistive=self.resistive)

    def read(self, array: AnalogArray, x: Tensor, how: Reading) -> Tensor:
        """Read chunk by chunk; sums that are finished outputs are written where they belong."""
        sums = (_Lines if self.resistive else _Sums)(array, how)
        result: Tensor | None = None
        counted, done = (array.inputs_seen, array.inputs_clipped), 0
        for part in torch.split(x, sums.images_at_once(x)):
            images = slice(done, done := done + part.shape[0])
            try:
                integers, unit = quantised_in_c(array, part, how)
            except NotFiniteError:
                array.inputs_seen, array.inputs_clipped = counted
                raise
            place = result[images] if result is not None and not array.wide else None
            total = sums.of(integers, unit, place)
            if array.sum_factors is not None:
                total = total + input_sums(array, integers) * (unit * torch.from_numpy(sums.scale))
                if array.biases is not None:
                    total = total + array.bias_constant * torch.from_numpy(sums.scale)
            if array.wide:
                total = finished(array, total, how)
            if result is None:
                if done == x.shape[0]:
                    return total
                result = torch.empty((x.shape[0], *total.shape[1:]))
            if place is None:
                result[images] = total
        assert result is not None
        return result


class _Sums:
    """The digital sums over slices and partitions; finished outputs, but where they need double precision.

    Args:
        array: the array.
        how: how it is read.

    Attributes:
        scale: what sums are multiplied with, shape (physical columns,).
    """

    def __init__(self, array: AnalogArray, how: Reading):
        assert how.adc is not None
        self._array, self._design, self._signed = array, array.mapping.design, how.signed
        self._adc = how.adc.uniform(array.lines)
        self.scale = array.output_scale.numpy() * how.full_scale
        self._floor = 0.0 if how.relu and not array.wide else -math.inf
        self._dtype = array.accumulator
        kind: type[np.floating] = np.float64 if array.wide else np.float32
        # In the order in which they are summed: by input slice, then by partition.
        self._worths: list[NDArray[np.floating]] = [
            np.ascontiguousarray(self._adc.worth(own * (weight * self.scale)), kind)
            for weight in digitised_weights(self._design, how.signed)
            for own in array.factors.numpy()
        ]
        start = np.zeros(self.scale.size)
        if how.bias is not None and not array.wide:
            start = how.bias.detach().numpy().astype(np.float64)
        self._biases: list[Tensor] = []
        if array.biases is not None:
            own = array.laid_out("biases", (), array.bias_columns)
            self._biases = bias_currents(array, how.signed, own)
        self._start = start + np.sum([self._adc.single.lowest @ worth for worth in self._worths], axis=0)

    def images_at_once(self, x: Tensor) -> int:
        """Return how many images are read together."""
        values = x[:1].numel() + self._array.operator.positions(x) * self._array.blocks * self.scale.size
        return max(1, CHUNK_VALUES // max(int(values), 1))

    def currents(self, integers: Tensor, unit: float) -> Iterator[tuple[Tensor, float]]:
        """Yield currents (..., blocks, columns) and the value of one, by input slice, then by partition."""
        columns = column_products(self._array)
        for number, piece in enumerate(digitised_slices(integers, unit, self._design, self._signed)):
            for partition in range(len(columns)):
                v = columns.currents(piece.values, partition)
                if self._biases and partition == 0:
                    v = v + self._biases[number] / piece.unit
                yield v, piece.unit

    def of(self, integers: Tensor, unit: float, place: Tensor | None) -> Tensor:
        """Return the sums for some images, shape (..., physical columns), written to `place` where it is given."""
        total = place
        for number, (v, value) in enumerate(self.currents(integers, unit), start=1):
            dense = v.contiguous()
            if total is None:
                total = torch.empty((*v.shape[:-2], v.shape[-1]), dtype=self._dtype)
            first = self._start if number == 1 else None
            floor = self._floor if number == len(self._worths) else -math.inf
            elementwise.digitise(dense, value, self._adc, self._worths[number - 1], first, total, floor)
        assert total is not None
        return total


class _Lines(_Sums):
    """The same of solved bit lines."""

    def images_at_once(self, x: Tensor) -> int:
        """Return how many images are read together: as many positions as are solved together."""
        return max(1, POSITIONS // max(1, self._array.operator.positions(x)))

    def currents(self, integers: Tensor, unit: float) -> Iterator[tuple[Tensor, float]]:
        """Yield currents of all partitions by input slice."""
        array = self._array
        solved = [
            bit_line_currents(array.operator, integers, rows, cells, self._design, self._signed)
            for rows, cells in zip(array.mapping.partitions, line_cells(array), strict=True)
        ]
        for parts in zip(*solved, strict=True):
            yield from ((v, 1.0) for v in parts)
