"""Currents of a SPICE cell over its programmed state and the bit line's voltage, swept once in ngspice, as a spline.

The state t rises with the current: gate voltage of an n-channel transistor, minus that of a p-channel one, a parameter
of a two-terminal cell or its logarithm, with a sign.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline

from circuits.errors import CircuitError, SpiceError

STATE_POINTS, DROP_POINTS = 61, 25
LEAST_STATE = 1e-6
"""Lowest target that is swept; below it the current follows the gate exponentially, as it does there."""
MOST_FLOOR = 0.5
"""Largest current, of the full one, that still counts as the off end of a cell that does not turn off."""
GATE_START, GATE_BOUND, GATE_STEP = (-0.5, 1.5), 10.0, 1.0 / 60.0
"""Gate voltages [V] at which the search begins and ends, and its steps."""
DECADES, PER_DECADE = 12, 4
"""A state parameter is searched over so many decades on both sides of its declared value."""
SPLINE_ERROR = 2e-6
"""A spline that misses ngspice by more than this between its points is made anew with more of them."""
MOST_ERROR = 1e-4
"""Beyond this a cell is refused."""

Sweep = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""Currents in units of the full current for states and drops, shape (states, drops); NaN where there is none."""


@dataclass(frozen=True)
class Span:
    """States t and currents at rest between which a cell is swept.

    Attributes:
        state: rising states, where they were tried.
        current: at them, rising, in units of the full current.
        off: True when the current goes on falling below them, False when the cell stops there.
        tried: lowest and highest state that was tried.
    """

    state: NDArray[np.float64]
    current: NDArray[np.float64]
    off: bool
    tried: tuple[float, float]


class Table:
    """Splines of s = ln(i / (1 - v)) over state and bit-line drop v; linear in the state below an off end."""

    def __init__(
        self, state: NDArray[np.float64], drop: NDArray[np.float64], current: NDArray[np.float64], span: Span
    ) -> None:
        self.span = span
        self._lowest, self._highest = float(state[0]), float(state[-1])
        self._spline = RectBivariateSpline(state, drop, np.log(current / (1 - drop)))
        self._below = float(self._spline.ev(self._lowest, 0.0, dx=1))
        self.most = float(np.exp(self._spline.ev(self._highest, 0.0)))
        self.least = 0.0 if span.off else float(np.exp(self._spline.ev(self._lowest, 0.0)))
        """Lowest target that can be programmed, beside an open cell."""

    def log(self, state: NDArray[Any], drop: NDArray[Any], dy: int = 0) -> NDArray[np.float64]:
        """Return s or its derivative by the drop."""
        inside = np.maximum(state, self._lowest)
        value = self._spline.ev(inside, drop, dy=dy)
        return np.asarray(value if dy else value + self._below * (state - inside), dtype=np.float64)

    def state(self, target: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the state of each target at rest; -inf for a target of 0."""
        if target.size and target.max() > self.most:
            raise CircuitError(
                f"A cell's target of {target.max():.4g} full currents is more than the model's cell carries "
                f"({self.most:.4g})."
            )
        used = target > 0
        if self.least and used.any() and target[used].min() < self.least * (1 - 1e-9):
            raise CircuitError(
                f"A cell's target of {target[used].min():.4g} full currents is less than the model's cell carries at "
                f"least ({self.least:.4g})."
            )
        goal = np.log(target[used])
        low = float(self._spline.ev(self._lowest, 0.0))
        lower, upper = np.full(goal.shape, self._lowest), np.full(goal.shape, self._highest)
        for _ in range(60):
            middle = 0.5 * (lower + upper)
            above = self._spline.ev(middle, 0.0) > goal
            upper, lower = np.where(above, middle, upper), np.where(above, lower, middle)
        result = np.full(target.shape, -np.inf)
        below = self._lowest + (goal - low) / self._below if not self.least else self._lowest
        result[used] = np.where(goal < low, below, 0.5 * (lower + upper))
        return result

    def evaluate(
        self, state: NDArray[np.float64], drop: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return current and minus its slope, of the broadcast shape."""
        state, drop = np.broadcast_arrays(state, drop)
        used = state > -np.inf
        current, slope = np.zeros(state.shape), np.zeros(state.shape)
        per_volt = np.exp(self.log(state[used], drop[used]))
        left = 1 - drop[used]
        current[used] = left * per_volt
        slope[used] = per_volt * (1 - left * self.log(state[used], drop[used], dy=1))
        return current, slope


def make_table(sweep: Sweep, span: Span, who: str) -> Table:
    """Return a table that agrees with ngspice between its points, with as few of them as that takes.

    Args:
        sweep: of the cell.
        span: where its states lie.
        who: the cell's name in messages.

    Raises:
        CircuitError: a current that changes its sign, or that no spline follows, as the bit line moves.
    """
    states, drops = STATE_POINTS, DROP_POINTS
    state = np.linspace(span.state[0], span.state[-1], states)
    for last in (False, False, True):
        # Up to just short of V_D, where current and slope vanish together and only their ratio is needed.
        drop = np.linspace(0.0, 0.98, drops)
        current = sweep(state, drop)
        if not (current > 0).all():
            raise CircuitError(
                f"{who}: its current falls to zero or changes its sign before the bit line has moved from virtual "
                "ground to the drive voltage. A bit line reads cells without a voltage of their own, and transistors "
                "whose model has a subthreshold current (MOS level 1 to 3 has none; BSIM and EKV have one); or the "
                "terminals are in another order."
            )
        table = Table(state, drop, current, span)
        # The middles of the grid's cells; an even step of the bit line is what one sweep gives.
        between = 0.5 * (state[1:] + state[:-1])[:: max(1, states // 30)]
        middles = (0.5 * (drop[1:] + drop[:-1]))[::4]
        check = sweep(between, middles)
        error = np.abs(np.exp(table.log(between[:, None], middles)) * (1 - middles) - check)
        worst = float(np.max(error / np.maximum(check, 1e-3)))
        if worst < SPLINE_ERROR:
            return table
        if last and worst > MOST_ERROR:
            raise CircuitError(
                f"{who}: its current is not smooth over state and bit line; between the points that ngspice gave, a "
                f"spline is off by {worst:.1e}. A model that passes smoothly from weak to strong inversion is needed "
                "(BSIM or EKV, not MOS level 1 to 3)."
            )
        if not last:
            states, drops = 2 * states - 1, 49
            span, state = _along_curve(sweep, span, states)
    return table


def _along_curve(sweep: Sweep, span: Span, count: int) -> tuple[Span, NDArray[np.float64]]:
    """Return states evenly spaced along the curve of ln I over the state, which is steep near a threshold."""
    rest = np.array([0.0])
    state, current = span.state, span.current
    for _ in range(6):
        jumps = np.abs(np.diff(np.log(current)))
        wide = np.flatnonzero(jumps > np.ptp(np.log(current)) / 40)
        if wide.size == 0:
            break
        more = 0.5 * (state[wide] + state[wide + 1])
        found = sweep(more, rest)[:, 0]
        usable = found > 0
        state = np.append(state, more[usable])
        order = np.argsort(state)
        state, current = state[order], np.append(current, found[usable])[order]
    log = np.log(current)
    length = np.cumsum(np.append(0.0, np.diff(state) / np.ptp(state) + np.abs(np.diff(log)) / np.ptp(log)))
    return span, np.interp(np.linspace(0.0, length[-1], count), length, state)


def gate_span(sweep: Sweep, given: tuple[float, float] | None, sign: int, who: str) -> Span:
    """Return the gate voltages between which every state of a transistor lies.

    Args:
        sweep: of the cell.
        given: range of gate voltages to use, as in `SpiceCell`; None to search.
        sign: -1 for p-channel.
        who: the cell's name in messages.

    Raises:
        CircuitError: off or the full current is not reached.
    """
    rest = np.array([0.0])
    if given is not None:
        low, high = sorted(sign * value for value in given)
        state = np.linspace(low, high, 121)
        current = sweep(state, rest)[:, 0]
    else:
        low, high = GATE_START
        state = np.linspace(low, high, 121)
        current = sweep(state, rest)[:, 0]
        while not current[0] <= LEAST_STATE and state[0] > -GATE_BOUND:
            if _flat(state, current):
                break
            more = state[0] - GATE_STEP * np.arange(round(GATE_STEP**-1), 0, -1)
            state, current = np.append(more, state), np.append(sweep(more, rest)[:, 0], current)
        while not np.nanmax(current) >= 1.0 and state[-1] < GATE_BOUND:
            more = state[-1] + GATE_STEP * np.arange(1, round(GATE_STEP**-1) + 1)
            state, current = np.append(state, more), np.append(current, sweep(more, rest)[:, 0])
    return _rising(state, current, who, lambda t: f"{sign * t:g}", "a gate voltage of", "V", "`gate_range`")


def _flat(state: NDArray[np.float64], current: NDArray[np.float64]) -> bool:
    """Say whether the current has stopped falling, over a whole volt below what it was."""
    volt = current[state < state[0] + 1.0]
    return bool(current[0] < MOST_FLOOR and np.ptp(volt) < 0.01 * current[0]) or bool(current[0] > 1.05 * volt.min())


def _rising(
    state: NDArray[np.float64],
    current: NDArray[np.float64],
    who: str,
    shown: Callable[[float], str],
    quantity: str,
    unit: str,
    option: str,
) -> Span:
    """Return the part of a sweep that rises from off to the full current, or say which end is missing."""
    doubts = (
        "or see whether polarity, terminals and the full current (V_D over the least cell resistance) are the cell's."
    )
    ends = f"between {quantity} {shown(state[0])} and {shown(state[-1])} {unit}".rstrip()
    number = np.where(np.isnan(current), np.inf, current)
    usable = (current > LEAST_STATE) & (np.minimum.accumulate(number[::-1])[::-1] == current)
    reached = np.flatnonzero((current >= 1.0) & np.maximum.accumulate(usable))
    carries = f"{who} carries {np.nanmin(current) + 0.0:.3g} to {np.nanmax(current) + 0.0:.3g} full currents {ends}"
    if reached.size == 0 or not usable.any():
        raise CircuitError(
            f"{carries}: expected it to pass from nearly off to above one. Give a range that does with {option}, "
            f"{doubts}"
        )
    first, last = int(np.flatnonzero(usable)[0]), min(int(reached[0]) + 3, state.size - 1)
    while last > reached[0] and not current[last] > current[last - 1]:
        last -= 1
    off = bool(np.nanmin(current[: first + 1]) <= LEAST_STATE)
    if not off:
        # The floor of a cell that does not turn off: where its current begins to rise.
        while first + 1 < reached[0] and current[first + 1] < 1.001 * current[first]:
            first += 1
        if current[first] > MOST_FLOOR:
            raise CircuitError(
                f"{carries}: it does not turn off there. Give a range that reaches off with {option}, {doubts}"
            )
    chosen = slice(first, last + 1)
    if not (np.diff(current[chosen]) > 0).all():
        raise CircuitError(f"{carries}, but not rising all the way: give a part that rises with {option}.")
    return Span(state[chosen], current[chosen], off, (float(state[0]), float(state[-1])))


@dataclass(frozen=True)
class StateScale:
    """How a parameter of a two-terminal cell follows from the state t: ``exp(sign t)`` or ``sign t``.

    Attributes:
        logarithmic: of a parameter above 0.
        sign: -1 where the current falls with the parameter, as with a resistance.
    """

    logarithmic: bool
    sign: int

    def parameter(self, state: float) -> float:
        """Return the parameter's value of a state."""
        return float(np.exp(self.sign * state)) if self.logarithmic else self.sign * state


def parameter_span(
    sweep: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    name: str,
    default: float | None,
    given: tuple[float, float] | None,
    who: str,
) -> tuple[Span, StateScale]:
    """Return the values of a state parameter between which a two-terminal cell passes from off to the full current.

    Args:
        sweep: currents at rest for values of the parameter, NaN where there is none.
        name: of the parameter.
        default: its declared value; the search goes out from it.
        given: range of values to use, as in `SpiceCell`; None to search.
        who: the cell's name in messages.

    Raises:
        CircuitError: no value to begin with, a parameter without effect, off or the full current is not reached.
    """
    if given is not None:
        logarithmic = given[0] > 0
        value = np.geomspace(*given, 121) if logarithmic else np.linspace(*given, 121)
        current = tolerant(sweep)(value)
    elif default is None or default <= 0:
        what = "has no number as its value" if default is None else f"has the value {default:g}"
        raise CircuitError(
            f"{who}: its state parameter {name!r} {what}, from which no range follows: give one with `state_range`."
        )
    else:
        logarithmic = True
        value, current = _searched(sweep, default)
    with np.errstate(invalid="ignore", divide="ignore"):
        change = np.diff(np.log(np.where(current > 0, current, np.nan)))
    change = np.where(np.isfinite(change), change, 0.0)
    if not np.any(np.abs(change) > 1e-6):
        raise CircuitError(
            f"{who}: its state parameter {name!r} does not change the current at an operating point. Is it another, "
            "to be given with `state_parameter`?"
        )
    sign = int(np.sign(change[np.argmax(np.abs(change))]))
    scale = StateScale(logarithmic, sign)
    shown = (f"{name} =", "", "`state_range`")

    def rising(value: NDArray[np.float64], current: NDArray[np.float64]) -> Span:
        state = sign * (np.log(value) if logarithmic else value)
        return _rising(state[::sign], current[::sign], who, lambda t: f"{scale.parameter(t):.4g}", *shown)

    coarse = rising(value, current)
    # Once more in small steps from the last point that is off to the first that carries the full current.
    beyond = int(np.flatnonzero(coarse.current >= 1.0)[0]) + 1
    below = coarse.state[0] - (coarse.state[1] - coarse.state[0] if coarse.off else 0.0)
    state = np.linspace(max(below, coarse.tried[0]), coarse.state[:beyond][-1], 121)
    fine = rising(np.array([scale.parameter(float(t)) for t in state[::sign]]),
                  sweep(np.array([scale.parameter(float(t)) for t in state[::sign]])))  # fmt: skip
    return Span(fine.state, fine.current, coarse.off, coarse.tried), scale


def _searched(
    sweep: Callable[[NDArray[np.float64]], NDArray[np.float64]], default: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return values of a parameter around its declared one, as far out as the current goes on changing one way."""
    # The declared value by itself: what is wrong with it is wrong with the card.
    at_default = float(sweep(np.array([default]))[0])
    sides: dict[int, list[tuple[float, float]]] = {-1: [], 1: []}
    ended = {-1: not at_default > 0, 1: not at_default > 0}
    for chunk in range(DECADES // 3):
        for side in (-1, 1):
            if ended[side]:
                continue
            exponent = np.arange(1, 3 * PER_DECADE + 1) / PER_DECADE + 3 * chunk
            value = default * 10.0 ** (side * exponent)
            found = _outward(sweep, value)
            sides[side] += zip(value[: found.size], found, strict=True)
            if found.size < value.size:
                # The model ends between two points, such as at a pole: go closer to it.
                edge = sides[side][-1][0] if sides[side] else default
                closer = np.geomspace(edge, value[found.size], 41)[1:-1]
                found = _outward(sweep, closer)
                sides[side] += zip(closer[: found.size], found, strict=True)
            ends = [current for _, current in sides[side]] or [at_default]
            back = len(ends) > 2 and (ends[-1] - ends[-2]) * (ends[-1] - at_default) < 0
            ended[side] = len(sides[side]) % (3 * PER_DECADE) != 0 or ends[-1] <= LEAST_STATE or back or ends[-1] >= 1.0
    points = [*reversed(sides[-1]), (default, at_default), *sides[1]]
    current = np.array([own for _, own in points])
    return np.array([own for own, _ in points]), current


def _outward(
    sweep: Callable[[NDArray[np.float64]], NDArray[np.float64]], value: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return currents up to the first value at which there is none, or no operating point."""
    try:
        found = sweep(value)
    except SpiceError:
        if value.size == 1:
            return np.empty(0)
        inner = _outward(sweep, value[: value.size // 2])
        if inner.size < value.size // 2:
            return inner
        return np.append(inner, _outward(sweep, value[value.size // 2 :]))
    bad = np.flatnonzero(~(found > 0))
    return found[: bad[0]] if bad.size else found


def tolerant(sweep: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Callable[..., NDArray[np.float64]]:
    """Return a sweep that gives NaN for values at which ngspice finds no operating point.

    Args:
        sweep: of values of a parameter; what it raises for all of them is raised.
    """

    def tried(value: NDArray[np.float64]) -> NDArray[np.float64]:
        try:
            return sweep(value)
        except SpiceError as error:
            if value.size == 1:
                return np.full(1, np.nan)
            half = value.size // 2
            found = np.concatenate([tried(value[:half]), tried(value[half:])])
            if np.isnan(found).all():
                raise error
            return found

    return tried
