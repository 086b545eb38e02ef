"""The way of a file to measurements: tables, layouts, units, states, times, checks, account; one small step each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from devicekit.common.errors import MeasurementError, UnitError
from devicekit.measurements.column_roles import ALIASES, LABELS
from devicekit.measurements.containers import read_tables
from devicekit.measurements.interpreted import Interpreted
from devicekit.measurements.measurements import Measurements
from devicekit.measurements.plausibility import check
from devicekit.measurements.raw_tables import RawTable, Unused
from devicekit.measurements.read_options import Layout, ReadOptions, make_options
from devicekit.measurements.state_names import resolve_levels
from devicekit.measurements.table_layouts import interpret
from devicekit.measurements.table_sets import NOT_READ, chosen_tables, joined, with_given
from devicekit.measurements.time_stamps import resolve_times
from devicekit.measurements.unused_columns import account_of_unused

_ROLES = ("target", "value", "bin_low", "bin_high", "count", "time", "temperature", "bake_temperature", "target_low",
          "target_high", *LABELS)  # fmt: skip
"""Columns of measurements, in the order they are kept."""


def read_measurements(
    path: str | Path | Sequence[str | Path],
    *,
    units: str | Mapping[str, str] | Iterable[str] | None = None,
    read_voltage: float | str | None = None,
    i_max: float | str | None = None,
    layout: Layout = "auto",
    missing: Literal["error", "drop"] = "error",
    missing_marks: float | Iterable[float] | None = None,
    sheet: str | None = None,
    delimiter: str | None = None,
    decimal: Literal["auto", ".", ","] = "auto",
    header: bool | None = None,
    pattern: str | None = None,
    each: Mapping[str, Any] | Iterable[str] | None = None,
    levels: str | Sequence[str] | Mapping[str, str] | None = None,
    only: Mapping[str, Any] | Iterable[str] | None = None,
    ignore: str | Iterable[str] = (),
    flip_sign: bool = False,
    compliance: float | str | None = None,
    detection_limit: float | str | None = None,
    bins_are_cut: bool = False,
    accept: str | Iterable[str] = (),
    **columns: str | int,
) -> Measurements:
    """Read cell currents, conductances or resistances from a lab's own file, or files.

    Long tables have one row a cell (target, value, and where measured time, temperature, bake temperature, cycle, read,
    cell, die, wafer), wide ones one column a target, others one row a state; histograms have bin edges and counts a
    target. Text files may have any delimiter, comment lines and a preamble; ``.xlsx``, ``.xls``, ``.parquet``,
    ``.npz``, ``.npy``, ``.mat``, IC-CAP ``.mdm`` and Keysight EasyEXPERT CSV are read as well, each also as ``.gz``.
    Columns are recognised by name and units by header (``current (nA)``, ``G [uS]``, ``Id_A``). What is ambiguous is
    asked for: the error says which option settles it.

    Args:
        path: the file, or several that are read together; with `pattern` also a folder of them.
        units: unit of the currents where headers state none, or units by role; ``"log10 A"`` for a logarithm.
        read_voltage: voltage of the read [V], needed with conductances and resistances; a file may state it in a
            comment ``# read_voltage = 0.1 V``.
        i_max: full scale [A], needed with shares of it.
        layout: ``"auto"``, ``"long"``, ``"wide"``, ``"histogram"``, ``"rows"`` or ``"confusion"``.
        missing: ``"error"`` refuses missing numbers, ``"drop"`` leaves their rows out and counts them in the notes.
        missing_marks: numbers that stand for missing ones.
        sheet: sheet of a workbook or array of an archive; ``"all"``: all that are alike; None: the first, or all whose
            names say what differs.
        delimiter: of a text file; None: found.
        decimal: decimal mark of a text file; the other one separates thousands.
        header: whether there is a line of names; False: columns are given by number. None: found.
        pattern: name of files or sheets with roles in braces, ``"cells_{target}nA_{time}h.csv"``.
        each: values by role, one for each file or sheet in turn, or one for all.
        levels: currents of states that are numbered or named, by state or in order; ``"mean"``: each state's own mean;
            ``"first"``: each cell's first read.
        only: read only rows with these values, by column.
        ignore: columns to leave out.
        flip_sign: negate currents that are negative by convention.
        compliance: upper current limit of the instrument [A].
        detection_limit: lower one [A].
        bins_are_cut: whether cells outside the listed bins of a histogram were not counted; a file may say so in a
            comment ``# bins = cut``.
        accept: names of checks whose doubts are to be passed over (`read_options.ACCEPTABLE`).
        **columns: header (or number) by role, where names are not recognised: ``target="Iset", value="Imeas"``.

    Returns:
        The measurements; `.describe()` and `.understood` say what each column was taken for and what was not used.

    Raises:
        MeasurementError: the file cannot be read or understood; the message names the file, and line or column.
    """
    return _read(
        path,
        columns,
        units=units,
        read_voltage=read_voltage,
        i_max=i_max,
        layout=layout,
        missing=missing,
        missing_marks=missing_marks,
        sheet=sheet,
        delimiter=delimiter,
        decimal=decimal,
        header=header,
        pattern=pattern,
        each=each,
        levels=levels,
        only=only,
        ignore=ignore,
        flip_sign=flip_sign,
        compliance=compliance,
        detection_limit=detection_limit,
        bins_are_cut=bins_are_cut,
        accept=accept,
    )


def as_measurements(measurements: Measurements | str | Path, read_voltage: float | str | None = None) -> Measurements:
    """Return measurements as they are, or those of the file that a path names.

    Args:
        measurements: what was read, or the path of a file that needs no further word (see `read_measurements`).
        read_voltage: voltage of the read [V], for a file of conductances or resistances.

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


def _read(path: str | Path | Sequence[str | Path], columns: Mapping[str, Any], **given: Any) -> Measurements:
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(each) for each in path]
    if not paths:
        raise MeasurementError("Expected one file or more, but got none.")
    place = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    try:
        options = make_options(ALIASES, columns, **given)
    except UnitError as error:
        raise MeasurementError(f"{place}: {error}") from error
    files, not_read = _files(paths, options)
    tables = [
        _named(table, name, len(files) > 1)
        for file, name in zip(files, _names(files), strict=True)
        for table in read_tables(file, options)
    ]
    chosen, givens, others = chosen_tables(tables, options)
    parts = []
    for table, own in zip(chosen, givens, strict=True):
        try:
            part = interpret(table, options, target_told="target" in own.values)
        except MeasurementError as error:
            names = [other.name for other in tables if other.name and other.place.endswith(f"[{other.name}]")]
            if len(names) < 2 or options.sheet is not None:
                raise
            raise MeasurementError(f"{error} Other tables are chosen with `sheet`: {', '.join(names)}.") from error
        with_given(part, own, options)
        parts.append(part)
    result = joined(parts, place)
    result.unused = [*not_read, *others, *result.unused]
    sheets = [item.name for item in others if item.reason == NOT_READ]
    if sheets:
        result.warnings.append(
            f"{len(sheets)} more sheets with the same columns were not read ({', '.join(sheets[:4])}); say sheet='all'"
            " and what tells them apart, such as each={'die': '1, 2'}, or which one"
        )
    # A table that is not read may still carry the account of what else was not.
    result.unused += [unused for table in tables if table not in chosen for unused in table.unused]
    result.unused += _statements(chosen, result)
    resolve_times(result)
    resolve_levels(result, options)
    if "target" not in result.columns:
        raise MeasurementError(
            f"{place}: nothing says what cells were programmed to. Say which column with `target`, or give one target"
            " to all rows with each={'target': '100 nA'}."
        )
    if not result.is_histogram:
        result = _without_targets_themselves(result, options)
    check(result, options)
    account_of_unused(result)
    return _measurements(result, options)


def _files(paths: Sequence[Path], options: ReadOptions) -> tuple[list[Path], list[Unused]]:
    """Return the files to read: those given, or those of a folder that fit the pattern."""
    files: list[Path] = []
    unused: list[Unused] = []
    for path in paths:
        if not path.is_dir() or options.pattern is None:
            files.append(path)
            continue
        name = Path(options.pattern).name
        shape = re.compile(re.sub(r"\\\{\w+\\\}|\\\*", "[^/]+?", re.escape(name)) + r"(\.\w+)*")
        inside = sorted(item for item in path.rglob("*") if item.is_file())
        found = [item for item in inside if shape.fullmatch(item.name)]
        if not found:
            raise MeasurementError(f"{path}: no file of the folder fits the pattern {options.pattern!r}.")
        files += found
        unused += [Unused("file", repr(item.name), "its name does not fit the pattern") for item in inside
                   if item not in found]  # fmt: skip
    seen: set[Path] = set()
    for file in files:
        if file.resolve() in seen:
            raise MeasurementError(f"{file}: the same file is given twice.")
        seen.add(file.resolve())
    return files, unused


def _names(files: Sequence[Path]) -> list[str]:
    """Return the files' names without their endings, with their folders where they are called alike."""
    names = []
    for file in files:
        stem = Path(file.stem)
        names.append(
            stem.stem if stem.suffix.lower() in (".csv", ".tsv", ".txt", ".dat", ".xlsx", ".xls") else str(stem)
        )
    if len(set(names)) == len(names):
        return names
    return [f"{file.resolve().parent.name} {name}" for file, name in zip(files, names, strict=True)]


def _named(table: RawTable, name: str, several: bool) -> RawTable:
    """Return a table called by its sheet or array, or by its file where several are read."""
    if table.name and several:
        return replace(table, name=f"{name} {table.name}")
    return table if table.name else replace(table, name=name)


def _statements(tables: Sequence[RawTable], result: Interpreted) -> list[Unused]:
    """Return comments that give a time, a temperature or the like to a whole file, and were not read."""
    known = {alias: role for role, aliases in ALIASES.items() for alias in aliases}
    found = {}
    for table in tables:
        for key, text in table.metadata.items():
            role = known.get(key, "")
            if role in ("target", "time", "temperature", "bake_temperature") and role not in result.columns:
                found[f"{key} = {text}"] = f"a comment; each={{{role!r}: {text!r}}} gives it to all rows"
    return [Unused("line", repr(name), reason) for name, reason in found.items()]


def _without_targets_themselves(result: Interpreted, options: ReadOptions) -> Interpreted:
    """Leave out rows that repeat their target to the last digit: the read that the target was taken from."""
    target, value = result.columns["target"], result.columns["value"]
    same = np.asarray(target == value)
    if not np.any(same) or "time" not in result.columns or np.all(same):
        return result
    time = result.numbers("time")
    first = time == time.min()
    if np.mean(same[first]) < 0.99 or len(np.unique(target)) < 64 or np.mean(same[~first]) > 0.1:
        return result
    result.unused.append(
        Unused(
            "rows", str(int(first.sum())), "reads that the targets were taken from: they equal them to the last digit"
        )
    )
    result.notes.append(
        f"{int(first.sum())} reads at the first time equal their targets: a first read stands for the target, and what"
        " is fitted is the change since"
    )
    return result.kept(~first)


def _measurements(result: Interpreted, options: ReadOptions) -> Measurements:
    columns = {}
    names = {}
    for role in _ROLES:
        if role not in result.columns:
            continue
        entries = result.columns[role]
        if role in LABELS:
            distinct, codes = np.unique(entries, return_inverse=True)
            names[role] = tuple(map(str, distinct)) if len(distinct) <= 10_000 else ()
            columns[role] = codes.astype(np.float64)
        else:
            columns[role] = np.asarray(entries, dtype=np.float64)
    stated = result.metadata.get("bins", "").strip().lower()
    return Measurements(
        place=result.place,
        columns=columns,
        roles=tuple(result.roles),
        notes=tuple(result.notes),
        metadata=result.metadata,
        read_voltage=result.read_voltage,
        unused=tuple(result.unused),
        warnings=tuple(result.warnings),
        lower_limit=result.lower_limit,
        upper_limit=result.upper_limit,
        bins_are_cut=options.bins_are_cut or stated in ("cut", "truncated"),
        names=names,
    )
