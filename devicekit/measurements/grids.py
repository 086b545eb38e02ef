"""Rows of fields, from a text file or a sheet, made into a table: where names, units and the first numbers stand."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from devicekit.common.errors import MeasurementError
from devicekit.measurements.column_roles import find_columns, is_known
from devicekit.measurements.header_names import split_header
from devicekit.measurements.number_formats import MISSING, is_number
from devicekit.measurements.raw_tables import RawTable, Unused, check_headers
from devicekit.measurements.read_options import ReadOptions
from devicekit.measurements.unit_conversions import is_unit

_KEY_VALUE = re.compile(r"^\W*(?P<key>[A-Za-z][\w \-]{0,40}?)\s*[=:]\s*(?P<value>.+?)\s*$")
_KEY_QUANTITY = re.compile(
    r"^\W*(?P<key>[A-Za-z][\w \-]{0,40}?)\s+(?P<value>[+-]?\d[\d.,]*(?:[eE][+-]?\d+)?\s*[A-Za-zµμΩ]{1,5})\s*$"
)
"""A comment such as ``# compliance 800 nA``."""
_LOOKED_AT = 400
_BODY = 4
"""Rows after a header that must have their numbers in the same places."""
NO_HEADER = "say header=False and give columns by number, such as target=1, value=2"


@dataclass
class Grid:
    """Fields by row.

    Attributes:
        place: the file, with the sheet in brackets.
        rows: fields of each row.
        numbers: line or row number of each.
        comments: comment lines with their numbers.
        separator: what stood between fields; None in a sheet.
        notes: what was done to get here.
        row_word: what a row is called in errors.
        name: the sheet's name.
        ragged: whether rows may be shorter than the header (sheets do not store empty cells at their ends).
    """

    place: str
    rows: list[list[str]]
    numbers: list[int]
    comments: list[tuple[int, str]] = field(default_factory=list)
    separator: str | None = None
    notes: list[str] = field(default_factory=list)
    row_word: str = "row"
    name: str = ""
    ragged: bool = False


def table_of_grid(grid: Grid, options: ReadOptions) -> RawTable:
    """Return the table of a grid: headers, units in a line of their own, columns, and what stood around them.

    Raises:
        MeasurementError: no header, no rows, a row of another width, a header twice.
    """
    rows, numbers = grid.rows, grid.numbers
    notes = list(grid.notes)
    if options.header is not False and _names_in_first_column(rows):
        rows = [list(column) for column in zip(*rows, strict=True)]
        numbers = list(range(1, len(rows) + 1))
        grid = Grid(grid.place, rows, numbers, grid.comments, None, [], "column", grid.name, grid.ragged)
        notes.append("names stand in the first column: the table was turned")
    if options.header is False:
        start, width, headers = _without_header(rows, grid)
        named, first = False, start
        preamble_end = start
    else:
        commented = _header_in_comment(grid)
        if commented is not None:
            headers, width, first, named, preamble_end = commented, len(commented), 0, True, 0
            notes.append("the last comment line before the numbers was read as the header")
        else:
            start, width = table_start(rows, grid.place, numbers, _asked(options))
            headers, first, named, preamble_end = [text.strip() for text in rows[start]], start + 1, True, start
    check_headers(headers, f"{grid.place}:{numbers[max(first - 1, 0)]}")
    units, units_from, skipped = _unit_line(rows, first, headers) if named else ({}, "", 0)
    unused: list[Unused] = []
    for index in range(first, first + skipped):
        if not (units and index == first):
            unused.append(Unused("line", str(numbers[index]), f"stands between header and numbers: {rows[index][:3]}"))
    body, lines = rows[first + skipped :], numbers[first + skipped :]
    if not body:
        raise MeasurementError(f"{grid.place}:{numbers[-1]}: the file has a header and no rows.")
    headers, width, body = _fitted(grid, headers, width, body, lines, named)
    columns: list[Sequence[str]] = list(zip(*body, strict=True))
    if preamble_end:
        what = "lines" if grid.row_word == "line" else "rows"
        before = f"the header ({grid.row_word} {numbers[preamble_end]})" if named else "the numbers"
        notes.append(f"{preamble_end} {what} before {before} were read as a preamble")
    preamble = [(grid.separator or "\t").join(row) for row in rows[:preamble_end]]
    sections, stray = _sections(grid, lines)
    for key, values in sections.items():
        headers.append(key)
        columns.append(values)
        notes.append(f"comment lines between the rows give {key!r}")
    unused += stray
    return RawTable(
        grid.place,
        tuple(headers),
        tuple(columns),
        lines,
        _metadata([text for _, text in grid.comments], preamble),
        units,
        units_from,
        tuple(notes),
        grid.row_word,
        grid.name,
        named,
        tuple(unused),
        options.missing_marks,
    )


def _asked(options: ReadOptions) -> list[str]:
    """Return the headers that the user named."""
    words = [part for header in options.columns.values() for part in header.split("+")]
    return [word for word in (*words, *options.only, *options.ignore) if not word.strip().lstrip("#").isdigit()]


def _fitted(
    grid: Grid, headers: list[str], width: int, body: list[list[str]], lines: Sequence[int], named: bool
) -> tuple[list[str], int, list[list[str]]]:
    """Return header and rows of one width; separators at the end of lines make no column."""
    last_empty = all(len(row) <= width or not any(field.strip() for field in row[width:]) for row in body)
    if last_empty and any(len(row) > width for row in body):
        body = [row[:width] for row in body]
    if grid.ragged:
        body = [row + [""] * (width - len(row)) for row in body]
    while width > 1 and not headers[-1].strip() and all(len(row) == width and not row[-1].strip() for row in body):
        headers, width, body = headers[:-1], width - 1, [row[:-1] for row in body]
    for row, number in zip(body, lines, strict=True):
        if len(row) != width:
            kind = "fields" if grid.row_word == "line" else "entries"
            like = "as in the header" if named else "as in the other rows"
            raise MeasurementError(
                f"{grid.place}:{number}: expected {width} {kind} {like}, but got {len(row)}: {row[:4]!r}."
            )
    return headers, width, body


def _names_in_first_column(rows: list[list[str]]) -> bool:
    if len(rows) < 2 or len(rows) > _LOOKED_AT or len({len(row) for row in rows}) != 1 or len(rows[0]) < 3:
        return False
    if any(_known_names(row) >= 2 for row in rows) or sum(is_known(row[0]) for row in rows) < 2:
        return False
    return all(is_number(field) or field.strip().lower() in MISSING for row in rows for field in row[1:40])


def _without_header(rows: list[list[str]], grid: Grid) -> tuple[int, int, list[str]]:
    width = Counter(map(len, rows)).most_common(1)[0][0]
    for index, row in enumerate(rows):
        if len(row) == width and any(map(is_number, row)):
            return index, width, [f"column {number}" for number in range(1, width + 1)]
    raise MeasurementError(f"{grid.place}: no row has a number.")


def _header_in_comment(grid: Grid) -> list[str] | None:
    """Return the names of a comment line that stands right before numbers, as numpy writes its headers."""
    rows = grid.rows
    before = [text for number, text in grid.comments if number < grid.numbers[0]]
    if not before or not any(map(is_number, rows[0])) or _known_names(rows[0]) >= 2:
        return None
    text = before[-1].strip().lstrip("#%!/").strip()
    for names in (
        text.split(grid.separator if grid.separator not in (None, " ") else None),
        re.split(r"\s{2,}|\t", text),
        [part.strip() for part in re.split(r"[,;]", text)],
    ):
        stripped = [name.strip() for name in names]
        if len(stripped) == len(rows[0]) and any(map(is_known, stripped)):
            return stripped
    return None


def table_start(rows: list[list[str]], place: str, numbers: list[int], asked: Sequence[str] = ()) -> tuple[int, int]:
    """Return the index of the header row and the table's width.

    The header is the first row with a name that the user asked for, or with two names that are known for columns; else
    the first row where it is all numbers (targets of a wide table); else the first row of words that rows of numbers in
    the same places follow; else the first row.

    Args:
        rows: fields of the first lines.
        place: the file, for errors.
        numbers: line number of each row.
        asked: headers that the user named.

    Raises:
        MeasurementError: numbers before any header, or a header and no rows.
    """
    if len(rows) == 1:
        raise MeasurementError(f"{place}:{numbers[0]}: the file has a header and no rows.")
    first = rows[:_LOOKED_AT]
    for by_name in (True, False):
        for index, row in enumerate(first):
            if (len(row) > 1 and _has_one(row, asked)) if by_name else _known_names(row) >= 2:
                if index == len(rows) - 1:
                    raise MeasurementError(f"{place}:{numbers[index]}: the file has a header and no rows.")
                return index, len(row)
    if all(map(is_number, rows[0])):
        return 0, len(rows[0])
    for index, row in enumerate(first[: len(rows) - 1]):
        if len(row) > 1 and all(map(is_number, row)):
            if index and len(rows[index - 1]) == len(row):
                # Words among numbers above numbers only, such as the target of a wide table: names all the same.
                return index - 1, len(row)
            raise MeasurementError(f"{place}:{numbers[index]}: numbers stand before any header line; {NO_HEADER}.")
        body = rows[index + 1 : index + 1 + _BODY]
        places = [tuple(map(is_number, each)) for each in body]
        if len(row) == len(body[0]) and any(places[0]) and len(set(places)) == 1 and not any(map(is_number, row)):
            return index, len(row)
    # Nothing looks like a table: let the first line be the header and the columns say what is wrong with them.
    return 0, len(rows[0])


def _has_one(row: list[str], asked: Sequence[str]) -> bool:
    return any(find_columns([text], name) for name in asked for text in row)


def _known_names(row: list[str]) -> int:
    """Return how many fields of a row are names of columns or of wide targets such as ``50 nA``."""
    count = 0
    for text in row[:_LOOKED_AT]:
        name, unit = split_header(text)
        count += is_known(text) or (unit is not None and is_number(name))
    return count


def _unit_line(rows: list[list[str]], first: int, headers: list[str]) -> tuple[dict[int, str], str, int]:
    """Return units by column of a line that stands below the names, and how many lines to skip before the numbers."""
    units: dict[int, str] = {}
    skipped = 0
    for row in rows[first : first + 3]:
        fields = [text.strip() for text in row]
        words = [text for text in fields if text and text not in ("-", "--", "1", "#")]
        if not words or any(map(is_number, words)) or len(fields) > len(headers):
            break
        if not units and all(map(is_unit, words)):
            units = {
                index: text.strip("()[]{} ")
                for index, text in enumerate(fields)
                if text and text not in ("-", "--", "1", "#")
            }
        elif not units:
            # Text that is neither units nor a remark below them: the columns will say what is wrong.
            break
        skipped += 1
    return units, "line below the names", skipped if units else 0


def _sections(grid: Grid, lines: Sequence[int]) -> tuple[dict[str, list[str]], list[Unused]]:
    """Return columns that comment lines between the rows stand for, and comments that mean nothing to us.

    ``# time = 0 s`` and later ``# time = 24 h`` head the rows below them.
    """
    if grid.row_word != "line":
        return {}, []
    found: dict[str, list[tuple[int, str]]] = {}
    stray = []
    for number, text in grid.comments:
        match = _KEY_VALUE.match(text)
        inside = lines[0] < number < lines[-1]
        if match is not None and is_known(match["key"]):
            found.setdefault(match["key"].strip(), []).append((number, match["value"]))
        elif inside:
            stray.append(Unused("line", str(number), f"a comment between the rows: {text.strip()[:60]!r}"))
    columns = {}
    for key, places in found.items():
        if not any(lines[0] < number < lines[-1] for number, _ in places):
            continue
        if places[0][0] > lines[0]:
            raise MeasurementError(
                f"{grid.place}:{places[0][0]}: the comment gives {key!r} to the rows below it, but nothing gives it to"
                " those above; write it before them as well."
            )
        values, at = [], 0
        for line in lines:
            while at + 1 < len(places) and places[at + 1][0] < line:
                at += 1
            values.append(places[at][1])
        columns[key] = values
    return columns, stray


def _metadata(comments: list[str], preamble: list[str]) -> dict[str, str]:
    found = {}
    for line in comments:
        if match := _KEY_VALUE.match(line) or _KEY_QUANTITY.match(line):
            found[match["key"].strip().lower().replace(" ", "_")] = match["value"]
    for line in preamble:
        fields = [field.strip().strip('"') for field in re.split(r"[,;\t=:]", line, maxsplit=1)]
        if len(fields) == 2 and fields[0] and fields[1].strip(" ,;\t"):
            found.setdefault(fields[0].lower().replace(" ", "_"), fields[1].strip(" ,;\t"))
    return found
