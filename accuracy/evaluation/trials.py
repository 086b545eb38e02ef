"""One trial of an evaluation: program the cells afresh, correct, run all images; in this process or in several.

A trial depends on its number, the seed and the images only, so it is the same wherever it runs.
"""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from accuracy.calibration.calibrate import Batches, layer_mode
from accuracy.calibration.corrections import Correction, apply_corrections, clear_corrections
from accuracy.errors import EvaluationError
from accuracy.evaluation.metrics import AccumulatingMetric, Metric, Score, named_metric, score_batch
from accuracy.layers.analog_layers import AnalogLayer, Mode
from accuracy.layers.convert import analog_layers, model_device

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Plan:
    """Settings that all trials of an evaluation share.

    Attributes:
        batches: pairs (inputs, labels).
        measure: what is counted.
        seed: of everything random.
        draw_cells: whether each trial draws the cell model from its fit's uncertainty.
        corrections: what is corrected after programming, in order.
        correction_batches: training data for that.
    """

    batches: Batches
    measure: Score | AccumulatingMetric
    seed: int
    draw_cells: bool = False
    corrections: tuple[Correction, ...] = ()
    correction_batches: Batches | None = None


@dataclass(frozen=True, eq=False)
class Trial:
    """Result of one trial.

    Attributes:
        value: the metric.
        scores: score of every image, shape (images,); None for metrics without one.
        inputs_seen: input values of each layer.
        inputs_clipped: how many of them lay outside its range.
    """

    value: float
    scores: Floats | None
    inputs_seen: tuple[int, ...]
    inputs_clipped: tuple[int, ...]


def run_pass(
    model: nn.Module, layers: Sequence[AnalogLayer], batches: Batches, measure: Score | AccumulatingMetric
) -> tuple[float, Floats | None]:
    """Run all batches once; return the metric and the score of every image, where there is one.

    Raises:
        EvaluationError: no data.
    """
    device = model_device(model)
    model.eval()
    for layer in layers:
        layer.array.noise.restart()
    found = []
    if isinstance(measure, AccumulatingMetric):
        measure.reset()
    seen = 0
    with torch.inference_mode():
        for inputs, labels in batches:
            for layer in layers:
                layer.array.noise.place(seen, inputs.shape[0])
            outputs, target = model(inputs.to(device)), _on(labels, device)
            seen += inputs.shape[0]
            if isinstance(measure, AccumulatingMetric):
                measure.update(outputs, target)
            else:
                found.append(score_batch(measure, outputs, target))
    for layer in layers:
        layer.array.noise.restart()
    if not seen:
        raise EvaluationError("The data are empty: give at least one batch (inputs, labels).")
    if isinstance(measure, AccumulatingMetric):
        return float(measure.compute()), None
    scores = np.concatenate(found)
    return float(scores.mean()), scores


def mean_score(model: nn.Module, layers: Sequence[AnalogLayer], batches: Batches, metric: Metric) -> float:
    """Return the metric of the network as its layers are set now."""
    return run_pass(model, layers, batches, named_metric(metric))[0]


def _on(labels: Any, device: torch.device) -> Any:
    return labels.to(device) if isinstance(labels, Tensor) else labels


def run_trial(model: nn.Module, layers: Sequence[AnalogLayer], plan: Plan, number: int) -> Trial:
    """Program the cells of one trial and evaluate them.

    Args:
        model: converted and calibrated.
        layers: its analog layers.
        plan: what the trial does.
        number: of the trial, from 0.
    """
    for layer in layers:
        layer.program(plan.seed, number, draw_cell=plan.draw_cells)
    with layer_mode(layers, Mode.ANALOG):
        if plan.corrections and plan.correction_batches is not None:
            apply_corrections(model, layers, plan.corrections, plan.correction_batches)
        for layer in layers:
            layer.array.inputs_seen = layer.array.inputs_clipped = 0
        value, scores = run_pass(model, layers, plan.batches, plan.measure)
    clear_corrections(layers)
    seen, clipped = zip(*((layer.array.inputs_seen, layer.array.inputs_clipped) for layer in layers), strict=True)
    return Trial(value, scores, seen, clipped)


def run_trials(
    model: nn.Module, layers: Sequence[AnalogLayer], plan: Plan, trials: int, workers: int
) -> Iterator[Trial]:
    """Yield trials in order of their number.

    Args:
        model: converted and calibrated.
        layers: its analog layers.
        plan: what each trial does.
        trials: how many.
        workers: processes to spread them over; 1 for this one.

    Raises:
        EvaluationError: something that cannot be sent to another process, or processes that end.
    """
    if min(workers, trials) == 1:
        for number in range(trials):
            yield run_trial(model, layers, plan, number)
        return
    yield from _in_processes(model, plan, trials, min(workers, trials))


def checked_workers(workers: int, model: nn.Module) -> int:
    """Return the number of processes.

    Raises:
        EvaluationError: not a number of processes, or several for a model that is not on the host.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise EvaluationError(f"Expected `workers` to be an integer of at least 1, but got {workers!r}.")
    device = model_device(model)
    if workers > 1 and device.type != "cpu":
        raise EvaluationError(f"Trials are spread over processes of the host only, but the model is on {device}.")
    return workers


def _in_processes(model: nn.Module, plan: Plan, trials: int, workers: int) -> Iterator[Trial]:
    if getattr(multiprocessing.process.current_process(), "_inheriting", False):
        # A worker that runs its script's main part again, instead of its trials, would start workers without end.
        raise EvaluationError(
            "Several `workers` start the script anew: put what it runs under `if __name__ == '__main__':`."
        )
    try:
        payload = pickle.dumps((model, plan))
    except Exception as error:
        # Pickling raises whatever the object's own code raises.
        raise EvaluationError(
            "With several `workers`, model, batches and metric are sent to other processes, but one of them cannot be "
            f"({type(error).__name__}: {error}); use functions of a module instead of local ones, or workers=1."
        ) from error
    # Forked processes would inherit torch's threads in whatever state they are.
    context = multiprocessing.get_context("spawn")
    threads = max(1, torch.get_num_threads() // workers)
    with ProcessPoolExecutor(workers, context, _begin, (payload, threads)) as pool:
        try:
            yield from pool.map(_work, range(trials))
        except BrokenProcessPool as error:
            raise EvaluationError(
                "A worker process ended before its trial did: memory may have run out, or the script lacks "
                "`if __name__ == '__main__':` around what it runs."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


_work_to_do: tuple[nn.Module, list[AnalogLayer], Plan] | None = None


def _begin(payload: bytes, threads: int) -> None:
    """Take the model and the plan in a worker process."""
    global _work_to_do
    torch.set_num_threads(threads)
    model, plan = pickle.loads(payload)
    _work_to_do = model, analog_layers(model), plan


def _work(number: int) -> Trial:
    assert _work_to_do is not None
    return run_trial(*_work_to_do, number)
