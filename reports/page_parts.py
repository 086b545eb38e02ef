"""What every page is made with: its templates, and the part of Plotly that draws in it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

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
