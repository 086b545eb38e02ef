"""The page in a real browser, offline: nothing fails, nothing is loaded, every figure is drawn with its data."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reports.figures import page_figures
from reports.page import render
from reports.results import StudyResult

DRAWN = """
return [...document.querySelectorAll('.plot')].map(plot => ({
    name: plot.id,
    traces: (plot._fullData || []).map(t => ({visible: t.visible, points: (t.x || []).length})),
    marks: plot.querySelectorAll('.points path, .lines path, .bars path, .point path').length,
    width: plot.getBoundingClientRect().width,
}));
"""


@pytest.fixture(scope="module")
def page(made_up: StudyResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(render(made_up, made=datetime(2026, 1, 2, 3, 4, tzinfo=UTC)), encoding="utf-8")
    return path


def test_offline_in_a_browser(page: Path, made_up: StudyResult, open_page: Callable[[Path], Any]) -> None:
    opened = open_page(page)
    assert opened.errors == []
    assert opened.requests == []
    assert opened.run("return document.querySelectorAll('#joint tbody tr').length") == 5
    drawn = opened.run(DRAWN)
    assert [plot["name"] for plot in drawn] == [f"plot-{figure.name}" for figure in page_figures(made_up)]
    for plot in drawn:
        assert plot["traces"], plot["name"]
        assert all(trace["visible"] is True and trace["points"] > 0 for trace in plot["traces"]), plot
        assert plot["marks"] > 0, plot["name"]


@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_sticks_out_sideways(page: Path, open_page: Callable[[Path], Any], width: int) -> None:
    opened = open_page(page)
    opened.resize(width)
    assert opened.run("return document.documentElement.scrollWidth") <= width
    assert all(plot["width"] <= width for plot in opened.run(DRAWN))


def test_figures_follow_the_colour_scheme(page: Path, open_page: Callable[[Path], Any]) -> None:
    opened = open_page(page)
    ink = "return document.getElementById('plot-trials').layout.font.color"
    light = opened.run(ink)
    opened.dark()
    opened.wait_until(f"{ink} !== '{light}'")
    assert opened.run('return document.querySelectorAll(\'[fill^="@"], [stroke^="@"]\').length') == 0


def test_numbers_of_the_table_stand_in_the_page(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for shown in (
        "96.00",
        "± 0.32",
        "8.40",
        "6.7 – 10",
        "902",
        "26.2",
        "+6.10",
        "2 January 2026, 03:04 UTC".lstrip("0"),
    ):
        assert shown in text
    assert "This is a round trip" in text


def test_text_from_outside_is_escaped(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "An easy network &lt;&amp; honest&gt;." in text
    assert "<& honest>" not in text


def test_every_constant_stands_with_its_source(page: Path, made_up: StudyResult) -> None:
    text = page.read_text(encoding="utf-8")
    for entry in made_up.provenance:
        assert entry.source in text
        assert f'class="kind {entry.kind}"' in text


def test_the_page_says_when_there_was_no_simulator(made_up: StudyResult) -> None:
    assert made_up.spice is not None
    text = render(replace(made_up, spice=replace(made_up.spice, recorded=True, note="Values of the package.")))
    assert "Recorded earlier with ngspice-39" in text
    assert "Values of the package." in text
    assert "was not confirmed by circuit simulation" in render(replace(made_up, spice=None))


def test_the_page_does_without_a_fit_and_without_a_breakdown(
    made_up: StudyResult, tmp_path: Path, open_page: Callable[[Path], Any]
) -> None:
    designs = tuple(
        replace(design, cost=replace(design.cost, breakdown=()), network_cost=None, signals=())
        for design in made_up.designs
    )
    path = tmp_path / "index.html"
    bare = replace(made_up, fit=None, designs=designs, wires=(), peripherals=None)
    path.write_text(render(bare), encoding="utf-8")
    opened = open_page(path)
    assert opened.errors == []
    assert len(opened.run(DRAWN)) == 2


def test_line_errors_stand_in_a_table(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "1152 differential cells" in text
    assert "A, B, D" in text


def test_the_same_result_gives_the_same_page(made_up: StudyResult) -> None:
    assert render(made_up) == render(made_up)
