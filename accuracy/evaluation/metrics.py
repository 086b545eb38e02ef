"""Scores of the metrics: named ones, a score of the user's for every example, or a metric that accumulates by itself.

A named metric gives every example a score and a weight (tokens, pixels; 1 for a single label); the value over a data
set is the weighted mean of the scores, or its exponential for perplexity.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from accuracy.batches import Batch, map_tensors
from accuracy.errors import EvaluationError
from accuracy.evaluation.labels import (
    IGNORED,
    class_labels,
    classes_last,
    next_tokens,
    real_labels,
    two_valued_labels,
)
from accuracy.layers.batch_layout import BatchLayout
from accuracy.outputs import logits_of
from accuracy.own_code import naming_errors

Floats = NDArray[np.float64]
Score = Callable[[Any, Any], Tensor]


@runtime_checkable
class AccumulatingMetric(Protocol):
    """The interface of torchmetrics: reset, update batch by batch, compute."""

    def reset(self) -> None:
        """Forget all batches."""

    def update(self, outputs: Any, labels: Any) -> None:
        """Take in a batch."""

    def compute(self) -> Any:
        """Return one number."""


class NamedMetric(Protocol):
    """Scores of the examples of a batch, with weights."""

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value is a better network."""
        ...

    def scores(self, outputs: Tensor, labels: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return score and weight of every example, each of shape (examples,); outputs count examples first."""
        ...


Metric = str | NamedMetric | Score | AccumulatingMetric


def _by_example(values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean over the valid places of each example, and how many there are."""
    values, valid = (part.to(torch.float64).reshape(part.shape[0], -1) for part in (values, valid))
    weights = valid.sum(dim=1)
    return torch.where(valid > 0, values, 0.0).sum(dim=1) / weights.clamp(min=1.0), weights


@dataclass(frozen=True)
class TopK:
    """A score that is 1 where the label is among the `k` largest outputs; the mean over the places of an example.

    Attributes:
        k: how many outputs count.
        ignore_index: label of places that do not count (padding, borders).
        class_axis: axis of the outputs that holds the classes; None where the shape of the labels says it.
    """

    k: int
    ignore_index: int = IGNORED
    class_axis: int | None = None
    higher_is_better = True
    share = True
    column = "accuracy"

    @property
    def label(self) -> str:
        """The metric in words."""
        return "accuracy" if self.k == 1 else f"top-{self.k} accuracy"

    def scores(self, outputs: Tensor, labels: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the fraction of an example's places that are right, and how many places it has."""
        logits = classes_last(outputs, labels, self.class_axis)
        target = class_labels(labels, logits, self.ignore_index)
        best = logits.topk(min(self.k, logits.shape[-1]), dim=-1).indices
        # torch ranks NaN first; a network that gives one has not named a class.
        hits = (best == target.unsqueeze(-1)).any(dim=-1) & ~logits.isnan().any(dim=-1)
        return _by_example(hits, target != self.ignore_index)


@dataclass(frozen=True)
class Binary:
    """A score that is 1 where an output lies on its label's side of a threshold: one logit, or one of each label.

    Attributes:
        threshold: 0 for logits, 0.5 for probabilities.
    """

    threshold: float = 0.0
    higher_is_better = True
    share = True
    label = column = "accuracy"

    def scores(self, outputs: Tensor, labels: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the fraction of an example's labels that are right, and how many it has."""
        target = two_valued_labels(labels, outputs)
        values = outputs.reshape(target.shape)
        # A NaN is on no side.
        right = torch.where(target > 0.5, values > self.threshold, values <= self.threshold)
        return _by_example(right, torch.ones_like(right))


@dataclass(frozen=True)
class CrossEntropy:
    """Negative log likelihood of the label in nats, mean over the places of an example.

    Attributes:
        ignore_index: label of places that do not count.
        class_axis: axis of the outputs that holds the classes; None where the shape of the labels says it.
    """

    ignore_index: int = IGNORED
    class_axis: int | None = None
    higher_is_better = False
    label, unit = "cross-entropy", "nat"

    def scores(self, outputs: Tensor, labels: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the mean negative log likelihood of an example, and how many places it has."""
        logits = classes_last(outputs, labels, self.class_axis)
        target = class_labels(labels, logits, self.ignore_index)
        valid = target != self.ignore_index
        likely = F.log_softmax(logits.to(torch.float64), dim=-1)
        picked = likely.gather(-1, torch.where(valid, target, 0).unsqueeze(-1)).squeeze(-1)
        return _by_example(-picked, valid)


@dataclass(frozen=True)
class Perplexity:
    """Exponential of the mean negative log likelihood of a token.

    Labels are the token wanted at each place. Where they are the inputs themselves, as language models are often
    given them, outputs are compared with the token after.

    Attributes:
        ignore_index: label of places that do not count.
    """

    ignore_index: int = IGNORED
    higher_is_better = False
    example, place = "sequence", "token"

    def scores(self, outputs: Tensor, labels: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the mean negative log likelihood of an example's tokens, and how many it has."""
        outputs, labels = next_tokens(outputs, labels, batch, self.ignore_index)
        return CrossEntropy(self.ignore_index, -1).scores(outputs, labels, batch)


@dataclass(frozen=True)
class MeanSquaredError:
    """Mean squared difference of outputs and labels."""

    higher_is_better = False
    label = "mean squared error"

    def scores(self, outputs: Tensor, labels: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the mean squared error of an example, and how many numbers it has."""
        target = real_labels(labels, outputs)
        return _by_example((outputs.reshape(target.shape) - target) ** 2, torch.ones_like(target))


def has_scores(metric: object) -> bool:
    """Whether a metric is of the form of the named ones."""
    return callable(getattr(metric, "scores", None)) and hasattr(metric, "higher_is_better")


def name_of(metric: object) -> str:
    """Return a metric of the user's in words, for messages."""
    return f"The metric {getattr(metric, '__name__', type(metric).__name__)!r}"


def score_batch(
    metric: NamedMetric | Score, outputs: Any, labels: Any, batch: Batch, layout: BatchLayout
) -> tuple[Floats, Floats]:
    """Return score and weight of every example of a batch, each of shape (examples,).

    Args:
        metric: a named metric, or a function that is given outputs and labels as they are.
        outputs: what the network returned.
        labels: of the batch.
        batch: what it was given.
        layout: where its examples are.

    Raises:
        EvaluationError: outputs or labels that the metric cannot score, or not one number for each example.
    """
    examples = batch.examples(layout.inputs)
    if has_scores(metric):
        logits = logits_of(outputs)
        if layout.outputs < logits.dim():
            logits = logits.movedim(layout.outputs, 0)
        if layout.inputs:
            labels, batch = map_tensors(labels, layout.examples_first), batch.mapped(layout.examples_first)
        values, weights = metric.scores(logits, labels, batch)  # type: ignore[union-attr]
    else:
        with naming_errors(f"{name_of(metric)} cannot score a batch", EvaluationError):
            values = torch.as_tensor(metric(outputs, labels))  # type: ignore[operator]
        weights = torch.ones_like(values)
    if values.shape != (examples,):
        raise EvaluationError(
            f"Expected the metric to return one number for each of {examples} examples, but got shape "
            f"{tuple(values.shape)}; a metric over whole data sets needs reset, update and compute."
        )
    scores, counted = (part.detach().to(torch.float64).cpu().numpy() for part in (values, weights))
    return np.asarray(scores), np.asarray(counted)
