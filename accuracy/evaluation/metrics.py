"""Metrics: top-k accuracy, a score of the user's for every image, or a metric that accumulates by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy.errors import EvaluationError
from devicekit.common.errors import unknown_name

Score = Callable[[Tensor, Any], Tensor]


@runtime_checkable
class AccumulatingMetric(Protocol):
    """The interface of torchmetrics: reset, update batch by batch, compute."""

    def reset(self) -> None:
        """Forget all batches."""

    def update(self, outputs: Tensor, labels: Any) -> None:
        """Take in a batch."""

    def compute(self) -> Any:
        """Return one number."""


Metric = str | Score | AccumulatingMetric


@dataclass(frozen=True)
class TopK:
    """A score that is 1 where the label is among the `k` largest outputs."""

    k: int

    def __call__(self, outputs: Tensor, labels: Any) -> Tensor:
        """Return the score of every image, shape (images,)."""
        best = outputs.topk(min(self.k, outputs.shape[-1]), dim=-1).indices
        hits: Tensor = (best == labels.reshape(-1, 1)).any(dim=-1)
        return hits


_NAMED: dict[str, Score] = {"top1": TopK(1), "top5": TopK(5)}


def named_metric(metric: Metric) -> Score | AccumulatingMetric:
    """Return the metric for a name, or the metric itself.

    Raises:
        EvaluationError: unknown name.
    """
    if not isinstance(metric, str):
        return metric
    if metric not in _NAMED:
        raise EvaluationError(unknown_name("metric", metric, _NAMED))
    return _NAMED[metric]


def score_batch(score: Score, outputs: Tensor, labels: Any) -> NDArray[np.float64]:
    """Return the score of every image of a batch, shape (images,).

    Raises:
        EvaluationError: the score is not one number for each image.
    """
    values = torch.as_tensor(score(outputs, labels)).detach().to(torch.float64).cpu()
    if values.shape != outputs.shape[:1]:
        raise EvaluationError(
            f"Expected the metric to return one number for each of {outputs.shape[0]} images, but got shape "
            f"{tuple(values.shape)}; a metric over whole data sets needs reset, update and compute."
        )
    return np.asarray(values.numpy())
