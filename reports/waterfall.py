"""The figure of where accuracy goes: what each part of a core costs, one after another."""

from __future__ import annotations

from typing import Any

from reports.figure import SERIES, Figure
from reports.metric import ShownMetric
from reports.results import StudyResult, Values

QUANTISATION, WHOLE = "quantisation", "as built"


def loss_steps(design: Values, baseline: float) -> list[tuple[str, float, float]]:
    """Return name, value before and value after of each part of a core, from the float network to the core as built.

    Args:
        design: as in `StudyResult`.
        baseline: of the float network.
    """
    accuracy = design["accuracy"]
    stages = [(stage["name"], stage["accuracy"]["mean"]) for stage in design["stages"]]
    values = [(QUANTISATION, accuracy["ideal"]), *stages, (design["last_stage"], accuracy["mean"])]
    before = [baseline, *(value for _, value in values[:-1])]
    return [(name, start, end) for (name, end), start in zip(values, before, strict=True)]


def where_it_goes(result: StudyResult) -> Figure | None:
    """Return the figure of what each part of each core costs; None where no core was taken apart.

    Args:
        result: what the study found.
    """
    designs = [design for design in result.designs if design["stages"]]
    if not designs:
        return None
    shown = ShownMetric(result.metric)
    baseline = result.network["baseline"]
    rows: list[tuple[str, str, float, float]] = []
    for design in designs:
        rows += [(design["name"], *own) for own in loss_steps(design, baseline)]
    worth = 1.0 if shown.higher_is_better else -1.0
    traces = []
    for name, colour, sign in (("lost", "@warn", -1.0), ("brought back", "@good", 1.0)):
        own = [row for row in rows if (worth * (row[3] - row[2]) > 0) == (sign > 0)]
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": name,
                "y": [[row[0] for row in own], [row[1] for row in own]],
                "base": [shown.scaled(row[2]) for row in own],
                "x": [shown.scaled(row[3]) - shown.scaled(row[2]) for row in own],
                "customdata": [[shown.value(row[3]), shown.signed(row[3] - row[2])] for row in own],
                "marker": {"color": colour},
                "hovertemplate": "%{y}: %{customdata[1]}, to %{customdata[0]}" + f" {shown.unit}<extra></extra>",
            }
        )
    traces += [_whole(design, result.designs.index(design), shown) for design in designs]
    names = [[row[0] for row in _with_totals(rows)], [row[1] for row in _with_totals(rows)]]
    layout: dict[str, Any] = {
        "barmode": "overlay",
        "bargap": 0.25,
        "xaxis": {"title": {"text": shown.heading(shown.label)}},
        "yaxis": {"type": "multicategory", "autorange": "reversed", "showgrid": False, "showdividers": True},
        "shapes": [
            {
                "type": "line",
                "yref": "paper",
                "x0": shown.scaled(baseline),
                "x1": shown.scaled(baseline),
                "y0": 0,
                "y1": 1,
                "line": {"color": "@muted", "width": 1, "dash": "dash"},
                "name": f"float network {shown.with_unit(baseline)}",
                "showlegend": True,
            }
        ],
    }
    # An invisible trace sets the order of the rows, which the bars of one colour alone would not.
    order = {
        "type": "bar", "orientation": "h", "y": names, "x": [0.0] * len(names[0]),
        "base": [shown.scaled(baseline)] * len(names[0]), "showlegend": False, "hoverinfo": "skip",
        "marker": {"color": "@muted"},
    }  # fmt: skip
    trials = designs[0]["stages"][0]["accuracy"]["trials"]
    caption = (
        "From the float network to the core as built, one part more in each row; a bar ends where the network stands "
        f"with everything up to that row. Each stage is the mean of {trials} trials, the core as built (dot, with the "
        f"standard deviation of its trials) of {designs[0]['accuracy']['trials']}. A part may cost more alone than "
        "behind another: a trim brings back what wires and periphery took from gain and offset of each column."
    )
    return Figure(
        name="where-it-goes",
        title=f"Where {shown.label} goes",
        caption=caption,
        data=[order, *traces],
        layout=layout,
        height=150 + 22 * len(names[0]),
    )


def _with_totals(rows: list[tuple[str, str, float, float]]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for index, row in enumerate(rows):
        found.append(row[:2])
        if index + 1 == len(rows) or rows[index + 1][0] != row[0]:
            found.append((row[0], WHOLE))
    return found


def _whole(design: Values, index: int, shown: ShownMetric) -> dict[str, Any]:
    accuracy, colour = design["accuracy"], SERIES[index % len(SERIES)]
    mean, spread = shown.scaled(accuracy["mean"]), shown.scaled(accuracy["std"])
    return {
        "type": "scatter",
        "mode": "markers",
        "name": design["name"],
        "showlegend": False,
        "y": [[design["name"]], [WHOLE]],
        "x": [mean],
        "error_x": {"type": "data", "array": [spread], "color": colour, "thickness": 1.5, "width": 4},
        "marker": {"size": 10, "color": colour},
        "hovertemplate": f"{design['name']} as built: {shown.with_unit(accuracy['mean'])} ± "
        f"{shown.spread(accuracy['std'])}<extra></extra>",
    }
