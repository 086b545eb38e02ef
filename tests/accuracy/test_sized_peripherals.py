"""Circuits sized for a design in a network: each slice at its own range and common current, against numpy by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from accuracy import AnalogMatrix, MappingError, analog_layers, calibrate, convert, evaluate
from accuracy.arrays.periphery import assumed_common
from accuracy.layers.analog_layers import AnalogLayer
from circuits import Core, PeripheralGrid, load_design, load_peripherals, network_statistics
from circuits.peripherals.apply import apply_peripherals, column_errors
from devicekit import load_device
from tests.accuracy.small_networks import design, small_data, small_network

CELL = load_device("sonos_40nm_tcas2022")


def _quiet(name: str) -> PeripheralGrid:
    """Return the circuits recorded for a design without their noise."""
    grid = load_peripherals("sized", load_design(name))
    assert isinstance(grid, PeripheralGrid)
    silent = dict.fromkeys(("noise_lsb", "noise_common_lsb", "shot_noise_lsb", "pattern_lsb"), 0.0)
    points = [point.model_copy(update={"figures": point.figures | silent}) for point in grid.points]
    return grid.model_copy(update={"points": tuple(points)})


def _layer(name: str, rows: int = 60) -> tuple[AnalogLayer, torch.Tensor]:
    rng = np.random.default_rng(2)
    layer = nn.Linear(rows, 10, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(rng.laplace(0, 0.1, (10, rows)).astype(np.float32)))
    x = torch.from_numpy(np.maximum(rng.normal(0, 0.5, (32, rows)), 0).astype(np.float32))
    model = convert(layer, Core(design(name, matrix_rows=rows), cell=CELL, peripherals=_quiet(name)))
    calibrate(model, [(x, None)])
    own = analog_layers(model)[0]
    own.program(3)
    return own, x


@pytest.mark.filterwarnings("ignore::circuits.EnvelopeWarning")
def test_a_layer_is_read_as_its_circuit_reads_its_currents() -> None:
    layer, x = _layer("A")
    calibration, array, grid = layer.require_calibration(), layer.array, _quiet("A")
    integers = np.rint(np.clip(x.numpy().astype(np.float64) / calibration.scale, 0, 1) * 255).astype(int)
    assert grid.bit_weights is not None
    inputs = sum(((integers >> bit) & 1) * weight for bit, weight in enumerate(grid.bit_weights))
    # What calibration notes: the mean over inputs, columns and the two lines, with ideal bits and target cells.
    mean = np.mean(integers / 255 @ array.targets[0].mean(axis=0))
    assert calibration.common == pytest.approx([mean], rel=1e-5)
    (lo, hi), *_ = calibration.ranges
    model = grid.at(hi * CELL.i_max, mean * CELL.i_max)
    found = layer.peripherals()
    assert found is not None
    assert found[0].gain_sigma == pytest.approx(model.gain_sigma)
    assert found[0].common_current == pytest.approx(model.common_current, rel=1e-5)
    plus, minus = array.conductances[0]
    v, common = inputs @ (plus - minus), inputs @ (plus + minus) / 2
    assert array.column_deviates is not None
    errors = column_errors(model, array.column_deviates[0])
    position = apply_peripherals((v - lo) / (hi - lo), model, errors, common=common * CELL.i_max / model.common_current)
    reading = np.rint(np.clip(position, 0, 1) * 254) / 254 * (hi - lo) + lo
    wanted = reading * array.factors[0, 0].numpy() * array.output_scale.numpy() * calibration.scale
    with torch.no_grad():
        np.testing.assert_allclose(layer(x).numpy(), wanted, rtol=1e-4, atol=1e-5)
    # Without the common current of each conversion the readings would be others.
    still = apply_peripherals((v - lo) / (hi - lo), model, errors)
    assert np.abs(still - position).max() > 0.5 / 254


@pytest.mark.parametrize("name", "BDE")
@pytest.mark.filterwarnings("ignore::circuits.EnvelopeWarning")
def test_every_slice_has_its_own_circuit_and_batches_do_not_matter(name: str) -> None:
    layer, x = _layer(name)
    models, ranges = layer.peripherals(), layer.require_calibration().ranges
    assert models is not None
    assert len(models) == layer.design.slices
    for model, (_, hi) in zip(models, ranges, strict=True):
        assert model.full_scale_current == pytest.approx(hi * CELL.i_max)
    with torch.no_grad():
        together = layer(x)
        layer.array.noise.restart()
        apart = torch.cat([layer(x[:7]), layer(x[7:])])
    torch.testing.assert_close(together, apart)


@pytest.mark.filterwarnings("ignore::circuits.EnvelopeWarning")
def test_trimmed_columns_keep_what_untrimmed_ones_lose() -> None:
    core = Core(design("A"), cell=CELL, peripherals="sized")
    network = small_network()
    model = calibrate(convert(network, core), small_data())
    with torch.no_grad():
        batches = [(x, network(x)) for x, _ in small_data()]
    untrimmed = evaluate(model, batches, trials=3, metric="mse")
    trimmed = evaluate(model, batches, trials=3, metric="mse", corrections=["column_trim"], correction_batches=batches)
    assert trimmed.mean < 0.5 * untrimmed.mean


@pytest.mark.filterwarnings("ignore::circuits.EnvelopeWarning")
def test_a_matrix_of_its_own_takes_the_statistics_and_ideal_cells_are_refused() -> None:
    weight = np.random.default_rng(0).laplace(0, 0.1, (60, 8))
    matrix = AnalogMatrix(weight, design("A", matrix_rows=60), CELL, adc_range=(-2.0, 2.0), peripherals="sized")
    mean = matrix.array.targets[0].sum(axis=1).mean(axis=(0, 1)) * network_statistics().bit_activity
    assert assumed_common(matrix.array) == pytest.approx([mean])
    assert np.isfinite(matrix.matmul(np.random.default_rng(1).random((4, 60)))).all()
    ideal = AnalogMatrix(weight, design("A", matrix_rows=60), adc_range=(-2.0, 2.0), peripherals="sized")
    with pytest.raises(MappingError, match="circuit for currents in ampere, but ideal cells have none"):
        ideal.matmul(np.zeros((1, 60)))
