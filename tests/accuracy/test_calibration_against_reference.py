"""Calibrated ranges against the reference's own two passes: input ranges by trying them, ADC ranges by sorting.

The reference works out every current that is converted, one by one, and sorts them; the evaluator counts them in bins
as they stream by. They may differ by a bin, and by the gap between the two neighbours that a quantile lies between.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from accuracy import analog_layers, calibrate, calibration_report, convert
from accuracy.kernels import elementwise
from accuracy.kernels.histograms import BINS
from accuracy.layers.analog_layers import AnalogLayer
from circuits import CoreDesign
from devicekit import Cell, StateIndependent
from tests.accuracy.matrix_cases import FEWER, Case, cases
from tests.accuracy.small_networks import design
from tests.reference.analog_reference import multiply, negative_currents
from tests.reference.calibration_reference import INNER, best_range, bracket, quantisation_error, tie_ranges
from tests.reference.mapping_reference import slice_worth
from tests.reference.patches_reference import gather

# The package's `calibrate` is the function.
CALIBRATION = importlib.import_module("accuracy.calibration.calibrate")
ON_OFF = 50.0
CELL = Cell(error=StateIndependent(0.05), i_max=1.6e-6, on_off_ratio=ON_OFF)
OTHERS = {
    "unit": CoreDesign(negative_weights="offset_unit_column", bits_per_cell=4, max_rows=20, flipped_encoding=True),
    "both lines": CoreDesign(subtraction="digital", bits_per_cell=3),
    "twos complement": CoreDesign(negative_weights="twos_complement", bits_per_cell=3, bits_per_input_slice=3),
    "ones complement": CoreDesign(
        negative_weights="ones_complement", bits_per_cell=2, input_accumulation="digital", max_rows=10
    ),
    "two input bits": CoreDesign(bits_per_cell=2, bits_per_input_slice=2, input_accumulation="digital"),
}
NAMES = ("A", "B", "C", "D", "E", *OTHERS)


def named(name: str) -> CoreDesign:
    """A reference design with arrays small enough that small matrices are split, or another mapping."""
    if name in OTHERS:
        return OTHERS[name]
    own = design(name)
    return own.replace(max_rows={"C": 11, "E": 9}.get(name, own.max_rows))


def check_ranges(
    layer: AnalogLayer, analog: dict[int, list[float]], *, inner: float = INNER, rounding: float = 1e-5
) -> None:
    """Compare a layer's ADC ranges with the currents that the reference sorted.

    Args:
        layer: calibrated.
        analog: currents of each slice.
        inner: fraction that ranges hold.
        rounding: what float32 may lose, relative to the largest current of a slice.
    """
    found = layer.require_calibration()
    symmetric = negative_currents(layer.design, found.signed)
    least, most = [], []
    for s in range(len(slice_worth(layer.design))):
        below, above = bracket(analog[s], symmetric, inner)
        largest = max(abs(v) for v in analog[s])
        bin_width = 2.0 ** np.ceil(np.log2(largest)) / BINS if largest > 0 else 0.0
        least.append(below - rounding * largest)
        most.append(above + bin_width + rounding * largest)
    reach = max(hi for _, hi in found.ranges)
    assert max(least) <= reach <= max(most)
    for (lo, hi), low, high in zip(found.ranges, least, most, strict=True):
        assert lo == (-hi if symmetric else 0.0)
        if high > 0:
            # Needs that meet a half of the largest range but for rounding may take either side of it.
            ends = [tie_ranges([reach, need], symmetric)[1][1] for need in (max(low, 1e-12) * (1 - 2e-6), high)]
            assert hi in ends or ends[0] < hi < ends[1]


def one_layer(case: Case, dtype: torch.dtype) -> tuple[nn.Module, torch.Tensor]:
    """A linear layer with a case's weights, and its inputs, the first of them at full scale."""
    linear = nn.Linear(*case.weight.shape, bias=False).to(dtype)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(case.weight.T))
    if case.step is not None:
        linear.weight_step = case.step
    case.weight = linear.weight.detach().double().numpy().T
    case.x[0, 0] = -1.0 if case.signed else 1.0
    return linear, torch.from_numpy(case.x).to(dtype)


@FEWER
@given(cases(), st.sampled_from((torch.float32, torch.float64)), st.sampled_from((INNER, 0.97, 0.6)))
def test_every_mapping_of_one_matrix(case: Case, dtype: torch.dtype, inner: float) -> None:
    linear, x = one_layer(case, dtype)
    product = multiply(case.x, case.weight, case.design, signed=case.signed, g_min=case.g_min, step=case.step)
    symmetric = negative_currents(case.design, case.signed)
    # Without a current in the inner part there is no range, and calibration says so.
    assume(any(bracket(values, symmetric, inner)[0] > 0 for values in product.analog.values()))
    model = convert(linear, case.design, case.cell)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CALIBRATION, "INNER_FRACTION", inner)
        calibrate(model, [(x, None)])
    layer = analog_layers(model)[0]
    found = layer.require_calibration()
    # So few values that none lies beyond the range: it reaches the largest.
    assert (found.x_min, found.x_max) == (min(0.0, case.x.min()), max(0.0, case.x.max()))
    if found.signed != case.signed:
        product = multiply(case.x, case.weight, case.design, g_min=case.g_min, step=case.step)
    check_ranges(layer, product.analog, inner=inner, rounding=1e-5 if dtype is torch.float32 else 1e-11)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "torch"])
def test_both_passes_through_two_layers(name: str, compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second layer's input range is that of the float network; its currents are those of quantised first layers."""
    if not compiled:
        monkeypatch.setattr(elementwise, "available", lambda: False)
    own = named(name)
    torch.manual_seed(3)
    network = nn.Sequential(nn.Linear(24, 7), nn.ReLU(), nn.Linear(7, 5))
    x = torch.rand(16, 24, generator=torch.Generator().manual_seed(4))
    x[0, 0] = 1.0
    model = calibrate(convert(network, own, CELL), list(zip(x.split(5), x.split(5), strict=True)))
    hidden = x.double().numpy()
    values = hidden
    for index, layer in zip((0, 2), analog_layers(model), strict=True):
        found = layer.require_calibration()
        low, high, least = best_range(values)
        assert found.x_min == low == 0.0
        assert found.x_max == pytest.approx(values.max(), rel=1e-6)
        assert quantisation_error(values, found.x_min, found.x_max) <= max(1.05 * least, least + 2 * (high / 4095))
        digital = network[index]
        weight, bias = digital.weight.detach().double().numpy().T, digital.bias.detach().double().numpy()
        product = multiply(hidden / found.scale, weight, own, g_min=1 / ON_OFF)
        # One input that float32 rounds to the other code moves a current by a step of its row.
        check_ranges(layer, product.analog, rounding=1e-5 if index == 0 else 2e-3)
        hidden = np.maximum(product.output * found.scale + bias, 0.0)
        values = np.maximum(values @ weight + bias, 0.0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_convolutions_pool_over_positions(name: str, signed: bool) -> None:
    own = named(name)
    torch.manual_seed(5)
    convolution = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False)
    generator = torch.Generator().manual_seed(6)
    levels = 127 if signed else 255
    numbers = torch.randint(-levels if signed else 0, levels + 1, (3, 3, 6, 6), generator=generator)
    x = numbers / levels
    x[0, 0, 0, 0] = 1.0
    model = calibrate(convert(convolution, own, CELL), [(x, None)])
    layer = analog_layers(model)[0]
    assert layer.require_calibration().signed == signed
    rows = gather(x.double().numpy(), convolution, (3, 3))[0]
    weight = convolution.weight.detach().double().numpy().reshape(4, -1).T
    parts = [range(part.start, part.stop) for part in layer.array.mapping.partitions]
    product = multiply(rows, weight, own, signed=signed, g_min=1 / ON_OFF, parts=parts)
    check_ranges(layer, product.analog)


@pytest.mark.parametrize("name", ["A", "D"])
def test_the_published_fraction_of_many_currents(name: str) -> None:
    """Enough currents that 0.02 % of them are several."""
    own, rng = named(name), np.random.default_rng(7)
    if own.input_accumulation == "analog":
        # The sum over input slices is the same; the reference adds it eight times faster.
        own = own.replace(bits_per_input_slice=None)
    linear = nn.Linear(8, 8, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(rng.laplace(size=(8, 8))))
    numbers = np.minimum(rng.exponential(20.0, size=({"A": 2500, "D": 320}[name], 8)).astype(int), 255)
    numbers[0, 0] = 255
    x = (numbers / 255).astype(np.float32)
    layer = analog_layers(calibrate(convert(linear, own, CELL), [(torch.from_numpy(x), None)]))[0]
    scale = layer.require_calibration().scale
    weight = linear.weight.detach().double().numpy().T
    product = multiply(x.astype(np.float64) / scale, weight, own, g_min=1 / ON_OFF)
    assert (1 - INNER) * len(product.analog[0]) >= 3.9
    check_ranges(layer, product.analog)


@pytest.mark.parametrize(
    "values",
    [
        lambda rng: np.maximum(rng.standard_normal(120_000), 0.0),
        lambda rng: rng.exponential(size=120_000),
        lambda rng: np.abs(rng.standard_t(4, size=120_000)),
        lambda rng: rng.uniform(size=120_000),
        lambda rng: rng.standard_normal(120_000) + 0.5,
        lambda rng: rng.laplace(size=120_000) * np.where(rng.random(120_000) < 0.5, 1.0, 3.0),
    ],
    ids=["rectified normal", "exponential", "heavy tail", "uniform", "signed", "signed mixture"],
)
def test_input_ranges_err_no_more_than_the_best_of_many(values: Any) -> None:
    data = values(np.random.default_rng(8)).astype(np.float32)
    x = torch.from_numpy(data).reshape(-1, 8)
    layer = analog_layers(calibrate(convert(nn.Linear(8, 2), CoreDesign(adc_bits=None)), [(x, None)]))[0]
    found = layer.require_calibration()
    low, high, least = best_range(data)
    assert (found.x_min < 0) == (low < 0)
    assert quantisation_error(data, found.x_min, found.x_max) <= 1.01 * least
    for ours, theirs in ((found.x_min, low), (found.x_max, high)):
        assert ours == pytest.approx(theirs, rel=0.1)


def streamed(network: nn.Module, own: CoreDesign, batch: int) -> list[dict[str, Any]]:
    """Ranges from 24 images, ever larger ones, so that the histograms' reach has to grow while they stream by."""
    x = torch.randn(24, 3, 6, 6, generator=torch.Generator().manual_seed(10))
    x = x * torch.linspace(0.1, 3.0, 24).reshape(-1, 1, 1, 1)
    model = calibrate(convert(network, own, CELL), [(part, None) for part in x.split(batch)])
    return calibration_report(model)


@pytest.mark.parametrize("name", NAMES)
def test_streaming_gives_what_one_batch_gives(name: str) -> None:
    torch.manual_seed(9)
    layer = nn.Conv2d(3, 6, 3, padding=1)
    deep = nn.Sequential(layer, nn.ReLU(), nn.Conv2d(6, 4, 3, padding=1), nn.Flatten(), nn.Linear(144, 5))
    for network in (layer, deep):
        whole = streamed(network, named(name), 24)
        for batch in (7, 1):
            found = streamed(network, named(name), batch)
            # Convolutions of fewer images at once round otherwise; nothing else differs.
            for row, one in zip(found, whole, strict=True):
                numbers, others = ({k: v for k, v in part.items() if k != "layer"} for part in (row, one))
                assert numbers == pytest.approx(others, rel=1e-6, abs=1e-7)
