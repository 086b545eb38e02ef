"""States out of targets that are all different: the first read of each cell, say, instead of a set level."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from devicekit.common.errors import MeasurementError
from devicekit.measurements.measurements import Measurements

STATES = 32
"""Ranges of the full scale that continuous targets are grouped into."""
MANY_TARGETS = 64
FEW_CELLS = 4
"""More targets than the first with fewer cells each than the second are continuous."""
LEAST_CELLS = 8
"""A range with fewer cells at each condition has no spread worth fitting; it is left out and counted."""


def is_continuous(measurements: Measurements) -> bool:
    """Return whether there are many targets of so few cells that states have no spread worth fitting."""
    if measurements.is_histogram:
        return False
    distinct = len(np.unique(measurements.columns["target"]))
    return distinct > MANY_TARGETS and measurements.rows < FEW_CELLS * distinct * measurements.condition_count


def group_targets(
    measurements: Measurements, i_max: float, states: int | None = None
) -> tuple[Measurements, list[str]]:
    """Return measurements with targets gathered in equal ranges of the full scale, where they are continuous.

    Every cell keeps its error: its value moves with its target to the mean target of its range.

    Args:
        measurements: cells.
        i_max: full scale that the ranges divide [A].
        states: number of ranges; None: 32 where targets are continuous, else targets stay as they are.

    Returns:
        The measurements, and notes of what was grouped and left out.

    Raises:
        MeasurementError: a number of states below 1, histograms, or no range with enough cells.
    """
    if states is None and not is_continuous(measurements):
        return measurements, []
    count = STATES if states is None else states
    if count < 1 or measurements.is_histogram:
        raise MeasurementError(
            f"{measurements.place}: expected `states` to be at least 1 and the file to hold cells, but got {count!r}"
            f" and {'histograms' if measurements.is_histogram else 'cells'}."
        )
    targets = measurements.columns["target"]
    code = np.floor(targets / i_max * count).astype(np.int64)
    _, inverse, cells = np.unique(code, return_inverse=True, return_counts=True)
    least = LEAST_CELLS * measurements.condition_count
    kept = cells[inverse] >= least
    if not np.any(kept):
        raise MeasurementError(f"{measurements.place}: none of the {count} ranges of targets has {LEAST_CELLS} cells.")
    notes = [f"continuous targets were gathered in ranges of i_max / {count}; every cell keeps its own error"]
    if not np.all(kept):
        notes.append(
            f"{int((~kept).sum())} reads in {int((cells < least).sum())} ranges of fewer than {LEAST_CELLS} cells were"
            " left out"
        )
    above = int(np.sum(targets[kept] > i_max * (1 + 1e-12)))
    if above:
        notes.append(f"{above} reads have targets above i_max; they are fitted as states of their own above it")
    center = np.bincount(inverse, targets) / cells
    columns = dict(measurements.columns)
    columns["target"] = center[inverse]
    columns["value"] = columns["value"] - targets + center[inverse]
    return replace(measurements, columns=columns).where(kept), notes
