"""The figures about designs: accuracy against energy, trials, breakdowns; and the list of all figures of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reports.circuit_figures import adc_inl, bit_line_envelope, spread
from reports.figure import SERIES, Figure, decade_ticks, error_bars
from reports.layer_cores import ShownEnergy, shown_energy
from reports.metric import ShownMetric
from reports.numbers import significant
from reports.results import StudyResult, Values
from reports.trained_step import trained_figure
from reports.waterfall import where_it_goes

# Below this share of every design a component is drawn together with the other small ones.
SMALL_SHARE = 0.02


def accuracy_against_energy(result: StudyResult) -> Figure:
    """Return the figure of the metric, on ideal and on real cells, against energy, see `shown_energy`.

    Args:
        result: what the study found.
    """
    shown, against = ShownMetric(result.metric), shown_energy(result.designs)
    baseline = shown.scaled(result.network["baseline"])
    traces: list[dict[str, Any]] = [_front_trace(result.designs, shown, against)]
    for index, design in enumerate(result.designs):
        name, accuracy, energy = design["name"], design["accuracy"], against.value(design)
        colour = SERIES[index % len(SERIES)]
        low, high = against.interval(design)
        mean, std, ideal = (shown.scaled(accuracy[key]) for key in ("mean", "std", "ideal"))
        spread, unit = shown.spread(accuracy["std"]), against.unit
        traces += [
            {
                "type": "scatter",
                "mode": "lines",
                "x": [energy, energy],
                "y": [ideal, mean],
                "line": {"color": colour, "width": 1.2, "dash": "dot"},
                "hoverinfo": "skip",
                "showlegend": False,
            },
            {
                "type": "scatter",
                "mode": "markers",
                "name": "ideal cells",
                "legendgroup": "ideal",
                "showlegend": index == 0,
                "x": [energy],
                "y": [ideal],
                "marker": {"symbol": "circle-open", "size": 11, "color": colour, "line": {"width": 2}},
                "hovertemplate": f"{name}, ideal cells: {shown.hover}<extra></extra>",
            },
            {
                "type": "scatter",
                "mode": "markers+text",
                "name": "as built",
                "legendgroup": "device",
                "showlegend": index == 0,
                "x": [energy],
                "y": [mean],
                "text": [f"<b>{name}</b>"],
                "textposition": "top right" if index < len(result.designs) - 1 else "top left",
                "textfont": {"color": colour, "size": 15},
                "marker": {"size": 11, "color": colour},
                "error_x": error_bars([energy], [low], [high], colour),
                "error_y": error_bars([mean], [mean - std], [mean + std], colour),
                "hovertemplate": f"{name}, as built: {shown.hover} ± {spread}<br>%{{x:.4~g}} {unit}<extra></extra>",
            },
        ]
    mixed = against.of == "inference"
    ends = [end for design in result.designs for end in against.interval(design)]
    layout = {
        "xaxis": {
            "type": "log",
            "title": {"text": f"energy{' of an inference' if mixed else ''} [{against.unit}]"},
            "minor": {"dtick": "D1"},
            **decade_ticks(min(ends), max(ends)),
        },
        "yaxis": {"title": {"text": shown.heading(shown.label)}},
        "shapes": [
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": baseline,
                "y1": baseline,
                "line": {"color": "@muted", "width": 1, "dash": "dash"},
                # Named in the legend: a label at the line would lie on a design wherever it stood.
                "name": f"float network {shown.with_unit(result.network['baseline'])}",
                "showlegend": True,
            }
        ],
    }
    caption = (
        f"{'Up' if shown.higher_is_better else 'Down'} and to the left is better. Filled: as built, mean of "
        f"{result.designs[0]['accuracy']['trials']} "
        "trials with their standard deviation; open: ideal cells, so that the dotted line is what cells and circuits "
        "cost and the gap to the dashed line what quantisation costs. Horizontal bars: 95 % interval of the energy. "
        "The grey staircase joins the designs that none beats in both; it goes by means, so mind the bars."
    )
    if mixed:
        caption += " Some layers lie on other cores, so that the energy is that of an inference on all of them."
    return Figure(
        name="accuracy-energy",
        title=f"{shown.title} against energy",
        caption=caption,
        data=traces,
        layout=layout,
        height=460,
    )


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the points that no other point beats in both cost and worth, by rising cost.

    Args:
        points: (cost, worth) of each; less cost and more worth are better.
    """
    order = sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1]))
    front: list[int] = []
    for index in order:
        if not front or points[index][1] > points[front[-1]][1]:
            front.append(index)
    return front


def _front_trace(designs: Sequence[Values], shown: ShownMetric, against: ShownEnergy) -> dict[str, Any]:
    """Return the front as a staircase: between two designs the cheaper one is what a budget buys."""
    points = [(against.value(design), shown.scaled(design["accuracy"]["mean"])) for design in designs]
    worth = 1.0 if shown.higher_is_better else -1.0
    front = [points[index] for index in pareto_front([(cost, worth * value) for cost, value in points])]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "front: nothing better for less",
        "x": [energy for energy, _ in front],
        "y": [value for _, value in front],
        "line": {"color": "@muted", "width": 1.5, "shape": "hv"},
        "hoverinfo": "skip",
    }


def trials(result: StudyResult) -> Figure:
    """Return the figure of every trial's value, less that of the float network.

    Args:
        result: what the study found.
    """
    baseline, shown = result.network["baseline"], ShownMetric(result.metric)
    traces = []
    for index, design in enumerate(result.designs):
        losses = [shown.scaled(value - baseline) for value in design["accuracy"]["per_trial"]]
        count = max(len(losses) - 1, 1)
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": design["name"],
                "x": [index + 0.36 * (number / count - 0.5) for number in range(len(losses))],
                "y": losses,
                "marker": {"size": 8, "color": SERIES[index % len(SERIES)], "opacity": 0.75},
                "hovertemplate": f"{design['name']}: {shown.hover_change}<extra></extra>",
                "showlegend": False,
            }
        )
    ideals = [shown.scaled(design["accuracy"]["ideal"] - baseline) for design in result.designs]
    means = [shown.scaled(design["accuracy"]["mean"] - baseline) for design in result.designs]
    for name, values, dash in (("mean of the trials", means, "solid"), ("ideal cells", ideals, "dot")):
        xs: list[float | None] = []
        ys: list[float | None] = []
        for index, value in enumerate(values):
            xs += [index - 0.3, index + 0.3, None]
            ys += [value, value, None]
        line = {"color": "@ink", "width": 1.6, "dash": dash}
        traces.append({"type": "scatter", "mode": "lines", "name": name, "x": xs, "y": ys, "line": line})
    layout = {
        "xaxis": {
            "tickvals": list(range(len(result.designs))),
            "ticktext": [design["name"] for design in result.designs],
            "showgrid": False,
            "title": {"text": "design"},
        },
        "yaxis": {"title": {"text": shown.loss_heading(f"{shown.label} − float network")}, "zeroline": True},
    }
    network = result.network
    example, labels = network["example"], network["labels"]
    caption = f"One dot a trial: the network programmed afresh with other cell errors, on the same {example}s. "
    if shown.is_share and labels:
        one = example if labels == network["test_images"] else "label"
        caption += f"One {one} of {labels} is {significant(100 / labels, 2)} points."
    else:
        caption += f"{'Below' if shown.higher_is_better else 'Above'} the line of the float network is worse."
    return Figure(name="trials", title="Trial by trial", caption=caption, data=traces, layout=layout)


def _components(designs: Sequence[Values]) -> dict[str, str]:
    """Return the components worth a colour of their own and their colours, the same in every figure."""
    weight: dict[str, float] = {}
    largest: dict[str, float] = {}
    for design in designs:
        for attribute in ("energy_fj_per_op", "area_mm2"):
            shares = _shares(design, attribute)
            total = sum(shares.values())
            for component, value in shares.items():
                fraction = value / total if total else 0.0
                weight[component] = weight.get(component, 0.0) + fraction
                largest[component] = max(largest.get(component, 0.0), fraction)
    named = sorted((name for name in weight if largest[name] >= SMALL_SHARE), key=lambda name: -weight[name])
    return dict(zip(named, SERIES, strict=False))


def _shares(design: Values, attribute: str) -> dict[str, float]:
    return {part["label"]: part[attribute] for part in design["cost"]["breakdown"]}


def breakdown(result: StudyResult, attribute: str) -> Figure:
    """Return the figure of the components' shares in energy or area, one bar a design.

    Args:
        result: what the study found.
        attribute: ``"energy_fj_per_op"`` or ``"area_mm2"``.
    """
    energy = attribute == "energy_fj_per_op"
    unit, noun = ("fJ/op", "energy") if energy else ("mm²", "area")
    designs = result.designs
    named = _components(designs)
    names = [f"<b>{design['name']}</b>" for design in designs]
    shares = [_shares(design, attribute) for design in designs]
    totals = [sum(own.values()) for own in shares]
    groups = [(label, colour, [own.get(label, 0.0) for own in shares]) for label, colour in named.items()]
    rest = [sum(value for label, value in own.items() if label not in named) for own in shares]
    groups = [group for group in (*groups, ("all others", "@muted", rest)) if any(group[2])]
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": label,
            "y": names,
            "x": [100 * value / total if total else 0 for value, total in zip(values, totals, strict=True)],
            "customdata": [significant(value) for value in values],
            "marker": {"color": colour, "line": {"color": "@paper", "width": 1}},
            "hovertemplate": f"%{{y}} {label}: %{{customdata}} {unit} (%{{x:.1f}} %)<extra></extra>",
        }
        for label, colour, values in groups
    ]
    layout = {
        "barmode": "stack",
        "bargap": 0.32,
        "xaxis": {"title": {"text": f"share of the core's {noun} [%]"}, "range": [0, 100], "showgrid": False},
        "yaxis": {"autorange": "reversed", "showgrid": False, "ticklabelstandoff": 8},
        "legend": {"traceorder": "normal", "x": -0.1, "entrywidth": 0.62, "entrywidthmode": "fraction"},
        "annotations": [
            {
                "xref": "paper",
                "x": 1.01,
                "xanchor": "left",
                "y": name,
                "text": f"{significant(total)} {unit}",
                "showarrow": False,
                "font": {"size": 12},
            }
            for name, total in zip(names, totals, strict=True)
        ],
        "margin": {"r": 96},
    }
    caption = f"Shares of each core's {noun}; the totals stand at the right, since they differ by orders of magnitude."
    height = 150 + 44 * len(designs) + 21 * ((len(SERIES) + 2) // 2)
    return Figure(
        name=f"{noun}-breakdown",
        title=f"Where the {noun} goes",
        caption=caption,
        data=traces,
        layout=layout,
        height=height,
    )


def layer_energy(result: StudyResult) -> Figure:
    """Return the figure of the energy of an inference, layer by layer.

    Args:
        result: what the study found.
    """
    points = [
        [(layer["layer"], layer["energy_gated_nj"]) for layer in d["network_cost"]["layers"]] for d in result.designs
    ]
    layout = {
        "xaxis": {"type": "category", "showgrid": False},
        "yaxis": {"type": "log", "title": {"text": "energy of an inference [nJ]"}, "dtick": 1},
    }
    caption = (
        "Matrix products only, with unused rows and columns of a core switched off; element-wise operations, pooling, "
        "buffers and the wires between cores are not counted. Conductances and input activity are those measured on "
        "this network; a core's cost in the first table goes by published statistics, so that it compares with others'."
    )
    traces = _by_layer(result.designs, points, "%{y:.3~g} nJ")
    return Figure(name="layer-energy", title="Layer by layer", caption=caption, data=traces, layout=layout)


def layer_signals(result: StudyResult) -> Figure:
    """Return the figure of every layer's signal-to-error ratio.

    Args:
        result: what the study found.
    """
    points = [[(own["name"], own["snr_db"]) for own in _with_error(design)] for design in result.designs]
    layout = {
        "xaxis": {"type": "category", "showgrid": False},
        "yaxis": {"title": {"text": "signal over error [dB]"}},
    }
    caption = (
        "Each layer alone, fed with the float network's values, on one programming of the cells: the lowest point of a "
        "design is the layer to look at first. 6 dB are one bit."
    )
    traces = _by_layer(result.designs, points, "%{y:.1f} dB")
    return Figure(
        name="layer-signal", title="Which layer loses it", caption=caption, data=traces, layout=layout, height=380
    )


def _with_error(design: Values) -> list[Values]:
    return [own for own in design["layer_reports"] if own["snr_db"] is not None]


def _by_layer(
    designs: Sequence[Values], points: Sequence[Sequence[tuple[str, float]]], shown: str
) -> list[dict[str, Any]]:
    """Return one line a design over the layers; designs without points are left out."""
    return [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": design["name"],
            "x": [layer for layer, _ in own],
            "y": [value for _, value in own],
            "line": {"color": SERIES[index % len(SERIES)], "width": 1.8},
            "marker": {"color": SERIES[index % len(SERIES)], "size": 7},
            "hovertemplate": f"{design['name']}, %{{x}}: {shown}<extra></extra>",
        }
        for index, (design, own) in enumerate(zip(designs, points, strict=True))
        if own
    ]


def page_figures(result: StudyResult) -> list[Figure]:
    """Return the figures of the page in its order.

    Args:
        result: what the study found.
    """
    figures = [accuracy_against_energy(result), *filter(None, [where_it_goes(result)]), trials(result)]
    if any(_with_error(design) for design in result.designs):
        figures.append(layer_signals(result))
    figures += filter(None, [trained_figure(result)])
    figures += [breakdown(result, "energy_fj_per_op"), breakdown(result, "area_mm2"), layer_energy(result)]
    if result.fit is not None:
        figures.append(spread(result.fit))
    if result.wires:
        figures.append(bit_line_envelope(result))
    if result.peripherals is not None:
        figures.append(adc_inl(result.peripherals))
    return figures
