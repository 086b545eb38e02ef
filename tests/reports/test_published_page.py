"""The page of published studies: verdicts, tables and their headings, ticks and error bars, narrow screens, paper."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.errors import StudyError
from reports.published import run
from reports.published.drawing import bars, lines
from reports.published.labels import cell, heading, table
from reports.published.run import Reproduced
from reports.published.study import Finding

WIDE = {
    "network": "resnet50_v1_5_int4",
    "step": "SONOS cells beyond ideal ones",
    "baseline_percent": 78.0,
    **{f"{name}_points": 1.5 for name in ("loss", "low", "high", "whole_set_loss", "whole_set_low", "whole_set_high")},
    "agrees": True,
    "images": 50,
    "trials": None,
}
DRAWN = lines(
    "own", "Own", "A caption.", {"one": ([1, 10, 100], [2, 3, 4])}, "x", "y", bounds={"one": ([1] * 3, [5] * 3)}
)


def own(name: str, finding: Finding | None, **more: Any) -> Reproduced:
    return Reproduced(name, "A paper, Fig. 1", f"Title of {name}", f"Law of {name}.", "2 times", finding, **more)


FOUND = (
    own("shows", Finding("3 times", True, [{"x": 1.0}], DRAWN, "A note."), criterion="at least 2 times."),
    own("fails", Finding("once", False, [WIDE, WIDE | {"agrees": False}])),
    own("unsaid", Finding("nothing", None, [])),
    own("missing", None, reason="No data <here>."),
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("published")
    run._write(FOUND, out, True, 1.0)
    return out


def section(page: Path, name: str) -> str:
    text = page.read_text(encoding="utf-8")
    start = text.index(f'<section id="{name}"')
    return text[start : text.index("</section>", start)]


def test_every_section_says_its_verdict(written: Path) -> None:
    page = written / "index.html"
    verdicts = {"shows": "shows", "fails": "does not show", "unsaid": "cannot be said here", "missing": "not computed"}
    for name, verdict in verdicts.items():
        assert re.findall(r'<span class="kind [a-z]+">([^<]+)</span>', section(page, name)) == [verdict]
    assert "Counts as shown if at least 2 times.</p>" in section(page, "shows")
    assert "Counts as shown" not in section(page, "fails")
    assert "No data &lt;here&gt;." in section(page, "missing")
    said = "the law shows in 1, does not show in 1, cannot be said here in 1 and was not computed in 1."
    assert said in page.read_text(encoding="utf-8")


def test_tables_have_plain_headings_and_files_keep_theirs(written: Path) -> None:
    text = section(written / "index.html", "fails")
    headings = re.findall(r'<th scope="col"[^>]*>([^<]+)</th>', text)
    assert headings[:5] == ["network", "step", "baseline [%]", "loss [points]", "lower bound [points]"]
    assert text.count('<th scope="row">resnet50_v1_5_int4</th>') == 2
    assert '<td class="words">yes</td>' in text
    assert '<td class="words">no</td>' in text
    assert "<td>–</td>" in text
    assert next(csv.reader(io.StringIO((written / "fails.csv").read_text()))) == list(WIDE)


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("mean_line_current_ua", "mean line current [µA]"),
        ("adc_range_ua", "ADC range [µA]"),
        ("energy_fj_per_op", "energy [fJ/op]"),
        ("tops_per_w", "efficiency [TOPS/W]"),
        ("area_mm2", "area [mm²]"),
        ("whole_set_low_points", "whole set, lower bound [points]"),
        ("energy_fj_per_op_high", "energy, upper bound [fJ/op]"),
        ("high_points", "upper bound [points]"),
        ("computed_low", "computed, lower bound"),
        ("stderr_a", "standard error [A]"),
        ("on_off_ratio", "on/off ratio"),
        ("bits_per_cell", "bits per cell"),
        ("alpha", "alpha"),
        ("trials", "trials"),
    ],
)
def test_headings(key: str, shown: str) -> None:
    assert heading(key) == shown


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("agrees", True, "yes"),
        ("quantity", "energy_fj_per_op", "energy [fJ/op]"),
        ("loss_points", 1.4e-14, "0"),
        ("fitted_a", 3.804e-8, "3.804·10⁻⁸"),
        ("r_p_hat", 1e-5, "10⁻⁵"),
        ("weights", 25_502_912, "25\u00a0502\u00a0912"),
        ("loss_points", 10.499999999999998, "10.5"),
        ("printed", "", "–"),
    ],
)
def test_cells(key: str, value: object, shown: str) -> None:
    assert cell(key, value) == shown


def test_values_of_numpy_are_as_plain_ones() -> None:
    columns, cells = table(
        [{"name": "p", "agrees": np.bool_(True), "loss_points": np.float64(np.nan), "printed": "8.40"}]
    )
    assert cells == [["p", "yes", "–", "8.40"]]
    assert [column.words for column in columns] == [True, True, False, False]


@pytest.mark.parametrize(
    ("tried", "texts"),
    [
        ((2.5, 5.0, 10.0, 20.0), ["2.5", "5", "10", "20"]),
        ((72, 144, 288, 576, 1152), ["72", "144", "288", "576", "1152"]),
        ((1e-8, 3e-6, 1e-2), ["10⁻⁸", "3·10⁻⁶", "10⁻²"]),
        ((3, 10, 30, 1000, 1e7), ["3", "10", "30", "1000", "10⁷"]),
        ((0, 1, 1.01, 10), ["1", "10"]),
    ],
)
def test_an_axis_has_its_numbers_where_was_tried(tried: tuple[float, ...], texts: list[str]) -> None:
    axis = lines("n", "", "", {"one": (tried, tried)}, "x", "y").layout["xaxis"]
    assert axis["ticktext"] == texts
    assert set(axis["tickvals"]) <= set(tried)


def test_a_logarithmic_scale_has_more_than_one_number() -> None:
    axis = bars("n", "", "", {"one": {"p": 5.1, "q": 76.8}}, "y", log=True).layout["yaxis"]
    assert [value for value in axis["tickvals"] if 5.1 <= value <= 76.8] == [10, 20, 50]
    x = np.linspace(1, 1000, 100)
    assert lines("n", "", "", {"curve": (x, x)}, "x", "y").layout["xaxis"]["dtick"] == 1


def test_bounds_are_drawn_as_error_bars() -> None:
    (one, two) = lines(
        "n", "", "", {"one": ([1, 2], [3, 4]), "two": ([1], [5])}, "x", "y", bounds={"one": ([2, np.nan], [3.5, 3.9])}
    ).data
    assert (one["error_y"]["arrayminus"], one["error_y"]["array"]) == ([1, None], [0.5, 0])
    assert "error_y" not in two
    (bar,) = bars("n", "", "", {"one": {"p": 1.0, "q": 2.0}}, "y", bounds={"one": {"q": (1.5, 4.0)}}).data
    assert (bar["error_y"]["arrayminus"], bar["error_y"]["array"]) == ([None, 0.5], [None, 2])


def test_bounds_of_what_is_not_drawn_are_refused() -> None:
    with pytest.raises(StudyError, match="ohne"):
        lines("n", "", "", {"one": ([1], [3])}, "x", "y", bounds={"ohne": ([2], [4])})
    with pytest.raises(StudyError, match="pp"):
        bars("n", "", "", {"one": {"p": 1.0}}, "y", bounds={"one": {"pp": (0.0, 1.0)}})


def test_on_a_telephone_verdicts_and_numbers_are_on_the_screen(written: Path, open_page: Callable[[Path], Any]) -> None:
    opened = open_page(written / "index.html")
    opened.resize(390)
    assert opened.run("return document.documentElement.scrollWidth") <= 390
    right = "return Math.max(...[...document.querySelectorAll('#laws td')].map(td => td.getBoundingClientRect().right))"
    assert opened.run(right) <= 390


def test_a_wide_table_fits_a_wide_screen(written: Path, open_page: Callable[[Path], Any]) -> None:
    opened = open_page(written / "index.html")
    opened.resize(1440)
    over = "const box = document.querySelector('#fails .scroll'); return box.scrollWidth - box.clientWidth"
    assert opened.run(over) <= 0


PRINTED = """
window.drawn = [];
window.addEventListener("beforeprint", () => window.drawn.push(document.querySelector(".plot")._fullLayout.width));
"""


def test_on_paper_plots_are_as_wide_as_the_page(written: Path, open_page: Callable[[Path], Any]) -> None:
    opened = open_page(written / "index.html")
    opened.resize(1440)
    width = "return document.querySelector('.plot')._fullLayout.width"
    opened.wait_until(f"{width} > 1000")
    before = opened.run(width)
    opened.run("document.documentElement.dataset.theme = 'dark'")
    opened.run(PRINTED)
    printed = opened.driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"]
    assert base64.b64decode(printed).startswith(b"%PDF")
    (drawn,) = opened.run("return window.drawn")
    # A4 less the margins, at 96 pixels an inch.
    assert drawn == pytest.approx((210 - 24) / 25.4 * 96, abs=4)
    opened.wait_until(f"{width} === {before}")
    assert opened.run("return document.documentElement.dataset.theme") == "dark"
    assert opened.run("return document.querySelector('.plot')._fullLayout.height") == DRAWN.height
    # What sticks out makes the browser print everything smaller.
    opened.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    opened.resize(703)
    over = "return [...document.querySelectorAll('table')].filter(t => t.getBoundingClientRect().right > 704).length"
    assert opened.run(over) == 0
    small = """
    return [...document.querySelectorAll('body :not(script, style, svg *)')].filter(e => e.textContent.trim())
        .map(e => parseFloat(getComputedStyle(e).fontSize)).filter(size => size < 7 / 72 * 96 - 0.01).length"""
    assert opened.run(small) == 0
    opened.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
