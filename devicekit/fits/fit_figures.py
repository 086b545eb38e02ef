"""The figures of a device fit: the page of all panels, and single panels at the width of a column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from devicekit.common.errors import DeviceError, unknown_name
from devicekit.common.figure_style import INK, STYLE
from devicekit.fits.fit_panels import PANELS, available, unit_of
from devicekit.fits.fit_values import FitValues

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN_WIDTH = 0.085
"""Width of a column of a journal [m]."""
_INCH = 0.0254
_FIXED = ("histograms", "sigma", "residuals", "comparison")


def plot_fit(fit: FitValues) -> tuple[Figure, dict[str, Axes]]:
    """Return the page of figures of a fit, and its axes by the names of `fit_panels.PANELS`.

    Args:
        fit: a fitted device.
    """
    import matplotlib
    from matplotlib.figure import Figure

    others = [name for name in available(fit) if name not in _FIXED]
    rows = -(-len(others) // 2)
    heights = [1.5, 1.5, 0.62, *([1.15] * rows)]
    with matplotlib.rc_context(STYLE):
        page = Figure(figsize=(11.0, 2.35 * sum(heights)), layout="constrained")
        grid = page.add_gridspec(3 + rows, 2, height_ratios=heights)
        axes = {
            "histograms": page.add_subplot(grid[0, :]),
            "sigma": page.add_subplot(grid[1, 0]),
            "residuals": page.add_subplot(grid[2, 0]),
            "comparison": page.add_subplot(grid[1:3, 1]),
        }
        axes["residuals"].sharex(axes["sigma"])
        for index, name in enumerate(others):
            axes[name] = page.add_subplot(grid[3 + index // 2, index % 2])
        unit = unit_of(fit)
        for name, axis in axes.items():
            PANELS[name](fit, axis, unit)
        axes["sigma"].tick_params(labelbottom=False)
        axes["sigma"].set_xlabel("")
        title = f"{fit.cell.name}: {fit.model.replace('_', ' ')}"
        kind = "" if fit.measurements.kind == "measured" else f"   ({fit.measurements.kind})"
        page.suptitle(title + kind, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    return page, axes


def plot_panel(fit: FitValues, panel: str, width: float = COLUMN_WIDTH) -> tuple[Figure, Axes]:
    """Return one panel as a figure of its own, and its axis.

    Args:
        fit: a fitted device.
        panel: one of `fit_panels.PANELS`.
        width: of the figure [m].

    Raises:
        DeviceError: an unknown panel, one that the measurements have nothing for, or a width that is none.
    """
    import matplotlib
    from matplotlib.figure import Figure

    if panel not in PANELS:
        raise DeviceError(unknown_name("panel", panel, PANELS))
    if panel not in available(fit):
        raise DeviceError(
            f"The panel {panel!r} has nothing to show for {fit.cell.name!r}. There are: {', '.join(available(fit))}."
        )
    if not 0.02 <= width <= 1.0:
        raise DeviceError(f"Expected `width` to be a length between 20 mm and 1 m, but got {width!r} m.")
    small: dict[Any, Any] = {"font.size": 8, "axes.titlesize": 8, "legend.fontsize": 6.5, "lines.markersize": 4}
    with matplotlib.rc_context({**STYLE, **small}):
        figure = Figure(figsize=(width / _INCH, 0.75 * width / _INCH), layout="constrained")
        axis = figure.add_subplot()
        PANELS[panel](fit, axis, unit_of(fit))
        # A caption stands below a figure in print; a title would say it twice.
        axis.set_title("")
    return figure, axis
