"""How an instrument recorded currents, rounded or held at a limit, and the intervals that cells then lie in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devicekit.common.engineering import engineering
from devicekit.statistics.binned_likelihood import BinnedSample
from devicekit.statistics.state_statistics import StateSample

Floats = NDArray[np.float64]
COARSE = 0.1
"""Rounding matters from that share of a state's spread on; there it adds 0.04 % to sigma."""
FEWEST_REPEATS = 3
"""Values must come back that often before a step is read out of them."""


@dataclass(frozen=True)
class Recording:
    """What stands between a cell's current and the number in the file.

    Attributes:
        step: currents were rounded to multiples of it [A]; None: as good as not at all.
        lower: currents at or below it are only known to be there [A]; None: no such limit.
        upper: currents at or above it are only known to be there (a compliance, the end of a range) [A]; None: none.
    """

    step: float | None = None
    lower: float | None = None
    upper: float | None = None

    @property
    def is_plain(self) -> bool:
        """Whether numbers are currents, one by one."""
        return self.step is None and self.lower is None and self.upper is None

    def describe(self) -> str:
        """Return how currents were recorded, in words."""
        parts = [] if self.step is None else [f"rounded to {engineering(self.step, 'A')}"]
        parts += [
            f"held at {word} {engineering(limit, 'A')}"
            for word, limit in (("least", self.lower), ("most", self.upper))
            if limit is not None
        ]
        return " and ".join(parts) or "recorded as they are"

    def at_limit(self, value: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which currents [A] stand at the lower and at the upper limit."""
        none = np.zeros(np.shape(value), dtype=bool)
        # A value a digit short of the limit is still at it.
        slack = 0.5 * (self.step or 0.0)
        low = none if self.lower is None else value <= self.lower + max(slack, 1e-6 * abs(self.lower))
        high = none if self.upper is None else value >= self.upper - max(slack, 1e-6 * abs(self.upper))
        return low, high


def rounding_step(sample: StateSample) -> float | None:
    """Return the step [A] that currents were rounded to, where it is coarse against their spread; else None.

    The smallest distance between different values must divide all other distances, and values must repeat: cells that
    are known finely show neither.

    Args:
        sample: the cells.
    """
    values = np.unique(sample.values)
    if len(values) < 2 or len(sample.values) - len(values) < FEWEST_REPEATS:
        return None
    gaps = np.diff(values)
    gaps = gaps[gaps > 1e-9 * np.max(np.abs(values))]
    if not len(gaps):
        return None
    smallest = float(np.min(gaps))
    step = float(np.median(gaps[gaps < 1.5 * smallest]))
    for _ in range(3):
        # The step as the slope of values over their whole numbers: printed digits blur single distances.
        places = np.rint((values - values[0]) / step)
        step = float(places @ (values - values[0]) / (places @ places))
    off = (values - values[0]) / step - np.rint((values - values[0]) / step)
    if float(np.max(np.abs(off))) > 0.05:
        return None
    own = sample.sums((sample.values - (sample.sums(sample.values) / sample.counts)[sample.codes]) ** 2)
    spread = np.sqrt(own / np.maximum(sample.counts - 1, 1))
    return step if np.any(step > COARSE * spread) else None


def recorded_sample(sample: StateSample, recording: Recording) -> BinnedSample:
    """Return cells as the intervals that their recording leaves.

    Args:
        sample: the cells.
        recording: how they were recorded.
    """
    low_end, high_end = recording.at_limit(sample.values)
    free = ~(low_end | high_end)
    parts = []
    exact: Floats | None = None
    if recording.step is not None:
        keys = np.stack([sample.codes[free], np.rint(sample.values[free] / recording.step)])
        # Rounded values may stand half a step off the multiples (the middles of an ADC's steps): keep their own place.
        _, first, count = np.unique(keys, axis=1, return_index=True, return_counts=True)
        middle = sample.values[free][first]
        half = 0.5 * recording.step
        parts.append((sample.codes[free][first], middle - half, middle + half, count))
    else:
        number = sample.sums(free.astype(np.float64))
        mean = sample.sums(np.where(free, sample.values, 0.0)) / np.maximum(number, 1.0)
        squares = sample.sums(np.where(free, (sample.values - mean[sample.codes]) ** 2, 0.0))
        exact = np.stack([number, mean, squares], axis=1)
    half = 0.5 * (recording.step or 0.0)
    # A state without cells at the limit carries an empty bin there.
    if recording.lower is not None:
        held = np.bincount(sample.codes[low_end], minlength=len(sample.targets))
        parts.append(
            (np.arange(len(held)), np.full(len(held), -math.inf), np.full(len(held), recording.lower + half), held)
        )
    if recording.upper is not None:
        held = np.bincount(sample.codes[high_end], minlength=len(sample.targets))
        parts.append(
            (np.arange(len(held)), np.full(len(held), recording.upper - half), np.full(len(held), math.inf), held)
        )
    code, low, high, number = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((high, low, code))
    code = code[order]
    starts = np.flatnonzero(np.append(True, np.diff(code) > 0))
    return BinnedSample(sample.targets, low[order], high[order], number[order].astype(np.float64), starts, exact=exact)
