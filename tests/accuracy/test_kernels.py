"""Every kernel against plain torch in float64: the same codes but where a current lies on the border of two.

Plain torch itself is held to the independent reference in `test_against_reference`.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from accuracy.arrays.analog_array import AnalogArray
from accuracy.arrays.physics import Physics
from accuracy.kernels import convolution, elementwise, readout
from accuracy.kernels.bit_serial import BitSerial
from accuracy.kernels.convolution import Convolution
from accuracy.kernels.fused import Fused
from accuracy.kernels.histograms import BINS, Observation
from accuracy.kernels.plain_torch import PlainTorch
from accuracy.kernels.protocol import Reading, ReadingKernel
from accuracy.kernels.readout import KERNELS, kernel_for, read
from accuracy.kernels.steps import finished, quantised
from accuracy.layers.matrix import AnalogMatrix
from accuracy.mapping.adc import given_adc_ranges
from accuracy.mapping.operators import ConvolutionOperator, MatrixOperator
from accuracy.mapping.weights import map_weights
from circuits import PeripheralModel
from tests.accuracy.kernel_cases import CASES, CELL, DESIGNS, Case, in_double

NARROW = Convolution(width=8)
"""The form for processors with AVX2 only, which those with AVX-512 run as well."""
SIXTEEN = Convolution(width=16)
"""The form for AVX-512 without VNNI."""
FOUR = Convolution(width=4)
"""The form for processors that are neither; it is plain C, and runs everywhere."""
RESISTIVE = next(kernel for kernel in KERNELS if isinstance(kernel, Fused) and kernel.resistive)
LOOK_UPS = [BitSerial(most=1), BitSerial(most=0), BitSerial(most=2)]
"""The forms of the look-up kernel for AVX2, for any processor, and for AVX-512 that does not compress vectors."""
ALL: list[ReadingKernel] = [*KERNELS, SIXTEEN, NARROW, FOUR, *LOOK_UPS]
BIT_BY_BIT = [
    case
    for case in CASES
    if case.layer in ("matrix", "strided, dilated")
    and DESIGNS[case.design].input_accumulation == "digital"
    and DESIGNS[case.design].input_slice_bits == 1
    and DESIGNS[case.design].r_p_hat == 0
    and DESIGNS[case.design].bias_rows == 0
]
COMPILED = [kernel for kernel in ALL if not isinstance(kernel, PlainTorch)]

needs_c = pytest.mark.skipif(not elementwise.available(), reason="no compiler: the C kernels are not there")


def name_of(kernel: ReadingKernel) -> str:
    return type(kernel).__name__ + {
        RESISTIVE: " with wires",
        LOOK_UPS[0]: " with AVX2",
        LOOK_UPS[1]: " in plain C",
        LOOK_UPS[2]: " without lists",
        SIXTEEN: " of 16 lanes",
        NARROW: " of 8 lanes",
        FOUR: " of 4 lanes",
    }.get(kernel, "")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_kernel_that_suits_reads_what_plain_torch_reads(case: Case) -> None:
    array, x, how = case.array(), case.inputs(), case.reading()
    expected, ties = in_double(array, x, how)
    seen, clipped = array.inputs_seen, array.inputs_clipped
    assert 0 < clipped < seen == x.numel()
    assert float((ties > 0).double().mean()) < 0.3
    assert float(expected.std()) > 0
    for kernel in [kernel for kernel in ALL if kernel.suits(array, how)]:
        array.inputs_seen = array.inputs_clipped = 0
        found = kernel.read(array, x, how)
        assert found.shape == expected.shape, name_of(kernel)
        assert found.dtype == torch.float32, name_of(kernel)
        excess = (found.double() - expected).abs() - ties
        assert float(excess.max()) <= 1e-5 * float(expected.abs().max()), name_of(kernel)
        assert (array.inputs_seen, array.inputs_clipped) == (seen, clipped), name_of(kernel)
        # Cells that are programmed anew are read anew.
        before = array.conductances
        array.set_conductances(np.zeros_like(before))
        kernel.read(array, x, how)
        array.set_conductances(before)
        assert torch.equal(kernel.read(array, x, how), found), name_of(kernel)


@needs_c
@pytest.mark.parametrize("kernel", ALL, ids=name_of)
def test_every_kernel_has_a_case(kernel: ReadingKernel) -> None:
    if isinstance(kernel, Convolution) and convolution.widest() < (kernel.width or 1):
        pytest.skip("no vector units for this form")
    assert any(kernel.suits(case.array(), case.reading()) for case in CASES)


class Numpy:
    """A kernel from outside: matrix products accumulated in analog, in numpy."""

    def __init__(self) -> None:
        self.calls = 0

    def suits(self, array: AnalogArray, how: Reading) -> bool:
        analog = array.mapping.design.input_accumulation == "analog" and not array.wide
        return isinstance(array.operator, MatrixOperator) and analog and array.only_quantises and how.adc is not None

    def read(self, array: AnalogArray, x: torch.Tensor, how: Reading) -> torch.Tensor:
        assert how.adc is not None
        self.calls += 1
        integers, unit = quantised(array, x, how)
        adc, total = how.adc.uniform(array.lines), torch.zeros(())
        for rows, matrix, factors in zip(array.mapping.partitions, array.column_matrices(), array.factors, strict=True):
            v = integers.double().numpy()[..., rows] @ matrix * unit
            readings = adc.read(torch.from_numpy(v.reshape(*v.shape[:-1], array.blocks, -1)))
            total = total + (readings * factors).sum(dim=-2)
        return finished(array, total * array.output_scale * how.full_scale, how)


def test_a_kernel_from_outside_is_used_where_it_suits(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Numpy()
    monkeypatch.setattr(readout, "KERNELS", [mine, *KERNELS])
    weight, x = np.random.default_rng(4).normal(size=(90, 7)), np.random.default_rng(5).uniform(size=(4, 90))
    for name in ("A", "cut channels", "D", "offset in analog"):
        calls = mine.calls
        found = AnalogMatrix(weight, DESIGNS[name], CELL, "full").matmul(x)
        monkeypatch.setattr(readout, "KERNELS", KERNELS)
        assert np.allclose(found, AnalogMatrix(weight, DESIGNS[name], CELL, "full").matmul(x), rtol=0, atol=1e-9)
        monkeypatch.setattr(readout, "KERNELS", [mine, *KERNELS])
        assert mine.calls - calls == (1 if name in ("A", "cut channels") else 0), name


@needs_c
@pytest.mark.parametrize(
    ("case", "kernel"),
    [
        (Case("E", "convolution", False), BitSerial),
        (Case("A", "convolution", True), Convolution),
        (Case("A", "grouped", False), Fused),
        (Case("offset in analog", "convolution", False), Fused),
        (Case("two bits a slice", "matrix", False), Fused),
    ],
    ids=str,
)
def test_the_fastest_that_suits_reads(case: Case, kernel: type) -> None:
    array, how = case.array(), case.reading()
    if kernel is Convolution and convolution.widest() == 0:
        kernel = Fused
    assert type(kernel_for(array, how)) is kernel
    assert type(kernel_for(array, replace(how, observer=lambda currents: None))) is PlainTorch
    array.physics = Physics(peripherals=PeripheralModel.ideal())
    assert type(kernel_for(array, how)) is PlainTorch
    array.idealise()
    assert type(kernel_for(array, how)) is kernel
    array.to(torch.device("cpu"), torch.float64)
    assert type(kernel_for(array, how)) is PlainTorch


@needs_c
def test_codes_beyond_what_float32_counts_are_left_to_others() -> None:
    for name, bits, kernel in (("D", 16, Fused), ("A", 16, Convolution), ("D", 23, PlainTorch), ("A", 23, PlainTorch)):
        array, design = Case(name, "matrix", False).array(), DESIGNS[name].replace(adc_bits=bits)
        how = Reading(1.0, False, given_adc_ranges(design, False, (-1.0, 1.0)))
        assert not BitSerial().suits(array, how)
        if kernel is not Convolution or convolution.widest():
            assert type(kernel_for(array, how)) is kernel


@needs_c
@pytest.mark.parametrize("kernel", COMPILED, ids=name_of)
@pytest.mark.parametrize("layer", ["matrix", "convolution", "strided, dilated", "circular"])
def test_neither_batch_nor_threads_change_an_image(kernel: ReadingKernel, layer: str) -> None:
    resistive = isinstance(kernel, Fused) and kernel.resistive
    case = Case("E" if isinstance(kernel, BitSerial) else "wires" if resistive else "B", layer, False)
    array, how = case.array(), case.reading()
    if not kernel.suits(array, how):
        pytest.skip("no vector units for this form")
    # Enough images that each of several threads gets some.
    x = torch.cat([case.inputs()] * 150)
    before = torch.get_num_threads()
    found, clipped = [], []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            array.inputs_clipped = 0
            found.append(kernel.read(array, x, how))
            clipped.append(array.inputs_clipped)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    assert clipped[0] == clipped[1] == clipped[2] > 0
    assert torch.equal(kernel.read(array, x[4:5], how), found[0][4:5])


@pytest.mark.parametrize("width", [convolution.BYTES, 16, 8, 4])
@pytest.mark.parametrize(("padding", "stride", "dilation"), [(1, 1, 1), (0, 2, 1), (2, 3, 2), (1, 4, 1)])
def test_an_image_cut_into_bands_is_read_as_a_whole_one(width: int, padding: int, stride: int, dilation: int) -> None:
    """One large image goes to threads in bands, with rows that two of them see; many of it go as whole images."""
    kernel = Convolution(width)
    operator = ConvolutionOperator(10, (3, 3), (stride, stride), (padding, padding), (dilation, dilation))
    array = AnalogArray(map_weights(np.random.default_rng(1).normal(size=(90, 22)), DESIGNS["A"]), operator, CELL)
    array.program(1)
    how = replace(Case("A", "convolution", False).reading(), bias=None)
    if not kernel.suits(array, how):
        pytest.skip("no vector units for this form")
    x = torch.rand(1, 10, 61, 50, generator=torch.Generator().manual_seed(3)) * 2.0
    before = torch.get_num_threads()
    found, clipped = [], []
    try:
        for threads, images in ((1, 40), (1, 1), (2, 1), (3, 1)):
            torch.set_num_threads(threads)
            array.inputs_clipped = 0
            found.append(kernel.read(array, x.repeat(images, 1, 1, 1), how)[:1])
            clipped.append(array.inputs_clipped // images)
    finally:
        torch.set_num_threads(before)
    assert clipped == [int((x > how.full_scale).sum())] * 4
    assert all(torch.equal(found[0], other) for other in found[1:])


@needs_c
@pytest.mark.parametrize("case", BIT_BY_BIT, ids=str)
def test_every_form_of_the_look_up_gives_the_same_bits(case: Case) -> None:
    """Rows that are left out would have added exactly 0."""
    array, x, how = case.array(), case.inputs(), case.reading()
    assert BitSerial().suits(array, how)
    best = BitSerial().read(array, x, how)
    for kernel in LOOK_UPS:
        assert torch.equal(kernel.read(array, x, how), best), name_of(kernel)


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("largest", [1.0, 6.0, 50.0])
def test_outliers_among_conductances_take_a_wider_scale_or_single_precision(largest: float, signed: bool) -> None:
    case = Case("A", "convolution", signed)
    array, x, how = case.array(), case.inputs(), case.reading()
    kernel = Convolution(convolution.BYTES)
    if not kernel.suits(array, how):
        pytest.skip("no instructions that multiply bytes")
    before = kernel.read(array, x, how)
    cells = array.conductances
    cells[0, 0, 17, 3] = largest
    array.set_conductances(cells)
    expected, ties = in_double(array, x, how)
    found = kernel.read(array, x, how)
    assert float(((found.double() - expected).abs() - ties).max()) <= 1e-5 * float(expected.abs().max())
    assert torch.equal(found, SIXTEEN.read(array, x, how)) or largest < 50.0
    # One column has changed, the others but for ties of another scale.
    others = [column for column in range(case.columns) if column != 3]
    moved = (found - before)[..., others] != 0
    assert float(moved.double().mean()) < 1e-3


def test_fine_adcs_over_a_wide_range_give_the_product() -> None:
    """An independent float64 product decides, for whichever kernel comes first."""
    for name, design in DESIGNS.items():
        fine = design.replace(adc_bits=13, input_bits=8)
        weight = np.random.default_rng(3).normal(0.0, 0.1, (90, 22))
        array = AnalogArray(map_weights(weight, fine), MatrixOperator(), CELL)
        array.idealise()
        x = np.random.default_rng(4).integers(0, 256, (6, 90))
        lo = -40.0 if fine.symmetric_adc(signed_inputs=False) else 0.0
        how = Reading(1.0, False, given_adc_ranges(fine, False, (lo, 40.0)))
        found = read(array, torch.from_numpy(x / 255).float(), how).numpy()
        exact = x / 255 @ array.mapping.weights()
        # Each reading errs by half a code at most, (hi - lo) / 8190 / 2 of a full cell.
        worth = (np.abs(array.factors.numpy()).sum(axis=(0, 1)) * float(array.step.abs().max())).max()
        slices = 1 if fine.input_accumulation == "analog" else 255 / (2**fine.input_slice_bits - 1)
        bound = worth * (40.0 - lo) / 8190 / 2 * slices * (2 if fine.has_unit_column else 1)
        assert np.abs(found - exact).max() < bound, name


@needs_c
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("name", ["D", "both lines", "E", "four-bit inputs"])
def test_counts_every_current_once(name: str, signed: bool) -> None:
    """The histograms of calibration against numpy's, over the currents that plain torch shows an observer."""
    case = Case(name, "strided, dilated", signed)
    array, x, design = case.array(), case.inputs(), DESIGNS[name]
    symmetric = design.symmetric_adc(signed_inputs=signed)
    seen: list[torch.Tensor] = []
    expected = read(array, x, Reading(1.7, signed, None, observer=seen.append))

    observation = Observation(design.slices)
    observation.symmetric = symmetric
    # One histogram starts with too little reach, the others with none: both must grow.
    observation.currents[0].cover(1e-3)
    how = Reading(1.7, signed, None, observation=observation)
    assert isinstance(kernel_for(array, how), BitSerial)
    total = read(array, x, how)
    assert float((total - expected).abs().max()) < 1e-5 * float(expected.abs().max())
    for index, histogram in enumerate(observation.currents):
        lines = array.lines
        own = torch.cat([v[..., index * lines : (index + 1) * lines, :].reshape(-1) for v in seen]).double().numpy()
        values = np.sort(np.abs(own) if symmetric else np.maximum(own, 0.0))
        assert histogram.total == values.size
        # Sums in another order make exact zeros of differences, or not: compare edges, not single values.
        assert histogram.reach >= values[-1] * (1 - 1e-6)
        for fraction in (0.1, 0.5, 0.9, 0.999, 1.0):
            wanted = values[min(int(fraction * values.size), values.size - 1)]
            assert histogram.quantile(fraction) == pytest.approx(wanted, rel=0.02, abs=2 * histogram.reach / BINS)


@pytest.mark.parametrize("width", [convolution.BYTES, 16, 8, 4])
@pytest.mark.parametrize("layer", ["matrix", "matrix of sequences", "convolution", "circular"])
@pytest.mark.parametrize("signed", [False, True])
def test_what_is_added_in_the_pass_is_what_torch_adds_after_it(width: int, layer: str, signed: bool) -> None:
    """The same bits: with columns that fill vectors and that do not, values that are no numbers, other layouts."""
    kernel, case = Convolution(width), Case("cut channels", layer, signed)
    array, x, how = case.array(), case.inputs(), replace(case.reading(), relu=False)
    if not kernel.suits(array, how):
        pytest.skip("no vector units for this form")
    outputs = kernel.read(array, x, how)
    other = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(3)) * outputs.std()
    other.view(-1)[:3] = torch.tensor([math.nan, math.inf, -math.inf])
    assert_added(kernel, array, x, how, other)


@needs_c
@pytest.mark.parametrize("most", [0, 1, 2, 3])
@pytest.mark.parametrize("layer", ["matrix", "matrix of sequences", "convolution"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("name", "in_c"), [("D", True), ("both lines", True), ("E", False), ("unit column", False)])
def test_so_it_is_where_bits_are_read_one_by_one(name: str, in_c: bool, signed: bool, layer: str, most: int) -> None:
    kernel, case = BitSerial(most), Case(name, layer, signed)
    array, x, how = case.array(), case.inputs(), replace(case.reading(), relu=False)
    assert kernel.suits(array, how)
    outputs = kernel.read(array, x, how)
    layout = array.laid_out(kernel, signed, lambda: pytest.fail("the kernel has laid the cells out"))
    assert layout.adds_in_c(array, how) is in_c
    other = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(3)) * outputs.std()
    other.view(-1)[:3] = torch.tensor([math.nan, math.inf, -math.inf])
    assert_added(kernel, array, x, how, other)
    without = kernel.read(array, x, replace(how, bias=None))
    bias = torch.randn(outputs.shape[-1], generator=torch.Generator().manual_seed(4)) * outputs.std()
    for own in (bias, bias.double(), bias.repeat_interleave(2)[::2], bias[:1], torch.complex(bias, -bias).conj().imag):
        found = kernel.read(array, x, replace(how, bias=own, relu=True))
        # Sums that are kept in double precision are rounded after the bias, not before.
        torch.testing.assert_close(found, torch.relu((without + own).float()), rtol=1e-6, atol=1e-6 * float(bias.std()))
    with pytest.raises(RuntimeError, match="meta"):
        kernel.read(array, x, replace(how, bias=bias.to("meta")))


def assert_added(kernel: ReadingKernel, array: AnalogArray, x: torch.Tensor, how: Reading, other: torch.Tensor) -> None:
    """Add a tensor in several layouts and types, with a ReLU after it and without."""
    outputs = kernel.read(array, x, how)
    for added in (other, other.transpose(0, -1).contiguous().transpose(0, -1), other[..., :1], other.double()):
        for relu in (False, True):
            found = kernel.read(array, x, replace(how, added=added, relu=relu))
            wanted = torch.relu(outputs + added) if relu else outputs + added
            torch.testing.assert_close(found, wanted, rtol=0.0, atol=0.0, equal_nan=True)


def test_kernels_that_add_nothing_have_it_added_after_them() -> None:
    for name in ("wires", "two bits a slice", "unit column in analog"):
        case = Case(name, "convolution", False)
        array, x, how = case.array(), case.inputs(), replace(case.reading(), relu=False)
        outputs = readout.read(array, x, how)
        other = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(3)) * outputs.std()
        assert torch.equal(readout.read(array, x, replace(how, added=other)), outputs + other)
        assert torch.equal(readout.read(array, x, replace(how, added=other, relu=True)), torch.relu(outputs + other))
