"""Language models and other metrics through studies and the command: right values in every output, or one refusal."""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import accuracy
import reports
from accuracy.evaluation.measures import measure_of
from circuits import NetworkCores, load_core
from devicekit.common.errors import DevicekitError
from reports.cache import ResultCache
from reports.command import main
from reports.figures import accuracy_against_energy, trials
from reports.metric import ShownMetric
from reports.network_step import LoadedNetwork, evaluate_design, load_network, summarise_network
from reports.page import command_line, render
from reports.prose import summary, table_note
from reports.results import StudyResult
from reports.study import Study
from reports.table import caption, joint_rows, short_rows

OWN = Path(__file__).with_name("language_networks.py")
LENGTH, WORDS = 6, 11


def study(network: str, data: str, metric: str, **others: Any) -> Study:
    own = metric if metric in accuracy.metric_names() else f"{OWN}:{metric}"
    return Study(
        designs=("A",), network=f"{OWN}:{network}", data_set=f"{OWN}:{data}", metric=own, device="sonos_40nm_tcas2022",
        trials=2, **others,
    )  # fmt: skip


def evaluated(asked: Study, folder: Path) -> tuple[LoadedNetwork, dict[str, Any], dict[str, Any]]:
    network = load_network(asked)
    core = load_core("A")
    found = evaluate_design(asked, network, NetworkCores(core), ResultCache(folder), lambda *_: None)
    return network, found["accuracy"], summarise_network(asked, network, [found])


def perplexity_of(model: Any, batches: list[tuple[tuple[Any, ...], Any]]) -> float:
    with torch.no_grad():
        parts = [(model(*inputs).flatten(0, 1), labels.flatten()) for inputs, labels in batches]
    logits, labels = (torch.cat(part) for part in zip(*parts, strict=True))
    return math.exp(float(F.cross_entropy(logits.double(), labels)))


@pytest.mark.parametrize("name", ["lstm", "gpt"])
def test_a_language_model_from_one_command(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], open_page: Callable[[Path], Any]
) -> None:
    words = ["A", "--network", f"{OWN}:{name}", "--data-set", f"{OWN}:tokens", "--metric", "perplexity"]
    words += ["--device", "sonos_40nm_tcas2022", "--trials", "3", "--out", str(tmp_path)]
    with pytest.raises(SystemExit) as stopped:
        main(["report", *words])
    assert stopped.value.code in (0, None)
    shown = capsys.readouterr().out
    assert "Perplexity of" in shown
    assert "%" not in shown.replace("95 %", "")

    document = json.loads((tmp_path / "results.json").read_text())
    model = accuracy.networks.load(f"{OWN}:{name}")
    inputs, labels = accuracy.data_sets.find(f"{OWN}:tokens").sources["test"]  # type: ignore[attr-defined]
    found = document["designs"][0]["accuracy"]
    assert document["metric"]["name"] == "perplexity"
    assert document["metric"]["higher_is_better"] is False
    assert found["baseline"] == pytest.approx(perplexity_of(model, [((inputs,), labels)]), rel=1e-5)
    assert 1.0 < found["baseline"] < WORDS, "it learnt something"
    assert found["loss"] == pytest.approx(np.mean(found["per_trial"]) - found["baseline"])
    assert found["loss_interval"][0] <= found["loss"] <= found["loss_interval"][1]
    assert (found["images"], found["labels"]) == (20, 20 * LENGTH)

    (row,) = csv.DictReader((tmp_path / "table.csv").read_text().splitlines())
    assert row["metric"] == "perplexity"
    assert float(row["perplexity_device"]) - float(row["perplexity_baseline"]) == pytest.approx(found["loss"])
    assert float(row["loss_perplexity"]) == pytest.approx(found["loss"])
    assert not any(column.startswith("accuracy_") or column.endswith(("_percent", "_points")) for column in row)
    cost = document["designs"][0]["network_cost"]
    assert int(row["tokens_per_inference"]) == LENGTH
    per_token = float(row["network_energy_gated_nj_per_token"])
    assert LENGTH * per_token == pytest.approx(sum(layer["energy_gated_nj"] for layer in cost["layers"]))

    digital = {own["name"]: own["reason"] for own in document["network"]["coverage"]["matrices"] if not own["analog"]}
    looked_up, products = ({"embed"}, 0) if name == "lstm" else ({"wte", "wpe"}, 1)
    assert {own for own, reason in digital.items() if reason.startswith("look-up")} == looked_up
    assert sum("two activations" in reason for reason in digital.values()) == products
    layers = {layer["name"]: layer["mvms"] for layer in document["network"]["layers"]}
    assert set(layers.values()) == {LENGTH}, "every matrix is used once a token"
    assert {own["name"] for own in document["designs"][0]["layer_reports"]} == set(layers)

    saved = Study.load(tmp_path / "study.toml")
    assert saved.metric == "perplexity"
    assert "--metric perplexity" in command_line(document["settings"])
    assert render(StudyResult.from_dict(document))

    page = open_page(tmp_path / "index.html")
    assert page.errors == []
    text = page.run("return document.body.innerText")
    parts = ["header", "#table", "#accuracy", "#inference", "#network"]
    told = page.run("return arguments[0].map(own => document.querySelector(own).innerText).join(' ')", parts)
    assert not re.search(r"accurac|\bimages?\b|percent|points", told, re.IGNORECASE)
    assert "lower is better" in text
    assert f"20 test sequences ({20 * LENGTH} tokens)" in text
    assert f"one sequence of {LENGTH} tokens" in text
    axis = "return document.getElementById('plot-accuracy-energy').layout.yaxis.title.text"
    assert page.run(axis) == "perplexity"
    for width in (1440, 390):
        page.resize(width)
        assert page.run("return document.documentElement.scrollWidth <= window.innerWidth")


def as_perplexity(made_up: StudyResult) -> StudyResult:
    """The made-up result with each loss of accuracy as a perplexity gained."""
    designs = []
    for design in made_up.designs:
        own, loss = design["accuracy"], 10 * design["accuracy"]["loss"]
        values = {
            "baseline": 12.0, "ideal": 12.01, "mean": 12.0 + loss, "loss": loss, "std": 0.0316, "labels": 3600,
            "per_trial": [12.0 + loss + step for step in (-0.04, 0.04)], "loss_interval": [loss - 0.06, loss + 0.06],
        }  # fmt: skip
        designs.append({**design, "accuracy": own | values})
    network = made_up.network | {
        "baseline": 12.0, "example": "sequence", "labels": 3600, "places_per_inference": 10, "data_set": "tokens",
    }  # fmt: skip
    return replace(made_up, metric=measure_of("perplexity").facts.to_dict(), network=network, designs=designs)


def test_lower_is_better_in_every_output(made_up: StudyResult) -> None:
    result = as_perplexity(made_up)
    figure = accuracy_against_energy(result)
    # By rising energy A 12.05, D 12.04, B 11.99 are each better than all before; C and E are beaten.
    assert figure.data[0]["y"] == pytest.approx([12.05, 12.04, 11.99])
    assert figure.caption.startswith("Down and to the left")
    assert trials(result).layout["yaxis"]["title"]["text"] == "perplexity − float network (+ is worse)"
    assert "Above the line" in trials(result).caption
    first = summary(result)[0]
    assert "has a perplexity of 12.00 on 360 test sequences (3 600 tokens) of tokens" in first
    assert "12.05 on A (+0.0500), 11.99 on B (-0.0100)" in first
    assert "so that + is worse" in table_note(result)
    assert "over whole sequences" in table_note(result)
    assert short_rows(result)[0]["Loss (+ is worse)"] == "+0.0500"
    assert short_rows(result)[0]["As built"] == "12.05 ± 0.032"
    assert "Perplexity of digits_cnn on 360 test sequences of tokens; float baseline 12.00;" in caption(result)
    rows = joint_rows(result)
    assert rows[4]["loss_perplexity"] == pytest.approx(0.61)
    assert rows[4]["loss_perplexity_low"] == pytest.approx(0.55)
    assert rows[0]["network_energy_gated_nj_per_token"] == pytest.approx(100 * rows[0]["network_energy_gated_uj"])


def test_accuracies_are_shown_as_before(made_up: StudyResult) -> None:
    assert short_rows(made_up)[0]["Loss [points]"] == "+0.50"
    assert accuracy_against_energy(made_up).layout["yaxis"]["title"]["text"] == "accuracy [%]"
    assert "metric" in joint_rows(made_up)[0]


@pytest.mark.parametrize(
    ("metric", "column", "loss", "unit"),
    [
        ("top1", "accuracy_device_percent", "loss_points", "%"),
        ("top5", "accuracy_device_percent", "loss_points", "%"),
        ("binary", "accuracy_device_percent", "loss_points", "%"),
        ("binary_probability", "accuracy_device_percent", "loss_points", "%"),
        ("multi_label", "accuracy_device_percent", "loss_points", "%"),
        ("cross_entropy", "cross_entropy_device_nat", "loss_nat", "nat"),
        ("perplexity", "perplexity_device", "loss_perplexity", ""),
        ("mse", "mse_device", "loss_mse", ""),
    ],
)
def test_every_metric_says_what_it_is(metric: str, column: str, loss: str, unit: str) -> None:
    shown = ShownMetric(measure_of(metric).facts.to_dict())
    assert (shown.column("device"), shown.loss_column, shown.unit) == (column, loss, unit)
    assert shown.higher_is_better == (unit == "%")
    assert metric in accuracy.metric_names()


def test_no_metric_is_without_a_case() -> None:
    marks = test_every_metric_says_what_it_is.pytestmark  # type: ignore[attr-defined]
    assert {case[0] for case in marks[0].args[1]} == set(accuracy.metric_names())


def test_padded_dictionaries_and_a_network_that_returns_an_object(tmp_path: Path) -> None:
    network, found, told = evaluated(study("Seq2Seq", "padded", "perplexity"), tmp_path)
    model = accuracy.networks.load(f"{OWN}:Seq2Seq")
    rows = network.data.sources["test"]  # type: ignore[attr-defined]
    with torch.no_grad():
        parts = [
            (model(**{key: row[key] for key in row if key != "labels"}).logits.flatten(0, 1), row["labels"].flatten())
            for row in rows
        ]
    logits, labels = (torch.cat(part) for part in zip(*parts, strict=True))
    counted = labels != -100
    assert found["baseline"] == pytest.approx(math.exp(float(F.cross_entropy(logits.double(), labels))), rel=1e-5)
    assert found["labels"] == int(counted.sum()) < LENGTH * found["images"]
    assert told["test_images"] == 14
    assert {layer.name: layer.mvms for layer in network.layers} == {
        "encoder": 6, "decoder.ih_l0": 6, "decoder.hh_l0": 6, "head": 6,
    }  # fmt: skip


def test_an_inference_is_one_sequence_where_the_time_comes_first(tmp_path: Path) -> None:
    network, found, _ = evaluated(study("time_first", "tokens_time_first", "perplexity"), tmp_path)
    model = accuracy.networks.load(f"{OWN}:time_first")
    batches = network.data.sources["test"]  # type: ignore[attr-defined]
    assert found["baseline"] == pytest.approx(perplexity_of(model, [((x,), y) for x, y in batches]), rel=1e-5)
    assert found["images"] == 16
    assert {layer.mvms for layer in network.layers} == {LENGTH}
    assert network.places == LENGTH
    macs = sum(row.macs for row in network.covered.matrices)
    assert macs == sum(layer.macs for layer in network.layers)


def test_one_logit_and_a_regression_of_two_inputs(tmp_path: Path) -> None:
    _, found, told = evaluated(study("pair", "pairs", "binary"), tmp_path)
    assert (found["baseline"], found["images"]) == (1.0, 30)
    assert told["example"] == "example"
    assert found["loss"] == pytest.approx(1.0 - found["mean"])
    _, found, _ = evaluated(study("pair", "regression", "mse"), tmp_path)
    assert found["baseline"] == pytest.approx(0.25, rel=1e-5), "labels are half a unit off"
    assert found["loss"] == pytest.approx(found["mean"] - 0.25, abs=1e-6)


def test_a_metric_of_the_users_own(tmp_path: Path) -> None:
    network, found, _ = evaluated(study("lstm", "tokens", "last_token"), tmp_path)
    model, (inputs, labels) = network.model, network.data.sources["test"]  # type: ignore[attr-defined]
    with torch.no_grad():
        wrong = float((model(inputs)[:, -1].argmax(dim=-1) != labels[:, -1]).float().mean())
    assert found["baseline"] == pytest.approx(wrong)
    assert found["loss"] == pytest.approx(found["mean"] - wrong, abs=1e-6)
    shown = ShownMetric(network.metric.to_dict())
    assert (shown.label, shown.column("device"), shown.loss_column) == (
        "error of the last token", "last_token_device_percent", "loss_points",
    )  # fmt: skip
    network, found, _ = evaluated(study("lstm", "tokens", "Largest"), tmp_path)
    with torch.no_grad():
        assert found["baseline"] == pytest.approx(float(network.model(inputs).max()), rel=1e-6)
    assert found["loss_interval"] is None
    assert network.metric.higher_is_better is False


def test_results_of_another_metric_are_not_taken(tmp_path: Path) -> None:
    first = evaluated(study("lstm", "tokens", "perplexity"), tmp_path)[1]
    second = evaluated(study("lstm", "tokens", "cross_entropy"), tmp_path)[1]
    assert math.log(first["baseline"]) == pytest.approx(second["baseline"])


@pytest.mark.parametrize(
    ("network", "data", "metric", "match"),
    [
        ("pair", "pairs", "top1", "cannot be ranked"),
        ("pair", "pairs", "perplexity", r"sequences, tokens, vocabulary"),
        ("lstm", "unlabelled", "perplexity", "the batches hold none"),
        ("lstm", "padded", "perplexity", "do not fit|cannot run"),
        ("Seq2Seq", "tokens", "perplexity", "do not fit|cannot run"),
        (
            "lstm",
            "tokens",
            "broken",
            r"'broken' cannot score a batch: .*language_networks\.py:\d+: ValueError: no idea",
        ),
        ("lstm", "tokens", "last_tokens", "last_token"),
        ("lstm", "tokns", "perplexity", "tokens"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_anything_slow(
    network: str, data: str, metric: str, match: str
) -> None:
    with pytest.raises(DevicekitError, match=match):
        load_network(study(network, data, metric))


def test_an_unknown_metric_is_refused_with_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study.toml").write_text('metric = "perplexty"\n')
    with pytest.raises(reports.StudyError, match=r"`metric`: Unknown metric 'perplexty'\. Did you mean 'perplexity'"):
        Study.load(tmp_path / "study.toml")
    with pytest.raises(SystemExit) as stopped:
        main(["report", "--metric", "perplexty", "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2
    assert "perplexity" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_files_of_a_study_are_found_beside_it(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN.read_text())
    np.savez(tmp_path / "mine.npz", x_train=np.zeros(1), y_train=np.zeros(1), x_test=np.zeros(1), y_test=np.zeros(1))
    text = 'network = "mine.py:lstm"\nmetric = "mine.py:last_token"\ndata_set = "mine.npz"\n'
    (tmp_path / "study.toml").write_text(text)
    found = Study.load(tmp_path / "study.toml")
    own = tmp_path.resolve()
    assert found.network == f"{own}/mine.py:lstm"
    assert found.metric == f"{own}/mine.py:last_token"
    assert found.data_set == f"{own}/mine.npz"
    # A package of that name is imported and no file.
    (tmp_path / "mine").mkdir()
    (tmp_path / "study.toml").write_text('network = "mine:lstm"\n')
    assert Study.load(tmp_path / "study.toml").network == "mine:lstm"


@pytest.mark.slow
def test_gpt2_of_transformers_from_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real GPT-2, labels equal to its inputs: its own loss is the logarithm of the perplexity."""
    # A torchvision built for another torch must not stand in the way: transformers does without.
    monkeypatch.setitem(sys.modules, "torchvision", None)
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    (tmp_path / "real.py").write_text(
        "import torch\n"
        "from transformers import GPT2Config, GPT2LMHeadModel\n\n"
        "def network():\n"
        "    sizes = dict(vocab_size=65, n_positions=16, n_embd=32, n_layer=2, n_head=2)\n"
        "    return GPT2LMHeadModel(GPT2Config(**sizes, tie_word_embeddings=False, use_cache=False))\n\n"
        "def tokens():\n"
        "    tokens = torch.randint(0, 65, (40, 16), generator=torch.Generator().manual_seed(0))\n"
        "    rows = [{'input_ids': part, 'labels': part} for part in tokens.split(10)]\n"
        "    return {'train': rows[:2], 'test': rows[2:]}\n"
    )
    assert transformers.GPT2LMHeadModel
    asked = Study(
        designs=("A",), network=f"{tmp_path}/real.py:network", data_set=f"{tmp_path}/real.py:tokens",
        metric="perplexity", device="sonos_40nm_tcas2022", trials=2,
    )  # fmt: skip
    reports.run_study(asked, tmp_path / "out")
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    model = accuracy.networks.load(asked.network)
    rows = accuracy.data_sets.find(str(asked.data_set)).sources["test"]  # type: ignore[attr-defined]
    with torch.no_grad():
        losses = [float(model(**row).loss) for row in rows]
    baseline = document["designs"][0]["accuracy"]["baseline"]
    assert math.log(baseline) == pytest.approx(np.mean(losses), rel=1e-5)
    assert document["designs"][0]["accuracy"]["labels"] == 20 * 15, "a sequence's first token is not predicted"
    analog = {own["name"] for own in document["network"]["coverage"]["matrices"] if own["analog"]}
    assert {
        f"transformer.h.{i}.{part}" for i in (0, 1) for part in ("attn.c_attn", "attn.c_proj", "mlp.c_fc")
    } <= analog
