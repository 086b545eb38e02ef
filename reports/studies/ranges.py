"""Values that a study varies, from a list, a text such as ``6..9``, or a single value."""

from __future__ import annotations

import json
import math
import re
from typing import Any

MOST_VALUES = 10_000
"""Values of one range, at most: more is a slip of the pen."""

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?:([:*])({_NUMBER}))?")
_WORDS: dict[str, Any] = {"true": True, "false": False, "none": None}


def values_of(entry: Any) -> tuple[Any, ...]:
    """Return the values that one entry of `vary` stands for, in order.

    Args:
        entry: a list; a text with commas and ranges (``"144,288"``, ``"6..9"``, ``"0..1:0.25"`` in steps,
            ``"144..1152*2"`` by a factor); or one value. ``none`` stands for None; a list inside a list, or ``[8,7]``
            in a text, is one value of several parts.

    Raises:
        ValueError: no values, the same twice, or a range that never ends.
    """
    items = entry if isinstance(entry, list | tuple) else [entry]
    values: list[Any] = []
    for item in items:
        values += _from_text(item) if isinstance(item, str) else [_frozen(item)]
    if not values:
        raise ValueError("expected at least one value")
    for number, value in enumerate(values):
        if any(_same(value, other) for other in values[:number]):
            raise ValueError(f"the value {value!r} stands twice")
    return tuple(values)


def text_of(value: Any) -> str:
    """Return one value as a person reads it in the name of a point.

    Args:
        value: from `values_of`.
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return "+".join(map(text_of, value))
    if isinstance(value, dict):
        return text_of(value.get("network", next(iter(value.values()), "")))
    return str(value)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value


def _same(one: Any, other: Any) -> bool:
    return bool(type(one) is type(other) and one == other)


def _from_text(text: str) -> list[Any]:
    values: list[Any] = []
    for piece in _split(text):
        found = _RANGE.fullmatch(piece)
        values += [_value(piece)] if found is None else _range(piece, *found.groups())
    return values


def _split(text: str) -> list[str]:
    """Return the pieces between commas that stand in no bracket."""
    pieces, depth, current = [], 0, ""
    for character in text:
        depth += (character == "[") - (character == "]")
        if character == "," and depth == 0:
            pieces.append(current)
            current = ""
        else:
            current += character
    return [piece.strip() for piece in [*pieces, current] if piece.strip()]


def _value(piece: str) -> Any:
    if piece.lower() in _WORDS:
        return _WORDS[piece.lower()]
    if re.fullmatch(_NUMBER, piece):
        return _number(piece)
    if piece.startswith("["):
        try:
            return _frozen(json.loads(piece))
        except ValueError:
            raise ValueError(f"expected a list such as [8,8,7], but got {piece!r}") from None
    return piece


def _number(text: str) -> int | float:
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)


def _range(piece: str, low: str, high: str, how: str | None, by: str | None) -> list[int | float]:
    first, last, step = _number(low), _number(high), _number(by or "1")
    values: list[int | float] = []
    if how == "*":
        endless = not (first > 0 and last >= first and step > 1)
        count = 0 if endless else math.floor(math.log(last / first) / math.log(step) + 1e-9) + 1
        values = [first * step**number for number in range(min(count, MOST_VALUES + 1))]
    else:
        endless = not (step > 0 and last >= first)
        count = 0 if endless else math.floor((last - first) / step + 1e-9) + 1
        values = [first + number * step for number in range(min(count, MOST_VALUES + 1))]
    if endless:
        raise ValueError(
            f"the range {piece!r} has no end: it goes from the lower value up, in steps above 0 (or by a "
            "factor above 1)"
        )
    if count > MOST_VALUES:
        raise ValueError(f"the range {piece!r} has more than {MOST_VALUES} values")
    # Binary steps such as 0.1 are rounded where a person would write the decimal.
    return [value if isinstance(value, int) else float(f"{value:.12g}") for value in values]
