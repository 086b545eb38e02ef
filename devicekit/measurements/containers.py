"""What a file is, by its content before its ending, and the tables in it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from dataclasses import replace
from pathlib import Path, PurePath
from typing import IO, Any

from devicekit.common.errors import MeasurementError
from devicekit.common.foreign import reading
from devicekit.measurements.array_files import read_matlab_tables, read_numpy_tables
from devicekit.measurements.grids import Grid, table_of_grid
from devicekit.measurements.instrument_files import (
    is_easyexpert,
    is_iccap,
    read_easyexpert_table,
    read_iccap_table,
    refuse_netlist,
)
from devicekit.measurements.raw_tables import RawTable, Unused
from devicekit.measurements.read_options import ReadOptions
from devicekit.measurements.text_tables import decode, read_text_grid
from devicekit.measurements.workbooks import LEAST_ROWS, read_parquet_table, read_xls_grids, read_xlsx_grids

_COMPRESSED: dict[str, tuple[Any, str]] = {
    ".gz": (gzip.open, "gzip"),
    ".bz2": (bz2.open, "bzip2"),
    ".xz": (lzma.open, "xz"),
}
_OLE = b"\xd0\xcf\x11\xe0"
_BIFF = (b"\x09\x00\x04\x00", b"\x09\x02\x06\x00", b"\x09\x04\x06\x00", b"\x09\x08")
MOST_BYTES = 2**30
"""A compressed file that unpacks to more is refused."""


def read_tables(file: Path, options: ReadOptions) -> list[RawTable]:
    """Return every table of a file.

    Raises:
        MeasurementError: no such file, an empty one, one that is no table, or no such sheet.
    """
    if not file.is_file():
        what = "is a folder, not a file; give its files, or a pattern" if file.is_dir() else "no such file"
        raise MeasurementError(f"{file}: {what}.")
    with reading(file, MeasurementError, "a file that can be read"):
        content = file.read_bytes()
    if not content:
        raise MeasurementError(f"{file}: the file is empty.")
    content, inner = _unpacked(content, file)
    return _tables(content, str(file), inner, options)


def _unpacked(content: bytes, file: Path) -> tuple[bytes, str]:
    """Return the content of a compressed file, and the name it had before."""
    name = file.name
    suffix = file.suffix.lower()
    if suffix in _COMPRESSED or content.startswith(b"\x1f\x8b"):
        unpack, kind = _COMPRESSED.get(suffix, _COMPRESSED[".gz"])
        with reading(file, MeasurementError, f"a {kind} file"), unpack(io.BytesIO(content)) as packed:
            return _limited(packed, file), name[: -len(suffix)] if suffix in _COMPRESSED else name
    if suffix == ".zip":
        with reading(file, MeasurementError, "a ZIP archive"), zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [item for item in archive.infolist() if not item.is_dir()]
            if len(members) != 1:
                names = ", ".join(item.filename for item in members[:5])
                raise MeasurementError(f"{file}: expected one file in the archive, but there are {names}; unpack it.")
            with archive.open(members[0]) as packed:
                return _limited(packed, file), PurePath(members[0].filename).name
    return content, name


def _limited(packed: IO[bytes], file: Path) -> bytes:
    content = packed.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise MeasurementError(f"{file}: unpacks to more than {MOST_BYTES // 2**20} MB; no measurements are as large.")
    return content


def _tables(content: bytes, place: str, name: str, options: ReadOptions) -> list[RawTable]:
    suffix, stem = PurePath(name).suffix.lower(), PurePath(name).stem
    if suffix in (".parquet", ".pq") or content.startswith(b"PAR1"):
        _without_sheets(options, place)
        return [read_parquet_table(content, place)]
    if suffix in (".npz", ".npy") or content.startswith(b"\x93NUMPY"):
        return _chosen(read_numpy_tables(content, place, stem, options.sheet), options, place)
    if suffix == ".mat" or content.startswith((b"MATLAB", b"\x89HDF")):
        return _chosen(read_matlab_tables(content, place, options.sheet), options, place)
    if content.startswith(_OLE) or (suffix == ".xls" and content.startswith(_BIFF)):
        return _sheets(read_xls_grids(content, place, options.decimal), options, place)
    if content.startswith(b"PK") or suffix in (".xlsx", ".xlsm"):
        return _sheets(read_xlsx_grids(content, place, options.decimal), options, place)
    text = decode(content, place)
    refuse_netlist(text, suffix, place)
    _without_sheets(options, place)
    if is_iccap(text, suffix):
        return [read_iccap_table(text, place)]
    if is_easyexpert(text):
        return [read_easyexpert_table(text, place)]
    return [table_of_grid(read_text_grid(text, place, options.delimiter, options.decimal), options)]


def _without_sheets(options: ReadOptions, place: str) -> None:
    """Refuse a sheet of a file that has none, rather than read something else than was asked for."""
    if options.sheet not in (None, "all"):
        raise MeasurementError(f"{place}: this file has no sheets or arrays; leave out --sheet {options.sheet!r}.")


def _chosen(tables: list[RawTable], options: ReadOptions, place: str) -> list[RawTable]:
    """Return the arrays that were asked for."""
    wanted = options.sheet
    if wanted in (None, "all") or len(tables) == 1:
        return tables
    kept = [table for table in tables if table.name == wanted]
    if not kept:
        raise MeasurementError(
            f"{place}: no array {wanted!r}; there are {', '.join(repr(table.name) for table in tables)}."
        )
    return kept


def _sheets(grids: list[Grid], options: ReadOptions, place: str) -> list[RawTable]:
    """Return the tables of a workbook's sheets; a sheet without a table is noted, not read."""
    names = [grid.name for grid in grids]
    if options.sheet not in (None, "all", *names):
        raise MeasurementError(f"{place}: no sheet {options.sheet!r}; there are {', '.join(map(repr, names))}.")
    asked = [grid for grid in grids if options.sheet in (None, "all", grid.name)]
    tables: list[RawTable] = []
    unused = [Unused("sheet", repr(name), "not asked for") for name in names if name not in [g.name for g in asked]]
    fault: MeasurementError | None = None
    for grid in asked:
        if len(grid.rows) < LEAST_ROWS:
            fault = fault or MeasurementError(f"{grid.place}: the sheet has no table of a header and rows.")
            unused.append(Unused("sheet", repr(grid.name), "empty" if not grid.rows else "no table"))
            continue
        try:
            tables.append(table_of_grid(grid, options))
        except MeasurementError as error:
            fault = fault or error
            unused.append(Unused("sheet", repr(grid.name), f"no table that can be read: {error}"))
    if not tables:
        raise fault or MeasurementError(f"{place}: the workbook has no sheet.")
    return [replace(tables[0], unused=(*tables[0].unused, *unused)), *tables[1:]]
