"""Text tables: any delimiter, comment lines, preambles of measuring instruments, exact line numbers in every error."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

from devicekit.common.errors import MeasurementError
from devicekit.measurements.column_roles import ALIASES, split_header
from devicekit.measurements.raw_tables import MOST_COLUMNS, RawTable, check_headers

_COMMENT = re.compile(r"\s*(#|%|//|!)")
_KEY_VALUE = re.compile(r"^\W*(?P<key>[A-Za-z][\w \-]{0,40}?)\s*[=:]\s*(?P<value>.+?)\s*$")
_DECIMAL_COMMA = re.compile(r"^\s*[+-]?\d+,\d+([eE][+-]?\d+)?\s*$")
_LOOKED_AT = 400


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8 (with or without byte order mark), UTF-16 or Latin-1.

    Raises:
        MeasurementError: an empty or a binary file, or one that cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MeasurementError(f"{path}: cannot be read: {error.strerror or error}.") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return content.decode("utf-16")
        except UnicodeDecodeError as error:
            raise MeasurementError(f"{path}: starts as UTF-16 text but is not: {error.reason}.") from error
    if not content.strip():
        raise MeasurementError(f"{path}: the file is empty.")
    if b"\x00" in content[:65536] or _control_share(content[:65536]) > 0.02:
        raise MeasurementError(
            f"{path}: the file is binary, not a text table; Parquet and XLSX files need their own ending"
            " (.parquet, .xlsx)."
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _control_share(content: bytes) -> float:
    control = sum(content.count(bytes([code])) for code in (*range(1, 9), *range(14, 32), 127))
    return control / max(1, len(content))


def read_text_table(path: Path, delimiter: str | None = None) -> RawTable:
    """Return the table of a text file.

    Comment lines start with ``#``, ``%``, ``//`` or ``!``; those of the form ``key = value`` become metadata. The
    delimiter is a tab, semicolon, comma, bar or blanks, whichever splits the lines evenly. Lines before the table (a
    preamble) are metadata too and counted in the notes. The header is the last line before the numbers that has as
    many fields as they have.

    Args:
        path: the file.
        delimiter: what separates fields; None: found.

    Raises:
        MeasurementError: an empty or binary file, no header, no rows, a row of another width, a header twice.
    """
    comments: list[str] = []
    lines: list[tuple[int, str]] = []
    hollow = 0
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if _COMMENT.match(line):
            comments.append(line)
        elif line.strip(" \t,;|\r"):
            lines.append((number, line))
        elif line.strip():
            hollow += 1
    if not lines:
        raise MeasurementError(f"{path}: the file has no rows, only comments.")
    separator = delimiter or _delimiter([line for _, line in lines[:_LOOKED_AT]], path)
    rows, numbers = _split(lines, separator, path)
    start, width = table_start(rows, path, numbers)
    headers = tuple(field.strip() for field in rows[start])
    check_headers(headers, f"{path}:{numbers[start]}")
    body, body_lines = rows[start + 1 :], numbers[start + 1 :]
    for row, number in zip(body, body_lines, strict=True):
        if len(row) != width:
            raise MeasurementError(
                f"{path}:{number}: expected {width} fields as in the header, but got {len(row)}: {row[:4]!r}."
            )
    columns = tuple(zip(*body, strict=True))
    notes = []
    if hollow:
        notes.append(f"{hollow} lines that hold only delimiters were passed over")
    if start:
        notes.append(f"{start} lines before the header (line {numbers[start]}) were read as a preamble")
    if separator != ",":
        fixed = [_without_decimal_comma(column) for column in columns]
        if any(changed for _, changed in fixed):
            columns = tuple(column for column, _ in fixed)
            notes.append("decimal commas were read as decimal points")
    preamble = [separator.join(row) if separator else " ".join(row) for row in rows[:start]]
    return RawTable(
        str(path), headers, columns, body_lines, _metadata(comments, preamble), notes=tuple(notes), row_word="line"
    )


def _metadata(comments: list[str], preamble: list[str]) -> dict[str, str]:
    found = {}
    for line in comments:
        if match := _KEY_VALUE.match(line):
            found[match["key"].strip().lower().replace(" ", "_")] = match["value"]
    for line in preamble:
        fields = [field.strip().strip('"') for field in re.split(r"[,;\t=:]", line, maxsplit=1)]
        if len(fields) == 2 and fields[0] and fields[1].strip(" ,;\t"):
            found.setdefault(fields[0].lower().replace(" ", "_"), fields[1].strip(" ,;\t"))
    return found


def _delimiter(lines: list[str], path: Path) -> str:
    """Return the separator that splits most lines into the same number of fields, more than one."""
    best, best_score = ",", (0.0, 0)
    for candidate in ("\t", ";", ",", "|", " "):
        widths = Counter(len(_fields(line, candidate)) for line in lines)
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
        if width > 1 and (count / len(lines), width) > best_score and count >= 2:
            best, best_score = candidate, (count / len(lines), width)
    if best_score[0] == 0.0 and len(lines[0]) > 2_000_000:
        raise MeasurementError(f"{path}: one line of {len(lines[0])} characters is no table.")
    return best


def _fields(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.split()
    return line.split(delimiter) if '"' not in line else next(csv.reader([line], delimiter=delimiter))


def _split(lines: list[tuple[int, str]], delimiter: str, path: Path) -> tuple[list[list[str]], list[int]]:
    numbers = [number for number, _ in lines]
    longest = max(lines[:_LOOKED_AT], key=lambda item: len(item[1]))
    if longest[1].count(delimiter) > MOST_COLUMNS:
        check_headers([str(index) for index in range(longest[1].count(delimiter) + 1)], f"{path}:{longest[0]}")
    if delimiter == " ":
        return [line.split() for _, line in lines], numbers
    try:
        return [_fields(line, delimiter) for _, line in lines], numbers
    except csv.Error as error:
        raise MeasurementError(f"{path}: not a table of fields separated by {delimiter!r}: {error}.") from error


def _number(text: str) -> bool:
    try:
        float(text.replace(",", ".") if _DECIMAL_COMMA.match(text) else text)
    except ValueError:
        return False
    return True


def table_start(rows: list[list[str]], path: Path | str, numbers: list[int]) -> tuple[int, int]:
    """Return the index of the header row and the table's width.

    The header is the first row with two names that are known for columns; else the first row where it is all
    numbers (targets of a wide table); else the first row of words that rows of numbers in the same places follow; else
    the first row.

    Args:
        rows: fields of the first lines.
        path: the file, for errors.
        numbers: line number of each row.

    Raises:
        MeasurementError: numbers before any header, or a header and no rows.
    """
    if len(rows) == 1:
        raise MeasurementError(f"{path}:{numbers[0]}: the file has a header and no rows.")
    first = rows[:_LOOKED_AT]
    for index, row in enumerate(first):
        if _known_names(row) >= 2:
            if index == len(rows) - 1:
                raise MeasurementError(f"{path}:{numbers[index]}: the file has a header and no rows.")
            return index, len(row)
    if all(map(_number, rows[0])):
        return 0, len(rows[0])
    for index, row in enumerate(first[: len(rows) - 1]):
        if len(row) > 1 and all(map(_number, row)):
            raise MeasurementError(f"{path}:{numbers[index]}: numbers stand before any header line.")
        body = rows[index + 1 : index + 1 + _BODY]
        places = [tuple(map(_number, each)) for each in body]
        if len(row) == len(body[0]) and any(places[0]) and len(set(places)) == 1 and not any(map(_number, row)):
            return index, len(row)
    # Nothing looks like a table: let the first line be the header and the columns say what is wrong with them.
    return 0, len(rows[0])


_NAMES = frozenset(alias for aliases in ALIASES.values() for alias in aliases)
_BODY = 4
"""Rows after a header that must have their numbers in the same places."""


def _known_names(row: list[str]) -> int:
    """Return how many fields of a row are names of columns or of wide targets such as ``50 nA``."""
    count = 0
    for field in row[:_LOOKED_AT]:
        name, unit = split_header(field)
        count += name in _NAMES or (unit is not None and _number(name))
    return count


def _without_decimal_comma(column: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    if any(_DECIMAL_COMMA.match(text) for text in column[:50]):
        return tuple(text.replace(",", ".") if _DECIMAL_COMMA.match(text) else text for text in column), True
    return column, False
