"""Panels of a device fit: each draws one thing into an axis, on the page of figures or alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from devicekit.cells.retention_laws import RetentionLaw
from devicekit.common.engineering import duration, prefix_of
from devicekit.common.figure_style import BLUE, GREY, INK, ORANGE
from devicekit.fits.fit_values import FitValues
from devicekit.fits.outliers import fitted_columns
from devicekit.statistics.state_statistics import StateSample

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
MOST_STATES = 32
"""States that a panel of distributions shows."""


@dataclass(frozen=True)
class Unit:
    """The unit currents are drawn in: what one of them is [A], and its prefix."""

    size: float
    prefix: str


def unit_of(fit: FitValues) -> Unit:
    """Return the unit of a fit's currents: nA up to 10 uA, and so on."""
    prefix, size = prefix_of(fit.cell.i_max)
    if fit.cell.i_max / size < 10:
        prefix, size = prefix_of(fit.cell.i_max / 1000)
    return Unit(size, prefix)


def histograms(fit: FitValues, axis: Axes, unit: Unit) -> None:
    """Draw the histogram of every state with its fitted normal, scaled to a peak of 1; no bar is cut."""
    table, sample = fitted_columns(fit.table), fit.states.sample
    colors = _colors("viridis", len(table), 0.88)
    shown = _shown(len(table))
    tallest, ends = 1.0, []
    for index in shown:
        mean, spread = (float(table[key].iloc[index]) for key in ("mean", "sigma"))
        if isinstance(sample, StateSample):
            values = sample.of(int(index))
            edges = _edges(values, fit.recording.step)
            counts = np.histogram(values, edges)[0].astype(float)
            low, high = edges[:-1], edges[1:]
        else:
            rows = (sample.codes == index) & (sample.count > 0)
            low, high, counts = sample.low[rows], sample.high[rows], sample.count[rows]
        cells = counts.sum() if isinstance(sample, StateSample) else float(sample.counts[index])
        height = counts / cells / (high - low) * np.sqrt(2 * np.pi) * spread
        axis.bar(low / unit.size, height, (high - low) / unit.size, align="edge", color=colors[index], alpha=0.45, lw=0)
        grid = np.linspace(mean - 4 * spread, mean + 4 * spread, 121)
        axis.plot(grid / unit.size, np.exp(-0.5 * ((grid - mean) / spread) ** 2), color=colors[index], lw=1.2)
        tallest = max(tallest, float(height.max(initial=0.0)))
        ends += [float(low[counts > 0].min()), float(high[counts > 0].max())]
    axis.set_ylim(0, 1.06 * tallest)
    reach = 5 * table["sigma"]
    left, right = float((table["mean"] - reach).min()), float((table["mean"] + reach).max())
    # Every bar is in the frame, unless a few cells far out would leave nothing to see of the others.
    span = right - left
    outside = [end for end in ends if not left - 2 * span <= end <= right + 2 * span]
    if not outside:
        left, right = min(left, *ends), max(right, *ends)
    elif isinstance(sample, StateSample):
        beyond = int(np.sum((sample.values < left) | (sample.values > right)))
        axis.annotate(f"{beyond} cells outside", (0.995, 0.93), xycoords="axes fraction", ha="right", fontsize=8)
    axis.set_xlim(left / unit.size, right / unit.size)
    axis.set_xlabel(f"read current [{unit.prefix}A]")
    axis.set_ylabel("cells, fitted peak = 1")
    some = "" if len(shown) == len(table) else f", {len(shown)} of them shown"
    axis.set_title(f"{len(table)} programmed states{some}: {int(fit.table['n'].sum()):,} cells and fitted normals")


def _shown(states: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, states - 1, min(states, MOST_STATES)).astype(int))


def _colors(name: str, count: int, most: float) -> Floats:
    import matplotlib

    return np.asarray(matplotlib.colormaps[name](np.linspace(0.0, most, count)), dtype=np.float64)


def _edges(values: Floats, step: float | None) -> Floats:
    """Return bin edges [A] with the width of Freedman & Diaconis (1981), which tails do not coarsen.

    Rounded values get whole steps, so that no bin holds more steps than its neighbour.
    """
    low, high = np.quantile(values, [0.25, 0.75])
    width = 2.0 * (high - low) / len(values) ** (1 / 3)
    span = float(values[-1] - values[0])
    if step is not None:
        bin_width = step * max(round(float(width) / step), 1)
        bins = int(np.ceil((span + step) / bin_width - 1e-9))
        return np.asarray(values[0] - 0.5 * step + bin_width * np.arange(bins + 1), dtype=np.float64)
    return np.linspace(values[0], values[-1], int(np.clip(span / max(width, span / 200.0), 5, 200)) + 1)


def sigma(fit: FitValues, axis: Axes, unit: Unit) -> None:
    """Draw the measured spreads with the law and its bands."""
    table = fitted_columns(fit.table)
    target = table["target"].to_numpy()
    grid = np.linspace(0, max(fit.cell.i_max, float(target.max())), 400)
    grid = grid[grid >= 0.3 * target.min()]
    model = fit.fit.model.sigma(grid, fit.cell.i_max)
    low, high = fit.band(grid, cells=float(np.median(table["dof"])) + 1.0)
    x = grid / unit.size
    axis.fill_between(x, low / unit.size, high / unit.size, color=BLUE, alpha=0.10, lw=0, label="95 % of new spreads")
    low, high = fit.band(grid)
    axis.fill_between(x, low / unit.size, high / unit.size, color=BLUE, alpha=0.28, lw=0, label="95 % of the law")
    axis.plot(x, model / unit.size, color=BLUE, lw=1.8, label=fit.model.replace("_", " "))
    for name in fit.alternatives[:2]:
        other = fit.fits[name].model.sigma(grid, fit.cell.i_max)
        axis.plot(x, other / unit.size, color=GREY, lw=1.2, ls="--", label=f"{name.replace('_', ' ')} (as good)")
    has_body = "body_sigma" in fit.table
    if has_body:
        axis.plot(
            target / unit.size, fit.table["sigma"] / unit.size, "o", ms=4, mfc="none", mec=GREY, label="with the tail"
        )
    axis.errorbar(
        target / unit.size, table["sigma"] / unit.size, table["sigma_stderr"] / unit.size, fmt="o", ms=4,
        color=ORANGE, lw=1, label="cells without the tail" if has_body else "cells", zorder=3,
    )  # fmt: skip
    has_levels = "cycle_sigma" in fit.table
    if has_levels:
        axis.plot(target / unit.size, fit.table["cell_sigma"] / unit.size, "^", ms=4, color=INK, label="cell to cell")
        axis.plot(
            target / unit.size, fit.table["cycle_sigma"] / unit.size, "v", ms=4, color=GREY, label="cycle to cycle"
        )
    highest = float((table["sigma"] + 2 * table["sigma_stderr"]).max()) / unit.size
    # Two levels fill the panel from top to bottom; the legend gets room above them.
    axis.set_ylim(0, (1.7 if has_levels else 1.12) * max(highest, float(model.max()) / unit.size))
    axis.set_xlabel(f"programmed current [{unit.prefix}A]")
    axis.set_ylabel(f"spread sigma [{unit.prefix}A]")
    axis.set_title("Spread against the programmed current")
    axis.legend(loc="upper left" if has_levels else "best", ncols=2 if has_levels else 1)


def residuals(fit: FitValues, axis: Axes, unit: Unit) -> None:
    """Draw the deviance residuals of the spreads."""
    table = fit.table
    axis.axhspan(-2, 2, color=GREY, alpha=0.15, lw=0)
    axis.axhline(0, color=GREY, lw=0.8)
    axis.vlines(table["target"] / unit.size, 0, table["residual"], color=ORANGE, lw=1)
    axis.plot(table["target"] / unit.size, table["residual"], "o", ms=4, color=ORANGE)
    reach = max(3.0, 1.15 * float(table["residual"].abs().max()))
    axis.set_ylim(-reach, reach)
    axis.set_xlabel(f"programmed current [{unit.prefix}A]")
    axis.set_ylabel("residual")
    p = fit.fit.goodness
    axis.set_title("Deviance residuals" + (f" (goodness of fit p = {p:.2g})" if np.isfinite(p) else ""))


def comparison(fit: FitValues, axis: Axes, unit: Unit) -> None:
    """Draw the criterion of every model above the best."""
    del unit
    table = fit.comparison
    delta = table[f"delta_{fit.criterion}"].to_numpy()
    place = np.arange(len(table))[::-1]
    cut = 1000.0
    colors = {"chosen": BLUE, "cannot tell apart": "#63a4e0", "worse": "#d3dae1"}
    axis.barh(place, np.minimum(np.maximum(delta, 0.02), cut), color=[colors[v] for v in table["verdict"]], height=0.66)
    label = fit.criterion.upper().replace("AICC", "AICc")
    for y, verdict, value in zip(place, table["verdict"], delta, strict=True):
        large = f"+{value:,.1f}" if value < 1e5 else f"+{value:.2g}"
        text = {"chosen": "chosen", "cannot tell apart": f"+{value:.1f}, cannot tell apart"}.get(str(verdict), large)
        axis.annotate(
            text, (min(max(value, 0.02), cut), y), (4, 0), textcoords="offset points", va="center", fontsize=8
        )
    axis.set_yticks(
        place, [f"{str(n).replace('_', ' ')} ({int(k)})" for n, k in zip(table.index, table["parameters"], strict=True)]
    )
    axis.set_xscale("symlog", linthresh=2.0, linscale=0.6)
    axis.set_xlim(0, cut * 12)
    axis.axvline(2, color=GREY, lw=0.8, ls=":")
    axis.set_xlabel(f"{label} above the best (log scale beyond 2)")
    axis.set_title(f"Models by {label}, number of parameters in brackets")
    axis.tick_params(axis="y", length=0)


def probability(fit: FitValues, axis: Axes, unit: Unit) -> None:
    """Draw the cells of every state on normal paper: quantile of its rank against deviation in spreads."""
    del unit
    table, sample = fitted_columns(fit.table), fit.states.sample
    colors = _colors("viridis", len(table), 0.88)
    for index in _shown(len(table)):
        mean, spread = (float(table[key].iloc[index]) for key in ("mean", "sigma"))
        if isinstance(sample, StateSample):
            values = sample.of(int(index))
            share = (np.arange(len(values)) + 0.5) / len(values)
        else:
            rows = sample.codes == index
            values, share = sample.high[rows], np.cumsum(sample.count[rows]) / sample.count[rows].sum()
            inside = (share > 0) & (share < 1) & np.isfinite(values)
            values, share = values[inside], share[inside]
        axis.plot((values - mean) / spread, stats.norm.ppf(share), "-o", ms=2, lw=0.6, color=colors[index], alpha=0.8)
    reach = 1.1 * max(abs(edge) for edge in axis.get_ylim())
    axis.plot([-reach, reach], [-reach, reach], color=INK, lw=0.9, ls="--", zorder=3)
    ticks = np.array([0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999])
    places = stats.norm.ppf(ticks)
    axis.set_yticks(places, [f"{100 * tick:g}" for tick in ticks])
    axis.set_ylim(-reach, reach)
    axis.set_xlabel("(read current - mean) / spread")
    axis.set_ylabel("cells below [%]")
    axis.set_title("Cells on normal-probability paper")


def mean_error(fit: FitValues, axis: Axes, unit: Unit) -> None:
    """Draw the mean error of every state, at all times."""
    axis.axhline(0, color=GREY, lw=0.8)
    sets = [(fit.cell.retention.start if fit.cell.retention else None, fitted_columns(fit.table))]
    sets += [(later.time, fitted_columns(later.states.table)) for later in fit.later]
    colors = _colors("plasma", len(sets), 0.8) if len(sets) > 1 else [BLUE]
    worst = max(float(rows["mean_error"].abs().max()) for _, rows in sets)
    small = prefix_of(worst)
    for (time, rows), color in zip(sets, colors, strict=True):
        label = None if time is None else f"after {duration(time)}"
        axis.errorbar(
            rows["target"] / unit.size, rows["mean_error"] / small[1], rows["mean_stderr"] / small[1], fmt="o-", ms=3,
            lw=1, color=color, label=label,
        )  # fmt: skip
    axis.set_xlabel(f"programmed current [{unit.prefix}A]")
    axis.set_ylabel(f"mean - target [{small[0]}A]")
    axis.set_title("Mean error" if len(sets) == 1 else "Mean error against time")
    if len(sets) > 1:
        axis.legend(loc="best", ncols=2)


def retention(fit: FitValues, axis: Axes, unit: Unit) -> None:
    """Draw the mean of some states against the logarithm of time, with the law and its 95 % band."""
    del unit
    tables = [fitted_columns(fit.table), *(fitted_columns(later.states.table) for later in fit.later)]
    start = fit.cell.retention.start if fit.cell.retention else 0.0
    times = np.array([start, *(later.time for later in fit.later)])
    # A start of 0 has no place on a logarithmic axis; it stands a decade before the first time.
    shown = np.where(times > 0, times, 0.1 * times[times > 0][0])
    own = tables[0]
    targets = own["target"][own["mean"] > 5 * own["mean_stderr"]].to_numpy()
    targets = targets[np.unique(np.linspace(0, len(targets) - 1, min(5, len(targets))).round().astype(int))]
    law: RetentionLaw | None = next((found.law for found in fit.retention_laws.values()), None)
    grid = np.geomspace(shown[0], 10 * times[-1], 121)
    for target, color in zip(targets, _colors("viridis", len(targets), 0.85), strict=True):
        points = [
            (when, table.set_index("target").loc[target])
            for when, table in zip(shown, tables, strict=True)
            if target in table["target"].to_numpy()
        ]
        first = float(points[0][1]["mean"])
        ratio = np.array([row["mean"] / first for _, row in points])
        error = np.array([1.96 * row["mean_stderr"] / first for _, row in points])
        prefix, size = prefix_of(target)
        axis.errorbar(
            [when for when, _ in points], 100 * (ratio - 1), 100 * error, fmt="o", ms=4, lw=1, color=color,
            label=f"{target / size:.3g} {prefix}A",
        )  # fmt: skip
        if law is None:
            continue
        curve = np.array([float(law.mean_ratio(target, time)) for time in grid])
        ends = np.array([[float(end) for end in law.mean_ratio_interval(target, time)] for time in grid])
        axis.plot(grid, 100 * (curve - 1), color=color, lw=1.3)
        axis.fill_between(grid, 100 * (ends[:, 0] - 1), 100 * (ends[:, 1] - 1), color=color, alpha=0.15, lw=0)
    axis.axvspan(times[-1], grid[-1], color=GREY, alpha=0.12, lw=0)
    axis.axhline(0, color=GREY, lw=0.8)
    axis.set_xscale("log")
    axis.set_xlim(0.8 * shown[0], grid[-1])
    if times[0] == 0:
        ticks = [shown[0], *(10.0 ** np.arange(np.ceil(np.log10(times[1])), np.floor(np.log10(grid[-1])) + 1))]
        axis.set_xticks(ticks, ["0", *(f"$10^{{{round(np.log10(tick))}}}$" for tick in ticks[1:])])
        axis.minorticks_off()
    axis.set_xlabel("time after programming [s]")
    axis.set_ylabel("change of the mean [%]")
    name = next(iter(fit.retention_laws), None)
    axis.set_title("Retention" + (f": {name.replace('_', '-')} law and 95 % band" if name else ""))
    axis.legend(loc="best", ncols=2)


def spread_time(fit: FitValues, axis: Axes, unit: Unit) -> None:
    """Draw the spreads and the law at every time."""
    table = fitted_columns(fit.table)
    grid = np.linspace(0.3 * float(table["target"].min()), float(table["target"].max()), 300)
    fits = [(fit.cell.retention.start if fit.cell.retention else 0.0, table, fit.fit)]
    fits += [(later.time, fitted_columns(later.states.table), later.fit) for later in fit.later]
    for (time, rows, own), color in zip(fits, _colors("plasma", len(fits), 0.8), strict=True):
        axis.plot(grid / unit.size, own.model.sigma(grid, fit.cell.i_max) / unit.size, color=color, lw=1.3)
        axis.plot(
            rows["target"] / unit.size, rows["sigma"] / unit.size, "o", ms=3, color=color,
            label=f"after {duration(time)}",
        )  # fmt: skip
    axis.set_xlabel(f"programmed current [{unit.prefix}A]")
    axis.set_ylabel(f"spread sigma [{unit.prefix}A]")
    axis.set_title("Spread against time")
    axis.legend(loc="best", ncols=2)


def bakes(fit: FitValues, axis: Axes, unit: Unit) -> None:
    """Draw the change after bakes with the activated loss."""
    del unit
    bake = fit.bake
    assert bake is not None
    celsius = bake.temperatures - 273.15
    axis.plot(celsius, 100 * bake.change, "o", ms=5, color=ORANGE, label="cells")
    axis.plot(celsius, 100 * bake.fitted, "-", lw=1.6, color=BLUE, label="floor and activated loss")
    axis.axhline(100 * bake.floor, color=GREY, lw=0.8, ls=":")
    axis.set_ylim(bottom=0)
    axis.set_xlabel("bake temperature [degC]")
    axis.set_ylabel("rms change [% of full scale]")
    axis.set_title(f"Bakes: activation energy {bake.activation_energy:.2f} +- {bake.stderr:.2f} eV")
    axis.legend(loc="best")


def read_noise(fit: FitValues, axis: Axes, unit: Unit) -> None:
    """Draw the read noise of cells against their current."""
    assert fit.read_noise is not None
    assert fit.read_noise_table is not None
    noise = fit.read_noise_table
    grid = np.linspace(0, float(noise["mean"].max()), 300)
    small = prefix_of(float(noise["sigma"].max()))
    axis.plot(grid / unit.size, fit.read_noise.model.sigma(grid, fit.cell.i_max) / small[1], color=BLUE, lw=1.6,
              label=fit.read_noise.name.replace("_", " "))  # fmt: skip
    axis.plot(noise["mean"] / unit.size, noise["sigma"] / small[1], "o", ms=4, color=ORANGE, label="within cells")
    axis.set_ylim(bottom=0)
    axis.set_xlabel(f"read current [{unit.prefix}A]")
    axis.set_ylabel(f"read noise [{small[0]}A]")
    axis.set_title("Read noise of a cell")
    axis.legend(loc="best")


def threshold(fit: FitValues, axis: Axes, unit: Unit) -> None:
    """Draw the spread of threshold voltage behind the spread of current, in subthreshold."""
    table = fitted_columns(fit.table)
    volts = table["threshold_sigma"] * 1e3
    axis.plot(table["target"] / unit.size, volts, "o", ms=4, color=ORANGE)
    model = fit.fit.model.sigma(table["target"].to_numpy(), fit.cell.i_max) / table["sigma"].to_numpy()
    axis.plot(table["target"] / unit.size, volts * model, color=BLUE, lw=1.6)
    axis.set_ylim(bottom=0)
    axis.set_xlabel(f"programmed current [{unit.prefix}A]")
    axis.set_ylabel("threshold spread [mV]")
    axis.set_title(f"Threshold spread (in subthreshold, eta = {fit.eta:g})")


Panel = Callable[[FitValues, "Axes", Unit], None]
PANELS: dict[str, Panel] = {
    "histograms": histograms,
    "sigma": sigma,
    "residuals": residuals,
    "comparison": comparison,
    "probability": probability,
    "mean_error": mean_error,
    "retention": retention,
    "spread_time": spread_time,
    "bakes": bakes,
    "read_noise": read_noise,
    "threshold": threshold,
}
"""Every panel by name."""


def available(fit: FitValues) -> list[str]:
    """Return the names of the panels that a fit has something to show in."""
    there = {
        "retention": bool(fit.later),
        "spread_time": bool(fit.later),
        "bakes": fit.bake is not None,
        "read_noise": fit.read_noise is not None,
        "threshold": fit.has_transistor,
    }
    return [name for name in PANELS if there.get(name, True)]
