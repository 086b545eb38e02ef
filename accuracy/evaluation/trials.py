"""One trial of an evaluation: program the cells afresh, correct, run all images; in this process or in several.

A trial depends on its number, the seed and the images only, so it is the same wherever it runs.
"""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from accuracy.batches import Batch, Batches, batch_of, model_device
from accuracy.calibration.corrections import apply_corrections, clear_corrections
from accuracy.errors import EvaluationError
from accuracy.evaluation.intervals import weighted_value
from accuracy.evaluation.measures import Measure, measure_of
from accuracy.evaluation.metrics import Metric, name_of, score_batch
from accuracy.evaluation.pairing import Order, Roll, fingerprints
from accuracy.kernels.finite_checks import put_off
from accuracy.layers.analog_layers import AnalogLayer
from accuracy.layers.batch_layout import BatchLayout, layout_of
from accuracy.layers.convert import analog_layers
from accuracy.layers.layer_state import Mode
from accuracy.layers.modes import layer_mode
from accuracy.layers.programming import program_layers
from accuracy.own_code import loaded_files, naming_errors, restore_files
from circuits.core_parts import Correction
from devicekit.common.processes import end_with_parent

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Course:
    """What every pass over the data goes through.

    Attributes:
        batches: the data.
        measure: what is counted.
        layout: where the examples of a batch stand.
        order: numbers of the examples, from the first pass.
    """

    batches: Batches
    measure: Measure
    layout: BatchLayout
    order: Order


@dataclass(frozen=True, eq=False)
class Plan:
    """Settings that all trials of an evaluation share.

    Attributes:
        course: the data and what is counted.
        seed: of everything random.
        draw_cells: whether each trial draws the cell model from its fit's uncertainty.
        corrections: what is corrected after programming, in order.
        correction_batches: training data for that.
    """

    course: Course
    seed: int
    draw_cells: bool = False
    corrections: tuple[Correction, ...] = ()
    correction_batches: Batches | None = None


@dataclass(frozen=True, eq=False)
class Scores:
    """What one pass over the data gave.

    Attributes:
        value: the metric.
        each: score of every example, shape (examples,); None for metrics without one.
        weights: what each counts, shape (examples,); None likewise.
    """

    value: float
    each: Floats | None = None
    weights: Floats | None = None


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


def course_of(model: nn.Module, layers: Sequence[AnalogLayer], batches: Batches, measure: Measure) -> Course:
    """Return what passes over some data need to know of them, found out on the first batch.

    Raises:
        EvaluationError: no data, or a batch of another form.
    """
    first = next(iter(batches), None)
    if first is None:
        raise EvaluationError("The data are empty: give at least one batch (inputs, labels).")
    batch = batch_of(first, model_device(model))
    return Course(batches, measure, layout_of(model, layers, batch), Order())


def run_pass(model: nn.Module, layers: Sequence[AnalogLayer], course: Course) -> Scores:
    """Run all batches once; return the metric and the score of every example, where there is one.

    The first pass of a course numbers its examples; later ones give scores in that order.

    Raises:
        EvaluationError: no data, other data than in the first pass, or inputs that are not finite.
    """
    device, measure, order = model_device(model), course.measure, course.order
    model.eval()
    metric = measure.metric
    roll = Roll(order) if order.size else None
    numbers: list[int] = []
    found: list[tuple[Floats, Floats]] = []
    if measure.accumulates:
        metric.reset()  # type: ignore[union-attr]
    with torch.inference_mode():
        for layer in layers:
            layer.array.noise.restart()
            layer.array.noise.places = ()
        for layer, places in zip(layers, course.layout.layers, strict=False):
            layer.array.noise.places = places
        try:
            for item in course.batches:
                batch = batch_of(item)
                marks = fingerprints(batch, course.layout.inputs)
                if roll is None:
                    require_finite(batch, order.size)
                own = order.add(marks) if roll is None else roll.numbers(marks)
                numbers += own
                batch = batch_of(item, device)
                outputs = _run_batch(model, layers, batch, own)
                if measure.accumulates:
                    with naming_errors(f"{name_of(metric)} cannot take in a batch", EvaluationError):
                        metric.update(outputs, batch.labels)  # type: ignore[union-attr]
                else:
                    found.append(score_batch(metric, outputs, batch.labels, batch, course.layout))  # type: ignore[arg-type]
        finally:
            for layer in layers:
                layer.array.noise.restart()
                layer.array.noise.places = ()
    if roll is not None:
        roll.end()
    if not numbers:
        raise EvaluationError("The data are empty: give at least one batch (inputs, labels).")
    if measure.accumulates:
        with naming_errors(f"{name_of(metric)} cannot be computed", EvaluationError):
            return Scores(float(metric.compute()))  # type: ignore[union-attr]
    each, weights = (np.empty(len(numbers)) for _ in range(2))
    each[numbers], weights[numbers] = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Scores(weighted_value(each, weights, exponential=measure.exponential), each, weights)


def _run_batch(model: nn.Module, layers: Sequence[AnalogLayer], batch: Batch, numbers: Sequence[int]) -> Any:
    """Return the network's outputs for the examples of these numbers.

    An accelerator is asked once whether the inputs of all layers were finite; where some were not, the batch runs again
    with the question at every layer.
    """
    device, before = model_device(model), [layer.array.input_counts for layer in layers]
    for put_off_questions in (waits_for_answers(device), False):
        for layer in layers:
            layer.array.noise.place(numbers)
        with put_off(device, put_off_questions) as checks:
            outputs = batch.run(model)
        if checks.all_finite():
            break
        for layer, counts in zip(layers, before, strict=True):
            layer.array.input_counts = counts
    return outputs


def waits_for_answers(device: torch.device) -> bool:
    """Whether to ask a device for a value is to wait for it."""
    return device.type != "cpu"


def require_finite(batch: Batch, before: int) -> None:
    """Refuse inputs that are not numbers, or images that are not finite (masks may be infinite).

    Args:
        batch: of the data.
        before: examples that came before it, for the message.

    Raises:
        EvaluationError: such a value.
    """
    for number, tensor in enumerate(batch.tensors):
        if not tensor.is_floating_point():
            continue
        wrong = ~torch.isfinite(tensor) if number == 0 else torch.isnan(tensor)
        if bool(wrong.any()):
            place = before + int(wrong.flatten(1).any(dim=1).nonzero()[0]) if wrong.dim() > 1 else before
            raise EvaluationError(
                f"Expected finite inputs, but {int(wrong.sum())} values are NaN or infinite in the batch that begins "
                f"with example {before}; the first is at {place}."
            )


def mean_score(model: nn.Module, layers: Sequence[AnalogLayer], batches: Batches, metric: Metric) -> float:
    """Return the metric of the network as its layers are set now."""
    return run_pass(model, layers, course_of(model, layers, batches, measure_of(metric))).value


def run_trial(model: nn.Module, layers: Sequence[AnalogLayer], plan: Plan, number: int) -> Trial:
    """Program the cells of one trial and evaluate them.

    Args:
        model: converted and calibrated.
        layers: its analog layers.
        plan: what the trial does.
        number: of the trial, from 0.
    """
    program_layers(layers, plan.seed, number, draw_cell=plan.draw_cells)
    with layer_mode(layers, Mode.ANALOG):
        if plan.corrections and plan.correction_batches is not None:
            apply_corrections(model, layers, plan.corrections, plan.correction_batches)
        for layer in layers:
            layer.array.inputs_seen = layer.array.inputs_clipped = 0
        result = run_pass(model, layers, plan.course)
    clear_corrections(layers)
    seen, clipped = zip(*((layer.array.inputs_seen, layer.array.inputs_clipped) for layer in layers), strict=True)
    return Trial(result.value, result.each, seen, clipped)


def run_trials(
    model: nn.Module, layers: Sequence[AnalogLayer], plan: Plan, numbers: Sequence[int], workers: int
) -> Iterator[Trial]:
    """Yield trials in the order of some numbers.

    Args:
        model: converted and calibrated.
        layers: its analog layers.
        plan: what each trial does.
        numbers: of the trials.
        workers: processes to spread them over; 1 for this one.

    Raises:
        EvaluationError: something that cannot be sent to another process, or processes that end.
    """
    if min(workers, len(numbers)) <= 1:
        for number in numbers:
            yield run_trial(model, layers, plan, number)
        return
    yield from _in_processes(model, plan, numbers, min(workers, len(numbers)))


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


def _in_processes(model: nn.Module, plan: Plan, numbers: Sequence[int], workers: int) -> Iterator[Trial]:
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
    done = losses = 0
    while done < len(numbers):
        with ProcessPoolExecutor(workers, context, _begin, (payload, loaded_files(), threads)) as pool:
            try:
                for trial in pool.map(_work, numbers[done:]):
                    done, losses = done + 1, 0
                    yield trial
            except BrokenProcessPool as error:
                # A trial is the same wherever it runs, so those that were lost are run again.
                losses += 1
                if losses > LOSSES:
                    raise EvaluationError(
                        "A worker process ended before its trial did: memory may have run out, or the script lacks "
                        "`if __name__ == '__main__':` around what it runs."
                    ) from error
            finally:
                pool.shutdown(cancel_futures=True)
        if losses > 1:
            workers = max(1, workers // 2)


LOSSES = 2
"""How often in a row worker processes may end before one trial is done."""

_work_to_do: tuple[nn.Module, list[AnalogLayer], Plan] | None = None


def _begin(payload: bytes, files: Mapping[str, tuple[str, bytes]], threads: int) -> None:
    """Take the model and the plan in a worker process."""
    global _work_to_do
    end_with_parent()
    torch.set_num_threads(threads)
    restore_files(files)
    model, plan = pickle.loads(payload)
    _work_to_do = model, analog_layers(model), plan


def _work(number: int) -> Trial:
    assert _work_to_do is not None
    return run_trial(*_work_to_do, number)
