"""From readings to gain, offset and non-linearity: pure array functions without any simulator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator

from circuits.peripherals.model import PeripheralError


@dataclass(frozen=True)
class Line:
    """Best straight line through readings, about the position of zero signal.

    Attributes:
        gain: slope; 1 is ideal.
        offset_lsb: reading at zero signal less the ideal one [LSB].
    """

    gain: float
    offset_lsb: float


def fit_line(positions: ArrayLike, readings: ArrayLike, *, zero: float, steps: int) -> Line:
    """Return the best straight line through readings: gain and offset by least squares.

    Args:
        positions: ideal positions in the range, shape (points,).
        readings: positions as read, shape (points,).
        zero: position of zero signal.
        steps: LSB in the range, codes - 1.

    Raises:
        PeripheralError: fewer than two positions, or NaN among the readings.
    """
    x = np.asarray(positions, dtype=np.float64) - zero
    error = np.asarray(readings, dtype=np.float64) - zero - x
    if x.ndim != 1 or np.unique(x).size < 2 or error.shape != x.shape or not np.all(np.isfinite(error)):
        raise PeripheralError(
            f"Expected finite readings at two or more positions, but got {np.count_nonzero(~np.isfinite(error))} of "
            f"{error.size} that are not finite."
        )
    slope, offset = np.polynomial.polynomial.polyfit(x, error, 1)[::-1]
    return Line(1.0 + float(slope), float(offset) * steps)


def non_linearity_table(
    positions: ArrayLike, readings: ArrayLike, line: Line, *, zero: float, codes: int
) -> NDArray[np.float64]:
    """Return the integral non-linearity at every code: reading less the line, as a function of the line's value.

    Args:
        positions: ideal positions, rising, shape (points,).
        readings: positions as read, shape (points,).
        line: the straight line.
        zero: position of zero signal.
        codes: length of the table.

    Returns:
        INL [LSB], shape (codes,); constant beyond the positions given.
    """
    x = np.asarray(positions, dtype=np.float64)
    steps = codes - 1
    on_line = x + (line.gain - 1) * (x - zero) + line.offset_lsb / steps
    residual = (np.asarray(readings, dtype=np.float64) - on_line) * steps
    codes_at = np.clip(np.linspace(0, 1, codes), on_line[0], on_line[-1])
    return np.asarray(PchipInterpolator(on_line, residual)(codes_at))


def transition_non_linearity(transitions: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return an ADC's INL and DNL as data sheets define them, from its code transitions.

    The LSB is the mean code width; the line goes through the first and the last transition. DNL of a code is its
    width less one LSB; INL of a transition is the sum of DNL before it, so it is positive where the ADC reads
    too low.

    Args:
        transitions: input at which each code is left for the next, shape (transitions,).

    Returns:
        INL of each transition, shape (transitions,), and DNL of the codes between, one fewer [LSB].
    """
    widths = np.diff(np.asarray(transitions, dtype=np.float64))
    differential = widths / widths.mean() - 1
    return np.concatenate([[0.0], np.cumsum(differential)]), differential


def bit_weights(levels: ArrayLike, outputs: ArrayLike) -> tuple[NDArray[np.float64], float, NDArray[np.float64]]:
    """Return the weight of each input bit in an output, by least squares over random patterns.

    Args:
        levels: bit levels, shape (patterns, bits).
        outputs: shape (patterns,).

    Returns:
        Weight of each bit, shape (bits,); constant term; residuals, shape (patterns,).

    Raises:
        PeripheralError: fewer patterns than unknowns.
    """
    bits = np.asarray(levels, dtype=np.float64)
    if len(bits) <= bits.shape[1] + 1:
        raise PeripheralError(
            f"Expected more than {bits.shape[1] + 1} patterns to find {bits.shape[1]} weights, but got {len(bits)}."
        )
    design = np.column_stack([bits, np.ones(len(bits))])
    solution = np.linalg.lstsq(design, np.asarray(outputs, dtype=np.float64), rcond=None)[0]
    return solution[:-1], float(solution[-1]), np.asarray(outputs) - design @ solution
