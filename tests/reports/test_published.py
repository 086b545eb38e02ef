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

from reports import network_step
from reports.command import build_app
from reports.errors import StudyError
from reports.published.registry import studies
from reports.published.run import reproduce
from reports.published.study import largest_tolerated

CHEAP = ("sonos_fit", "slicing", "energy", "core_costs")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reproduced")
    reproduce((*CHEAP, "data_sets"), out)
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
    assert found["data_sets"]["finding"]["shown"] is None


def test_the_page_opens_offline(written: Path, open_page: Callable[[Path], Any]) -> None:
    opened = open_page(written / "index.html")
    assert opened.errors == []
    assert opened.requests == []
    assert opened.run("return document.querySelectorAll('#laws tbody tr').length") == len(CHEAP) + 1
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
