"""Where the examples of a batch stand: along which axis of the inputs, of the outputs, and of every layer's input.

Mostly they come first. In networks with the time first they do not, and noise, which belongs to an example, has to
follow them. The axis of the examples is the one along which they do not influence one another: the float network is
run on three of them and on the last two, and the axis is right where the second run gives a part of the first.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from accuracy.arrays.noise import Places
from accuracy.batches import Batch, tensors_in
from accuracy.errors import EvaluationError, EvaluationWarning
from accuracy.layers.analog_layers import AnalogLayer
from accuracy.layers.layer_state import Mode
from accuracy.layers.modes import layer_mode
from accuracy.outputs import logits_of

_EXAMPLES = 3
"""Examples that the network is tried on."""


@dataclass(frozen=True)
class BatchLayout:
    """Axes of the examples.

    Attributes:
        inputs: of the batch's first tensor.
        outputs: of the network's output.
        layers: of the inputs of each layer (in their order), one entry for each of its uses in a pass.
    """

    inputs: int = 0
    outputs: int = 0
    layers: tuple[tuple[Places, ...], ...] = ()

    def examples_first(self, tensor: Tensor) -> Tensor:
        """Return a tensor that is laid out as the inputs with its examples as the first axis."""
        return tensor.movedim(self.inputs, 0) if tensor.dim() > self.inputs else tensor


def layout_of(model: nn.Module, layers: Sequence[AnalogLayer], batch: Batch) -> BatchLayout:
    """Return where the examples of a network's batches stand; first, where nothing depends on it.

    Args:
        model: a converted network, or any other without analog layers.
        layers: its analog layers.
        batch: the first batch.

    Warns:
        EvaluationWarning: as `batch_layout`.
    """
    return batch_layout(model, layers, batch) if _depends_on_layout(model, layers, batch) else BatchLayout()


def one_example(batch: Batch, layout: BatchLayout) -> Batch:
    """Return the first example of a batch as a batch of its own.

    Args:
        batch: of the data.
        layout: where its examples stand.
    """
    return _changed(batch, batch.main, layout.inputs, lambda part, own: part.narrow(own, 0, 1))


def _depends_on_layout(model: nn.Module, layers: Sequence[AnalogLayer], batch: Batch) -> bool:
    """Whether anything depends on where examples stand: noise, modules with the time first, labels with axes."""
    target = next(tensors_in(batch.labels), None)
    return (
        any(layer.array.draws_noise for layer in layers)
        or any(getattr(module, "batch_first", True) is False for module in model.modules())
        or (target is not None and (target.dim() > 1 or target.shape[:1] != batch.main.shape[:1]))
    )


def batch_layout(model: nn.Module, layers: Sequence[AnalogLayer], batch: Batch) -> BatchLayout:
    """Return where the examples of a network's batches stand.

    Args:
        model: a converted network.
        layers: its analog layers.
        batch: the first batch.

    Warns:
        EvaluationWarning: examples influence one another along either axis, so the first is taken for them.
    """
    first = batch.main
    axes = [0] if first.dim() < 2 else _axes(first, batch.labels)
    for axis in axes:
        if first.shape[axis] < 2:
            # A single example: twice the same shows where the layers have it.
            few = _changed(batch, first, axis, lambda part, own: torch.cat([part, part], dim=own))
        else:
            few = _changed(batch, first, axis, lambda part, own: part.narrow(own, 0, min(_EXAMPLES, part.shape[own])))
        found = _tried(model, layers, few, axis)
        if found is not None:
            return found
    warnings.warn(
        "The network's outputs for an example depend on the others in its batch (or it does not run on "
        f"{_EXAMPLES} of them), so noise is drawn for the first axis of the inputs and may depend on the batch size.",
        EvaluationWarning,
        stacklevel=3,
    )
    return BatchLayout()


def _axes(first: Tensor, labels: Any) -> list[int]:
    """Axes that may count examples, the likeliest first; one label each settles it."""
    target = next(iter(tensors_in(labels)), None)
    if target is not None and target.dim() == 1 and first.shape[0] != first.shape[1] == target.shape[0]:
        return [1]
    return [0, 1]


def _changed(batch: Batch, first: Tensor, axis: int, change: Callable[[Tensor, int], Tensor]) -> Batch:
    """Change a batch along its examples: of other tensors the same axis, or the first one as long."""
    count = first.shape[axis]

    def changed(tensor: Tensor) -> Tensor:
        for own in (axis, *range(tensor.dim())):
            if own < tensor.dim() and tensor.shape[own] == count:
                return change(tensor, own)
        return tensor

    return batch.mapped(changed)


def _tried(model: nn.Module, layers: Sequence[AnalogLayer], few: Batch, axis: int) -> BatchLayout | None:
    """Return the layout if the network's outputs for the last examples do not depend on the first one."""
    first = few.main
    count = first.shape[axis]
    last = _changed(few, first, axis, lambda part, own: part.narrow(own, 1, part.shape[own] - 1))
    try:
        whole, all_inputs = _record(model, layers, few)
        part, some_inputs = _record(model, layers, last)
    except (RuntimeError, TypeError, ValueError, IndexError, EvaluationError):
        return None
    outputs = _place(whole, part, count)
    if outputs is None or outputs.outer != 1 or whole.shape[outputs.axis] != count:
        return None
    places = []
    for own, other in zip(all_inputs, some_inputs, strict=True):
        if len(own) != len(other):
            return None
        found = [_place(x, y, count) for x, y in zip(own, other, strict=True)]
        if any(each is None for each in found):
            return None
        places.append(tuple(each for each in found if each is not None))
    return BatchLayout(axis, outputs.axis, tuple(places))


def _record(model: nn.Module, layers: Sequence[AnalogLayer], batch: Batch) -> tuple[Tensor, list[list[Tensor]]]:
    """Return the float network's output and the inputs of each layer, use by use."""
    seen: list[list[Tensor]] = [[] for _ in layers]
    index = {id(layer): number for number, layer in enumerate(layers)}

    def record(layer: AnalogLayer, x: Tensor) -> Tensor:
        seen[index[id(layer)]].append(x)
        return layer.float_outputs(x)

    # What the network draws itself is not to be moved on by this.
    with torch.random.fork_rng(devices=[]), torch.inference_mode(), layer_mode(layers, Mode.FLOAT):
        try:
            for layer in layers:
                layer.stand_in = record
            outputs = batch.run(model)
        finally:
            for layer in layers:
                layer.stand_in = None
    try:
        return logits_of(outputs), seen
    except EvaluationError:
        return next(tensors_in(outputs), torch.empty(0)), seen


def _place(whole: Tensor, part: Tensor, count: int) -> Places | None:
    """Return where `count` examples stand in a tensor, given what is left of it without the first."""
    if whole.dim() != part.dim():
        return None
    differing = [axis for axis in range(whole.dim()) if whole.shape[axis] != part.shape[axis]]
    if not differing:
        # The same for all examples, whatever their number.
        return Places(0, 0) if _close(whole, part) else None
    if len(differing) > 1:
        return None
    axis = differing[0]
    length = whole.shape[axis]
    if length % count or part.shape[axis] != length // count * (count - 1):
        return None
    for outer in _divisors(length // count):
        split = whole.reshape(*whole.shape[:axis], outer, count, length // count // outer, *whole.shape[axis + 1 :])
        if _close(split.narrow(axis + 1, 1, count - 1).flatten(axis, axis + 2), part):
            return Places(axis, outer)
    return None


def _divisors(number: int) -> Iterator[int]:
    # Whole examples one after another first, then one value of each in turn.
    yield 1
    if number > 1:
        yield number
    yield from (outer for outer in range(2, number) if number % outer == 0)


def _close(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not one.is_floating_point():
        return bool((one == other).all())
    one, other = one.to(torch.float64), other.to(torch.float64)
    size = float(other.abs().nan_to_num(0.0, 0.0, 0.0).max()) if other.numel() else 0.0
    return bool(torch.isclose(one, other, rtol=1e-3, atol=1e-4 * size, equal_nan=True).all())
