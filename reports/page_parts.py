"""What every page is made with: its templates, and the part of Plotly that draws in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from reports.figure import Figure

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).resolve().parent / "templates"
PLOTLY_VERSION = "4.1.1"


def template_environment() -> Environment:
    """Return the environment of the templates: everything is escaped, and nothing may be undefined."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


@cache
def template_text(name: str) -> str:
    """Return the text of a file beside the templates.

    Args:
        name: of the file.
    """
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def plotly_source() -> str:
    """Return Plotly's basic bundle (points, lines and bars; MIT license): a quarter of the whole library."""
    return template_text("vendor/plotly-basic.min.js")


def figures_json(figures: Sequence[Figure]) -> str:
    """Return figures as the content of a script element, for ``page.js``.

    Args:
        figures: in the page's order.
    """
    content = [
        {"name": figure.name, "data": figure.data, "layout": figure.layout, "height": figure.height}
        for figure in figures
    ]
    # Inside a script element nothing may look like its end.
    return json.dumps(content, allow_nan=False).replace("<", "\\u003c")
