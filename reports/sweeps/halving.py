"""Trials where they decide: points whose intervals leave open whether they are worth building get more of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reports.results import Values
from reports.studies.budgets import Constraint, Quantity, constraint_of, quantity_of
from reports.study import Study
from reports.sweeps.result import SweepResult
from reports.sweeps.selection import accuracy_of, drawn_of, groups_of, value_of

Floats = NDArray[np.float64]
FEW_TRIALS = 3
"""Trials of the first round."""
_TAIL = 0.025


def in_question(result: SweepResult, study: Study) -> list[int]:
    """Return the numbers of the points that further trials may put on the front or within the constraints.

    A point is out of question where it breaks a constraint on costs, where its loss is above the study's limit with
    97.5 %, or where another point that keeps to the constraints on costs is no worse in all costs and its loss is below
    that of this one with 97.5 % (joint draws). A point that the screen could not estimate is in question.

    Args:
        result: what is known so far.
        study: with objectives and constraints.
    """
    limits = [constraint_of(text) for text in study.constraints]
    costs = [quantity_of(name) for name in study.objectives if quantity_of(name).part != "accuracy"]
    loss, found = quantity_of("loss"), []
    for _, members in groups_of(result):
        kept = [number for number in members if _may_keep(result, number, limits)]
        known = [number for number in kept if accuracy_of(result.points[number]) is not None]
        found += [number for number in kept if number not in known]
        values = np.array([[_signed(result.points[number], own) for own in costs] for number in known])
        drawn = [drawn_of(result, number, loss) for number in known]
        for place, number in enumerate(known):
            if not _is_beaten(place, values.reshape(len(known), -1), drawn):
                found.append(number)
    return sorted(found)


def _signed(point: Values, quantity: Quantity) -> float:
    value = value_of(point, quantity)
    return np.inf if value is None else -value if quantity.more_is_better else value


def _may_keep(result: SweepResult, number: int, limits: Sequence[Constraint]) -> bool:
    """Whether a point keeps to each limit with more than 2.5 %."""
    for limit in limits:
        drawn = drawn_of(result, number, limit.quantity)
        if drawn is None:
            continue
        share = float(np.mean(drawn <= limit.limit if limit.at_most else drawn >= limit.limit))
        if share < _TAIL:
            return False
    return True


def _is_beaten(place: int, costs: Floats, losses: Sequence[Floats | None]) -> bool:
    own = losses[place]
    assert own is not None
    for other, drawn in enumerate(losses):
        if other == place or not (costs[other] <= costs[place]).all():
            continue
        assert drawn is not None
        if float(np.mean(drawn < own)) > 1.0 - _TAIL:
            return True
    return False
