"""Files of a device fit: the device file, the report, the tables of states and models, the figures."""

from __future__ import annotations

from pathlib import Path

from devicekit.cells.device_writing import save_device
from devicekit.common.errors import DeviceError
from devicekit.common.paths import checked_file_name, replacing
from devicekit.fits.fit_figures import plot_fit
from devicekit.fits.fit_reports import summary
from devicekit.fits.fit_values import FitValues


def save_fit(fit: FitValues, path: str | Path, title: str | None = None) -> Path:
    """Write a fit's cell with covariance and provenance to a device file; see `DeviceFit.save`."""
    place = Path(fit.measurements.place).name
    facts = {
        "measurements": place,
        "kind": fit.measurements.kind,
        "criterion": fit.criterion,
        "model": fit.model,
        "alternatives": fit.alternatives,
    }
    made = f"{fit.cell.name}: fitted to {place} ({fit.measurements.kind})"
    return save_device(fit.cell, path, title or made, list(fit.notes), facts)


def write_outputs(fit: FitValues, folder: str | Path, figures: bool = True) -> dict[str, Path]:
    """Write everything a fit found into a folder; see `DeviceFit.write`."""
    place = Path(folder)
    checked_file_name(fit.cell.name, "the cell's name", DeviceError)
    paths: dict[str, Path] = {
        "cell": place / f"{fit.cell.name}.toml",
        "report": place / "report.txt",
        "states": place / "states.csv",
        "models": place / "models.csv",
    }
    save_fit(fit, paths["cell"])
    with replacing(paths["report"]) as path:
        path.write_text(summary(fit) + "\n", encoding="utf-8")
    with replacing(paths["states"]) as path:
        fit.states_over_time.to_csv(path, index=False)
    with replacing(paths["models"]) as path:
        fit.comparison.to_csv(path)
    if not figures:
        return paths
    paths |= {"figure": place / "figures.png", "figure_pdf": place / "figures.pdf"}
    figure, _ = plot_fit(fit)
    with replacing(paths["figure"]) as path:
        figure.savefig(path, dpi=150)
    # The layout is solved once; the second file takes it as it is.
    figure.set_layout_engine("none")
    with replacing(paths["figure_pdf"]) as path:
        figure.savefig(path)
    return paths
