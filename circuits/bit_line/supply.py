"""Bit lines whose cells' other end is fed through a resistance as well: supply lines at V_D, or source lines at ground.

With the sag e of the other end, a cell is nearly affine in both ends, i = c - a v - b e. Either line by itself, the
other's voltages given, is a ladder of affine cells, which `checked.norton` solves exactly; the two are solved in turn,
and nonlinear cells linearised anew in every turn, until no voltage moves. What one line changes of the other is the
product of two relative voltage drops, so a few turns reach rounding; of resistors they converge for any resistances,
being a block Gauss-Seidel iteration of a positive definite system.

Resistors need that for lines along the rows only. Where both lines run along the column and are fed from the same end,
they carry the same current below each cell, and are one line of both resistances. Fed from opposite ends, with
R = R_p + R_s, the ladder's (u, i) over all N wires of resistance R, and u' that of the same line upside down,

    1 / I = R_in + (R_p / R)^2 u / i + (R_s / R)^2 (u' / i + R) + 2 (R_p R_s / R^2) / i + (R_p R_s / R) (N + 1)

with u' without the wire to the readout: see docs/bit_line.md.
"""

from __future__ import annotations

from typing import Any, Protocol, get_args, runtime_checkable

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.bit_line.checked import MOST_STEPS, TOLERANCE, CellModel, norton
from circuits.bit_line.resistances import Feed, LineResistances
from circuits.errors import CircuitError

MOST_TURNS = 20 * MOST_STEPS
SINGLE_TOLERANCE = 1e-8
"""As `TOLERANCE`, where currents are wanted in float32."""


@runtime_checkable
class TwoEndedModel(Protocol):
    """Current law of a cell whose two ends both move."""

    def prepare(self, conductance: NDArray[np.float64]) -> NDArray[np.float64]:
        """As of `CellModel`."""

    def evaluate_ends(
        self, state: ArrayLike, drop: ArrayLike, sag: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return current and minus its slopes by the bit line's and the other line's shifts towards each other."""


class _Resistor:
    """A cell of conductance g, as a current law: i = g (1 - v - e)."""

    def prepare(self, conductance: NDArray[np.float64]) -> NDArray[np.float64]:
        return conductance

    def evaluate_ends(
        self, state: ArrayLike, drop: ArrayLike, sag: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        g = np.asarray(state, dtype=np.float64)
        return g * (1.0 - np.asarray(drop) - np.asarray(sag)), g, g


def solve_fed(
    conductance: NDArray[Any],
    active: NDArray[np.bool_],
    lines: LineResistances,
    cell: CellModel | None,
    steps: int | None,
) -> NDArray[Any]:
    """Return the currents of bit lines whose cells are fed through a resistance.

    Args:
        conductance: target currents of the cells, shape (rows, columns); where lines run along the rows, all columns
            of an array in the order in which the lines meet them.
        active: shape (batch, rows).
        lines: resistances; that of the feed above 0.
        cell: the cells' current law, a `TwoEndedModel`; None for resistors.
        steps: re-linearisations after the affine solution; None for as many as it takes.

    Returns:
        Currents in units of the full current, shape (batch, columns), dtype of `conductance`.

    Raises:
        CircuitError: a law that does not know the cell's other end, or no convergence.
    """
    cells = conductance.astype(np.float64)
    if cell is None and lines.feed == "far":
        return fed_from_the_far_end(cells, active, lines).astype(conductance.dtype, copy=False)
    model = _Resistor() if cell is None else cell
    if not isinstance(model, TwoEndedModel):
        raise CircuitError(
            f"A line resistance at the cells' other end (`r_s_hat` = {lines.r_s_hat:g}) needs a cell whose current is "
            f"known by the voltages of both ends, such as the bundled transistor cell; a {type(model).__name__} is "
            "characterised by that of its bit line only."
        )
    state = model.prepare(cells)
    result = np.zeros((active.shape[0], cells.shape[1]))
    if steps == 0:
        tolerance = SINGLE_TOLERANCE if conductance.dtype == np.float32 else TOLERANCE
        rest = np.zeros(cells.shape)
        wires = lines.r_p_hat, lines.r_in_hat, lines.r_s_hat
        linear = _linearised(model, state, rest, rest)
        moved = _solve_linear(*linear, active, wires, get_args(Feed).index(lines.feed), tolerance, result)
        if moved > tolerance:
            raise _unsettled(lines, moved)
        return result.astype(conductance.dtype, copy=False)
    for pattern, on in enumerate(active):
        rows = np.flatnonzero(on)
        if rows.size and cells.shape[1]:
            result[pattern] = _solve_pattern(np.ascontiguousarray(state[rows]), rows, len(on), lines, model, steps)
    return result.astype(conductance.dtype, copy=False)


def _solve_pattern(
    state: NDArray[np.float64],
    on: NDArray[np.intp],
    rows: int,
    lines: LineResistances,
    model: TwoEndedModel,
    steps: int | None,
) -> NDArray[np.float64]:
    """Return the currents of one pattern, shape (columns,); `state` is that of its selected cells."""
    along_rows = lines.feed == "rows"
    below = np.diff(np.append(on, rows)) * lines.r_p_hat
    below[-1] += lines.r_in_hat
    # Ladders run towards their feed: pieces of the other line from each cell on.
    if lines.feed == "readout":
        fed = np.diff(np.append(on, rows)) * lines.r_s_hat
    elif lines.feed == "far":
        fed = np.diff(np.append(-1, on))[::-1] * lines.r_s_hat
    else:
        fed = np.full(state.shape[1], lines.r_s_hat)
    drop, sag = np.zeros(state.shape), np.zeros(state.shape)
    currents, sink = np.zeros(state.shape[1]), np.zeros(len(on) if along_rows else state.shape[1])
    linear, a, b = _linearised(model, state, drop, sag)
    done = 0
    for _ in range(MOST_TURNS):
        before = drop.copy(), sag.copy()
        norton(linear - b * sag, a, below, drop, currents)
        source = linear - a * drop
        if along_rows:
            turned = np.empty((state.shape[1], len(on)))
            norton(np.ascontiguousarray(source.T[::-1]), np.ascontiguousarray(b.T[::-1]), fed, turned, sink)
            sag = np.ascontiguousarray(turned[::-1].T)
        elif lines.feed == "far":
            turned = np.empty(state.shape)
            norton(np.ascontiguousarray(source[::-1]), np.ascontiguousarray(b[::-1]), fed, turned, sink)
            sag = np.ascontiguousarray(turned[::-1])
        else:
            norton(source, b, fed, sag, sink)
        moved = max(float(np.max(np.abs(drop - before[0]))), float(np.max(np.abs(sag - before[1]))))
        settled = moved < TOLERANCE
        if settled and (steps is None or done >= steps):
            norton(linear - b * sag, a, below, drop, currents)
            return currents
        if steps is None or (settled and done < steps):
            done += 1
            linear, a, b = _linearised(model, state, drop, sag)
    raise _unsettled(lines, moved)


def _unsettled(lines: LineResistances, moved: float) -> CircuitError:
    return CircuitError(
        f"Bit lines and the lines that feed their cells did not settle in {MOST_TURNS} turns at r_p_hat = "
        f"{lines.r_p_hat:g}, r_in_hat = {lines.r_in_hat:g} and r_s_hat = {lines.r_s_hat:g}: the last turn still moved "
        f"a voltage by {moved:.2g} V_D. So much resistance leaves no current to read."
    )


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _solve_linear(
    linear: NDArray[np.float64],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    active: NDArray[np.bool_],
    wires: tuple[float, float, float],
    feed: int,
    tolerance: float,
    result: NDArray[np.float64],
) -> float:
    """Solve lines of affine cells i = c - a v - b e in turn, pattern by pattern; return what the last turn moved most.

    Args:
        linear: c of each cell, shape (rows, columns).
        a: by how much the bit line's voltage lowers it, same shape.
        b: the same of the other line's.
        active: shape (batch, rows).
        wires: resistances of bit line, virtual ground and other line.
        feed: place of the feed in `Feed`.
        tolerance: of voltages.
        result: currents, written; shape (batch, columns).
    """
    rows, columns = linear.shape
    r_p_hat, r_in_hat, r_s_hat = wires
    on = np.empty(rows, dtype=np.int64)
    below, beside = np.empty(rows), np.empty(rows)
    drop, sag = np.empty((rows, columns)), np.empty((rows, columns))
    currents, conductances = np.empty((rows, columns)), np.empty((rows, columns))
    current, conductance = np.empty(columns), np.empty(columns)
    worst = 0.0
    for pattern in range(active.shape[0]):
        count = 0
        for row in range(rows):
            if active[pattern, row]:
                on[count] = row
                count += 1
        if count == 0:
            result[pattern] = 0.0
            continue
        for k in range(count):
            below[k] = ((on[k + 1] if k + 1 < count else rows) - on[k]) * r_p_hat
            beside[k] = (on[k] - (on[k - 1] if k > 0 else -1)) * r_s_hat
            if feed == 0:
                beside[k] = ((on[k + 1] if k + 1 < count else rows) - on[k]) * r_s_hat
        below[count - 1] += r_in_hat
        sag[:count] = 0.0
        drop[:count] = 0.0
        for _ in range(MOST_TURNS):
            moved = 0.0
            # Bit lines, towards the readout; then the voltages from there up.
            current[:] = 0.0
            conductance[:] = 0.0
            for k in range(count):
                row, wire = on[k], below[k]
                for column in range(columns):
                    currents[k, column] = current[column] + linear[row, column] - b[row, column] * sag[k, column]
                    conductances[k, column] = conductance[column] + a[row, column]
                    share = 1.0 / (1.0 + wire * conductances[k, column])
                    current[column] = currents[k, column] * share
                    conductance[column] = conductances[k, column] * share
            result[pattern] = current
            current[:] = 0.0
            for k in range(count - 1, -1, -1):
                wire = below[k]
                for column in range(columns):
                    above = (current[column] + wire * currents[k, column]) / (1.0 + wire * conductances[k, column])
                    moved = max(moved, abs(above - drop[k, column]))
                    drop[k, column] = current[column] = above
            # The lines at the other end, towards their feed and back.
            if feed == 2:
                for k in range(count):
                    row, charge, slope = on[k], 0.0, 0.0
                    for column in range(columns - 1, -1, -1):
                        charge += linear[row, column] - a[row, column] * drop[k, column]
                        slope += b[row, column]
                        currents[k, column], conductances[k, column] = charge, slope
                        share = 1.0 / (1.0 + r_s_hat * slope)
                        charge, slope = charge * share, slope * share
                    along = 0.0
                    for column in range(columns):
                        along = (along + r_s_hat * currents[k, column]) / (1.0 + r_s_hat * conductances[k, column])
                        moved = max(moved, abs(along - sag[k, column]))
                        sag[k, column] = along
            else:
                current[:] = 0.0
                conductance[:] = 0.0
                for place in range(count):
                    k = place if feed == 0 else count - 1 - place
                    row, wire = on[k], beside[k]
                    for column in range(columns):
                        currents[k, column] = current[column] + linear[row, column] - a[row, column] * drop[k, column]
                        conductances[k, column] = conductance[column] + b[row, column]
                        share = 1.0 / (1.0 + wire * conductances[k, column])
                        current[column] = currents[k, column] * share
                        conductance[column] = conductances[k, column] * share
                current[:] = 0.0
                for place in range(count):
                    k = count - 1 - place if feed == 0 else place
                    wire = beside[k]
                    for column in range(columns):
                        above = (current[column] + wire * currents[k, column]) / (1.0 + wire * conductances[k, column])
                        moved = max(moved, abs(above - sag[k, column]))
                        sag[k, column] = current[column] = above
            if moved <= tolerance:
                break
        worst = max(worst, moved)
    return worst


def _linearised(
    model: TwoEndedModel, state: NDArray[np.float64], drop: NDArray[np.float64], sag: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return c, a and b of i = c - a v - b e at voltages, which stay between the ends' ideal ones."""
    v, e = np.clip(drop, 0.0, 1.0), np.clip(sag, 0.0, 1.0)
    current, a, b = model.evaluate_ends(state, v, e)
    return current + a * v + b * e, np.ascontiguousarray(a), np.ascontiguousarray(b)


def fed_from_the_far_end(
    conductance: NDArray[np.float64], active: NDArray[np.bool_], lines: LineResistances
) -> NDArray[np.float64]:
    """Return the currents of resistor lines fed from the end that is far from the readout, in closed form.

    Args:
        conductance: shape (rows, columns).
        active: shape (batch, rows).
        lines: resistances.
    """
    result = np.empty((active.shape[0], conductance.shape[1]))
    _far(np.ascontiguousarray(conductance), active, lines.r_p_hat, lines.r_s_hat, lines.r_in_hat, result)
    return result


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _far(
    conductance: NDArray[np.float64],
    active: NDArray[np.bool_],
    r_p_hat: float,
    r_s_hat: float,
    r_in_hat: float,
    result: NDArray[np.float64],
) -> None:
    """Run down and up each line: the current behind all wires either way, and how much of the voltage comes through."""
    rows, columns = conductance.shape
    whole = r_p_hat + r_s_hat
    own, other = r_p_hat / whole, r_s_hat / whole
    down, up, through = np.empty(columns), np.empty(columns), np.empty(columns)
    for pattern in range(active.shape[0]):
        down[:] = 0.0
        up[:] = 0.0
        through[:] = 1.0
        wires = 0
        for row in range(rows):
            if active[pattern, row]:
                for column in range(columns):
                    share = 1.0 / (1.0 + wires * whole * down[column])
                    down[column] = down[column] * share + conductance[row, column]
                    through[column] *= share
                wires = 0
            wires += 1
        for column in range(columns):
            share = 1.0 / (1.0 + wires * whole * down[column])
            down[column] *= share
            through[column] *= share
        wires = 0
        for back in range(rows):
            row = rows - 1 - back
            if active[pattern, row]:
                for column in range(columns):
                    up[column] = up[column] / (1.0 + wires * whole * up[column]) + conductance[row, column]
                wires = 0
            wires += 1
        for column in range(columns):
            if down[column] == 0.0:
                result[pattern, column] = 0.0
                continue
            turned = 1.0 / up[column] + wires * whole
            resistance = r_in_hat + own * own / down[column] + other * other * turned
            # 1 / i = (1 / u) (u / i)
            resistance += own * other * (2.0 * through[column] / down[column] + whole * (rows + 1))
            result[pattern, column] = 1.0 / resistance
