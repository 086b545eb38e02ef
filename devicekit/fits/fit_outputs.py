"""Files of a device fit: the device file, the report, the tables of states and models, the figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from devicekit.cells.device_writing import save_device
from devicekit.common.errors import DeviceError
from devicekit.common.paths import checked_file_name, replacing
from devicekit.fits.fit_figures import COLUMN_WIDTH, plot_fit, plot_panel
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


def write_outputs(
    fit: FitValues, folder: str | Path, figures: bool = True, panels: Sequence[str] = (), width: float = COLUMN_WIDTH
) -> dict[str, Path]:
    """Write everything a fit found into a folder; see `DeviceFit.write`."""
    place = Path(folder)
    checked_file_name(fit.cell.name, "the cell's name", DeviceError)
    paths: dict[str, Path] = {
        "cell": place / f"{fit.cell.name}.toml",
        "report": place / "report.txt",
        "states": place / "states.csv",
        "models": place / "models.csv",
    }
    # Drawn before anything is written: a panel that cannot be drawn leaves no files behind.
    drawn = [(name, plot_panel(fit, name, width)[0]) for name in panels]
    if figures and not panels:
        drawn = [("figure", plot_fit(fit)[0])]
    save_fit(fit, paths["cell"])
    with replacing(paths["report"]) as path:
        path.write_text(summary(fit) + "\n", encoding="utf-8")
    with replacing(paths["states"]) as path:
        fit.states_over_time.to_csv(path, index=False)
    with replacing(paths["models"]) as path:
        fit.comparison.to_csv(path)
    for name, figure in drawn:
        stem = "figures" if name == "figure" else name
        paths |= {name: place / f"{stem}.png", f"{name}_pdf": place / f"{stem}.pdf"}
        with replacing(paths[name]) as path:
            figure.savefig(path, dpi=150 if name == "figure" else 300)
        # The layout is solved once; the second file takes it as it is.
        figure.set_layout_engine("none")
        with replacing(paths[f"{name}_pdf"]) as path:
            figure.savefig(path)
    return paths
