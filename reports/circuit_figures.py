"""The figures about the cell and the circuits: programming error, bit-line models, ADC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reports.figure import Figure
from reports.results import StudyResult, Values


def spread(fit: Values) -> Figure:
    """Return the figure of the fitted spread, over the states it was fitted to.

    Args:
        fit: the fit.
    """
    curve = fit["curve"]
    current = _scaled(curve["current_a"], 1e6)
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": current,
            "y": _scaled(curve["low_a"], 1e9),
            "line": {"width": 0, "color": "@series0"},
            "hoverinfo": "skip",
            "showlegend": False,
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": "95 % band",
            "x": current,
            "y": _scaled(curve["high_a"], 1e9),
            "fill": "tonexty",
            "fillcolor": "@band",
            "line": {"width": 0, "color": "@series0"},
            "hoverinfo": "skip",
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"fit: {fit['model'].replace('_', ' ')}",
            "x": current,
            "y": _scaled(curve["sigma_a"], 1e9),
            "line": {"color": "@series0", "width": 2.4},
            "hovertemplate": "%{x:.3f} µA: %{y:.1f} nA<extra>fit</extra>",
        },
    ]
    if curve["published_a"] is not None:
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "published",
                "x": current,
                "y": _scaled(curve["published_a"], 1e9),
                "line": {"color": "@series1", "width": 1.8, "dash": "dash"},
                "hovertemplate": "%{x:.3f} µA: %{y:.1f} nA<extra>published</extra>",
            }
        )
    # Later times are another law.
    states = [state for state in fit["states"] if state["time_s"] == fit["states"][0]["time_s"]]
    traces.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": "states, ± standard error",
            "x": _scaled([state["target_a"] for state in states], 1e6),
            "y": _scaled([state["sigma_a"] for state in states], 1e9),
            "marker": {"color": "@ink", "size": 7},
            "error_y": {
                "type": "data",
                "array": _scaled([state["sigma_stderr_a"] for state in states], 1e9),
                "color": "@ink",
                "thickness": 1.2,
                "width": 3,
            },
            "hovertemplate": "%{x:.3f} µA: %{y:.1f} nA<extra>state</extra>",
        }
    )
    layout = {
        "xaxis": {"title": {"text": "programmed current [µA]"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "spread σ [nA]"}, "rangemode": "tozero"},
        "legend": {"traceorder": "normal"},
    }
    cells = sorted({state["n"] for state in states})
    number = f"{cells[0]}" if len(cells) == 1 else f"{cells[0]} to {cells[-1]}"
    caption = f"{len(states)} states of {number} cells, {fit['source']}: {fit['kind']}."
    if fit["round_trip"]:
        caption += (
            " This is a round trip: it shows that the fit returns what went in, not how well real cells follow it."
        )
    return Figure(name="spread", title="Programming error", caption=caption, data=traces, layout=layout)


MODEL_LABELS = {
    "ideal": ("no wire at all", "@muted", "dot"),
    "resistor": ("cell as a resistor", "@series1", "solid"),
    "affine": ("affine cell", "@series2", "solid"),
    "relinearised": ("affine, re-linearised once", "@series0", "solid"),
}
LIMIT_LSB = 0.5


def bit_line_envelope(result: StudyResult) -> Figure:
    """Return the figure of bit-line errors on the longest lines of the study, against wire resistance.

    Args:
        result: what the study found.
    """
    rows = max(error["rows"] for error in result.wires)
    longest = [error for error in result.wires if error["rows"] == rows]
    pairing, removed = longest[0]["pairing"], "error_lsb_gain_removed"
    traces: list[dict[str, Any]] = []
    for model, (label, colour, dash) in MODEL_LABELS.items():
        errors = [e for e in longest if e["model"] == model and e["pairing"] == pairing and e[removed] > 1e-9]
        if not errors:
            continue
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": label,
                "x": [error["r_p_hat"] for error in errors],
                "y": [error[removed] for error in errors],
                "line": {"color": colour, "width": 2.2, "dash": dash},
                "marker": {"color": colour, "size": 6},
                "hovertemplate": f"{label}: %{{y:.2~g}} LSB at %{{x:.0e}}<extra></extra>",
            }
        )
    layout = {
        "xaxis": {"type": "log", "title": {"text": "bit-line resistance between cells, R̂ₚ"}, "dtick": 1},
        "yaxis": {
            "type": "log",
            "title": {"text": "largest error [LSB of 8 bits]"},
            "range": [-6, 2.3],
            "dtick": 2,
            "exponentformat": "power",
        },
        "shapes": [
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": LIMIT_LSB,
                "y1": LIMIT_LSB,
                "line": {"color": "@muted", "width": 1, "dash": "dash"},
            }
        ],
        "annotations": [
            {
                "xref": "paper",
                "x": 0,
                # A position on a logarithmic axis is given as the exponent.
                "y": -0.30103,
                "xanchor": "left",
                "yanchor": "bottom",
                "text": "half a step",
                "showarrow": False,
                "font": {"color": "@muted", "size": 12},
            }
        ],
    }
    names = ", ".join(longest[0]["designs"])
    caption = (
        f"Lines of {rows} {pairing} cells (design {names}), mean conductance "
        f"{100 * longest[0]['mean_conductance']:.0f} %, half of the inputs on; random cells, against the transistor "
        "cell. A gain common to all columns is taken out first, for a layer's digital scale absorbs it. R̂ₚ is the wire "
        "between two cells over the least cell resistance."
    )
    return Figure(
        name="bit-line",
        title="How far a model of the bit line may be trusted",
        caption=caption,
        data=traces,
        layout=layout,
    )


def adc_inl(model: Values) -> Figure:
    """Return the figure of the integral non-linearity from bit line to code.

    Args:
        model: the characterisation.
    """
    codes = list(range(len(model["inl_lsb"])))
    trace = {
        "type": "scatter",
        "mode": "lines",
        "name": "INL",
        "x": codes,
        "y": model["inl_lsb"],
        "line": {"color": "@series0", "width": 2},
        "hovertemplate": "code %{x}: %{y:.3f} LSB<extra></extra>",
        "showlegend": False,
    }
    layout = {
        "xaxis": {"title": {"text": "code"}, "range": [0, codes[-1]]},
        "yaxis": {"title": {"text": "integral non-linearity [LSB]"}, "zeroline": True},
    }
    caption = (
        f"Integrator, accumulator, gain stage and {model['adc_bits']}-bit ramp ADC in one chain, after gain and "
        f"offset: {model['source']}."
    )
    return Figure(name="inl", title="From bit line to code", caption=caption, data=[trace], layout=layout, height=340)


def _scaled(values: Sequence[float | None], factor: float) -> list[float | None]:
    return [None if value is None else factor * value for value in values]
