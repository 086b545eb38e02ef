"""How much accuracy a network keeps on analog arrays: float baseline, ideal cells, and trials with fresh cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import nn

from accuracy.calibration.calibrate import (
    Batches,
    Progress,
    ideal_cells,
    layer_mode,
    require_layers,
    require_reiterable,
)
from accuracy.calibration.corrections import Correction, checked_corrections, clear_corrections
from accuracy.errors import EvaluationError
from accuracy.evaluation.metrics import Metric, named_metric
from accuracy.evaluation.results import Accuracy, half_width
from accuracy.evaluation.trials import Plan, Trial, checked_workers, run_pass, run_trials
from accuracy.evaluation.wire_envelope import warn_of_wires
from accuracy.layers.analog_layers import Mode

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
    workers: int = 1,
    progress: Progress | None = None,
) -> Accuracy:
    """Evaluate a converted and calibrated network over trials that each program its cells afresh.

    Args:
        model: from `convert` and `calibrate`.
        batches: pairs (inputs, labels) that can be gone through several times.
        trials: how often cells are programmed, at most.
        seed: the same seed gives the same result whatever the batch size or the number of workers.
        metric: ``"top1"``, ``"top5"``, a function (outputs, labels) -> one number for each image, or an object with
            reset, update and compute as in torchmetrics.
        draw_cells: whether every trial draws the cell model anew from the uncertainty of its fit (`Cell.draw`), so
            that it flows into spread and interval.
        tolerance: stop before `trials` once half the interval of the mean over chips is no larger.
        confidence: of that interval.
        corrections: what is corrected after each programming, in this order: ``"drift"``, ``"column_trim"``,
            ``"batch_norm"``; none by default.
        correction_batches: training data for them.
        workers: processes that trials are spread over, each with its share of torch's threads. They start a new
            Python, so a script must stand under ``if __name__ == "__main__":``.
        progress: called with (passes done, passes in all).

    Raises:
        EvaluationError: no trials, no images, a one-shot iterator, an unknown metric or correction, a model that was
            not converted, or something that cannot be sent to worker processes.
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
    checked_workers(workers, model)
    for layer in layers:
        layer.adc_ranges()
    clear_corrections(layers)
    passes = trials + 2

    def report(done: int) -> None:
        if progress is not None:
            progress(done, passes)

    warn_of_wires(model, layers, batches)
    with layer_mode(layers, Mode.FLOAT):
        baseline = run_pass(model, layers, batches, measure)
    report(1)
    with layer_mode(layers, Mode.ANALOG), ideal_cells(layers):
        ideal = run_pass(model, layers, batches, measure)
    report(2)
    plan = Plan(batches, measure, seed, draw_cells, wanted, correction_batches)
    done: list[Trial] = []
    stopped = False
    for trial in run_trials(model, layers, plan, trials, workers):
        done.append(trial)
        report(len(done) + 2)
        if tolerance is not None and LEAST_TRIALS <= len(done) < trials:
            stopped = half_width(np.array([one.value for one in done]), confidence) <= tolerance
            if stopped:
                report(passes)
                break
    seen, clipped = (
        np.sum([getattr(trial, count) for trial in done], axis=0) for count in ("inputs_seen", "inputs_clipped")
    )
    rows = [trial.scores for trial in done if trial.scores is not None]
    return Accuracy(
        per_trial=np.array([trial.value for trial in done]),
        baseline=baseline[0],
        ideal=ideal[0],
        scores=np.stack(rows) if rows else None,
        baseline_scores=baseline[1],
        ideal_scores=ideal[1],
        clipped_inputs={
            layer.name: float(out / max(count, 1)) for layer, count, out in zip(layers, seen, clipped, strict=True)
        },
        stopped_early=stopped,
    )
