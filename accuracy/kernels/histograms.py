"""Streaming histograms and the ranges read from them; memory does not grow with the data.

Two ranges are wanted of a calibration set: the range of a layer's input that minimises the L1 norm of quantisation
error, and the range of column currents that holds the inner 99.98 %.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy.errors import CalibrationError
from accuracy.kernels import elementwise
from accuracy.kernels.elementwise import Side

BINS = 1 << 16
INPUT_RANGE_BITS = 12
INNER_FRACTION = 0.9998
PROBE = 8
"""Images all whose currents are counted; what they show says which of later ones matter."""
_FLOOR_FRACTION = 1.0 - 25.0 * (1.0 - INNER_FRACTION)
"""Currents above this quantile of the first images matter: 25 times as many as lie beyond the range."""


class Histogram:
    """Histogram of non-negative values in equal bins from 0; its reach doubles when a larger value comes.

    Each bin keeps its largest value, so that quantiles are values that occurred: currents of ideal cells lie on a few
    levels, and ranges tied by powers of two must meet them exactly.

    Attributes:
        counts: values in each bin, exact zeros left out; shape (BINS,).
        largest: largest value of each bin, 0 where it is empty; shape (BINS,).
        zeros: how many values were exactly zero.
        reach: upper edge of the last bin; 0 before the first value.
        floor: values up to here may be left uncounted but for a sample; 0 where all are counted.
        uncounted: how many were.
    """

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(BINS, dtype=np.int64)
        self.largest: NDArray[np.float64] = np.zeros(BINS)
        self.zeros = 0
        self.reach = 0.0
        self.floor = 0.0
        self.uncounted = 0

    @property
    def total(self) -> int:
        """Number of values, zeros and uncounted ones included."""
        return int(self.counts.sum()) + self.zeros + self.uncounted

    def add(self, values: Tensor, side: Side = "positive") -> None:
        """Count values.

        Args:
            values: finite, any shape.
            side: what counts: values above 0, minus the values below 0, or magnitudes; all others count as 0.
        """
        if values.numel() == 0:
            return
        lowest, highest = (float(edge) for edge in torch.aminmax(values))
        self._add(values, side, {"positive": highest, "negative": -lowest}.get(side, max(highest, -lowest)))

    def _add(self, values: Tensor, side: Side, largest: float) -> None:
        """Count values of which the largest that counts is known; below 0 where none does."""
        if not largest > 0:
            self.zeros += values.numel()
            return
        self.cover(largest)
        if elementwise.available() and values.dtype == torch.float32 and values.device.type == "cpu":
            dense = values if _is_dense(values) else values.contiguous()
            self.zeros += elementwise.count_values(dense, self.counts, self.largest, self.reach, side)
            return
        flat = {"positive": values, "negative": -values}.get(side, values.abs()).reshape(-1)
        flat = flat[flat > 0]
        self.zeros += values.numel() - flat.numel()
        index = (flat * (BINS / self.reach)).to(torch.int64).clamp_(max=BINS - 1)
        self.counts += torch.bincount(index, minlength=BINS).cpu().numpy()
        most = torch.zeros(BINS, dtype=flat.dtype, device=flat.device).scatter_reduce_(0, index, flat, "amax")
        self.largest = np.maximum(self.largest, most.cpu().numpy())

    def cover(self, largest: float) -> None:
        """Double the reach until it holds a value."""
        if largest > 0 and self.reach == 0.0:
            self.reach = 2.0 ** np.ceil(np.log2(largest))
        while largest > self.reach:
            empty = np.zeros(BINS // 2)
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(axis=1), empty.astype(np.int64)])
            self.largest = np.concatenate([self.largest.reshape(-1, 2).max(axis=1), empty])
            self.reach *= 2.0

    def merge(self, counts: NDArray[np.int64], largest: NDArray[np.floating], reach: float) -> None:
        """Add bins of another histogram, of this width or a power of two finer.

        Args:
            counts: values in each bin from 0, exact zeros left out.
            largest: largest value of each bin.
            reach: upper edge of the last bin; bins beyond this histogram's reach are empty.
        """
        while counts.size > BINS and reach / counts.size < self.reach / BINS:
            counts, largest = counts.reshape(-1, 2).sum(axis=1), largest.reshape(-1, 2).max(axis=1)
        self.counts += counts[:BINS]
        self.largest = np.maximum(self.largest, largest[:BINS])
        if counts.size > BINS:
            # What lies exactly on the upper edge belongs to the last bin, as in `add`.
            self.counts[-1] += counts[BINS:].sum()
            self.largest[-1] = max(self.largest[-1], float(largest[BINS:].max()))

    def quantile(self, fraction: float) -> float:
        """Return the least value that at least a fraction of all values, zeros included, does not exceed.

        Right to one bin, and never below the exact quantile, where `knows` says so.
        """
        wanted = fraction * self.total - self.zeros - self.uncounted
        if wanted <= 0 or self.reach == 0.0:
            return 0.0
        cumulative = np.cumsum(self.counts)
        # Rounding of fraction * total must not ask for one value more than there is.
        index = int(np.searchsorted(cumulative, min(wanted * (1.0 - 1e-12), cumulative[-1])))
        return float(self.largest[index])

    def knows(self, fraction: float) -> bool:
        """Return whether a quantile lies where all values were counted."""
        return not self.uncounted or self.quantile(fraction) > self.floor

    def beyond(self, edge: float) -> float:
        """Return the fraction of all values above an edge, by whole bins."""
        if not self.total or self.reach == 0.0:
            return 0.0
        first = int(np.ceil(edge / self.reach * BINS))
        return float(self.counts[first:].sum() / self.total)

    def occupied(self, edge: float, codes: int) -> float:
        """Return which fraction of `codes` equal intervals from 0 to an edge holds counted values, or zeros."""
        if self.reach == 0.0:
            return 1.0 / codes
        bins = np.flatnonzero(self.counts)
        found = np.minimum(((bins + 0.5) / BINS * self.reach / edge * codes).astype(np.int64), codes - 1)
        return np.unique(np.append(found, 0) if self.zeros else found).size / codes

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
    return 0.0 - edges[0], edges[1]


class Observation:
    """Histograms of a layer's inputs and column currents during calibration; memory does not grow with the data.

    Args:
        slices: weight slices of the layer's design.

    Attributes:
        symmetric: whether magnitudes of currents are counted.
        positive: histogram of inputs above 0.
        negative: histogram of minus the inputs below 0.
        currents: one histogram a weight slice.
        samples: images seen.
        counted: images whose currents were counted.
        thorough: whether every current is to be counted, wherever it lies.
        common: mean current of a line by slice and batch, where it is asked for.
    """

    def __init__(self, slices: int):
        self.slices = slices
        self.symmetric = True
        self.positive, self.negative = Histogram(), Histogram()
        self.currents = [Histogram() for _ in range(slices)]
        self.samples = 0
        self.counted = 0
        self.thorough = False
        self.common: list[NDArray[np.float64]] = []

    def add_inputs(self, x: Tensor) -> None:
        """Count a batch of inputs.

        Raises:
            CalibrationError: values that are not finite.
        """
        self.samples += x.shape[0]
        if x.numel() == 0:
            return
        lowest, highest = (float(edge) for edge in torch.aminmax(x))
        if not (math.isfinite(lowest) and math.isfinite(highest)):
            raise CalibrationError("The calibration data give a layer inputs that are not finite.")
        self.positive._add(x, "positive", highest)
        self.negative._add(x, "negative", -lowest)

    def add_common(self, means: NDArray[np.float64]) -> None:
        """Take the mean common current of a batch, shape (slices,)."""
        self.common.append(means)

    def begin_counting(self, images: int) -> None:
        """Say that the currents of further images are counted; after `PROBE` of them, find which matter."""
        if self.counted >= PROBE and not self.thorough:
            for histogram in self.currents:
                histogram.floor = histogram.floor or histogram.quantile(_FLOOR_FRACTION)
        self.counted += images

    @property
    def decided(self) -> bool:
        """Whether the ranges of currents can be read from what was counted."""
        return all(histogram.knows(INNER_FRACTION) for histogram in self.currents)

    def count_anew(self) -> None:
        """Forget all currents, and count every one from now on."""
        self.currents = [Histogram() for _ in range(self.slices)]
        self.common, self.counted, self.thorough = [], 0, True

    def add_currents(self, currents: Tensor) -> None:
        """Count column currents, shape (..., blocks, columns)."""
        per_slice = currents.shape[-2] // self.slices
        for index, histogram in enumerate(self.currents):
            part = currents[..., index * per_slice : (index + 1) * per_slice, :]
            histogram.add(part, "magnitude" if self.symmetric else "positive")


def _is_dense(values: Tensor) -> bool:
    """Whether the elements fill one stretch of memory, in whatever order."""
    last = values.dim() == 4 and values.is_contiguous(memory_format=torch.channels_last)
    return last or values.is_contiguous()
