"""Arrays of every design and kind of layer that kernels read, and what plain torch reads from them in float64."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from torch import Tensor

from accuracy.arrays.analog_array import AnalogArray
from accuracy.arrays.physics import Physics
from accuracy.kernels.plain_torch import PlainTorch
from accuracy.kernels.protocol import Reading
from accuracy.mapping.adc import given_adc_ranges
from accuracy.mapping.biases import bias_reach, map_biases
from accuracy.mapping.inputs import digitised_weights
from accuracy.mapping.operators import ConvolutionOperator, MatrixOperator, Operator
from accuracy.mapping.weights import map_weights
from circuits import CoreDesign
from circuits.bit_line.resistances import LineResistances
from devicekit import Cell, StateIndependent

CELL = Cell(error=StateIndependent(0.05), i_max=1.6e-6, on_off_ratio=100.0)
ROWS, FULL_SCALE = 90, 1.7

DESIGNS = {
    "A": CoreDesign(),
    "B": CoreDesign(weight_bits=9, bits_per_cell=1),
    "cut channels": CoreDesign(max_rows=40),
    "three slices, both lines": CoreDesign(subtraction="digital", bits_per_cell=3, max_rows=100),
    "offset in analog": CoreDesign(negative_weights="offset", bits_per_cell=2, max_rows=50),
    "unit column in analog": CoreDesign(negative_weights="offset_unit_column", bits_per_cell=4),
    "four-bit inputs in analog": CoreDesign(input_bits=4),
    "D": CoreDesign(max_rows=72, input_accumulation="digital"),
    "both lines": CoreDesign(subtraction="digital", max_rows=100, bits_per_cell=4, input_accumulation="digital"),
    "E": CoreDesign(negative_weights="offset", bits_per_cell=2, max_rows=50, input_accumulation="digital"),
    "unit column": CoreDesign(negative_weights="offset_unit_column", bits_per_cell=4, input_accumulation="digital"),
    "flipped": CoreDesign(
        negative_weights="offset", bits_per_cell=2, max_rows=70, flipped_encoding=True, input_accumulation="digital"
    ),
    "two's complement": CoreDesign(negative_weights="twos_complement", bits_per_cell=3, input_accumulation="digital"),
    "four-bit inputs": CoreDesign(input_bits=4, input_accumulation="digital"),
    "wires": CoreDesign(max_rows=50, r_p_hat=1e-3),
    "wires, bit by bit": CoreDesign(
        negative_weights="offset", bits_per_cell=4, input_accumulation="digital", r_p_hat=1e-5
    ),
    "virtual ground": CoreDesign(max_rows=50),
    "supply along rows": CoreDesign(bits_per_cell=3, matrix_columns=9),
    "scales of arrays": CoreDesign(max_rows=40, weight_scale="array"),
    "scales of columns, flipped": CoreDesign(
        negative_weights="offset",
        bits_per_cell=2,
        max_rows=50,
        flipped_encoding=True,
        input_accumulation="digital",
        weight_scale="array",
        scale_columns=5,
    ),
    "bias rows": CoreDesign(max_rows=50, bias_rows=2),
    "bias rows, unit column": CoreDesign(
        negative_weights="offset_unit_column",
        bits_per_cell=4,
        max_rows=50,
        input_accumulation="digital",
        weight_scale="array",
        bias_rows=1,
    ),
    "two bits a slice": CoreDesign(bits_per_input_slice=2, input_accumulation="digital"),
}


LINES = {
    "virtual ground": LineResistances(r_in_hat=0.01),
    "supply along rows": LineResistances(r_in_hat=1e-3, r_s_hat=1e-4, feed="rows"),
}
"""Resistances of designs that have some beside the bit line's."""


def _convolution(channels: int, *pairs: tuple[int, ...], **options: object) -> ConvolutionOperator:
    return ConvolutionOperator(channels, *pairs, **options)  # type: ignore[arg-type]


LAYERS: dict[str, tuple[Operator, tuple[int, ...]]] = {
    "matrix": (MatrixOperator(), (5, 90)),
    "matrix of sequences": (MatrixOperator(), (2, 3, 90)),
    "matrix of planes": (MatrixOperator(), (2, 3, 2, 90)),
    "convolution": (_convolution(10, (3, 3), (1, 1), (1, 1), (1, 1)), (3, 10, 7, 6)),
    "strided, dilated": (_convolution(10, (3, 3), (2, 1), (0, 2), (1, 2)), (3, 10, 9, 8)),
    "pointwise": (_convolution(90, (1, 1), (1, 1), (0, 0), (1, 1)), (2, 90, 5, 5)),
    "circular": (
        _convolution(10, (3, 3), (1, 1), (0, 0), (1, 1), edges=(1, 1, 1, 1), edge_mode="circular"),
        (2, 10, 5, 5),
    ),
    "grouped": (_convolution(20, (3, 3), (1, 1), (1, 1), (1, 1), groups=2), (2, 20, 5, 4)),
    "transposed": (
        _convolution(10, (3, 3), (2, 2), (1, 1), (1, 1), transposed=True, output_padding=(0, 1)),
        (2, 10, 4, 3),
    ),
    "one axis": (_convolution(18, (5,), (1,), (2,), (1,)), (2, 18, 11)),
}


@dataclass(frozen=True)
class Case:
    """A design, a kind of layer, and whether inputs carry signs."""

    design: str
    layer: str
    signed: bool

    def __str__(self) -> str:
        return f"{self.design}, {self.layer}, {'signed' if self.signed else 'unsigned'}"

    @property
    def columns(self) -> int:
        """Columns that fill vectors of 16 and 8, or that do not."""
        return 16 if self.signed else 22

    def array(self) -> AnalogArray:
        """Programmed cells."""
        operator, _ = LAYERS[self.layer]
        weight = np.random.default_rng(1).normal(size=(ROWS, self.columns))
        design = DESIGNS[self.design]
        bias = np.random.default_rng(4).normal(size=self.columns)
        reach = bias_reach(bias, design, FULL_SCALE) if design.bias_rows else None
        mapping = map_weights(weight, design, groups=operator.groups, bias_reach=reach)
        biases = map_biases(bias, mapping, FULL_SCALE, self.signed) if design.bias_rows else None
        physics = Physics(lines=LINES.get(self.design, LineResistances()))
        array = AnalogArray(mapping, operator, CELL, physics, biases=biases)
        array.program(1)
        return array

    def inputs(self) -> Tensor:
        """Inputs off the rounding borders of their integers, some beyond full scale."""
        bits = DESIGNS[self.design].input_bits
        assert bits is not None
        steps = 2 ** (bits - 1) - 1 if self.signed else 2**bits - 1
        rng, shape = np.random.default_rng(2), LAYERS[self.layer][1]
        integers = rng.integers(-steps - 1 if self.signed else -1, steps + 2, shape)
        x = torch.from_numpy((integers + rng.uniform(-0.4, 0.4, shape)) / steps * FULL_SCALE).float()
        return x.contiguous(memory_format=torch.channels_last) if self.layer == "convolution" else x

    def reading(self) -> Reading:
        """A range that clips some currents; its irrational edge keeps most of them off the borders of codes."""
        design = DESIGNS[self.design]
        # An unsigned current of half the inputs through half the conductance is a quarter of the rows.
        symmetric = design.symmetric_adc(signed_inputs=self.signed)
        hi = np.pi * (0.7 if symmetric else min(design.max_rows, ROWS) / 12)
        adc = given_adc_ranges(design, self.signed, (-hi if symmetric else 0.0, hi))
        bias = torch.from_numpy(np.random.default_rng(3).normal(size=self.columns)).float()
        return Reading(FULL_SCALE, self.signed, adc, bias=bias, relu=True)


CASES = [Case(*parts) for parts in product(DESIGNS, LAYERS, (False, True))]


def in_double(array: AnalogArray, x: Tensor, how: Reading) -> tuple[Tensor, Tensor]:
    """Return what plain torch reads in float64, and how far currents on the border of two codes may move it."""
    assert how.adc is not None
    currents: list[Tensor] = []
    array.to(torch.device("cpu"), torch.float64)
    expected = PlainTorch().read(array, x.double(), replace(how, observer=currents.append))
    design, partitions = array.mapping.design, len(array.mapping.partitions)
    levels = torch.tensor(how.adc.levels).double().repeat_interleave(array.lines)[:, None]
    lo, hi = torch.tensor(how.adc.ranges).double().repeat_interleave(array.lines, dim=0).T[..., None]
    # Bit lines are solved in float32 to 1e-5 of their current, which is 250 codes at most.
    close = 2.5e-3 if array.resistances.any else 1e-4
    ties = torch.zeros(())
    for number, v in enumerate(currents):
        position = (v.clamp(lo, hi) - lo) * (levels - 1) / (hi - lo)
        near = ((position - position.floor() - 0.5).abs() < close).double()
        worth = array.factors[number % partitions] * (hi - lo) / (levels - 1)
        ties = ties + (near * worth.abs()).sum(dim=-2) * digitised_weights(design, how.signed)[number // partitions]
    ties = ties * array.output_scale.abs() * how.full_scale
    if design.has_unit_column:
        columns = array.mapping.columns
        own, unit = ties[..., :columns], ties[..., columns:]
        ties = (own + unit.repeat_interleave(columns // unit.shape[-1], dim=-1)) * array.step.abs()
    array.to(torch.device("cpu"), torch.float32)
    return expected, ties
