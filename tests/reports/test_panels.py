"""Panels of commands: what is drawn is what was found, as wide as a column, the same bytes again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from accuracy.evaluation.measures import measure_of
from devicekit import load_device
from energy import estimate_core
from reports import StudyError, panels
from reports.command import build_app
from reports.metric import ShownMetric
from reports.published.drawing import bars, lines


def test_front_panel_draws_every_core_and_the_front_alone(tmp_path: Path) -> None:
    costs = [estimate_core(name) for name in "ACDE"]
    figure, axis = panels.front_panel([cost.row() for cost in costs], list("ACDE"))
    assert figure.get_figwidth() == panels.WIDTH
    assert {text.get_text() for text in axis.texts} == set("ACDE")
    (steps,) = (line for line in axis.lines if line.get_drawstyle() == "steps-post")
    # A is the smallest and needs the least energy of the four.
    np.testing.assert_allclose(steps.get_xydata(), [[costs[0].area_mm2, costs[0].energy_fj_per_op]])
    again, _ = panels.front_panel([cost.row() for cost in costs], list("ACDE"))
    one, other = (panels.save(own, tmp_path / f"{id(own)}.pdf").read_bytes() for own in (figure, again))
    assert one == other


def test_cells_panel_is_the_spread_of_the_cell() -> None:
    cell = load_device("sonos_40nm_tcas2022")
    _, axis = panels.cells_panel({"mine": cell})
    x, y = axis.lines[0].get_data()
    np.testing.assert_allclose(y, 100 * np.asarray(cell.sigma(x / 100 * cell.i_max)) / cell.i_max)


def test_accuracy_panel_shows_each_trial() -> None:
    row = {"design": "A", "per_trial": [0.9, 0.94], "ideal": 0.95, "baseline": 0.96}
    _, axis = panels.accuracy_panel([row, row], ShownMetric(measure_of("top1").facts.to_dict()))
    trials, mean, ideal = axis.lines[:3]
    np.testing.assert_allclose(trials.get_xdata(), [90, 94])
    np.testing.assert_allclose(mean.get_xdata(), [92, 92])
    np.testing.assert_allclose(ideal.get_xdata(), [95])


def test_figures_of_the_page_are_panels_as_well() -> None:
    shown = lines("own", "Own", "", {"one": ([1, 10], [2, 3]), "two": ([1, 10], [4, 5])}, "x [A]", "y")
    figure, axis = panels.page_panel(shown)
    np.testing.assert_allclose(axis.lines[1].get_xydata(), [[1, 4], [10, 5]])
    assert (axis.get_xscale(), axis.get_xlabel(), axis.get_title(loc="left")) == ("log", "x [A]", "Own")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "two"]
    _, axis = panels.page_panel(bars("b", "B", "", {"here": {"p": 1.0, "q": 2.0}, "there": {"p": 3.0, "q": 4.0}}, "y"))
    assert [patch.get_height() for patch in axis.patches] == [1, 2, 3, 4]
    assert axis.patches[0].get_x() < axis.patches[2].get_x() < axis.patches[1].get_x()


def test_panels_have_ticks_and_error_bars_of_the_page() -> None:
    shown = lines("w", "W", "", {"one": ([1e-6, 1e-2], [2, 3])}, "x", "y", bounds={"one": ([1, None], [4, 5])})
    _, axis = panels.page_panel(shown)
    assert [text.get_text() for text in axis.get_xticklabels()] == ["10⁻⁶", "10⁻²"]
    segments = axis.collections[0].get_segments()
    np.testing.assert_allclose(segments, [[[1e-6, 1], [1e-6, 4]], [[1e-2, 3], [1e-2, 5]]])
    shown = bars("b", "B", "", {"one": {"p": 5.0, "q": 60.0}}, "y", log=True, bounds={"one": {"q": (50.0, 70.0)}})
    _, axis = panels.page_panel(shown)
    assert {"10", "20", "50"} <= {text.get_text() for text in axis.get_yticklabels()}
    np.testing.assert_allclose(np.asarray(axis.collections[0].get_segments()[1])[:, 1], [50, 70])


def test_commands_write_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (
        ("device", "compare", "sonos_40nm_tcas2022", "pcm_joshi2020", "--figure", "cells.svg"),
        ("device", "show", "sonos_40nm_tcas2022", "--figure", "cell.png"),
        ("energy", "xiao2022", "--front", "front.pdf"),
    ):
        done = CliRunner().invoke(build_app(arguments[0]), list(arguments))
        assert done.exit_code == 0, done.output
        assert Path(arguments[-1]).stat().st_size > 1000
    assert CliRunner().invoke(build_app("energy"), ["energy", "A", "--front", "front.txt"]).exit_code == 2
    with pytest.raises(StudyError, match=r"--panels to be a .png, .svg or .pdf, but got 'figure.gif'"):
        panels.check_name(Path("figure.gif"), "--panels")
