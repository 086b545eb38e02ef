"""Files of a device fit: the device file, the report, the tables of states and models, the figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from devicekit.cells.device_writing import save_device
from devicekit.common.errors import DeviceError
from devicekit.common.figure_files import save_figure
from devicekit.common.file_sets import replacing_together
from devicekit.common.paths import checked_file_name
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
    names = {"cell": f"{fit.cell.name}.toml", "report": "report.txt", "states": "states.csv", "models": "models.csv"}
    # Drawn before anything is written: a panel that cannot be drawn leaves no files behind.
    drawn = [(name, plot_panel(fit, name, width)[0]) for name in panels]
    if figures and not panels:
        drawn = [("figure", plot_fit(fit)[0])]
    for name, _ in drawn:
        stem = "figures" if name == "figure" else name
        names |= {name: f"{stem}.png", f"{name}_pdf": f"{stem}.pdf"}
    # Panels are often drawn one by one into the same folder, so they stay; a page of another fit does not.
    without = () if figures or panels else ("figures.png", "figures.pdf")
    with replacing_together(place, without=without) as together:
        save_fit(fit, together / names["cell"])
        (together / names["report"]).write_text(summary(fit) + "\n", encoding="utf-8")
        fit.states_over_time.to_csv(together / names["states"], index=False)
        fit.comparison.to_csv(together / names["models"])
        for name, figure in drawn:
            save_figure(figure, together / names[name], 150 if name == "figure" else 300)
            # The layout is solved once; the second file takes it as it is.
            figure.set_layout_engine("none")
            save_figure(figure, together / names[f"{name}_pdf"])
    return {what: place / name for what, name in names.items()}
