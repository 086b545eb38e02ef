"""What a figure of the page is: plain plotly traces and layout.

Colours are written as ``@name`` and replaced in the browser by the page's style, so that one description serves the
light and the dark page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SERIES = ("@series0", "@series1", "@series2", "@series3", "@series4", "@series5", "@series6", "@series7")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of the page.

    Attributes:
        name: identifier in the page.
        title: what the figure shows, as a heading.
        caption: how to read it, as sentences.
        data: plotly traces.
        layout: plotly layout, without fonts and colours of the frame.
        height: height on the page [px].
    """

    name: str
    title: str
    caption: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    height: int = 420


def decade_ticks(low: float, high: float) -> dict[str, Any]:
    """Return where a logarithmic axis has numbers: at decades, and at 2 and 5 times these if it spans at most two.

    Args:
        low: lowest value of the axis.
        high: highest.

    Returns:
        Entries of a Plotly axis.
    """
    # Fewer than two decades may hold a single power of ten, which is no scale.
    if high > 100 * low:
        return {"dtick": 1}
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    values = [digit * 10.0**power for power in range(first, last + 1) for digit in (1, 2, 5)]
    return {"tickvals": values, "ticktext": [f"{value:g}" for value in values]}


def error_bars(
    values: Sequence[float], lows: Sequence[float | None], highs: Sequence[float | None], colour: str
) -> dict[str, Any]:
    """Return Plotly error bars between bounds.

    Args:
        values: what the bars stand on.
        lows: lower bound of each; None where there is none.
        highs: upper bound of each; None where there is none.
        colour: of the bars.
    """

    def lengths(signed: int, ends: Sequence[float | None]) -> list[float | None]:
        # A bound may lie on the wrong side by rounding, which Plotly would draw as a bar the other way.
        return [
            None if end is None else max(signed * (end - value), 0.0) for value, end in zip(values, ends, strict=True)
        ]

    return {
        "type": "data",
        "symmetric": False,
        "array": lengths(1, highs),
        "arrayminus": lengths(-1, lows),
        "color": colour,
        "thickness": 1.4,
        "width": 4,
    }
