"""The files a pulse fit leaves: report, parameters, laws compared, figure."""

from __future__ import annotations

from pathlib import Path

from devicekit.common.figure_files import save_figure
from devicekit.common.file_sets import replacing_together
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
    names = {"report": "report.txt", "parameters": "parameters.csv", "laws": "laws.csv"}
    drawn = {"figure": "pulses.png", "figure_pdf": "pulses.pdf"}
    with replacing_together(place, without=() if figures else drawn.values()) as together:
        (together / names["report"]).write_text(summary(fit) + "\n", encoding="utf-8")
        fit.table.to_csv(together / names["parameters"], index_label="parameter")
        fit.comparison.to_csv(together / names["laws"], index=False)
        if figures:
            names |= drawn
            figure, _ = plot_pulses(fit)
            save_figure(figure, together / names["figure"])
            # The layout is solved once; the second file takes it as it is.
            figure.set_layout_engine("none")
            save_figure(figure, together / names["figure_pdf"])
    return {what: place / name for what, name in names.items()}
