"""Published figures computed again: laws that need no network, the run that goes on where it stopped, the page."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from circuits import CoreDesign
from reports import network_step
from reports.cache import ResultCache
from reports.command import build_app
from reports.errors import StudyError
from reports.published.chips import _kept_over_a_day, chips, figure_of, flash_design
from reports.published.conversions import _agrees, _loss
from reports.published.errors import MAPPINGS
from reports.published.registry import studies
from reports.published.run import reproduce
from reports.published.study import Setting, largest_tolerated
from reports.published.tables import ALIGNED, _verdict_of_cores

CHEAP = ("sonos_fit", "slicing", "energy", "core_costs", "chip_energy")
WITHOUT_DATA = ("data_sets", "chip_pcm", "chip_reram", "chip_flash")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reproduced")
    reproduce((*CHEAP, *WITHOUT_DATA), out)
    return out


def test_laws_that_need_no_network_show(written: Path) -> None:
    found = {own["name"]: own for own in json.loads((written / "results.json").read_text())["studies"]}
    assert [found[name]["finding"]["shown"] for name in CHEAP] == [True] * len(CHEAP)
    with (written / "slicing.csv").open() as file:
        gains = {int(row["slices"]): float(row["snr_gain"]) for row in csv.DictReader(file)}
    # Four slices of two bits: 255 / (3 sqrt(1 + 16 + 256 + 4096)), as published 1.286; never above the root of 3.
    assert gains[4] == pytest.approx(255 / (3 * math.sqrt(4369)), rel=1e-12)
    assert gains[4] == pytest.approx(1.286, abs=5e-4)
    assert gains[1] == 1.0
    assert max(gains.values()) < math.sqrt(3)
    # Without the data sets nothing is said.
    assert [found[name]["finding"]["shown"] for name in WITHOUT_DATA] == [None] * len(WITHOUT_DATA)


def test_energy_of_chips(written: Path) -> None:
    with (written / "chip_energy.csv").open() as file:
        rows = list(csv.DictReader(file))
    by_quantity = {(row["quantity"], row["setting"]): row for row in rows}
    # 256 word lines of 48 fF + 256 x 1.5 fF, from 0.9 V to 2.2 V, once for each of three bits, over 2 x 128 x 256.
    lines = by_quantity["word_lines_fj_per_op", "4 bits in, 6 out"]
    assert float(lines["computed"]) == pytest.approx(3 * 256 * 432 * 2.2 * 1.3 / 65536, rel=1e-9)
    assert float(by_quantity["energy_fj_per_op", "4 bits in, 6 out"]["measured"]) == pytest.approx(62.38)
    for row in rows:
        assert float(row["measured_over_computed"]) == pytest.approx(float(row["measured"]) / float(row["computed"]))
        low, high = (float(row[end] or row["computed"]) for end in ("computed_low", "computed_high"))
        assert low <= float(row["computed"]) <= high


def test_energies_that_a_chip_states_twice_agree() -> None:
    """The parts of a product's energy sum to the efficiency of another figure, read off separately."""
    table = chips()["reram_wan2022"]["energy"]
    parts = [table[name] for name in ("word_lines_fj_per_op", "neurons_fj_per_op", "input_pulses_fj_per_op")]
    for efficiency, *own in zip(table["tops_per_w"], *parts, strict=True):
        assert 1000 / sum(own) == pytest.approx(efficiency, rel=0.12)


def test_a_chip_of_flash_has_as_many_cells_as_it_states() -> None:
    designs = [flash_design(784, 64), flash_design(64, 10)]
    assert sum(design.cells for design in designs) == figure_of("flash_guo2017", "cells") == 101_780


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "shown"), [("chip_pcm", None), ("chip_reram", True), ("chip_flash", True)])
def test_chips_show_their_laws(shared_data: Path, tmp_path: Path, name: str, shown: bool | None) -> None:
    """So few images cannot say that accuracy falls by only 0.2 points over a day, see the test of wide intervals."""
    (found,) = reproduce((name,), tmp_path, data=shared_data)
    assert found.finding is not None
    print(found.finding.measured)
    assert found.finding.shown is shown
    if name == "chip_pcm":
        left = {row["compensation"]: row["computed_percent"] for row in found.finding.rows if row["age"] == "1 day"}
        assert left["batch-norm statistics"] > left["one gain a layer"] + 3.0 > left["none"] + 20.0


def test_the_page_opens_offline(written: Path, open_page: Callable[[Path], Any]) -> None:
    opened = open_page(written / "index.html")
    assert opened.errors == []
    assert opened.requests == []
    assert opened.run("return document.querySelectorAll('#laws tbody tr').length") == len(CHEAP) + len(WITHOUT_DATA)
    empty = "return [...document.querySelectorAll('.plot')].filter(p => !p._fullData?.length).map(p => p.id)"
    assert opened.run(empty) == []
    opened.resize(390)
    assert opened.run("return document.documentElement.scrollWidth") <= 390


def test_a_run_goes_on_where_it_stopped_and_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated: list[str] = []
    real = network_step._evaluated

    def stops(*args):
        if len(evaluated) == 5:
            raise KeyboardInterrupt
        evaluated.append("once")
        return real(*args)

    monkeypatch.setattr(network_step, "_evaluated", stops)
    with pytest.raises(KeyboardInterrupt):
        reproduce(("on_off_ratio",), tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "results.json").exists()
    evaluated.clear()
    monkeypatch.setattr(network_step, "_evaluated", lambda *args: (evaluated.append("more"), real(*args))[1])
    reproduce(("on_off_ratio",), tmp_path / "stopped")
    assert len(evaluated) == 12 - 5
    evaluated.clear()
    reproduce(("on_off_ratio",), tmp_path / "whole")
    assert len(evaluated) == 12
    first, second = ((tmp_path / own / "results.json").read_text() for own in ("stopped", "whole"))
    assert first == second


def test_what_is_tolerated_is_interpolated() -> None:
    assert largest_tolerated((0.01, 0.1, 1.0), (0.0, 1.0, 3.0), 2.0) == pytest.approx(math.sqrt(0.1))
    assert largest_tolerated((0.01, 0.1), (0.0, 1.0), 2.0) == 0.1
    assert largest_tolerated((0.01, 0.1), (3.0, 9.0), 2.0) == 0.01


def test_names_are_listed_and_unknown_ones_refused(tmp_path: Path) -> None:
    listed = CliRunner().invoke(build_app("reproduce"), ["reproduce", "list", "--json"])
    assert [own["name"] for own in json.loads(listed.stdout)] == list(studies())
    with pytest.raises(StudyError, match="energy"):
        reproduce(("enregy",), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(-0.15, 2.0, True), (-9.9, 5.4, None), (0.5, 2.0, False), (0.5, 9.0, False)]
)
def test_a_wide_interval_is_no_agreement(low: float, high: float, verdict: bool | None) -> None:
    assert _agrees([{"low_points": low, "high_points": high, "published_points": 0.12}]) is verdict


def test_wires_cost_what_they_cost_and_offset_cells_more(tmp_path: Path) -> None:
    """A line of hundreds of cells whose resistance is a thousandth of one cell's has lost most of its voltage."""
    setting = Setting(quick=True, data=None, seed=0, cache=ResultCache(tmp_path))
    few = {"images": 60, "calibration_images": 60}
    lost = {
        (form, r_p_hat): _loss(setting, CoreDesign(adc_bits=None, negative_weights=form, r_p_hat=r_p_hat), **few)[
            "loss_points"
        ]
        for form, r_p_hat in [("differential", 1e-8), ("differential", 1e-3), ("offset", 1e-8), ("offset", 1e-4)]
    }
    assert abs(lost["differential", 1e-8]) < 5
    assert abs(lost["offset", 1e-8]) < 5
    assert lost["differential", 1e-3] > 50
    # A tenth of the resistance is enough where every cell conducts half of the most on average.
    assert lost["offset", 1e-4] > 50


def test_mappings_hold_weights_in_one_cell_where_they_say_no_other() -> None:
    assert {name: design.slices for name, design in MAPPINGS.items()} == {
        "differential": 1,
        "differential, 2 bits a cell": 4,
        "offset": 1,
        "offset with unit column": 1,
        "offset, 2 bits a cell": 4,
    }


@pytest.mark.parametrize(
    ("e", "b", "verdict"),
    [((20, 30), (-1, 1), True), ((2, 9), (-1, 1), None), ((-3, 0.5), (-1, 1), False), ((20, 30), (4, 6), False)],
)
def test_a_verdict_on_cores_rests_on_intervals(
    e: tuple[float, float], b: tuple[float, float], verdict: bool | None
) -> None:
    ends = {"A": (1.0, 3.0), "B": b, "C": (1.0, 3.0), "D": (1.0, 3.0), ALIGNED: e}
    rows = {name: {"cells_low_points": low, "cells_high_points": high} for name, (low, high) in ends.items()}
    assert _verdict_of_cores(rows) is verdict


@pytest.mark.parametrize(
    ("ordered", "fall", "margin", "verdict"),
    [(True, 0.1, 0.5, True), (True, 0.5, 4.5, None), (True, 2.0, 0.5, False), (False, 0.1, 0.5, False)],
)
def test_a_wide_interval_does_not_say_that_accuracy_is_kept(
    ordered: bool, fall: float, margin: float, verdict: bool | None
) -> None:
    assert _kept_over_a_day(ordered, fall, margin, 0.2) is verdict


def test_every_study_says_when_its_law_counts_as_shown() -> None:
    assert [name for name, study in studies().items() if not study.criterion] == []
