"""Measurements sorted by condition: programmed state, later times (retention), read temperatures, bakes."""

from __future__ import annotations

import numpy as np

from devicekit.cells.subthreshold import ROOM_TEMPERATURE
from devicekit.cells.tails import Tail
from devicekit.fits.fit_values import LaterFit
from devicekit.fits.model_fits import fit_model
from devicekit.fits.outliers import fitted_columns, later_body
from devicekit.fits.temperature_fits import BakeFit, ReadTemperatureFit, fit_bake, fit_read_temperature
from devicekit.measurements.measurements import Measurements
from devicekit.statistics.recording import Recording
from devicekit.statistics.state_tables import PLAIN, Estimator, States, state_statistics


class Conditions:
    """Measurements sorted by condition.

    The programmed state is the earliest time, read at the temperature nearest 300 K. Where there are bakes, retention
    is followed at the bake temperature with the most times (the lowest of those).

    Attributes:
        base: rows of the programmed state.
        time: its time [s]; 0 where the file has no times.
        temperature: read temperature [K].
        bake_temperature: storage temperature that retention is followed at [K]; None: no bake column.
        notes: which condition was taken for the programmed state.
    """

    def __init__(self, measurements: Measurements) -> None:
        self.all = measurements
        columns = measurements.columns
        self.notes: list[str] = []
        self.temperature = ROOM_TEMPERATURE
        keep = np.ones(measurements.rows, dtype=bool)
        if "temperature" in columns:
            distinct = np.unique(columns["temperature"])
            self.temperature = float(distinct[np.argmin(np.abs(distinct - ROOM_TEMPERATURE))])
            keep &= columns["temperature"] == self.temperature
            if len(distinct) > 1:
                self.notes.append(f"the cell was fitted at its read temperature of {self.temperature:g} K")
        self._at_temperature = keep.copy()
        self.bake_temperature: float | None = None
        if "bake_temperature" in columns:
            bakes = columns["bake_temperature"]
            distinct = np.unique(bakes)
            times = [len(np.unique(columns["time"][bakes == bake])) if "time" in columns else 1 for bake in distinct]
            self.bake_temperature = float(distinct[int(np.argmax(times))])
            keep &= bakes == self.bake_temperature
            if len(distinct) > 1:
                self.notes.append(f"retention was followed at the storage temperature {self.bake_temperature:g} K")
        self._at_reference = keep
        self.time = float(columns["time"][keep].min()) if "time" in columns else 0.0
        if "time" in columns:
            keep = keep & (columns["time"] == self.time)
        self.base = measurements.where(keep)

    @property
    def followed(self) -> Measurements:
        """Rows of the programmed states at all times, at the reference temperatures."""
        return self.all.where(self._at_reference)

    def later(self) -> list[tuple[float, Measurements]]:
        """Return later times [s] with their rows, at the reference temperatures."""
        if "time" not in self.all.columns:
            return []
        followed = self.followed
        times = followed.columns["time"]
        return [(float(time), followed.where(times == time)) for time in np.unique(times) if time > self.time]

    def hotter(self) -> list[tuple[float, Measurements]]:
        """Return other read temperatures [K] with their rows at the programmed state's time."""
        columns = self.all.columns
        if "temperature" not in columns:
            return []
        same = np.ones(self.all.rows, dtype=bool)
        for role, value in (("time", self.time), ("bake_temperature", self.bake_temperature)):
            if role in columns:
                same &= columns[role] == value
        return [
            (float(t), self.all.where(same & (columns["temperature"] == t)))
            for t in np.unique(columns["temperature"][same])
            if t != self.temperature
        ]

    def bakes(self) -> list[tuple[float, float, Measurements]]:
        """Return bakes as (temperature [K], time [s], rows), times above 0 only."""
        columns = self.all.columns
        if "bake_temperature" not in columns or "time" not in columns or self.all.is_histogram:
            return []
        rows = self.all.where(self._at_temperature)
        pairs = np.unique(np.stack([rows.columns["bake_temperature"], rows.columns["time"]], axis=1), axis=0)
        return [
            (
                float(bake),
                float(time),
                rows.where((rows.columns["bake_temperature"] == bake) & (rows.columns["time"] == time)),
            )
            for bake, time in pairs
            if time > 0
        ]


def later_fits(
    conditions: Conditions,
    estimator: Estimator,
    model: str,
    i_max: float,
    recording: Recording = PLAIN,
    tail: Tail | None = None,
) -> list[LaterFit]:
    """Return statistics and fit of the states at each later time, with the error model of the programmed state.

    Args:
        conditions: the sorted measurements.
        estimator: of the spread of a state.
        model: the error model.
        i_max: full scale [A].
        recording: how currents were recorded.
        tail: outlier cells of the programmed states; models are then fitted to the body. None: none.
    """
    result = []
    for time, rows in conditions.later():
        states = state_statistics(rows, estimator, recording)
        if tail is not None:
            states = later_body(states, tail, i_max)
        table = fitted_columns(states.table)
        fit = fit_model(model, table["target"], table["sigma"], table["dof"], i_max)
        result.append(LaterFit(time, states, fit))
    return result


def read_temperature_fit(conditions: Conditions, base: States) -> ReadTemperatureFit | None:
    """Return the fitted law of read temperature, or None where only one temperature was measured.

    Args:
        conditions: the sorted measurements.
        base: the programmed states at the reference temperature.
    """
    rows = conditions.hotter()
    if not rows:
        return None
    others = [state_statistics(each).table.set_index("target") for _, each in rows]
    own = base.table.set_index("target")
    common = own.index[own["mean"] > 0]
    for other in others:
        common = common.intersection(other.index[other["mean"] > 0])
    if not len(common):
        return None
    own = own.loc[common].sort_values("mean")
    mean = np.stack([other.loc[own.index, "mean"].to_numpy() for other in others])
    relative = np.stack(
        [(other.loc[own.index, "mean_stderr"] / other.loc[own.index, "mean"]).to_numpy() for other in others]
    )
    stderr = np.sqrt(relative**2 + ((own["mean_stderr"] / own["mean"]).to_numpy()) ** 2)
    return fit_read_temperature(
        conditions.temperature, own["mean"].to_numpy(), [temperature for temperature, _ in rows], mean, stderr
    )


def bake_fit(conditions: Conditions, i_max: float) -> BakeFit | None:
    """Return the activation energy of bake loss, or None for fewer than three bake temperatures.

    The change is the root mean square of value - target over the full scale, less that of the same cells before the
    bake where time 0 was measured.

    Args:
        conditions: the sorted measurements.
        i_max: full scale [A].
    """
    bakes = conditions.bakes()
    if len({bake for bake, _, _ in bakes}) < 3:
        return None
    before: dict[float, float] = {}
    columns = conditions.all.columns
    for bake in {bake for bake, _, _ in bakes}:
        start = (columns["bake_temperature"] == bake) & (columns["time"] == 0)
        if np.any(start):
            before[bake] = float(np.mean(((columns["value"] - columns["target"])[start] / i_max) ** 2))
    change, stderr = [], []
    for bake, _, rows in bakes:
        squares = ((rows.columns["value"] - rows.columns["target"]) / i_max) ** 2
        mean = max(float(squares.mean()) - before.get(bake, 0.0), 1e-12)
        change.append(np.sqrt(mean))
        stderr.append(0.5 * float(squares.std()) / np.sqrt(len(squares)) / np.sqrt(mean))
    return fit_bake([bake for bake, _, _ in bakes], [time for _, time, _ in bakes], change, stderr)
