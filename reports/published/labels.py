"""Names of table columns and their values as a person reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from devicekit.common.plain import plain
from reports.results import Values

UNITS = {
    "percent": "%",
    "points": "points",
    "fj_per_op": "fJ/op",
    "nj_per_inference": "nJ per inference",
    "uj_per_inference": "µJ per inference",
    "tops_per_w": "TOPS/W",
    "mm2": "mm²",
    "um2": "µm²",
    "ua": "µA",
    "na": "nA",
    "a": "A",
    "v": "V",
    "mv": "mV",
    "ns": "ns",
    "us": "µs",
    "s": "s",
    "k": "K",
    "nj": "nJ",
    "uj": "µJ",
    "db": "dB",
    "lsb": "LSB",
}
"""Unit by the end of a column's name; longer ends stand before those that they end with."""

_WORDS = {
    "adc": "ADC",
    "macs": "multiplications",
    "on_off_ratio": "on/off ratio",
    "r_p_hat": "R_p_hat",
    "snr": "SNR",
    "sonos": "SONOS",
    "stderr": "standard error",
    "tops_per_w": "efficiency",
}
_BOUNDS = {"low": "lower bound", "high": "upper bound"}
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
_POWERS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Column:
    """A column of a table on the page.

    Attributes:
        heading: with the unit.
        words: whether it holds words, which begin on the left, rather than numbers, which end on the right.
    """

    heading: str
    words: bool


def words_and_unit(key: str) -> tuple[str, str]:
    """Return what a column is called, and its unit.

    Args:
        key: name of the column, such as ``adc_range_ua``.

    Returns:
        Such as ``("ADC range", "µA")``; the unit is empty where the name has none.
    """
    # Bounds of a quantity stand after the unit in some tables and before it in others.
    name, bound = _without_bound(key)
    suffix = next((end for end in UNITS if name.endswith(f"_{end}")), "")
    if suffix:
        inner, own = _without_bound(name.removesuffix(f"_{suffix}"))
        name, bound = inner, bound or own
    elif name == "tops_per_w":
        suffix = name
    plain = _WORDS.get(name) or " ".join(_WORDS.get(word, word) for word in name.split("_"))
    return ", ".join(filter(None, (plain, _BOUNDS.get(bound, "")))), UNITS.get(suffix, "")


def _without_bound(name: str) -> tuple[str, str]:
    """Return a name without the bound that it ends with, and the bound."""
    words = name.split("_")
    return ("_".join(words[:-1]), words[-1]) if words[-1] in _BOUNDS else (name, "")


def heading(key: str) -> str:
    """Return the heading of a column, its unit in brackets.

    Args:
        key: name of the column.
    """
    words, unit = words_and_unit(key)
    return f"{words} [{unit}]" if unit else words


def power_of_ten(value: float) -> str:
    """Return a number as digits and a power of ten: 3·10⁻⁶, and 10⁻⁶ for 1e-6.

    Args:
        value: the number.
    """
    digits, power = f"{value:.3e}".split("e")
    digits = digits.rstrip("0").rstrip(".")
    shown = f"10{str(int(power)).translate(_POWERS)}"
    return shown if digits == "1" else f"{digits}·{shown}"


def cell(key: str, value: object) -> str:
    """Return a value of a table as the page shows it.

    Args:
        key: name of its column.
        value: as the table has it.
    """
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\N{NO-BREAK SPACE}") if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return _number(value, words_and_unit(key)[1])
    # Tables of several quantities have their names in a column of its own.
    return heading(str(value)) if key == "quantity" else str(value)


def _number(value: float, unit: str) -> str:
    # Differences of equal percentages are zero but for rounding.
    if value == 0 or (unit in ("%", "points") and abs(value) < 1e-9):
        return "0"
    return f"{value:.4g}" if 1e-4 <= abs(value) < 1e5 else power_of_ten(value)


def table(rows: Sequence[Values]) -> tuple[list[Column], list[list[str]]]:
    """Return a table for the page: its columns, and the cells of each row.

    Args:
        rows: mappings with the same keys.
    """
    values = [{key: plain(value) for key, value in row.items()} for row in rows]
    columns = [Column(heading(key), not all(_is_number(row[key]) for row in values)) for key in rows[0]] if rows else []
    return columns, [[cell(key, value) for key, value in row.items()] for row in values]


def _is_number(value: object) -> bool:
    """Return whether a value may stand in a column of numbers; printed numbers are text, for their digits."""
    if isinstance(value, str):
        return value == "" or _NUMBER.fullmatch(value) is not None
    return not isinstance(value, bool)
