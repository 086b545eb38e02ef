"""Every option of reading measurements, in one place: what Python and the command line both offer, with its help."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Literal

from devicekit.common.errors import MeasurementError, UnitError, unknown_name
from devicekit.common.quantities import parse_quantity

Layout = Literal["auto", "long", "wide", "histogram", "rows", "confusion"]
LAYOUTS = ("auto", "long", "wide", "histogram", "rows", "confusion")
DECIMALS = ("auto", ".", ",")
ACCEPTABLE = {
    "large": "currents above 1 A",
    "small": "currents that are all below 1 fA",
    "negative": "currents that are all negative",
    "apart": "values more than 30 times away from their targets",
    "indices": "targets that look like the numbers of states",
    "swapped": "values that repeat while targets do not",
    "repeats": "rows of one cell that are reads of it",
    "swept": "a bias that changes the value within a state",
    "marks": "numbers such as -999 that are often put for a missing one",
}
"""What a check refuses until the user says that it is right: name for `accept`, and what is accepted."""

HELP = {
    "units": "Unit of currents, conductances or resistances where headers have none (nA, kohm, G0, '% of i_max'), or"
    " ROLE=UNIT for one role: time=h, value='log10 A'.",
    "read_voltage": "Voltage of the read, such as 0.1V; turns conductances and resistances into currents.",
    "i_max": "Full scale, such as 1.6uA; the highest target by default.",
    "layout": "long, wide (a column a target), rows (a row a state), histogram or confusion; auto finds it.",
    "missing": "Missing numbers: error, or drop (counted).",
    "missing_marks": "A number that stands for a missing one, such as -999.",
    "sheet": "Sheet of a workbook or array of an archive; 'all' reads all that are alike.",
    "delimiter": "What separates the fields of a text file; found by default.",
    "decimal": "Decimal mark of a text file, '.' or ','; the other one separates thousands.",
    "header": "Whether a line of names stands above the numbers; columns without names are given by number.",
    "pattern": "Name of files or sheets with roles in braces: 'cells_{target}nA_{time}h.csv'.",
    "each": "ROLE=VALUE,VALUE: one value for each file or sheet in turn, or one for all: 'time=0 s, 24 h'.",
    "levels": "Currents of states that the file numbers or names: 'HRS=10nA, LRS=1uA', '0, 100, 200 nA' in order, mean"
    " (each state's own mean) or first (each cell's first read).",
    "only": "COLUMN=VALUE: read only rows that have this value, such as success=1 or VG=1.",
    "ignore": "A column to leave out.",
    "flip_sign": "Negate currents that are negative by convention.",
    "compliance": "Current limit of the instrument; values at it are known only to be as large.",
    "detection_limit": "Smallest current the instrument shows; values at it are known only to be as small.",
    "bins_are_cut": "Counts of a histogram were cut at the bins that are listed; else an unlisted bin is an empty one.",
    "accept": "What a check refuses and is right all the same: " + ", ".join(ACCEPTABLE) + ".",
}
"""Help of each option; `reports` shows it, `read_measurements` documents the same names."""

_PAIR = re.compile(r"\s*(?P<key>[^=]+?)\s*=\s*(?P<value>.+?)\s*", re.DOTALL)


@dataclass(frozen=True)
class ReadOptions:
    """How a file is to be read, checked and in plain values. Field names are those of `read_measurements`.

    Attributes:
        columns: header (or number) by role, as told.
        units: unit by role; ``"current"`` holds for every current, conductance or resistance.
        read_voltage: [V].
        i_max: full scale [A].
        each: values by role, one for each table in turn or one for all.
        levels: ``"mean"``, ``"first"``, texts of the levels in order, or texts by state; None: targets are currents.
        only: wanted value by column, as text.
        compliance: upper limit [A].
        detection_limit: lower limit [A].
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    read_voltage: float | None = None
    i_max: float | None = None
    layout: Layout = "auto"
    missing: Literal["error", "drop"] = "error"
    missing_marks: tuple[float, ...] = ()
    sheet: str | None = None
    delimiter: str | None = None
    decimal: str = "auto"
    header: bool | None = None
    pattern: str | None = None
    each: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    levels: str | tuple[str, ...] | Mapping[str, str] | None = None
    only: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    flip_sign: bool = False
    compliance: float | None = None
    detection_limit: float | None = None
    bins_are_cut: bool = False
    accept: frozenset[str] = frozenset()


def make_options(roles: Iterable[str], columns: Mapping[str, Any], **given: Any) -> ReadOptions:
    """Return options from what a user wrote, in Python or on the command line.

    Args:
        roles: the roles that a column may have.
        columns: header or number by role.
        **given: the options of `read_measurements`.

    Raises:
        MeasurementError: an unknown role or choice, or a value of another form than the option's.
        UnitError: text that is no quantity of the option's unit.
    """
    known = tuple(roles)
    for role in columns:
        if role not in known:
            raise MeasurementError(unknown_name("column role", role, known))
    one_of("missing", given["missing"], ("error", "drop"))
    one_of("layout", given["layout"], LAYOUTS)
    one_of("decimal", given["decimal"], DECIMALS)
    each = {role: _values(value) for role, value in pairs("each", given["each"]).items()}
    for role in each:
        if role not in known:
            raise MeasurementError(unknown_name("column role", role, known))
    accept = _texts(given["accept"])
    for name in accept:
        if name not in ACCEPTABLE:
            raise MeasurementError(unknown_name("check to accept", name, ACCEPTABLE))
    return ReadOptions(
        columns={role: str(header) for role, header in columns.items()},
        units=_units(given["units"], known),
        read_voltage=_quantity(given, "read_voltage", "V"),
        i_max=_quantity(given, "i_max", "A"),
        layout=given["layout"],
        missing=given["missing"],
        missing_marks=_numbers(given["missing_marks"]),
        sheet=given["sheet"],
        delimiter={"tab": "\t", "\\t": "\t", "space": " "}.get(given["delimiter"], given["delimiter"]),
        decimal=given["decimal"],
        header=given["header"],
        pattern=given["pattern"],
        each=each,
        levels=_levels(given["levels"]),
        only={column: str(value) for column, value in pairs("only", given["only"]).items()},
        ignore=_texts(given["ignore"]),
        flip_sign=bool(given["flip_sign"]),
        compliance=_quantity(given, "compliance", "A"),
        detection_limit=_quantity(given, "detection_limit", "A"),
        bins_are_cut=bool(given["bins_are_cut"]),
        accept=frozenset(accept),
    )


def one_of(option: str, value: object, known: Sequence[str]) -> None:
    """Refuse a value that is none of the known ones.

    Raises:
        MeasurementError: the option, its choices and what was given.
    """
    if value not in known:
        choices = f"{known[0]!r} or {known[1]!r}" if len(known) == 2 else f"one of {', '.join(known)}"
        raise MeasurementError(f"Expected `{option}` to be {choices}, but got {value!r}.")


def pairs(option: str, given: Mapping[str, Any] | str | Iterable[str] | None) -> dict[str, Any]:
    """Return ``NAME=VALUE`` texts, or a mapping, as a dictionary.

    Raises:
        MeasurementError: text without an equals sign.
    """
    if given is None or isinstance(given, Mapping):
        return dict(given or {})
    found: dict[str, Any] = {}
    for text in [given] if isinstance(given, str) else given:
        match = _PAIR.fullmatch(text)
        if match is None:
            raise MeasurementError(f"Expected `{option}` to be NAME=VALUE, but got {text!r}.")
        found[match["key"]] = match["value"]
    return found


def split_values(text: str) -> list[str]:
    """Return the values of a list in text: separated by semicolons where there are any, else by commas."""
    return [part.strip() for part in text.split(";" if ";" in text else ",") if part.strip()]


def _values(value: Any) -> tuple[str, ...]:
    return tuple(split_values(value)) if isinstance(value, str) else _texts(value)


def _texts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str | int | float | PurePath):
        return (str(value),)
    return tuple(str(item) for item in value)


def _numbers(value: Any) -> tuple[float, ...]:
    try:
        return tuple(float(text) for text in _texts(value))
    except ValueError as error:
        raise MeasurementError(f"Expected `missing_marks` to be numbers, but got {value!r}.") from error


def _units(given: Any, roles: Sequence[str]) -> dict[str, str]:
    if given is None:
        return {}
    if isinstance(given, Mapping):
        found = dict(given)
    else:
        found = {}
        for text in _texts(given):
            role, equals, unit = text.partition("=")
            found[role.strip() if equals else "current"] = unit.strip() if equals else text.strip()
    for role in found:
        if role not in roles and role != "current":
            raise MeasurementError(unknown_name("column role", role, roles))
    return found


def _quantity(given: Mapping[str, Any], name: str, unit: str) -> float | None:
    value = given[name]
    if value is None:
        return None
    number = parse_quantity(number_or_text(value) if isinstance(value, str) else value, unit, f"`{name}`")
    if number <= 0:
        raise UnitError(f"expected `{name}` to be above 0 {unit}, but got {given[name]!r}.")
    return number


def number_or_text(text: str) -> float | str:
    """Return text that is only a number as that number, with either decimal mark; other text with a decimal point."""
    plain = re.sub(r"(?<=\d),(?=\d)", ".", text.strip())
    try:
        return float(plain)
    except ValueError:
        return plain


def _levels(given: Any) -> str | tuple[str, ...] | dict[str, str] | None:
    if given is None or given in ("mean", "first"):
        return given  # type: ignore[no-any-return]
    if isinstance(given, Mapping):
        return {str(state): str(level) for state, level in given.items()}
    parts = _values(given)
    if all("=" in part for part in parts) and parts:
        return {key: str(value) for key, value in pairs("levels", parts).items()}
    if any("=" in part for part in parts):
        raise MeasurementError(f"Expected `levels` to be all STATE=CURRENT or none, but got {given!r}.")
    return parts
