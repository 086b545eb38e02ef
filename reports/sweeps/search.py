"""Points of a space that is too large for every combination: a multi-objective search that goes by the screen.

Optuna's tree-structured Parzen estimator (for several objectives: Ozaki et al., Journal of Artificial Intelligence
Research 73, 1209, 2022) proposes points, a few at once; each is screened and its costs are worked out, and the
proposals after go by that. The search is a function of the study and of what was found: an interrupted one makes the
same proposals again, and finds their results in the store.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from devicekit.common.errors import MissingDependencyError
from reports.results import Values
from reports.studies.axes import combinations
from reports.studies.budgets import Constraint, constraint_of, quantity_of
from reports.study import Study
from reports.sweeps.points import Point, PointMaker, points_of
from reports.sweeps.result import SweepResult
from reports.sweeps.selection import value_of

AT_ONCE = 10
"""Points that are proposed together."""
RANDOM_SHARE = 4
"""One in so many points of a search is drawn evenly, before the others."""
_MOST_ASKED = 50


def first_points(study: Study, count: int | None = None) -> list[Point]:
    """Return the points that a run begins with: all, or for a search some that are drawn evenly.

    Args:
        study: the study.
        count: of a search's points; None for those before any result.

    Raises:
        DevicekitError: as for `points_of`.
    """
    if study.search is None:
        return points_of(study)
    make = PointMaker(study)
    whole = len(make.cores) * combinations(study.vary)
    if whole <= study.search:
        return points_of(study)
    wanted = max(study.search // RANDOM_SHARE, 2) if count is None else count
    random = np.random.default_rng(study.seed)
    chosen: dict[tuple[int, ...], None] = {}
    sizes = [len(make.cores), *(len(values) for values in study.vary.values())]
    while len(chosen) < min(wanted, study.search):
        chosen.setdefault(tuple(int(random.integers(size)) for size in sizes))
    return [_made(make, study, place) for place in chosen]


def _made(make: PointMaker, study: Study, place: Sequence[int]) -> Point:
    values = [own[index] for own, index in zip(study.vary.values(), place[1:], strict=True)]
    return make(list(make.cores)[place[0]], values)


def next_points(study: Study, points: Sequence[Point], result: SweepResult) -> list[Point]:
    """Return the next points that a search proposes; none where it proposes only what is known.

    Args:
        study: the study.
        points: those so far.
        result: what is known of them.

    Raises:
        MissingDependencyError: Optuna is not installed.
    """
    assert study.search is not None
    make = PointMaker(study)
    if len(points) >= len(make.cores) * combinations(study.vary):
        return []
    try:
        import optuna
    except ImportError:
        raise MissingDependencyError("A search needs Optuna: pip install 'devicekit[search]'.") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    cores, axes = list(make.cores), list(study.vary)
    spaces: dict[str, Any] = {"core": optuna.distributions.CategoricalDistribution(list(range(len(cores))))}
    spaces |= {axis: _space(optuna, values) for axis, values in study.vary.items()}
    objectives = [quantity_of(name) for name in study.objectives]
    limits = [constraint_of(text) for text in study.constraints]
    places = [_place(study, cores, point) for point in points]
    with warnings.catch_warnings():
        # Its constraints and its batches count as experimental.
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.TPESampler(
            seed=study.seed + len(points),
            n_startup_trials=0,
            constant_liar=True,
            constraints_func=(lambda trial: trial.user_attrs["constraints"]) if limits else None,
        )
        looked = optuna.create_study(directions=["minimize"] * len(objectives), sampler=sampler)
        for place, point in zip(places, result.points, strict=True):
            values = _objectives(point, objectives)
            if values is not None:
                looked.add_trial(_trial(optuna, place, axes, spaces, values, point, limits))
        known = set(places)
        found: list[Point] = []
        for _ in range(_MOST_ASKED * AT_ONCE):
            if len(found) >= min(AT_ONCE, study.search - len(points)):
                break
            asked = looked.ask(spaces)
            place = (asked.params["core"], *(int(asked.params[axis]) for axis in axes))
            if place not in known:
                known.add(place)
                found.append(_made(make, study, place))
    return found


def _space(optuna: Any, values: Sequence[Any]) -> Any:
    """Values in their order where they are numbers, else without one."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return optuna.distributions.IntDistribution(0, len(values) - 1)
    return optuna.distributions.CategoricalDistribution(list(range(len(values))))


def _place(study: Study, cores: Sequence[str], point: Point) -> tuple[int, ...]:
    return (
        cores.index(point.asked),
        *(values.index(point.varied[axis]) for axis, values in study.vary.items()),
    )


def _objectives(point: Values, objectives: Sequence[Any]) -> list[float] | None:
    """What is minimised; None where something is not known."""
    if point["status"] != "done":
        return None
    found = []
    for own in objectives:
        value = value_of(point, own)
        if value is None or not math.isfinite(value):
            return None
        found.append(-value if own.more_is_better else value)
    return found


def _trial(
    optuna: Any,
    place: Sequence[int],
    axes: Sequence[str],
    spaces: dict[str, Any],
    values: list[float],
    point: Values,
    limits: Sequence[Constraint],
) -> Any:
    beyond = []
    for limit in limits:
        value = value_of(point, limit.quantity)
        assert value is not None
        # By how many limits' worth it is beyond, so that limits in all units weigh alike.
        over = (value - limit.limit) / max(abs(limit.limit), 1e-12)
        beyond.append(over if limit.at_most else -over)
    attributes = {"constraints": beyond} if limits else {}
    system = {"constraints": tuple(beyond)} if limits else {}
    return optuna.trial.create_trial(
        params=dict(zip(("core", *axes), place, strict=True)),
        distributions=spaces,
        values=values,
        user_attrs=attributes,
        system_attrs=system,
    )
