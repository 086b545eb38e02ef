"""Histograms whose edges were laid from the lowest to the highest cell: those two cells are then known exactly.

Plotting programs divide the span of the data into so many bins (numpy, matplotlib, old MATLAB). The outer edges of such
a histogram are data: taking them as chosen beforehand draws the two farthest cells inwards and loses up to 3 % of sigma
with ten bins of 64 cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from devicekit.statistics.binned_likelihood import BinnedSample

Floats = NDArray[np.float64]
FEWEST_BINS = 4
"""Fewer bins than that do not show how their edges were laid."""
_SURE = 0.05
"""Share of half a bin that an edge may be off a round place, where printed digits show it at all."""


@dataclass(frozen=True)
class _Grid:
    low: float
    high: float
    bins: int
    printed: float
    """Step the edges were printed in [A]."""
    even: bool
    """Whether bins are equally wide to the last printed digit."""

    @property
    def width(self) -> float:
        return (self.high - self.low) / self.bins

    def same_width(self, other: _Grid) -> bool:
        slack = self.printed / self.bins + other.printed / other.bins
        return abs(self.width - other.width) <= 2 * slack + 1e-6 * self.width

    def lies_round(self, origin: float) -> bool:
        """Whether the grid has an edge or a middle at `origin`, or was laid in whole printed digits.

        Edges between two currents that anything may be would differ in their last digit.
        """
        if self.even and self.printed > 1e-3 * self.width:
            return True
        half = 0.5 * self.width
        place = (self.low - origin) / half
        error = 1e-3 + self.printed / half + abs(place) * self.printed / (self.high - self.low)
        return error < _SURE and abs(place - round(place)) < error


def extremes_known(sample: BinnedSample) -> bool:
    """Return whether the outer edges of every state are its lowest and highest cell.

    So it is where the bins of each state are equally wide and the outer ones hold cells, states do not share a width,
    and the grids lie anywhere: neither an edge nor a middle at zero or at the target.

    Args:
        sample: bins of all states.
    """
    if sample.cut or sample.exact is not None:
        return False
    grids = [_grid(low, high) for low, high, _ in _by_state(sample)]
    found = [grid for grid in grids if grid is not None]
    if len(found) < len(grids) or any(count[0] <= 0 or count[-1] <= 0 for _, _, count in _by_state(sample)):
        return False
    if len(found) > 1 and all(grid.same_width(found[0]) for grid in found):
        return False
    placed = [
        grid.lies_round(0.0) or grid.lies_round(target) for grid, target in zip(found, sample.targets, strict=True)
    ]
    return sum(placed) < 0.8 * len(placed)


def _by_state(sample: BinnedSample) -> list[tuple[Floats, Floats, Floats]]:
    cuts = sample.starts[1:]
    return list(zip(np.split(sample.low, cuts), np.split(sample.high, cuts), np.split(sample.count, cuts), strict=True))


def _grid(low: Floats, high: Floats) -> _Grid | None:
    """Return the grid of equally wide bins that some listed bins belong to; None where they do not."""
    edges = np.append(low, high)
    if not np.all(np.isfinite(edges)):
        return None
    width = float(np.median(high - low))
    bins = round(float(high[-1] - low[0]) / width)
    if bins < FEWEST_BINS:
        return None
    even = bool(np.all(np.abs((high - low) / width - 1.0) < 1e-6))
    grid = _Grid(float(low[0]), float(high[-1]), bins, _printed_step(edges), even)
    slack = 2 * grid.printed + 1e-3 * grid.width
    for side, first in ((low, grid.low), (high, grid.low + grid.width)):
        places = (side - first) / grid.width
        if float(np.max(np.abs(places - np.rint(places)))) * grid.width > slack:
            return None
    return grid


def _printed_step(edges: Floats) -> float:
    """Return the power of ten that all edges are multiples of; 0 where they have more than six digits."""
    scale = 10.0 ** math.ceil(math.log10(float(np.max(np.abs(edges)))))
    for power in range(8):
        step = scale * 10.0**-power
        if np.all(np.abs(edges / step - np.rint(edges / step)) < 1e-6 * 10.0**power):
            return step if power < 7 else 0.0
    return 0.0


def with_extremes(sample: BinnedSample) -> BinnedSample:
    """Return the sample with the outer edges of all states counted as cells that are known exactly.

    Args:
        sample: bins of all states, none known exactly yet, with cells in every outer bin.
    """
    first, last = sample.starts, np.append(sample.starts[1:], len(sample.low)) - 1
    count = sample.count.copy()
    np.subtract.at(count, np.concatenate([first, last]), 1.0)
    low, high = sample.low[first], sample.high[last]
    exact = np.stack([np.full(len(low), 2.0), 0.5 * (low + high), 0.5 * (high - low) ** 2], axis=1)
    return replace(sample, count=count, exact=exact)
