"""Long, wide and histogram tables turned into SI arrays by role."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from devicekit.common.errors import MeasurementError
from devicekit.measurements.column_roles import (
    CURRENT_ROLES,
    ColumnRole,
    Conversion,
    conversion,
    recognise_columns,
    split_header,
)
from devicekit.measurements.raw_tables import RawTable

Layout = Literal["auto", "long", "wide", "histogram"]
LAYOUTS = ("auto", "long", "wide", "histogram")
_LABELS = ("cycle", "read", "cell", "die", "wafer")
_TARGET_HEADER = re.compile(
    r"^(?:[A-Za-z_]+\s*[=@:_]\s*)?(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*[\[\(]?\s*"
    r"(?P<unit>[A-Za-zµμ]*)\s*[\]\)]?$"
)


@dataclass
class Interpreted:
    """Arrays by role in SI units, with how they were found."""

    columns: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    roles: list[ColumnRole] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def interpret(
    table: RawTable,
    given: Mapping[str, str],
    units: Mapping[str, str],
    read_voltage: float | None,
    layout: Layout,
    drop_missing: bool,
) -> Interpreted:
    """Return a raw table's columns in SI units.

    Args:
        table: what the file holds.
        given: header by role, as told.
        units: unit by role, as told; ``"current"`` holds for every current or conductance.
        read_voltage: turns conductances into currents [V]; None: not known.
        layout: how the table is laid out, or ``"auto"``.
        drop_missing: whether rows with missing numbers are left out (and counted) instead of refused.

    Raises:
        MeasurementError: no such layout, roles that are not there, units or numbers that cannot be used.
    """
    if layout not in LAYOUTS:
        raise MeasurementError(f"Expected `layout` to be one of {', '.join(LAYOUTS)}, but got {layout!r}.")
    reader = _Reader(table, units, read_voltage, drop_missing)
    roles = recognise_columns(table.headers, given, table.place)
    wide = [index for index in range(len(table.headers)) if _target_of(table.headers[index]) is not None]
    wide = [index for index in wide if index not in roles.values()]
    edges = "bin_low" in roles and "bin_high" in roles
    if layout == "auto":
        if edges and ("count" in roles or wide):
            layout = "histogram"
        elif "target" in roles and "value" in roles:
            layout = "long"
        elif wide:
            layout = "wide"
    if layout == "histogram" and edges and "count" in roles and "target" in roles:
        return reader.long(roles, ("target", "bin_low", "bin_high", "count"))
    if layout == "histogram" and edges and wide:
        return reader.wide(roles, wide, histogram=True)
    if layout == "long" and "target" in roles and "value" in roles:
        return reader.long(roles, ("target", "value"))
    if layout == "wide" and wide:
        return reader.wide(roles, wide, histogram=False)
    found = ", ".join(f"{role} = {table.headers[index]!r}" for role, index in roles.items()) or "none"
    raise MeasurementError(
        f"{table.place}: cannot tell which columns hold the programmed target and the measured value. Columns:"
        f' {_listed(table.headers)}. Recognised: {found}. Say which with target="..." and value="...", or name wide'
        " columns by their targets, such as '50 nA'."
    )


def _listed(headers: tuple[str, ...]) -> str:
    shown = ", ".join(map(repr, headers[:12]))
    return f"{shown} and {len(headers) - 12} more" if len(headers) > 12 else shown


def _target_of(header: str) -> tuple[float, str] | None:
    match = _TARGET_HEADER.match(header.strip())
    return (float(match["number"]), match["unit"]) if match else None


class _Reader:
    def __init__(
        self, table: RawTable, units: Mapping[str, str], read_voltage: float | None, drop_missing: bool
    ) -> None:
        self.table = table
        self.units = units
        self.read_voltage = read_voltage
        self.drop_missing = drop_missing
        self.result = Interpreted()

    def long(self, roles: Mapping[str, int], needed: tuple[str, ...]) -> Interpreted:
        """Read one row a cell (or a bin)."""
        keep = np.ones(self.table.rows, dtype=bool)
        unit_source = "value" if "value" in roles else "bin_low"
        for role, index in roles.items():
            if role in ("value", "bin_low", "bin_high", "count") and role not in needed:
                continue
            if role in _LABELS:
                self._note_role(role, index, "", "name")
                self.result.columns[role] = self.table.labels(index).astype(np.float64)
                continue
            numbers = self.table.numbers(index)
            keep &= self._present(numbers, index)
            self.result.columns[role] = self._si(role, index, numbers, roles[unit_source])
        return self._finish(keep)

    def wide(self, roles: Mapping[str, int], wide: list[int], histogram: bool) -> Interpreted:
        """Read one column a target; the other columns belong to every cell of their row."""
        per_row = {role: index for role, index in roles.items() if role not in ("target", "value", "count")}
        if not histogram:
            per_row = {role: index for role, index in per_row.items() if role not in ("bin_low", "bin_high")}
        shared = {}
        keep_row = np.ones(self.table.rows, dtype=bool)
        for role, index in per_row.items():
            if role in _LABELS:
                self._note_role(role, index, "", "name")
                shared[role] = self.table.labels(index).astype(np.float64)
            else:
                numbers = self.table.numbers(index)
                keep_row &= self._present(numbers, index)
                shared[role] = self._si(role, index, numbers, index)
        targets, values, rows, empty = [], [], [], 0
        for index in wide:
            number, unit = _target_of(self.table.headers[index]) or (0.0, "")
            how = self._current_unit("target", index, index, unit or None)
            targets.append(self._convert("target", np.array([number]), how, index)[0])
            numbers = self.table.numbers(index)
            blank = np.isnan(numbers)
            if histogram and np.any(blank):
                row = int(np.flatnonzero(blank)[0])
                raise MeasurementError(f"{self.table.where(row, index)}: expected a count, but it is missing.")
            # A state with fewer cells leaves the rest of its column empty: that is its length, not a fault.
            last = int(np.flatnonzero(~blank)[-1]) + 1 if not np.all(blank) else 0
            if not histogram:
                keep = self._present(numbers[:last], index)
                empty += len(numbers) - last
                rows.append(np.flatnonzero(keep))
                values.append(self._convert("value", numbers[:last][keep], how, index))
            else:
                rows.append(np.arange(len(numbers)))
                values.append(numbers)
            if index == wide[0]:
                role = "count" if histogram else "value"
                self.result.roles.append(
                    ColumnRole(role, f"{len(wide)} columns named by target", "" if histogram else how.unit, "name")
                )
        if empty:
            self.result.notes.append(f"{empty} empty entries below the last cell of a column were not counted as cells")
        which = np.concatenate(rows)
        self.result.columns["target"] = np.repeat(np.array(targets), [len(row) for row in rows])
        self.result.columns["count" if histogram else "value"] = np.concatenate(values)
        for role, column in shared.items():
            self.result.columns[role] = column[which]
        return self._finish(keep_row[which])

    def _present(self, numbers: NDArray[np.float64], index: int) -> NDArray[np.bool_]:
        present = ~np.isnan(numbers)
        if not self.drop_missing and not np.all(present):
            row = int(np.flatnonzero(~present)[0])
            raise MeasurementError(
                f"{self.table.where(row, index)}: the number is missing (NaN or empty), {int((~present).sum())} in all;"
                ' missing="drop" leaves such rows out and counts them.'
            )
        return np.asarray(present)

    def _finish(self, keep: NDArray[np.bool_]) -> Interpreted:
        dropped = int((~keep).sum())
        if dropped:
            self.result.notes.append(f"{dropped} rows with missing numbers were left out of {len(keep)}")
            self.result.columns = {role: column[keep] for role, column in self.result.columns.items()}
        columns = self.result.columns
        if not len(columns["target"]):
            raise MeasurementError(f"{self.table.place}: no rows are left.")
        if np.any(columns["target"] < 0):
            raise MeasurementError(
                f"{self.table.place}: expected targets of at least 0, but the lowest is {columns['target'].min():g} A."
            )
        if "count" in columns:
            self._check_histogram()
        return self.result

    def _check_histogram(self) -> None:
        columns = self.result.columns
        count = columns["count"]
        if np.any(count < 0) or np.any(count != np.rint(count)):
            bad = int(np.flatnonzero((count < 0) | (count != np.rint(count)))[0])
            raise MeasurementError(
                f"{self.table.place}: expected counts to be whole numbers of at least 0, but bin {bad + 1} has"
                f" {count[bad]:g}."
            )
        if np.any(columns["bin_low"] >= columns["bin_high"]):
            bad = int(np.flatnonzero(columns["bin_low"] >= columns["bin_high"])[0])
            raise MeasurementError(
                f"{self.table.place}: expected the low edge of every bin below the high one, but bin {bad + 1} runs"
                f" from {columns['bin_low'][bad]:g} to {columns['bin_high'][bad]:g} A."
            )

    def _note_role(self, role: str, index: int, unit: str, how: str) -> None:
        self.result.roles.append(ColumnRole(role, self.table.headers[index], unit, how))

    def _si(self, role: str, index: int, numbers: NDArray[np.float64], unit_source: int) -> NDArray[np.float64]:
        if role == "count":
            self._note_role(role, index, "", "name")
            return numbers
        if role in CURRENT_ROLES:
            own = split_header(self.table.headers[index])[1]
            how = self._current_unit(role, index, unit_source, own)
            stated = own or role in self.units or "current" in self.units or index in self.table.units
            self._note_role(role, index, how.unit, "name" if stated else "assumed")
            return self._convert(role, numbers, how, index)
        header_unit = split_header(self.table.headers[index])[1]
        unit = self.units.get(role) or header_unit or self.table.units.get(index)
        if unit is None and role == "time":
            self._note_role(role, index, "s", "assumed")
            return numbers
        if unit is None:
            raise MeasurementError(
                f"{self._column(index)}: the {role} has no unit; write '{role} (degC)' or pass units={{'{role}': 'K'}}."
            )
        how = conversion(role, unit, self._column(index))
        self._note_role(role, index, unit, "argument" if role in self.units else "name")
        return numbers * how.factor + how.offset

    def _column(self, index: int) -> str:
        return f"{self.table.place}, column {self.table.headers[index]!r}"

    def _current_unit(self, role: str, index: int, unit_source: int, own: str | None) -> Conversion:
        source = split_header(self.table.headers[unit_source])[1]
        wide = _target_of(self.table.headers[unit_source])
        if wide is not None:
            source = wide[1] or None
        unit = (
            self.units.get(role)
            or own
            or self.units.get("current")
            or self.table.units.get(index)
            or source
            or self.table.units.get(unit_source)
            or self.table.metadata.get("unit")
        )
        if unit is None:
            raise MeasurementError(
                f"{self._column(index)}: the {role} has no unit; write it in the header, such as 'current (nA)', or"
                ' pass units="nA".'
            )
        how = conversion(role, unit, self._column(index))
        if how.conductance and self.read_voltage is None:
            raise MeasurementError(
                f"{self._column(index)}: conductances ({unit}) need the voltage they were read at; pass"
                " read_voltage=\"0.1 V\" or write '# read_voltage = 0.1 V' into the file."
            )
        return how

    def _convert(self, role: str, numbers: NDArray[np.float64], how: Conversion, index: int) -> NDArray[np.float64]:
        volts = self.read_voltage if how.conductance and self.read_voltage is not None else 1.0
        return numbers * (how.factor * volts)
