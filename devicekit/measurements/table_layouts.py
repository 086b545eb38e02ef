"""How a table is laid out: one row a cell, a column a target, a row a state, bins with counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from devicekit.common.errors import MeasurementError
from devicekit.measurements.column_roles import Roles, one_column, recognise_columns
from devicekit.measurements.grids import NO_HEADER
from devicekit.measurements.header_names import parse_header
from devicekit.measurements.interpreted import Interpreted
from devicekit.measurements.labelled_columns import ColumnLabel, column_label, replicates
from devicekit.measurements.layout_readers import LayoutReader
from devicekit.measurements.number_formats import is_number
from devicekit.measurements.raw_tables import RawTable, Unused
from devicekit.measurements.read_options import ReadOptions

_PULSES = re.compile(r"^(?:n_?)?(?:pulse|pulses|pulse_?(?:number|no|index|count|nr|num)|puls|impuls|number_of_pulses"
                     r"|impulsnummer|pulse_?#)$")  # fmt: skip
_BINS = ("bin_low", "bin_high", "bin_center")
FAR = 5.0
"""Of two readings of a table, one that lies this many times farther from the targets than the other is wrong."""


def interpret(table: RawTable, options: ReadOptions, target_told: bool = False) -> Interpreted:
    """Return a raw table's columns in SI units.

    Args:
        table: what the file holds.
        options: how it is to be read.
        target_told: whether something outside the table says what its cells were programmed to.

    Raises:
        MeasurementError: roles that are not there, a layout that has to be asked for, units or numbers that cannot be
            used.
    """
    table, selected = _selected(table, options)
    ignored = [one_column(table.headers, name, "ignore", table.place) for name in options.ignore]
    roles = recognise_columns(table.headers, options.columns, table.place, ignored)
    for index, question in roles.questions.items():
        if index not in roles.taken:
            raise MeasurementError(question)
    result = _read(table, roles, options, ignored, target_told or options.levels == "first")
    result.unused[:0] = selected
    result.unused += [Unused("column", repr(table.headers[index]), "left out as asked") for index in ignored]
    for name in options.only:
        index = one_column(table.headers, name, "only", table.place)
        if result.spare.pop(table.headers[index].strip(), None) is not None:
            result.notes.append(f"the column {table.headers[index]!r} says which rows were read")
    return result


def _read(
    table: RawTable, roles: Roles, options: ReadOptions, ignored: Sequence[int], target_told: bool
) -> Interpreted:
    free = [i for i in range(len(table.headers)) if i not in roles.taken and i not in ignored]
    labels = {i: label for i in free if table.named and (label := column_label(table.headers[i])) is not None}
    labels = {i: label for i, label in labels.items() if table.is_numeric(i)}
    reader = LayoutReader(table, roles, options, free)
    layout = options.layout
    _check_pulses(table, roles, free)
    window = "target_low" in roles and "target_high" in roles
    target = "target" in roles or window
    bins = any(role in roles for role in _BINS)
    if layout == "confusion":
        return reader.confusion()
    if layout == "histogram" or (layout == "auto" and bins and ("count" in roles or (labels and "value" not in roles))):
        if bins and "count" in roles:
            return reader.long(("target", "bin_low", "bin_high", "bin_center", "count"))
        if bins and labels:
            return reader.wide(_of_one_kind(table, labels), histogram=True)
    elif layout == "long" or (layout == "auto" and "value" in roles and (target or not labels)):
        if "value" in roles:
            _check_bins(table, roles)
        if "value" in roles and (target or target_told):
            return reader.long(("target", "target_low", "target_high", "value"))
    elif layout in ("auto", "rows", "wide"):
        found = _wide_or_rows(table, roles, options, reader, labels, free)
        if found is not None:
            return found
    raise MeasurementError(_not_told(table, roles))


def _wide_or_rows(
    table: RawTable, roles: Roles, options: ReadOptions, reader: LayoutReader, labels: dict[int, ColumnLabel],
    free: list[int],
) -> Interpreted | None:  # fmt: skip
    target = "target" in roles
    copies = replicates([table.headers[i] for i in free if table.is_numeric(i)]) if table.named else None
    numeric = [i for i in free if table.is_numeric(i)]
    rows = None if copies is None else (copies[0], [numeric[i] for i in copies[1]], copies[2])
    if options.layout == "rows" and rows is None and target:
        rows = ("cell", numeric, [table.headers[i] for i in numeric])
    by_role = _of_one_kind(table, labels) if labels and not (target and rows and len(rows[1]) >= len(labels)) else {}
    kind = next(iter(by_role.values())).role if by_role else ""
    if target and kind in ("target", "state") and options.layout != "rows":
        # The header row holds targets and the first header only says so, or the states stand in rows.
        return _corner(table, roles, options, reader, by_role, rows)
    if options.layout != "wide" and target and rows is not None and rows[1]:
        if by_role == {} and options.layout == "auto" and _header_is_data(table):
            raise MeasurementError(_no_header(table))
        return reader.rows(*rows)
    if options.layout != "rows" and by_role:
        if not any(label.unit or label.text for label in by_role.values()):
            _check_copies(table, by_role)
            if not _near(table, by_role):
                raise MeasurementError(_no_header(table))
        return reader.wide(_with_blanks(table, by_role, free), histogram=False)
    return None


def _corner(
    table: RawTable, roles: Roles, options: ReadOptions, reader: LayoutReader, labels: dict[int, ColumnLabel],
    rows: tuple[str, list[int], list[str]] | None,
) -> Interpreted:  # fmt: skip
    """Read a table whose first header names targets while the others are some: which of them are the states?"""
    corner = roles.index["target"]
    unit = parse_header(table.headers[corner]).unit
    wide = {
        i: ColumnLabel(label.role, label.number, label.unit or unit or "", label.text) for i, label in labels.items()
    }
    values = {i: table.numbers(i) for i in labels}
    if options.layout == "wide" or not table.is_numeric(corner):
        del roles.index["target"]
        return reader.wide(wide, histogram=False)
    own = table.numbers(corner)
    across = _distance(np.concatenate([values[i] / (label.number or np.nan) for i, label in labels.items()]))
    with np.errstate(divide="ignore", invalid="ignore"):
        down = _distance(np.concatenate([values[i] / np.where(own > 0, own, np.nan) for i in labels]))
    if across * FAR < down:
        del roles.index["target"]
        reader.free.append(corner)
        return reader.wide(wide, histogram=False)
    if down * FAR < across and rows is not None:
        return reader.rows(*rows)
    raise MeasurementError(
        f"{table.place}: the column {table.headers[corner]!r} has targets and the columns"
        f" {', '.join(repr(table.headers[i]) for i in list(labels)[:3])} are named by some; say which are the states"
        " with layout='rows' or layout='wide'."
    )


def _distance(ratio: np.ndarray) -> float:
    """Return how far values lie from their targets: the median factor between them, less one."""
    ratio = np.abs(ratio[np.isfinite(ratio) & (ratio != 0)])
    return float(np.expm1(np.median(np.abs(np.log(ratio))))) if len(ratio) else np.inf


def _of_one_kind(table: RawTable, labels: dict[int, ColumnLabel]) -> dict[int, ColumnLabel]:
    kinds = {label.role for label in labels.values()}
    if "bias" in kinds:
        names = ", ".join(repr(table.headers[i]) for i in labels)
        raise MeasurementError(
            f"{table.place}: columns are named by a bias ({names}); say which is the read with `value`."
        )
    if len(kinds) > 1:
        raise MeasurementError(
            f"{table.place}: columns are named by {' and '.join(sorted(kinds))}:"
            f" {', '.join(repr(table.headers[i]) for i in labels)}; leave out what is no cell with `ignore`."
        )
    return labels


def _check_copies(table: RawTable, labels: dict[int, ColumnLabel]) -> None:
    """Refuse ``100`` beside ``100.1``: two targets, or two columns of one, as pandas renames them."""
    headers = {table.headers[i].strip() for i in labels}
    copies = sorted(header for header in headers if re.fullmatch(r"\d+\.1", header) and header[:-2] in headers)
    if len(copies) > 1:
        raise MeasurementError(
            f"{table.place}: the headers {copies[0][:-2]!r} and {copies[0]!r} can be two targets, or two columns of"
            f" one, which pandas numbers; name them '{copies[0][:-2]} nA' and '{copies[0][:-2]} nA (2)', or"
            f" '{copies[0]} nA'."
        )


def _near(table: RawTable, labels: dict[int, ColumnLabel]) -> bool:
    """Return whether bare numbers in the first line can be targets: the numbers below each scatter around it."""
    highest = max(abs(label.number) for label in labels.values())
    if len({label.number for label in labels.values()}) < len(labels) or not highest:
        return False
    for index, label in labels.items():
        numbers = table.numbers(index)
        numbers = numbers[~np.isnan(numbers)]
        if len(numbers) == 0:
            return False
        far = np.abs(numbers - label.number) > 0.5 * max(abs(label.number), 0.1 * highest)
        same = float(np.mean(numbers == label.number))
        few = len(numbers) >= 10 and len(np.unique(numbers)) <= 0.2 * len(numbers)
        if np.mean(far) > 0.03 or same > 0.9 or (few and same > 0.3):
            return False
    return True


def _with_blanks(table: RawTable, labels: dict[int, ColumnLabel], free: Sequence[int]) -> dict[int, ColumnLabel]:
    """Return labels with columns that stand without a name to the right of one, as below a merged cell of a sheet."""
    found = dict(labels)
    highest = max(abs(label.number) for label in labels.values())
    for index in sorted(free):
        if table.headers[index].strip() or index - 1 not in found or not table.is_numeric(index):
            continue
        left = found[index - 1]
        middle = float(np.nanmedian(table.numbers(index)))
        if left.role == "target" and abs(middle - left.number) <= 0.5 * max(abs(left.number), 0.1 * highest):
            found[index] = left
    return dict(sorted(found.items()))


def _header_is_data(table: RawTable) -> bool:
    return all(is_number(header) for header in table.headers)


def _check_pulses(table: RawTable, roles: Roles, free: Sequence[int]) -> None:
    """Refuse update curves: they say what a pulse does, not how well cells hold what they were programmed to."""
    pulses = [i for i in free if _PULSES.match(parse_header(table.headers[i]).name)]
    if pulses and not {"target", "target_low", "count"} & set(roles.index):
        others = [header for i, header in enumerate(table.headers) if i != pulses[0]]
        raise MeasurementError(
            f"{table.place}: {others[-1] if others else ''!r} against {table.headers[pulses[0]]!r}: these are update"
            " curves (conductance by pulse number), not cells programmed to targets; a target column is needed here."
            " Update curves are fitted by fit_pulses (devicekit pulses)."
        )


def _check_bins(table: RawTable, roles: Roles) -> None:
    """Refuse edges beside values and without counts."""
    if ("bin_low" in roles or "bin_high" in roles) and "target" not in roles:
        raise MeasurementError(
            f"{table.place}: {table.headers[roles.index.get('bin_low', roles.index.get('bin_high', 0))]!r} beside"
            " values and without counts: is it the window that cells were written into? Say `target_low` and"
            " `target_high`."
        )


def _selected(table: RawTable, options: ReadOptions) -> tuple[RawTable, list[Unused]]:
    """Return the rows that were asked for with `only`."""
    unused = []
    for name, wanted in options.only.items():
        index = one_column(table.headers, name, "only", table.place)
        match = re.match(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?", wanted.strip())
        if table.is_numeric(index) and match is not None:
            numbers = table.numbers(index)
            keep = np.isclose(numbers, float(match[0]), rtol=1e-6, atol=0.0) | (numbers == float(match[0]))
        else:
            keep = np.array([str(item).strip().lower() == wanted.strip().lower() for item in table.columns[index]])
        if not np.any(keep):
            found = list(dict.fromkeys(map(str, table.columns[index])))
            raise MeasurementError(
                f"{table.place}: no row has {table.headers[index]!r} = {wanted}; there are {', '.join(found[:8])}"
                + (" ..." if len(found) > 8 else ".")
            )
        if not np.all(keep):
            unused.append(Unused("rows", str(int((~keep).sum())), f"{table.headers[index]!r} is not {wanted}"))
        where = [int(row) for row in np.flatnonzero(keep)]
        table = replace(
            table,
            columns=tuple(c[where] if isinstance(c, np.ndarray) else [c[row] for row in where] for c in table.columns),
            lines=[table.lines[row] for row in where] if table.lines is not None else [row + 1 for row in where],
        )
    return table, unused


def _no_header(table: RawTable) -> str:
    first = table.place if table.lines is None else f"{table.place}:{max(table.lines[0] - 1, 1)}"
    return f"{first}: no header line, the first line has numbers only ({', '.join(table.headers[:4])}); {NO_HEADER}."


def _not_told(table: RawTable, roles: Roles) -> str:
    if table.named and _header_is_data(table):
        return _no_header(table)
    found = ", ".join(f"{role} = {table.headers[index]!r}" for role, index in roles.index.items()) or "none"
    named = "" if table.named else " Columns have no names: give them by number, such as target=1, value=2."
    if not table.named and len(table.headers) == table.rows:
        named += " A square matrix of counts by level is read with layout='confusion'."
    without = (
        " Where the file holds one target, say each={'target': '100 nA'}; where a cell's first read is its target,"
        " levels='first'."
        if "value" in roles
        else ""
    )
    return (
        f"{table.place}: cannot tell which columns hold the programmed target and the measured value. Columns:"
        f' {_listed(table.headers)}. Recognised: {found}. Say which with target="..." and value="...", or name wide'
        f" columns by their targets, such as '50 nA'.{without}{named}"
    )


def _listed(headers: tuple[str, ...]) -> str:
    shown = ", ".join(map(repr, headers[:12]))
    return f"{shown} and {len(headers) - 12} more" if len(headers) > 12 else shown
