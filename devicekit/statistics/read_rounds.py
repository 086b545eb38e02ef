"""Read times that scatter, as an instrument takes one cell after another, gathered into their rounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from devicekit.common.engineering import duration
from devicekit.measurements.measurements import Measurements

Floats = NDArray[np.float64]
LONELY = 0.2
"""Share of reads that are the only one of their state at their time, from which on times count as scattered."""
APART = 3.0
"""How much wider the gaps between rounds must be than the rounds themselves."""
MOST_ROUNDS = 64


def gather_rounds(measurements: Measurements) -> tuple[Measurements, list[str]]:
    """Return measurements whose scattered read times are replaced by those of their rounds, and what was done.

    Times that states share already, histograms, and time series without rounds come back as they are.

    Args:
        measurements: cells, with or without a ``time`` column [s].
    """
    columns = measurements.columns
    if measurements.is_histogram or "time" not in columns or not _is_scattered(measurements):
        return measurements, []
    code = find_rounds(columns["time"], _units(measurements))
    if code is None or not _covers_states(columns["target"], code):
        return measurements, []
    order = np.argsort(code, kind="stable")
    parts = np.split(columns["time"][order], np.flatnonzero(np.diff(code[order])) + 1)
    # A round that begins with programming is the programmed state.
    times = np.array([0.0 if part.min() == 0 else float(np.median(part)) for part in parts])
    widest = max(float(np.ptp(part)) / time for part, time in zip(parts, times, strict=True) if time > 0)
    named = ", ".join(duration(float(f"{time:.3g}")) for time in times)
    note = (
        f"{len(np.unique(columns['time']))} different read times were gathered in {len(times)} rounds, each taken at"
        f" its median ({named}); within a round they differ by up to {100 * widest:.2g} % of it"
    )
    return replace(measurements, columns={**columns, "time": times[code]}), [note]


def _units(measurements: Measurements) -> NDArray[np.int64] | None:
    """Return a code for whatever is read once a round, where cells are told apart; else None."""
    columns = measurements.columns
    if "cell" not in columns:
        return None
    roles = ("cell", "target", "cycle", "read", "die", "wafer", "temperature", "bake_temperature")
    keys = np.stack([columns[role] for role in roles if role in columns])
    return np.unique(keys, axis=1, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _is_scattered(measurements: Measurements) -> bool:
    columns = measurements.columns
    keys = np.stack(
        [columns[role] for role in ("target", "time", "temperature", "bake_temperature") if role in columns]
    )
    _, inverse, size = np.unique(keys, axis=1, return_inverse=True, return_counts=True)
    return float(np.mean(size[inverse.reshape(-1)] == 1)) > LONELY


def _covers_states(target: Floats, code: NDArray[np.int64]) -> bool:
    """Return whether most states have two reads or more in most rounds."""
    table = np.zeros((len(np.unique(target)), int(code.max()) + 1))
    np.add.at(table, (np.unique(target, return_inverse=True)[1], code), 1.0)
    return float(np.mean(table >= 2)) > 0.5


def find_rounds(time: Floats, unit: NDArray[np.int64] | None = None) -> NDArray[np.int64] | None:
    """Return the round of each read, rising from 0, or None where times show none.

    Times are cut at their widest gaps, as ratios or as differences, whichever sets rounds farther apart; every gap must
    be `APART` times as wide as the rounds beside it, and nothing may be read twice in a round.

    Args:
        time: times of all reads [s], shape (reads,).
        unit: code of what each read is of (a cell in a state); None: not known.
    """
    distinct, inverse = np.unique(time, return_inverse=True)
    if len(distinct) < 3:
        return None
    first = distinct[distinct > 0].min() if np.any(distinct > 0) else 1.0
    best: tuple[float, NDArray[np.int64]] | None = None
    for axis in (np.log(np.maximum(distinct, 1e-3 * first)), distinct):
        found = _cut(np.asarray(axis), inverse, unit)
        if found is not None and (best is None or found[0] > best[0]):
            best = found
    return None if best is None else best[1][inverse]


def _cut(
    axis: Floats, inverse: NDArray[np.int64], unit: NDArray[np.int64] | None
) -> tuple[float, NDArray[np.int64]] | None:
    """Return how far apart the best rounds lie, in their own widths, and the round of each rising position."""
    gaps = np.diff(axis)
    ordered = np.sort(gaps)[::-1]
    best: tuple[float, NDArray[np.int64]] | None = None
    for rounds in range(2, min(MOST_ROUNDS, len(axis) - 1) + 1):
        wide = gaps >= ordered[rounds - 2]
        code = np.append(0, np.cumsum(wide))
        if code[-1] + 1 != rounds:
            continue
        starts = np.flatnonzero(np.append(True, wide))
        ends = np.append(starts[1:], len(axis)) - 1
        width = axis[ends] - axis[starts]
        between = axis[starts[1:]] - axis[ends[:-1]]
        apart = float(np.min(between / np.maximum(np.maximum(width[1:], width[:-1]), 1e-12 * np.ptp(axis))))
        if apart < APART or (best is not None and apart <= best[0]):
            continue
        if unit is None or len(np.unique(np.stack([unit, code[inverse]]), axis=1).T) == len(unit):
            best = (apart, code)
    return best
