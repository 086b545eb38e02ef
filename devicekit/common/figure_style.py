"""Colours and style of the figures of devices."""

from __future__ import annotations

from typing import Any

INK, BLUE, ORANGE, GREY = "#1f2933", "#2b6cb0", "#d9730d", "#9aa5b1"

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": "white",
}
