"""Measurements of cells in SI units, and the one function that reads them from a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from devicekit.common.errors import MeasurementError, UnitError
from devicekit.common.quantities import parse_quantity
from devicekit.measurements.binary_tables import read_excel_table, read_parquet_table
from devicekit.measurements.column_roles import ColumnRole
from devicekit.measurements.instrument_files import is_easyexpert, is_iccap, read_easyexpert_table, read_iccap_table
from devicekit.measurements.raw_tables import RawTable
from devicekit.measurements.table_layouts import Layout, interpret
from devicekit.measurements.text_tables import read_text_table

CONDITIONS = ("time", "temperature", "bake_temperature")
"""What a measurement may have been repeated at, beside the target."""


@dataclass(frozen=True, eq=False)
class Measurements:
    """Cell currents (or histograms of them) by programmed target, in SI units.

    Attributes:
        place: the file they came from.
        columns: arrays by role, all of one length: ``target`` and ``value`` [A], or ``target``, ``bin_low``,
            ``bin_high`` [A] and ``count`` for histograms; where the file has them ``time`` [s], ``temperature`` and
            ``bake_temperature`` [K], and the codes ``cycle`` (programmed again), ``read`` (read again), ``cell``,
            ``die`` and ``wafer``.
        roles: what each column of the file was taken for, and in which unit.
        notes: what was assumed and what was left out, with counts.
        metadata: what the file says about itself (``kind``, ``source``, ...).
        read_voltage: voltage conductances were turned into currents with [V]; None for currents without one.
    """

    place: str
    columns: Mapping[str, NDArray[np.float64]]
    roles: tuple[ColumnRole, ...] = ()
    notes: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    read_voltage: float | None = None

    @property
    def is_histogram(self) -> bool:
        """Whether rows are bins with counts instead of cells."""
        return "count" in self.columns

    @property
    def rows(self) -> int:
        """Cells, or bins of histograms."""
        return len(self.columns["target"])

    @property
    def kind(self) -> str:
        """How the numbers were obtained, as the file says; measured where it says nothing."""
        return self.metadata.get("kind", "measured")

    def where(self, mask: NDArray[np.bool_]) -> Self:
        """Return the rows of a mask."""
        return replace(self, columns={role: values[mask] for role, values in self.columns.items()})

    @property
    def condition_count(self) -> int:
        """Number of combinations of time and temperatures that were measured."""
        codes = np.zeros(self.rows, dtype=np.int64)
        for role in CONDITIONS:
            if role in self.columns:
                distinct, own = np.unique(self.columns[role], return_inverse=True)
                codes = codes * len(distinct) + own
        return len(np.unique(codes))

    def describe(self) -> str:
        """Return what was read, column by column, as text."""
        what = "bins of histograms" if self.is_histogram else "cells"
        lines = [f"{self.place}: {self.rows} {what} ({self.kind})"]
        lines += [f"  {role}" for role in self.roles]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


def read_measurements(
    path: str | Path,
    *,
    units: str | Mapping[str, str] | None = None,
    read_voltage: float | str | None = None,
    layout: Layout = "auto",
    missing: Literal["error", "drop"] = "error",
    sheet: str | None = None,
    delimiter: str | None = None,
    **columns: str,
) -> Measurements:
    """Read cell currents or conductances from a lab's own file.

    Long tables have one row a cell (target, value, and where measured time, temperature, bake temperature, cycle,
    read, cell, die, wafer), wide ones one column a target, histograms bin edges and counts a target. Text files may
    have any delimiter, comment lines and a preamble; ``.parquet``, ``.xlsx``, IC-CAP ``.mdm`` and Keysight
    EasyEXPERT CSV are read as well. Columns are recognised by name and units by header (``current (nA)``, ``G [uS]``,
    ``Id_A``).

    Args:
        path: the file.
        units: unit of the currents or conductances where headers state none, or units by role.
        read_voltage: voltage of the read [V], needed with conductances; a file may state it in a comment
            ``# read_voltage = 0.1 V``.
        layout: ``"auto"``, ``"long"``, ``"wide"`` or ``"histogram"``.
        missing: ``"error"`` refuses missing numbers, ``"drop"`` leaves their rows out and counts them in the notes.
        sheet: sheet of an XLSX file; None: the first.
        delimiter: of a text file; None: found.
        **columns: header by role, where names are not recognised: ``target="Iset", value="Imeas"``.

    Returns:
        The measurements; `.describe()` echoes what each column was taken for.

    Raises:
        MeasurementError: the file cannot be read or understood; the message names the file, and line or column.
    """
    file = Path(path)
    if missing not in ("error", "drop"):
        raise MeasurementError(f"Expected `missing` to be 'error' or 'drop', but got {missing!r}.")
    table = _read_table(file, sheet, delimiter)
    voltage = read_voltage if read_voltage is not None else table.metadata.get("read_voltage")
    try:
        volts = None if voltage is None else parse_quantity(_plain_number(voltage), "V", "read_voltage")
    except UnitError as error:
        raise MeasurementError(f"{file}: {error}") from error
    if volts is not None and volts <= 0:
        raise MeasurementError(f"{file}: expected `read_voltage` to be above 0 V, but got {voltage!r}.")
    unit_by_role = {"current": units} if isinstance(units, str) else dict(units or {})
    found = interpret(table, columns, unit_by_role, volts, layout, drop_missing=missing == "drop")
    return Measurements(
        place=str(file),
        columns=found.columns,
        roles=tuple(found.roles),
        notes=(*table.notes, *found.notes),
        metadata=table.metadata,
        read_voltage=volts,
    )


def as_measurements(measurements: Measurements | str | Path, read_voltage: float | str | None = None) -> Measurements:
    """Return measurements as they are, or those of the file that a path names.

    Args:
        measurements: what was read, or the path of a file that needs no further word (see `read_measurements`).
        read_voltage: voltage of the read [V], for a file of conductances.

    Raises:
        MeasurementError: neither of them, or a file that cannot be read.
    """
    if isinstance(measurements, Measurements):
        return measurements
    if isinstance(measurements, str | Path):
        return read_measurements(measurements, read_voltage=read_voltage)
    raise MeasurementError(
        "Expected `measurements` to be what read_measurements returns, or the path of a file, but got a"
        f" {type(measurements).__name__}."
    )


def _plain_number(value: float | str) -> float | str:
    """Return text that is only a number as that number: metadata is always text."""
    try:
        return float(value)
    except ValueError:
        return value


def _read_table(file: Path, sheet: str | None, delimiter: str | None) -> RawTable:
    if not file.is_file():
        what = "is a folder, not a file" if file.is_dir() else "no such file"
        raise MeasurementError(f"{file}: {what}.")
    if file.stat().st_size == 0:
        raise MeasurementError(f"{file}: the file is empty.")
    suffix = file.suffix.lower()
    if suffix in (".parquet", ".pq"):
        return read_parquet_table(file)
    if suffix in (".xlsx", ".xlsm"):
        return read_excel_table(file, sheet)
    if is_iccap(file):
        return read_iccap_table(file)
    if is_easyexpert(file):
        return read_easyexpert_table(file)
    return read_text_table(file, delimiter)
