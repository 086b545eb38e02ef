"""The retention of a fitted cell: measured times, and the law of time that goes on after them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from devicekit.cells.mean_shifts import TableShift
from devicekit.cells.retention import Retention, RetentionPoint
from devicekit.cells.retention_laws import LawName
from devicekit.cells.subthreshold import ROOM_TEMPERATURE
from devicekit.fits.conditions import Conditions
from devicekit.fits.fit_values import LaterFit
from devicekit.fits.outliers import fitted_columns
from devicekit.fits.retention_fits import REJECTED, RetentionLawFit, fit_retention_laws, relative_changes
from devicekit.fits.temperature_fits import BakeFit

WIDE_TIMES = 30.0
"""Retention over more than this factor of time is interpolated in its logarithm."""


def laws_of(
    conditions: Conditions, base: pd.DataFrame, later: Sequence[LaterFit]
) -> tuple[dict[LawName, RetentionLawFit], list[str]]:
    """Return laws of retention where there are two later times or more, and whether the better one describes them."""
    tables = [(each.time, fitted_columns(each.states.table)) for each in later]
    changes = relative_changes(conditions.time, base, tables, conditions.followed)
    if changes is None:
        return {}, []
    laws = fit_retention_laws(changes)
    name, best = next(iter(laws.items()))
    if best.goodness < REJECTED:
        return laws, [
            f"no law of time describes the retention (the better, {name.replace('_', '-')}, has"
            f" p = {best.goodness:.2g}); beyond the last time the cell follows the last two"
        ]
    return laws, [f"beyond the last time the cell follows the {name.replace('_', '-')} law"]


def retention_of(
    conditions: Conditions, later: Sequence[LaterFit], bake: BakeFit | None, laws: dict[LawName, RetentionLawFit]
) -> tuple[Retention | None, dict[float, np.ndarray]]:
    """Return the cell's retention and the covariance of each time's error model; None without later times."""
    if not later and bake is None:
        return None, {}
    points = []
    for each in later:
        rows = fitted_columns(each.states.table)
        mean = TableShift(rows["target"].tolist(), rows["mean"].tolist(), rows["mean_stderr"].tolist())
        points.append(RetentionPoint(each.time, mean, each.fit.model))
    positive = [time for time in (conditions.time, *(point.time for point in points)) if time > 0] or [1.0]
    best = next(iter(laws.values()), None)
    return Retention(
        law=None if best is None or best.goodness < REJECTED else best.law,
        points=tuple(points),
        time_axis="log" if max(positive) / min(positive) >= WIDE_TIMES else "linear",
        activation_energy=None if bake is None else bake.activation_energy,
        temperature=conditions.bake_temperature or ROOM_TEMPERATURE,
        start=conditions.time,
    ), {each.time: each.fit.covariance for each in later}
