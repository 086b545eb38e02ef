"""A table as a file holds it, before anyone knows what its columns mean, that can say where each row stood."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from devicekit.common.errors import MeasurementError

MOST_COLUMNS = 5000
"""More columns than that are no measurement table (a wide one has a column a target)."""
MISSING = frozenset({"", "nan", "na", "n/a", "none", "null", "-", "--"})
"""Spellings of a missing number, lower case."""


@dataclass(frozen=True, eq=False)
class RawTable:
    """Columns of text or numbers with the place of every row.

    Attributes:
        place: the file's name.
        headers: one a column.
        columns: text (a sequence of str) or numbers (an array), all of the same length.
        lines: line in the file of each row, or None where rows are numbered.
        metadata: ``key = value`` of comments and preambles, keys in lower case.
        units: unit by column index where the file states units outside the headers.
        notes: what the reader did that a person should know.
        row_word: what a row is called in errors.
    """

    place: str
    headers: tuple[str, ...]
    columns: tuple[Sequence[str] | NDArray[np.generic], ...]
    lines: Sequence[int] | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    units: dict[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    row_word: str = "row"

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.columns[0]) if self.columns else 0

    def where(self, row: int, column: int) -> str:
        """Return ``file:line`` (or file and row) and the column, for an error."""
        spot = (
            f"{self.place}:{self.lines[row]}" if self.lines is not None else f"{self.place}, {self.row_word} {row + 1}"
        )
        return f"{spot}, column {self.headers[column]!r}"

    def numbers(self, column: int) -> NDArray[np.float64]:
        """Return a column as numbers, missing entries as NaN.

        Raises:
            MeasurementError: text that is no number, or an infinite one; with file and line.
        """
        raw = self.columns[column]
        if isinstance(raw, np.ndarray) and raw.dtype.kind in "fiub":
            values = raw.astype(np.float64)
        else:
            values = self._parsed(raw, column)
        if np.any(np.isinf(values)):
            row = int(np.flatnonzero(np.isinf(values))[0])
            raise MeasurementError(f"{self.where(row, column)}: expected a finite number, but got {values[row]}.")
        return values

    def _parsed(self, raw: Sequence[object] | NDArray[np.generic], column: int) -> NDArray[np.float64]:
        try:
            return np.array(raw, dtype=np.float64)
        except (ValueError, TypeError, OverflowError):
            pass
        values = np.empty(len(raw))
        for row, item in enumerate(raw):
            text = "" if item is None else str(item).strip()
            try:
                values[row] = math.nan if text.lower() in MISSING else float(text.replace("−", "-"))
            except ValueError:
                raise MeasurementError(
                    f"{self.where(row, column)}: expected a number, but got {text[:60]!r}."
                ) from None
        return values

    def labels(self, column: int) -> NDArray[np.int64]:
        """Return a column of labels (cell, die, wafer, cycle) as codes 0, 1, ... in sorted order of the labels."""
        raw = self.columns[column]
        values = raw if isinstance(raw, np.ndarray) and raw.dtype.kind in "fiubU" else np.array([str(x) for x in raw])
        return np.unique(np.asarray(values), return_inverse=True)[1].astype(np.int64)


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
        if name in seen and name:
            raise MeasurementError(
                f"{where}: the header {name!r} stands over columns {seen[name] + 1} and {index + 1}; name each once."
            )
        seen[name] = index
