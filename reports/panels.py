"""Figures of commands as files: single panels as wide as a column of a journal, in the colours of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from devicekit import Cell
from devicekit.common.figure_files import save_figure
from devicekit.common.figure_style import GREY, INK, STYLE
from devicekit.common.paths import replacing
from reports.errors import StudyError
from reports.figure import Figure
from reports.metric import ShownMetric
from reports.results import Values, interval_of
from reports.sweeps.front import on_front

WIDTH = 3.4
"""Of a panel [inch]: a column of a journal, 86 mm."""
HEIGHT = 2.6
COLOURS = ("#1f5c99", "#c8501e", "#2b8a5f", "#8b4fa8", "#b8860b", "#2a9db0", "#b43a63", "#6b7f2a")
"""Those of the page, in the same order."""
FORMS = (".png", ".svg", ".pdf")
_SMALL: dict[Any, Any] = {
    "font.size": 7.5,
    "axes.titlesize": 8,
    "legend.fontsize": 6.5,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.2,
}


def check_name(path: Path, option: str = "--figure") -> None:
    """Refuse a file of a kind that panels are not written as, before anything slow is done.

    Args:
        path: the file.
        option: what gave it.

    Raises:
        StudyError: another ending than `FORMS`.
    """
    if path.suffix.lower() not in FORMS:
        raise StudyError(f"Expected {option} to be a .png, .svg or .pdf, but got {path.name!r}.")


def save(figure: Any, path: Path) -> Path:
    """Write a panel, whole or not at all; the same panel gives the same bytes.

    Args:
        figure: of matplotlib.
        path: ends in one of `FORMS`.

    Returns:
        The path.
    """
    with replacing(path) as temporary:
        save_figure(figure, temporary, dpi=300)
    return path


def _panel(height: float = HEIGHT) -> tuple[Any, Any]:
    import matplotlib as mpl
    from matplotlib.figure import Figure as Drawing

    with mpl.rc_context({**STYLE, **_SMALL}):
        figure = Drawing(figsize=(WIDTH, height), layout="constrained")
        return figure, figure.subplots()


def accuracy_panel(rows: Sequence[Values], metric: ShownMetric) -> tuple[Any, Any]:
    """Return the trials of designs beside their ideal cells and the float network.

    Args:
        rows: one a design, with ``design`` and what `Accuracy.to_dict` gives.
        metric: what was counted.
    """
    figure, axis = _panel(max(HEIGHT, 0.7 + 0.28 * len(rows)))
    scale = metric.scaled(1.0)
    for place, row in enumerate(rows):
        trials = scale * np.asarray(row["per_trial"], dtype=np.float64)
        axis.plot(trials, np.full(trials.size, place), "o", ms=3, mfc="none", mew=0.7, color=COLOURS[0])
        axis.plot([trials.mean()] * 2, [place - 0.25, place + 0.25], color=COLOURS[0])
        axis.plot(scale * row["ideal"], place, "d", ms=4, color=COLOURS[2])
    axis.axvline(scale * rows[0]["baseline"], color=GREY, lw=0.9, ls="--")
    axis.set_yticks(range(len(rows)), [row["design"] for row in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlabel(metric.heading(metric.title))
    handles = [
        axis.plot([], [], "o", ms=3, mfc="none", mew=0.7, color=COLOURS[0], label="trials, line: mean")[0],
        axis.plot([], [], "d", ms=4, color=COLOURS[2], ls="none", label="ideal cells")[0],
        axis.plot([], [], color=GREY, lw=0.9, ls="--", label="float network")[0],
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=6.5)
    return figure, axis


def cells_panel(cells: Mapping[str, Cell]) -> tuple[Any, Any]:
    """Return the spread of cells against what they are programmed to, both over full scale.

    Args:
        cells: by name.
    """
    figure, axis = _panel()
    for number, (name, cell) in enumerate(cells.items()):
        target = np.linspace(0.0, cell.i_max, 201)
        spread = np.asarray(cell.sigma(target)) / cell.i_max
        axis.plot(100 * target / cell.i_max, 100 * spread, color=COLOURS[number % len(COLOURS)], label=name)
    axis.set_xlabel("programmed current [% of I_max]")
    axis.set_ylabel("spread [% of I_max]")
    axis.set_xlim(0, 100)
    axis.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=1 if len(cells) < 3 else 2, frameon=False, fontsize=6.5)
    return figure, axis


def front_panel(rows: Sequence[Values], names: Sequence[str]) -> tuple[Any, Any]:
    """Return energy against area of cores with their 95 % intervals, and the front that no core beats.

    Args:
        rows: one a core, with ``energy_fj_per_op`` and ``area_mm2`` and the ends of their intervals.
        names: of the cores.
    """
    figure, axis = _panel()
    values = np.array([[row["area_mm2"], row["energy_fj_per_op"]] for row in rows], dtype=np.float64)
    best = on_front(values)
    for place, (row, name) in enumerate(zip(rows, names, strict=True)):
        colour = COLOURS[0] if best[place] else GREY
        bars = []
        for column, value in zip(("area_mm2", "energy_fj_per_op"), values[place], strict=True):
            low, high = interval_of(row, column) or (value, value)
            bars.append([[max(value - low, 0.0)], [max(high - value, 0.0)]])
        axis.errorbar(*values[place], xerr=bars[0], yerr=bars[1], fmt="o", ms=3.5, lw=0.7, color=colour)
        axis.annotate(name, values[place], xytext=(4, 3), textcoords="offset points", fontsize=6.5, color=INK)
    line = values[best][np.argsort(values[best][:, 0])]
    axis.step(line[:, 0], line[:, 1], where="post", color=COLOURS[0], lw=0.8, zorder=0)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("area of a core [mm²]")
    axis.set_ylabel("energy [fJ/op]")
    return figure, axis


def page_panel(shown: Figure) -> tuple[Any, Any]:
    """Return a figure of the page as a panel: lines, points and bars with its axes.

    Args:
        shown: as the page has it.

    Raises:
        StudyError: traces of another kind.
    """
    figure, axis = _panel()
    bars = [trace for trace in shown.data if trace["type"] == "bar"]
    words = list(dict.fromkeys(str(name) for trace in bars for name in trace["x"]))
    for trace in shown.data:
        colour = _colour(trace)
        label = trace.get("name", "")
        if trace["type"] == "bar":
            width = 0.8 / len(bars)
            shift = (bars.index(trace) - (len(bars) - 1) / 2) * width
            places = [words.index(str(name)) + shift for name in trace["x"]]
            axis.bar(places, trace["y"], width, color=colour, label=label)
            _error_bars(axis, places, trace, INK)
        elif trace["type"] == "scatter":
            mode = trace.get("mode", "lines")
            line, marker = "-" if "lines" in mode else "none", "o" if "markers" in mode else None
            axis.plot(trace["x"], trace["y"], ls=line, marker=marker, ms=3, color=colour, label=label)
            _error_bars(axis, trace["x"], trace, colour)
        else:
            raise StudyError(f"The figure {shown.name!r} has traces of type {trace['type']!r}, which no panel draws.")
    if words:
        axis.set_xticks(range(len(words)), words, rotation=30 if len(words) > 4 else 0)
    for side in ("x", "y"):
        own = shown.layout.get(f"{side}axis", {})
        if own.get("type") == "log":
            getattr(axis, f"set_{side}scale")("log")
        if "tickvals" in own:
            _ticks(axis, side, own)
        title = own.get("title", {})
        getattr(axis, f"set_{side}label")(title.get("text", "") if isinstance(title, dict) else str(title))
    axis.set_title(shown.title, loc="left", wrap=True)
    if sum(bool(trace.get("name")) for trace in shown.data) > 1:
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=6.5)
    return figure, axis


def _error_bars(axis: Any, places: Sequence[float], trace: Mapping[str, Any], colour: str) -> None:
    """Draw the error bars of a trace; an end that it does not have is as long as nothing."""
    own = trace.get("error_y")
    if own:
        ends = [[0.0 if end is None else end for end in own[side]] for side in ("arrayminus", "array")]
        axis.errorbar(places, trace["y"], ends, fmt="none", ecolor=colour, elinewidth=0.8, capsize=1.5)


def _ticks(axis: Any, side: str, own: Mapping[str, Any]) -> None:
    """Put the ticks of a page's axis where they lie in the range that is shown."""
    low, high = getattr(axis, f"get_{side}lim")()
    inside = [
        (value, text) for value, text in zip(own["tickvals"], own["ticktext"], strict=True) if low <= value <= high
    ]
    getattr(axis, f"set_{side}ticks")(*map(list, zip(*inside, strict=True)))
    getattr(axis, f"set_{side}ticks")([], minor=True)


def _colour(trace: Mapping[str, Any]) -> str:
    """Return the colour that the page's style has for a trace in the light."""
    for part in ("line", "marker"):
        name = trace.get(part, {}).get("color")
        if isinstance(name, str):
            known = name.removeprefix("@series")
            return COLOURS[int(known)] if known.isdigit() and int(known) < len(COLOURS) else INK
    return INK
