"""Edges and counts of histograms: both edges, one of them, or the middles of even bins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from devicekit.common.errors import MeasurementError
from devicekit.measurements.interpreted import Interpreted

Floats = NDArray[np.float64]
EVEN = 1e-3
"""Edges whose distances are whole multiples of the smallest one, to this share of it, are of even bins."""


def bin_edges(result: Interpreted, place: str) -> None:
    """Give every bin both edges, in place.

    One edge, or the middle, is enough where bins are even: the smallest distance is the width, and a bin that is not
    listed leaves a gap of whole widths. Edges that came from resistances run the other way round and are swapped.

    Raises:
        MeasurementError: one edge or the middle of bins that are not even.
    """
    columns = result.columns
    given = [role for role in ("bin_low", "bin_high", "bin_center") if role in columns]
    if not given or "count" not in columns:
        return
    if "bin_low" in columns and "bin_high" in columns:
        columns.pop("bin_center", None)
        if np.all(result.numbers("bin_low") > result.numbers("bin_high")):
            columns["bin_low"], columns["bin_high"] = columns["bin_high"], columns["bin_low"]
        return
    role = "bin_center" if "bin_center" in columns else given[0]
    known = np.asarray(columns.pop(role), dtype=np.float64)
    width = _width(known, role, place)
    low = {"bin_low": known, "bin_high": known - width, "bin_center": known - width / 2}[role]
    columns["bin_low"], columns["bin_high"] = low, low + width
    result.notes.append(f"bins are even, {width:.4g} A wide; their edges were found from {role}")


def _width(known: Floats, role: str, place: str) -> float:
    distances = np.diff(np.unique(known))
    distances = distances[distances > 1e-9 * np.ptp(known)] if len(known) > 1 else distances
    if len(distances) == 0:
        raise MeasurementError(f"{place}: one bin has no width; give both edges, bin_low and bin_high.")
    width = float(distances.min())
    steps = distances / width
    if np.any(np.abs(steps - np.rint(steps)) > max(EVEN, 1e-2) * 1.0) or np.any(np.abs(steps - np.rint(steps)) > 0.05):
        raise MeasurementError(
            f"{place}: the bins are not even, so {role} alone does not say where they end; give both edges, bin_low"
            " and bin_high."
        )
    # The mean step is known better than the smallest one, whose edges are rounded.
    return float(distances.sum() / np.rint(steps).sum())


def counts_checked(result: Interpreted) -> None:
    """Refuse counts that are no whole numbers, and bins without width.

    Raises:
        MeasurementError: which bin.
    """
    count = result.numbers("count")
    if np.any(count < 0) or np.any(count != np.rint(count)):
        bad = int(np.flatnonzero((count < 0) | (count != np.rint(count)))[0])
        raise MeasurementError(
            f"{result.place}: expected counts to be whole numbers of at least 0, but bin {bad + 1} has {count[bad]:g};"
            " shares and densities do not say how many cells they come from."
        )
    low, high = (result.numbers(role) for role in ("bin_low", "bin_high"))
    if np.any(low >= high):
        bad = int(np.flatnonzero(low >= high)[0])
        raise MeasurementError(
            f"{result.place}: expected the low edge of every bin below the high one, but bin {bad + 1} runs from"
            f" {low[bad]:g} to {high[bad]:g} A."
        )
