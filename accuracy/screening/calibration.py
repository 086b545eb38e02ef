"""The screen set by full trials, where some were made: one factor on all spreads, and the error that is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from accuracy.screening.errors import ScreeningError
from accuracy.screening.screen import ERROR_SHARE, FACTORS, LEAST_ERROR
from devicekit.common.plain import PlainValues


@dataclass(frozen=True)
class ScreenCalibration(PlainValues):
    """What trials say of the screen.

    Attributes:
        factor: on the spreads of all margins.
        share: error of a screened mean over the share of decisions that change.
        designs: number of designs with trials.
    """

    factor: float = 1.0
    share: float = ERROR_SHARE
    designs: int = 0

    def mean(self, means_at: Sequence[float]) -> float:
        """Return the accuracy of a core from its means at `FACTORS`."""
        return float(np.interp(np.log(self.factor), np.log(FACTORS), means_at))

    def error(self, changed: float) -> float:
        """Return the stated error of the accuracy of a core by the share of decisions that change."""
        return LEAST_ERROR + self.share * changed


def calibrate_screen(
    means_at: Sequence[Sequence[float]], changed: Sequence[float], tried: Sequence[float], noise: Sequence[float]
) -> ScreenCalibration:
    """Return the factor on all spreads with which the screen fits trials best, and the error that it leaves.

    Differences are weighted with their expected size: the noise of the trials and a share of the decisions that change.

    Args:
        means_at: accuracies at `FACTORS`, one row for each design with trials.
        changed: shares of decisions that change.
        tried: mean accuracies by trials on the same images.
        noise: their standard errors over chips.

    Raises:
        ScreeningError: no design, or numbers that do not go together.
    """
    rows, shares = np.asarray(means_at, dtype=np.float64), np.asarray(changed, dtype=np.float64)
    found, error = np.asarray(tried, dtype=np.float64), np.asarray(noise, dtype=np.float64)
    if not (rows.ndim == 2 and rows.shape == (len(found), len(FACTORS)) and len(shares) == len(error) == len(found)):
        raise ScreeningError(
            f"Expected one row of {len(FACTORS)} accuracies and one share, mean and error a design, but got "
            f"{rows.shape}, {shares.shape}, {found.shape} and {error.shape}."
        )
    if not len(found):
        raise ScreeningError("Expected at least one design with trials to calibrate the screen by, but got none.")
    grid = np.exp(np.linspace(np.log(FACTORS[0]), np.log(FACTORS[-1]), 181))
    at = np.stack([np.interp(np.log(grid), np.log(FACTORS), row) for row in rows])
    expected = np.sqrt(error**2 + (LEAST_ERROR + ERROR_SHARE * shares) ** 2)
    misfit = (((at - found[:, None]) / expected[:, None]) ** 2).sum(axis=0)
    # The factor itself is 1 but for so much: one odd design does not move it far.
    misfit += (np.log(grid) / 0.25) ** 2
    best = int(np.argmin(misfit))
    left = np.maximum((at[:, best] - found) ** 2 - error**2, 0.0)
    # The share that stands without trials counts as one design more.
    share = np.sqrt((np.sum(left / np.maximum(shares, 0.005) ** 2) + ERROR_SHARE**2) / (len(found) + 1))
    return ScreenCalibration(float(grid[best]), float(share), len(found))
