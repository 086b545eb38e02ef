"""The accuracy command: what its options do, on few images so that it stays quick."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reports.command import main

FEW = ["--images", "60", "--calibration-images", "60", "--trials", "1", "--json"]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    with pytest.raises(SystemExit) as stopped:
        main(["accuracy", *arguments, *FEW])
    assert stopped.value.code in (0, None)
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(["accuracy", *arguments, *FEW])
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_layer_report_names_converted_layers_only(capsys: pytest.CaptureFixture[str]) -> None:
    result = run(capsys, "A", "--layers", "--exclude", "fc", "--override", "conv1=B")
    layers = {layer["name"]: layer for layer in result["designs"][0]["layers"]}
    assert "conv1" in layers
    assert "fc" not in layers
    # Design B has eight weight slices where A has one.
    assert len(layers["conv1"]["ranges"]) == 8
    assert len(layers["conv2"]["ranges"]) == 1
    assert all(layer["snr_db"] > 5.0 for layer in layers.values())
    (other,) = result["designs"][0]["overrides"]
    assert (other["name"], other["layers"]) == ("B", ["conv1"])


def test_layers_on_another_core_have_the_circuits_sized_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    """And the wires that the command gives all cores, and what the others are read at."""
    wires = ["--r-p-hat", "1e-8", "--r-s-hat", "1e-9", "--age", "1 day"]
    row = run(capsys, "A", "--override", "conv?=B", "--override", "*=A", "--peripherals", "sized", *wires)["designs"][0]
    (other,) = row["overrides"]
    assert other["layers"] == ["conv1", "conv2", "conv3"]
    own, core = other["core"], row["core"]
    assert (own["peripherals"], core["peripherals"]) == ("sonos_40nm sized for B", "sonos_40nm sized for A")
    for part in ("wires", "cell", "age_s"):
        assert own[part] == core[part], part
    assert own["wires"]["r_p_hat"] == 1e-8
    with pytest.raises(SystemExit):
        main(["accuracy", "A", "--override", "conv1=B", *FEW[:-1]])
    assert "A: conv1 on B." in capsys.readouterr().err


def test_correction_recovers_what_offset_cells_lose_with_age(capsys: pytest.CaptureFixture[str]) -> None:
    aged = run(capsys, "E", "--age", "2 days")["designs"][0]
    trimmed = run(capsys, "E", "--age", "2 days", "--correct", "column_trim")["designs"][0]
    assert trimmed["mean"] >= aged["mean"]
    assert trimmed["loss_interval"][0] <= trimmed["loss"] <= trimmed["loss_interval"][1]


def test_top5_is_no_worse_than_top1(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "E", "--metric", "top5")["designs"][0]["mean"] >= run(capsys, "E")["designs"][0]["mean"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["A", "--override", "conv1"], "PATTERN=DESIGN"),
        (["A", "--override", "no_such_layer=B"], "no_such_layer"),
        (["A", "--device", "ideal", "--age", "1 day"], "Ideal cells neither age"),
        (["A", "--age", "2 volts"], "--age"),
        (["A", "--correct", "colum_trim"], "column_trim"),
        (["A", "--peripherals", "sonos_41nm"], "sonos_40nm"),
        (["A", "--bit-line", "resistr"], "resistor"),
        (["A", "--metric", "top3"], "top"),
    ],
)
def test_bad_options_get_one_message(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    error = refused(capsys, *arguments)
    assert message in error
    assert "Traceback" not in error


LANGUAGE = """
import torch
from torch import nn

class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.mix, self.head = nn.Embedding(12, 16), nn.Linear(16, 16), nn.Linear(16, 12)

    def forward(self, tokens):
        return self.head(torch.tanh(self.mix(self.embed(tokens))))

def make():
    return Tiny()

def sentences():
    tokens = torch.randint(0, 12, (24, 7), generator=torch.Generator().manual_seed(0))
    return (tokens, tokens), (tokens[:10], tokens[:10])
"""


def test_perplexity_of_a_network_and_data_of_the_users_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tinylm.py").write_text(LANGUAGE)
    monkeypatch.chdir(tmp_path)
    own = ["A", "--network", "tinylm.py:make", "--data-set", "tinylm.py:sentences", "--metric", "perplexity"]
    row = run(capsys, *own, "--trials", "2", "--layers")["designs"][0]
    assert 5.0 < row["baseline"] < 30.0, "about the vocabulary, untrained"
    assert row["loss"] == pytest.approx(row["mean"] - row["baseline"])
    assert row["loss_interval"][0] <= row["loss"] <= row["loss_interval"][1]
    assert row["images"] == 10
    assert [layer["name"] for layer in row["layers"]] == ["mix", "head"]
    with pytest.raises(SystemExit):
        main(["accuracy", *own, "--trials", "1"])
    shown = capsys.readouterr().out
    assert "Perplexity of tinylm.py:make on sentences" in shown
    assert "[%]" not in shown.split("Layer")[0]
