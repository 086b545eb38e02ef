"""Streaming histograms and the ranges read from them; memory does not grow with the data.

Two ranges are wanted of a calibration set: the range of a layer's input that minimises the L1 norm of quantisation
error, and the range of column currents that holds the inner 99.98 %.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BINS = 1 << 16
INPUT_RANGE_BITS = 12
INNER_FRACTION = 0.9998


class Histogram:
    """Counts of non-negative values in equal bins from 0, whose reach doubles when a larger value comes.

    Attributes:
        counts: values in each bin, exact zeros left out; shape (BINS,).
        zeros: how many values were exactly zero.
        reach: upper edge of the last bin; 0 before the first value.
    """

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(BINS, dtype=np.int64)
        self.zeros = 0
        self.reach = 0.0

    @property
    def total(self) -> int:
        """Number of values, zeros included."""
        return int(self.counts.sum()) + self.zeros

    def add(self, values: Tensor) -> None:
        """Count values.

        Args:
            values: non-negative and finite, any shape.
        """
        if values.numel() == 0:
            return
        self.cover(float(values.max()))
        if self.reach == 0.0:
            self.zeros += values.numel()
            return
        zeros = values.numel() - int(torch.count_nonzero(values))
        index = (values.reshape(-1) * (BINS / self.reach)).to(torch.int32).clamp_(max=BINS - 1)
        counts = torch.bincount(index, minlength=BINS).cpu().numpy()
        counts[0] -= zeros
        self.zeros += zeros
        self.counts += counts

    def cover(self, largest: float) -> None:
        """Double the reach until it holds a value."""
        if largest > 0 and self.reach == 0.0:
            self.reach = 2.0 ** np.ceil(np.log2(largest))
        while largest > self.reach:
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(axis=1), np.zeros(BINS // 2, dtype=np.int64)])
            self.reach *= 2.0

    def quantile(self, fraction: float) -> float:
        """Return the value that a fraction of all values, zeros included, does not exceed."""
        wanted = fraction * self.total - self.zeros
        if wanted <= 0 or self.reach == 0.0:
            return 0.0
        cumulative = np.cumsum(self.counts)
        index = int(np.searchsorted(cumulative, wanted))
        before = cumulative[index - 1] if index else 0
        inside = (wanted - before) / self.counts[index]
        return float((index + inside) * self.reach / BINS)

    def exceeding(self, count: float) -> float:
        """Return the value that `count` of the values exceed."""
        return self.quantile(1.0 - count / self.total) if self.total else 0.0


def input_range(positive: Histogram, negative: Histogram) -> tuple[float, float]:
    """Return (x_min, x_max), the input range with the least L1 norm of quantisation error at 12 bits.

    Inside the range the error of a non-zero value is Delta/4 on average, Delta = (x_max - x_min) / (2^12 - 1); outside
    it is the distance to the edge. Moving an edge outward by d costs n_inside d / (4 (2^12 - 1)) and gains d for each
    value beyond it, so at the optimum each edge has n_inside / (4 (2^12 - 1)) values beyond it.

    Args:
        positive: histogram of the values above 0 (zeros counted as such).
        negative: histogram of minus the values below 0.
    """
    nonzero = int(positive.counts.sum() + negative.counts.sum())
    beyond = nonzero / (4 * (2**INPUT_RANGE_BITS - 1))
    edges = []
    for side in (negative, positive):
        own = int(side.counts.sum())
        edges.append(side.exceeding(beyond) if own > beyond else 0.0)
    return -edges[0], edges[1]
