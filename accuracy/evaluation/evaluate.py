"""How much accuracy a network keeps on analog arrays: float baseline, ideal cells, and trials with fresh cells."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from itertools import repeat

import numpy as np
from torch import nn

from accuracy.batches import Batches, require_reiterable
from accuracy.calibration.calibrate import Progress, require_layers
from accuracy.calibration.corrections import checked_corrections, clear_corrections
from accuracy.errors import EvaluationError
from accuracy.evaluation.intervals import half_width
from accuracy.evaluation.measures import measure_of
from accuracy.evaluation.metrics import Metric
from accuracy.evaluation.range_remarks import range_remarks, run_ideal
from accuracy.evaluation.results import Accuracy
from accuracy.evaluation.trials import (
    Course,
    Plan,
    Scores,
    Trial,
    checked_workers,
    course_of,
    run_pass,
    run_trial,
    run_trials,
)
from accuracy.evaluation.wire_envelope import warn_of_wires
from accuracy.layers.analog_layers import AnalogLayer
from accuracy.layers.conversion import conversion_of, synchronize
from accuracy.layers.layer_state import Mode
from accuracy.layers.modes import layer_mode
from circuits.core_parts import Correction

LEAST_TRIALS = 3
"""Trials before an early stop: a spread from fewer says little."""


def evaluate(
    model: nn.Module,
    batches: Batches,
    trials: int = 10,
    seed: int = 0,
    *,
    metric: Metric = "top1",
    higher_is_better: bool | None = None,
    draw_cells: bool = False,
    tolerance: float | None = None,
    confidence: float = 0.95,
    corrections: Sequence[Correction] | None = None,
    correction_batches: Batches | None = None,
    workers: int = 1,
    kept: MutableMapping[int, Trial] | None = None,
    progress: Progress | None = None,
) -> Accuracy:
    """Evaluate a converted and calibrated network over trials that each program its cells afresh.

    Weights that changed since they were mapped are mapped again first (`accuracy.synchronize`). Where ideal cells lose
    much to rounding that aligned ADC ranges would spare, they are run once more with these, for `Accuracy.remarks`.

    Args:
        model: from `convert` and `calibrate`.
        batches: the data, in any of the forms of `accuracy.batches`, that can be gone through several
            times. Examples may come in another order each time (a loader that shuffles); they are told apart by what
            they hold, and scores, noise and intervals are those of the example.
        trials: how often cells are programmed, at most.
        seed: the same seed gives the same result whatever the batch size or the number of workers.
        metric: ``"top1"``, ``"top5"`` (of images, or of every token or pixel), ``"binary"`` and ``"multi_label"``
            (logits above 0), ``"binary_probability"`` (above 0.5), ``"cross_entropy"``, ``"perplexity"``, ``"mse"``; a
            function (outputs, labels) -> one number for each image; or an object with reset, update and compute as in
            torchmetrics. Functions and objects are given what the network returned, as it is; ``module:name`` and
            ``file.py:name`` mean one of the user's.
        higher_is_better: whether a larger value is a better network, so that `Accuracy.loss` is positive where it
            gets worse; None for what the metric says (losses of torch are known), else yes.
        draw_cells: whether every trial draws the cell model anew from the uncertainty of its fit (`Cell.draw`), so
            that it flows into spread and interval.
        tolerance: stop before `trials` once half the interval of the mean over chips is no larger.
        confidence: of that interval.
        corrections: what is corrected after each programming, in this order: ``"drift"``, ``"column_trim"``,
            ``"batch_norm"``; None for what the core says that the model was converted from, () for nothing.
        correction_batches: training data for them.
        workers: processes that trials are spread over, each with its share of torch's threads. They start a new
            Python, so a script must stand under ``if __name__ == "__main__":``.
        kept: trials of an earlier run by number, none of which is run again; new ones are put in as they end. For
            the same model, data in the same order, and settings, but for `trials` and `tolerance`.
        progress: called with (passes done, passes in all).

    Raises:
        EvaluationError: no trials, no images, a one-shot iterator, an unknown metric or correction, corrections without
            data, outputs or labels that the metric cannot score, inputs that are not finite, other examples in a later
            pass, a model that was not converted, or something that cannot be sent to worker processes.
        CalibrationError: the model has no ranges, or another design's.
    """
    if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
        raise EvaluationError(f"Expected `trials` to be an integer of at least 1, but got {trials!r}.")
    if tolerance is not None and not tolerance > 0:
        raise EvaluationError(f"Expected `tolerance` to be above 0 or None, but got {tolerance!r}.")
    layers = require_layers(model)
    require_reiterable(batches)
    core = next((layer.core for layer in layers if layer.core.corrections), layers[0].core)
    own = corrections is None and correction_batches is None
    asked = core.corrections if corrections is None else corrections
    wanted = checked_corrections(asked, correction_batches, core.name if own else "")
    measure = measure_of(metric, higher_is_better)
    checked_workers(workers, model)
    synchronize(model)
    for layer in layers:
        layer.adc_ranges()
    clear_corrections(layers)
    passes = trials + 2

    def report(done: int) -> None:
        if progress is not None:
            progress(done, passes)

    warn_of_wires(model, layers, batches)
    course = course_of(model, layers, batches, measure)
    baseline = _baseline(model, layers, course)
    report(1)
    ideal = run_ideal(model, layers, course)
    report(2)
    remarks = range_remarks(model, layers, course, baseline, ideal)
    plan = Plan(course, seed, draw_cells, wanted, correction_batches)
    done: list[Trial] = []
    stopped = False
    for trial in _trials(model, layers, plan, trials, workers, {} if kept is None else kept):
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
        baseline=baseline.value,
        ideal=ideal.value,
        scores=np.stack(rows) if rows else None,
        baseline_scores=baseline.each,
        ideal_scores=ideal.each,
        clipped_inputs={
            layer.name: float(out / max(count, 1)) for layer, count, out in zip(layers, seen, clipped, strict=True)
        },
        stopped_early=stopped,
        weights=baseline.weights,
        higher_is_better=measure.higher_is_better,
        exponential=measure.exponential,
        metric=measure.name,
        remarks=remarks,
    )


def _trials(
    model: nn.Module,
    layers: Sequence[AnalogLayer],
    plan: Plan,
    trials: int,
    workers: int,
    kept: MutableMapping[int, Trial],
) -> Iterator[Trial]:
    """Yield trials in order of their number, those that are kept as they are.

    Where nothing is drawn, every trial is the first.
    """
    if any(layer.array.varies for layer in layers):
        fresh = run_trials(model, layers, plan, [number for number in range(trials) if number not in kept], workers)
    else:
        fresh = repeat(next(iter(kept.values())) if kept else run_trial(model, layers, plan, 0))
    for number in range(trials):
        if number not in kept:
            kept[number] = next(fresh)
        yield kept[number]


def _baseline(model: nn.Module, layers: Sequence[AnalogLayer], course: Course) -> Scores:
    """Run the original network; the converted one in float mode where weights have changed since conversion."""
    conversion = conversion_of(model)
    original = None if conversion is None else conversion.original(model)
    if original is not None:
        return run_pass(original, [], course)
    with layer_mode(layers, Mode.FLOAT):
        return run_pass(model, layers, course)
