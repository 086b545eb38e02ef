"""The figure of a pulse fit: ramps with the model, changes by state, laws compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from devicekit.common.engineering import prefix_of
from devicekit.common.figure_style import BLUE, GREY, INK, ORANGE, STYLE
from devicekit.pulses.pulse_values import PulseValues

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
MOST_RAMPS = 40


def plot_pulses(fit: PulseValues) -> tuple[Figure, dict[str, Axes]]:
    """Return the figure of a pulse fit and its axes by name.

    ``up`` and ``down``, where measured, have the ramps with the model; ``changes`` the change of a pulse by state;
    ``comparison`` the laws.

    Args:
        fit: a fitted update.
    """
    import matplotlib
    from matplotlib.figure import Figure

    sides = [side for side, there in (("up", fit.model.up), ("down", fit.model.down)) if there is not None]
    prefix, size = prefix_of(fit.model.g_max) if fit.data.unit else ("", 1.0)
    unit = f"{prefix}{fit.data.unit}" or "own unit"
    with matplotlib.rc_context(STYLE):
        page = Figure(figsize=(11.0, 7.4), layout="constrained")
        grid = page.add_gridspec(2, 2)
        axes = {side: page.add_subplot(grid[0, index]) for index, side in enumerate(sides)}
        axes["changes"] = page.add_subplot(grid[1, 0] if len(sides) == 2 else grid[0, 1])
        axes["comparison"] = page.add_subplot(grid[1, 1] if len(sides) == 2 else grid[1, :])
        for side in sides:
            _ramps(fit, axes[side], side, size, unit)
        _changes(fit, axes["changes"], sides, size, unit)
        _comparison(fit, axes["comparison"])
        page.suptitle(
            f"{fit.data.place.rsplit('/', 1)[-1]}: {fit.model.law.replace('_', ' ')}", x=0.01, ha="left", fontsize=12,
            fontweight="bold", color=INK,
        )  # fmt: skip
    return page, axes


def _ramps(fit: PulseValues, axis: Axes, side: str, size: float, unit: str) -> None:
    """Draw the ramps of one direction, the mean of the model, and the band of 95 % of readings."""
    rows = np.flatnonzero(fit.data.up == (side == "up"))
    shown = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_RAMPS)).round().astype(int))]
    for row in shown:
        axis.plot(fit.data.conductance[row] / size, color=GREY, lw=0.8, alpha=0.7)
    ramps = fit.data.conductance[rows]
    pulses = int(np.max(np.sum(np.isfinite(ramps), axis=1))) - 1
    early = float(np.mean(ramps[:, 0]))
    start = np.clip(early, fit.model.g_min, fit.model.g_max)
    mean = fit.model.ramp(start, pulses, side == "up")
    many = fit.model.ramp(np.full(400, start), pulses, side == "up", seed=0)
    low, high = np.quantile(many, [0.025, 0.975], axis=0)
    x = np.arange(pulses + 1)
    axis.fill_between(x, low / size, high / size, color=BLUE, alpha=0.18, lw=0, label="95 % of readings, mean device")
    axis.plot(x, mean / size, color=BLUE, lw=1.8, label="model")
    axis.plot(
        [], [], color=GREY, lw=0.8, label=f"{len(rows)} ramps" + ("" if len(shown) == len(rows) else ", some shown")
    )
    axis.set_xlabel(f"{side} pulses")
    axis.set_ylabel(f"conductance [{unit}]")
    axis.set_title(f"{side.capitalize()} pulses")
    axis.legend(loc="best")


def _changes(fit: PulseValues, axis: Axes, sides: list[str], size: float, unit: str) -> None:
    """Draw the mean change of a pulse against the conductance, measured in tenths of the range and by the model."""
    grid = np.linspace(fit.model.g_min, fit.model.g_max, 201)
    axis.axhline(0, color=GREY, lw=0.8)
    for side, color in zip(sides, (BLUE, ORANGE), strict=False):
        up = side == "up"
        change = fit.model.change(grid, up)
        noise = fit.model.noise(grid, up)
        axis.fill_between(grid / size, (change - noise) / size, (change + noise) / size, color=color, alpha=0.15, lw=0)
        axis.plot(grid / size, change / size, color=color, lw=1.6, label=f"{side}, model (band: one pulse)")
        middle, mean, error = measured_changes(fit, up)
        axis.errorbar(
            middle / size, mean / size, error / size, fmt="o", ms=4, lw=1, color=color, label=f"{side}, ramps"
        )
    axis.set_xlabel(f"conductance [{unit}]")
    axis.set_ylabel(f"change by a pulse [{unit}]")
    axis.set_title("Change of a pulse by state")
    axis.legend(loc="best", ncols=2)


def measured_changes(fit: PulseValues, up: bool, bins: int = 10) -> tuple[Floats, Floats, Floats]:
    """Return the mean change of a pulse by tenths of the range: middles, means, standard errors.

    A ramp's reading is sorted by the mean of the readings around it, not by itself: its own noise would make low
    readings rise and high ones fall.

    Args:
        fit: a fitted update.
        up: direction.
        bins: how many parts of the range.
    """
    from scipy import ndimage

    states, changes = [], []
    for ramp in fit.data.conductance[fit.data.up == up]:
        values = ramp[np.isfinite(ramp)]
        window = max(len(values) // 15, 1) | 1
        smooth = ndimage.uniform_filter1d(values, window, mode="nearest")
        # Half a window at both ends has no neighbours to be averaged with.
        smooth = smooth[window // 2 : len(smooth) - window // 2]
        states.append(0.5 * (smooth[1:] + smooth[:-1]))
        changes.append(np.diff(smooth))
    state, change = np.concatenate(states), np.concatenate(changes)
    edges = np.linspace(state.min(), state.max(), bins + 1)
    code = np.clip(np.searchsorted(edges, state, side="right") - 1, 0, bins - 1)
    count = np.bincount(code, minlength=bins)
    keep = count >= 3
    mean = np.bincount(code, change, minlength=bins)[keep] / count[keep]
    square = np.bincount(code, change**2, minlength=bins)[keep] / count[keep]
    error = np.sqrt(np.maximum(square - mean**2, 0.0) / (count[keep] - 1))
    return 0.5 * (edges[1:] + edges[:-1])[keep], mean, error


def _comparison(fit: PulseValues, axis: Axes) -> None:
    table = fit.comparison
    place = np.arange(len(table))[::-1]
    delta = table["delta_bic"].to_numpy()
    cut = 1000.0
    colors = {"chosen": BLUE, "cannot tell apart": "#63a4e0", "worse": "#d3dae1"}
    axis.barh(place, np.clip(delta, 0.02, cut), color=[colors[v] for v in table["verdict"]], height=0.66)
    for y, value, verdict in zip(place, delta, table["verdict"], strict=True):
        text = "chosen" if verdict == "chosen" else f"+{value:,.1f}" + (", " + verdict if verdict != "worse" else "")
        axis.annotate(
            text, (min(max(value, 0.02), cut), y), (4, 0), textcoords="offset points", va="center", fontsize=8
        )
    axis.set_yticks(
        place,
        [f"{row.law.replace('_', ' ')}, {row.noise} ({row.parameters})" for row in table.itertuples()],
    )
    axis.set_xscale("symlog", linthresh=2.0, linscale=0.6)
    axis.set_xlim(0, cut * 12)
    axis.axvline(2, color=GREY, lw=0.8, ls=":")
    axis.set_xlabel("BIC above the best (log scale beyond 2)")
    axis.set_title("Laws by BIC, parameters in brackets")
    axis.tick_params(axis="y", length=0)
