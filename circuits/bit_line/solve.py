"""Currents of bit lines with wire resistance: the exact solution of the resistor ladder.

A bit line is a chain of nodes, one a row, joined by wires of resistance R_p. The last node sees one more R_p to the
virtual ground of the readout. A selected cell is a conductance from its node to the drive voltage V_D; a cell whose
select transistor is off is open. Row 0 is farthest from the readout.

With u = (V_D - v) / (V_D - v_top), where v_top is the voltage of row 0, Kirchhoff's laws run down the line as
``i += g * u`` at a selected cell and ``u += R_p_hat * i`` over a wire, and the current into virtual ground is i / u.
The resistance of the virtual ground is one more wire. This is exact: two multiply-adds a cell, one division a column.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.bit_line import kernels as bit_line_kernels
from circuits.bit_line.affine import PreparedCells
from circuits.bit_line.checked import CellModel, solve_newton
from circuits.bit_line.kernels import ROWS_IN_SINGLE
from circuits.bit_line.resistances import Feed, LineResistances
from circuits.bit_line.supply import solve_fed
from circuits.bit_line.transistor_cell import load_transistor_cell
from circuits.errors import CircuitError
from devicekit.common.errors import unknown_name

BitLineCell = Literal["resistor", "affine", "relinearised", "transistor"]


def solve_bit_lines(
    conductance: ArrayLike | PreparedCells,
    active: ArrayLike,
    r_p_hat: float,
    cell: BitLineCell = "resistor",
    *,
    model: CellModel | None = None,
    relinearisations: int = 1,
    r_in_hat: float = 0.0,
    r_s_hat: float = 0.0,
    feed: Feed = "readout",
) -> NDArray[Any]:
    """Return the current of every bit line for every input pattern, wire resistance included.

    Args:
        conductance: normalised cell conductances (G_max = 1), shape (rows, columns), row 0 farthest from the readout;
            float32 is solved in float32 (relative error below 1e-5), anything else in float64 (below 1e-12). For
            cells other than resistors: the current that a cell is programmed to at V_D, over that of a full cell. An
            array that is solved often as affine or re-linearised cells is given as `PreparedCells`.
        active: which rows' select transistors are on, shape (batch, rows), bool (or numbers 0 and 1).
        r_p_hat: bit-line resistance between neighbouring cells over the minimum cell resistance 1/G_max.
        cell: ``resistor`` (i = g u); ``affine``: i = g - s v with the slope s at v = 0 of the transistor cell, solved
            exactly as well; ``relinearised``: the same, linearised anew at the voltages that the affine solution
            predicts; ``transistor``: re-linearised until it no longer changes (Newton's method).
        model: the cell behind all but ``resistor``; None for the bundled SONOS cell with its source on the bit line,
            or for what the cells were prepared with.
        relinearisations: how often ``relinearised`` does it.
        r_in_hat: resistance of the virtual ground (input resistance of the readout) over 1/G_max.
        r_s_hat: resistance of the line at the cells' other end between neighbouring cells over 1/G_max.
        feed: where that line runs and is fed, see `LineResistances`; with ``"rows"`` all columns share it.

    Returns:
        Currents in units of one full cell (G_max at V_D), shape (batch, columns), in the precision of the solution.

    Raises:
        CircuitError: shapes that do not fit, conductances or a resistance that are negative or not finite, activity
            other than on and off, an unknown cell, a current that the cell cannot carry, or no convergence.
    """
    prepared = conductance if isinstance(conductance, PreparedCells) else None
    values = conductance.conductance if isinstance(conductance, PreparedCells) else conductance
    lines = LineResistances(r_p_hat, r_in_hat, r_s_hat, feed)
    cells, rows_on, largest = check_bit_line(values, active, lines)
    if cell not in get_args(BitLineCell):
        raise CircuitError(unknown_name("`cell`", str(cell), get_args(BitLineCell)))
    if relinearisations < 0:
        raise CircuitError(f"Expected `relinearisations` to be at least 0, but got {relinearisations}.")
    if cell == "resistor" and (lines.r_s_hat == 0 or lines.feed == "readout"):
        # Both lines carry the same current below a cell: they are one, of both resistances.
        return bit_line_kernels.ladder(cells, rows_on, lines.r_p_hat + lines.r_s_hat, lines.r_in_hat, largest)
    steps = {"resistor": 0, "affine": 0, "relinearised": relinearisations, "transistor": None}[cell]
    if model is None and cell != "resistor":
        model = load_transistor_cell() if prepared is None else prepared.model
    if lines.r_s_hat > 0:
        return solve_fed(cells, rows_on, lines, None if cell == "resistor" else model, steps)
    assert model is not None
    if cells.dtype == np.float32 and steps in (0, 1) and lines.any and cells.shape[0] <= ROWS_IN_SINGLE:
        fast = prepared if prepared is not None and model is prepared.model else PreparedCells(cells, model)
        result = fast.solve(rows_on, lines.r_p_hat, again=steps == 1, r_in_hat=lines.r_in_hat)
        if result is not None:
            return result
    return solve_newton(cells, rows_on, lines.r_p_hat, model, steps, lines.r_in_hat).astype(cells.dtype, copy=False)


def solve_bit_serial(
    conductance: ArrayLike | PreparedCells,
    digits: NDArray[np.uint8],
    r_p_hat: float,
    bits: int = 8,
    weights: ArrayLike | None = None,
    cell: BitLineCell = "resistor",
    *,
    model: CellModel | None = None,
    r_in_hat: float = 0.0,
    r_s_hat: float = 0.0,
    feed: Feed = "readout",
) -> NDArray[Any]:
    """Return the currents of bit lines whose inputs are applied bit by bit, one apart from the other or summed.

    The same as `solve_bit_lines` for each bit, but the conductances are loaded once for all of them.

    Args:
        conductance: as for `solve_bit_lines`.
        digits: inputs, shape (batch, rows); bit b says which select transistors are on in phase b.
        r_p_hat: as for `solve_bit_lines`.
        bits: bits of a digit, 1 to 8.
        weights: what each phase counts in the sum, least significant bit first, shape (bits,); None for no sum.
        cell: as for `solve_bit_lines`.
        model: as for `solve_bit_lines`.
        r_in_hat: as for `solve_bit_lines`.
        r_s_hat: as for `solve_bit_lines`.
        feed: as for `solve_bit_lines`.

    Returns:
        Currents in units of one full cell: shape (batch, columns) with `weights`, else (bits, batch, columns).

    Raises:
        CircuitError: as for `solve_bit_lines`; digits that are not bytes or do not fit; weights of another number.
    """
    numbers = np.ascontiguousarray(digits)
    if numbers.dtype != np.uint8 or numbers.ndim != 2 or not 1 <= bits <= 8:
        raise CircuitError(
            f"Expected `digits` as bytes of shape (batch, rows) and 1 to 8 `bits`, but got {numbers.dtype} values of "
            f"shape {numbers.shape} and {bits} bits."
        )
    if bits < 8 and numbers.size and int(numbers.max()) >= 2**bits:
        raise CircuitError(f"Expected `digits` of {bits} bits, below {2**bits}, but got {int(numbers.max())}.")
    worth = None if weights is None else np.asarray(weights, dtype=np.float64)
    if worth is not None and (worth.shape != (bits,) or not np.isfinite(worth).all()):
        raise CircuitError(f"Expected {bits} finite `weights`, one a bit, but got {weights!r}.")
    lines = LineResistances(r_p_hat, r_in_hat, r_s_hat, feed)
    if cell == "resistor" and (lines.r_s_hat == 0 or lines.feed == "readout"):
        values = conductance.conductance if isinstance(conductance, PreparedCells) else conductance
        cells, _, largest = check_bit_line(values, np.zeros((0, numbers.shape[1]), dtype=np.bool_), lines)
        wire = lines.r_p_hat + lines.r_s_hat
        return bit_line_kernels.bit_serial_ladder(cells, numbers, wire, bits, worth, lines.r_in_hat, largest)
    phases = [
        solve_bit_lines(
            conductance,
            (numbers >> bit) & 1 == 1,
            r_p_hat,
            cell,
            model=model,
            r_in_hat=r_in_hat,
            r_s_hat=r_s_hat,
            feed=feed,
        )
        for bit in range(bits)
    ]
    return np.stack(phases) if worth is None else bit_line_kernels.weighted_sum(phases, worth)


def check_bit_line(
    conductance: ArrayLike, active: ArrayLike, lines: LineResistances
) -> tuple[NDArray[Any], NDArray[np.bool_], float]:
    """Return conductances and activity as contiguous arrays and the largest conductance, or say what is wrong.

    Args:
        conductance: as for `solve_bit_lines`.
        active: as for `solve_bit_lines`.
        lines: resistances.

    Raises:
        CircuitError: as for `solve_bit_lines`.
    """
    cells = np.ascontiguousarray(conductance)
    if cells.dtype.kind == "c":
        raise CircuitError(f"Expected `conductance` to be real numbers, but got {cells.dtype} values.")
    if cells.dtype != np.float32:
        try:
            cells = np.ascontiguousarray(cells, dtype=np.float64)
        except (TypeError, ValueError):
            raise CircuitError(f"Expected `conductance` to be real numbers, but got {cells.dtype} values.") from None
    if cells.ndim != 2 or cells.shape[0] == 0:
        raise CircuitError(f"Expected `conductance` of shape (rows, columns), but got shape {cells.shape}.")
    largest = _largest(cells)
    if largest is None:
        raise CircuitError("Expected `conductance` to be finite and at least 0 everywhere.")
    on = np.asarray(active)
    if on.ndim != 2 or on.shape[1] != cells.shape[0]:
        raise CircuitError(
            f"Expected `active` of shape (batch, rows) with {cells.shape[0]} rows as in `conductance`, "
            f"but got shape {on.shape}."
        )
    if on.dtype != np.bool_:
        if not np.isin(on, (0, 1)).all():
            raise CircuitError("Expected `active` to be boolean: a select transistor is on or off.")
        on = on.astype(np.bool_)
    lines.check_cells(largest)
    return cells, np.ascontiguousarray(on), largest


def _largest(cells: NDArray[Any]) -> float | None:
    """Return the largest value, 0 of none, or None where one is negative or not finite.

    Floats from 0 up to infinity lie in the order of their bits, and all others beyond them: one pass finds both. Only
    a zero with a minus sign has to be looked at again.
    """
    if cells.size == 0:
        return 0.0
    bits = np.dtype(f"u{cells.itemsize}")
    found: np.floating = cells.view(bits).max().view(cells.dtype)
    if np.isfinite(found) and not np.signbit(found):
        return float(found)
    return float(cells.max()) if cells.min() >= 0 and np.isfinite(cells.max()) else None
