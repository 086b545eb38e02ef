"""Which core to build: points against constraints and objectives, and a recommendation with what would change it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits import NetworkCores
from devicekit.common.plain import PlainValues
from reports.numbers import significant
from reports.results import Values
from reports.studies.budgets import Constraint, Quantity, constraint_of, quantity_of
from reports.studies.ranges import text_of
from reports.study import Study
from reports.sweeps.front import front_probability, on_front
from reports.sweeps.points import PointMaker
from reports.sweeps.result import SweepResult

Floats = NDArray[np.float64]
CONDITIONS = ("network", "data_set", "weights", "data", "images", "age", "temperature")
"""Axes that are no choice of the designer's: each of their combinations has a front and a recommendation of its own."""

SURE = 0.9
"""Probability of keeping to all constraints that a recommended point must have."""


@dataclass(frozen=True)
class Choice(PlainValues):
    """What to build under one set of conditions.

    Attributes:
        conditions: values of the axes that are no choice, by name.
        point: number of the recommended point; None where no point is left.
        name: its name.
        meets: probability that it keeps to all constraints.
        front: probability that it is on the front.
        sentences: the recommendation, its evidence, and what would change it.
    """

    conditions: dict[str, Any]
    point: int | None
    name: str
    meets: float | None
    front: float | None
    sentences: list[str]


@dataclass(frozen=True)
class Selection(PlainValues):
    """Points of a run against its constraints and objectives.

    Attributes:
        front: probability of each point to be on the front of its conditions; None where an objective is not known.
        on_front: whether its values are.
        meets: probability of each point to keep to all constraints; None where one is not known.
        choices: one for each set of conditions.
    """

    front: list[float | None]
    on_front: list[bool]
    meets: list[float | None]
    choices: list[Choice]


def select(result: SweepResult) -> Selection:
    """Return what follows from a run for the choice of a core.

    Args:
        result: the run.
    """
    study = Study.make(result.study)
    objectives = [quantity_of(name) for name in study.objectives]
    if study.accuracy == "none":
        objectives = [own for own in objectives if own.part != "accuracy"] or [quantity_of("network_energy")]
    limits = [constraint_of(text) for text in study.constraints]
    count = len(result.points)
    front: list[float | None] = [None] * count
    meets: list[float | None] = [None] * count
    winners = [False] * count
    choices = []
    for conditions, members in groups_of(result):
        known = [number for number in members if all(drawn_of(result, number, own) is not None for own in objectives)]
        for number in members:
            meets[number] = _probability(result, number, limits)
        if known:
            signs = np.array([-1.0 if own.more_is_better else 1.0 for own in objectives])
            drawn = np.array([[drawn_of(result, number, own) for own in objectives] for number in known])
            values = np.array([[value_of(result.points[number], own) for own in objectives] for number in known])
            shares, best = front_probability(drawn * signs[:, None]), on_front(values * signs)
            for place, number in enumerate(known):
                front[number], winners[number] = float(shares[place]), bool(best[place])
        choices.append(_choice(result, conditions, known, objectives, limits, front, meets))
    return Selection(front, winners, meets, choices)


def groups_of(result: SweepResult) -> list[tuple[dict[str, Any], list[int]]]:
    """Return the sets of conditions of a run, each with the numbers of its points that have results.

    Args:
        result: the run.
    """
    groups: dict[str, tuple[dict[str, Any], list[int]]] = {}
    axes = [axis for axis in result.study.get("vary", {}) if axis in CONDITIONS]
    for number in result.done:
        own = {axis: text_of(result.points[number]["varied"][axis]) for axis in axes}
        groups.setdefault(repr(own), (own, []))[1].append(number)
    return list(groups.values())


def accuracy_of(point: Values) -> Values | None:
    """Return the accuracy of a point by trials, else as it was screened; None where neither is known.

    Args:
        point: as in `SweepResult`.
    """
    found: Values | None = point["accuracy"] or point.get("screened")
    return found


def is_screened(point: Values) -> bool:
    """Return whether the accuracy of a point is an estimate without trials.

    Args:
        point: as in `SweepResult`.
    """
    return not point["accuracy"] and bool(point.get("screened"))


def value_of(point: Values, quantity: Quantity) -> float | None:
    """Return a number of a point in the result's own unit; None where it is not known.

    The accuracy of a point without trials is the screened one, where there is one.

    Args:
        point: as in `SweepResult`.
        quantity: which number.
    """
    part = accuracy_of(point) if quantity.part == "accuracy" else point[quantity.part]
    return None if part is None else float(part[quantity.field])


def drawn_of(result: SweepResult, number: int, quantity: Quantity) -> Floats | None:
    """Return draws of a number of a point, its value alone where it has none.

    Args:
        result: the run.
        number: the point's.
        quantity: which number.
    """
    value = value_of(result.points[number], quantity)
    if value is None:
        return None
    own = result.draws.get(number, {})
    if quantity.name == "accuracy" and "loss" in own:
        # The float network's own share varies with the images as well, which the draws of the loss do not say.
        known = accuracy_of(result.points[number])
        assert known is not None
        return np.asarray(np.clip(value + known["loss"] - own["loss"], 0.0, 1.0))
    drawn = own.get(quantity.field if quantity.part != "cost" else "")
    size = len(next(iter(own.values()))) if own else 1
    return np.full(size, value) if drawn is None else drawn


def _probability(result: SweepResult, number: int, limits: Sequence[Constraint]) -> float | None:
    """Return the probability of a point to keep to all constraints."""
    kept: Any = np.ones(1, dtype=bool)
    for limit in limits:
        drawn = drawn_of(result, number, limit.quantity)
        if drawn is None:
            return None
        kept = kept & (drawn <= limit.limit if limit.at_most else drawn >= limit.limit)
    return float(np.mean(kept))


def _choice(
    result: SweepResult,
    conditions: dict[str, Any],
    members: Sequence[int],
    objectives: Sequence[Quantity],
    limits: Sequence[Constraint],
    front: Sequence[float | None],
    meets: Sequence[float | None],
) -> Choice:
    where = ", ".join(f"{key} {value}" for key, value in conditions.items())
    begin = f"With {where}: " if where else ""
    if not members:
        return Choice(conditions, None, "", None, None, [f"{begin}No point has all the results the choice needs."])
    aim = next((own for own in objectives if own.part != "accuracy"), objectives[0])
    sign = -1.0 if aim.more_is_better else 1.0
    sure = [number for number in members if (meets[number] or 0.0) >= SURE]
    if not sure:
        best = max(members, key=lambda number: (meets[number] or 0.0, -sign * _number(result, number, aim)))
        near = f"{begin}No point keeps to all constraints with a probability of {_percent(SURE)}"
        chance = meets[best] or 0.0
        told = [f"{near}; {result.points[best]['name']} comes nearest ({_percent(chance)}).", _facts(result, best)]
        return Choice(conditions, None, result.points[best]["name"], chance, front[best], told)
    ordered = sorted(sure, key=lambda number: sign * _number(result, number, aim))
    best = ordered[0]
    out = len(members) - len(sure)
    least = "most" if aim.more_is_better else "least"
    of = f"of the {len(sure)} points that keep to {_all(limits)}" if limits else f"of {len(members)} points"
    told = [f"{begin}Build {result.points[best]['name']}: the {least} {aim.label.lower()} {of}."]
    told.append(_facts(result, best))
    if is_screened(result.points[best]):
        unsure = result.points[best]["screened"]["unsure"]
        told.append(
            "Its loss is screened, not tried: an estimate from the network's sensitivities"
            + (", and unsure, for errors are too large for it" if unsure else "")
            + '. Trials would confirm it (accuracy = "halving").'
        )
    if limits:
        told.append(
            f"It keeps to the constraints with a probability of {_percent(meets[best] or 0.0)}; "
            f"{out} of {len(members)} points do not with {_percent(SURE)}."
        )
    told.append(f"It is on the front of {_listed(objectives)} with a probability of {_percent(front[best] or 0.0)}.")
    told += _what_would_change(result, best, ordered[1:], aim, limits)
    return Choice(conditions, best, result.points[best]["name"], meets[best], front[best], told)


def _number(result: SweepResult, number: int, quantity: Quantity) -> float:
    value = value_of(result.points[number], quantity)
    assert value is not None
    return value


def _facts(result: SweepResult, number: int) -> str:
    """Return loss and network costs of a point with their intervals, in a sentence."""
    point, parts = result.points[number], []
    for name in ("loss", "network_energy", "network_area", "network_latency"):
        own = quantity_of(name)
        value, drawn = value_of(point, own), drawn_of(result, number, own)
        if value is None or drawn is None:
            continue
        low, high = np.quantile(drawn, [0.025, 0.975]) / own.scale
        # A baseline minus its own mean is not quite 0.
        value, low, high = (0.0 if abs(number) < 1e-9 else number for number in (value, low, high))
        ends = "" if low == high else f" ({significant(float(low), 2)} to {significant(float(high), 2)})"
        parts.append(f"{own.label.lower()} {significant(value / own.scale)} {own.unit}{ends}")
    cores = point["network_cost"]["cores"] if point["network_cost"] else None
    text = ", ".join(parts)
    return f"{text[:1].upper()}{text[1:]}" + (f", on {cores} core{'s' if cores != 1 else ''}." if cores else ".")


def _what_would_change(
    result: SweepResult, best: int, others: Sequence[int], aim: Quantity, limits: Sequence[Constraint]
) -> list[str]:
    """Return how sure the choice is against the next point, and which constant's interval decides."""
    told = []
    for limit in limits:
        drawn = drawn_of(result, best, limit.quantity)
        assert drawn is not None
        chance = float(np.mean(drawn <= limit.limit if limit.at_most else drawn >= limit.limit))
        if chance < 0.995 and limit.quantity.part == "accuracy":
            told.append(
                f"The loss is the narrow part: {_percent(1 - chance)} of its draws break '{limit.text}'; more test "
                "images and trials would tell."
            )
    if not others:
        return [*told, "No other point keeps to the constraints."] if limits else told
    next_best = others[0]
    one, other = drawn_of(result, best, aim), drawn_of(result, next_best, aim)
    assert one is not None
    assert other is not None
    sign = -1.0 if aim.more_is_better else 1.0
    wins = float(np.mean(sign * other < sign * one))
    gap = abs(_number(result, next_best, aim) / _number(result, best, aim) - 1)
    way = "below" if aim.more_is_better else "above"
    text = (
        f"Next comes {result.points[next_best]['name']}, {significant(100 * gap, 2)} % {way}; "
        f"it is the better one in {_percent(wins)} of the draws."
    )
    constant = decisive_constant(result, best, next_best, one, other)
    if constant is None:
        return [*told, text]
    name, share = constant
    return [
        *told,
        f"{text} The constant whose interval matters most for that is {name}, which alone explains {_percent(share)} "
        "of what their ratio varies by.",
    ]


def decisive_constant(
    result: SweepResult, best: int, other: int, one_draws: Floats, other_draws: Floats
) -> tuple[str, float] | None:
    """Return the component constant that explains most of how the ratio of two points varies, and how much.

    The measure is the squared correlation of the logarithm of the ratio with the constant's draws; constants that were
    calibrated together are correlated, so that the shares of several do not add up.

    Args:
        result: the run.
        best: number of a point.
        other: number of another.
        one_draws: draws of the first's objective.
        other_draws: draws of the second's.

    Returns:
        None where the ratio does not vary, or the draws are not of the components.
    """
    from energy import estimate_core
    from energy.uncertainty import draw_constants

    ratio = np.log(other_draws / one_draws) if (one_draws > 0).all() and (other_draws > 0).all() else np.zeros(1)
    if ratio.size < 2 or ratio.std() < 1e-9:
        return None
    cores, study = _cores_of(result, other)
    shares: dict[str, float] = {}
    for core in cores.kinds:
        library = estimate_core(core, library=study.library).library
        for name, drawn in draw_constants(library, len(ratio), study.seed).items():
            if drawn.std() > 0:
                shares[name] = max(float(np.corrcoef(drawn, ratio)[0, 1] ** 2), shares.get(name, 0.0))
    if not shares:
        return None
    name = max(shares, key=lambda own: shares[own])
    return name, shares[name]


def _cores_of(result: SweepResult, number: int) -> tuple[NetworkCores, Study]:
    study, own = Study.make(result.study), result.points[number]
    point = PointMaker(study)(own["core"], [_tuples(own["varied"][axis]) for axis in study.vary])
    assert point.cores is not None
    return point.cores, point.study


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if 0.005 <= share <= 0.995 or share in (0.0, 1.0) else (
        "less than 1 %" if share < 0.5 else "more than 99 %"
    )  # fmt: skip


def _all(limits: Sequence[Constraint]) -> str:
    return " and ".join(f"'{limit.text}'" for limit in limits)


def _listed(objectives: Sequence[Quantity]) -> str:
    names = [own.label.lower() for own in objectives]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
