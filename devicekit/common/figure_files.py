"""Figures as files: the same figure gives the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TIME_OF_MAKING = {".svg": "Date", ".pdf": "CreationDate"}


def save_figure(figure: Figure, path: Path, dpi: float = 150) -> None:
    """Write a figure without its time of making and without random names inside, so that a rerun gives the same file.

    Args:
        figure: a figure of matplotlib.
        path: a file of a kind that matplotlib knows by its ending.
        dpi: pixels per inch of what is drawn as pixels.
    """
    import matplotlib as mpl

    key = _TIME_OF_MAKING.get(path.suffix.lower())
    with mpl.rc_context({"svg.hashsalt": "devicekit"}):
        figure.savefig(path, dpi=dpi, metadata={key: None} if key else None)
