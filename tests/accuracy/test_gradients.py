"""Gradients of converted networks: derivatives of what arrays compute, straight-through where they round."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from accuracy import AnalogMatrix, analog_layers, calibrate, convert, synchronize
from accuracy.layers.analog_layers import AnalogLayer
from circuits import CoreDesign, load_design
from devicekit import Cell, SaturatingExponential, StateIndependent
from tests.accuracy.matrix_cases import FORMS

CELL = Cell(error=SaturatingExponential(160e-9, 530e-9), i_max=1.6e-6, on_off_ratio=100.0)
SMOOTH = load_design("A").replace(weight_bits=16, bits_per_cell=15, adc_bits=None, input_bits=None)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sliced", [False, True])
def test_programmed_weights_are_what_arrays_multiply_by(form: str, sliced: bool) -> None:
    """Without conversion, x @ W is what the cells give, whatever the form, slices, flips and partitions."""
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(19, 6))
    weight = np.abs(weight) if form == "column_sign" else weight
    bits = {"one_sign": 7, "signed": 8}["one_sign" if form in ("differential", "column_sign") else "signed"]
    design = CoreDesign(
        name="x",
        negative_weights=form,
        weight_bits=8,
        bits_per_cell=2 if sliced else min(bits, 7),
        max_rows=8,
        input_bits=None,
        adc_bits=None,
        flipped_encoding=form in ("offset", "twos_complement"),
    )
    cell = Cell(error=StateIndependent(0.1), i_max=1e-6, on_off_ratio=20.0)
    matrix = AnalogMatrix(weight, design, cell, seed=4)
    x = rng.random((5, 19))
    np.testing.assert_allclose(x @ matrix.array.programmed_weights().numpy(), matrix.matmul(x), rtol=1e-9, atol=1e-9)


def _smooth_network() -> nn.Sequential:
    torch.manual_seed(2)
    layers = (
        nn.Conv2d(2, 4, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(4, 4, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 3 * 3, 5),
    )
    return nn.Sequential(*layers).double().eval()


def _converted(net: nn.Module, x: Tensor, design: CoreDesign = SMOOTH, cell: Cell | None = CELL) -> nn.Module:
    return calibrate(convert(net, design, cell, seed=1), [(x, None)])


def _loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return nn.functional.cross_entropy(model(x), y)


def test_gradients_are_finite_differences_of_the_arrays() -> None:
    """Inputs and biases of a network on noisy cells, where nothing is rounded: central differences to 1e-5."""
    x, y = torch.rand(3, 2, 8, 8, dtype=torch.float64), torch.tensor([0, 3, 4])
    model = _converted(_smooth_network(), 4 * x - 2)
    inputs = x.clone().requires_grad_()
    _loss(model, inputs, y).backward()
    step = 1e-6
    direction = torch.randn_like(x)
    with torch.no_grad():
        there, back = (_loss(model, x + sign * step * direction, y) for sign in (1, -1))
    assert inputs.grad is not None
    assert float((inputs.grad * direction).sum()) == pytest.approx(float(there - back) / (2 * step), rel=1e-5)
    for layer in analog_layers(model):
        bias: Any = layer.digital.bias
        direction = torch.randn_like(bias)
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                bias += sign * step * direction
                values.append(float(_loss(model, x, y)))
                bias -= sign * step * direction
        slope = (values[0] - values[1]) / (2 * step)
        assert float((bias.grad * direction).sum()) == pytest.approx(slope, rel=1e-5)


def test_gradients_of_weights_are_torchs_at_the_programmed_weights() -> None:
    """The float network with the weights that the cells stand for has the same gradients, to 1e-5."""
    x, y = torch.rand(6, 2, 8, 8, dtype=torch.float64), torch.tensor([0, 3, 4, 1, 1, 2])
    net = _smooth_network()
    model = _converted(net, 4 * x - 2)
    _loss(model, x, y).backward()
    for layer in analog_layers(model):
        twin = net.get_submodule(layer.name)
        weights = layer.array.programmed_weights()
        assert 0.01 < float((weights - layer.matrix()).norm() / weights.norm()) < 0.5, "cells are noisy"
        layer.kind.lay_in(twin, weights, twin.bias.detach())
    _loss(net, x, y).backward()
    for layer in analog_layers(model):
        for name, wanted in net.get_submodule(layer.name).named_parameters():
            found = getattr(layer.digital, name).grad
            torch.testing.assert_close(found, wanted.grad, rtol=1e-5, atol=1e-8)


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "sequences": (lambda: nn.Linear(7, 3), (4, 5, 7)),
    "one vector": (lambda: nn.Linear(7, 3), (7,)),
    "one image": (lambda: nn.Conv2d(3, 4, 3), (3, 6, 6)),
    "groups": (lambda: nn.Conv2d(4, 6, 3, groups=2, dilation=2, padding=2), (2, 4, 7, 7)),
    "reflected": (lambda: nn.Conv1d(3, 4, 3, padding=1, padding_mode="reflect"), (2, 3, 9)),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, output_padding=1), (2, 4, 5, 5)),
    "no bias": (lambda: nn.Conv3d(2, 3, 2, bias=False), (2, 2, 4, 4, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_has_the_gradient_of_its_digital_twin(name: str) -> None:
    """Ideal cells and 16-bit weights: what torch gives for the layer itself."""
    make, shape = LAYERS[name]
    torch.manual_seed(0)
    net, x = nn.Sequential(make()).double().eval(), torch.randn(shape, dtype=torch.float64)
    model = _converted(net, 2 * (x if x.dim() > 2 else x.unsqueeze(0)), cell=None)
    seen = []
    for network in (model, net):
        inputs = x.clone().requires_grad_()
        (network(inputs) ** 2).sum().backward()
        seen.append([inputs.grad, *(p.grad for p in network.parameters())])
    assert len(seen[0]) == len(seen[1])
    for found, wanted in zip(*seen, strict=True):
        assert found is not None
        assert float((found - wanted).norm() / wanted.norm()) < 1e-3


def test_clipped_inputs_have_no_gradient() -> None:
    """An input beyond its range changes nothing that the arrays read."""
    net = nn.Sequential(nn.Linear(8, 3)).eval()
    model = _converted(net, torch.rand(64, 8), load_design("A"))
    layer = analog_layers(model)[0]
    edge = layer.require_calibration().scale
    x = torch.full((2, 8), 0.5 * edge)
    x[0, 2], x[1, 5], x[1, 6] = 1.5 * edge, -0.2 * edge, 40 * edge
    outside = torch.zeros_like(x, dtype=torch.bool)
    outside[0, 2] = outside[1, 5] = outside[1, 6] = True
    x.requires_grad_()
    model(x).sum().backward()
    assert x.grad is not None
    assert bool((x.grad[outside] == 0).all())
    assert bool((x.grad[~outside] != 0).all())
    weight: Any = layer.digital.weight
    torch.testing.assert_close(weight.grad[0], x.detach().clamp(0, edge).sum(dim=0))


@pytest.mark.parametrize("design", "ABCDE")
def test_an_optimiser_trains_through_the_arrays(design: str) -> None:
    """Descent on what noisy, quantised, converted arrays compute: the loss of those very arrays falls."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 4)).eval()
    x = torch.rand(64, 12)
    y = (x @ torch.randn(12, 4)).argmax(dim=1)
    model = _converted(net, x, load_design(design))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = _loss(model, x, y)
        loss.backward()
        optimiser.step()
        synchronize(model)
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    assert all(isinstance(layer, AnalogLayer) for layer in analog_layers(model))
