"""One batch of a user's data: which tensors the network is called with, and what it is compared with.

A batch is (inputs, labels), where inputs are a tensor, a tuple of positional arguments or a mapping of keyword
arguments; a mapping that holds its labels under ``"labels"`` or ``"label"``; or several tensors, of which the last is
the labels. Data without labels may hold None in their place or be one-tuples.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from accuracy.errors import EvaluationError
from circuits import LayerShape

Batches = Iterable[Any]
"""Batches in one of the forms above, that can be gone through several times."""

FORMS = (
    "a batch is (inputs, labels), with inputs a tensor, a tuple of positional arguments or a dict of keyword "
    "arguments; or a dict that holds its labels under 'labels'; or (input, input, ..., labels)"
)
MOST_TOGETHER = 100
"""Examples of a usual batch at most."""

REUSED_MEMORY = 32 * 2**20
"""Bytes of the largest block that the C library takes from memory it holds already (``M_MMAP_THRESHOLD`` rises to it by
itself, mallopt(3)). Larger ones come fresh from the system, zeroed, each time, which took as long as the arithmetic of
ResNet-50."""

_LABELS = ("labels", "label")


def usual_size(layers: Iterable[LayerShape]) -> int:
    """Return how many examples are evaluated together where nobody says: results do not depend on it, time does.

    As many as keep the single-precision outputs of each layer in memory that is used again, at most `MOST_TOGETHER`.

    Args:
        layers: of the network.
    """
    largest = max((4 * layer.columns * layer.groups * layer.mvms for layer in layers), default=1)
    return max(1, min(MOST_TOGETHER, REUSED_MEMORY // largest))


@dataclass(frozen=True, eq=False)
class Batch:
    """Arguments of one call of a network, and the labels of its examples.

    Attributes:
        arguments: positional arguments.
        keywords: keyword arguments.
        labels: what the outputs are compared with; None where there are none.
    """

    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    labels: Any = None

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors among the arguments, in order."""
        return list(tensors_in((self.arguments, self.keywords)))

    @property
    def main(self) -> Tensor:
        """The first tensor of at least one axis, which counts examples.

        Raises:
            EvaluationError: there is none.
        """
        for tensor in self.tensors:
            if tensor.dim():
                return tensor
        raise EvaluationError(f"A batch holds no tensor that the network could read: {FORMS}.")

    def examples(self, axis: int = 0) -> int:
        """Return the number of examples along an axis of the first tensor."""
        return self.main.shape[axis] if axis < self.main.dim() else 1

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Return the batch with every tensor of its arguments changed."""
        arguments, keywords = map_tensors((self.arguments, self.keywords), change)
        return Batch(arguments, keywords, self.labels)

    def run(self, model: nn.Module) -> Any:
        """Return what a network gives for the batch.

        Raises:
            EvaluationError: the arguments do not fit its `forward`.
        """
        arguments, keywords = self._fitted(model)
        return model(*arguments, **keywords)

    def _fitted(self, model: nn.Module) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments; a mapping whole where that is what `forward` takes."""
        try:
            signature = inspect.signature(model.forward)
        except (TypeError, ValueError):
            return self.arguments, self.keywords
        choices: list[tuple[tuple[Any, ...], dict[str, Any]]] = [(self.arguments, self.keywords)]
        if self.keywords and not self.arguments:
            choices.append(((self.keywords,), {}))
        for arguments, keywords in choices:
            try:
                signature.bind(*arguments, **keywords)
            except TypeError as error:
                reason = error
            else:
                return arguments, keywords
        names = ", ".join([*("a tensor" for _ in self.arguments), *(f"{key}=" for key in self.keywords)])
        raise EvaluationError(
            f"The inputs of a batch ({names}) do not fit {type(model).__name__}.forward{signature}: {reason}; {FORMS}."
        )


def batch_of(item: Any, device: torch.device | None = None) -> Batch:
    """Return a user's batch as arguments and labels, on a device.

    Args:
        item: in one of the forms of this module.
        device: where tensors are moved; None to leave them.

    Raises:
        EvaluationError: another form.
    """
    inputs, labels = _parted(item)
    if dataclasses.is_dataclass(inputs) and not isinstance(inputs, type):
        inputs = {field.name: getattr(inputs, field.name) for field in dataclasses.fields(inputs)}
    if isinstance(inputs, Mapping):
        keywords = {str(key): value for key, value in inputs.items()}
        for name in _LABELS:
            if labels is None and name in keywords:
                labels = keywords.pop(name)
        batch = Batch((), keywords, labels)
    else:
        batch = Batch(tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,), {}, labels)

    def placed(tensor: Tensor) -> Tensor:
        return tensor if device is None else tensor.to(device)

    batch = batch.mapped(placed)
    if not batch.tensors:
        raise EvaluationError(f"A batch of type {type(item).__name__} holds no tensor; {FORMS}.")
    return Batch(batch.arguments, batch.keywords, map_tensors(batch.labels, placed))


def _parted(item: Any) -> tuple[Any, Any]:
    """Inputs and labels of a batch."""
    if isinstance(item, Tensor | np.ndarray):
        raise EvaluationError(
            f"Got a batch that is one array of shape {tuple(item.shape)}, but {FORMS}. Inputs without labels are "
            "given as (inputs, None); one tensor of all inputs as [(inputs, None)]."
        )
    if isinstance(item, tuple | list):
        if not item:
            raise EvaluationError(f"Got an empty batch, but {FORMS}.")
        if len(item) == 1:
            return item[0], None
        return (item[0] if len(item) == 2 else tuple(item[:-1])), item[-1]
    if isinstance(item, Mapping) or (dataclasses.is_dataclass(item) and not isinstance(item, type)):
        return item, None
    raise EvaluationError(f"Got a batch of type {type(item).__name__}, but {FORMS}.")


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists and mappings, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors_in(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors_in(part)


def map_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return nested tuples, lists and mappings with every tensor (and numpy array, as a tensor) changed."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        value = torch.from_numpy(value)
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {key: map_tensors(part, change) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_tensors(part, change) for part in value))
    if isinstance(value, tuple | list):
        return type(value)(map_tensors(part, change) for part in value)
    return value


def require_reiterable(batches: object) -> None:
    """Refuse data that can be gone through only once.

    Raises:
        EvaluationError: `batches` is an iterator, or no iterable of batches.
    """
    if isinstance(batches, Iterator):
        raise EvaluationError(
            f"`batches` is a one-shot iterator ({type(batches).__name__}), but it is gone through several times: pass "
            "a list, a DataLoader, or another iterable that can start anew."
        )
    if not isinstance(batches, Iterable) or isinstance(batches, Tensor | np.ndarray | Mapping | str):
        given = f"one of type {type(batches).__name__}" if isinstance(batches, Tensor | np.ndarray) else repr(batches)
        raise EvaluationError(f"Expected `batches` to be an iterable of (inputs, labels), but got {given}.")


def inputs_of(batches: Batches, model: nn.Module) -> Iterator[Batch]:
    """Yield batches on the model's device, without gradients.

    Raises:
        EvaluationError: a batch of another form.
    """
    device = model_device(model)
    with torch.inference_mode():
        for item in batches:
            yield batch_of(item, device)


def model_device(model: nn.Module) -> torch.device:
    """Return the device of a model's parameters, the CPU where it has none."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
