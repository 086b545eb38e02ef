"""The second-order law of the loss under cell errors: sampling, Hutchinson's trace and exact Hessians agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from accuracy import analog_layers, calibrate, convert, training
from accuracy.batches import batch_of
from accuracy.training.drawn_weights import DrawnWeights
from accuracy.training.hessian import trace_term, weight_spreads
from accuracy.training.losses import cross_entropy
from circuits import CoreDesign, load_design
from devicekit import Cell, StateIndependent, StateProportional
from devicekit.cells.error_model import ErrorModel

FINE = load_design("A").replace(weight_bits=12, bits_per_cell=11)
FINER = load_design("A").replace(weight_bits=16, bits_per_cell=15)


def _data(examples: int = 40) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    x = torch.rand(examples, 6, generator=generator, dtype=torch.float64)
    logits = torch.tanh(3 * (x @ torch.randn(6, 8, generator=generator, dtype=torch.float64)))
    return x, (logits @ torch.randn(8, 3, generator=generator, dtype=torch.float64)).argmax(dim=1)


def _trained(error: ErrorModel, on_off: float = 1e6, design: CoreDesign = FINE) -> nn.Module:
    """A small network near a minimum of its loss, where errors act in second order, on arrays of fine weights."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    x, y = _data()
    optimiser = torch.optim.LBFGS(net.parameters(), max_iter=150, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        # Weight decay gives the minimum a place.
        decay = sum((p**2).sum() for p in net.parameters())
        value: Tensor = nn.functional.cross_entropy(net(x), y) + 1e-3 * decay
        value.backward()
        return value

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    cell = Cell(error=error, i_max=1e-6, on_off_ratio=on_off)
    return calibrate(convert(net.eval(), design, cell, seed=0), [(3 * x, None), (-3 * x, None)])


def _exact(model: nn.Module) -> tuple[list[float], list[float]]:
    """Trace of each layer's block of torch's Hessian, and half of it weighted with the variances."""
    layers = analog_layers(model)
    x, y = _data()
    plain, weighted = [], []
    for chosen in layers:
        start = chosen.matrix()

        def loss(matrix: Tensor, chosen: Any = chosen) -> Tensor:
            value = x
            for number, layer in enumerate(layers):
                own = matrix if layer is chosen else layer.matrix()
                value = value @ own + layer.digital.bias.detach()
                value = torch.tanh(value) if number == 0 else value
            return nn.functional.cross_entropy(value, y)

        hessian = torch.autograd.functional.hessian(loss, start)
        diagonal = hessian.reshape(start.numel(), start.numel()).diagonal().reshape(start.shape)
        spread = weight_spreads(chosen, start, chosen.cell)
        plain.append(float(diagonal.sum()))
        weighted.append(float(0.5 * (spread**2 * diagonal).sum()))
    return plain, weighted


@pytest.mark.parametrize("error", [StateIndependent(0.05), StateProportional(0.1)])
def test_trace_is_that_of_the_exact_hessian(error: ErrorModel) -> None:
    """Hutchinson's estimate of each layer, plain and weighted, within its own standard errors of torch's Hessian."""
    model = _trained(error, 4.0 if isinstance(error, StateIndependent) else 1e6)
    x, y = _data()
    rows = training.hessian_trace(model, [(x, y)], probes=150)
    plain, weighted = _exact(model)
    assert [row.name for row in rows] == ["0", "2"]
    for row, trace, increase in zip(rows, plain, weighted, strict=True):
        assert abs(row.trace - trace) < 4 * row.trace_stderr
        assert abs(row.loss_increase - increase) < 4 * row.loss_increase_stderr
        assert row.loss_increase_stderr < 0.2 * abs(row.loss_increase)


def _sampled(model: nn.Module, draws: int) -> tuple[float, float]:
    """Mean increase of the loss over drawn weights, and its standard error."""
    layers = analog_layers(model)
    x, y = _data()
    drawn = [DrawnWeights(layer, 1.0) for layer in layers]
    values = []
    with torch.no_grad():
        clean = float(nn.functional.cross_entropy(_forward(layers, x, [layer.matrix() for layer in layers]), y))
        for number in range(draws):
            moved = []
            for one in drawn:
                one.begin(np.random.SeedSequence(9, spawn_key=(number,)), None)
                moved.append(one.weights())
            # Errors and their mirror image: what is of first order cancels.
            back = [2 * layer.matrix() - own for layer, own in zip(layers, moved, strict=True)]
            pair = [float(nn.functional.cross_entropy(_forward(layers, x, own), y)) for own in (moved, back)]
            values.append(sum(pair) / 2 - clean)
    return float(np.mean(values)), float(np.std(values) / np.sqrt(draws))


def _forward(layers: Any, x: Tensor, matrices: list[Tensor]) -> Tensor:
    value = torch.tanh(x @ matrices[0] + layers[0].digital.bias)
    result: Tensor = value @ matrices[1] + layers[1].digital.bias
    return result


@pytest.mark.parametrize("error", [StateIndependent(0.02), StateProportional(0.01)])
def test_sampled_loss_increase_is_the_predicted_one(error: ErrorModel) -> None:
    """E[L(w + delta)] - L(w) = 1/2 sum sigma^2 H_ii within 5 % at sigma = 0.01 of full scale, or of the state."""
    model = _trained(error, 4.0 if isinstance(error, StateIndependent) else 1e6)
    predicted = sum(_exact(model)[1])
    found, stderr = _sampled(model, 3000)
    assert stderr < 0.02 * predicted
    assert found == pytest.approx(predicted, rel=0.05)


def test_trace_term_has_the_gradient_of_its_value() -> None:
    """Central differences of the regulariser, whose spreads move with the weights."""
    model = _trained(StateProportional(0.3), design=FINER)
    layers = analog_layers(model)
    settings = training.Training(noise="none", trace_penalty=1.0, trace_examples=40)
    batch = batch_of(_data())

    def value() -> Tensor:
        return trace_term(model, layers, batch, cross_entropy, 0, settings)

    value().backward()
    weights = [layer.digital.weight for layer in layers]
    held = [
        # The largest weight sets the step of all.
        torch.where(w.detach().abs() > 0.9 * w.detach().abs().max(), 0.0, w.grad)
        for w in weights
    ]
    length = torch.sqrt(sum((part**2).sum() for part in held))
    slope = float(sum((w.grad * part).sum() for w, part in zip(weights, held, strict=True)) / length)
    step, values = 4e-3, []
    for sign in (1, -1):
        with torch.no_grad():
            for weight, part in zip(weights, held, strict=True):
                weight += sign * step * part / length
        values.append(float(value().detach()))
        with torch.no_grad():
            for weight, part in zip(weights, held, strict=True):
                weight -= sign * step * part / length
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(slope, rel=0.03)
