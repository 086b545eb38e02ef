"""How much accuracy a network keeps on analog arrays: float baseline, ideal cells, and trials with fresh cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from accuracy.calibrate import Batches, Progress, ideal_cells, layer_mode, require_layers, require_reiterable
from accuracy.convert import model_device
from accuracy.corrections import Correction, apply_corrections, checked_corrections, clear_corrections
from accuracy.errors import EvaluationError
from accuracy.layers import AnalogLayer, Mode
from accuracy.metrics import AccumulatingMetric, Metric, Score, named_metric, score_batch
from accuracy.results import Accuracy, half_width

Floats = NDArray[np.float64]
LEAST_TRIALS = 3
"""Trials before an early stop: a spread from fewer says little."""


def evaluate(
    model: nn.Module,
    batches: Batches,
    trials: int = 10,
    seed: int = 0,
    *,
    metric: Metric = "top1",
    draw_cells: bool = False,
    tolerance: float | None = None,
    confidence: float = 0.95,
    corrections: Sequence[Correction] = (),
    correction_batches: Batches | None = None,
    progress: Progress | None = None,
) -> Accuracy:
    """Evaluate a converted and calibrated network over trials that each program its cells afresh.

    Args:
        model: from `convert` and `calibrate`.
        batches: pairs (inputs, labels) that can be gone through several times.
        trials: how often cells are programmed, at most.
        seed: the same seed gives the same result whatever the batch size.
        metric: ``"top1"``, ``"top5"``, a function (outputs, labels) -> one number for each image, or an object with
            reset, update and compute as in torchmetrics.
        draw_cells: whether every trial draws the cell model anew from the uncertainty of its fit (`Cell.draw`), so
            that it flows into spread and interval.
        tolerance: stop before `trials` once half the interval of the mean over chips is no larger.
        confidence: of that interval.
        corrections: what is corrected after each programming, in this order: ``"drift"``, ``"column_trim"``,
            ``"batch_norm"``; none by default.
        correction_batches: training data for them.
        progress: called with (passes done, passes in all).

    Raises:
        EvaluationError: no trials, no images, a one-shot iterator, an unknown metric or correction, or a model that
            was not converted.
        CalibrationError: the model has no ranges, or another design's.
    """
    if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
        raise EvaluationError(f"Expected `trials` to be an integer of at least 1, but got {trials!r}.")
    if tolerance is not None and not tolerance > 0:
        raise EvaluationError(f"Expected `tolerance` to be above 0 or None, but got {tolerance!r}.")
    layers = require_layers(model)
    require_reiterable(batches)
    wanted = checked_corrections(corrections, correction_batches)
    measure = named_metric(metric)
    for layer in layers:
        layer.converters()
    clear_corrections(layers)
    passes = trials + 2

    def report(done: int) -> None:
        if progress is not None:
            progress(done, passes)

    with layer_mode(layers, Mode.FLOAT):
        baseline = _pass(model, layers, batches, measure)
    report(1)
    with layer_mode(layers, Mode.ANALOG), ideal_cells(layers):
        ideal = _pass(model, layers, batches, measure)
    report(2)
    for layer in layers:
        layer.array.inputs_seen = layer.array.inputs_clipped = 0
    values: list[float] = []
    rows: list[Floats] = []
    stopped = False
    with layer_mode(layers, Mode.ANALOG):
        for trial in range(trials):
            for layer in layers:
                layer.program(seed, trial, draw_cell=draw_cells)
            if wanted and correction_batches is not None:
                apply_corrections(model, layers, wanted, correction_batches)
            value, scores = _pass(model, layers, batches, measure)
            values.append(value)
            if scores is not None:
                rows.append(scores)
            report(trial + 3)
            if tolerance is not None and LEAST_TRIALS <= len(values) < trials:
                stopped = half_width(np.array(values), confidence) <= tolerance
                if stopped:
                    report(passes)
                    break
    clear_corrections(layers)
    return Accuracy(
        per_trial=np.array(values),
        baseline=baseline[0],
        ideal=ideal[0],
        scores=np.stack(rows) if rows else None,
        baseline_scores=baseline[1],
        ideal_scores=ideal[1],
        clipped_inputs={layer.name: layer.array.inputs_clipped / max(layer.array.inputs_seen, 1) for layer in layers},
        stopped_early=stopped,
    )


def _pass(
    model: nn.Module, layers: Sequence[AnalogLayer], batches: Batches, measure: Score | AccumulatingMetric
) -> tuple[float, Floats | None]:
    """Run all batches once; return the metric and the score of every image, where there is one."""
    device = model_device(model)
    model.eval()
    for layer in layers:
        layer.array.noise.restart()
    found = []
    accumulates = isinstance(measure, AccumulatingMetric)
    if isinstance(measure, AccumulatingMetric):
        measure.reset()
    seen = 0
    with torch.inference_mode():
        for inputs, labels in batches:
            outputs, target = model(inputs.to(device)), _on(labels, device)
            seen += 1
            if isinstance(measure, AccumulatingMetric):
                measure.update(outputs, target)
            else:
                found.append(score_batch(measure, outputs, target))
    if not seen:
        raise EvaluationError("The data are empty: give at least one batch (inputs, labels).")
    if accumulates and isinstance(measure, AccumulatingMetric):
        return float(measure.compute()), None
    scores = np.concatenate(found)
    return float(scores.mean()), scores


def mean_score(model: nn.Module, layers: Sequence[AnalogLayer], batches: Batches, metric: Metric) -> float:
    """Return the metric of the network as its layers are set now."""
    return _pass(model, layers, batches, named_metric(metric))[0]


def _on(labels: Any, device: torch.device) -> Any:
    return labels.to(device) if isinstance(labels, Tensor) else labels
