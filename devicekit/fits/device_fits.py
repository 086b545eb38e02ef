"""A fitted device: the result of `fit_device`, with its report, its figures and its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devicekit.common.quantities import parse_quantity
from devicekit.fits.fit_figures import COLUMN_WIDTH, plot_fit, plot_panel
from devicekit.fits.fit_outputs import save_fit, write_outputs
from devicekit.fits.fit_reports import summary
from devicekit.fits.fit_values import FitValues

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class DeviceFit(FitValues):
    """A fitted device: the cell, its error model and the statistics behind it, with report, figures and files.

    The attributes are those of `FitValues`: `cell`, `model`, `parameters`, `table`, `comparison`, `notes` and others.
    """

    def summary(self) -> str:
        """Return the report as text: what was read, the chosen model, the comparison, the states, the notes."""
        return summary(self)

    def plot(self, panel: str | None = None, width: float | str = COLUMN_WIDTH) -> tuple[Figure, Any]:
        """Return the page of figures as (figure, axes by name), or one panel as (figure, axis).

        The page has histograms of the states, sigma(I) with band over the measured spreads, residuals, the model
        comparison, normal-probability paper, and what else was measured (mean error, retention, read noise).

        Args:
            panel: name of one panel (`fit_panels.PANELS`: ``"sigma"``, ``"retention"``, ...); None: the page.
            width: of a single panel, such as ``"85mm"`` or a number in m.

        Raises:
            DeviceError: an unknown panel, or one that the measurements have nothing for.
        """
        if panel is None:
            return plot_fit(self)
        return plot_panel(self, panel, parse_quantity(width, "m", "`width`"))

    def save(self, path: str | Path, title: str | None = None) -> Path:
        """Write the cell with covariance and provenance to a device file that `load_device` reads; return its path.

        Args:
            path: a ``.toml`` file.
            title: one line about the device; None: made from the measurements.
        """
        return save_fit(self, path, title)

    def write(
        self,
        folder: str | Path,
        figures: bool = True,
        panels: Sequence[str] = (),
        width: float | str = COLUMN_WIDTH,
    ) -> dict[str, Path]:
        """Write the device file, the report, the tables and the figures into a folder.

        Args:
            folder: made where it is not there.
            figures: whether to draw the page of figures.
            panels: panels to draw instead, each a file of its own.
            width: of such a panel, such as ``"85mm"``.

        Returns:
            Paths by what they hold: ``cell``, ``report``, ``states``, ``models``, and where drawn ``figure`` and
            ``figure_pdf``, or the panels' names with and without ``_pdf``.
        """
        return write_outputs(self, folder, figures, panels, parse_quantity(width, "m", "`width`"))
