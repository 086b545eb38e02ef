"""Digital levels of a cell, within what was measured of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from devicekit.cells.cell import Cell
from devicekit.cells.digital_levels import digital_levels

Floats = NDArray[np.float64]


def cell_levels(cell: Cell, error_rate: float) -> Floats:
    """Return the target currents [A] of the digital levels that a cell holds at an error rate.

    From the lowest state that was measured, where that is known, else from the smallest programmed current, to the full
    scale or the highest measured state, whichever is lower.

    Args:
        cell: the cell.
        error_rate: probability of a misread on each side of a level.

    Raises:
        DeviceError: an error rate outside 0..0.5.
    """
    low, high = cell.i_min, cell.i_max
    if cell.measured_range is not None:
        low, high = max(low, cell.measured_range[0]), min(high, cell.measured_range[1])
    if not low < high:
        return np.array([low])
    return digital_levels(lambda current: float(cell.sigma(current)), low, high, error_rate)
