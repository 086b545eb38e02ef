"""Which column of a measurement table is what: names, units in headers, and the user's own word where they differ."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from devicekit.common.errors import MeasurementError, unknown_name
from devicekit.measurements.header_names import TIME_WORDS, HeaderName, is_temperature_unit, parse_header, split_header

__all__ = ["ALIASES", "LABELS", "ColumnRole", "Roles", "find_columns", "recognise_columns", "split_header"]

ALIASES: dict[str, tuple[str, ...]] = {
    "target": (
        "target", "target_current", "target_conductance", "current_target", "i_target", "g_target", "itarget",
        "gtarget", "programmed", "programmed_current", "programmed_target", "set_current", "i_set", "g_set", "nominal",
        "state", "state_current", "i_prog", "g_prog", "target_resistance", "resistance_target",
        "r_target", "rtarget", "target_r", "target_i", "target_g", "target_state", "target_level", "setpoint",
        "set_point", "nominal_current", "nominal_conductance", "nominal_resistance", "level", "state_index",
        "level_index", "state_id", "state_no", "state_number", "level_no", "soll", "sollwert", "soll_strom",
        "sollstrom", "zielstrom", "ziel", "zustand", "cible", "courant_cible", "objetivo", "目标", "目标电流", "目標",
        "目標電流", "g_initial", "i_initial", "initial_conductance", "initial_current",
    ),
    "value": (
        "current", "conductance", "value", "measured", "measured_current", "measured_conductance", "read_current",
        "drain_current", "cell_current", "i", "g", "id", "i_d", "ids", "i_ds", "idrain", "i_drain", "draini",
        "drain_i", "i_read", "g_read", "i_meas", "g_meas", "iread", "imeas", "i_cell", "reading", "gread", "gmeas",
        "resistance", "measured_resistance", "read_resistance", "cell_resistance", "read_conductance", "r", "r_read",
        "rread", "r_meas", "rmeas", "r_cell", "strom", "ist", "istwert", "messwert", "ist_strom", "iststrom",
        "messstrom", "lesestrom", "leitwert", "widerstand", "courant", "courant_mesuré", "courant_lu", "mesure",
        "conductance_mesurée", "corriente", "medida", "电流", "读取电流", "電流", "読み出し電流", "电导", "电阻",
        "抵抗",
    ),
    "time": (
        "nominal_time", "timepoint", "time_point", "time", "t", "elapsed", "elapsed_time", "time_after_programming",
        "time_since_programming", "retention_time", "retention", "relative_time", "delay", "bake_time", "timestamp",
        "time_stamp", "datetime", "date_time", "unix_time", "epoch", "zeit", "zeitpunkt", "temps", "tiempo", "时间",
        "時間", *(word for word in TIME_WORDS if word != "d"),
    ),
    "temperature": ("temperature", "temp", "read_temperature", "read_temp", "t_read", "chuck_temperature",
                    "chuck_temp", "ambient", "ambient_temperature", "temperatur", "température"),
    "bake_temperature": ("bake_temperature", "bake_temp", "storage_temperature", "storage_temp", "stored_at",
                         "t_bake", "baking_temperature", "lagertemperatur"),
    "cycle": ("cycle", "cycles", "program_cycle", "pe_cycle", "cycle_number", "zyklus", "cycle_index", "p_e_cycle"),
    "read": ("read", "read_index", "read_number", "repeat", "repetition", "read_id", "read_no"),
    "cell": ("cell", "cell_id", "cellid", "address", "addr", "device_id", "bit", "cell_index", "cell_address",
             "cell_number", "cell_no", "zelle", "zellnummer", "cellule", "celda"),
    "die": ("die", "die_id", "chip", "chip_id", "dut", "die_index", "die_number", "chip_no", "die_no"),
    "wafer": ("wafer", "wafer_id", "lot_wafer", "wafer_index", "wafer_no"),
    "bin_low": ("bin_low", "low", "lower", "bin_left", "left", "lower_edge", "bin_start", "edge_low", "bin_lower",
                "low_edge", "bin_min", "bin_from", "left_edge"),
    "bin_high": ("bin_high", "high", "upper", "bin_right", "right", "upper_edge", "bin_end", "edge_high",
                 "bin_upper", "high_edge", "bin_max", "bin_to", "right_edge"),
    "bin_center": ("bin_center", "bin_centre", "bin_mid", "bin_middle", "center", "centre", "bin_centers",
                   "bin_centres", "klassenmitte"),
    "count": ("count", "counts", "cells", "number", "n", "frequency", "occurrences", "number_of_cells", "n_cells",
              "anzahl", "häufigkeit"),
    "target_low": ("target_low", "target_min", "target_lower", "window_low", "window_min", "verify_low", "low_target",
                   "lower_target", "min_target", "target_from"),
    "target_high": ("target_high", "target_max", "target_upper", "window_high", "window_max", "verify_high",
                    "high_target", "upper_target", "max_target", "target_to"),
}  # fmt: skip
"""Every role with the header names it is known by (lower case, words joined by underscores)."""
LABELS = ("cycle", "read", "cell", "die", "wafer")
"""Roles that tell things apart; their entries may be text."""
CURRENTS = ("target", "value", "bin_low", "bin_high", "bin_center", "target_low", "target_high")
"""Roles whose numbers are currents, conductances or resistances."""
_JOINED: dict[str, tuple[tuple[str, str], ...]] = {
    "die": (("die_x", "die_y"), ("diex", "diey"), ("x_die", "y_die"), ("die_row", "die_col"), ("chip_x", "chip_y"),
            ("die_row", "die_column"), ("xdie", "ydie"), ("site_x", "site_y")),
    "cell": (("row", "col"), ("row", "column"), ("wl", "bl"), ("word_line", "bit_line"), ("wordline", "bitline"),
             ("cell_x", "cell_y"), ("cell_row", "cell_col"), ("row_address", "column_address"), ("zeile", "spalte")),
}  # fmt: skip
"""Pairs of columns that are one label together."""
_SPOKEN = {
    alias.replace("_", ""): alias
    for aliases in ALIASES.values()
    for alias in aliases
    if all(len(part) > 2 for part in alias.split("_"))
}
"""Names whose words are written together, as in ``TargetCurrent``."""


@dataclass(frozen=True)
class ColumnRole:
    """What one column was taken for.

    Attributes:
        role: a name of `ALIASES`.
        header: the column's header as the file has it.
        unit: the unit its numbers were read in; empty for labels and counts.
        how: ``"name"`` (recognised), ``"argument"`` (told) or ``"assumed"`` (the unit was not stated).
        unit_from: where the unit came from, in words; empty where there is none.
        rows: entries that were read.
    """

    role: str
    header: str
    unit: str
    how: str
    unit_from: str = ""
    rows: int = 0

    def __str__(self) -> str:
        unit = f" [{self.unit}]" if self.unit else ""
        assumed = ", unit assumed" if self.how == "assumed" else ""
        return f"{self.role} = {self.header!r}{unit}{assumed}"


@dataclass
class Roles:
    """Columns by role.

    Attributes:
        index: column index of each role that has one column.
        joined: column indices of each label that several columns make; none for the number of the row.
        told: roles that the user gave.
        questions: what has to be asked before the table can be read, by column index.
    """

    index: dict[str, int] = field(default_factory=dict)
    joined: dict[str, tuple[int, ...]] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    questions: dict[int, str] = field(default_factory=dict)

    def __contains__(self, role: object) -> bool:
        return role in self.index or role in self.joined

    @property
    def taken(self) -> set[int]:
        """Indices of all columns that have a role."""
        return {*self.index.values(), *(index for group in self.joined.values() for index in group)}


def find_columns(headers: Sequence[str], wanted: str) -> list[int]:
    """Return the columns that a user's word means: the header, its name without unit, or the column's number."""
    matches = [index for index, own in enumerate(headers) if own.strip() == wanted.strip()]
    name = split_header(wanted)[0]
    matches = matches or [
        index for index, own in enumerate(headers) if split_header(own)[0] in (wanted.strip().lower(), name) and name
    ]
    plain = wanted.strip().lstrip("#")
    if not matches and plain.isdigit() and 1 <= int(plain) <= len(headers):
        matches = [int(plain) - 1]
    return matches


def one_column(headers: Sequence[str], wanted: str, purpose: str, place: str) -> int:
    """Return the one column that a user's word means.

    Raises:
        MeasurementError: none, or several.
    """
    matches = find_columns(headers, wanted)
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise MeasurementError(f"{place}: {len(matches)} columns are called {wanted!r}, which was given for {purpose}.")
    raise MeasurementError(f"{place}: no column {wanted!r} for {purpose}: " + unknown_name("column", wanted, headers))


def recognise_columns(
    headers: Sequence[str], given: Mapping[str, str], place: str, ignored: Sequence[int] = ()
) -> Roles:
    """Return which column is what.

    Args:
        headers: the table's headers.
        given: header (or number) by role, as the user told; takes precedence over names. Columns that are one label
            together are joined by ``+``; ``row`` is the number of the row.
        place: the file, for errors.
        ignored: columns to leave alone.

    Raises:
        MeasurementError: a header that is not there, or two columns that could be the same role.
    """
    roles = Roles(told=set(given))
    for role, wanted in given.items():
        if role in LABELS and "+" in wanted and not find_columns(headers, wanted):
            roles.joined[role] = tuple(one_column(headers, part, role, place) for part in wanted.split("+"))
        elif role in LABELS and wanted.strip().lower() == "row" and not find_columns(headers, wanted):
            roles.joined[role] = ()
        else:
            roles.index[role] = one_column(headers, wanted, role, place)
    free = [index for index in range(len(headers)) if index not in roles.taken and index not in ignored]
    names = {index: _meant(parse_header(headers[index])) for index in free}
    for role, aliases in ALIASES.items():
        if role in roles:
            continue
        # Names stand in order of preference: `current` beside `id` is the current, not a fault. A unit counts more.
        ranked = sorted(
            (
                role in CURRENTS and parse_header(headers[index]).unit is None,
                aliases.index(name),
                index,
            )
            for index, name in names.items()
            if name in aliases and index not in roles.taken
        )
        if not ranked:
            continue
        if len(ranked) > 1 and ranked[0][:2] == ranked[1][:2]:
            both = ", ".join(repr(headers[index]) for *_, index in ranked[:2])
            raise MeasurementError(f'{place}: columns {both} could both be the {role}; say which with {role}="...".')
        roles.index[role] = ranked[0][2]
    by_name = {name: index for index, name in names.items() if index not in roles.taken}
    for role, pairs in _JOINED.items():
        pair = next((pair for pair in pairs if all(name in by_name for name in pair)), None)
        if role not in roles and pair is not None:
            roles.joined[role] = tuple(by_name[name] for name in pair)
    for low, high in (("target_low", "target_high"), ("target_high", "target_low")):
        # One edge is no window.
        if low in roles.index and high not in roles.index:
            if low in given:
                raise MeasurementError(f"{place}: a window needs both edges; say {high} as well as {low}.")
            del roles.index[low]
    for index, name in names.items():
        if name == "T":
            roles.questions[index] = (
                f"{place}: the column {headers[index]!r} can be a temperature or a time; say which with"
                f" temperature={headers[index]!r} or time={headers[index]!r}, its unit with `units`, or leave it out"
                " with `ignore`."
            )
    return roles


def _meant(header: HeaderName) -> str:
    """Return the name a header stands for: ``T (°C)`` is a temperature, ``t (h)`` a time."""
    if header.name in ("t", "T") and is_temperature_unit(header.unit):
        return "temperature"
    if header.name == "T":
        return "T" if header.unit is None else "t"
    name = header.name
    if name in _KNOWN:
        return name
    if name.replace("_", "") in _SPOKEN:
        return _SPOKEN[name.replace("_", "")]
    first, *rest = name.split("_")
    if (header.unit or "").lower() in TIME_WORDS and name in _DURATIONS:
        return "time"
    if first in TIME_WORDS and rest and rest[0] in ("after", "since", "of", "from"):
        return first
    plain = re.sub(r"^(?:n|no|nr|num)_|_?(?:#|_no|_nr|_num|_number|_index|_idx|_id)$", "", name)
    return plain if plain in _LABEL_NAMES else name


_DURATIONS = frozenset({"bake", "storage", "ret", "aging", "ageing", "stress", "anneal", "t_ret", "t_bake"})
"""Names that are times where their unit is one."""
_LABEL_NAMES = frozenset(alias for role in LABELS for alias in ALIASES[role])
_KNOWN = frozenset(alias for aliases in ALIASES.values() for alias in aliases)


def is_known(header: str) -> bool:
    """Return whether a field of text is the name of a column."""
    meant = _meant(parse_header(header))
    return meant in _KNOWN or meant == "T"
