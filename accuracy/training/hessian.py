"""Sharpness of the loss against the errors of cells: the Hessian's trace, weighted with the variances of the weights.

For independent errors of weights with spreads sigma_i and mean 0, to second order

    E[L(w + delta)] = L(w) + 1/2 sum_i sigma_i^2 H_ii.

`trace_term` is the second term as a regulariser, `hessian_trace` reports it layer by layer. Hutchinson's estimate:
``E[v^T H v] = tr H`` for v of independent signs; with ``v_i = sigma_i r_i`` it is the weighted trace. Where spreads
depend on weights, so does v, and the gradient of the term holds ``sum_i sigma_i sigma_i' H_ii`` besides the third
derivatives: it draws weights to states of small error where the loss is sharp.

Sources: Hutchinson, Communications in Statistics 19(2), 1990, doi 10.1080/03610919008812866; Hessian-aware training for
analog arrays: Wan et al., arXiv 2008.02400.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import torch
from torch import Tensor, nn

from accuracy.batches import Batch, Batches, batch_of, map_tensors, model_device, require_reiterable
from accuracy.calibration.calibrate import require_layers
from accuracy.layers.analog_layers import AnalogLayer
from accuracy.training.drawn_weights import Drawn, HeldWeights, read_cell, weight_step
from accuracy.training.errors import TrainingError
from accuracy.training.losses import Loss, loss_of
from accuracy.training.settings import Training
from accuracy.training.weight_errors import weight_errors
from devicekit import Cell
from devicekit.common.plain import PlainValues


@dataclass(frozen=True)
class LayerSharpness(PlainValues):
    """How sharply the loss bends against the weights of one layer.

    Attributes:
        name: the layer.
        weights: how many there are.
        trace: of the layer's block of the Hessian.
        trace_stderr: standard error of its estimate.
        loss_increase: what the spread of the cells adds to the loss in second order, 1/2 sum sigma_i^2 H_ii.
        loss_increase_stderr: standard error of its estimate.
    """

    name: str
    weights: int
    trace: float
    trace_stderr: float
    loss_increase: float
    loss_increase_stderr: float


def weight_spreads(layer: AnalogLayer, weight: Tensor, cell: Cell | None) -> Tensor:
    """Return the spread over cells of each weight, shape (rows, columns), with its derivative for autograd.

    Args:
        layer: says how weights are stored.
        weight: shape (rows, columns).
        cell: as it is read.
    """
    errors = weight_errors(layer.design, cell)
    with torch.no_grad():
        step = weight_step(layer, weight)
        index = (torch.round(weight / step) + errors.largest).long().clamp_(0, 2 * errors.largest)
        value, slope = (
            torch.from_numpy(table).to(weight.device, weight.dtype)[index]
            for table in (errors.spread, errors.spread_slope)
        )
        value = value * step
    spreads: Tensor = Drawn.apply(weight, value, slope)  # type: ignore[no-untyped-call]
    return spreads


def trace_term(
    model: nn.Module, layers: Sequence[AnalogLayer], batch: Batch, loss: Loss, step: int, settings: Training
) -> Tensor:
    """Return 1/2 sum_i sigma_i^2 H_ii of one batch, estimated with one probe, with its gradient.

    Args:
        model: converted.
        layers: its analog layers.
        batch: of which the first `settings.trace_examples` examples are used.
        loss: whose Hessian it is.
        step: number of the step, which fixes the probe.
        settings: of the training; `layers` says which layers count.
    """
    some = settings.trace_examples
    part = batch.mapped(lambda tensor: tensor[:some])
    part = Batch(part.arguments, part.keywords, map_tensors(part.labels, lambda tensor: tensor[:some]))
    chosen = [layer for layer in layers if any(fnmatchcase(layer.name, pattern) for pattern in settings.layers)]
    sequence = np.random.SeedSequence(settings.seed, spawn_key=(7003, step))
    with _held(chosen) as held:
        signs = _signs(held, sequence)
        spread = [
            weight_spreads(one.layer, one.weights(), read_cell(one.layer.cell, settings.error_scale, None))
            for one in held
        ]
        directions = [sigma * sign for sigma, sign in zip(spread, signs, strict=True)]
        forms = _quadratic_forms(model, held, part, loss, directions, differentiable=True)
    return 0.5 * torch.stack(forms).sum()


def hessian_trace(
    model: nn.Module,
    batches: Batches,
    cell: Cell | None = None,
    *,
    loss: Loss | str = "cross_entropy",
    probes: int = 16,
    seed: int = 0,
) -> list[LayerSharpness]:
    """Return how sharp the loss of a network is in each layer, plainly and against the errors of its cells.

    The mean shift of cells is left out: it moves the loss in first order.

    Args:
        model: from `accuracy.convert` and `accuracy.calibrate`; the float network with clipped inputs is looked at.
        batches: examples, in any of the forms of `accuracy.batches`.
        cell: as it is read; None for each layer's own.
        loss: as for `train`.
        probes: random directions for each batch.
        seed: of the directions.

    Returns:
        One entry a layer, in the network's order.

    Raises:
        EvaluationError: the model was not converted, or data of another form.
        TrainingError: no data, or fewer than two probes in all.
    """
    require_reiterable(batches)
    layers, own_loss = require_layers(model), loss_of(loss)
    found: list[tuple[int, Tensor, Tensor]] = []
    with _held(layers) as held:
        for number, item in enumerate(batches):
            batch = batch_of(item, model_device(model))
            for probe in range(probes):
                sequence = np.random.SeedSequence(seed, spawn_key=(7004, number, probe))
                for one in held:
                    one.matrix = None
                signs = _signs(held, sequence)
                spreads = [
                    weight_spreads(one.layer, one.weights().detach(), one.layer.cell if cell is None else cell)
                    for one in held
                ]
                plain = _quadratic_forms(model, held, batch, own_loss, signs, differentiable=False)
                directions = [sigma * sign for sigma, sign in zip(spreads, signs, strict=True)]
                weighted = _quadratic_forms(model, held, batch, own_loss, directions, differentiable=False)
                found.append((batch.examples(), torch.stack(plain), 0.5 * torch.stack(weighted)))
    if len(found) < 2:
        raise TrainingError("The trace needs at least two probes: give data, and `probes` of at least 2.")
    shares = np.array([count for count, *_ in found], dtype=np.float64)
    rows = []
    for place, layer in enumerate(layers):
        figures = []
        for kind in (1, 2):
            values = np.array([float(one[kind][place]) for one in found])  # type: ignore[index]
            mean = float(np.average(values, weights=shares))
            spread = float(np.sqrt(np.average((values - mean) ** 2, weights=shares) / (len(values) - 1)))
            figures += [mean, spread]
        rows.append(LayerSharpness(layer.name, layer.matrix().numel(), *figures))
    return rows


@contextmanager
def _held(layers: Sequence[AnalogLayer]) -> Iterator[list[HeldWeights]]:
    """Let layers compute with weights that are at hand, and set back what they computed with."""
    before = [layer.stand_in for layer in layers]
    held = [HeldWeights(layer) for layer in layers]
    for layer, own in zip(layers, held, strict=True):
        layer.stand_in = own
    try:
        yield held
    finally:
        for layer, stand_in in zip(layers, before, strict=True):
            layer.stand_in = stand_in


def _signs(held: Sequence[HeldWeights], sequence: np.random.SeedSequence) -> list[Tensor]:
    """Independent signs for every weight."""
    signs = []
    for one, own in zip(held, sequence.spawn(len(held)), strict=True):
        weight = one.layer.matrix()
        generator = torch.Generator(weight.device)
        generator.manual_seed(int(own.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        bits = torch.randint(0, 2, weight.shape, generator=generator, device=weight.device)
        signs.append((2 * bits - 1).to(weight.dtype))
    return signs


def _quadratic_forms(
    model: nn.Module,
    held: Sequence[HeldWeights],
    batch: Batch,
    loss: Loss,
    directions: Sequence[Tensor],
    *,
    differentiable: bool,
) -> list[Tensor]:
    """Return v^T (H v) of each layer's part of a direction v; the parts sum to that of the whole.

    Signs of different layers are independent, so that each part is that of the layer's own block in the mean.
    """
    matrices = []
    for one in held:
        one.matrix = one.weights()
        if not one.matrix.requires_grad:
            one.matrix = one.matrix.detach().requires_grad_()
        matrices.append(one.matrix)
    with torch.enable_grad():
        value = loss(batch.run(model), batch.labels)
        slopes = torch.autograd.grad(value, matrices, create_graph=True, materialize_grads=True)
        products = torch.autograd.grad(
            slopes, matrices, list(directions), create_graph=differentiable, materialize_grads=True
        )
        return [(product * way).sum() for product, way in zip(products, directions, strict=True)]
