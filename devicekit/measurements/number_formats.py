"""Numbers as people and instruments write them: decimal commas, thousands, marks of overflow and of missing numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from devicekit.common.errors import MeasurementError

MISSING = frozenset({"", "nan", "na", "n/a", "none", "null", "-", "--", "#n/a", "#div/0!", "#value!", "#num!", "#ref!"})
"""Spellings of a missing number, lower case."""
OVERFLOWS = frozenset({"ol", "o.l", "ovl", "ovld", "over", "overflow", "over range", "overrange", "ovrflw", "ovfl"})
"""Words of instruments for a current out of range, lower case."""
OVERFLOW = 1e30
"""No physical quantity of a cell is as large in any unit: SCPI instruments write 9.9e37 (overflow) and 9.91e37 (no
number), others 199.999e99."""

_COMMA = re.compile(r"[+\-−]?\d+,\d+(?:[eE][+-]?\d+)?|[+\-−]?,\d+|[+\-−]?\d+,\d*[eE][+-]?\d+")
_GROUPED_COMMA = re.compile(r"[+\-−]?[1-9]\d{0,2}(?:,\d{3})+")
_GROUPED_POINT = re.compile(r"[+\-−]?[1-9]\d{0,2}(?:\.\d{3})+")
_POINT_THEN_COMMA = re.compile(r"[+\-−]?\d{1,3}(?:\.\d{3})+,\d+")
_COMMA_THEN_POINT = re.compile(r"[+\-−]?\d{1,3}(?:,\d{3})+\.\d+")
_GROUPED_OTHERWISE = re.compile(r"[+\-−]?\d{1,3}(?:[ \u00a0\u202f\u2009'’]\d{3})+(?:[.,]\d+)?")
_SPACES = re.compile(r"(?<=\d)[ \u00a0\u202f\u2009'’](?=\d{3})")
_LOOKED_AT = 2000
"""Numbers that the decimal mark is judged by."""


def is_number(text: str) -> bool:
    """Return whether a field is a number, in either decimal mark."""
    try:
        float(text.replace(",", ".") if _COMMA.fullmatch(text.strip()) else text.strip().replace("−", "-"))
    except ValueError:
        return False
    return True


def number_of(text: str) -> float:
    """Return a number written with either decimal mark; no thousands.

    Raises:
        ValueError: no number.
    """
    plain = text.strip().replace("−", "-")
    return float(plain.replace(",", ".") if _COMMA.fullmatch(plain) else plain)


def decimal_mark(fields: Iterable[str], separator: str | None, place: str) -> str:
    """Return the decimal mark of a text table, or ask where the numbers can be read both ways.

    ``0,5`` can only have a decimal comma and ``0.5`` a decimal point; ``1.234,5`` has a comma and points between
    thousands. What remains is a column of ``100.000`` in a file with semicolons, which is usual where the comma is
    the decimal mark, and of ``100,000`` elsewhere.

    Args:
        fields: fields of the table.
        separator: what separates them.
        place: the file, for the question.

    Raises:
        MeasurementError: both marks fit, or both are used.
    """
    comma = point = grouped_comma = grouped_point = ""
    looked_at = 0
    for field in fields:
        text = field.strip()
        if not text or text[-1:] not in "0123456789.,":
            continue
        if _GROUPED_OTHERWISE.fullmatch(text):
            text = _SPACES.sub("", text)
        if _POINT_THEN_COMMA.fullmatch(text):
            comma = text
        elif _COMMA_THEN_POINT.fullmatch(text):
            point = text
        elif _GROUPED_COMMA.fullmatch(text):
            # A mark that comes twice stands between thousands.
            grouped_comma, point = (text, point) if text.count(",") == 1 else (grouped_comma, text)
        elif _GROUPED_POINT.fullmatch(text):
            grouped_point, comma = (text, comma) if text.count(".") == 1 else (grouped_point, text)
        elif _COMMA.fullmatch(text):
            comma = text
        elif "." in text and is_number(text):
            point = text
        looked_at += 1
        if looked_at >= _LOOKED_AT:
            break
    settle = "say which with decimal='.' or decimal=','"
    if comma and point:
        raise MeasurementError(f"{place}: {comma!r} has a decimal comma and {point!r} a decimal point; {settle}.")
    if comma:
        return ","
    if point:
        return "."
    if grouped_point and separator == ";":
        raise MeasurementError(
            f"{place}: {grouped_point!r} can be {grouped_point.replace('.', '')} (points between thousands, as usual"
            f" in files with semicolons) or {float(grouped_point.replace('−', '-')):g}; {settle}."
        )
    if grouped_comma and not grouped_point:
        if separator == ";":
            return ","
        raise MeasurementError(
            f"{place}: {grouped_comma!r} can be {grouped_comma.replace(',', '')} (commas between thousands) or"
            f" {number_of(grouped_comma):g}; {settle}."
        )
    return "."


def plain_numbers(column: Sequence[str], mark: str) -> tuple[Sequence[str], bool, bool]:
    """Return a column whose numbers have a decimal point and no thousands marks, and what was changed.

    Args:
        column: fields; what is no number stays as it is.
        mark: the decimal mark.

    Returns:
        The column, whether decimal commas and whether thousands marks were read.
    """
    commas = thousands = False
    fixed = []
    other = "." if mark == "," else ","
    grouped = re.compile(rf"[+\-−]?[1-9]\d{{0,2}}(?:\{other}\d{{3}})+(?:\{mark}\d+)?")
    for field in column:
        text = field.strip()
        if not text or not (text[0].isdigit() or text[0] in "+-−.,"):
            fixed.append(field)
            continue
        if _GROUPED_OTHERWISE.fullmatch(text):
            text, thousands = _SPACES.sub("", text), True
        if grouped.fullmatch(text):
            text, thousands = text.replace(other, ""), True
        if mark == "," and _COMMA.fullmatch(text):
            text, commas = text.replace(",", "."), True
        fixed.append(text)
    return (tuple(fixed), commas, thousands) if commas or thousands else (column, False, False)
