"""Labels of a batch beside its outputs: classes of images, places and tokens, checked before anything is counted."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from accuracy.batches import Batch
from accuracy.errors import EvaluationError

IGNORED = -100
"""Label of places that do not count, as in torch."""


def _tensor(labels: Any, outputs: Tensor) -> Tensor:
    """Labels as a tensor on the outputs' device.

    Raises:
        EvaluationError: there are none, or they are not numbers.
    """
    if labels is None:
        raise EvaluationError(
            "The metric compares outputs with labels, but the batches hold none: give (inputs, labels)."
        )
    try:
        return torch.as_tensor(labels).to(outputs.device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise EvaluationError(
            f"Expected labels as a tensor of numbers, but got {type(labels).__name__}: {error}."
        ) from None


def classes_last(outputs: Tensor, labels: Any, class_axis: int | None = None) -> Tensor:
    """Return outputs with the classes as the last axis.

    Outputs are (examples, classes) with labels (examples,); (examples, ..., classes) or (examples, classes, ...) with
    labels (examples, ...).

    Args:
        outputs: of the network.
        labels: of the batch.
        class_axis: where the classes are; None to find out.

    Raises:
        EvaluationError: one output, which has no rank; or shapes that fit nowhere, or in two ways.
    """
    target = _tensor(labels, outputs)
    axis = _class_axis(tuple(outputs.shape), tuple(target.shape)) if class_axis is None else class_axis
    if outputs.dim() < 2 or outputs.shape[axis] < 2:
        raise EvaluationError(
            f"Outputs of shape {tuple(outputs.shape)} are one number for each label, which cannot be ranked: use "
            "metric='binary' for logits (right above 0) or 'binary_probability' (above 0.5), or 'mse' for a regression."
        )
    return outputs.movedim(axis, -1)


def _class_axis(outputs: tuple[int, ...], labels: tuple[int, ...]) -> int:
    """The axis of the outputs that the labels lack."""
    if len(outputs) <= 2 or outputs == labels:
        return -1
    places = labels[:-1] if labels[-1:] == (1,) and len(labels) == len(outputs) else labels
    last, second = outputs[:-1] == places, (outputs[0], *outputs[2:]) == places
    if last and second:
        raise EvaluationError(
            f"Outputs {outputs} with labels {labels} may have their classes along axis 1 or along the last one: say it "
            "with metric=accuracy.TopK(1, class_axis=-1), or 1."
        )
    if not (last or second):
        raise EvaluationError(
            f"Labels of shape {labels} do not fit outputs of shape {outputs}: expected the outputs' shape without "
            "their classes, which are along axis 1 or along the last one."
        )
    return -1 if last else 1


def class_labels(labels: Any, logits: Tensor, ignore_index: int = IGNORED) -> Tensor:
    """Return labels as class numbers, int64, shaped like the logits without their classes.

    Args:
        labels: class numbers; or one row of 0 and a single 1 for each (one-hot).
        logits: outputs with the classes last.
        ignore_index: label of places that do not count.

    Raises:
        EvaluationError: several labels an example, shapes that differ, fractions, or no class of that number.
    """
    target, places, classes = _tensor(labels, logits), logits.shape[:-1], logits.shape[-1]
    if target.shape == logits.shape and classes > 1:
        if not bool(((target == 0) | (target == 1)).all()) or not bool((target.sum(dim=-1) == 1).all()):
            raise EvaluationError(
                f"Labels have the outputs' shape {tuple(target.shape)}, but not a single 1 each: several labels an "
                "image are scored by metric='multi_label', real numbers by 'mse'."
            )
        return target.argmax(dim=-1)
    if target.numel() != places.numel():
        raise EvaluationError(
            f"Expected one label for each of {tuple(places)} outputs of {classes} classes, but got labels of shape "
            f"{tuple(target.shape)}."
        )
    whole = target.reshape(places)
    if whole.is_floating_point() and not bool((whole == whole.round()).all()):
        raise EvaluationError("Expected labels to be whole numbers, the classes' indices, but got fractions or NaN.")
    whole = whole.to(torch.int64)
    beyond = whole[((whole < 0) | (whole >= classes)) & (whole != ignore_index)]
    if beyond.numel():
        raise EvaluationError(
            f"Expected labels from 0 to {classes - 1}, the classes of the outputs, but found {int(beyond[0])}; places "
            f"that do not count are labelled {ignore_index} (accuracy.TopK(1, ignore_index={int(beyond[0])}) for "
            "another number)."
        )
    return whole


def two_valued_labels(labels: Any, outputs: Tensor) -> Tensor:
    """Return labels 0 and 1, one for each output.

    Raises:
        EvaluationError: other values, or another number of them.
    """
    target = _tensor(labels, outputs)
    if target.numel() != outputs.numel() or target.shape[:1] != outputs.shape[:1]:
        raise EvaluationError(
            f"Expected one label for each output, shape {tuple(outputs.shape)}, but got labels of shape "
            f"{tuple(target.shape)}."
        )
    if not bool(((target == 0) | (target == 1)).all()):
        raise EvaluationError("Expected labels of a binary or multi-label network to be 0 or 1, but found others.")
    return target


def real_labels(labels: Any, outputs: Tensor) -> Tensor:
    """Return labels as float64, one for each output.

    Raises:
        EvaluationError: another number of them.
    """
    target = _tensor(labels, outputs).to(torch.float64)
    if target.numel() != outputs.numel() or target.shape[:1] != outputs.shape[:1]:
        raise EvaluationError(
            f"Expected one number for each output, shape {tuple(outputs.shape)}, but got labels of shape "
            f"{tuple(target.shape)}."
        )
    return target


def next_tokens(outputs: Tensor, labels: Any, batch: Batch, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Return outputs (examples, tokens, vocabulary) and the token that each should give, (examples, tokens).

    Labels that are the inputs themselves (but for ignored places) are moved on by one token.

    Raises:
        EvaluationError: outputs that are not of tokens, or labels of another shape.
    """
    target = _tensor(labels, outputs)
    if outputs.dim() == 2 and target.dim() == 1:
        outputs, target = outputs.unsqueeze(1), target.unsqueeze(1)
    if outputs.dim() != 3 or outputs.shape[:2] != target.shape:
        raise EvaluationError(
            "Perplexity is of outputs (sequences, tokens, vocabulary) and labels (sequences, tokens), but got "
            f"{tuple(outputs.shape)} and {tuple(target.shape)}."
        )
    if target.shape[1] > 1 and any(_same_tokens(tensor, target, ignore_index) for tensor in batch.tensors):
        return outputs[:, :-1], target[:, 1:]
    return outputs, target


def _same_tokens(inputs: Tensor, target: Tensor, ignore_index: int) -> bool:
    if inputs.shape != target.shape or inputs.is_floating_point():
        return False
    counted = target != ignore_index
    return bool(((inputs == target) | ~counted).all()) and bool(counted.any())
