"""A fitted device: the result of `fit_device`, with its report, its figure and its file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devicekit.cells.device_writing import save_device
from devicekit.fits.fit_figures import plot_fit
from devicekit.fits.fit_reports import summary
from devicekit.fits.fit_values import FitValues

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class DeviceFit(FitValues):
    """A fitted device: the values of `FitValues` with a report, a figure and a device file."""

    def summary(self) -> str:
        """Return the report as text."""
        return summary(self)

    def plot(self) -> tuple[Figure, Any]:
        """Return a page of figures as (figure, axes by name).

        Histograms of the states, sigma(I) with band over the measured spreads, residuals, the model comparison, and
        what else was measured (mean error, retention, read noise).
        """
        return plot_fit(self)

    def save(self, path: str | Path, title: str | None = None) -> Path:
        """Write the cell with covariance and provenance to a device file that `load_device` reads.

        Args:
            path: a ``.toml`` file.
            title: one line about the device; None: made from the measurements.

        Returns:
            The path.
        """
        made = f"{self.cell.name}: fitted to {Path(self.measurements.place).name} ({self.measurements.kind})"
        facts = {
            "measurements": Path(self.measurements.place).name,
            "kind": self.measurements.kind,
            "criterion": self.criterion,
            "model": self.model,
            "alternatives": self.alternatives,
        }
        return save_device(self.cell, path, title or made, list(self.notes), facts)
