"""Costs as tables: a data frame with every number, a short form for reading, and CSV, Markdown and LaTeX text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from devicekit.errors import unknown_name
from energy.core_cost import CoreCost
from energy.errors import EnergyError

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
    "arrays": "Arrays",
    "cells": "Cells",
    "conversions": "Conversions",
    "b_out": "B_out [bit]",
}
"""Columns of the short table and their headings."""

FORMATS = ("csv", "markdown", "latex")


def cost_table(costs: Sequence[CoreCost]) -> pd.DataFrame:
    """Return one row a core with every result, its interval and the counts.

    Args:
        costs: the cores.
    """
    return pd.DataFrame([cost.row() for cost in costs])


def short_rows(costs: Sequence[CoreCost]) -> list[dict[str, object]]:
    """Return the columns of `SHORT` for reading, with the interval beside energy and area.

    Args:
        costs: the cores.
    """
    rows = []
    for cost in costs:
        row = cost.row()
        short: dict[str, object] = {key: row[key] for key in SHORT}
        for key in ("energy_fj_per_op", "area_mm2"):
            short[key] = with_interval(row[key], (row[f"{key}_low"], row[f"{key}_high"]))
        rows.append(short)
    return rows


def with_interval(value: float, interval: tuple[float, float]) -> str:
    """Return a value and its interval with five significant digits: ``8.4 (8.352..8.4478)``."""
    return f"{value:.5g} ({interval[0]:.5g}..{interval[1]:.5g})"


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
        for plain, escaped in _LATEX.items():
            text = text.replace(plain, escaped)
        texts.append(text)
    return " & ".join(texts) + r" \\"


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
