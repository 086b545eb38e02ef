"""Times since programming: from stamps of a clock, and checks that they are such times."""

from __future__ import annotations

import numpy as np

from devicekit.common.errors import MeasurementError
from devicekit.measurements.interpreted import Interpreted

DECADES = 10 * 365.25 * 86400.0
"""No cell is read longer after its programming than that [s]; larger times count from an epoch of a clock."""
CALENDAR = (20_000.0, 80_000.0)
"""Days since 1900 of measurements on computers."""
ROUNDS = 20.0
"""A gap that many times the usual one parts rounds of reading."""
TEMPERATURES = {25.0, 27.0, 85.0, 125.0, 150.0, 298.0, 300.0, 358.0}
"""Where reads and bakes usually are, in degrees Celsius or kelvin."""
_TOLD = 1e11
"""Larger numbers without a unit are milliseconds of a clock."""


def resolve_times(result: Interpreted) -> None:
    """Turn stamps of a clock into times since programming, in place.

    The first stamp of each cell is taken for its programming; without a column of cells, the first of the file is, if
    cells share their stamps.

    Raises:
        MeasurementError: negative times, stamps that do not say which cell was programmed when.
    """
    if "time" not in result.columns:
        return
    time = result.numbers("time")
    line = next((line for line in result.roles if line.role == "time"), None)
    if line is not None and line.how == "assumed" and np.all(time > _TOLD):
        time = time / 1000.0
        result.notes.append("times without a unit as large as these were taken for milliseconds of a clock")
    if result.absolute_time or (len(time) and float(time.min()) > DECADES):
        time = _since_first(result, time)
    elif np.any(time < 0):
        row = int(np.flatnonzero(time < 0)[0])
        raise MeasurementError(
            f"{result.where(row)}: a time of {time[row]:g} s is before programming; times count from it. Leave the"
            " column out with `ignore` if it is something else."
        )
    elif line is not None and line.how == "assumed" and np.any(time > 0):
        _check_bare(result, time, line.header)
        result.warnings.append(
            f"times of {line.header!r} have no unit and were read as seconds, 0 to {time.max():g} s; say"
            " units={'time': 'h'} if they are not"
        )
    _check_clock(result, time)
    result.columns["time"] = time


def _check_clock(result: Interpreted, time: np.ndarray) -> None:
    """Refuse times that only count the rows: an instrument's clock while it went from cell to cell."""
    gaps = np.diff(np.unique(time))
    if "cell" in result.columns or len(gaps) < 8 or len(gaps) + 1 < 0.9 * len(time):
        return
    if gaps.max() < ROUNDS * np.median(gaps):
        line = next(line for line in result.roles if line.role == "time")
        raise MeasurementError(
            f"{result.place}: every row has its own time in {line.header!r}, one after another: the clock of the"
            " instrument, not times since programming. Leave it out with `ignore`, or say which cell was read with"
            " `cell`."
        )


def _check_bare(result: Interpreted, time: np.ndarray, header: str) -> None:
    """Refuse numbers without a unit that are rather days of a calendar, or temperatures."""
    low, high = float(time.min()), float(time.max())
    if low > CALENDAR[0] and high < CALENDAR[1] and high - low < 0.2 * low and np.any(time % 1 != 0):
        raise MeasurementError(
            f"{result.place}: {header!r} from {low:g} to {high:g} without a unit looks like days of a spreadsheet's"
            " calendar; say units={'time': 'day'}, or the unit it is in."
        )
    distinct = set(np.unique(time).tolist())
    if header.strip().lower() == "t" and distinct & TEMPERATURES and low > 0 and high < 600:
        raise MeasurementError(
            f"{result.place}: {header!r} without a unit can be a time or a temperature; say which with time={header!r}"
            f" and units={{'time': 's'}}, or temperature={header!r} and units={{'temperature': 'degC'}}."
        )


def _since_first(result: Interpreted, time: np.ndarray) -> np.ndarray:
    roles = [role for role in ("cell", "die", "wafer") if role in result.columns]
    if "cell" in roles:
        keys = ["target", "cycle", *roles] if "target" in result.columns else ["cycle", *roles]
        codes = [np.unique(result.columns[key], return_inverse=True)[1] for key in keys if key in result.columns]
        cell = np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)[1].ravel()
        result.notes.append("times are stamps of a clock: each cell's first one was taken for its programming")
    else:
        if len(np.unique(time)) > max(1, len(time) // 4):
            raise MeasurementError(
                f"{result.place}: times are stamps of a clock, nearly all different, and no column says which cell was"
                " read; name it with `cell`, or leave the stamps out with `ignore`."
            )
        cell = np.zeros(len(time), dtype=np.int64)
        result.notes.append("times are stamps of a clock: the first one was taken for the programming of all cells")
    first = np.full(cell.max() + 1, np.inf)
    np.minimum.at(first, cell, time)
    return np.asarray(time - first[cell])
