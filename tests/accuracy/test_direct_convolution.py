"""The convolution kernel against the general path: the same codes but where a current lies on the edge of one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from accuracy.arrays.analog_array import AnalogArray
from accuracy.kernels import direct_convolution
from accuracy.kernels.direct_convolution import ConvolutionReader
from accuracy.mapping.adc import given_adc_ranges
from accuracy.mapping.inputs import quantise_inputs
from accuracy.mapping.operators import ConvolutionOperator, MatrixOperator, Operator
from accuracy.mapping.weights import map_weights
from circuits import CoreDesign
from devicekit import Cell, StateIndependent

CELL = Cell(error=StateIndependent(0.05), i_max=1.6e-6, on_off_ratio=100.0)
DESIGNS = {
    "A": CoreDesign(),
    "B": CoreDesign(weight_bits=9, bits_per_cell=1),
    "cut channels": CoreDesign(max_rows=40),
    "three slices, both lines": CoreDesign(subtraction="digital", bits_per_cell=3, max_rows=100),
    "whole channels": CoreDesign(bits_per_cell=2, max_rows=45),
}
LAYERS: dict[str, tuple[Operator, tuple[int, ...]]] = {
    "matrix": (MatrixOperator(), (5, 90)),
    "matrix of sequences": (MatrixOperator(), (2, 3, 90)),
    "convolution": (ConvolutionOperator(10, (3, 3), (1, 1), (1, 1), (1, 1)), (3, 10, 7, 6)),
    "strided, dilated": (ConvolutionOperator(10, (3, 3), (2, 1), (0, 2), (1, 2)), (3, 10, 9, 8)),
    "pointwise": (ConvolutionOperator(90, (1, 1), (1, 1), (0, 0), (1, 1)), (2, 90, 5, 5)),
    "circular": (
        ConvolutionOperator(10, (3, 3), (1, 1), (0, 0), (1, 1), edges=(1, 1, 1, 1), edge_mode="circular"),
        (2, 10, 5, 5),
    ),
}


@pytest.fixture(params=[16, 8])
def width(request: pytest.FixtureRequest) -> int:
    if direct_convolution.lanes() == 0:
        pytest.skip("no compiler: the convolution kernel is not there")
    return min(int(request.param), direct_convolution.lanes())


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("columns", [16, 21])
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", DESIGNS)
def test_same_numbers_as_the_general_path(name: str, layer: str, columns: int, signed: bool, width: int) -> None:
    design, (operator, shape) = DESIGNS[name], LAYERS[layer]
    rng = np.random.default_rng(columns)
    array = AnalogArray(map_weights(rng.normal(size=(90, columns)), design), operator, CELL)
    array.program(1)
    x = torch.from_numpy(rng.uniform(-0.2, 1.1, shape)).float()
    if len(shape) == 4 and columns == 16:
        x = x.contiguous(memory_format=torch.channels_last)
    symmetric = design.symmetric_adc(signed_inputs=signed)
    adc = given_adc_ranges(design, signed, [(-2.0 if symmetric else 0.0, 2.0)] * design.slices)
    steps = 127 if signed else 255
    start, scale = rng.normal(size=columns), array.output_scale.numpy()
    reader = ConvolutionReader(
        operator,
        array.mapping.partitions,
        [array.column_matrix(rows) for rows in array.mapping.partitions],
        array.factors.numpy() * scale,
        adc,
        lines=array.lines,
        start=start,
        floor=-0.5,
        width=width,
    )
    ours, clipped = reader.read(x, float(steps), -127.0 if signed else 0.0, float(steps), 1 / steps)

    padded = torch.nn.functional.pad(x, operator.edges, mode=operator.edge_mode) if layer == "circular" else x
    assert clipped == int(((padded > 1) | (padded < (-1 if signed else 0))).sum())
    integers, unit = quantise_inputs(x.double(), design, signed)
    array.to(torch.device("cpu"), torch.float64)
    total = torch.zeros(())
    ties = torch.zeros(())
    for index, kernel in enumerate(array.kernels()):
        v = array.currents(operator.prepare(integers), kernel) * unit
        q = torch.tensor(adc.codes_per_unit).double().repeat_interleave(array.lines)[:, None]
        lo = torch.tensor([r[0] for r in adc.ranges]).double().repeat_interleave(array.lines)[:, None]
        position = (v.clamp(min=lo).clamp(max=2.0) - lo) * q
        factor = array.factors[index] * torch.from_numpy(scale)
        total = total + ((position.round() / q + lo) * factor).sum(dim=-2)
        near = ((position - position.floor() - 0.5).abs() < 1e-4).double()
        ties = ties + (near * (factor / q).abs()).sum(dim=-2)
    expected = (total + torch.from_numpy(start)).clamp(min=-0.5)
    slack = 1e-5 * expected.abs().max() + ties
    assert ours.shape == expected.shape
    assert bool(((ours.double() - expected).abs() <= slack).all())
    assert float((ties > 0).double().mean()) < 0.3


def test_positions_are_alike_wherever_they_fall(width: int) -> None:
    design, (operator, shape) = DESIGNS["B"], LAYERS["convolution"]
    rng = np.random.default_rng(0)
    array = AnalogArray(map_weights(rng.normal(size=(90, 20)), design), operator, CELL)
    array.program(1)
    adc = given_adc_ranges(design, False, (-2.0, 2.0))
    reader = ConvolutionReader(
        operator,
        array.mapping.partitions,
        [array.column_matrix(rows) for rows in array.mapping.partitions],
        array.factors.numpy(),
        adc,
        lines=1,
        start=np.zeros(20),
        width=width,
    )
    x = torch.from_numpy(rng.uniform(0, 1, shape)).float()
    together, _ = reader.read(x, 255.0, 0.0, 255.0, 1 / 255)
    for image in range(shape[0]):
        alone, _ = reader.read(x[image : image + 1], 255.0, 0.0, 255.0, 1 / 255)
        assert torch.equal(alone, together[image : image + 1])
