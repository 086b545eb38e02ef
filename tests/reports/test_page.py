"""The page in a real browser, offline: nothing fails, nothing is loaded, every figure is drawn with its data."""

import re
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from circuits import Core, CoreDesign
from reports.design_lines import descriptions
from reports.figures import decade_ticks, page_figures
from reports.page import render
from reports.results import StudyResult
from reports.table import joint_rows
from tests.reports.built_cores import core_of

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


def test_axis_titles_stay_inside_when_the_window_changes(page: Path, open_page: Callable[[Path], Any]) -> None:
    opened = open_page(page)
    before = opened.run("return document.getElementById('plot-spread')._fullLayout.width")
    opened.resize(1000)
    opened.wait_until(f"return document.getElementById('plot-spread')._fullLayout.width !== {before}")
    outside = """
    return [...document.querySelectorAll('.plot')].filter(plot => {
        const title = plot.querySelector('.xtitle'), own = plot.getBoundingClientRect();
        return title && title.getBoundingClientRect().bottom > own.bottom;
    }).map(plot => plot.id);
    """
    assert opened.run(outside) == []


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
        assert entry["source"] in text
        assert f'class="kind {entry["kind"]}"' in text
    assert "<td>39.6 nA</td>" in text
    assert "<td>0.94 pJ</td><td>0.800 – 1.10</td>" in text


def test_the_page_says_when_there_was_no_simulator(made_up: StudyResult) -> None:
    assert made_up.spice is not None
    text = render(replace(made_up, spice=made_up.spice | {"recorded": True}))
    assert "Recorded earlier with ngspice 39" in text
    assert "Nothing came of ngspice on this machine; these values were recorded when the package was made." in text
    hanging = made_up.spice | {"recorded": True, "reason": "ngspice did not finish within 20 s. It said <nothing>."}
    said = "(ngspice did not finish within 20 s. It said &lt;nothing&gt;)"
    assert said in render(replace(made_up, spice=hanging))
    assert "was not confirmed by circuit simulation" in render(replace(made_up, spice=None))


def test_the_page_does_without_a_fit_wires_and_peripherals(
    made_up: StudyResult, tmp_path: Path, open_page: Callable[[Path], Any]
) -> None:
    # Digital networks have layers without error.
    exact = [{"name": "fc", "snr_db": None, "network_snr_db": None}]
    designs = [design | {"layer_reports": exact, "stages": []} for design in made_up.designs]
    path = tmp_path / "index.html"
    bare = replace(made_up, fit=None, designs=designs, wires=[], peripherals=None)
    path.write_text(render(bare), encoding="utf-8")
    opened = open_page(path)
    assert opened.errors == []
    assert [plot["name"] for plot in opened.run(DRAWN)] == [
        f"plot-{name}" for name in ("accuracy-energy", "trials", "energy-breakdown", "area-breakdown", "layer-energy")
    ]


def alike(made_up: StudyResult, *cores: CoreDesign | Core) -> str:
    first = made_up.designs[0]
    entries = [(core.design if isinstance(core, Core) else core).to_dict() | {"core": core_of(core)} for core in cores]
    return render(replace(made_up, designs=[first | entry for entry in entries]))


def lines_of(text: str) -> list[list[str]]:
    """Return the rows of the table of designs: label, and an entry a design."""
    start = text.index("<tbody>", text.index('<section id="designs"'))
    rows = text[start : text.index("</tbody>", start)].split("</tr>")
    return [line for row in rows if (line := re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row))]


CHANGES = {
    "matrix_rows": 576,
    "matrix_columns": 128,
    "negative_weights": "column_sign",
    "subtraction": "digital",
    "weight_bits": 9,
    "weight_scale": "column",
    "scale_columns": 16,
    "bias_rows": 2,
    "bias_scale": "weights",
    "bits_per_cell": 4,
    "max_rows": 144,
    "input_bits": 6,
    "bits_per_input_slice": 2,
    "input_accumulation": "digital",
    "accumulator_bits": 6,
    "input_encoding": "pulse_width",
    "adc_bits": 6,
    "adc_range": "full",
    "flipped_encoding": True,
    "r_p_hat": 1e-5,
}
"""A change of every field of a design."""


@pytest.mark.parametrize("field", CHANGES)
def test_two_designs_that_differ_in_one_field_never_look_equal(made_up: StudyResult, field: str) -> None:
    """The field stands in the table of designs with both values, and the row of the joint table is another one."""
    base = CoreDesign(
        name="one",
        negative_weights="offset" if field == "flipped_encoding" else "differential",
        weight_scale="array" if field == "scale_columns" else "layer",
    )
    other = base.replace(name="two", **{field: CHANGES[field]})
    text = alike(made_up, base, other)
    shown = [value for line in lines_of(text) for value in line[1:] if line[1] != line[2]]
    assert str(other.to_mapping()[field]).replace("_", " ").replace("True", "yes") in shown
    assert len(set(descriptions([own.to_dict() | {"core": core_of(own)} for own in (base, other)]))) == 2
    joint = text[text.index('<table id="joint"') : text.index("</table>")]
    assert len(set(re.findall(r'<span class="sub">([^<]*array[^<]*)</span>', joint))) == 2


PARTS = {
    "cell": ("sonos_40nm_iedm2022", "sonos_40nm_iedm2022"),
    "adc": ({"kind": "sar", "enob": 7.2}, "sar, ENOB 7.2"),
    "peripherals": ("sonos_40nm", "sonos_40nm"),
    "wires": ({"bit_line": "affine", "r_p_hat": 1e-6}, "affine"),
    "corrections": (("drift", "column_trim"), "drift, column trim"),
    "faults": ({"stuck_low": 0.01, "stuck_high": 2e-3}, "1 % off, 0.2 % on"),
    "age": (2 * 86400.0, "2 days"),
    "temperature": (330.0, "330 K, compensated 98 % by a reference cell, assumed"),
    "compensation": ("none", "310 K, uncompensated"),
}
"""A change of every part of a core beside its design, and how the page shows it."""


@pytest.mark.parametrize("part", PARTS)
def test_two_cores_that_differ_in_one_part_never_look_equal(made_up: StudyResult, part: str) -> None:
    value, shown = PARTS[part]
    base = Core("A", "sonos_40nm_tcas2022", name="one", temperature=310.0 if part == "compensation" else None)
    other = base.replace(name="two", **{part: value})
    text = alike(made_up, base, other)
    assert shown in [line[2] for line in lines_of(text) if line[1] != line[2]]
    joint = text[text.index('<table id="joint"') : text.index("</table>")]
    assert len(set(re.findall(r'<span class="sub">([^<]*array[^<]*)</span>', joint))) == 2
    first = made_up.designs[0]
    both = replace(made_up, designs=[first | {"core": core_of(core)} for core in (base, other)])
    assert joint_rows(both)[0] != joint_rows(both)[1]


def test_every_part_of_a_core_has_its_change() -> None:
    assert {*PARTS, "design", "name"} == {field.name for field in fields(Core)}


def test_every_field_of_a_design_has_its_change() -> None:
    assert set(CHANGES) == set(CoreDesign().to_mapping()) - {"name"}


def test_line_errors_stand_in_a_table(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "1152 differential cells" in text
    assert "A, B, D" in text


def test_the_same_result_gives_the_same_page(made_up: StudyResult) -> None:
    assert render(made_up) == render(made_up)


@pytest.mark.parametrize(("low", "high"), [(8.4, 902.0), (0.18, 1.01), (3.0, 60.0), (0.5, 0.6)])
def test_an_axis_of_energies_has_numbers_where_the_designs_lie(low: float, high: float) -> None:
    ticks = decade_ticks(low, high)
    if "dtick" in ticks:
        assert np.log10(high / low) >= 1.0
        return
    values = [float(text) for text in ticks["ticktext"]]
    np.testing.assert_allclose(values, ticks["tickvals"], rtol=1e-12)
    assert min(values) <= low <= high <= max(values)
    assert max(np.diff(np.log10(values))) < np.log10(2.6)
