"""One torch product for each partition, then ADC, digital sums, scale and bias in one pass over its result, in C.

All slices of a partition are columns of one product. Images go through in chunks, so that inputs and currents stay in
the processor's cache.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy.arrays.analog_array import AnalogArray
from accuracy.kernels import elementwise
from accuracy.kernels.products import column_products, input_sums
from accuracy.kernels.protocol import Reading, quantises_in_single
from accuracy.kernels.steps import finished, quantised_in_c
from accuracy.mapping.inputs import digitised_slices, digitised_weights

CHUNK_VALUES = 1 << 20
"""Inputs and currents of a chunk, in float32 values: 4 MiB."""


class Fused:
    """Reads every kind of layer where only quantisation acts, in single precision on the host."""

    def suits(self, array: AnalogArray, how: Reading) -> bool:
        """Whether only quantisation acts, with codes that the C code can round."""
        if how.adc is None or max(how.adc.levels) >= elementwise.LARGEST_CODE or not elementwise.available():
            return False
        return quantises_in_single(array, how)

    def read(self, array: AnalogArray, x: Tensor, how: Reading) -> Tensor:
        """Read chunk by chunk; sums that are finished outputs are written where they belong."""
        sums = _Sums(array, how)
        per_image = x[:1].numel() + array.operator.positions(x) * array.blocks * sums.scale.size
        result: Tensor | None = None
        done = 0
        for part in torch.split(x, max(1, CHUNK_VALUES // max(int(per_image), 1))):
            images = slice(done, done := done + part.shape[0])
            integers, unit = quantised_in_c(array, part, how)
            place = result[images] if result is not None and not array.wide else None
            total = sums.of(integers, unit, place)
            if array.sum_factors is not None:
                total = total + input_sums(array, integers) * (unit * torch.from_numpy(sums.scale))
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
        self._columns, self._design, self._signed = column_products(array), array.mapping.design, how.signed
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
        self._start = start + np.sum([self._adc.single.lowest @ worth for worth in self._worths], axis=0)

    def of(self, integers: Tensor, unit: float, place: Tensor | None) -> Tensor:
        """Return the sums for some images, shape (..., physical columns), written to `place` where it is given."""
        total = place
        pieces = digitised_slices(integers, unit, self._design, self._signed)
        jobs = [(piece, partition) for piece in pieces for partition in range(len(self._columns))]
        for number, ((piece, partition), worth) in enumerate(zip(jobs, self._worths, strict=True), start=1):
            v = self._columns.currents(piece.values, partition).contiguous()
            if total is None:
                total = torch.empty((*v.shape[:-2], v.shape[-1]), dtype=self._dtype)
            first = self._start if number == 1 else None
            floor = self._floor if number == len(jobs) else -math.inf
            elementwise.digitise(v, piece.unit, self._adc, worth, first, total, floor)
        assert total is not None
        return total
