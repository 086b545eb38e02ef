"""What the trials of a run say of its screen: one factor on spreads for each network, and the error that is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from reports.results import Values

LOSS = "loss"
"""Draws of a loss, by trials or by the screen."""
IMAGES = "screened images"
"""Draws of a screened loss over test images alone."""


def set_by_trials(points: Sequence[Values], draws: Mapping[int, dict[str, NDArray[np.float64]]], seed: int) -> None:
    """Set the screened accuracies of a run by its trials, and give points without trials draws of the loss, in place.

    Each network has a factor on the spreads of its own, see `accuracy.calibrate_screen`.

    Args:
        points: as in `SweepResult`; where nothing was screened, nothing happens.
        draws: of the points, by number.
        seed: of the study.
    """
    if not any(point["screened"] for point in points):
        return
    from accuracy import ScreenCalibration, calibrate_screen

    for network in {str(point["varied"].get("network", point["network"])) for point in points}:
        own = [
            (number, point)
            for number, point in enumerate(points)
            if point["screened"] and str(point["varied"].get("network", point["network"])) == network
        ]
        both = [(point["screened"], point["accuracy"]) for _, point in own if point["accuracy"]]
        both = [(screened, tried) for screened, tried in both if not screened["unsure"]]
        found = ScreenCalibration()
        if both:
            found = calibrate_screen(
                [screened["means_at"] for screened, _ in both],
                [screened["changed"] for screened, _ in both],
                [screened["baseline"] - tried["loss"] for screened, tried in both],
                [float(tried["std"]) / np.sqrt(tried["trials"]) for _, tried in both],
            )
        for number, point in own:
            screened = point["screened"]
            mean, error = found.mean(screened["means_at"]), found.error(screened["changed"])
            normals = np.random.default_rng([seed, number]).standard_normal(len(draws[number][IMAGES]))
            drawn = draws[number].pop(IMAGES) + screened["mean"] - mean + error * normals
            low, high = (float(end) for end in np.quantile(drawn, [0.025, 0.975]))
            point["screened"] = {
                **screened, "mean": mean, "loss": screened["baseline"] - mean, "error": error,
                "loss_interval": [low, high], "calibration": found.to_dict(),
            }  # fmt: skip
            if not point["accuracy"]:
                draws[number][LOSS] = drawn
