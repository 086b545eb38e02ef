"""Mean state of an array's cells, from the statistics of weights where no network was measured.

Signed weights are distributed as `circuits.weight_statistics` has it; the form in which they are stored then fixes
which digits cells hold. The published statistic (2 % of G_max in unsliced differential
pairs) sets the mean.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits import WeightCode
from circuits.weight_statistics import integer_probabilities
from devicekit import Cell


@lru_cache(maxsize=4096)
def mean_digits(code: WeightCode, mean_magnitude: float) -> tuple[float, ...]:
    """Return the mean programmed state of each weight slice, least significant first, over every physical cell.

    Args:
        code: how weights are stored.
        mean_magnitude: mean of |weight| over the largest weight, 0..1.

    Returns:
        One number in 0..1 a slice: digit over largest digit, averaged over weights and over both cells of a pair.
    """
    return code.mean_states(integer_probabilities(code.largest, mean_magnitude))


def as_aged(cell: Cell | None) -> Cell | None:
    """Return a cell that is read at another time or temperature than it was programmed at; None for any other."""
    return None if cell is None or cell.is_fresh else cell


def mean_states_as_read(code: WeightCode, mean_magnitude: float, cell: Cell) -> tuple[float, ...]:
    """Return `mean_digits` with the currents of cells at another time or temperature than they were programmed at.

    A state is what a cell conducts on average, on the scale on which idle is 0 and G_max is 1.

    Args:
        code: how weights are stored.
        mean_magnitude: mean of |weight| over the largest weight, 0..1.
        cell: the memory cell then and there.
    """
    g_min = 1.0 / cell.on_off_ratio
    targets = g_min + (1.0 - g_min) * code.digits(np.arange(-code.largest, code.largest + 1)) / code.levels
    states = (cell.mean(targets * cell.i_max) / cell.i_max - g_min) / (1.0 - g_min)
    probability = integer_probabilities(code.largest, mean_magnitude)
    return tuple(float(mean) for mean in states.mean(axis=1) @ probability)


_GRID = np.geomspace(1e-3, 1.0, 61)


def mean_states(code: WeightCode, mean_magnitude: ArrayLike, aged: Cell | None = None) -> NDArray[np.float64]:
    """Return `mean_digits` for one mean magnitude or for many.

    Args:
        code: how weights are stored.
        mean_magnitude: means of |weight| over the largest weight, a number or an array (..., 1).
        aged: the cell where it is read at another time or temperature, see `mean_states_as_read`.

    Returns:
        Shape (..., slices). One magnitude is exact; several are interpolated on a logarithmic grid of 61 from 0.001
        to 1, for a calibration asks for 100 000.
    """
    wanted = np.asarray(mean_magnitude, dtype=np.float64)

    def states(mean: float) -> tuple[float, ...]:
        return mean_digits(code, mean) if aged is None else mean_states_as_read(code, mean, aged)

    if wanted.size == 1:
        return np.broadcast_to(states(float(wanted.ravel()[0])), (*wanted.shape[:-1], code.slices))
    grid = np.array([states(float(mean)) for mean in _GRID])
    position = np.log(wanted[..., 0])
    return np.stack([np.interp(position, np.log(_GRID), column) for column in grid.T], axis=-1)
