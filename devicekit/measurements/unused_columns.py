"""Columns that nobody gave a role: do they explain the variance within states that would be taken for the cells'?"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from devicekit.measurements.interpreted import Array, Interpreted
from devicekit.measurements.number_formats import is_number
from devicekit.measurements.raw_tables import CHANCE, Unused

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

CONDITIONS = ("target", "time", "temperature", "bake_temperature")
MOST_LEVELS = 12
"""Numbers with more different values are gathered in as many ranges of equal counts."""
LEAST_SHARE = 0.02
"""Share of the variance within states from which on a column is warned of."""


def account_of_unused(result: Interpreted) -> None:
    """Add a line for each column without a role, in place, and a warning for each that explains variance.

    Tested by analysis of variance on the residuals (value less the mean of its state and condition, over its spread),
    and on their absolute values: a flag of failed cells may change the spread and not the mean.
    """
    names = list(result.spare)
    for name in names:
        entries = result.spare[name]
        distinct = len(np.unique(entries))
        if distinct <= 1 or result.is_histogram or _numbers_rows(entries):
            reason = "one value throughout" if distinct <= 1 else "no role was found for it"
            result.unused.append(Unused("column", repr(name), reason))
            continue
        share, p = share_explained(result, codes_of(entries))
        tested = bool(np.isfinite(p))
        result.unused.append(
            Unused("column", repr(name), "no role was found for it", share if tested else None, p if tested else None)
        )
        if tested and p < CHANCE / len(names) and share >= LEAST_SHARE:
            result.warnings.append(
                f"the column {name!r} is not used, but explains {share:.0%} of the variance within states (p ="
                f" {p:.1g}): time, die, cycle, bias, a flag? Say its role, such as die={name!r}, or which value of it"
                " is right with `only`"
            )


def _numbers_rows(entries: Array) -> bool:
    """Return whether a column only numbers the rows."""
    if entries.dtype.kind not in "fiu":
        if not all(map(is_number, entries[:20])):
            return len(np.unique(entries)) == len(entries)
        try:
            entries = entries.astype(np.float64)
        except ValueError:
            return False
    return len(entries) > 2 and bool(np.all(np.diff(entries.astype(np.float64)) == 1))


def codes_of(entries: Array) -> Codes:
    """Return a column's values as levels 0, 1, ...; numbers with many values in ranges of equal counts."""
    if entries.dtype.kind == "U" and all(map(is_number, entries[:20])):
        with suppress(ValueError):
            entries = entries.astype(np.float64)
    if entries.dtype.kind in "fiu":
        numbers = entries.astype(np.float64)
        distinct = np.unique(numbers[~np.isnan(numbers)])
        if len(distinct) > MOST_LEVELS:
            edges = np.quantile(numbers[~np.isnan(numbers)], np.linspace(0, 1, MOST_LEVELS + 1)[1:-1])
            return np.searchsorted(edges, np.nan_to_num(numbers, nan=np.inf), side="right").astype(np.int64)
        return np.asarray(np.searchsorted(distinct, np.nan_to_num(numbers, nan=np.inf)), dtype=np.int64)
    return np.unique(entries, return_inverse=True)[1].astype(np.int64)


def share_explained(result: Interpreted, codes: Codes) -> tuple[float, float]:
    """Return the share of variance within states that levels explain (adjusted for their number), and its p-value.

    The larger share of two one-way analyses of variance within states: on residuals, and on their absolute values. NaN
    where no state has cells of two levels.
    """
    columns = result.columns
    keys = [np.unique(columns[role], return_inverse=True)[1] for role in CONDITIONS if role in columns]
    group = np.unique(np.stack(keys, axis=1), axis=0, return_inverse=True)[1].ravel()
    value = result.numbers("value")
    size = np.bincount(group)
    residual = value - (np.bincount(group, value) / size)[group]
    spread = np.sqrt(np.bincount(group, residual**2) / np.maximum(size - 1, 1))[group]
    kept = (size[group] >= 3) & (spread > 0)
    if not np.any(kept):
        return 0.0, float("nan")
    z = residual[kept] / spread[kept]
    group, codes = np.unique(group[kept], return_inverse=True)[1], np.unique(codes[kept], return_inverse=True)[1]
    location = _within(z, group, codes)
    absolute = np.abs(z)
    absolute = absolute - (np.bincount(group, absolute) / np.bincount(group))[group]
    scale = _within(absolute, group, codes)
    return min(location, scale, key=lambda found: (found[1] if np.isfinite(found[1]) else 2.0, -found[0]))


def _within(z: Floats, group: Codes, codes: Codes) -> tuple[float, float]:
    """Return adjusted share and p-value of levels' effects on residuals whose states' means are 0.

    Levels are compared within states: each level's effect is common to all states, fitted by least squares on both.
    """
    pair = group * (codes.max() + 1) + codes
    cells = np.bincount(pair, minlength=(group.max() + 1) * (codes.max() + 1)).reshape(group.max() + 1, -1)
    freedom = int((cells > 0).sum() - (cells.sum(axis=1) > 0).sum())
    rest = len(z) - int((cells > 0).sum())
    if freedom < 1 or rest < 1:
        return 0.0, float("nan")
    count = np.bincount(pair)
    mean = np.bincount(pair, z) / np.maximum(count, 1)
    between = float(np.sum(count * mean**2))
    total = float(np.sum(z**2))
    inside = max(total - between, 1e-12 * total)
    if total == 0:
        return 0.0, float("nan")
    share = 1.0 - (inside / rest) / (total / (rest + freedom))
    return max(share, 0.0), float(stats.f.sf((between / freedom) / (inside / rest), freedom, rest))
