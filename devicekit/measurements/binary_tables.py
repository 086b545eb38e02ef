"""Parquet and XLSX files as raw tables."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from devicekit.common.errors import MeasurementError
from devicekit.measurements.raw_tables import RawTable, check_headers
from devicekit.measurements.text_tables import table_start

LEAST_ROWS = 2
"""A header and one row of numbers."""


def read_parquet_table(path: Path) -> RawTable:
    """Return the table of a Parquet file; nulls become NaN.

    Raises:
        MeasurementError: not a Parquet file, or columns that cannot be measurements.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        # The header is checked before the columns are read: a file may have a million of them.
        names = pyarrow.parquet.read_schema(path).names
        check_headers(names, str(path))
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MeasurementError(f"{path}: not a Parquet file: {reason}") from error
    columns = []
    for name, column in zip(names, table.columns, strict=True):
        if pyarrow.types.is_floating(column.type) or pyarrow.types.is_integer(column.type):
            columns.append(column.to_numpy())
        elif pyarrow.types.is_dictionary(column.type) or pyarrow.types.is_string(column.type):
            columns.append([str(item) if item is not None else "" for item in column.to_pylist()])
        elif pyarrow.types.is_decimal(column.type) or pyarrow.types.is_boolean(column.type):
            columns.append(np.array([np.nan if item is None else float(item) for item in column.to_pylist()]))
        else:
            raise MeasurementError(f"{path}, column {name!r}: expected numbers or text, but got type {column.type}.")
    if not columns or not table.num_rows:
        raise MeasurementError(f"{path}: the file has no rows.")
    metadata = {
        key.decode("utf-8", "replace").lower(): value.decode("utf-8", "replace")
        for key, value in (table.schema.metadata or {}).items()
        if not key.startswith((b"pandas", b"ARROW"))
    }
    return RawTable(str(path), tuple(names), tuple(columns), metadata=metadata)


def read_excel_table(path: Path, sheet: str | None = None) -> RawTable:
    """Return the table of a sheet; rows before it are a preamble, as in a text file.

    Args:
        path: an XLSX file.
        sheet: the sheet's name; None: the first.

    Raises:
        MeasurementError: not an XLSX file, no such sheet, or no table in it.
    """
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise MeasurementError(f"{path}: not an XLSX file: {error}") from error
    try:
        if sheet is not None and sheet not in book.sheetnames:
            raise MeasurementError(f"{path}: no sheet {sheet!r}; there are {', '.join(map(repr, book.sheetnames))}.")
        chosen = book[sheet] if sheet is not None else book.worksheets[0]
        rows = [list(row) for row in chosen.iter_rows(values_only=True)]
        place = f"{path}[{chosen.title}]"
    finally:
        book.close()
    metadata: dict[str, str] = {}
    kept, numbers = [], []
    for number, row in enumerate(rows, start=1):
        while row and row[-1] is None:
            row.pop()
        if row and str(row[0]).lstrip().startswith("#"):
            key, equals, value = str(row[0]).lstrip("# ").partition("=")
            if equals:
                metadata[key.strip().lower().replace(" ", "_")] = value.strip()
        elif row:
            kept.append(["" if item is None else item for item in row])
            numbers.append(number)
    if len(kept) < LEAST_ROWS:
        raise MeasurementError(f"{place}: the sheet has no table of a header and rows.")
    start, width = table_start([list(map(str, row)) for row in kept[:400]], place, numbers)
    headers = tuple(str(item).strip() for item in kept[start])
    check_headers(headers, f"{place}:{numbers[start]}")
    body = kept[start + 1 :]
    for row, number in zip(body, numbers[start + 1 :], strict=True):
        if len(row) > width:
            raise MeasurementError(f"{place}:{number}: expected {width} entries as in the header, but got {len(row)}.")
        # Empty cells at the end of a row are not stored; they are missing entries.
        row.extend([""] * (width - len(row)))
    columns = tuple([str(item) for item in column] for column in zip(*body, strict=True))
    notes = (f"{start} rows before the header were read as a preamble",) if start else ()
    return RawTable(place, headers, columns, numbers[start + 1 :], metadata, notes=notes)
