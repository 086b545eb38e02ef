"""Figures of published studies: lines over a scale, and bars of named things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from reports.figure import SERIES, Figure

Numbers = Sequence[float] | NDArray[Any]
Line = tuple[Numbers, Numbers]
_MANY = 30


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
) -> Figure:
    """Return a figure of lines.

    Args:
        name: identifier in the page.
        title: heading.
        caption: how to read it.
        series: x and y of each line by its label.
        across: title of the x axis.
        up: title of the y axis.
        log: whether the x axis is logarithmic.
        log_up: whether the y axis is.
        points: label of what was measured, shown as points alone; curves of many points are shown as lines alone.
    """
    traces = [
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
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": across}, "type": "log" if log else "linear"},
        "yaxis": {"title": {"text": up}, "type": "log" if log_up else "linear"},
    }
    if log:
        layout["xaxis"]["dtick"] = 1
    return Figure(name=name, title=title, caption=caption, data=traces, layout=layout, height=380)


def bars(
    name: str, title: str, caption: str, groups: Mapping[str, Mapping[str, float]], up: str, *, log: bool = False
) -> Figure:
    """Return a figure of bars, side by side.

    Args:
        name: identifier in the page.
        title: heading.
        caption: how to read it.
        groups: heights by what stands on the axis, by the label of each colour.
        up: title of the y axis.
        log: whether the y axis is logarithmic.
    """
    traces = [
        {
            "type": "bar",
            "name": label,
            "x": list(own),
            "y": [float(value) for value in own.values()],
            "marker": {"color": SERIES[index % len(SERIES)]},
        }
        for index, (label, own) in enumerate(groups.items())
    ]
    layout: dict[str, Any] = {
        "barmode": "group",
        "xaxis": {"type": "category"},
        "yaxis": {"title": {"text": up}, "type": "log" if log else "linear"},
    }
    return Figure(name=name, title=title, caption=caption, data=traces, layout=layout, height=380)
