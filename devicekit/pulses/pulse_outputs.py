"""The files a pulse fit leaves: report, parameters, laws compared, figure."""

from __future__ import annotations

from pathlib import Path

from devicekit.common.paths import replacing
from devicekit.pulses.pulse_figures import plot_pulses
from devicekit.pulses.pulse_reports import summary
from devicekit.pulses.pulse_values import PulseValues


def write_outputs(fit: PulseValues, folder: str | Path, figures: bool = True) -> dict[str, Path]:
    """Write everything a pulse fit found into a folder; return paths by what they hold.

    Args:
        fit: a fitted update.
        folder: made where it is not there.
        figures: whether to draw the figure.
    """
    place = Path(folder)
    paths = {"report": place / "report.txt", "parameters": place / "parameters.csv", "laws": place / "laws.csv"}
    with replacing(paths["report"]) as path:
        path.write_text(summary(fit) + "\n", encoding="utf-8")
    with replacing(paths["parameters"]) as path:
        fit.table.to_csv(path, index_label="parameter")
    with replacing(paths["laws"]) as path:
        fit.comparison.to_csv(path, index=False)
    if not figures:
        return paths
    paths |= {"figure": place / "pulses.png", "figure_pdf": place / "pulses.pdf"}
    figure, _ = plot_pulses(fit)
    with replacing(paths["figure"]) as path:
        figure.savefig(path, dpi=150)
    # The layout is solved once; the second file takes it as it is.
    figure.set_layout_engine("none")
    with replacing(paths["figure_pdf"]) as path:
        figure.savefig(path)
    return paths
