"""What a study would take: evaluations, those that are known, and the time by a short probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from devicekit.common.plain import PlainValues
from reports.store.store import Store, key_of
from reports.study import Study
from reports.sweeps.networks import forget_networks, network_name, network_of
from reports.sweeps.points import Point
from reports.sweeps.search import first_points
from reports.sweeps.sweep import SCREENS
from reports.sweeps.tasks import Task, accuracy_inputs, cost_inputs, run_task

FEW, MORE = 20, 60
"""Test and training images of the two evaluations of a probe."""
_TRIALS = 2


@dataclass(frozen=True)
class Forecast(PlainValues):
    """What a study would take.

    Attributes:
        points: of the study.
        impossible: name and reason of the points that cannot be built.
        accuracies: evaluations with trials, each kind of core once; the most there can be where some points are left
            out by their costs.
        costs: evaluations of costs.
        screens: points that are screened without trials.
        known: how many of the evaluations with trials the store has.
        seconds: processor time of what is not known [s], about.
    """

    points: int
    impossible: list[tuple[str, str]]
    accuracies: int
    costs: int
    screens: int
    known: int
    seconds: float


def forecast(study: Study, store: Store | None = None) -> Forecast:
    """Return what a study would take, after a few short evaluations.

    Of each network, the core with the fewest and the one with the most conversions are evaluated on few images, twice:
    the difference is the time of an image in a pass. Between the two cores, time follows conversions in a straight
    line.

    Args:
        study: the study; all of it is validated.
        store: where known results are looked for.

    Raises:
        DevicekitError: whatever is wrong with the study.
    """
    forget_networks()
    points = first_points(study, study.search)
    possible = [point for point in points if point.cores is not None]
    keys: dict[str, Point] = {}
    for point in possible:
        network = network_of(point.study)
        assert point.cores is not None
        keys.setdefault(key_of(accuracy_inputs(point.study, network.fingerprint, point.cores)), point)
    wanted = {} if study.accuracy in ("none", "screen") else keys
    known = set() if store is None else store.known(list(wanted))
    open_points = [point for key, point in wanted.items() if key not in known]
    seconds = sum(_seconds_of_accuracies(group) for group in _by_network(open_points))
    screens = len(possible) if study.accuracy in SCREENS else 0
    if screens:
        seconds += sum(_seconds_of_screens(group) for group in _by_network(possible))
    if possible:
        seconds += len(possible) * _seconds_of_costs(possible[0])
    impossible = [(point.name, point.reason) for point in points if point.cores is None]
    return Forecast(len(points), impossible, len(wanted), len(possible), screens, len(known), seconds)


def _by_network(points: Sequence[Point]) -> list[list[Point]]:
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault(network_name(point.study), []).append(point)
    return list(groups.values())


def _seconds_of_screens(points: Sequence[Point]) -> float:
    """Return the time to screen some points with one network: once what is measured of it, then each core."""
    middle = sorted(points, key=_work)[len(points) // 2]
    first = _run("screen", middle, middle.study)
    return first + (len(points) - 1) * min(_run("screen", middle, middle.study), first)


def _seconds_of_accuracies(points: Sequence[Point]) -> float:
    """Return the time of the evaluations of some points with one network."""
    ordered = sorted(points, key=_work)
    low, high = _work(ordered[0]), _work(ordered[-1])
    fixed_low, each_low = _times(ordered[0])
    fixed_high, each_high = (fixed_low, each_low) if high == low else _times(ordered[-1])
    total = 0.0
    for point in points:
        share = 0.0 if high == low else (_work(point) - low) / (high - low)
        fixed, each = fixed_low + share * (fixed_high - fixed_low), each_low + share * (each_high - each_low)
        total += fixed + each * _passes(point.study)
    return total


def _work(point: Point) -> float:
    assert point.cores is not None
    return max(float(core.design.arrays * core.design.input_slices) for core in point.cores.kinds)


def _passes(study: Study) -> float:
    """Return how many images a point's evaluation puts through the network, calibration included."""
    data = network_of(study).data
    test = min(study.images or data.size("test"), data.size("test"))
    training = min(study.calibration_images, data.size("calibration"))
    return test * (study.trials + 2) + 3 * training


def _times(point: Point) -> tuple[float, float]:
    """Return the time of an evaluation without images, and what an image in a pass adds [s]."""
    measured = []
    for images in (FEW, MORE):
        few: dict[str, Any] = {"images": images, "calibration_images": images, "trials": _TRIALS}
        study = point.study.model_copy(update=few)
        measured.append((_passes(study), _run("accuracy", point, study)))
    (few_passes, few_seconds), (more_passes, more_seconds) = measured
    each = max(more_seconds - few_seconds, 0.0) / max(more_passes - few_passes, 1.0)
    return max(few_seconds - each * few_passes, 0.0), each


def _seconds_of_costs(point: Point) -> float:
    return _run("cost", point, point.study)


def _run(kind: Any, point: Point, study: Study) -> float:
    network = network_of(study)
    assert point.cores is not None
    inputs = cost_inputs(study, network, point.cores, {}) if kind == "cost" else {}
    return run_task(Task(kind, inputs, study, point.cores, network.fingerprint)).seconds
