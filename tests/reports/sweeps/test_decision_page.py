"""The page of a sweep in a real browser: budgets, table and front follow each other; five hundred designs, offline."""

from __future__ import annotations

import base64
import copy
import io
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports import Study, SweepResult, sweep
from reports.page_parts import PLOTLY_VERSION, plotly_source
from reports.sweeps.page import render
from reports.sweeps.selection import select

DESIGNS = 500
BUILD = "return document.querySelector('#verdict .answer').textContent"
ROWS = "return document.querySelectorAll('#points tbody tr').length"


def _made(tmp_path: Path, count: int, **study: Any) -> SweepResult:
    """Return a run whose costs are real ones of a few cores, scaled, and whose losses are made up."""
    own = Study(designs=("A",), device="sonos_40nm_tcas2022", vary={"adc_bits": "6..9"}, accuracy="none")
    seed = sweep(own, tmp_path / "s.sqlite", workers=1)
    generator = np.random.default_rng(3)
    points, draws = [], {}
    for number in range(count):
        point = copy.deepcopy(seed.points[number % 4])
        factor, loss = float(generator.uniform(0.5, 2)), float(generator.exponential(0.01))
        point |= {"name": f"A no={number}", "varied": {"adc_bits": 6 + number % 4, "max_rows": number}}
        for name in ("energy_gated_uj", "area_mm2", "latency_us"):
            point["network_cost"][name] *= factor
        point["accuracy"] = {
            "baseline": 0.97, "ideal": 0.968, "mean": 0.97 - loss, "std": 0.002, "loss": loss, "trials": 3,
            "loss_interval": [loss - 0.004, loss + 0.004], "images": 500,
        }  # fmt: skip
        points.append(point)
        known = {name: factor * values for name, values in seed.draws[number % 4].items()}
        draws[number] = known | {"loss": loss + 0.002 * generator.standard_normal(512)}
    asked = Study(vary={"adc_bits": (6, 7, 8, 9), "max_rows": tuple(range(count))}, **study)
    return SweepResult("made-up", asked.model_dump(mode="json"), points, draws)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    return _made(tmp_path_factory.mktemp("s"), DESIGNS, constraints=("loss <= 1 point", "network_area <= 1 mm2"))


@pytest.fixture(scope="module")
def page(result: SweepResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(render(result, made=datetime(2026, 1, 2, tzinfo=UTC)), encoding="utf-8")
    return path


def test_it_is_light_and_opens_offline(page: Path, open_page: Callable[[Path], Any]) -> None:
    assert page.stat().st_size < 2e6
    assert f"plotly.js (basic - minified) v{PLOTLY_VERSION}" in plotly_source()
    opened = open_page(page)
    assert opened.errors == []
    assert opened.requests == []
    assert opened.run(ROWS) == DESIGNS
    # Milliseconds until everything was there; a bound against quadratic work, not a measurement.
    assert opened.run("return performance.getEntriesByType('navigation')[0].domComplete") < 20_000


def test_the_answer_is_the_one_of_python(result: SweepResult, page: Path, open_page: Callable[[Path], Any]) -> None:
    opened = open_page(page)
    (choice,) = select(result).choices
    assert choice.point is not None
    assert opened.run(BUILD) == choice.name


def test_budgets_let_designs_in_and_out(page: Path, result: SweepResult, open_page: Callable[[Path], Any]) -> None:
    opened = open_page(page)
    opened.run("document.getElementById('within').click()")
    kept = [p for p in result.points if p["accuracy"]["loss"] <= 0.01 and p["network_cost"]["area_mm2"] <= 1.0]
    assert opened.run(ROWS) == len(kept) > 0
    move = """
    const slider = document.getElementById('budget-network_area');
    slider.value = arguments[0] === null ? slider.max : arguments[0];
    slider.dispatchEvent(new Event('input'));
    """
    opened.run(move, None)
    assert opened.run(ROWS) == sum(p["accuracy"]["loss"] <= 0.01 for p in result.points)
    opened.run(move, 0)
    least = min(p["network_cost"]["area_mm2"] for p in result.points)
    inside = [p for p in result.points if p["network_cost"]["area_mm2"] <= least and p["accuracy"]["loss"] <= 0.01]
    assert opened.run(ROWS) == len(inside)
    opened.run("document.getElementById('reset').click()")
    assert opened.run(ROWS) == len(kept)


def test_the_table_sorts_filters_and_is_linked_with_the_front(
    page: Path, result: SweepResult, open_page: Callable[[Path], Any]
) -> None:
    opened = open_page(page)
    labels = opened.run(
        "return [...document.querySelectorAll('#points thead button')].map(b => b.firstChild.textContent)"
    )
    column = labels.index("Loss")
    first = f"return document.querySelectorAll('#points tbody tr')[0].children[{column}].firstChild.textContent"
    losses = sorted(100 * p["accuracy"]["loss"] for p in result.points)
    click = f"document.querySelectorAll('#points thead button')[{column}].click()"
    opened.run(click)
    assert float(opened.run(first)) == pytest.approx(losses[0], abs=0.006)
    opened.run(click)
    assert float(opened.run(first)) == pytest.approx(losses[-1], abs=0.006)
    assert opened.run(f"return document.querySelectorAll('#points th')[{column}].ariaSort") == "descending"
    filter_by = (
        "const f = document.getElementById('filter'); f.value = arguments[0]; f.dispatchEvent(new Event('input'))"
    )
    opened.run(filter_by, "adc_bits=7")
    assert opened.run(ROWS) == DESIGNS / 4
    opened.run("document.querySelector('#points tbody tr').click()")
    hand = "return document.getElementById('plot-front')._fullData.find(t => t.name === 'in hand')?.customdata?.[0]"
    number = opened.run(hand)
    assert result.points[number]["varied"]["adc_bits"] == 7
    assert opened.run("return Number(document.querySelector('#points tr.hand').dataset.number)") == number


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_sticks_out_sideways(page: Path, open_page: Callable[[Path], Any], width: int) -> None:
    opened = open_page(page)
    opened.resize(width)
    assert opened.run("return document.documentElement.scrollWidth") <= width


def test_light_and_dark_by_a_switch(page: Path, open_page: Callable[[Path], Any]) -> None:
    opened = open_page(page)
    paper = "return getComputedStyle(document.body).backgroundColor"
    ink = "return document.getElementById('plot-front').layout.font.color"
    before, drawn = opened.run(paper), opened.run(ink)
    opened.run("document.getElementById('theme').click()")
    assert opened.run(paper) != before
    opened.wait_until(f"{ink} !== '{drawn}'")
    opened.run("document.getElementById('theme').click()")
    assert opened.run(paper) == before
    # Later pages of this browser follow their system again.
    opened.run("localStorage.clear()")


def test_nothing_for_a_screen_reader_to_stumble_over(tmp_path: Path, open_page: Callable[[Path], Any]) -> None:
    path = tmp_path / "index.html"
    path.write_text(render(_made(tmp_path, 12, constraints=("loss <= 1 point",))), encoding="utf-8")
    opened = open_page(path)
    for _ in ("light", "dark"):
        opened.run((files("axe_core_python") / "axe.min.js").read_text("utf-8"))
        found = opened.driver.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
        assert [(own["id"], own["nodes"][0]["html"][:200]) for own in found["violations"]] == []
        opened.run("document.getElementById('theme').click()")
    opened.run("localStorage.clear()")


def test_it_prints_on_a4_with_every_column(tmp_path: Path, open_page: Callable[[Path], Any]) -> None:
    from pypdf import PdfReader

    path = tmp_path / "index.html"
    path.write_text(render(_made(tmp_path, 12)), encoding="utf-8")
    opened = open_page(path)
    printed = opened.driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True, "printBackground": True})
    pages = PdfReader(io.BytesIO(base64.b64decode(printed["data"]))).pages
    assert 1 < len(pages) <= 3
    assert float(pages[0].mediabox.width) == pytest.approx(595, abs=1)
    text = " ".join(own.extract_text() for own in pages)
    for label in ("Network energy", "Network area", "Core latency", "On the"):
        assert label in text


def test_a_study_without_trials_has_a_page_too(tmp_path: Path, open_page: Callable[[Path], Any]) -> None:
    study = Study(
        designs=("A", "E"), device="sonos_40nm_tcas2022", accuracy="none", constraints=("network_area <= 2 mm2",)
    )
    path = tmp_path / "index.html"
    path.write_text(render(sweep(study, tmp_path / "s.sqlite", workers=1)), encoding="utf-8")
    opened = open_page(path)
    assert opened.errors == []
    assert opened.run(BUILD) == "A"
    assert "Costs alone" in opened.run("return document.querySelector('.lede').textContent")
