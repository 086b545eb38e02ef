"""Two results side by side: changes that are there are found, those that are not are not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from reports import Store, Study, StudyError, sweep
from reports.command import build_app
from reports.sweeps.comparison import LEVEL, _accuracy_change, _mark_significant, compare

COSTS: dict[str, Any] = {"designs": ("A",), "device": "sonos_40nm_tcas2022", "accuracy": "none"}


def cells(path: Path, spread: float, seed: int, shift: float = 1.0) -> Path:
    generator = np.random.default_rng(seed)
    with path.open("w") as file:
        file.write("target_current (nA),current (nA)\n")
        for target in np.linspace(50, 1600, 16):
            for value in generator.normal(shift * target, spread * 39.6 * (1 - np.exp(-target / 530)), 200):
                file.write(f"{target:.3f},{value:.3f}\n")
    return path


def test_wafers_that_differ_and_wafers_that_do_not(tmp_path: Path) -> None:
    old, same = cells(tmp_path / "old.csv", 1.0, 0), cells(tmp_path / "same.csv", 1.0, 1)
    wider = cells(tmp_path / "wider.csv", 1.3, 2)
    found = compare(old, wider)
    assert found.kind == "cells"
    middle = found.cells[2]
    assert middle["sigma_new_a"] / middle["sigma_old_a"] == pytest.approx(1.3, abs=0.1)
    assert middle["sigma_significant"]
    assert "spread changes by" in found.sentences[0]
    assert not any(row["sigma_significant"] or row["mean_significant"] for row in compare(old, same).cells)
    assert "no more than chance" in compare(old, same).sentences[0]
    bundled = compare("sonos_40nm_tcas2022", "sonos_40nm_iedm2022")
    assert bundled.cells[2]["sigma_p"] is None
    assert "does not say what is chance" in bundled.sentences[0]


def accuracies(mean: float, seed: int, trials: int = 10) -> dict[str, Any]:
    each = np.random.default_rng(seed).normal(mean, 0.004, trials)
    return {
        "mean": float(each.mean()), "std": float(each.std(ddof=1)), "loss": 0.97 - float(each.mean()),
        "per_trial": each.tolist(), "trials": trials, "images": 360,
    }  # fmt: skip


def test_chance_alone_is_called_significant_as_seldom_as_it_says() -> None:
    rejected = 0
    for study in range(400):
        rows = [_accuracy_change(accuracies(0.9, 20 * study + own), accuracies(0.9, 20 * study + 10 + own))
                for own in range(5)]  # fmt: skip
        _mark_significant(rows, "accuracy_p", "accuracy_significant")
        rejected += any(row["accuracy_significant"] for row in rows)
    # Binomial: 400 studies at 5 % give 20, standard deviation 4.4.
    assert rejected / 400 == pytest.approx(LEVEL, abs=0.033)


def test_intervals_of_a_change_hold_it() -> None:
    rows = [_accuracy_change(accuracies(0.95, 2 * own), accuracies(0.94, 2 * own + 1)) for own in range(300)]
    inside = np.mean([row["accuracy_change_low"] <= -0.01 <= row["accuracy_change_high"] for row in rows])
    assert inside == pytest.approx(0.95, abs=0.04)
    same = _accuracy_change(accuracies(0.9, 0), accuracies(0.9, 0))
    assert (same["accuracy_change"], same["accuracy_p"]) == (0.0, 1.0)


def test_runs_of_a_store_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    sweep(Study(vary={"adc_bits": "6,8"}, **COSTS), path, name="old", workers=1)
    sweep(Study(vary={"adc_bits": "7,8"}, **COSTS), path, name="new", workers=1)
    found = compare(f"{path}:old", f"{path}:new")
    assert [row["design"] for row in found.designs] == ["A adc_bits=8"]
    assert (found.only_old, found.only_new) == (["A adc_bits=6"], ["A adc_bits=7"])
    row = found.designs[0]
    assert row["network_energy_uj_old"] == row["network_energy_uj_new"]
    assert row["network_energy_uj_apart"] is False
    assert "Network area: unchanged." in found.sentences
    assert "The recommended core changes: A adc_bits=6 → A adc_bits=7." in found.sentences
    done = CliRunner().invoke(build_app("compare"), ["compare", f"{path}:old", f"{path}:new", "--json"])
    assert json.loads(done.stdout)["designs"][0]["design"] == "A adc_bits=8"
    with pytest.raises(StudyError, match="the store has 2 runs: old, new"):
        compare(path, path)
    with pytest.raises(StudyError, match="Expected two results or two cells"):
        compare(f"{path}:old", "sonos_40nm_tcas2022")
    sweep(Study(vary={"adc_bits": "5"}, **COSTS), path, name="other", workers=1)
    with pytest.raises(StudyError, match="no design in common"):
        compare(f"{path}:old", f"{path}:other")
    with Store(path) as store:
        assert len(store.runs()) == 3


@pytest.mark.parametrize("source", ["no_such_file.csv", "folder", "x.json"])
def test_what_is_no_result(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "x.json").write_text("{}")
    done = CliRunner().invoke(build_app("compare"), ["compare", source, "sonos_40nm_tcas2022"])
    assert done.exit_code == 2
    assert source in done.output
