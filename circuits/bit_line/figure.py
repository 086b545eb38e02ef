"""The figure of the bit-line envelope: up to how many rows each model may be trusted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from circuits.bit_line.line_errors import LIMIT_LSB, envelope
from circuits.errors import CircuitError

COLOURS = {"ideal": "#9a9a9a", "resistor": "#c8553d", "affine": "#2f6690", "relinearised": "#3a7d44"}
LABELS = {
    "ideal": "wires without resistance",
    "resistor": "cells as resistors",
    "affine": "affine cells",
    "relinearised": "re-linearised once",
}
MARKERS = {"ideal": "s", "resistor": "o", "affine": "^", "relinearised": "D"}


def plot_envelope(errors: pd.DataFrame, limit_lsb: float = LIMIT_LSB, *, gain_removed: bool = False) -> tuple[Any, Any]:
    """Return a figure of the most rows at which each model stays below the limit, against wire resistance.

    One panel for each mean conductance (across) and input activity (down). A triangle at the upper edge stands for a
    model that holds at every size of the map, one at the lower edge for a model that fails at the smallest.

    Args:
        errors: of `error_map`.
        limit_lsb: largest error allowed [LSB].
        gain_removed: after the best-fit gain is removed.

    Returns:
        Figure and array of axes, shape (activities, conductances).

    Raises:
        CircuitError: the map is empty.
    """
    from matplotlib.figure import Figure

    if errors.empty:
        raise CircuitError("An empty error map has no envelope to draw.")
    table = envelope(errors, limit_lsb)
    table["most"] = table["max_rows_gain_removed" if gain_removed else "max_rows"]
    conductances, activities = sorted(table["mean_conductance"].unique()), sorted(table["activity"].unique())
    sizes = sorted(errors["rows"].unique())
    size_inches = (max(7.6, 1.2 + 3.2 * len(conductances)), 2.0 + 2.7 * len(activities))
    figure = Figure(figsize=size_inches, layout="constrained")
    axes = figure.subplots(len(activities), len(conductances), sharex=True, sharey=True, squeeze=False)
    for (row, column), panel in np.ndenumerate(axes):
        chosen = (table["mean_conductance"] == conductances[column]) & (table["activity"] == activities[row])
        for model, line in table[chosen].groupby("model", sort=False):
            _draw_line(panel, str(model), line, sizes)
        panel.set_xscale("log")
        panel.set_yscale("log", base=2)
        panel.set_ylim(sizes[0] / 1.25, sizes[-1] * 1.25)
        panel.set_yticks(sizes, [str(size) for size in sizes])
        panel.minorticks_off()
        panel.tick_params(labelsize=8.5)
        panel.grid(color="#e6e6e6", linewidth=0.7)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_title(f"mean conductance {conductances[column]:g}, {activities[row]:.0%} of rows on", fontsize=8.5)
    for panel in axes[-1]:
        panel.set_xlabel(r"wire resistance $\hat R_p$ [least cell resistance]", fontsize=8.5)
    for panel in axes[:, 0]:
        panel.set_ylabel("rows of the array")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=8.5)
    what = "after the best-fit gain is removed" if gain_removed else "as converted"
    figure.suptitle(f"Rows up to which a bit-line model stays below {limit_lsb:g} LSB, {what}", fontsize=11)
    return figure, axes


def _draw_line(panel: Any, model: str, line: pd.DataFrame, sizes: list[int]) -> None:
    line = line.sort_values("r_p_hat")
    wire, rows = line["r_p_hat"].to_numpy(), line["most"].to_numpy(dtype=np.float64)
    shown = np.clip(rows, sizes[0], sizes[-1])
    colour = COLOURS.get(model, "black")
    panel.plot(wire, shown, color=colour, linewidth=1.6, label=LABELS.get(model, model), zorder=2)
    inside = (rows >= sizes[0]) & np.isfinite(rows)
    marker = {"color": colour, "linestyle": "none", "zorder": 3, "markeredgecolor": "white"}
    panel.plot(wire[inside], shown[inside], marker=MARKERS.get(model, "o"), markersize=5, **marker)
    panel.plot(wire[np.isinf(rows)], shown[np.isinf(rows)], marker="^", markersize=8, **marker)
    panel.plot(wire[rows < sizes[0]], shown[rows < sizes[0]], marker="v", markersize=8, **marker)
