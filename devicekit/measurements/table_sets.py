"""Several tables as one: files or sheets whose names say what differs between them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

import numpy as np

from devicekit.common.errors import MeasurementError, unknown_name
from devicekit.measurements.column_roles import ALIASES, CURRENTS, LABELS, ColumnRole, is_known
from devicekit.measurements.column_units import WITH_UNIT, ColumnUnits
from devicekit.measurements.header_names import HeaderName
from devicekit.measurements.interpreted import Interpreted
from devicekit.measurements.labelled_columns import wide_name
from devicekit.measurements.name_parts import meanings
from devicekit.measurements.raw_tables import RawTable, Unused
from devicekit.measurements.read_options import ReadOptions

NOT_READ = "it has the columns of the first sheet, but its name says nothing of cells"
"""Why a sheet that could be read was not."""
_GROUP = re.compile(r"\{(?P<role>\w+)\}")


@dataclass(frozen=True)
class Given:
    """What a table's name, or the user, gives to all its rows: text by role, and where that came from."""

    values: dict[str, str]
    source: str


def chosen_tables(tables: Sequence[RawTable], options: ReadOptions) -> tuple[list[RawTable], list[Given], list[Unused]]:
    """Return the tables that are read together, what is given to each, and those that are not read.

    A pattern, values for each, or names that differ in one thing that can be understood (a current, a time, a die) say
    what tells tables apart. Where nothing does, the sheets of a workbook after the first are not read, and files are
    asked about.

    Raises:
        MeasurementError: files that nothing tells apart, a pattern that does not fit, more or fewer values than tables.
    """
    names = [table.name for table in tables]
    one_file = len({table.place.partition("[")[0] for table in tables}) == 1
    if options.each:
        return list(tables), _each(tables, options), []
    if options.pattern is not None:
        return list(tables), [_by_pattern(table, options.pattern, one_file and len(tables) > 1) for table in tables], []
    if len(tables) == 1:
        return list(tables), [Given({}, "")], []
    kind = "sheet" if one_file else "file"
    # A sheet of remarks may stand before that of the cells.
    first = next((table for table in tables if _has_names(table)), tables[0]) if one_file else tables[0]
    alike = [index for index, table in enumerate(tables) if _alike(table, first)]
    if not one_file and len(alike) < len(tables):
        other = next(index for index in range(len(tables)) if index not in alike)
        raise MeasurementError(
            f"{tables[other].place}: its columns are not those of {tables[0].place}; files that are read together have"
            " the same columns."
        )
    kept = [tables[index] for index in alike]
    others = [name for index, name in enumerate(names) if index not in alike]
    rest = [Unused(kind, repr(name), f"its columns are not those of {first.name!r}") for name in others]
    if len(kept) == 1:
        return kept, [Given({}, "")], rest
    found = meanings([table.name for table in kept])
    if found is not None:
        return kept, [Given(values, f"{kind} name") for values in found], rest
    stated = _stated(kept)
    if stated is not None:
        return kept, [Given(values, "comment") for values in stated], rest
    if one_file and options.sheet != "all":
        rest += [Unused("sheet", repr(table.name), NOT_READ) for table in kept[1:]]
        return kept[:1], [Given({}, "")], rest
    listed = ", ".join(repr(table.name) for table in kept[:4]) + (" ..." if len(kept) > 4 else "")
    raise MeasurementError(
        f"{kept[0].place}: {len(kept)} {kind}s with the same columns ({listed}), and nothing says what tells them"
        " apart; give a pattern, such as pattern='cells_{target}nA_{time}h.csv', or one value for each, such as"
        " each={'time': ['0 s', '24 h']}, or each={'die': '1, 2'}."
    )


def _has_names(table: RawTable) -> bool:
    return any(is_known(header) or wide_name(header) for header in table.headers)


def _alike(table: RawTable, first: RawTable) -> bool:
    return tuple(map(str.lower, table.headers)) == tuple(map(str.lower, first.headers))


def _each(tables: Sequence[RawTable], options: ReadOptions) -> list[Given]:
    given: list[dict[str, str]] = [{} for _ in tables]
    for role, values in options.each.items():
        if len(values) not in (1, len(tables)):
            raise MeasurementError(
                f"{tables[0].place}: each gives {len(values)} values of {role}, but there are {len(tables)} files or"
                f" sheets: {', '.join(table.name for table in tables[:6])}."
            )
        for own, value in zip(given, values * (len(tables) if len(values) == 1 else 1), strict=True):
            own[role] = value
    found = meanings([table.name for table in tables], options.each) if len(tables) > 1 else None
    for index, own in enumerate(given):
        for role, value in (found[index] if found is not None else {}).items():
            own.setdefault(role, value)
    return [Given(values, "option each") for values in given]


def _by_pattern(table: RawTable, pattern: str, sheets: bool) -> Given:
    roles = _GROUP.findall(pattern)
    for role in roles:
        if role not in ALIASES:
            raise MeasurementError(unknown_name("role in the pattern", role, ALIASES))
    if not roles:
        raise MeasurementError(f"Expected `pattern` to have roles in braces, such as {{target}}, but got {pattern!r}.")
    path = PurePath(table.place.partition("[")[0])
    depth = len(PurePath(pattern).parts)
    name = table.name if sheets else "/".join(path.parts[-depth:])
    expression, at = "", 0
    for match in _GROUP.finditer(pattern):
        expression += re.escape(pattern[at : match.start()])
        at = match.end()
        expression += f"(?P<{match['role']}>[^/]+?)"
    expression += re.escape(pattern[at:])
    found = re.fullmatch(expression.replace(r"\*", "[^/]*"), name)
    if found is None and not sheets:
        # A pattern may leave the ending out.
        found = re.fullmatch(expression.replace(r"\*", "[^/]*"), PurePath(name).with_suffix("").as_posix())
    if found is None:
        raise MeasurementError(f"{table.place}: the name {name!r} does not fit the pattern {pattern!r}.")
    values = {}
    for match in _GROUP.finditer(pattern):
        text = found[match["role"]]
        # Letters right behind a number are its unit: {target}nA.
        unit = re.match(r"[A-Za-zµ°%]+", pattern[match.end() :])
        number = re.fullmatch(r"[+-]?\d+(?:[.,p]\d+)?(?:[eE][+-]?\d+)?", text)
        if number is not None and match["role"] not in LABELS:
            text = re.sub(r"[p,](?=\d)", ".", text)
            text = f"{text} {unit[0]}" if unit is not None and unit[0].lower() not in ("csv", "txt", "tsv") else text
        values[match["role"]] = text
    return Given(values, "pattern")


def _stated(tables: Sequence[RawTable]) -> list[dict[str, str]] | None:
    """Return roles that the tables' own comments give different values to, or None."""
    known = {alias: role for role, aliases in ALIASES.items() for alias in aliases}
    found: list[dict[str, str]] = []
    for table in tables:
        found.append({known[key]: value for key, value in table.metadata.items() if key in known})
    shared = set.intersection(*(set(own) for own in found)) if found else set()
    differing = {role for role in shared if len({own[role] for own in found}) > 1} - {"value", "count"}
    return [{role: own[role] for role in differing} for own in found] if differing else None


def with_given(result: Interpreted, given: Given, options: ReadOptions) -> None:
    """Add columns for what was given to the whole table, in place.

    Raises:
        MeasurementError: a role that the table has a column for, or text that is no quantity of the role.
    """
    for role, text in given.values.items():
        if role in result.columns or (role == "target" and {"state", "target_low"} & set(result.columns)):
            if given.source.endswith("name"):
                result.notes.append(f"the {given.source} says {role} {text}; the column of it was read")
                continue
            raise MeasurementError(
                f"{result.place}: the {given.source} gives a {role} ({text}), but there is a column of it; leave the"
                " column out with `ignore`."
            )
        rows = result.rows
        if role in LABELS:
            result.columns[role] = np.array([text] * rows)
            result.roles.append(ColumnRole(role, text, "", "name", given.source, rows))
            continue
        match = WITH_UNIT.fullmatch(text)
        number = match["number"] if match else text
        unit = match["unit"] if match else None
        try:
            value = float(number.replace(",", ".").replace("−", "-"))
        except ValueError:
            if role != "target":
                raise MeasurementError(
                    f"{result.place}: expected the {role} to be a quantity, but got {text!r}."
                ) from None
            result.columns["state"] = np.array([text] * rows)
            result.roles.append(ColumnRole("target", text, "", "name", given.source, rows))
            continue
        if role == "time" and value == 0 and unit is None:
            unit = "s"
        borrowed = (
            next((line.unit for line in result.roles if line.role == "value"), None) if role in CURRENTS else None
        )
        units = ColumnUnits(RawTable(result.place, (role,), ((text,),), metadata=result.metadata), options)
        units.read_voltage = result.read_voltage if units.read_voltage is None else units.read_voltage
        header = HeaderName("", unit or options.units.get(role) or options.units.get("current") or borrowed)
        if role == "time" and header.unit is None:
            raise MeasurementError(f"{result.place}: the time {text!r} has no unit; write it, such as {text} h.")
        converted = units.convert(role, np.array([value]), 0, header, None, text)
        result.columns[role] = np.full(rows, converted[0])
        result.roles.append(replace(units.account[-1], unit_from=given.source, rows=rows))


def joined(results: Sequence[Interpreted], place: str) -> Interpreted:
    """Return the rows of several tables below each other.

    Raises:
        MeasurementError: tables with columns of different roles.
    """
    first = results[0]
    if len(results) == 1:
        return first
    roles = set(first.columns)
    for other in results[1:]:
        if set(other.columns) != roles:
            lone = sorted(roles ^ set(other.columns))
            raise MeasurementError(
                f"{other.place}: {', '.join(lone)} is in one of the tables only, beside {first.place}."
            )
    columns = {
        role: np.concatenate([_as_labels(each.columns[role], role) for each in results]) for role in first.columns
    }
    shared = set.intersection(*(set(each.spare) for each in results))
    lines: dict[str, ColumnRole] = {}
    for each in results:
        for line in each.roles:
            known = lines.get(line.role)
            lines[line.role] = line if known is None else replace(
                known,
                rows=known.rows + line.rows,
                header=known.header if known.header == line.header else _several(known.header, line.header),
                unit=known.unit if line.unit in known.unit.split(", ") else f"{known.unit}, {line.unit}",
            )  # fmt: skip
    offsets = np.cumsum([0, *(len(each.tables) for each in results)])
    return Interpreted(
        place=place,
        columns=columns,
        roles=list(lines.values()),
        notes=list(dict.fromkeys(note for each in results for note in each.notes)),
        warnings=[warning for each in results for warning in each.warnings],
        unused=[unused for each in results for unused in each.unused],
        spare={name: np.concatenate([np.asarray(each.spare[name]).astype(str) if _mixed(results, name) else
                                     each.spare[name] for each in results]) for name in first.spare if name in shared},
        tables=tuple(table for each in results for table in each.tables),
        table_of=np.concatenate([each.table_of + offset for each, offset in zip(results, offsets, strict=False)]),
        row_of=np.concatenate([each.row_of for each in results]),
        metadata={**{k: v for each in reversed(results) for k, v in each.metadata.items()}},
        read_voltage=first.read_voltage,
        absolute_time=any(each.absolute_time for each in results),
        borrowed_target=first.borrowed_target,
        target_scale=first.target_scale,
    )  # fmt: skip


def _several(told: str, more: str) -> str:
    parts = told.split(", ")
    return (
        told
        if more in parts or parts[-1] == "..."
        else ", ".join([*parts, more] if len(parts) < 4 else [*parts, "..."])
    )


def _as_labels(entries: np.ndarray, role: str) -> np.ndarray:
    return entries.astype(str) if role in (*LABELS, "state") and entries.dtype.kind not in "fiub" else entries


def _mixed(results: Sequence[Interpreted], name: str) -> bool:
    return len({np.asarray(each.spare[name]).dtype.kind in "fiub" for each in results}) > 1
