"""The look-up kernel against the general path: the same codes but where a current lies on the edge of one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from accuracy.arrays.analog_array import AnalogArray
from accuracy.arrays.readout import Reading, read
from accuracy.kernels import bit_serial
from accuracy.kernels.ranges import BINS, Histogram
from accuracy.mapping.adc import AdcRanges, given_adc_ranges
from accuracy.mapping.inputs import quantise_inputs
from accuracy.mapping.operators import ConvolutionOperator, MatrixOperator, Operator
from accuracy.mapping.weights import map_weights
from circuits import CoreDesign
from devicekit import Cell, StateIndependent

CELL = Cell(error=StateIndependent(0.05), i_max=1.6e-6, on_off_ratio=100.0)

DESIGNS = {
    "differential": CoreDesign(max_rows=72, input_accumulation="digital"),
    "digital subtraction": CoreDesign(
        subtraction="digital", max_rows=100, bits_per_cell=4, input_accumulation="digital"
    ),
    "offset": CoreDesign(negative_weights="offset", bits_per_cell=2, max_rows=50, input_accumulation="digital"),
    "unit column": CoreDesign(negative_weights="offset_unit_column", bits_per_cell=4, input_accumulation="digital"),
    "flipped": CoreDesign(
        negative_weights="offset", bits_per_cell=2, max_rows=70, flipped_encoding=True, input_accumulation="digital"
    ),
    "two's complement": CoreDesign(negative_weights="twos_complement", bits_per_cell=3, input_accumulation="digital"),
    "four-bit inputs": CoreDesign(input_bits=4, input_accumulation="digital"),
}

LAYERS: dict[str, tuple[Operator, tuple[int, ...]]] = {
    "matrix": (MatrixOperator(), (5, 90)),
    "matrix of sequences": (MatrixOperator(), (2, 3, 90)),
    "convolution": (ConvolutionOperator(10, (3, 3), (1, 1), (1, 1), (1, 1)), (3, 10, 7, 6)),
    "strided, dilated": (ConvolutionOperator(10, (3, 3), (2, 1), (0, 2), (1, 2)), (3, 10, 9, 8)),
    "pointwise": (ConvolutionOperator(90, (1, 1), (1, 1), (0, 0), (1, 1)), (2, 90, 5, 5)),
}


@pytest.fixture(autouse=True)
def _kernel() -> None:
    if not bit_serial.available():
        pytest.skip("no compiler: the look-up kernel is not there")


def _array(design: CoreDesign, operator: Operator, rows: int, columns: int, seed: int) -> AnalogArray:
    weight = np.random.default_rng(seed).normal(0.0, 0.1, (rows, columns))
    array = AnalogArray(map_weights(weight, design), operator, CELL)
    array.program(seed)
    return array


def _both_ways(array: AnalogArray, x: torch.Tensor, signed: bool, adc: AdcRanges) -> tuple[torch.Tensor, ...]:
    fast = read(array, x, Reading(1.0, signed, adc))
    assert array._readers, "the look-up was not taken"
    # An observer asks for currents, which only the general path has.
    return fast, read(array, x, Reading(1.0, signed, adc, observer=lambda currents: None))


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", DESIGNS)
def test_same_readings_as_the_general_path(name: str, layer: str, signed: bool) -> None:
    design = DESIGNS[name]
    operator, shape = LAYERS[layer]
    array = _array(design, operator, 90, 21, seed=1)
    rng = np.random.default_rng(2)
    x = torch.from_numpy(rng.uniform(-1.0 if signed else 0.0, 1.0, shape).astype(np.float32))
    # An irrational range keeps currents off the edges of codes.
    symmetric = design.symmetric_adc(signed_inputs=signed)
    adc = given_adc_ranges(design, signed, (-np.pi if symmetric else 0.0, np.pi))
    fast, general = _both_ways(array, x, signed, adc)
    assert fast.shape == general.shape
    assert fast.dtype == general.dtype
    assert float(general.std()) > 0.0
    # One code of one conversion is the least that can differ; ties are rarer than one output in a hundred.
    differs = (fast - general).abs() > 1e-6 * general.abs().max()
    assert float(differs.float().mean()) < 0.01


def test_without_range_limits_reading_is_the_product() -> None:
    """Fine ADCs over a wide range lose next to nothing: an independent float64 product decides."""
    design = CoreDesign(negative_weights="offset", max_rows=40, input_accumulation="digital", adc_bits=13)
    array = _array(design, MatrixOperator(), 90, 21, seed=3)
    array.idealise()
    x = torch.from_numpy(np.random.default_rng(4).uniform(0.0, 1.0, (6, 90)).astype(np.float32))
    integers, unit = quantise_inputs(x, design, signed=False)
    got = read(array, x, Reading(1.0, False, given_adc_ranges(design, False, (0.0, 40.0)))).numpy()
    exact = integers.numpy().astype(np.float64) * unit @ array.mapping.weights()
    # A code is 40 / 8191 of a full cell, a weight integer 1 / 255 of one; each conversion errs by half a code.
    step = float(array.mapping.step.max()) * 255.0 * 40.0 / 8191.0
    assert np.abs(got - exact).max() < 0.5 * step * 3
    assert np.abs(got - exact).max() < 0.02 * np.abs(exact).max()


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("name", ["differential", "digital subtraction", "offset", "four-bit inputs"])
def test_counts_every_current_once(name: str, signed: bool) -> None:
    """The histograms of calibration against numpy's, over the currents that the general path shows an observer."""
    design = DESIGNS[name]
    operator, shape = LAYERS["strided, dilated"]
    array = _array(design, operator, 90, 21, seed=7)
    rng = np.random.default_rng(8)
    x = torch.from_numpy(rng.uniform(-1.0 if signed else 0.0, 1.0, shape).astype(np.float32))
    symmetric = design.symmetric_adc(signed_inputs=signed)
    seen: list[torch.Tensor] = []
    general = read(array, x, Reading(1.0, signed, None, observer=seen.append))

    integers, unit = quantise_inputs(x, design, signed)
    # One histogram starts with too little reach, the others with none: both must grow.
    histograms = [Histogram() for _ in range(design.slices)]
    histograms[0].cover(1e-3)
    total = array.reader(signed).count(
        operator.prepare(integers), unit, histograms, array.output_scale.numpy(), absolute=symmetric, wide=array.wide
    )
    assert float((total - general).abs().max()) < 1e-5 * float(general.abs().max())
    for index, histogram in enumerate(histograms):
        lines = array.lines
        own = torch.cat([v[..., index * lines : (index + 1) * lines, :].reshape(-1) for v in seen]).double().numpy()
        values = np.sort(np.abs(own) if symmetric else np.maximum(own, 0.0))
        assert histogram.total == values.size
        # Sums in another order make exact zeros of differences, or not: compare edges, not single values.
        assert histogram.reach >= values[-1] * (1 - 1e-6)
        for fraction in (0.1, 0.5, 0.9, 0.999, 1.0):
            expected = values[min(int(fraction * values.size), values.size - 1)]
            assert histogram.quantile(fraction) == pytest.approx(expected, rel=0.02, abs=2 * histogram.reach / BINS)


def test_threads_do_not_change_results() -> None:
    operator = ConvolutionOperator(8, (3, 3), (1, 1), (1, 1), (1, 1))
    array = _array(DESIGNS["offset"], operator, 72, 17, seed=5)
    x = torch.from_numpy(np.random.default_rng(6).uniform(0.0, 1.0, (9, 8, 12, 12)).astype(np.float32))
    how = Reading(1.0, False, given_adc_ranges(array.mapping.design, False, (0.0, np.pi)))
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(read(array, x, how))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    # Nor does the batch an image comes in.
    assert torch.equal(read(array, x[4:5], how), results[0][4:5])


def test_refuses_what_it_does_not_know() -> None:
    design = DESIGNS["differential"]
    adc = given_adc_ranges(design, False, (-1.0, 1.0))
    grouped = ConvolutionOperator(8, (3, 3), (1, 1), (1, 1), (1, 1), groups=2)
    assert bit_serial.suits(design, MatrixOperator(), False, adc)
    assert not bit_serial.suits(design, grouped, False, adc)
    assert not bit_serial.suits(design.replace(bits_per_input_slice=2), MatrixOperator(), False, adc)
    assert not bit_serial.suits(design.replace(input_accumulation="analog"), MatrixOperator(), False, adc)
    fine = design.replace(adc_bits=16)
    assert not bit_serial.suits(fine, MatrixOperator(), False, given_adc_ranges(fine, False, (-1.0, 1.0)))
