"""Digital levels of a cell, within what was measured of it."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from devicekit.cells.cell import Cell
from devicekit.cells.digital_levels import digital_levels
from devicekit.common.errors import DeviceError

Floats = NDArray[np.float64]


class MeasuredRangeWarning(UserWarning):
    """Digital levels were asked for beyond the states that were measured, and keep to these."""


def cell_levels(cell: Cell, error_rate: float, lowest: float | None = None, highest: float | None = None) -> Floats:
    """Return the target currents [A] of the digital levels that a cell holds at an error rate.

    From the lowest state that was measured, where that is known, else from the smallest programmed current, to the full
    scale or the highest measured state, whichever is lower. Beyond measured states there are no levels.

    Args:
        cell: the cell.
        error_rate: probability of a misread on each side of a level.
        lowest: lowest level [A]; None: as above.
        highest: highest level [A]; None: as above.

    Raises:
        DeviceError: an error rate outside 0..0.5, or levels that lie wholly outside the measured states.

    Warns:
        MeasuredRangeWarning: `lowest` or `highest` lies beyond the measured states; the nearest of these is taken.
    """
    low, high = cell.i_min, cell.i_max
    if cell.measured_range is not None:
        low, high = max(low, cell.measured_range[0]), min(high, cell.measured_range[1])
    first, last = low if lowest is None else lowest, high if highest is None else highest
    slack = 1e-9 * cell.i_max
    if first < low - slack or last > high + slack:
        states = f"the states from {low:.4g} A to {high:.4g} A that are known of it"
        asked = f"{first:.4g} A to {last:.4g} A"
        if first > high or last < low:
            raise DeviceError(f"Cell {cell.name!r}: expected digital levels within {states}, but got {asked}.")
        warnings.warn(
            f"Cell {cell.name!r}: digital levels keep to {states}; asked for were {asked}.",
            MeasuredRangeWarning,
            stacklevel=2,
        )
    first, last = max(first, low), min(last, high)
    if not first < last:
        return np.array([first])
    return digital_levels(lambda current: float(cell.sigma(current)), first, last, error_rate)
