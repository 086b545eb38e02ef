"""Costs as tables: a data frame with every number, a short form for reading, and CSV, Markdown and LaTeX text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from devicekit.common.errors import unknown_name
from devicekit.common.plain import plain
from energy.core_cost import CoreCost
from energy.errors import EnergyError
from energy.network_cost import NetworkCost

SHORT: Mapping[str, str] = {
    "design": "Design",
    "adc": "ADC",
    "energy_fj_per_op": "Energy [fJ/op]",
    "area_mm2": "Area [mm2]",
    "latency_ns": "Latency [ns]",
    "interval_ns": "Initiation [ns]",
    "tops": "TOPS",
    "tops_per_w": "TOPS/W",
    "tops_per_mm2": "TOPS/mm2",
    "power_mw": "Power [mW]",
}
"""Columns of the short table of costs and their headings."""
COUNT_HEADINGS: Mapping[str, str] = {
    "design": "Design",
    "slices": "Slices",
    "partitions": "Partitions",
    "arrays": "Arrays",
    "cells": "Cells",
    "row_lines": "Driven rows",
    "signal_chains": "Integrators",
    "conversions": "Conversions",
    "ramps": "Ramps",
    "shift_add_operations": "Shift-add bit-ops",
    "output_sum_operations": "Adder bit-ops",
    "b_out": "B_out [bit]",
}
"""Columns of the table of counts: how much of everything one product takes."""

FORMATS = ("csv", "markdown", "latex")
BREAKDOWN_HEADINGS: Mapping[str, str] = {
    "design": "Design",
    "label": "Component",
    "instances": "Instances",
    "energy_fj_per_op": "Energy [fJ/op]",
    "energy_share": "Share of energy [%]",
    "area_um2": "Area [um2]",
    "area_share": "Share of area [%]",
}
LAYER_HEADINGS: Mapping[str, str] = {
    "layer": "Layer",
    "rows": "Rows",
    "columns": "Columns",
    "groups": "Groups",
    "mvms": "Products",
    "macs": "MACs",
    "cores": "Cores",
    "utilisation": "Cells used [%]",
    "energy_ungated_nj": "Ungated [nJ]",
    "energy_gated_nj": "Gated [nJ]",
    "latency_us": "Latency [us]",
    "busy_us": "Busy [us]",
}
NETWORK_HEADINGS: Mapping[str, str] = {
    "design": "Design",
    "cores": "Cores",
    "area_mm2": "Area [mm2]",
    "energy_gated_uj": "Energy, gated [uJ]",
    "energy_ungated_uj": "Energy, ungated [uJ]",
    "latency_us": "Latency [us]",
    "interval_us": "Every [us]",
    "spatial_utilisation": "Cells used [%]",
    "operation_utilisation": "weighted [%]",
    "peak_tops_per_w": "Peak TOPS/W",
    "utilised_tops_per_w": "Used TOPS/W",
    "peak_tops": "Peak TOPS",
    "utilised_tops": "Used TOPS",
}


def name_of(heading: str, *, layers: bool = False, network: bool = False) -> str:
    """Return the name of a number by the heading under which a table shows it; a name stays as it is.

    Args:
        heading: such as ``"TOPS/W"``.
        layers: look among the layers' headings first.
        network: look among those of a network's totals before those of a core.
    """
    core = (SHORT, COUNT_HEADINGS, BREAKDOWN_HEADINGS)
    placed = (LAYER_HEADINGS, NETWORK_HEADINGS) if layers else (NETWORK_HEADINGS, LAYER_HEADINGS)
    for headings in (*placed, *core) if network else core:
        for name, shown in headings.items():
            if shown == heading:
                return name
    return heading


def breakdown_rows(costs: Sequence[CoreCost]) -> list[dict[str, object]]:
    """Return one row a design and component that costs anything.

    Args:
        costs: the cores.
    """
    return [
        {"design": cost.design.name, **own}
        for cost in costs
        for own in plain(cost.breakdown)
        if own["energy_share"] > 0 or own["area_share"] > 0
    ]


def layer_rows(networks: Sequence[NetworkCost]) -> list[dict[str, object]]:
    """Return one row a design and layer; ``core`` says which core, where some layer has another than the design's.

    Args:
        networks: the networks' costs.
    """
    rows: list[dict[str, object]] = []
    for cost in networks:
        shared: dict[str, object] = {"design": cost.core.design.name}
        if not cost.is_mixed and any(other.is_mixed for other in networks):
            shared["core"] = cost.core.design.name
        rows += [{**shared, **own} for own in plain(cost.table)]
    return rows


def layer_headings(networks: Sequence[NetworkCost]) -> dict[str, str]:
    """Return the headings of the table of layers, those that tell networks and cores apart where need be.

    Args:
        networks: the networks' costs.
    """
    headings = {"design": "Design"} if len(networks) > 1 else {}
    layer, *others = LAYER_HEADINGS.items()
    return dict([*headings.items(), layer, *_where_mixed(networks, "core", "Core"), *others])


def network_rows(networks: Sequence[NetworkCost]) -> list[dict[str, object]]:
    """Return one row a design, with the cores of each kind where layers lie on several.

    Args:
        networks: the networks' costs.
    """
    mixed = any(cost.is_mixed for cost in networks)
    plain_rows = [cost.row() for cost in networks]
    if not mixed:
        return plain_rows
    return [{"design": row["design"], "placed_on": row["design"], **row} for row in plain_rows]


def network_headings(networks: Sequence[NetworkCost]) -> dict[str, str]:
    """Return the headings of the table of networks.

    Args:
        networks: their costs.
    """
    design, *others = NETWORK_HEADINGS.items()
    return dict([design, *_where_mixed(networks, "placed_on", "Placed on"), *others])


def _where_mixed(networks: Sequence[NetworkCost], column: str, heading: str) -> list[tuple[str, str]]:
    return [(column, heading)] if any(cost.is_mixed for cost in networks) else []


_WITH_INTERVAL = ("energy_fj_per_op", "area_mm2", "energy_gated_uj", "energy_ungated_uj")


def selected(rows: Sequence[Mapping[str, object]], headings: Mapping[str, str]) -> list[dict[str, object]]:
    """Return columns for reading: four digits, whole numbers in full, intervals beside energies and areas, percents.

    Args:
        rows: full rows.
        headings: columns wanted, in order.
    """
    return [{key: _read(row, key) for key in headings} for row in rows]


def _read(row: Mapping[str, object], key: str) -> object:
    value = row[key]
    if not isinstance(value, float):
        return value
    if key.endswith(("_share", "utilisation")):
        return round(100 * value, 1)
    low, high = row.get(f"{key}_low"), row.get(f"{key}_high")
    if key in _WITH_INTERVAL and isinstance(low, float) and isinstance(high, float):
        shown = with_interval(value, (low, high))
        # A printed total that the library was fitted to: how well it is known says nothing of a built core.
        known = row.get(f"{key.partition('_')[0]}_basis") == "calibrated"
        return f"{shown.partition(' ')[0]} (calibrated)" if known else shown
    if value.is_integer():
        return int(value)
    rounded = float(f"{value:.4g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) >= 1000 else rounded


def with_interval(value: float, interval: tuple[float, float]) -> str:
    """Return a value and its interval with the digits that the interval leaves a meaning: ``57.5 (50.0..64.4)``.

    Half the interval's width is shown with one digit, or two if it begins with 1, 2 or 3; each number has three digits
    at least, and no more where the interval spans more than a factor of ten.

    Args:
        value: the value.
        interval: its ends.
    """
    low, high = interval
    if low <= 0 or high > 10 * low:
        shown = [_fixed(number, _decimals(number, 3)) for number in (value, low, high)]
    else:
        half = (high - low) / 2
        decimals = max(_decimals(number, 3) for number in (value, low, high))
        if half > 0:
            wide = _decimals(half, 1)
            decimals = max(decimals, wide + (half * 10**wide < 4))
        shown = [_fixed(number, decimals) for number in (value, low, high)]
    return "{} ({}..{})".format(*shown)


def between(low: float, high: float) -> str:
    """Return an interval with three significant digits and no exponents: ``100..2500``."""
    return f"{_fixed(low, _decimals(low, 3))}..{_fixed(high, _decimals(high, 3))}"


def _decimals(number: float, digits: int) -> int:
    """Return the decimals with which a number has so many significant digits; below 0 for those before the point."""
    return digits - 1 - math.floor(math.log10(number)) if number > 0 else 0


def _fixed(number: float, decimals: int) -> str:
    return f"{round(number, decimals):.{max(decimals, 0)}f}"


def as_text(rows: Sequence[Mapping[str, object]], form: str, headings: Mapping[str, str] | None = None) -> str:
    """Return rows as CSV (full precision), Markdown or LaTeX (four significant digits).

    Args:
        rows: one mapping a row; the keys of the first are the columns.
        form: one of `FORMATS`.
        headings: what Markdown and LaTeX print instead of a key.

    Raises:
        EnergyError: an unknown form.
    """
    if form not in FORMATS:
        raise EnergyError(unknown_name("table format", form, FORMATS))
    frame = pd.DataFrame(list(rows))
    if form == "csv":
        return str(frame.to_csv(index=False))
    keys = list(frame.columns)
    numeric = [pd.api.types.is_numeric_dtype(frame[key]) for key in keys]
    head = [(headings or {}).get(key, key) for key in keys]
    body = [[_shown(value) for value in row] for row in frame.itertuples(index=False)]
    if form == "markdown":
        lines = [_pipe(head), _pipe("---:" if number else "---" for number in numeric), *(_pipe(row) for row in body)]
        return "\n".join(lines) + "\n"
    columns = "".join("r" if number else "l" for number in numeric)
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\hline",
        _ampersand(head),
        r"\hline",
        *(_ampersand(row) for row in body),
        r"\hline",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _pipe(entries: Iterable[object]) -> str:
    return "| " + " | ".join(str(entry).replace("|", r"\|") for entry in entries) + " |"


_LATEX = {
    "_": r"\_",
    "%": r"\%",
    "&": r"\&",
    "#": r"\#",
    "mm2": r"mm\textsuperscript{2}",
    "um2": r"\textmu m\textsuperscript{2}",
}


def _ampersand(entries: Sequence[object]) -> str:
    texts = []
    for entry in entries:
        text = str(entry)
        for sign, escaped in _LATEX.items():
            text = text.replace(sign, escaped)
        texts.append(text)
    return " & ".join(texts) + r" \\"


def _shown(value: object) -> str:
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.4g}"
    return str(value)
