"""Losses by name: what a training makes smaller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from accuracy.evaluation.labels import IGNORED, class_labels, classes_last, real_labels, two_valued_labels
from accuracy.outputs import logits_of
from accuracy.training.errors import TrainingError
from devicekit.common.errors import unknown_name

Loss = Callable[[Any, Any], Tensor]


def cross_entropy(outputs: Any, labels: Any) -> Tensor:
    """Return the mean negative log likelihood of the labels, of images or of every token or pixel."""
    logits = logits_of(outputs)
    logits = classes_last(logits, labels, None)
    target = class_labels(labels, logits, IGNORED)
    return F.cross_entropy(logits.flatten(0, -2), target.flatten(), ignore_index=IGNORED)


def mean_squared_error(outputs: Any, labels: Any) -> Tensor:
    """Return the mean squared difference of outputs and labels."""
    values = logits_of(outputs)
    target = real_labels(labels, values)
    return F.mse_loss(values.reshape(target.shape), target.to(values.dtype))


def binary_cross_entropy(outputs: Any, labels: Any) -> Tensor:
    """Return the mean negative log likelihood of labels of two values, from one logit each."""
    values = logits_of(outputs)
    target = two_valued_labels(labels, values)
    return F.binary_cross_entropy_with_logits(values.reshape(target.shape), target.to(values.dtype))


def _soft_classes(outputs: Any, targets: Any, labels: Any, temperature: float) -> Tensor:
    # Labels say where the classes are, and which places count.
    logits, wanted = (classes_last(logits_of(one), labels, None) for one in (outputs, targets))
    counts = (class_labels(labels, logits, IGNORED) != IGNORED).flatten()
    own, other = (F.log_softmax(one.flatten(0, -2)[counts] / temperature, dim=-1) for one in (logits, wanted))
    # Times the squared temperature, gradients are as large as those of labels, whatever the temperature.
    return F.kl_div(own, other, reduction="batchmean", log_target=True) * temperature**2


def _soft_numbers(outputs: Any, targets: Any, labels: Any, temperature: float) -> Tensor:
    return F.mse_loss(logits_of(outputs), logits_of(targets))


def _soft_values(outputs: Any, targets: Any, labels: Any, temperature: float) -> Tensor:
    own, other = (logits_of(one) / temperature for one in (outputs, targets))
    return F.binary_cross_entropy_with_logits(own, torch.sigmoid(other)) * temperature**2


SOFT: dict[str, Callable[[Any, Any, Any, float], Tensor]] = {
    "cross_entropy": _soft_classes,
    "mse": _soft_numbers,
    "binary": _soft_values,
}
"""What stands in for each loss where outputs are compared with those of another network, see `Teacher`."""

LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "mse": mean_squared_error,
    "binary": binary_cross_entropy,
}


def loss_of(loss: Loss | str) -> Loss:
    """Return the loss of a name, or the loss itself.

    Raises:
        TrainingError: unknown name, or no function.
    """
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise TrainingError(unknown_name("loss", loss, LOSSES))
        return LOSSES[loss]
    if not callable(loss):
        raise TrainingError(f"Expected `loss` to be one of {', '.join(LOSSES)} or a function, but got {loss!r}.")
    return loss
