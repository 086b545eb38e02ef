"""Workbooks (.xlsx, legacy .xls) and Parquet files: one grid a sheet, one table a Parquet file."""

from __future__ import annotations

import io
from contextlib import closing
from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np

from devicekit.common.errors import MeasurementError, MissingDependencyError
from devicekit.common.foreign import reading
from devicekit.measurements.grids import Grid
from devicekit.measurements.number_formats import decimal_mark, is_number, plain_numbers
from devicekit.measurements.raw_tables import RawTable, check_headers

LEAST_ROWS = 2
"""A header and one row of numbers."""


def read_xlsx_grids(content: bytes, place: str, decimal: str = "auto") -> list[Grid]:
    """Return the sheets of an XLSX workbook, empty ones without rows.

    Raises:
        MeasurementError: not an XLSX file.
    """
    import openpyxl

    with (
        reading(place, MeasurementError, "an XLSX file"),
        closing(openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)) as book,
    ):
        sheets = [(sheet.title, [list(row) for row in sheet.iter_rows(values_only=True)]) for sheet in book.worksheets]
    return [_grid(rows, place, title, decimal) for title, rows in sheets]


def read_xls_grids(content: bytes, place: str, decimal: str = "auto") -> list[Grid]:
    """Return the sheets of a legacy .xls workbook.

    Raises:
        MissingDependencyError: no xlrd.
        MeasurementError: not an Excel file.
    """
    try:
        import xlrd
    except ImportError as error:
        raise MissingDependencyError(
            f"{place}: legacy Excel files need xlrd; run 'pip install xlrd', or save the file as .xlsx."
        ) from error
    with reading(place, MeasurementError, "an Excel file"):
        book = xlrd.open_workbook(file_contents=content, logfile=io.StringIO())
    grids = []
    for sheet in book.sheets():
        rows = [[_xls_value(xlrd, book, cell) for cell in sheet.row(index)] for index in range(sheet.nrows)]
        grids.append(_grid(rows, place, sheet.name, decimal))
    return grids


def _xls_value(xlrd: Any, book: Any, cell: Any) -> Any:
    if cell.ctype in (xlrd.XL_CELL_EMPTY, xlrd.XL_CELL_BLANK, xlrd.XL_CELL_ERROR):
        return None
    if cell.ctype == xlrd.XL_CELL_DATE:
        return xlrd.xldate_as_datetime(cell.value, book.datemode)
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return bool(cell.value)
    # Excel stores every number as a float; what is whole is written without a point, as openpyxl gives it.
    return int(cell.value) if isinstance(cell.value, float) and cell.value.is_integer() else cell.value


def _grid(rows: list[list[Any]], place: str, sheet: str, decimal: str) -> Grid:
    where = f"{place}[{sheet}]"
    kept, numbers, comments = [], [], []
    for number, row in enumerate(rows, start=1):
        while row and (row[-1] is None or row[-1] == ""):
            row.pop()
        if row and str(row[0]).lstrip().startswith("#"):
            comments.append((number, str(row[0])))
        elif row:
            kept.append([_text(item) for item in row])
            numbers.append(number)
    # A column that is empty throughout, such as one left free on the left, is none.
    while kept and all(len(row) > 1 and not row[0] for row in kept):
        kept = [row[1:] for row in kept]
    words = [item for row in rows for item in row if isinstance(item, str) and is_number(item)]
    if words:
        # Numbers that a sheet holds as text came from a file whose marks it did not understand.
        mark = decimal if decimal != "auto" else decimal_mark(words, ";", where)
        kept = [list(plain_numbers(row, mark)[0]) for row in kept]
    return Grid(where, kept, numbers, comments, name=sheet, ragged=True)


def _text(item: Any) -> str:
    if item is None:
        return ""
    if isinstance(item, datetime | date | time):
        return item.isoformat()
    return str(item.total_seconds()) if isinstance(item, timedelta) else str(item)


def read_parquet_table(content: bytes, place: str) -> RawTable:
    """Return the table of a Parquet file; nulls become NaN.

    Raises:
        MeasurementError: not a Parquet file, or columns that cannot be measurements.
    """
    import pyarrow
    import pyarrow.parquet

    with reading(place, MeasurementError, "a Parquet file"):
        # The header is checked before the columns are read: a file may have a million of them.
        names = pyarrow.parquet.read_schema(pyarrow.BufferReader(content)).names
        check_headers(names, place)
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(content))
    columns: list[Any] = []
    for name, column in zip(names, table.columns, strict=True):
        kind = column.type
        if pyarrow.types.is_floating(kind) or pyarrow.types.is_integer(kind):
            columns.append(column.to_numpy())
        elif pyarrow.types.is_dictionary(kind) or pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind):
            columns.append([str(item) if item is not None else "" for item in column.to_pylist()])
        elif pyarrow.types.is_decimal(kind) or pyarrow.types.is_boolean(kind):
            columns.append(np.array([np.nan if item is None else float(item) for item in column.to_pylist()]))
        elif pyarrow.types.is_temporal(kind):
            columns.append([_text(item) for item in column.to_pylist()])
        else:
            raise MeasurementError(f"{place}, column {name!r}: expected numbers or text, but got type {kind}.")
    if not columns or not table.num_rows:
        raise MeasurementError(f"{place}: the file has no rows.")
    metadata = {
        key.decode("utf-8", "replace").lower(): value.decode("utf-8", "replace")
        for key, value in (table.schema.metadata or {}).items()
        if not key.startswith((b"pandas", b"ARROW"))
    }
    return RawTable(place, tuple(names), tuple(columns), metadata=metadata)
