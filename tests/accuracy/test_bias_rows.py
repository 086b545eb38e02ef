"""Scales of arrays and biases on them: exact where cells are, and errors that go with the full scale of each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from accuracy import ConversionError, MappingError, analog_layers, calibrate, convert, evaluate
from accuracy.arrays.analog_array import AnalogArray
from accuracy.calibration.line_currents import measure_line_currents
from accuracy.layers.analog_layers import AnalogLayer
from accuracy.mapping.operators import MatrixOperator
from accuracy.mapping.weights import map_weights
from accuracy.training.drawn_weights import DrawnWeights
from circuits import Core, CoreDesign, Wires
from devicekit import Cell, DesignError, SaturatingExponential, StateIndependent, StateProportional
from tests.accuracy.small_networks import small_data, small_network

EXACT = Cell(error=StateIndependent(0.0), i_max=1.6e-6, on_off_ratio=50.0)
ERRORS = [StateIndependent(0.04), StateProportional(0.05), SaturatingExponential(40e-9, 4e-7)]
FORMS: dict[str, dict[str, Any]] = {
    "differential": {},
    "both lines": {"subtraction": "digital", "bits_per_cell": 3},
    "offset": {"negative_weights": "offset", "bits_per_cell": 2},
    "offset, flipped": {"negative_weights": "offset", "bits_per_cell": 4, "flipped_encoding": True},
    "unit column": {"negative_weights": "offset_unit_column", "bits_per_cell": 4},
    "two's complement": {"negative_weights": "twos_complement", "bits_per_cell": 3},
    "bit by bit": {"input_accumulation": "digital"},
    "bit by bit, flipped": {
        "negative_weights": "offset",
        "bits_per_cell": 2,
        "flipped_encoding": True,
        "input_accumulation": "digital",
    },
}


def layer_of(
    bias: float, *, cell: Cell = EXACT, signed: bool = False, spread: float = 1.0, **design: Any
) -> tuple[AnalogLayer, nn.Linear, torch.Tensor]:
    """A calibrated layer of 40 inputs, whose later rows have smaller weights, with biases of some size."""
    generator = torch.Generator().manual_seed(3)
    linear = nn.Linear(40, 6)
    with torch.no_grad():
        linear.weight.copy_(torch.randn(6, 40, generator=generator))
        linear.weight[:, 20:] *= spread
        linear.bias.copy_(torch.randn(6, generator=generator) * bias)
    x = torch.rand(500, 40, generator=generator) * 1.7
    x = x - 0.9 if signed else x
    model = nn.Sequential(linear)
    fields = {"max_rows": 20, "adc_bits": None, "bias_rows": 1, **design}
    found = calibrate(convert(model, CoreDesign(**fields), cell, seed=1), [(x, torch.zeros(500))])
    return analog_layers(found)[0], linear, x


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("scale", ["layer", "column", "array"])
@pytest.mark.parametrize("form", FORMS)
def test_ideal_cells_give_the_rounded_weights_and_biases(form: str, scale: str, signed: bool) -> None:
    """What digital arithmetic makes of the integers: on/off ratios, offsets, flips and unit columns cancel exactly."""
    layer, linear, x = layer_of(0.7, signed=signed, spread=0.1, weight_scale=scale, bias_rows=3, **FORMS[form])
    calibration, array = layer.require_calibration(), layer.array
    assert calibration.signed == signed
    full, steps = calibration.scale, 127 if signed else 255
    wanted = torch.round((x / full).clamp(-1 if signed else 0, 1) * steps) / steps * full
    assert array.biases is not None
    biases = array.biases.values(full)
    result = wanted.double().numpy() @ array.mapping.weights() + biases
    with torch.no_grad():
        found = layer(x).numpy()
    assert found == pytest.approx(result, rel=1e-4, abs=2e-4 * np.abs(result).max())
    # Rounding: half a step of each array; of the bias at the input that drives its rows.
    weights, bias = linear.weight.detach().double().numpy().T, linear.bias.detach().double().numpy()
    for number, rows in enumerate(array.mapping.partitions):
        error = np.abs(array.mapping.weights()[rows] - weights[rows])
        assert (error <= array.mapping.array_steps(number) * 0.5001).all()
    assert (np.abs(biases - bias) <= array.mapping.array_steps(0) * full * array.biases.drive * 0.5001).all()
    assert array.programmed_bias(full).numpy() == pytest.approx(biases, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("rows", [1, 2])
def test_a_bias_takes_the_full_conductance_range_at_a_scale_of_its_own(rows: int) -> None:
    own, linear, _ = layer_of(0.7, bias_rows=rows)
    assert own.array.biases is not None
    largest = float(linear.bias.detach().abs().max())
    values = own.require_calibration().scale * own.array.mapping.step[0] * 127 * rows
    assert own.array.biases.code == np.ceil(largest / values * 255)
    codes = np.abs(own.array.biases.mapping.codes)
    assert codes.max() >= 127 * (1 - 1 / own.array.biases.code) - 1
    assert codes.shape[0] == rows
    assert np.ptp(codes, axis=0).max() <= 1, "rows share a bias evenly"
    shared, *_ = layer_of(0.7, bias_rows=rows, bias_scale="weights")
    assert shared.array.biases is not None
    assert shared.array.biases.code == 255
    assert np.abs(shared.array.biases.mapping.integers().sum(axis=0)).max() == round(largest / values * 127 * rows)


def spread_of_bias(layer: AnalogLayer, draws: int = 1500) -> np.ndarray:
    found = []
    for trial in range(draws):
        layer.program(0, trial)
        found.append(layer.array.programmed_bias(layer.require_calibration().scale).numpy())
    return np.std(found, axis=0)


@pytest.mark.parametrize("scale", ["own", "weights"])
@pytest.mark.parametrize(
    "error",
    [StateIndependent(0.04), StateProportional(0.05), SaturatingExponential(40e-9, 4e-7)],
    ids=lambda e: type(e).__name__,
)
def test_the_error_of_a_bias_goes_with_its_full_scale(error: Any, scale: str) -> None:
    """A bias b that is held against F has the error F sigma(|b| / F).

    That is alpha F / 2 where sigma is independent of state, alpha b whatever F where it is proportional, and what lies
    between where it saturates.
    """
    cell = Cell(error=error, i_max=1.6e-6, on_off_ratio=1e7)
    layer, *_ = layer_of(0.7, cell=cell, bias_scale=scale)
    biases, mapping = layer.array.biases, layer.array.mapping
    assert biases is not None
    full = mapping.step[0] * 127 * biases.drive * layer.require_calibration().scale
    integers = biases.mapping.integers()[0]
    sigma = np.asarray(cell.sigma(np.abs(integers) / 127 * cell.i_max)) / cell.i_max
    idle = float(cell.sigma(cell.i_max / cell.on_off_ratio)) / cell.i_max
    # The other cell of the pair is clipped at 0: half a normal.
    wanted = full * np.sqrt(sigma**2 + idle**2 * (0.5 - 0.5 / np.pi))
    chosen = sigma * 4 < np.abs(integers) / 127
    assert chosen.sum() >= 3
    assert spread_of_bias(layer)[chosen] == pytest.approx(wanted[chosen], rel=0.08)


def test_own_scales_gain_what_the_law_says() -> None:
    """Independent errors shrink with the drive of the bias rows, proportional ones not at all."""
    for error, power in ((StateIndependent(0.01), 1), (StateProportional(0.05), 0)):
        cell = Cell(error=error, i_max=1.6e-6, on_off_ratio=1e7)
        own, *_ = layer_of(0.7, cell=cell, weight_bits=12)
        both, *_ = layer_of(0.7, cell=cell, weight_bits=12, bias_scale="weights")
        assert own.array.biases is not None
        chosen = np.abs(own.array.biases.mapping.integers()[0]) > 400
        gain = (spread_of_bias(both) / spread_of_bias(own))[chosen]
        assert own.array.biases.drive < 0.5
        assert gain == pytest.approx(own.array.biases.drive**-power, rel=0.1)


def test_errors_of_weights_go_with_the_scale_of_their_array() -> None:
    """Rows of weights ten times smaller have ten times smaller errors on an array with a scale of its own."""
    rng = np.random.default_rng(0)
    weight = rng.uniform(-1, 1, (40, 8))
    weight[20:] *= 0.1
    weight[0], weight[20] = 1.0, 0.1
    cell = Cell(error=StateIndependent(0.02), i_max=1.6e-6, on_off_ratio=1e7)
    errors = {}
    for scale in ("layer", "array"):
        design = CoreDesign(max_rows=20, weight_scale=scale, negative_weights="offset", adc_bits=None)
        mapping = map_weights(weight, design)
        array = AnalogArray(mapping, MatrixOperator(), cell, dtype=torch.float64)
        array.program(0)
        errors[scale] = array.programmed_weights().numpy() - mapping.weights()
        assert errors[scale][:20].std() == pytest.approx(255 / 127 * 0.01, rel=0.1), "alpha/2 of the cell's full scale"
    clear = np.abs(weight[20:]) < 0.09
    assert errors["array"][:20] == pytest.approx(errors["layer"][:20])
    assert errors["array"][20:][clear] == pytest.approx(errors["layer"][20:][clear] / 10)


def test_groups_of_columns_share_the_scale_of_their_largest_weight() -> None:
    weight = np.random.default_rng(1).normal(size=(10, 7))
    mapping = map_weights(weight, CoreDesign(max_rows=5, weight_scale="array", scale_columns=3))
    for number, rows in enumerate(mapping.partitions):
        for group in (slice(0, 3), slice(3, 6), slice(6, 7)):
            wanted = np.abs(weight[rows, group]).max() / 127
            assert mapping.array_steps(number)[group] == pytest.approx(wanted)
            assert np.abs(mapping.codes[rows, group]).max() == 127
    one = map_weights(weight, CoreDesign(max_rows=10, weight_scale="array", scale_columns=1))
    column = map_weights(weight, CoreDesign(max_rows=10, weight_scale="column"))
    assert np.array_equal(one.codes, column.codes)
    assert one.step == pytest.approx(column.step)


def test_a_bias_beyond_its_rows_costs_weights_their_range() -> None:
    """One scale for both: the weights of the first array are held against what the bias needs, the others are not."""
    layer, linear, _ = layer_of(200.0, weight_scale="array")
    largest = float(linear.bias.detach().abs().max())
    mapping, full = layer.array.mapping, layer.require_calibration().scale
    assert layer.array.biases is not None
    assert layer.array.biases.drive == 1
    assert mapping.array_steps(0)[0] * 127 == pytest.approx(largest / full)
    assert mapping.array_steps(1)[0] * 127 == pytest.approx(float(linear.weight.detach()[:, 20:].abs().max()))
    many, *_ = layer_of(200.0, weight_scale="array", bias_rows=300)
    assert many.array.mapping.array_steps(0)[0] * 127 == pytest.approx(
        float(linear.weight.detach()[:, :20].abs().max())
    )


@pytest.mark.parametrize("changes", [{}, {"weight_scale": "array", "max_rows": 30}, {"input_accumulation": "digital"}])
def test_a_network_with_biases_on_its_arrays_is_the_network(changes: dict[str, Any]) -> None:
    """Ranges are found with the currents of bias rows in them: with fine ADCs, all is as with digital biases."""
    design = CoreDesign(weight_bits=12, adc_bits=14, **changes)
    network, data = small_network(), small_data()
    digital = calibrate(convert(network, design), data)
    model = calibrate(convert(network, design.replace(bias_rows=2)), data)
    x = data[0][0]
    with torch.no_grad():
        wanted, found = digital(x), model(x)
    # The few largest currents are clipped, at other places where biases move them.
    assert float((found - wanted).abs().median()) < 0.01 * float(wanted.std())
    assert all(layer.digital_bias is None for layer in analog_layers(model))
    assert abs(evaluate(model, data, trials=1).mean - evaluate(digital, data, trials=1).mean) < 0.02


def test_biases_that_changed_are_mapped_again() -> None:
    layer, _, x = layer_of(0.7)
    with torch.no_grad():
        before = layer(x)
        layer.digital.bias += 0.3
        with pytest.raises(ConversionError, match="synchronize"):
            layer(x)
        layer.synchronize()
        assert float((layer(x) - before - 0.3).abs().max()) < 0.02


def test_read_noise_of_bias_rows_adds_to_that_of_the_weights() -> None:
    """A layer of zero weights reads the noise of its bias rows: the cell's, at every bit that drives them."""
    cell = Cell(error=StateIndependent(0.0), i_max=1.6e-6, on_off_ratio=1e7, read_noise=StateIndependent(0.1))
    layer, *_ = layer_of(0.7, cell=cell)
    x = torch.zeros(4000, 40)
    with torch.no_grad():
        spread = layer(x).double().numpy().std(axis=0)
    biases, mapping = layer.array.biases, layer.array.mapping
    assert biases is not None
    bits = [bit for bit in range(8) if int(biases.code) >> bit & 1]
    share = np.sqrt(sum((2.0**bit / 255) ** 2 for bit in bits))
    wanted = np.sqrt(2) * 0.05 * share * mapping.step[0] * 127 * layer.require_calibration().scale
    assert spread == pytest.approx(np.full(6, wanted), rel=0.05)


def test_line_currents_count_bias_rows() -> None:
    layer, _, x = layer_of(0.7)
    model = nn.Sequential(layer)
    bare, *_ = layer_of(0.7, bias_rows=0)
    both = measure_line_currents(model, [(x, torch.zeros(500))])[layer.name]
    without = measure_line_currents(nn.Sequential(bare), [(x, torch.zeros(500))])[bare.name]
    assert layer.array.biases is not None
    common = layer.array.bias_common().mean() / 2 * 1.6e-6
    for bit in range(8):
        driven = int(layer.array.biases.code) >> bit & 1
        assert both.common_mean_a[0, bit] - without.common_mean_a[0, bit] == pytest.approx(common * driven, rel=1e-3)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(DesignError, match="`bias_rows` to be 0 with column_sign weights"):
        CoreDesign(bias_rows=1, negative_weights="column_sign")
    with pytest.raises(DesignError, match="`bias_rows` to be an integer of at least 0, but got -1"):
        CoreDesign(bias_rows=-1)
    with pytest.raises(DesignError, match="`scale_columns` to be none unless `weight_scale` is 'array'"):
        CoreDesign(scale_columns=4)
    with pytest.raises(DesignError, match="`scale_columns` to be none with a unit column"):
        CoreDesign(scale_columns=4, weight_scale="array", negative_weights="offset_unit_column")
    wires = Core(CoreDesign(bias_rows=1), wires=Wires(r_in_hat=0.01))
    model = convert(nn.Sequential(nn.Linear(4, 3)), wires)
    with pytest.raises(MappingError, match="has bias rows, which lines with a resistance are not solved with"):
        calibrate(model, [(torch.rand(8, 4), torch.zeros(8))])
    linear = nn.Linear(4, 3)
    linear.weight_step = 0.01
    nn.init.constant_(linear.bias, 50.0)
    given = convert(nn.Sequential(linear), CoreDesign(weight_scale="given", bias_rows=2))
    with pytest.raises(MappingError, match="use bias_rows of at least"):
        calibrate(given, [(torch.rand(8, 4), torch.zeros(8))])


@pytest.mark.parametrize("form", ["differential", "flipped"])
def test_drawn_biases_have_the_spread_of_their_rows(form: str) -> None:
    """Where biases lie on the array, a draw of a training has the errors that programmed bias rows have."""
    changes: dict[str, Any] = {"negative_weights": "offset", "flipped_encoding": True} if form == "flipped" else {}
    cell = Cell(error=StateProportional(0.05), i_max=1.6e-6, on_off_ratio=1e3)
    layer, *_ = layer_of(0.7, cell=cell, bias_rows=2, weight_scale="array", **changes)
    drawn, weights, biases = DrawnWeights(layer, 1.0), [], []
    for draw in range(400):
        drawn.begin(np.random.SeedSequence(draw), None)
        weights.append(drawn.weights().detach().double().numpy())
        bias = drawn.bias()
        assert bias is not None
        biases.append(bias.detach().double().numpy())
    assert bias.requires_grad
    wanted = spread_of_bias(layer, 400)
    assert np.std(biases, axis=0)[wanted > 1e-3] == pytest.approx(wanted[wanted > 1e-3], rel=0.2)
    errors = np.array(weights) - layer.array.mapping.weights()
    steps = np.repeat([layer.array.mapping.array_steps(number) for number in range(2)], 20, axis=0)
    found = []
    for trial in range(400):
        layer.program(0, trial)
        found.append(layer.array.programmed_weights().double().numpy())
    spread = np.std(found, axis=0)
    clear = spread > 0.5 * steps
    assert clear.sum() > 50
    assert (errors.std(axis=0) / spread)[clear] == pytest.approx(1.0, abs=0.25)
