"""Columns named by what their numbers belong to: a target (``50 nA``), a time (``24 h``), a cell (``cell_7 (nA)``)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from devicekit.common.errors import MeasurementError
from devicekit.measurements.unit_conversions import conversion

_QUANTITY = re.compile(
    r"^(?:(?P<prefix>[A-Za-z_]+)(?P<joint>\s*[=@:_]\s*|\s+)|(?P<glued>[A-Za-z]+)(?=\d))?"
    r"(?P<number>[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?)\s*(?P<bracket>[\[\(])?\s*"
    r"(?P<unit>[A-Za-zµμ°ΩΩ%]+\d?)?\s*[\]\)]?"
    r"(?P<repeat>\.\d+|\s*\(\d+\)|\s*#\s*\d+|_\d+|\s+(?:rep|repeat|run|copy)\s*\d+)?$"
)
_REPLICATE = re.compile(
    r"^(?P<prefix>[A-Za-z#]+)?\s*[ _#.\-]*\s*(?P<number>\d+)\s*"
    r"(?:[\[\(](?P<unit>[^\]\)]*)[\]\)]|[/,]\s*(?P<slash>\S+))?$"
)
REPLICATES = {
    **dict.fromkeys(("cell", "cells", "device", "dev", "bit", "zelle", "cellule", "address", "addr", "memristor"),
                    "cell"),
    **dict.fromkeys(("die", "dut", "chip"), "die"),
    **dict.fromkeys(("wafer",), "wafer"),
    **dict.fromkeys(("read", "rep", "repeat", "reading", "rd"), "read"),
    **dict.fromkeys(("cycle", "cyc", "zyklus"), "cycle"),
}  # fmt: skip
"""What a numbered column is another one of, by the word before its number."""
_NO_LEVELS = frozenset({"v", "t", "vg", "vd", "temp", "time", "temperature", "bias"})
"""Words before a number that is no level of current."""
_STATE_WORDS = frozenset({"l", "s", "state", "level", "lvl", "mlc", "zustand"})
_CURRENT_WORDS = frozenset({"i", "g", "r", "target", "id", "ids", "itarget", "gtarget", "rtarget", "current", "soll"})
"""Words before a number with a unit in brackets: numbers of states, and currents."""
_STATES = re.compile(
    r"^(?:HRS|LRS|[MI]RS\d*|LCS|HCS|on|off|set|reset|erased|programmed|(?:state|level|lvl|L|S|MLC|zustand)[ _\-]?\d+"
    r"|0b[01]+)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ColumnLabel:
    """What a header says of the numbers below it.

    Attributes:
        role: ``"target"``, ``"time"``, ``"temperature"``, ``"bias"``, or ``"state"`` for a name of one.
        number: in `unit`.
        unit: as written; empty where there is none.
        text: a state's name.
    """

    role: str
    number: float
    unit: str
    text: str = ""


def column_label(header: str) -> ColumnLabel | None:
    """Return what a header labels its numbers with, or None where it names a quantity instead."""
    text = header.strip().strip("\"'")
    if _STATES.match(text):
        return ColumnLabel("state", 0.0, "", text)
    match = _QUANTITY.match(text)
    if match is None:
        return None
    prefix = (match["prefix"] or match["glued"] or "").lower().strip("_")
    unit = match["unit"] or ""
    spaced = match["prefix"] is not None and not match["joint"].strip()
    if prefix in REPLICATES or (not unit and (match["glued"] or match["repeat"] or spaced or prefix in _NO_LEVELS)):
        return None
    if prefix and unit and match["bracket"]:
        # L3 (nA): the bracket has the unit of the numbers below, and the name a number of its own.
        if prefix in _STATE_WORDS:
            return ColumnLabel("state", 0.0, unit, text[: match.start("bracket")].strip())
        if prefix not in _CURRENT_WORDS:
            return None
    number = float(match["number"].replace(",", "."))
    if not math.isfinite(number):
        return None
    for role in ("target", "time", "temperature"):
        if not unit:
            break
        try:
            found = conversion(role, unit, "")
        except MeasurementError:
            continue
        # A share or a bare per cent names no level by itself; G0 and the like do.
        return ColumnLabel(role, number, unit) if found.quantity != "share" else ColumnLabel("target", number, unit)
    if unit in ("V", "mV"):
        return ColumnLabel("bias", number, unit)
    return ColumnLabel("target", number, unit)


def wide_name(header: str) -> bool:
    """Return whether a header is a target, a time or the like instead of the name of a quantity."""
    return column_label(header) is not None


def replicates(headers: Sequence[str]) -> tuple[str, list[int], list[str], str | None] | None:
    """Return numbered columns of one kind, such as ``cell_1 (nA)`` to ``cell_40 (nA)``.

    Args:
        headers: of the columns that have no role.

    Returns:
        The role of their numbers, the indices into `headers`, the numbers as text, and the word they share; None where
        fewer than two columns are alike.
    """
    groups: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for index, header in enumerate(headers):
        match = _REPLICATE.match(header.strip())
        if match is not None:
            prefix = (match["prefix"] or "").lower().strip("#")
            unit = match["unit"] or match["slash"] or ""
            groups.setdefault((prefix, unit), []).append((index, match["number"]))
    groups = {key: members for key, members in groups.items() if key[0] not in _NO_LEVELS | {"column"}}
    if not groups:
        return None
    (prefix, _), members = max(groups.items(), key=lambda item: len(item[1]))
    numbers = [int(number) for _, number in members]
    counted = numbers == list(range(numbers[0], numbers[0] + len(numbers))) and numbers[0] <= 1
    if len(members) < 2 or not (counted or prefix in REPLICATES):
        return None
    role = REPLICATES.get(prefix, "cell")
    return role, [index for index, _ in members], [number for _, number in members], prefix or None
