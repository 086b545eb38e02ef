"""What a figure of the page is: plain plotly traces and layout.

Colours are written as ``@name`` and replaced in the browser by the page's style, so that one description serves the
light and the dark page.
"""

from __future__ import annotations

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
