"""Text files as grids of fields: any encoding, any delimiter, comment lines; every row knows its line."""

from __future__ import annotations

import csv
import re
from collections import Counter

from devicekit.common.errors import MeasurementError
from devicekit.measurements.grids import Grid
from devicekit.measurements.number_formats import decimal_mark, is_number, plain_numbers
from devicekit.measurements.raw_tables import MOST_COLUMNS, check_headers

_COMMENT = re.compile(r"\s*(#|%|//|!)")
_SEPARATOR_LINE = re.compile(r"^\s*\"?sep=(?P<mark>.)\"?\s*$", re.IGNORECASE)
_LOOKED_AT = 400
_SEPARATORS = ("\t", ";", "|", ",", " ")


def decode(content: bytes, place: str) -> str:
    """Return the text of a file in UTF-8 or UTF-16 (with or without byte order mark) or Latin-1.

    Raises:
        MeasurementError: an empty or a binary file.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return content.decode("utf-16")
        except UnicodeDecodeError as error:
            raise MeasurementError(f"{place}: starts as UTF-16 text but is not: {error.reason}.") from error
    if not content.strip():
        raise MeasurementError(f"{place}: the file is empty.")
    head = content[:65536]
    if b"\x00" in head:
        text = _utf16_without_mark(content, head)
        if text is not None:
            return text
    if b"\x00" in head or _control_share(head) > 0.02:
        raise MeasurementError(
            f"{place}: the file is binary, not a text table; read are CSV and other text, .xlsx, .xls, .parquet, .npz,"
            " .npy and .mat, each also as .gz."
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _utf16_without_mark(content: bytes, head: bytes) -> str | None:
    """Return UTF-16 text that lacks its byte order mark: every other byte of plain text is zero."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    for code, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if zeros > 0.5 * half and others < 0.01 * half and len(content) % 2 == 0:
            try:
                return content.decode(code)
            except UnicodeDecodeError:
                return None
    return None


def _control_share(content: bytes) -> float:
    control = sum(content.count(bytes([code])) for code in (*range(1, 9), *range(14, 32), 127))
    return control / max(1, len(content))


def read_text_grid(text: str, place: str, delimiter: str | None = None, decimal: str = "auto") -> Grid:
    """Return the fields of a text file, numbers with decimal points and without thousands marks.

    Comment lines start with ``#``, ``%``, ``//`` or ``!``. The delimiter is a tab, semicolon, bar, comma or blanks,
    whichever splits the lines evenly into clean fields.

    Args:
        text: the file's text.
        place: the file.
        delimiter: what separates fields; None: found.
        decimal: decimal mark, or ``"auto"``.

    Raises:
        MeasurementError: only comments, a line that is no table, or numbers that can be read both ways.
    """
    comments: list[tuple[int, str]] = []
    lines: list[tuple[int, str]] = []
    hollow = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if number == 1 and (stated := _SEPARATOR_LINE.match(line)):
            delimiter = delimiter or stated["mark"]
        elif _COMMENT.match(line):
            comments.append((number, line))
        elif line.strip(" \t,;|\r"):
            lines.append((number, line))
        elif line.strip():
            hollow += 1
    if not lines:
        raise MeasurementError(f"{place}: the file has no rows, only comments.")
    separator = delimiter or _delimiter([line for _, line in lines[:_LOOKED_AT]], place)
    rows, numbers = _split(lines, separator, place)
    mark = decimal if decimal != "auto" else decimal_mark((f for row in rows for f in row), separator, place)
    notes = [f"{hollow} lines that hold only delimiters were passed over"] if hollow else []
    # Most files have none of these marks in a number; then their fields stay as they are.
    odd = any(sign in text for sign in "'’\u00a0\u202f\u2009") or ("," in text and (separator != "," or '"' in text))
    rows, fixed = _plain(rows, mark) if odd or mark == "," else (rows, [])
    return Grid(
        place,
        rows,
        numbers,
        comments=comments,
        separator=separator,
        notes=[*notes, *fixed],
        row_word="line",
    )


def _plain(rows: list[list[str]], mark: str) -> tuple[list[list[str]], list[str]]:
    notes = []
    commas = thousands = False
    for index, row in enumerate(rows):
        if mark == "," or any("," in field or "'" in field or "\u00a0" in field for field in row):
            fixed, some_commas, some_thousands = plain_numbers(row, mark)
            if some_commas or some_thousands:
                rows[index] = list(fixed)
                commas, thousands = commas or some_commas, thousands or some_thousands
    if commas:
        notes.append("decimal commas were read as decimal points")
    if thousands:
        notes.append("marks between thousands were left out of numbers")
    return rows, notes


def _delimiter(lines: list[str], place: str) -> str:
    """Return the separator that splits most lines into the same number of clean fields, more than one."""
    best, best_score = ",", (0.0, 0.0, 0)
    for candidate in _SEPARATORS:
        fields = [_fields(line, candidate) for line in lines]
        widths = Counter(map(len, fields))
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
        if width < 2 or count < 2:
            continue
        looked_at = [_is_clean(field, candidate) for row in fields[:50] for field in row[:200]]
        score = (count / len(lines), sum(looked_at) / len(looked_at), width)
        if score > best_score:
            best, best_score = candidate, score
    if best_score[0] == 0.0 and len(lines[0]) > 2_000_000:
        raise MeasurementError(f"{place}: one line of {len(lines[0])} characters is no table.")
    return best


def _is_clean(field: str, separator: str) -> bool:
    """Return whether no other separator is left in a field, but for the comma of a number."""
    others = [mark for mark in _SEPARATORS if mark not in (separator, " ") and mark in field]
    return not others or (others == [","] and (is_number(field) or not field.strip()[:1].isdigit()))


def _fields(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        # Blanks and tabs only: other spaces stand inside numbers.
        return re.split(r"[ \t]+", line.strip(" \t\r"))
    return line.split(delimiter) if '"' not in line else next(csv.reader([line], delimiter=delimiter))


def _split(lines: list[tuple[int, str]], delimiter: str, place: str) -> tuple[list[list[str]], list[int]]:
    numbers = [number for number, _ in lines]
    longest = max(lines[:_LOOKED_AT], key=lambda item: len(item[1]))
    if longest[1].count(delimiter) > MOST_COLUMNS:
        check_headers([str(index) for index in range(longest[1].count(delimiter) + 1)], f"{place}:{longest[0]}")
    try:
        return [_fields(line, delimiter) for _, line in lines], numbers
    except csv.Error as error:
        raise MeasurementError(f"{place}: not a table of fields separated by {delimiter!r}: {error}.") from error
