"""The page of a sweep: budgets in, designs out; one self-contained HTML file that loads nothing."""

from __future__ import annotations

import json
import shlex
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from reports.results import Values
from reports.studies.budgets import QUANTITIES, constraint_of
from reports.studies.ranges import text_of
from reports.sweeps.result import SweepResult
from reports.sweeps.selection import CONDITIONS, select, value_of

_TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
SHOWN = ("loss", "network_energy", "network_area", "network_latency")
"""Numbers that have a budget, an axis of the front and a column each."""
_LEVELS = np.linspace(0.0, 1.0, 21)
"""Levels of the quantiles that probabilities of budgets are read from, in the browser."""


def render_sweep(result: SweepResult, *, made: datetime | None = None) -> str:
    """Return the page of a run as HTML.

    Args:
        result: the run.
        made: the time of making to print; left out where None, so that the same run gives the same page.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    selection = select(result)
    numbers = [name for name in SHOWN if any(value_of(point, QUANTITIES[name]) is not None for point in result.points)]
    axes = list(result.study.get("vary", {}))
    rows = [_row(result, number, numbers, axes) for number in result.done]
    for row, number in zip(rows, result.done, strict=True):
        row["front"] = selection.front[number]
        row["meets"] = selection.meets[number]
    content = {
        "numbers": [_number(name, rows) for name in numbers],
        "axes": axes,
        "conditions": [axis for axis in axes if axis in CONDITIONS],
        "rows": rows,
        "budgets": _budgets(result, numbers),
        "levels": _LEVELS.tolist(),
    }
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    text = environment.get_template("sweep.html.j2").render(
        title=result.study.get("title") or f"{len(result.points)} points: {result.name}",
        name=result.name,
        choices=[choice.sentences for choice in selection.choices],
        counts=_counts(result),
        left_out=[
            (point["name"], point["status"], point["reason"]) for point in result.points if point["status"] != "done"
        ],
        columns=[*axes, *numbers],
        settings=_settings(result),
        command=_command(result),
        made=f"{made.day} {made:%B %Y, %H:%M} UTC" if made else "",
        style=Markup((_TEMPLATES / "sweep.css").read_text()),
        script=Markup((_TEMPLATES / "sweep.js").read_text()),
        content=Markup(json.dumps(content, allow_nan=False).replace("<", "\\u003c")),
    )
    return str(text)


def _row(result: SweepResult, number: int, numbers: list[str], axes: list[str]) -> Values:
    point, drawn = result.points[number], result.draws.get(number, {})
    values: dict[str, Any] = {}
    for name in numbers:
        own = QUANTITIES[name]
        value = value_of(point, own)
        if value is None:
            values[name] = None
            continue
        draws = drawn.get(own.field, np.array([value])) / own.scale
        quantiles = [_short(entry) for entry in np.quantile(draws, _LEVELS)]
        low, high = (_short(entry) for entry in np.quantile(draws, [0.025, 0.975]))
        values[name] = {"value": _short(value / own.scale), "low": low, "high": high, "quantiles": quantiles}
    network = point["network_cost"]
    return {
        "name": point["name"],
        "varied": {axis: text_of(_listed(point["varied"][axis])) for axis in axes},
        "cores": None if network is None else network["cores"],
        "core_area": None if point["cost"] is None else _short(point["cost"]["area_mm2"]),
        **values,
    }


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _number(name: str, rows: list[Values]) -> Values:
    own = QUANTITIES[name]
    known = [row[name]["value"] for row in rows if row[name] is not None]
    return {"name": name, "label": own.label, "unit": own.unit, "least": min(known), "most": max(known)}


def _budgets(result: SweepResult, numbers: list[str]) -> dict[str, float]:
    limits = map(constraint_of, result.study.get("constraints", ()))
    return {
        limit.quantity.name: limit.limit / limit.quantity.scale
        for limit in limits
        if limit.at_most and limit.quantity.name in numbers
    }


def _counts(result: SweepResult) -> list[tuple[str, int]]:
    order = ("done", "unaffordable", "impossible", "failed", "open")
    found = {status: sum(point["status"] == status for point in result.points) for status in order}
    return [(status, count) for status, count in found.items() if count]


def _settings(result: SweepResult) -> list[tuple[str, str]]:
    shown = []
    for key, value in result.study.items():
        if key in ("vary", "title") or value in (None, "", [], {}):
            continue
        shown.append((key.replace("_", " "), ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    for axis, values in result.study.get("vary", {}).items():
        shown.append((f"{axis.replace('_', ' ')} varied over", ", ".join(text_of(_listed(value)) for value in values)))
    cells = sorted({(point.get("built") or {}).get("cell", {}).get("name", "ideal") for point in result.points
                    if point.get("built") and point["built"]["cell"]})  # fmt: skip
    without = [point for point in result.points if point.get("built") and not point["built"]["peripherals"]]
    shown.append(("cells", ", ".join(cells) or "ideal"))
    if without:
        which = "all points" if len(without) == len(result.points) else f"{len(without)} points"
        shown.append(("left out", f"{which}: errors of the circuits around the array (no peripherals given)"))
    return shown


def _command(result: SweepResult) -> str:
    return f"devicekit sweep --study study.toml --name {shlex.quote(result.name)}"
