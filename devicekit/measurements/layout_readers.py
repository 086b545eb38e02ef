"""Tables of every layout read into one form: one row a cell (or a bin), arrays by role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from devicekit.common.errors import MeasurementError
from devicekit.measurements.bins import bin_edges, counts_checked
from devicekit.measurements.column_roles import LABELS, ColumnRole, Roles
from devicekit.measurements.column_units import ColumnUnits, units_that_lost
from devicekit.measurements.header_names import HeaderName, parse_header
from devicekit.measurements.interpreted import Array, Interpreted
from devicekit.measurements.labelled_columns import ColumnLabel
from devicekit.measurements.raw_tables import RawTable, Unused
from devicekit.measurements.read_options import ReadOptions
from devicekit.measurements.state_names import state_column, window_entries

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
_NUMBERS = ("value", "bin_low", "bin_high", "bin_center", "count", "target_low", "target_high", "target")


class LayoutReader:
    """Reads one table, whose columns have their roles, in the layout it was found to have.

    Attributes:
        free: columns without a role; those that are not read become the spare ones.
    """

    def __init__(self, table: RawTable, roles: Roles, options: ReadOptions, free: Sequence[int]) -> None:
        self.table = table
        self.roles = roles
        self.options = options
        self.free = list(free)
        self.units = ColumnUnits(table, options)
        self.result = Interpreted(table.place, notes=list(table.notes), metadata=dict(table.metadata))
        self.result.unused += table.unused

    def long(self, needed: tuple[str, ...]) -> Interpreted:
        """Read one row a cell (or a bin)."""
        rows = np.arange(self.table.rows)
        keep, marked = np.ones(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
        lender = self.roles.index.get("value", self.roles.index.get("bin_low", self.roles.index.get("bin_center")))
        for role, index in self._in_order():
            if role in _NUMBERS and role not in needed:
                self.free.append(index)
            elif role == "target" and self._state(index, rows):
                continue
            elif role not in LABELS:
                values = self.units.column(role, index, lender if role in _NUMBERS else None)
                marks = self.table.marked(index) if self._plain(index) else np.zeros(len(rows), dtype=bool)
                keep &= self._present(values, marks, index)
                marked |= marks
                self.result.columns[role] = values
        self._labels(rows)
        return self._finish(rows, keep, marked)

    def wide(self, labels: Mapping[int, ColumnLabel], histogram: bool) -> Interpreted:
        """Read one column a target (or a time); the other columns belong to every cell of their row."""
        kind = next(iter(labels.values())).role
        keep_row, marked_row = np.ones(self.table.rows, dtype=bool), np.zeros(self.table.rows, dtype=bool)
        shared: dict[str, Array] = {}
        lender = self.roles.index.get("bin_low", self.roles.index.get("bin_center"))
        for role, index in self._in_order():
            taken = role in ("value", "count") or (not histogram and role.startswith("bin_")) or role == kind
            if taken:
                self.free.append(index)
            elif role == "target" and (names := state_column(self.table, index, self.options)) is not None:
                shared["state"] = names
                self.units.note("target", index, "", "name", "", len(names))
            elif role not in LABELS:
                values = self.units.column(role, index, lender if role in _NUMBERS else None)
                marks = self.table.marked(index) if self._plain(index) else np.zeros(self.table.rows, dtype=bool)
                keep_row &= self._present(values, marks, index)
                marked_row |= marks
                shared[role] = values
        first = len(self.units.account)
        found: list[Floats] = []
        headings: list[Array] = []
        rows: list[NDArray[np.int64]] = []
        marked: list[Mask] = []
        empty = 0
        for index, label in labels.items():
            numbers, marks = self.table.numbers(index), self.table.marked(index)
            own = HeaderName("", label.unit or None)
            where = self.table.headers[index]
            heading = self._heading(label, index, own)
            if histogram:
                self._counts(numbers, index)
                chosen, number = np.arange(len(numbers)), numbers
            else:
                # A state with fewer cells leaves the rest of its column empty: that is its length, not a fault.
                there = ~np.isnan(numbers) | marks
                last = int(np.flatnonzero(there)[-1]) + 1 if np.any(there) else 0
                chosen = np.flatnonzero(self._present(numbers[:last], marks[:last], index) | marks[:last])
                empty += len(numbers) - last
                value_unit = own if kind in ("target", "state") else HeaderName("", None)
                number = self.units.convert("value", numbers[chosen], index, value_unit, None, where)
            found.append(number)
            headings.append(np.repeat(heading, len(chosen)))
            rows.append(chosen)
            marked.append(marks[chosen])
        self._summed_up(first, len(labels), kind, "count" if histogram else "value", sum(map(len, rows)))
        if empty:
            self.result.notes.append(f"{empty} empty entries below the last cell of a column were not counted as cells")
        which = np.concatenate(rows)
        self.result.columns["state" if kind == "state" else kind] = np.concatenate(headings)
        self.result.columns["count" if histogram else "value"] = np.concatenate(found)
        self.free = [index for index in self.free if index not in labels]
        for role, column in shared.items():
            self.result.columns[role] = column[which]
        self._repeated(labels, which)
        self._labels(which)
        gone = np.concatenate(marked) | marked_row[which]
        return self._finish(which, keep_row[which] | gone, gone)

    def rows(self, role: str, copies: Sequence[int], names: Sequence[str]) -> Interpreted:
        """Read one row a state, with columns of its cells (or reads, or cycles)."""
        table, count = self.table, len(copies)
        keep_row = np.ones(table.rows, dtype=bool)
        shared: dict[str, Array] = {}
        for own, index in self._in_order():
            if own in ("value", "count") or own.startswith("bin_"):
                self.free.append(index)
            elif own == "target" and (states := state_column(table, index, self.options)) is not None:
                shared["state"] = states
                self.units.note("target", index, "", "name", "", len(states))
            elif own not in LABELS:
                values = self.units.column(own, index, copies[0] if own in _NUMBERS else None)
                keep_row &= self._present(values, np.zeros(table.rows, dtype=bool), index)
                shared[own] = values
        first = len(self.units.account)
        columns, marks, present = [], [], []
        for index in copies:
            numbers, gone = table.numbers(index), table.marked(index)
            # A row with fewer cells than the longest leaves its last columns empty.
            header = parse_header(table.headers[index])
            columns.append(self.units.convert("value", numbers, index, header, None))
            marks.append(gone)
            present.append(~np.isnan(numbers))
        there = np.stack(present, axis=1) | np.stack(marks, axis=1)
        ends = there.shape[1] - np.argmax(there[:, ::-1], axis=1)
        inside = np.arange(count) < np.where(there.any(axis=1), ends, 0)[:, None]
        hole = inside & ~there
        if np.any(hole) and self.options.missing != "drop":
            row, column = map(int, np.argwhere(hole)[0])
            raise MeasurementError(self._missing(row, copies[column], int(hole.sum())))
        chosen = inside & there
        rows, column_of = np.nonzero(chosen)
        self._summed_up(first, count, role, "value", len(rows))
        self.result.columns["value"] = np.stack(columns, axis=1)[chosen]
        for own, entries in shared.items():
            self.result.columns[own] = entries[rows]
        self.free = [index for index in self.free if index not in copies]
        self._labels(rows)
        if role in self.roles:
            raise MeasurementError(
                f"{table.place}: a {role} column, and {count} columns numbered as {role}s; leave one of them out with"
                " `ignore`."
            )
        self.result.columns[role] = np.array(names)[column_of]
        if role == "read" and "cell" not in self.roles:
            self.result.columns["cell"] = rows.astype(np.float64)
            self.result.notes.append("every row was taken for one cell, its columns for reads of it")
        self.result.notes.append(f"states stand in rows, with {count} columns of {role}s")
        empty = int(there.size - inside.sum())
        if empty:
            self.result.notes.append(f"{empty} empty entries behind the last cell of a row were not counted as cells")
        gone = np.stack(marks, axis=1)[chosen]
        return self._finish(rows, keep_row[rows] | gone, gone)

    def confusion(self) -> Interpreted:
        """Read a square matrix of counts: rows are levels written, columns levels read, in equal parts of i_max.

        The outermost levels take whatever lies beyond them: their bins are open to one full scale outside.
        """
        table, i_max = self.table, self.options.i_max
        numeric = [index for index in range(len(table.headers)) if table.is_numeric(index)]
        levels = table.rows
        if len(numeric) != levels:
            raise MeasurementError(
                f"{table.place}: a confusion matrix is square, but this has {levels} rows and {len(numeric)} columns of"
                " numbers."
            )
        numbers = np.stack([table.numbers(index) for index in numeric], axis=1)
        if i_max is None:
            raise MeasurementError(
                f"{table.place}: a confusion matrix needs the full scale that its {levels} levels divide; pass"
                ' i_max="1.6 uA".'
            )
        edges = np.arange(levels + 1) * i_max / levels
        center = (edges[:-1] + edges[1:]) / 2
        edges[0], edges[-1] = -i_max, 2 * i_max
        row, column = np.meshgrid(np.arange(levels), np.arange(levels), indexing="ij")
        self.result.columns = {
            "target": center[row].ravel(),
            "bin_low": edges[column].ravel(),
            "bin_high": edges[column + 1].ravel(),
            "count": numbers.ravel(),
        }
        counts_checked(self.result)
        self.units.account.append(ColumnRole("count", f"{levels} x {levels} counts", "", "argument", "", levels**2))
        self.result.notes.append(f"levels are {levels} equal parts of i_max; the outermost bins are open")
        self.free = []
        return self._finish(row.ravel(), np.ones(levels**2, dtype=bool), np.zeros(levels**2, dtype=bool))

    def _in_order(self) -> list[tuple[str, int]]:
        return list(self.roles.index.items())

    def _plain(self, index: int) -> bool:
        return self.table.is_numeric(index)

    def _state(self, index: int, rows: NDArray[np.int64]) -> bool:
        """Read a target column that holds windows or names of states; return whether it did."""
        table = self.table
        windows = window_entries(table, index)
        if windows is not None:
            lender = self.roles.index.get("value", index)
            for role, numbers, unit in (("target_low", windows.low, windows.unit),
                                        ("target_high", windows.high, windows.unit)):  # fmt: skip
                own = parse_header(table.headers[index])
                header = replace(own, unit=unit or own.unit)
                self.result.columns[role] = self.units.convert(role, numbers, index, header, lender)
            return True
        names = state_column(table, index, self.options)
        if names is None:
            return False
        self.result.columns["state"] = names
        self.units.note("target", index, "", "name", "", len(rows))
        return True

    def _heading(self, label: ColumnLabel, index: int, own: HeaderName) -> Array:
        if label.role == "state":
            return np.array([label.text])
        return self.units.convert(label.role, np.array([label.number]), index, own, None, self.table.headers[index])

    def _labels(self, rows: NDArray[np.int64]) -> None:
        for role in LABELS:
            if role in self.roles.index:
                index = self.roles.index[role]
                self.units.note(role, index, "", "name", "", len(rows))
                self.result.columns[role] = self.table.labels(index)[rows]
            elif self.roles.joined.get(role) == ():
                self.result.columns[role] = rows.astype(np.float64)
                self.result.notes.append(f"rows were counted as {role}s, in the order of the file")
            elif role in self.roles.joined:
                group = self.roles.joined[role]
                parts = [self.table.labels(index)[rows] for index in group]
                self.result.columns[role] = np.array([",".join(map(str, each)) for each in zip(*parts, strict=True)])
                names = " + ".join(self.table.headers[index] for index in group)
                self.units.note(role, group[0], "", "name", "", len(rows), names)

    def _repeated(self, labels: Mapping[int, ColumnLabel], rows: NDArray[np.int64]) -> None:
        levels = [(label.role, label.number, label.unit, label.text) for label in labels.values()]
        repeated = len(levels) - len(set(levels))
        if repeated:
            self.result.notes.append(
                f"{len(levels)} columns hold {len(set(levels))} {next(iter(labels.values())).role}s: columns of the"
                " same one were read as more cells of it"
            )

    def _summed_up(self, first: int, count: int, kind: str, role: str, rows: int) -> None:
        """Replace the account of many alike columns by one line."""
        lines = self.units.account[first:]
        del self.units.account[first:]
        what = "named by " + kind if kind in ("target", "time", "temperature", "state") else f"of {kind}s"
        values = [line for line in lines if line.role == role]
        unit = ", ".join(dict.fromkeys(line.unit for line in values if line.unit))
        source = ", ".join(dict.fromkeys(line.unit_from for line in values if line.unit_from))
        how = values[0].how if values else "name"
        self.units.account.append(ColumnRole(role, f"{count} columns {what}", unit, how, source, rows))

    def _counts(self, numbers: Floats, index: int) -> None:
        blank = np.isnan(numbers)
        if np.any(blank):
            row = int(np.flatnonzero(blank)[0])
            raise MeasurementError(f"{self.table.where(row, index)}: expected a count, but it is missing.")

    def _present(self, values: Floats, marks: Mask, index: int) -> Mask:
        there = ~np.isnan(values)
        missing = ~there & ~marks
        if self.options.missing != "drop" and np.any(missing):
            row = int(np.flatnonzero(missing)[0])
            raise MeasurementError(self._missing(row, index, int(missing.sum())))
        return np.asarray(there | marks)

    def _missing(self, row: int, index: int, count: int) -> str:
        return (
            f'{self.table.where(row, index)}: the number is missing (NaN or empty), {count} in all; missing="drop"'
            " leaves such rows out and counts them."
        )

    def _finish(self, rows: NDArray[np.int64], keep: Mask, marked: Mask) -> Interpreted:
        result, table = self.result, self.table
        result.roles = self.units.account
        result.notes += self.units.notes + units_that_lost(result.roles, self.options.units)
        result.read_voltage = self.units.read_voltage
        result.absolute_time = self.units.absolute_time
        result.target_scale = self.units.target_scale
        lines = {line.role: line for line in result.roles}
        source = lines["target"].unit_from if "target" in lines else ""
        result.borrowed_target = source.startswith("column") or (
            source == "option" and "target" not in self.options.units
        )
        bin_edges(result, table.place)
        for index in dict.fromkeys(self.free):
            name = table.headers[index].strip() or f"column {index + 1} (no header)"
            if name not in result.spare and any(str(item).strip() for item in table.columns[index]):
                result.spare[name] = table.labels(index)[rows]
        result.tables, result.row_of, result.table_of = (table,), rows, np.zeros(len(rows), dtype=np.int64)
        if not np.all(keep):
            result.notes.append(f"{int((~keep).sum())} rows with missing numbers were left out of {len(keep)}")
            result.unused.append(Unused("rows", str(int((~keep).sum())), "missing numbers"))
        out = marked & keep
        if np.any(out):
            count = int(out.sum())
            what = "a mark of overflow or of no number (such as 9.9e37) instead of a value"
            result.unused.append(Unused("rows", str(count), what))
            result.warnings.append(
                f"{count} of {len(keep)} rows have {what}; they were left out. Currents out of the instrument's range"
                " are missing at one end of their state, so its spread may be larger"
            )
        if np.any(out) or not np.all(keep):
            result = result.kept(keep & ~marked)
        if not result.rows:
            raise MeasurementError(f"{table.place}: no rows are left.")
        if "count" in result.columns:
            counts_checked(result)
        return result
