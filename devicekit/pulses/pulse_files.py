"""Files of update curves: long tables, a column a ramp, and the forms that aihwkit and CrossSim publish."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from devicekit.common.errors import MeasurementError, UnitError
from devicekit.common.quantities import parse_quantity
from devicekit.measurements.column_roles import ALIASES
from devicekit.measurements.containers import read_tables
from devicekit.measurements.header_names import split_header
from devicekit.measurements.number_formats import is_number
from devicekit.measurements.raw_tables import RawTable
from devicekit.measurements.read_options import ReadOptions, number_or_text
from devicekit.measurements.unit_conversions import conversion
from devicekit.pulses.pulse_data import PulseData, ramps_of

Floats = NDArray[np.float64]
Meaning = Literal["cycle", "device"]

_PULSE = {
    "pulse", "pulses", "pulse_number", "pulse_no", "pulse_index", "pulse_count", "n_pulse", "n_pulses",
    "number_of_pulses", "pulse_#", "#", "n", "index", "step",
}  # fmt: skip
_VALUE = {
    "g", "conductance", "i", "current", "g_read", "i_read", "value", "r", "resistance", "w", "weight", "id", "i_d",
    "g_mean", "conductance_mean", "read_current",
}  # fmt: skip
_DEVICE = {"device", "device_id", "cell", "cell_id", "dut", "die", "chip"}
_CYCLE = {"cycle", "cycles", "cycle_number", "ramp", "run", "repeat", "loop", "sweep"}
_DIRECTION = {"direction", "polarity", "type", "pulse_type", "phase", "operation", "mode", "sign"}
_UP = {
    "up", "set", "ltp", "potentiation", "pot", "p", "increasing", "program", "+", "+1", "1", "1.0", "positive",
    "up_data",
}  # fmt: skip
_DOWN = {
    "down", "reset", "ltd", "depression", "dep", "d", "decreasing", "erase", "-", "-1", "0", "-1.0", "negative",
    "down_data",
}  # fmt: skip
_STEPS = ({"up_pulse", "down_pulse"}, {"up_step", "down_step"})
"""Headers of aihwkit's files of step sizes, which are no update curves."""
_OWN = {"1", "", "a.u.", "au", "arb. u.", "normalised", "normalized", "%"}
"""Units of conductances in a unit of their own."""


def read_pulses(
    path: str | Path,
    down: str | Path | None = None,
    *,
    units: str | None = None,
    read_voltage: float | str | None = None,
    columns_are: Meaning = "cycle",
    sheet: str | None = None,
    **columns: str,
) -> PulseData:
    """Read update curves: conductances (or currents, resistances) against pulse number.

    Long tables have one row a pulse (``pulse``, a conductance; where measured ``cycle``, ``device``, and ``direction``,
    else pulses change direction where the conductance turns). Other tables have one column a ramp: two columns, up and
    down, as aihwkit's examples have them (with or without names), or any number, as CrossSim's `set.csv` and
    `reset.csv`, whose empty and zero entries end a ramp. A ramp goes up or down as its column's name says, else as it
    goes.

    Args:
        path: CSV or another table.
        down: a second file with the falling ramps, as CrossSim's `reset.csv`; the first then holds the rising ones.
        units: unit of the numbers where headers state none: ``"uS"``, ``"A"``, ``"kohm"``; ``"1"`` for conductances in
            a unit of their own, such as shares of a range.
        read_voltage: voltage of the read [V], needed with currents; a file may state it in a comment.
        columns_are: whether the columns of a wide table are cycles of one device or different devices.
        sheet: of a workbook, or array of a file of several; None: the only one.
        **columns: header by role (pulse, value, device, cycle, direction), where names are not recognised.

    Raises:
        MeasurementError: a file that cannot be read or understood; the message names the file, and line or column.
    """
    if columns_are not in ("cycle", "device"):
        raise MeasurementError(f"Expected `columns_are` to be 'cycle' or 'device', but got {columns_are!r}.")
    reader = _Reader(units, read_voltage, columns_are, sheet, columns)
    if down is None:
        return reader.read(Path(path), None)
    return reader.read(Path(path), True).joined(reader.read(Path(down), False))


class _Reader:
    def __init__(
        self,
        units: str | None,
        read_voltage: float | str | None,
        columns_are: Meaning,
        sheet: str | None,
        columns: dict[str, str],
    ) -> None:
        self.units = units
        self.read_voltage = read_voltage
        self.columns_are = columns_are
        self.sheet = sheet
        self.columns = columns

    def read(self, path: Path, up: bool | None) -> PulseData:
        table = open_table(path, self.sheet)
        names = [split_header(header)[0] for header in table.headers]
        if any(steps <= set(names) for steps in _STEPS):
            raise MeasurementError(
                f"{table.place}: the columns {', '.join(map(repr, table.headers))} hold step sizes by segment of the"
                " range, not conductances after pulses; there is no curve to fit."
            )
        targets = [own for own, name in zip(table.headers, names, strict=True) if name in ALIASES["target"]]
        roles = self._roles(table, names)
        if targets and "pulse" not in roles:
            raise MeasurementError(
                f"{table.place}: the column {targets[0]!r} holds programmed targets: these are cells, not curves over"
                " pulses; read it with devicekit fit, or say which column counts the pulses (--column pulse=...)."
            )
        if "pulse" in roles and "value" in roles:
            return self._long(table, roles, up)
        if self.columns:
            raise MeasurementError(
                f"{table.place}: no columns for pulse and value; say both, or neither for one column a ramp."
            )
        return self._wide(table, names, up)

    def _roles(self, table: RawTable, names: list[str]) -> dict[str, int]:
        known = {"pulse": _PULSE, "value": _VALUE, "device": _DEVICE, "cycle": _CYCLE, "direction": _DIRECTION}
        roles: dict[str, int] = {}
        for role, header in self.columns.items():
            if role not in known:
                raise MeasurementError(f"{table.place}: no role {role!r}; there are {', '.join(known)}.")
            found = [index for index, own in enumerate(table.headers) if own.strip() == header.strip()]
            found = found or [index for index, own in enumerate(names) if own == header.lower()]
            if len(found) != 1:
                raise MeasurementError(
                    f"{table.place}: {len(found)} columns {header!r} for {role}; there are"
                    f" {', '.join(map(repr, table.headers[:12]))}."
                )
            roles[role] = found[0]
        for role, aliases in known.items():
            found = [index for index, name in enumerate(names) if name in aliases and index not in roles.values()]
            if role not in roles and found:
                roles[role] = found[0]
        return roles

    def _long(self, table: RawTable, roles: dict[str, int], up: bool | None) -> PulseData:
        notes: list[str] = []
        value, unit = self._conductance(table, [roles["value"]], notes)
        pulse = table.numbers(roles["pulse"])
        codes = {role: table.labels(roles[role]) if role in roles else np.zeros(table.rows, dtype=np.int64)
                 for role in ("device", "cycle")}  # fmt: skip
        ways = self._directions(table, roles.get("direction"))
        present = np.isfinite(value[:, 0]) & np.isfinite(pulse)
        if not np.all(present):
            notes.append(f"{int((~present).sum())} rows without a number were left out")
        traces = []
        for device in np.unique(codes["device"]):
            for cycle in np.unique(codes["cycle"][codes["device"] == device]):
                rows = np.flatnonzero((codes["device"] == device) & (codes["cycle"] == cycle) & present)
                if ways is None:
                    traces += [
                        (value[part, 0], up, int(device), int(cycle) + number) for number, part in _trains(rows, pulse)
                    ]
                    continue
                # Pulses of one direction that follow each other in the file are one train.
                for part in np.split(rows, np.flatnonzero(np.diff(ways[rows])) + 1):
                    traces.append((value[part, 0], bool(ways[part[0]]), int(device), int(cycle)))
        return ramps_of(traces, table.place, unit, notes, table.metadata)

    def _directions(self, table: RawTable, column: int | None) -> NDArray[np.int64] | None:
        if column is None:
            return None
        texts = [str(item).strip().lower() for item in table.columns[column]]
        ways = np.array([1 if text in _UP else 0 if text in _DOWN else -1 for text in texts])
        if np.any(ways < 0):
            row = int(np.flatnonzero(ways < 0)[0])
            raise MeasurementError(
                f"{table.where(row, column)}: expected the direction of a pulse, such as up and down or +1 and -1, but"
                f" got {texts[row]!r}."
            )
        return ways

    def _wide(self, table: RawTable, names: list[str], up: bool | None) -> PulseData:
        notes: list[str] = []
        ramps = [index for index, name in enumerate(names) if name not in _PULSE]
        if not ramps:
            raise MeasurementError(f"{table.place}: no column of conductances.")
        value, unit = self._conductance(table, ramps, notes)
        if up is not None:
            # As CrossSim reads them: what is missing or zero is behind the end of a ramp.
            value = np.where(value == 0, np.nan, value)
        traces = []
        sides = {index: (1 if name in _UP else 0 if name in _DOWN else None) for index, name in enumerate(names)}
        for number, (index, column) in enumerate(zip(ramps, value.T, strict=True)):
            side = sides[index]
            way = up if up is not None else None if side is None else bool(side)
            # A named pair, up and down, is one cycle.
            cycle = 0 if side is not None and len(ramps) == 2 else number
            device, cycle = (number, 0) if self.columns_are == "device" else (0, cycle)
            traces.append((column, way, device, cycle))
        return ramps_of(traces, table.place, unit, notes, table.metadata)

    def _conductance(self, table: RawTable, columns: list[int], notes: list[str]) -> tuple[Floats, str]:
        """Return columns as conductances, shape (rows, columns), with their unit: ``"S"``, or empty for their own."""
        numbers = np.stack([table.numbers(index) for index in columns], axis=1)
        stated = self.units or next(
            (unit for index in columns if (unit := split_header(table.headers[index])[1])), None
        ) or table.units.get(columns[0]) or table.metadata.get("unit")  # fmt: skip
        if stated is None:
            largest = float(np.nanmax(np.abs(numbers)))
            if largest < 1e-2:
                raise MeasurementError(
                    f'{table.place}: numbers up to {largest:.3g} have no unit; pass units="S", or "A" with'
                    ' `read_voltage`, or "1" for conductances in a unit of their own.'
                )
            notes.append("the numbers have no unit; they were taken for conductances in a unit of their own")
            return numbers, ""
        if stated.strip().lower() in _OWN:
            return numbers, ""
        how = conversion("value", stated, table.place)
        if how.quantity == "resistance":
            return np.where(numbers > 0, 1.0 / np.where(numbers > 0, numbers * how.factor, 1.0), np.nan), "S"
        if how.quantity == "share":
            return numbers * how.factor, ""
        return numbers * (how.factor / (self._volts(table) if how.quantity == "current" else 1.0)), "S"

    def _volts(self, table: RawTable) -> float:
        given = self.read_voltage if self.read_voltage is not None else table.metadata.get("read_voltage")
        if given is None:
            raise MeasurementError(
                f'{table.place}: currents need the voltage they were read at; pass read_voltage="0.1 V" or write'
                " '# read_voltage = 0.1 V' into the file."
            )
        try:
            volts = parse_quantity(number_or_text(given) if isinstance(given, str) else given, "V", "`read_voltage`")
        except UnitError as error:
            raise MeasurementError(f"{table.place}: {error}") from error
        if volts <= 0:
            raise MeasurementError(f"{table.place}: expected `read_voltage` to be above 0 V, but got {given!r}.")
        return volts


def _trains(rows: NDArray[np.int64], pulse: Floats) -> list[tuple[int, NDArray[np.int64]]]:
    """Return the trains of pulses among rows: all in order of number, or one each where numbers begin again."""
    if len(np.unique(pulse[rows])) == len(rows):
        return [(0, rows[np.argsort(pulse[rows], kind="stable")])]
    return list(enumerate(np.split(rows, np.flatnonzero(np.diff(pulse[rows]) <= 0) + 1)))


def open_table(path: Path, sheet: str | None = None) -> RawTable:
    """Return the table of a file; one without a line of names gets the columns' numbers.

    Args:
        path: the file.
        sheet: of a workbook, or array of several; None: the only one.

    Raises:
        MeasurementError: the file cannot be read, or has several tables.
    """
    tables = read_tables(path, ReadOptions(sheet=sheet))
    if len(tables) > 1:
        names = ", ".join(repr(table.name) for table in tables[:12])
        raise MeasurementError(f"{path}: there are {len(tables)} tables ({names}); pass `sheet`.")
    if tables[0].named and all(map(is_number, tables[0].headers)):
        tables = read_tables(path, ReadOptions(sheet=sheet, header=False))
    return tables[0]
