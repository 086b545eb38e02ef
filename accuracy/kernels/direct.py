"""The fast way through arrays that accumulate inputs in analog: one convolution a partition, then one fused pass.

All slices of a partition are columns of one convolution; conversion, digital sums, scale and bias are one pass over
its result. Images go through in chunks, so that inputs and currents stay in the processor's cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy.kernels import fused
from accuracy.kernels.fused import ConversionTables
from accuracy.mapping.adc import AdcRanges
from accuracy.mapping.inputs import digitised_slices, input_steps
from accuracy.mapping.operators import Kernel, Operator
from circuits import CoreDesign

Floats = NDArray[np.float64]
CHUNK_VALUES = 1 << 20
"""Inputs and currents of a chunk, in float32 values: 4 MiB."""


def quantise(x: Tensor, full_scale: float, signed: bool, design: CoreDesign, operator: Operator) -> tuple[Tensor, int]:
    """Return inputs as integers, in the memory order that the operator wants, and how many were clipped.

    Args:
        x: float32 inputs on the CPU.
        full_scale: input value that counts as 1.
        signed: whether inputs carry signs.
        design: says how many bits inputs have.
        operator: meets the inputs next.
    """
    steps = input_steps(design, signed)
    assert steps is not None
    ordered = operator.ordered(x)
    integers = torch.empty_like(ordered)
    lowest = -float(steps) if signed else 0.0
    return integers, fused.quantise(ordered, steps / full_scale, lowest, float(steps), integers)


class DirectReader:
    """Reads one matrix with fused conversion.

    Args:
        design: how inputs are applied.
        operator: how they meet rows.
        currents: returns the currents (..., blocks, columns) of a partition.
        kernels: one a partition.
        factors: worth of a reading, (partitions, blocks, columns).
        lines: converted lines of a column.
        wide: whether digital sums need double precision.
        signed: whether inputs carry signs.
        adc: one a slice.
        scale: what each output is multiplied with at last, (columns,).
        start: what is added to each output, (columns,); zeros where something is still to be done to the sums.
        floor: outputs below it are raised to it.
    """

    def __init__(
        self,
        design: CoreDesign,
        operator: Operator,
        currents: Callable[[Tensor, Kernel], Tensor],
        kernels: Sequence[Kernel],
        *,
        factors: Floats,
        lines: int,
        wide: bool,
        signed: bool,
        adc: AdcRanges,
        scale: Floats,
        start: Floats,
        floor: float = -math.inf,
    ):
        self.design, self.operator, self.currents, self.kernels = design, operator, currents, kernels
        self.wide, self.signed = wide, signed
        self._factors, self._scale, self._lines, self._adc_ranges = factors, scale, lines, adc
        self._start, self._floor = start, floor
        self._tables: dict[tuple[int, float], ConversionTables] = {}
        self._first: Floats | None = None

    def _table(self, partition: int, weight: float) -> ConversionTables:
        key = (partition, weight)
        if key not in self._tables:
            worth = self._factors[partition] * (weight * self._scale)
            self._tables[key] = ConversionTables.of(self._adc_ranges, self._lines, worth, self.wide)
        return self._tables[key]

    def chunk(self, x: Tensor) -> int:
        """Return how many images go through together."""
        blocks, columns = self._factors.shape[1:]
        per_image = x[:1].numel() + self.operator.positions(x) * blocks * columns
        return max(1, CHUNK_VALUES // max(int(per_image), 1))

    def read(self, integers: Tensor, unit: float, allocate: Callable[[Sequence[int]], Tensor]) -> Tensor:
        """Return sums over slices and partitions, scaled, shape (..., columns).

        Args:
            integers: quantised and padded inputs.
            unit: value of one integer.
            allocate: returns a dense tensor of a shape to write the sums to.
        """
        pieces = list(digitised_slices(integers, unit, self.design, self.signed))
        if self._first is None:
            lowest = [self._table(p, piece.weight).lowest() for piece in pieces for p in range(len(self.kernels))]
            self._first = self._start + np.sum(lowest, axis=0)
        total: Tensor | None = None
        last = len(pieces) * len(self.kernels) - 1
        for number, piece in enumerate(pieces):
            for partition, kernel in enumerate(self.kernels):
                v = self.currents(piece.values, kernel).contiguous()
                table = self._table(partition, piece.weight)
                floor = self._floor if number * len(self.kernels) + partition == last else -math.inf
                if total is None:
                    total = allocate((*v.shape[:-2], v.shape[-1]))
                    fused.convert(v, piece.unit, table, self._first, total, floor)
                else:
                    fused.convert(v, piece.unit, table, None, total, floor)
        assert total is not None
        return total
