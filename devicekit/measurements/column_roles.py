"""Which column of a measurement table is what: names, units in headers, and the user's own word where they differ."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from devicekit.common.errors import MeasurementError, UnitError, unknown_name
from devicekit.common.quantities import unit_factor

ALIASES: dict[str, tuple[str, ...]] = {
    "target": (
        "target", "target_current", "target_conductance", "current_target", "i_target", "g_target", "itarget",
        "gtarget", "programmed", "programmed_current", "programmed_target", "set_current", "i_set", "g_set", "nominal",
        "state", "state_current", "i_prog", "g_prog",
    ),
    "value": (
        "current", "conductance", "value", "measured", "measured_current", "measured_conductance", "read_current",
        "drain_current", "cell_current", "i", "g", "id", "i_d", "ids", "i_ds", "idrain", "i_drain", "draini",
        "drain_i", "i_read", "g_read", "i_meas", "g_meas", "iread", "imeas", "i_cell", "reading",
    ),
    "time": ("time", "t", "elapsed", "elapsed_time", "time_after_programming", "retention_time", "relative_time",
             "delay", "bake_time", "timepoint"),
    "temperature": ("temperature", "temp", "read_temperature", "read_temp", "t_read", "chuck_temperature",
                    "chuck_temp", "ambient"),
    "bake_temperature": ("bake_temperature", "bake_temp", "storage_temperature", "storage_temp", "stored_at",
                         "t_bake"),
    "cycle": ("cycle", "cycles", "program_cycle", "pe_cycle", "cycle_number"),
    "read": ("read", "read_index", "read_number", "repeat", "repetition", "sample", "read_id", "read_no"),
    "cell": ("cell", "cell_id", "cellid", "address", "addr", "device_id", "bit", "cell_index", "cell_address"),
    "die": ("die", "die_id", "chip", "chip_id", "dut", "die_index"),
    "wafer": ("wafer", "wafer_id", "lot_wafer", "wafer_index"),
    "bin_low": ("bin_low", "low", "lower", "bin_left", "left", "lower_edge", "bin_start", "edge_low", "bin_lower",
                "low_edge"),
    "bin_high": ("bin_high", "high", "upper", "bin_right", "right", "upper_edge", "bin_end", "edge_high",
                 "bin_upper", "high_edge"),
    "count": ("count", "counts", "cells", "number", "n", "frequency", "occurrences"),
}  # fmt: skip
"""Every role with the header names it is known by (lower case, words joined by underscores)."""

CURRENT_ROLES = ("target", "value", "bin_low", "bin_high")
_DIMENSION = {"time": "s", "temperature": "K", "bake_temperature": "K"}
_CELSIUS = {"c", "°c", "degc", "deg_c", "celsius", "℃"}
_FAHRENHEIT = {"f", "°f", "degf", "deg_f", "fahrenheit"}
_SUFFIX_UNITS = {
    "a", "ma", "ua", "µa", "μa", "na", "pa", "fa", "s", "ms", "us", "µs", "μs", "ns", "ps", "siemens", "sec", "min",
    "h", "hr", "hours", "days", "day", "d", "k", "c", "degc", "kelvin", "celsius",
}  # fmt: skip
"""Units that are recognised behind an underscore or a space, as in ``Id_A`` or ``time_s``."""
_LOWER_CASE = {"a": "A", "ma": "mA", "ua": "uA", "na": "nA", "pa": "pA", "ms": "mS", "us": "uS", "ns": "nS"}
"""What header writers in lower case mean where only a current or a conductance can stand."""


@dataclass(frozen=True)
class ColumnRole:
    """What one column was taken for.

    Attributes:
        role: a name of `ALIASES`.
        header: the column's header as the file has it.
        unit: the unit its numbers were read in; empty for labels and counts.
        how: ``"name"`` (recognised), ``"argument"`` (told) or ``"assumed"`` (the unit was not stated).
    """

    role: str
    header: str
    unit: str
    how: str

    def __str__(self) -> str:
        unit = f" [{self.unit}]" if self.unit else ""
        assumed = ", unit assumed" if self.how == "assumed" else ""
        return f"{self.role} = {self.header!r}{unit}{assumed}"


def split_header(header: str) -> tuple[str, str | None]:
    """Return the name and the unit of a header: ``"G [uS]"`` is (``"g"``, ``"uS"``), ``"Id_A"`` is (``"id"``, ``"A"``).

    Names come back in lower case with words joined by underscores. A unit stands in round or square brackets, after
    a slash or comma, or as a known unit after the last underscore or space.
    """
    text = header.strip().strip("\"'").lstrip("#").strip()
    match = re.fullmatch(r"(?P<name>.*?)\s*[\(\[]\s*(?P<unit>[^\)\]]*)\s*[\)\]]", text) or re.fullmatch(
        r"(?P<name>[^/,]+?)\s*[/,]\s*(?P<unit>[^\s/,]+)", text
    )
    if match is None:
        match = re.fullmatch(r"(?P<name>.+)[_\s](?P<unit>[^\s_]+)", text)
        if match is not None and match["unit"].lower() not in _SUFFIX_UNITS:
            match = None
    name, unit = (match["name"], match["unit"].strip() or None) if match is not None else (text, None)
    return re.sub(r"[\s\-\.]+", "_", name.strip()).strip("_").lower(), unit


def recognise_columns(headers: Sequence[str], given: Mapping[str, str], place: str) -> dict[str, int]:
    """Return the column index of each role.

    Args:
        headers: the table's headers.
        given: header by role, as the user told; takes precedence over names.
        place: the file, for errors.

    Raises:
        MeasurementError: an unknown role or header, or two columns that could be the same role.
    """
    roles: dict[str, int] = {}
    for role, header in given.items():
        if role not in ALIASES:
            raise MeasurementError(f"{place}: " + unknown_name("column role", role, ALIASES))
        matches = [index for index, own in enumerate(headers) if own.strip() == header.strip()]
        matches = matches or [index for index, own in enumerate(headers) if split_header(own)[0] == header.lower()]
        if len(matches) != 1:
            raise MeasurementError(
                f"{place}: no column {header!r} for {role}: " + unknown_name("column", header, headers)
                if not matches
                else f"{place}: {len(matches)} columns are called {header!r}, which was given for {role}."
            )
        roles[role] = matches[0]
    taken = set(roles.values())
    names = [_meant(*split_header(header)) for header in headers]
    for role, aliases in ALIASES.items():
        if role in roles:
            continue
        # Names stand in order of preference: `current` beside `id` is the current, not a fault.
        ranked = sorted(
            (aliases.index(name), index) for index, name in enumerate(names) if name in aliases and index not in taken
        )
        if not ranked:
            continue
        if len(ranked) > 1 and ranked[0][0] == ranked[1][0]:
            both = ", ".join(repr(headers[index]) for _, index in ranked[:2])
            raise MeasurementError(f'{place}: columns {both} could both be the {role}; say which with {role}="...".')
        roles[role] = ranked[0][1]
        taken.add(ranked[0][1])
    return roles


def _meant(name: str, unit: str | None) -> str:
    """Return the name a header stands for: ``T (°C)`` is a temperature, ``t (h)`` a time."""
    if name == "t" and unit is not None and unit.lower() in _CELSIUS | _FAHRENHEIT | {"k", "kelvin"}:
        return "temperature"
    return name


@dataclass(frozen=True)
class Conversion:
    """How numbers of a column become SI: value * factor + offset.

    Attributes:
        unit: the unit they were read in.
        factor: multiplier.
        offset: added afterwards; not 0 for temperatures in degrees only.
        conductance: whether the unit is one of conductance; currents then need the read voltage.
    """

    unit: str
    factor: float
    offset: float = 0.0
    conductance: bool = False


def conversion(role: str, unit: str, place: str) -> Conversion:
    """Return how numbers in `unit` become the role's SI unit.

    Args:
        role: a role with a unit.
        unit: as a user or a header writes it.
        place: file and column, for errors.

    Raises:
        MeasurementError: an unknown unit, or one of another kind of quantity.
    """
    if role in CURRENT_ROLES:
        spelling = _LOWER_CASE.get(unit, unit)
        for si_unit, conductance in (("A", False), ("S", True)):
            try:
                return Conversion(unit, unit_factor(spelling, si_unit, place), conductance=conductance)
            except UnitError:
                continue
        raise MeasurementError(
            f"{place}: expected the unit of {role} to be one of current or conductance, such as nA or uS, but got"
            f" {unit!r}."
        )
    plain = unit.lower().replace(" ", "")
    if _DIMENSION[role] == "K":
        if plain in _CELSIUS:
            return Conversion(unit, 1.0, 273.15)
        if plain in _FAHRENHEIT:
            return Conversion(unit, 5.0 / 9.0, 273.15 - 32.0 * 5.0 / 9.0)
    spoken = {"sec": "s", "hr": "h", "d": "day"}.get(plain, unit)
    try:
        return Conversion(unit, unit_factor(spoken, _DIMENSION[role], place))
    except UnitError as error:
        raise MeasurementError(
            f"{place}: expected the unit of {role} to convert to {_DIMENSION[role]}, but got {unit!r}."
        ) from error
