"""Figures of published studies: lines over a scale, and bars of named things."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from devicekit.common.errors import unknown_name
from reports.errors import StudyError
from reports.figure import SERIES, Figure, decade_ticks, error_bars
from reports.published.labels import power_of_ten

Numbers = Sequence[float] | NDArray[Any]
Line = tuple[Numbers, Numbers]
Bound = float | None
Bounds = tuple[Sequence[Bound] | NDArray[Any], Sequence[Bound] | NDArray[Any]]
_MANY = 30
_LEAST_GAP = 0.06
"""Of the axis, between two numbers at it; as much as a short number takes on a telephone."""


def lines(
    name: str,
    title: str,
    caption: str,
    series: Mapping[str, Line],
    across: str,
    up: str,
    *,
    log: bool = True,
    log_up: bool = False,
    points: str = "",
    bounds: Mapping[str, Bounds] | None = None,
) -> Figure:
    """Return a figure of lines.

    Args:
        name: identifier in the page.
        title: heading.
        caption: how to read it.
        series: x and y of each line by its label.
        across: title of the x axis.
        up: title of the y axis.
        log: whether the x axis is logarithmic: it has numbers at the values that were tried, where these are few.
        log_up: whether the y axis is.
        points: label of what was measured, shown as points alone; curves of many points are shown as lines alone.
        bounds: lower and upper bounds of y, as error bars, by the label of a line; None or NaN where a point has none.

    Raises:
        StudyError: bounds of a line that is not drawn.
    """
    _check_labels(bounds or {}, series)
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers" if label == points else "lines" if len(x) > _MANY else "lines+markers",
            "name": label,
            "x": list(map(float, x)),
            "y": list(map(float, y)),
            "line": {"color": SERIES[index % len(SERIES)], "width": 1.8},
            "marker": {"color": SERIES[index % len(SERIES)], "size": 7},
        }
        for index, (label, (x, y)) in enumerate(series.items())
    ]
    for trace in traces:
        if bounds and trace["name"] in bounds:
            low, high = bounds[trace["name"]]
            trace["error_y"] = error_bars(trace["y"], _ends(low), _ends(high), trace["line"]["color"])
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": across}, "type": "log" if log else "linear"},
        "yaxis": {"title": {"text": up}, "type": "log" if log_up else "linear"},
    }
    if log:
        few = [value for x, _ in series.values() if len(x) <= _MANY for value in map(float, x)]
        layout["xaxis"] |= _ticks_at(few) or _decades(value for trace in traces for value in trace["x"])
    if log_up:
        layout["yaxis"] |= _decades(_heights(traces))
    return Figure(name=name, title=title, caption=caption, data=traces, layout=layout, height=380)


def bars(
    name: str,
    title: str,
    caption: str,
    groups: Mapping[str, Mapping[str, float]],
    up: str,
    *,
    log: bool = False,
    bounds: Mapping[str, Mapping[str, tuple[Bound, Bound]]] | None = None,
) -> Figure:
    """Return a figure of bars, side by side.

    Args:
        name: identifier in the page.
        title: heading.
        caption: how to read it.
        groups: heights by what stands on the axis, by the label of each colour.
        up: title of the y axis.
        log: whether the y axis is logarithmic.
        bounds: lower and upper bound of heights, as error bars, by what stands on the axis, by the label of a colour;
            heights without bounds have no error bar.

    Raises:
        StudyError: bounds of a colour, or of a bar of it, that is not drawn.
    """
    _check_labels(bounds or {}, groups)
    traces: list[dict[str, Any]] = [
        {
            "type": "bar",
            "name": label,
            "x": list(own),
            "y": [float(value) for value in own.values()],
            "marker": {"color": SERIES[index % len(SERIES)]},
        }
        for index, (label, own) in enumerate(groups.items())
    ]
    for trace in traces:
        if bounds and trace["name"] in bounds:
            found = bounds[trace["name"]]
            _check_labels(found, groups[trace["name"]])
            low, high = zip(*(found.get(word, (None, None)) for word in trace["x"]), strict=True)
            # In the colour of the text: in that of the bars their lower half would not be seen.
            trace["error_y"] = error_bars(trace["y"], _ends(low), _ends(high), "@ink")
    layout: dict[str, Any] = {
        "barmode": "group",
        "xaxis": {"type": "category"},
        "yaxis": {"title": {"text": up}, "type": "log" if log else "linear"},
    }
    if log:
        layout["yaxis"] |= _decades(_heights(traces))
    return Figure(name=name, title=title, caption=caption, data=traces, layout=layout, height=380)


def _check_labels(given: Iterable[str], known: Mapping[str, object]) -> None:
    for label in given:
        if label not in known:
            raise StudyError(unknown_name("label of bounds", label, known))


def _ends(values: Iterable[Bound]) -> list[Bound]:
    return [None if value is None or math.isnan(value) else float(value) for value in values]


def _heights(traces: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return all that a y axis has to hold."""
    found: list[float] = []
    for trace in traces:
        found += trace["y"]
        for key, sign in (("array", 1), ("arrayminus", -1)):
            ends = trace.get("error_y", {}).get(key, ())
            found += [y + sign * end for y, end in zip(trace["y"], ends, strict=False) if end is not None]
    return found


def _ticks_at(values: Sequence[float]) -> dict[str, Any]:
    """Return ticks of a logarithmic axis at given values, without those too close to the one before."""
    tried = sorted({value for value in values if value > 0})
    if not tried:
        return {}
    span = math.log10(tried[-1] / tried[0])
    kept = tried[:1]
    for value in tried[1:]:
        if math.log10(value / kept[-1]) >= _LEAST_GAP * span:
            kept.append(value)
    return {"tickvals": kept, "ticktext": _texts(kept)}


def _texts(values: Sequence[float]) -> list[str]:
    """Return numbers of an axis as digits, and as powers of ten far from one."""
    # 0.01 beside 10⁻⁵ would be two ways to write the same kind of number.
    low, high = (0.1 if min(values) < 1e-3 else 0.0), (1e4 if max(values) >= 1e5 else math.inf)
    return [f"{value:g}" if low <= value < high else power_of_ten(value) for value in values]


def _decades(values: Iterable[float]) -> dict[str, Any]:
    """Return ticks of a logarithmic axis at decades, and between them where these are few."""
    positive = [value for value in values if value > 0]
    return decade_ticks(min(positive), max(positive)) if positive else {}
