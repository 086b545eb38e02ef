"""Accuracy before and after training on the same frozen cells, against the size of their errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from accuracy.batches import Batches
from accuracy.calibration.calibrate import Progress, require_layers
from accuracy.evaluation.evaluate import evaluate
from accuracy.evaluation.intervals import loss_interval
from accuracy.evaluation.metrics import Metric
from accuracy.evaluation.results import Accuracy
from accuracy.layers.analog_layers import AnalogLayer
from accuracy.training.drawn_weights import read_cell
from devicekit.common.plain import plain_dict


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two networks on the same images and on cells of the same deviates.

    Attributes:
        error_scale: factor on the spread of the cells.
        before: accuracy of the one.
        after: accuracy of the other.
    """

    error_scale: float
    before: Accuracy
    after: Accuracy

    @property
    def gain(self) -> float:
        """How much better the second is on arrays, mean over trials."""
        difference = self.after.mean - self.before.mean
        return difference if self.before.higher_is_better else -difference

    @property
    def recovered(self) -> float | None:
        """Share of what the first loses to arrays that the second has back; None where the first loses nothing."""
        return self.gain / self.before.loss if self.before.loss > 0 else None

    def gain_interval(
        self, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
    ) -> tuple[float, float] | None:
        """Return the interval of the gain over images and chips, paired; None for metrics without scores of images.

        Args:
            confidence: of the interval.
            resamples: bootstrap samples.
            seed: of the bootstrap.
        """
        one, two = self.before.scores, self.after.scores
        if one is None or two is None or self.before.exponential:
            return None
        weights = np.ones(one.shape[1]) if self.before.weights is None else self.before.weights
        # The interval of "nothing minus what got worse".
        low, high = loss_interval(np.zeros(one.shape[1]), one - two, weights, confidence, resamples, seed)
        return (low, high) if self.before.higher_is_better else (-high, -low)

    def to_dict(self) -> dict[str, Any]:
        """Return both accuracies and the gain as plain values."""
        return plain_dict(
            {
                "error_scale": self.error_scale,
                "before": self.before.to_dict(),
                "after": self.after.to_dict(),
                "gain": self.gain,
                "gain_interval": self.gain_interval(),
                "recovered": self.recovered,
            }
        )


def compare(
    before: nn.Module,
    after: nn.Module,
    batches: Batches,
    error_scales: Sequence[float] = (1.0,),
    trials: int = 20,
    seed: int = 0,
    *,
    metric: Metric = "top1",
    draw_cells: bool = False,
    correction_batches: Batches | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[Comparison]:
    """Return how two converted and calibrated networks fare on the same cells, for each size of their errors.

    Args:
        before: the one.
        after: the other, of the same form: each cell then has the same deviate in both.
        batches: test data; see `accuracy.evaluate`.
        error_scales: factors on the spread of the cells.
        trials: sets of cells.
        seed: of them; another one than the training's, so that no set was trained on.
        metric: as for `accuracy.evaluate`; so are the following.
        draw_cells: whether every trial draws the cell model anew.
        correction_batches: training data for the corrections of the core.
        workers: processes that trials are spread over.
        progress: called with (passes done, passes in all).

    Raises:
        EvaluationError: as `accuracy.evaluate`.
        CalibrationError: likewise.
    """
    passes, found = trials + 2, []
    how: dict[str, Any] = {"draw_cells": draw_cells, "correction_batches": correction_batches, "workers": workers}
    total = 2 * len(error_scales) * passes
    for number, scale in enumerate(error_scales):
        results = []
        for place, model in enumerate((before, after)):
            start = (2 * number + place) * passes

            def show(done: int, _: int, start: int = start) -> None:
                if progress is not None:
                    progress(start + done, total)

            with _scaled(require_layers(model), scale):
                results.append(evaluate(model, batches, trials, seed, metric=metric, progress=show, **how))
        found.append(Comparison(scale, *results))
    return found


@contextmanager
def _scaled(layers: Sequence[AnalogLayer], scale: float) -> Iterator[None]:
    """Let cells have errors of another size for a while."""
    before = [layer.cell for layer in layers]
    for layer in layers:
        layer.cell = read_cell(layer.cell, scale, None)
    try:
        yield
    finally:
        for layer, cell in zip(layers, before, strict=True):
            layer.cell = cell
