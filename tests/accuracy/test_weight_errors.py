"""The law of a weight's error against cells that are programmed one by one, and its gradient against differences."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from accuracy import AnalogMatrix, Faults, analog_layers, calibrate, convert
from accuracy.training.drawn_weights import DrawnWeights
from accuracy.training.weight_errors import clipped_normal, weight_errors
from circuits import CoreDesign, load_design
from devicekit import Cell, SaturatingExponential, StateIndependent, StateProportional, Tail, load_device

SONOS = load_device("sonos_40nm_tcas2022")
DAY = 86400.0


def test_clipped_normal_by_quadrature() -> None:
    """Mean and variance of max(0, m + s z), by a fine sum over z."""
    z = np.linspace(-9, 9, 200001)
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    for mean in (-0.2, 0.0, 0.05, 0.7):
        for spread in (0.02, 0.3):
            values = np.maximum(0.0, mean + spread * z)
            first = float((density * values).sum())
            found = clipped_normal(np.array(mean), np.array(spread))
            assert float(found[0]) == pytest.approx(first, abs=1e-9)
            assert float(found[1]) == pytest.approx(float((density * (values - first) ** 2).sum()), abs=1e-9)
    assert [float(v) for v in clipped_normal(np.array(0.3), np.array(0.0))] == [0.3, 0.0]


@pytest.mark.parametrize("form", ["differential", "offset", "twos_complement", "ones_complement"])
@pytest.mark.parametrize("cell_bits", [2, None])
@pytest.mark.parametrize("age", [0.0, 2 * DAY])
def test_errors_are_those_of_programmed_cells(form: str, cell_bits: int | None, age: float) -> None:
    """Mean and spread of every integer's error over 4000 programmed cells, mean shift and clipping included."""
    bits = {"differential": 4, "offset": 5}.get(form, 4)
    design = CoreDesign(
        name="x",
        negative_weights=form,
        weight_bits=5,
        bits_per_cell=cell_bits or bits,
        max_rows=8000,
        adc_bits=None,
        input_bits=None,
    )
    cell = dataclasses.replace(SONOS, error_scale=6.0, on_off_ratio=30.0).at(time=age)
    law = weight_errors(design, cell)
    integers = np.arange(-law.largest, law.largest + 1)
    copies = 4000
    matrix = AnalogMatrix(np.tile(integers / law.largest, (copies, 1)), design, cell, seed=5)
    errors = matrix.array.programmed_weights().numpy() * law.largest - integers
    deviation = errors.std(axis=0)
    np.testing.assert_array_less(np.abs(errors.mean(axis=0) - law.mean), 4.5 * deviation / np.sqrt(copies) + 1e-9)
    np.testing.assert_allclose(deviation, law.spread, rtol=0.06)


def _layer(cell: Cell, design: CoreDesign, faults: Faults | None = None) -> Any:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(40, 30)).double().eval()
    x = torch.rand(8, 40, dtype=torch.float64)
    return analog_layers(calibrate(convert(net, design, cell, seed=0, faults=faults), [(x, None)]))[0]


@pytest.mark.parametrize("case", ["law", "tail", "faults", "flipped", "unit column"])
def test_drawn_weights_are_distributed_as_programmed_ones(case: str) -> None:
    """Draws of a layer against its arrays programmed anew: the same mean and spread of every weight's error."""
    cell = Cell(error=SaturatingExponential(160e-9, 530e-9), i_max=1.6e-6, on_off_ratio=50.0)
    design, faults = load_design("A"), None
    if case == "tail":
        cell = dataclasses.replace(cell, tail=Tail(0.05, "uniform"))
    elif case == "faults":
        faults = Faults(stuck_low=0.02, stuck_high=0.03)
    elif case != "law":
        form = "offset" if case == "flipped" else "offset_unit_column"
        design = design.replace(negative_weights=form, flipped_encoding=case == "flipped")
    layer = _layer(cell, design, faults)
    drawn, programmed = DrawnWeights(layer, 1.0), []
    errors = []
    for number in range(60):
        drawn.begin(np.random.SeedSequence(3, spawn_key=(number,)), None)
        errors.append(drawn.weights().detach() - layer.matrix())
        layer.synchronize()
        layer.program(11, number)
        programmed.append(layer.array.programmed_weights() - layer.matrix())
    one, two = torch.stack(errors), torch.stack(programmed)
    assert float(one.std()) == pytest.approx(float(two.std()), rel=0.03)
    assert float(one.mean()) == pytest.approx(float(two.mean()), abs=4 * float(two.std()) / np.sqrt(40 * 30 * 60 / 30))
    large = layer.matrix().abs() > layer.matrix().abs().quantile(0.7)
    assert float(one[:, large].std()) == pytest.approx(float(two[:, large].std()), rel=0.05)


def test_same_key_same_cells_and_others_else() -> None:
    layer = _layer(SONOS, load_design("A"))
    drawn = DrawnWeights(layer, 1.0)
    seen = []
    for key, age in ((1, None), (1, None), (2, None), (1, 5 * DAY)):
        drawn.begin(np.random.SeedSequence(3, spawn_key=(key,)), age)
        seen.append(drawn.weights().detach())
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    later = dataclasses.replace(SONOS).at(time=5 * DAY)
    expected = weight_errors(layer.design, later)
    fresh = weight_errors(layer.design, SONOS)
    step = layer.array.step[0]
    index = torch.round(layer.matrix() / step).long() + fresh.largest
    moved = torch.from_numpy(expected.mean - fresh.mean)[index] * step
    grown = torch.from_numpy(expected.spread / np.maximum(fresh.spread, 1e-12))[index]
    rounded = torch.round(layer.matrix() / step) * step
    torch.testing.assert_close(seen[3] - rounded - moved, (seen[0] - rounded) * grown, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "error", [SaturatingExponential(300e-9, 500e-9), StateProportional(0.3), StateIndependent(0.2)]
)
def test_gradient_of_drawn_weights_follows_the_law(error: Any) -> None:
    """With the same deviates, a weight that is moved moves its drawn value by the slope that autograd has."""
    cell = Cell(error=error, i_max=1.6e-6, on_off_ratio=1e4)
    design = load_design("A").replace(weight_bits=16, bits_per_cell=15)
    layer = _layer(cell, design)
    drawn, weight = DrawnWeights(layer, 1.0), layer.digital.weight

    def value() -> torch.Tensor:
        drawn.begin(np.random.SeedSequence(3), None)
        return drawn.weights()

    value().sum().backward()
    largest = float(weight.detach().abs().max())
    inner = (weight.detach().abs() < 0.9 * largest) & (weight.detach().abs() > 0.05 * largest)
    step = 2e-3 * largest
    with torch.no_grad():
        kept = weight.detach().clone()
        values = []
        for sign in (1, -1):
            weight.copy_(torch.where(inner, kept + sign * step, kept))
            values.append(value().t().clone())
    slope = (values[0] - values[1])[inner] / (2 * step)
    assert float((slope - 1).abs().max()) > 0.02 or isinstance(error, StateIndependent)
    torch.testing.assert_close(weight.grad[inner], slope, rtol=0.02, atol=0.02)
