"""The page of figures of a device fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from devicekit.common.engineering import duration, prefix_of
from devicekit.fits.fit_values import FitValues
from devicekit.statistics.state_statistics import StateSample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
INK, BLUE, ORANGE, GREY = "#1f2933", "#2b6cb0", "#d9730d", "#9aa5b1"
_STYLE: dict[Any, Any] = {
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


def plot_fit(fit: FitValues) -> tuple[Figure, dict[str, Axes]]:
    """Return the page of figures of a fit, and its axes by name.

    Args:
        fit: a fitted device.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        page = Figure(figsize=(11.0, 11.2), layout="constrained")
        grid = page.add_gridspec(4, 2, height_ratios=(1.5, 1.5, 0.62, 1.15))
        axes = {
            "histograms": page.add_subplot(grid[0, :]),
            "sigma": page.add_subplot(grid[1, 0]),
            "residuals": page.add_subplot(grid[2, 0]),
            "comparison": page.add_subplot(grid[1:3, 1]),
            "mean_error": page.add_subplot(grid[3, 0]),
            "other": page.add_subplot(grid[3, 1]),
        }
        prefix, unit = prefix_of(fit.cell.i_max)
        if fit.cell.i_max / unit < 10:
            prefix, unit = prefix_of(fit.cell.i_max / 1000)
        _histograms(fit, axes["histograms"], unit, prefix)
        _sigma(fit, axes["sigma"], unit, prefix)
        axes["residuals"].sharex(axes["sigma"])
        _residuals(fit, axes["residuals"], unit, prefix)
        _comparison(fit, axes["comparison"])
        _mean_error(fit, axes["mean_error"], unit, prefix)
        _other(fit, axes["other"], unit, prefix)
        title = f"{fit.cell.name}: {fit.model.replace('_', ' ')}"
        kind = "" if fit.measurements.kind == "measured" else f"   ({fit.measurements.kind})"
        page.suptitle(title + kind, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    return page, axes


def _histograms(fit: FitValues, axis: Axes, unit: float, prefix: str) -> None:
    """Draw the histogram of every state with its fitted normal, scaled to a peak of 1."""
    import matplotlib

    table, sample = fit.table, fit.states.sample
    colors = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.88, len(table)))
    shown = np.unique(np.linspace(0, len(table) - 1, min(len(table), 32)).astype(int))
    for index in shown:
        mean, sigma = (float(table[key].iloc[index]) for key in ("mean", "sigma"))
        if isinstance(sample, StateSample):
            values = sample.of(int(index))
            edges = _edges(values)
            counts = np.histogram(values, edges)[0].astype(float)
            low, high = edges[:-1], edges[1:]
        else:
            rows = sample.codes == index
            low, high, counts = sample.low[rows], sample.high[rows], sample.count[rows]
        height = counts / counts.sum() / (high - low) * np.sqrt(2 * np.pi) * sigma
        axis.bar(low / unit, height, (high - low) / unit, align="edge", color=colors[index], alpha=0.45, lw=0)
        grid = np.linspace(mean - 4 * sigma, mean + 4 * sigma, 121)
        axis.plot(grid / unit, np.exp(-0.5 * ((grid - mean) / sigma) ** 2), color=colors[index], lw=1.2)
    axis.set_ylim(0, 1.4)
    reach = 5 * table["sigma"]
    axis.set_xlim(float((table["mean"] - reach).min()) / unit, float((table["mean"] + reach).max()) / unit)
    axis.set_xlabel(f"read current [{prefix}A]")
    axis.set_ylabel("cells, fitted peak = 1")
    some = "" if len(shown) == len(table) else f", {len(shown)} of them shown"
    axis.set_title(
        f"Cells of {len(table)} programmed states{some}: {int(table['n'].sum()):,} cells and the fitted normals"
    )


def _edges(values: Floats) -> Floats:
    """Return bin edges [A] with the width of Freedman & Diaconis (1981), which tails do not coarsen."""
    low, high = np.quantile(values, [0.25, 0.75])
    width = 2.0 * (high - low) / len(values) ** (1 / 3)
    span = float(values[-1] - values[0])
    return np.linspace(values[0], values[-1], int(np.clip(span / max(width, span / 200.0), 5, 200)) + 1)


def _sigma(fit: FitValues, axis: Axes, unit: float, prefix: str) -> None:
    table = fit.table
    target = table["target"].to_numpy()
    grid = np.linspace(0, max(fit.cell.i_max, float(target.max())), 400)
    grid = grid[grid >= 0.3 * target.min()]
    model = fit.fit.model.sigma(grid, fit.cell.i_max)
    low, high = fit.band(grid, cells=float(np.median(table["dof"])) + 1.0)
    axis.fill_between(grid / unit, low / unit, high / unit, color=BLUE, alpha=0.10, lw=0, label="95 % of new spreads")
    low, high = fit.band(grid)
    axis.fill_between(grid / unit, low / unit, high / unit, color=BLUE, alpha=0.28, lw=0, label="95 % of the law")
    axis.plot(grid / unit, model / unit, color=BLUE, lw=1.8, label=fit.model.replace("_", " "))
    for name in fit.alternatives[:2]:
        other = fit.fits[name].model.sigma(grid, fit.cell.i_max)
        axis.plot(grid / unit, other / unit, color=GREY, lw=1.2, ls="--", label=f"{name.replace('_', ' ')} (as good)")
    axis.errorbar(
        target / unit, table["sigma"] / unit, table["sigma_stderr"] / unit, fmt="o", ms=4, color=ORANGE, lw=1,
        label="cells", zorder=3,
    )  # fmt: skip
    highest = float((table["sigma"] + 2 * table["sigma_stderr"]).max()) / unit
    axis.set_ylim(0, 1.12 * max(highest, float(model.max()) / unit))
    axis.set_ylabel(f"spread sigma [{prefix}A]")
    axis.set_title("Spread against the programmed current")
    axis.legend(loc="best")
    axis.tick_params(labelbottom=False)


def _residuals(fit: FitValues, axis: Axes, unit: float, prefix: str) -> None:
    table = fit.table
    axis.axhspan(-2, 2, color=GREY, alpha=0.15, lw=0)
    axis.axhline(0, color=GREY, lw=0.8)
    axis.vlines(table["target"] / unit, 0, table["residual"], color=ORANGE, lw=1)
    axis.plot(table["target"] / unit, table["residual"], "o", ms=4, color=ORANGE)
    reach = max(3.0, 1.15 * float(table["residual"].abs().max()))
    axis.set_ylim(-reach, reach)
    axis.set_xlabel(f"programmed current [{prefix}A]")
    axis.set_ylabel("residual")
    p = fit.fit.goodness
    axis.set_title("Deviance residuals" + (f" (goodness of fit p = {p:.2g})" if np.isfinite(p) else ""))


def _comparison(fit: FitValues, axis: Axes) -> None:
    table = fit.comparison
    delta = table[f"delta_{fit.criterion}"].to_numpy()
    place = np.arange(len(table))[::-1]
    cut = 1000.0
    colors = {"chosen": BLUE, "cannot tell apart": "#63a4e0", "worse": "#d3dae1"}
    axis.barh(place, np.minimum(np.maximum(delta, 0.02), cut), color=[colors[v] for v in table["verdict"]], height=0.66)
    label = fit.criterion.upper().replace("AICC", "AICc")
    for y, (name, row), value in zip(place, table.iterrows(), delta, strict=True):
        text = {"chosen": "chosen", "cannot tell apart": f"+{value:.1f}, cannot tell apart"}.get(
            str(row["verdict"]), f"+{value:,.1f}"
        )
        axis.annotate(
            text, (min(max(value, 0.02), cut), y), (4, 0), textcoords="offset points", va="center", fontsize=8
        )
        del name
    axis.set_yticks(
        place, [f"{str(n).replace('_', ' ')} ({int(k)})" for n, k in zip(table.index, table["parameters"], strict=True)]
    )
    axis.set_xscale("symlog", linthresh=2.0, linscale=0.6)
    axis.set_xlim(0, cut * 12)
    axis.axvline(2, color=GREY, lw=0.8, ls=":")
    axis.set_xlabel(f"{label} above the best (log scale beyond 2)")
    axis.set_title(f"Models by {label}, number of parameters in brackets")
    axis.tick_params(axis="y", length=0)


def _mean_error(fit: FitValues, axis: Axes, unit: float, prefix: str) -> None:
    import matplotlib

    table = fit.table
    axis.axhline(0, color=GREY, lw=0.8)
    sets = [(fit.cell.retention.start if fit.cell.retention else None, table)]
    sets += [(later.time, later.states.table) for later in fit.later]
    colors = matplotlib.colormaps["plasma"](np.linspace(0.0, 0.8, len(sets))) if len(sets) > 1 else [BLUE]
    worst = max(float(rows["mean_error"].abs().max()) for _, rows in sets)
    small = prefix_of(worst)
    for (time, rows), color in zip(sets, colors, strict=True):
        label = None if time is None else f"after {duration(time)}"
        axis.errorbar(
            rows["target"] / unit, rows["mean_error"] / small[1], rows["mean_stderr"] / small[1], fmt="o-", ms=3, lw=1,
            color=color, label=label,
        )  # fmt: skip
    axis.set_xlabel(f"programmed current [{prefix}A]")
    axis.set_ylabel(f"mean - target [{small[0]}A]")
    axis.set_title("Mean error" if len(sets) == 1 else "Mean error against time")
    if len(sets) > 1:
        axis.legend(loc="best", ncols=2)


def _other(fit: FitValues, axis: Axes, unit: float, prefix: str) -> None:
    """Draw the spread at later times, else bakes, else the read noise, else the threshold spread behind the spread."""
    import matplotlib

    table = fit.table
    if fit.later:
        grid = np.linspace(0.3 * float(table["target"].min()), float(table["target"].max()), 300)
        fits = [(fit.cell.retention.start if fit.cell.retention else 0.0, table, fit.fit)]
        fits += [(later.time, later.states.table, later.fit) for later in fit.later]
        colors = matplotlib.colormaps["plasma"](np.linspace(0.0, 0.8, len(fits)))
        for (time, rows, own), color in zip(fits, colors, strict=True):
            axis.plot(grid / unit, own.model.sigma(grid, fit.cell.i_max) / unit, color=color, lw=1.3)
            axis.plot(
                rows["target"] / unit, rows["sigma"] / unit, "o", ms=3, color=color, label=f"after {duration(time)}"
            )
        axis.set_ylabel(f"spread sigma [{prefix}A]")
        axis.set_title("Spread against time")
        axis.legend(loc="best", ncols=2)
    elif fit.bake is not None:
        bake = fit.bake
        celsius = bake.temperatures - 273.15
        axis.plot(celsius, 100 * bake.change, "o", ms=5, color=ORANGE, label="cells")
        axis.plot(celsius, 100 * bake.fitted, "-", lw=1.6, color=BLUE, label="floor and activated loss")
        axis.axhline(100 * bake.floor, color=GREY, lw=0.8, ls=":")
        axis.set_ylim(bottom=0)
        axis.set_xlabel("bake temperature [degC]")
        axis.set_ylabel("rms change [% of full scale]")
        axis.set_title(f"Bakes: activation energy {bake.activation_energy:.2f} +- {bake.stderr:.2f} eV")
        axis.legend(loc="best")
        return
    elif fit.read_noise is not None and fit.read_noise_table is not None:
        noise = fit.read_noise_table
        grid = np.linspace(0, float(noise["mean"].max()), 300)
        small = prefix_of(float(noise["sigma"].max()))
        axis.plot(grid / unit, fit.read_noise.model.sigma(grid, fit.cell.i_max) / small[1], color=BLUE, lw=1.6,
                  label=fit.read_noise.name.replace("_", " "))  # fmt: skip
        axis.plot(noise["mean"] / unit, noise["sigma"] / small[1], "o", ms=4, color=ORANGE, label="within cells")
        axis.set_ylim(bottom=0)
        axis.set_ylabel(f"read noise [{small[0]}A]")
        axis.set_title("Read noise of a cell")
        axis.legend(loc="best")
    else:
        axis.plot(table["target"] / unit, table["threshold_sigma"] * 1e3, "o", ms=4, color=ORANGE)
        model = fit.fit.model.sigma(table["target"].to_numpy(), fit.cell.i_max) / table["sigma"].to_numpy()
        axis.plot(table["target"] / unit, table["threshold_sigma"] * 1e3 * model, color=BLUE, lw=1.6)
        axis.set_ylim(bottom=0)
        axis.set_ylabel("threshold spread [mV]")
        axis.set_title(f"Threshold spread (in subthreshold, eta = {fit.eta:g})")
    axis.set_xlabel(f"programmed current [{prefix}A]")
