"""A table as a file holds it, before anyone knows what its columns mean, that can say where each row stood."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from devicekit.common.errors import MeasurementError
from devicekit.measurements.number_formats import MISSING, OVERFLOW, OVERFLOWS

Column = Sequence[str] | NDArray[np.generic]

MOST_COLUMNS = 5000
"""More columns than that are no measurement table (a wide one has a column a target)."""


CHANCE = 1e-3
"""A column explains variance where it does more than chance at this level."""


@dataclass(frozen=True)
class Unused:
    """Something in a file that was not read.

    Attributes:
        kind: ``"column"``, ``"sheet"``, ``"file"``, ``"rows"`` or ``"line"``.
        name: which: a header, a sheet's name, a count of rows.
        reason: why, in words.
        explains: share of the values' variance within their states that it explains; None: not tested.
        p: chance of explaining so much by accident; None: not tested.
    """

    kind: str
    name: str
    reason: str
    explains: float | None = None
    p: float | None = None

    def __str__(self) -> str:
        shows = self.explains is not None and self.p is not None and self.p < CHANCE
        told = f"; it explains {self.explains:.0%} of the variance within states" if shows else ""
        return f"{self.kind} {self.name}: {self.reason}{told}"


@dataclass(frozen=True, eq=False)
class RawTable:
    """Columns of text or numbers with the place of every row.

    Attributes:
        place: the file, with the sheet or array in brackets.
        headers: one a column.
        columns: text (a sequence of str) or numbers (an array), all of the same length.
        lines: line in the file of each row, or None where rows are numbered.
        metadata: ``key = value`` of comments and preambles, keys in lower case.
        units: unit by column index where the file states units outside the headers.
        units_from: where those units stand, in words.
        notes: what the reader did that a person should know.
        row_word: what a row is called in errors.
        name: what tells the table from others beside it: its sheet, array or file.
        named: whether the headers are the file's own; False: columns are numbered.
        unused: what of the file is not in the table.
        missing_marks: numbers that stand for missing ones.
        parsed: columns that were read as numbers before.
    """

    place: str
    headers: tuple[str, ...]
    columns: tuple[Column, ...]
    lines: Sequence[int] | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    units: dict[int, str] = field(default_factory=dict)
    units_from: str = "file"
    notes: tuple[str, ...] = ()
    row_word: str = "row"
    name: str = ""
    named: bool = True
    unused: tuple[Unused, ...] = ()
    missing_marks: tuple[float, ...] = ()
    parsed: dict[int, NDArray[np.float64]] = field(default_factory=dict, init=False, repr=False)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.columns[0]) if self.columns else 0

    def row(self, row: int) -> str:
        """Return ``file:line``, or file and row, for an error."""
        if self.lines is not None:
            return f"{self.place}:{self.lines[row]}"
        return f"{self.place}, {self.row_word} {row + 1}"

    def where(self, row: int, column: int) -> str:
        """Return ``file:line`` (or file and row) and the column, for an error."""
        return f"{self.row(row)}, column {self.headers[column]!r}"

    def numbers(self, column: int) -> NDArray[np.float64]:
        """Return a column as numbers; missing entries and marks of overflow are NaN (see `marked`).

        Raises:
            MeasurementError: text that is no number, or an infinite one; with file and line.
        """
        values = self._values(column)
        if np.any(np.isinf(values)):
            row = int(np.flatnonzero(np.isinf(values))[0])
            raise MeasurementError(f"{self.where(row, column)}: expected a finite number, but got {values[row]}.")
        marks = self._marks(values)
        return np.where(marks, np.nan, values) if np.any(marks) else values.copy()

    def marked(self, column: int) -> NDArray[np.bool_]:
        """Return which entries of a column are marks of overflow, or numbers that stand for missing ones."""
        values = self._values(column)
        marks = self._marks(values)
        raw = self.columns[column]
        if not isinstance(raw, np.ndarray) and np.any(np.isnan(values)):
            for row in map(int, np.flatnonzero(np.isnan(values))):
                marks[row] = str(raw[row]).strip().lower() in OVERFLOWS
        return marks

    def _marks(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        with np.errstate(invalid="ignore"):
            marks = np.abs(values) >= OVERFLOW
        for mark in self.missing_marks:
            marks |= values == mark
        return np.asarray(marks)

    def _values(self, column: int) -> NDArray[np.float64]:
        if column not in self.parsed:
            self.parsed[column] = self._read(column)
        return self.parsed[column]

    def _read(self, column: int) -> NDArray[np.float64]:
        raw = self.columns[column]
        if isinstance(raw, np.ndarray) and raw.dtype.kind in "fiub":
            return raw.astype(np.float64)
        try:
            return np.array(raw, dtype=np.float64)
        except (ValueError, TypeError, OverflowError):
            pass
        values = np.empty(len(raw))
        for row, item in enumerate(raw):
            text = "" if item is None else str(item).strip()
            word = text.lower()
            try:
                values[row] = math.nan if word in MISSING or word in OVERFLOWS else float(text.replace("−", "-"))
            except ValueError:
                raise MeasurementError(
                    f"{self.where(row, column)}: expected a number, but got {text[:60]!r}."
                ) from None
        return values

    def is_numeric(self, column: int) -> bool:
        """Return whether every entry of a column is a number or missing, and not all are missing."""
        try:
            values = self._values(column)
        except MeasurementError:
            return False
        return bool(np.any(~np.isnan(values))) if len(values) else False

    def labels(self, column: int) -> NDArray[np.generic]:
        """Return a column of labels (cell, die, wafer, cycle): its numbers, or its entries as text."""
        raw = self.columns[column]
        if isinstance(raw, np.ndarray) and raw.dtype.kind in "fiubU":
            return raw
        return np.array([str(item).strip() for item in raw])


def check_headers(headers: Sequence[str], where: str) -> None:
    """Refuse headers that cannot name columns.

    Raises:
        MeasurementError: too many columns, or the same header twice.
    """
    if len(headers) > MOST_COLUMNS:
        raise MeasurementError(
            f"{where}: {len(headers)} columns, more than the {MOST_COLUMNS} a measurement table can have; is it"
            " transposed? A table has one row a cell, or one column a target."
        )
    seen: dict[str, int] = {}
    for index, header in enumerate(headers):
        name = header.strip()
        # Two columns of one target are more cells of it; any other name stands for one column.
        if name in seen and name and not name[0].isdigit():
            raise MeasurementError(
                f"{where}: the header {name!r} stands over columns {seen[name] + 1} and {index + 1}; name each once."
            )
        seen[name] = index
