"""Conditions on the rows of a table, such as ``adc_bits == 8``: a column, a comparison and a value, nothing more."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from devicekit.common.errors import unknown_name
from reports.errors import StudyError

_FORM = re.compile(r"\s*(\w+)\s*(<=|>=|==|!=|=|<|>)\s*(.*?)\s*")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "==": operator.eq, "=": operator.eq,
    "!=": operator.ne,
}  # fmt: skip


def keeps(row: Mapping[str, Any], condition: str) -> bool:
    """Return whether a row keeps to a condition; a value that is not known keeps to ``!=`` alone.

    Numbers are compared as numbers where both sides are; otherwise as text.

    Args:
        row: values by column.
        condition: COLUMN, one of ``== != < <= > >=``, a value.

    Raises:
        StudyError: another form, or an unknown column (with the nearest names).
    """
    found = _FORM.fullmatch(condition)
    if found is None:
        raise StudyError(f"Expected a condition such as 'adc_bits == 8', but got {condition!r}.")
    column, sign, text = found.groups()
    if column not in row:
        raise StudyError(f"Condition {condition!r}: " + unknown_name("column", column, row))
    value, wanted = row[column], text.strip("'\"")
    if value is None:
        return sign == "!=" or (sign in ("==", "=") and wanted == "")
    one, other = _number(value), _number(wanted)
    if one is None or other is None:
        return _COMPARE[sign](str(value), wanted)
    return _COMPARE[sign](one, other)


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
