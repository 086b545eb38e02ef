"""The page: one self-contained HTML file that loads nothing, made from what a study found."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from reports.built_cores import own_parts
from reports.design_lines import descriptions, design_lines
from reports.figures import page_figures
from reports.metric import ShownMetric
from reports.numbers import bits, in_prefix, show_interval, significant
from reports.page_parts import figures_json, plotly_source, template_environment, template_text
from reports.prose import (
    cell_sentence,
    inference_sentence,
    sentence,
    spice_note,
    spice_sentence,
    summary,
    table_note,
)
from reports.results import StudyResult, Values, interval_of, is_calibrated
from reports.table import COST_COLUMNS, partly
from reports.trained_step import trained_rows, trained_text

_OPTIONAL_FIGURES = ("spread", "bit-line", "inl", "layer-signal", "where-it-goes", "trained")

KINDS = (
    ("measured", "read off an instrument"),
    ("published", "printed in the source"),
    ("fitted", "estimated here from data"),
    ("simulated", "computed by circuit simulation"),
    ("resampled", "drawn from published statistics"),
    ("assumed", "chosen, for want of a source"),
)


def render(result: StudyResult, *, made: datetime | None = None) -> str:
    """Return the page of a study as HTML.

    Args:
        result: what the study found.
        made: the time of making to print; left out where None, so that the same study gives the same page.
    """
    from markupsafe import Markup

    shown = ShownMetric(result.metric)
    figures = page_figures(result)
    by_name = {figure.name: figure for figure in figures}
    text = (
        template_environment()
        .get_template("page.html.j2")
        .render(
            result=result,
            summary=summary(result),
            metric=shown,
            rows=[_row(*design, shown) for design in zip(result.designs, _described(result.designs), strict=True)],
            table_note=table_note(result),
            figures={**dict.fromkeys(_OPTIONAL_FIGURES), **by_name},
            trained_rows=trained_rows(result),
            breakdowns=[by_name[name] for name in ("energy-breakdown", "area-breakdown")],
            network_rows=_network_rows(result.designs, _places(result)),
            inference_sentence=inference_sentence(result),
            digital=[own for own in result.network["coverage"]["matrices"] if not own["analog"]],
            cell_sentence=cell_sentence(result),
            parameters=_parameters(result.fit),
            notes=[sentence(note) for note in (result.fit["notes"] if result.fit else ())],
            spice_sentence=spice_sentence(result),
            spice_note=spice_note(result),
            line_rows=_line_rows(result.wires),
            peripheral_rows=peripheral_rows(result.peripherals),
            design_lines=design_lines(result.designs),
            kinds=KINDS,
            provenance=_by_room(result.provenance),
            command=command_line(result.settings),
            made=f"{made.day} {made:%B %Y, %H:%M} UTC" if made else "",
            duration=_duration(result.seconds),
            style=Markup(template_text("page.css")),
            theme=Markup(template_text("theme.js")),
            script=Markup(template_text("page.js")),
            plotly=Markup(plotly_source()),
            figures_json=Markup(figures_json(figures)),
        )
    )
    return str(text)


def command_line(settings: dict[str, Any]) -> str:
    """Return the command that runs a study again, quoted for the shell of this system.

    Args:
        settings: the study's settings.
    """
    options = {
        "measurements": "--measurements",
        "device": "--device",
        "network": "--network",
        "data_set": "--data-set",
        "weights": "--weights",
        "trained": "--trained",
        "data": "--data",
        "metric": "--metric",
        "library": "--library",
        "images": "--images",
        "calibration_images": "--calibration-images",
        "trials": "--trials",
        "seed": "--seed",
        "peripherals": "--peripherals",
        "adc": "--adc",
        "age": "--age",
        "temperature": "--temperature",
        "compensation": "--compensation",
        "r_p_hat": "--r-p-hat",
        "bit_line": "--bit-line",
        "r_in_hat": "--r-in-hat",
        "input_resistance": "--input-resistance",
        "r_s_hat": "--r-s-hat",
        "supply_resistance": "--supply-resistance",
        "feed": "--feed",
        "orientation": "--orientation",
        "stage_trials": "--stage-trials",
        "tolerance": "--tolerance",
        "error_scale": "--error-scale",
        "workers": "--workers",
    }
    flags = {"draw_cells": "--draw-cells", "project_signs": "--project-signs"}
    words = ["devicekit", "report"]
    designs = list(map(str, (*settings.get("designs", ()), *settings.get("cores", ()))))
    # A name that looks like an option stands behind "--".
    last = ["--", *designs] if any(name.startswith("-") for name in designs) else []
    words += [] if last else designs
    for pattern in settings.get("exclude", ()):
        words += ["--exclude", str(pattern)]
    for pattern, name in settings.get("overrides", ()):
        words += ["--override", f"{pattern}={name}"]
    corrections = settings.get("corrections")
    for name in corrections or (() if corrections is None else ("none",)):
        words += ["--correct", str(name)]
    words += [flag for key, flag in flags.items() if settings.get(key)]
    for key, option in options.items():
        if settings.get(key) is not None and settings[key] != _UNSAID.get(key):
            words += [option, str(settings[key])]
    join = subprocess.list2cmdline if os.name == "nt" else shlex.join
    return join(words + last)


_UNSAID = {"error_scale": 1.0, "workers": 1}
"""Values that go without saying."""


def _places(result: StudyResult) -> int | None:
    """Return the places of an inference (tokens) that its energy is divided by; None where they have no name."""
    return result.network["places_per_inference"] if result.metric["place"] else None


def _described(designs: Sequence[Values]) -> list[str]:
    """What sets each design apart, and what is in its row where that is not the same in all (the note says it then)."""
    parts = own_parts(designs)
    return [f"{words}; {own}" if own else words for words, own in zip(descriptions(designs), parts, strict=True)]


def _row(design: Values, described: str, shown: ShownMetric) -> dict[str, Any]:
    accuracy, cost = design["accuracy"], design["cost"]
    loss = accuracy["loss_interval"]
    return {
        "name": design["name"],
        "describe": described,
        "ideal": shown.value(accuracy["ideal"]),
        "mean": shown.value(accuracy["mean"]),
        "std": shown.spread(accuracy["std"]),
        "parts": [
            *(f"{name} {shown.value(value)}" for name, value in partly(design).items()),
            *filter(None, [trained_text(design, shown)]),
        ],
        "loss": shown.signed(accuracy["loss"]).replace("-", "−"),
        "loss_interval": " – ".join(map(shown.signed, loss)).replace("-", "−") if loss else "",
        "costs": [_with_interval(cost, column) for column in COST_COLUMNS],
        "b_out": bits(design["b_out_bits"]),
    }


def _with_interval(values: Values, name: str) -> dict[str, str]:
    known = "calibrated" if is_calibrated(values, name) else show_interval(interval_of(values, name), 2)
    return {"value": significant(values[name]), "interval": known}


def _parameters(fit: Values | None) -> list[dict[str, str]]:
    rows = []
    for name, own in fit["parameters"].items() if fit else ():
        value, stderr, published = own["value"], own["stderr"], fit["published"].get(name) if fit else None
        scale, unit = (1e9, "nA") if own["unit"] == "A" else (1.0, own["unit"])
        suffix, difference = f" {unit}" if unit else "", "–"
        if published is not None and stderr:
            difference = f"{(value - published) / stderr:+.2f} standard errors".replace("-", "−")
        rows.append(
            {
                "name": name,
                "value": f"{significant(value * scale, 4)}{suffix}",
                "stderr": "–" if stderr is None else f"{significant(stderr * scale, 2)}{suffix}",
                "published": "–" if published is None else f"{significant(published * scale, 4)}{suffix}",
                "pull": difference,
            }
        )
    return rows


def _network_rows(designs: Sequence[Values], places: int | None) -> list[dict[str, Any]]:
    rows = []
    for index, design in enumerate(designs):
        cost = design["network_cost"]
        rows.append(
            {
                "name": design["name"],
                "series": index % 8,
                "cores": cost["cores"],
                "placed": cost.get("placed_on", ""),
                "utilisation": significant(100 * cost["spatial_utilisation"], 3),
                "area": _with_interval(cost, "area_mm2"),
                "energy": _with_interval(cost, "energy_gated_uj"),
                "per_place": "" if places is None else significant(1e3 * cost["energy_gated_uj"] / places),
                "ungated": significant(cost["energy_ungated_uj"]),
                "latency": significant(cost["latency_us"]),
                "rate": significant(cost["inferences_per_s"]),
                "efficiency": significant(cost["utilised_tops_per_w"]),
                "peak": significant(cost["peak_tops_per_w"]),
            }
        )
    return rows


SHOWN_RESISTANCE = 1e-5


def _line_rows(errors: Sequence[Values]) -> list[dict[str, str]]:
    """Return one row a kind of line: what each model gets wrong at one wire resistance."""
    rows: dict[tuple[int, str], dict[str, str]] = {}
    for error in errors:
        if error["r_p_hat"] == SHOWN_RESISTANCE:
            kind = error["rows"], error["pairing"]
            row = rows.setdefault(kind, {"designs": ", ".join(error["designs"]), "line": "{} {} cells".format(*kind)})
            value = error["error_lsb_gain_removed"]
            row[error["model"]] = significant(value, 2) if value >= 1e-4 else "< 0.0001"
    return list(rows.values())


def peripheral_rows(model: Values | None) -> list[tuple[str, str]]:
    """Return label, and value with its unit, of the figures of the peripherals worth showing.

    Args:
        model: `PeripheralModel.to_dict`; None without one.
    """
    if model is None:
        return []
    rows = [
        ("gain, mean over columns", significant(model["gain"], 4)),
        ("gain, spread over columns", f"{significant(100 * model['gain_sigma'], 2)} %"),
        ("offset, spread over columns", f"{significant(model['offset_sigma_lsb'], 3)} LSB"),
        ("noise of one conversion, rms", f"{significant(model['noise_lsb'], 2)} LSB"),
        ("random bit patterns, bits in powers of two, rms", f"{significant(model['pattern_scatter_lsb'], 2)} LSB"),
        ("random bit patterns, bits as the circuit weighs them, rms", f"{significant(model['pattern_lsb'], 2)} LSB"),
        ("largest integral non-linearity", f"{significant(max(map(abs, model['inl_lsb'])), 2)} LSB"),
    ]
    for name, constant in model["energy"].items():
        value, unit, _ = in_prefix(constant["value"], constant["unit"], digits=3)
        rows.append((f"energy of a conversion, {name.replace('_', ' ')}", f"{value} {unit}"))
    return rows


def _by_room(entries: Sequence[Values]) -> list[tuple[str, list[dict[str, str]]]]:
    """Return the constants by what they belong to, as a person reads them."""
    rooms: dict[str, list[dict[str, str]]] = {}
    for entry in entries:
        value, unit, interval = "", "", ""
        if entry["value"] is not None:
            value, unit, interval = in_prefix(entry["value"], entry["unit"], entry["interval"])
        rooms.setdefault(entry["room"], []).append(entry | {"value": value, "unit": unit, "interval": interval})
    return list(rooms.items())


def _duration(seconds: float) -> str:
    if seconds <= 0:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
