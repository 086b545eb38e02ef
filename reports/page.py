"""The page: one self-contained HTML file that loads nothing, made from what a study found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from reports.figure import Figure
from reports.figures import page_figures
from reports.prose import cell_sentence, spice_sentence, summary, table_note
from reports.results import DesignResult, FittedParameter, LineError, Provenance, StudyResult
from reports.table import COST_COLUMNS, show_interval, significant

_TEMPLATES = Path(__file__).resolve().parent / "templates"
_OPTIONAL_FIGURES = ("spread", "bit-line", "inl", "layer-energy", "layer-signal")

KINDS = (
    ("measured", "read off an instrument"),
    ("published", "printed in the source"),
    ("fitted", "estimated here from data"),
    ("simulated", "computed by circuit simulation"),
    ("resampled", "drawn from published statistics"),
    ("assumed", "chosen, for want of a source"),
)

_DESIGN_LINES = (
    ("negative weights", "negative_weights"),
    ("weight bits", "weight_bits"),
    ("bits a cell", "bits_per_cell"),
    ("rows an array, at most", "max_rows"),
    ("input bits", "input_bits"),
    ("bits an input slice", "bits_per_input_slice"),
    ("input accumulation", "input_accumulation"),
    ("converter bits", "adc_bits"),
    ("converter range", "adc_range"),
    ("bit-line resistance R̂ₚ", "r_p_hat"),
)


def render(result: StudyResult, *, made: datetime | None = None) -> str:
    """Return the page.

    Args:
        result: what the study found.
        made: the time of making to print; left out where None, so that the same study gives the same page.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    figures = page_figures(result)
    by_name = {figure.name: figure for figure in figures}
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    text = environment.get_template("page.html.j2").render(
        result=result,
        summary=summary(result),
        rows=[_row(design) for design in result.designs],
        table_note=table_note(result),
        figures={**dict.fromkeys(_OPTIONAL_FIGURES), **by_name},
        breakdowns=[by_name[name] for name in ("energy-breakdown", "area-breakdown") if name in by_name],
        network_rows=_network_rows(result.designs),
        cell_sentence=cell_sentence(result),
        parameters=[_parameter(parameter) for parameter in (result.fit.parameters if result.fit else ())],
        spice_sentence=spice_sentence(result),
        line_rows=_line_rows(result.wires),
        design_lines=_design_lines(result.designs),
        kinds=KINDS,
        provenance=_by_room(result.provenance),
        command=command_line(result.settings),
        made=f"{made.day} {made:%B %Y, %H:%M} UTC" if made else "",
        duration=_duration(result.seconds),
        style=Markup((_TEMPLATES / "page.css").read_text()),
        script=Markup((_TEMPLATES / "page.js").read_text()),
        plotly=Markup(get_plotlyjs()),
        figures_json=Markup(_script_json(figures)),
    )
    return str(text)


def command_line(settings: dict[str, Any]) -> str:
    """Return the command that runs a study again.

    Args:
        settings: the study's settings.
    """
    options = {
        "measurements": "--measurements",
        "device": "--device",
        "network": "--network",
        "data_set": "--data-set",
        "weights": "--weights",
        "data": "--data",
        "library": "--library",
        "images": "--images",
        "calibration_images": "--calibration-images",
        "trials": "--trials",
        "seed": "--seed",
    }
    words = ["devicekit report"]
    for design in settings.get("designs", ()):
        words.append(f"--designs {design}")
    for key, option in options.items():
        if settings.get(key) is not None:
            words.append(f"{option} {settings[key]}")
    return " ".join(words)


def _script_json(figures: Sequence[Figure]) -> str:
    content = [
        {"name": figure.name, "data": figure.data, "layout": figure.layout, "height": figure.height}
        for figure in figures
    ]
    # Inside a script element nothing may look like its end.
    return json.dumps(content, allow_nan=False).replace("<", "\\u003c")


def _row(design: DesignResult) -> dict[str, Any]:
    accuracy, cost = design.accuracy, design.cost
    loss = accuracy.loss_interval
    return {
        "name": design.name,
        "describe": _describe(design),
        "ideal": f"{100 * accuracy.ideal:.2f}",
        "mean": f"{100 * accuracy.mean:.2f}",
        "std": f"{100 * accuracy.std:.2f}",
        "loss": f"{100 * accuracy.loss:+.2f}".replace("-", "−"),
        "loss_interval": f"{100 * loss[0]:+.2f} – {100 * loss[1]:+.2f}".replace("-", "−") if loss else "",
        "costs": [
            {"value": significant(getattr(cost, column)), "interval": show_interval(cost.intervals.get(column), 2)}
            for column in COST_COLUMNS
        ],
        "b_out": f"{design.b_out:.1f}",
    }


def _describe(design: DesignResult) -> str:
    return (
        f"{design.fields['negative_weights'].replace('_', ' ')}, {design.slices} × {design.partitions} "
        f"array{'s' if design.slices * design.partitions > 1 else ''}"
    )


def _parameter(parameter: FittedParameter) -> dict[str, str]:
    scale, unit = (1e9, "nA") if parameter.unit == "A" else (1.0, parameter.unit)
    suffix = f" {unit}" if unit else ""
    difference = "–"
    if parameter.published is not None and parameter.stderr:
        pull = (parameter.value - parameter.published) / parameter.stderr
        difference = f"{pull:+.2f} standard errors".replace("-", "−")
    return {
        "name": parameter.name,
        "value": f"{significant(parameter.value * scale, 4)}{suffix}",
        "stderr": "–" if parameter.stderr is None else f"{significant(parameter.stderr * scale, 2)}{suffix}",
        "published": "–" if parameter.published is None else f"{significant(parameter.published * scale, 4)}{suffix}",
        "pull": difference,
    }


def _network_rows(designs: Sequence[DesignResult]) -> list[dict[str, Any]]:
    rows = []
    for index, design in enumerate(designs):
        cost = design.network_cost
        if cost is not None:
            rows.append(
                {
                    "name": design.name,
                    "series": index % 8,
                    "cores": cost.cores,
                    "utilisation": significant(100 * cost.spatial_utilisation, 3),
                    "area": significant(cost.area_mm2),
                    "area_interval": show_interval(cost.intervals.get("area_mm2"), 2),
                    "energy": significant(cost.energy_gated_uj),
                    "energy_interval": show_interval(cost.intervals.get("energy_gated_uj"), 2),
                    "ungated": significant(cost.energy_ungated_uj),
                    "latency": significant(cost.latency_us),
                    "rate": significant(cost.inferences_per_s),
                    "efficiency": significant(cost.utilised_tops_per_w),
                    "peak": significant(cost.peak_tops_per_w),
                }
            )
    return rows


SHOWN_RESISTANCE = 1e-5


def _line_rows(errors: Sequence[LineError]) -> list[dict[str, str]]:
    """Return one row a kind of line: what each model gets wrong at one wire resistance."""
    rows: dict[tuple[int, str], dict[str, str]] = {}
    for error in errors:
        if error.r_p_hat == SHOWN_RESISTANCE:
            row = rows.setdefault((error.rows, error.pairing), {"designs": ", ".join(error.designs)})
            row |= {"line": f"{error.rows} {error.pairing} cells"}
            value = error.error_lsb_gain_removed
            row[error.model] = significant(value, 2) if value >= 1e-4 else "< 0.0001"
    return list(rows.values())


def _design_lines(designs: Sequence[DesignResult]) -> list[dict[str, Any]]:
    lines = [
        {"label": label, "entries": [_plain_field(design.fields.get(key)) for design in designs]}
        for label, key in _DESIGN_LINES
    ]
    lines.append({"label": "slices × partitions", "entries": [f"{d.slices} × {d.partitions}" for d in designs]})
    lines.append({"label": "conversions a product", "entries": [f"{d.conversions_per_mvm:,}" for d in designs]})
    return lines


def _plain_field(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")


def _by_room(entries: Sequence[Provenance]) -> list[tuple[str, list[Provenance]]]:
    rooms: dict[str, list[Provenance]] = {}
    for entry in entries:
        rooms.setdefault(entry.room, []).append(entry)
    return list(rooms.items())


def _duration(seconds: float) -> str:
    if seconds <= 0:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
