"""`devicekit train` as a new user would call it: a network and data of their own, a bad cell of their own."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from devicekit import load_device
from devicekit.cells.device_writing import save_device
from reports.command import build_app

OWN = """
from accuracy import data_sets, networks

def net():
    return networks.load("digits_cnn")

def data():
    digits = data_sets.load("digits")
    return {"train": digits.tensors("train"), "test": digits.tensors("test", 200)}
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(), list(arguments))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.py").write_text(OWN)
    cell = dataclasses.replace(load_device("sonos_40nm_tcas2022"), name="bad", error_scale=5.0)
    save_device(cell, tmp_path / "cells.toml", "a bad cell")
    return tmp_path


def test_a_new_user_trains_a_network_on_a_bad_cell(own: Path) -> None:
    """The accuracy on the bad cell rises, the weights load, and a rerun finds its checkpoint."""
    line = ("train", "--network", "my.py:net", "--data-set", "my.py:data", "--device", "cells.toml")
    line += ("--epochs", "6", "--learning-rate", "0.002", "--trials", "6")
    first = run(*line)
    assert first.exit_code == 0, first.stderr
    assert "after training, a gain of +" in " ".join(first.stdout.split())
    report = json.loads((own / "trained" / "training.json").read_text())
    (found,) = report["comparison"]
    assert found["gain"] > 0.02
    assert found["gain_interval"][0] > 0
    assert report["core"]["cell"]["error_scale"] == 5.0
    again = json.loads(run(*line, "--json").stdout)
    assert again["history"] == report["history"]
    assert again["comparison"] == report["comparison"]
    options = ("--network", "my.py:net", "--data-set", "my.py:data", "--device", "cells.toml", "--trials", "6")
    kept = run("accuracy", "A", *options, "--weights", "trained/weights.safetensors", "--seed", "1", "--json")
    assert kept.exit_code == 0, kept.stderr
    assert json.loads(kept.stdout)["designs"][0]["baseline"] == pytest.approx(found["after"]["baseline"], abs=0.006)
    other = run(*line, "--seed", "3")
    assert other.exit_code == 2
    assert "another training" in other.stderr


def test_settings_in_a_file_and_errors_in_words(own: Path) -> None:
    (own / "own.toml").write_text('epochs = 1\nnoise = "arrays"\nseed = 4\nbatch_size = 200\n')
    done = run("train", "D", "--settings", "own.toml", "--trials", "2", "--images", "50", "--at-scale", "3", "--json")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["settings"]["noise"], report["settings"]["seed"]) == ("arrays", 4)
    assert [row["error_scale"] for row in report["comparison"]] == [1.0, 3.0]
    (own / "own.toml").write_text("epoch = 1\n")
    for arguments, message in (
        (("--settings", "own.toml"), "epochs"),
        (("--epochs", "0"), "--epochs"),
        (("--device", "ideal", "--error-scale", "2"), "leave out --error-scale"),
        (("--trace-penalty", "1"), "sampled errors hold it already"),
    ):
        refused = run("train", *arguments, "--out", "other")
        assert refused.exit_code == 2, refused.stdout
        assert message in refused.stderr
    assert not (own / "other").exists()
