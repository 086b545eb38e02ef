"""The page of a sweep: which core to build within which budgets; one self-contained HTML file that loads nothing."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

import numpy as np

from reports.layer_cores import overrides_of
from reports.page_parts import plotly_source, template_environment, template_text
from reports.results import Values
from reports.studies.budgets import QUANTITIES, Quantity, constraint_of, quantity_of
from reports.studies.ranges import text_of
from reports.study import Study
from reports.sweeps.result import SweepResult
from reports.sweeps.selection import SURE, drawn_of, groups_of, is_screened, select, value_of

QUANTILES = 16
"""Steps between the quantiles that a page takes probabilities from."""
_SHOWN = (
    "loss", "accuracy", "network_energy", "network_area", "network_latency", "network_cores", "energy", "area",
    "latency", "tops_per_w",
)  # fmt: skip
_BUDGETS = ("loss", "network_energy", "network_area", "network_latency")
_UNITS = {"uJ": "µJ", "mm2": "mm²", "us": "µs"}


def render(result: SweepResult, *, made: datetime | None = None, folder: str = "") -> str:
    """Return the page of a sweep as HTML.

    Args:
        result: what the study found.
        made: the time of making to print; None leaves it out.
        folder: where the study's file lies, for the command that runs it again.
    """
    from markupsafe import Markup

    study = Study.make(result.study)
    known = [own for own in map(quantity_of, _SHOWN) if any(_values(result, own))]
    groups = groups_of(result)
    chosen = select(result)
    aim = next((own for own in study.objectives if QUANTITIES[own] in known and own != "loss"), "")
    names = [own.name for own in known]
    up = "loss" if "loss" in names else names[-1] if names else ""
    text = template_environment().get_template("decision.html.j2").render(
        title=study.title or f"{study.network_name}: {_count(len(result.points), 'design')}",
        lede=_lede(result, study),
        groups=[", ".join(f"{key} {value}" for key, value in own.items()) or "all" for own, _ in groups],
        budgets=[_quantity(QUANTITIES[name]) for name in _BUDGETS if name in names],
        aims=[_quantity(own) for own in known],
        aim=aim or up,
        across=next((name for name in ("network_energy", "energy") if name in names), up),
        up=up,
        sentences=[
            {"group": number, "text": sentence}
            for number, choice in enumerate(chosen.choices)
            for sentence in choice.sentences
        ],
        note=_note(result, study),
        columns=_columns(result, study, known),
        remarks=[{"name": name, "text": text} for name, text in result.remarks],
        missing=[point for point in result.points if point["status"] not in ("done", "open")],
        command=f"devicekit sweep --study {shlex.quote(f'{folder}study.toml')} --name {shlex.quote(result.name)}",
        version=version("devicekit"),
        made=f"{made.day} {made:%B %Y, %H:%M} UTC" if made else "",
        style=Markup(template_text("page.css")),
        theme=Markup(template_text("theme.js")),
        script=Markup(template_text("decision.js")),
        plotly=Markup(plotly_source()),
        data=Markup(_script_json(_data(result, study, known, groups, chosen.front))),
    )  # fmt: skip
    return str(text)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _lede(result: SweepResult, study: Study) -> str:
    done = len(result.done)
    varied = ", ".join(axis.replace("_", " ") for axis in study.vary)
    text = f"{_count(done, 'design')} with results" + (f", over {varied}" if varied else "") + "."
    tried = [point["accuracy"] for point in result.points if point["accuracy"]]
    estimated = [point for point in result.points if point["status"] == "done" and is_screened(point)]
    if not tried and not estimated:
        return f"{text} Costs alone: nothing was evaluated with trials."
    if tried:
        trials = sorted({own["trials"] for own in tried})
        text += f" Accuracy on {tried[0]['images']} test images, {' or '.join(map(str, trials))} trials each"
        text += f" for {_count(len(tried), 'design')}" if estimated else ""
    if estimated:
        every = "all" if not tried else str(len(estimated))
        text += (";" if tried else " Accuracy of") + f" {every} screened without trials (≈)"
    return f"{text}; costs are those of the whole network."


def _note(result: SweepResult, study: Study) -> str:
    from reports.built_cores import what_is_in

    built = {
        what_is_in(point["built"], point["design"]["name"], overrides_of(point))
        for point in result.points
        if point["status"] == "done" and point.get("built")
    }
    inside = f"In every accuracy: {next(iter(built))}. " if len(built) == 1 else ""
    return (
        f"{inside}A design keeps to the budgets where its values do, and with the probability shown: that of the loss "
        "(over images and trials) times that of the costs (over the constants' intervals, the least, since those "
        f"go together). A recommendation needs {100 * SURE:.0f} %. Constants and their sources: "
        f"devicekit energy DESIGN --explain, library {study.library}."
    )


def _values(result: SweepResult, own: Quantity) -> list[float]:
    found = (value_of(result.points[number], own) for number in result.done)
    return [value for value in found if value is not None]


def _quantity(own: Quantity) -> Values:
    return {
        "name": own.name,
        "label": own.label,
        "unit": _UNITS.get(own.unit, own.unit),
        "share": own.scale == 0.01,
        "count": not own.unit,
        "more": own.more_is_better,
        "accuracy": own.part == "accuracy",
    }


def _axes(result: SweepResult, study: Study) -> list[str]:
    """Return what tells the designs apart, beside their core."""
    found = [axis for axis in study.vary if axis not in ("network", "device", "measurements")]
    for name in ("network", "device"):
        if len({row[name] for row in result.rows if row["status"] == "done"}) > 1:
            found.append(name)
    return found


def _columns(result: SweepResult, study: Study, known: Sequence[Quantity]) -> list[Values]:
    columns: list[Values] = [{"label": "Core", "unit": "", "number": False}]
    columns += [{"label": axis.replace("_", " "), "unit": "", "number": False} for axis in _axes(result, study)]
    columns += [
        {"label": own.label, "unit": _UNITS.get(own.unit, own.unit), "number": True, "name": own.name} for own in known
    ]
    return [*columns, {"label": "On the front", "unit": "probability", "number": True}]


def _data(
    result: SweepResult,
    study: Study,
    known: Sequence[Quantity],
    groups: Sequence[tuple[dict[str, Any], list[int]]],
    front: Sequence[float | None],
) -> Values:
    axes = _axes(result, study)
    group_of = {number: group for group, (_, members) in enumerate(groups) for number in members}
    limits = {}
    for own in map(constraint_of, study.constraints):
        if own.at_most != own.quantity.more_is_better and own.quantity.name in _BUDGETS:
            limits[own.quantity.name] = own.limit / own.quantity.scale
    rows = result.rows
    return {
        "quantities": [_quantity(own) for own in known],
        "budgets": [own.name for own in known if own.name in _BUDGETS],
        "limits": limits,
        "sure": SURE,
        "columns": _columns(result, study, known),
        "points": [
            _point(result, rows[number], number, group_of[number], axes, known, front[number])
            for number in result.done
        ],
    }  # fmt: skip


def _point(
    result: SweepResult,
    row: Values,
    number: int,
    group: int,
    axes: Sequence[str],
    known: Sequence[Quantity],
    front: float | None,
) -> Values:
    point = result.points[number]
    values: dict[str, float | None] = {}
    intervals: dict[str, list[float] | None] = {}
    quantiles: dict[str, list[float] | None] = {}
    cells: list[Values] = [{"text": row["core"], "sort": row["core"]}]
    cells += [{"text": text_of(row[axis]), "sort": _sortable(row[axis])} for axis in axes]
    for own in known:
        value, drawn = value_of(point, own), drawn_of(result, number, own)
        values[own.name] = None if value is None else _rounded(value / own.scale)
        ends = None
        quantiles[own.name] = None
        if drawn is not None and drawn.size > 1 and float(np.ptp(drawn)) > 0:
            ends = [_rounded(float(end)) for end in np.quantile(drawn, [0.025, 0.975]) / own.scale]
            if own.name in _BUDGETS:
                steps = np.quantile(drawn, np.linspace(0, 1, QUANTILES + 1)) / own.scale
                quantiles[own.name] = [_rounded(float(step)) for step in steps]
        intervals[own.name] = ends
    words = " ".join([row["core"], *(f"{axis}={text_of(row[axis])}" for axis in axes)])
    return {
        "number": number,
        "name": point["name"],
        "screened": is_screened(point),
        "group": group,
        "words": words.lower(),
        "front": front,
        "values": values,
        "intervals": intervals,
        "quantiles": quantiles,
        "cells": cells,
    }


def _sortable(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return text_of(value)


def _rounded(value: float) -> float:
    """Five digits are more than an interval deserves, and keep a page of many designs small."""
    return float(f"{value:.5g}")


def _script_json(values: Values) -> str:
    # Inside a script element nothing may look like its end.
    return json.dumps(values, allow_nan=False, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
