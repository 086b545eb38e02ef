"""Evaluation: reproducible whatever the batches, paired with the baseline, stopped early, and clear refusals."""

from __future__ import annotations

import copy
import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from accuracy import Accuracy, EvaluationError, LayerReport, analog_layers, calibrate, convert, evaluate, layer_report
from circuits import Faults, load_peripherals
from devicekit import Cell, StateIndependent, StateProportional, load_device
from tests.accuracy.small_networks import design, small_data, small_network

NOISY = Cell(
    error=StateIndependent(0.08), i_max=1.6e-6, on_off_ratio=1e7, read_voltage=0.1, read_noise=StateProportional(0.05)
)
PLAIN = Cell(error=StateIndependent(0.08), i_max=1.6e-6, on_off_ratio=1e7, read_voltage=0.1)


def ready(name: str = "A", cell: Cell | None = PLAIN, **changes: object) -> torch.nn.Module:
    return calibrate(convert(small_network(), design(name, **changes), cell), small_data(seed=2))


@pytest.mark.parametrize(
    ("name", "changes", "cell"),
    [
        ("A", {}, PLAIN),
        ("B", {}, PLAIN),
        ("C", {"max_rows": 30}, PLAIN),
        ("D", {}, PLAIN),
        ("E", {}, PLAIN),
        ("A", {}, NOISY),
        ("E", {}, NOISY),
        pytest.param(
            "A",
            {"r_p_hat": 1e-4},
            NOISY,
            # Such wires are beyond what a resistor's cell models well; here they only have to be reproducible.
            marks=pytest.mark.filterwarnings("ignore::circuits.EnvelopeWarning"),
        ),
    ],
    ids=["A", "B", "C uneven", "D", "E", "A read noise", "E read noise", "A bit line"],
)
def test_results_do_not_depend_on_the_batch_size(name: str, changes: dict[str, object], cell: Cell) -> None:
    model = ready(name, cell, **changes)
    scored = lambda outputs, _: outputs[:, 0].to(torch.float64)  # noqa: E731
    outcomes = [evaluate(model, small_data(16, batch), 2, seed=3, metric=scored) for batch in (16, 5, 1)]
    for other in outcomes[1:]:
        np.testing.assert_allclose(other.scores, outcomes[0].scores, rtol=0, atol=1e-5)


def test_the_number_of_threads_changes_nothing() -> None:
    model, data = ready("E"), small_data(64, 64)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(evaluate(model, data, 2).scores)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)


class Twice(nn.Module):
    """Uses a layer twice on each image, and another on four vectors of each."""

    def __init__(self) -> None:
        super().__init__()
        self.mix, self.head = nn.Linear(12, 12), nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.mix(torch.relu(self.mix(x.flatten(1)[:, :12]))))
        return self.head(x.reshape(-1, 3)).reshape(-1, 4, 4).mean(dim=1)


def test_layers_used_several_times_draw_noise_of_their_own_whatever_the_batch_size() -> None:
    torch.manual_seed(1)
    model = calibrate(convert(Twice(), design("A"), NOISY), small_data(seed=2))
    outcomes = [evaluate(model, small_data(16, batch), 2, metric=CROSS_ENTROPY) for batch in (16, 5, 1)]
    for other in outcomes[1:]:
        np.testing.assert_allclose(other.scores, outcomes[0].scores, rtol=0, atol=1e-5)
    noise, drawn = analog_layers(model)[0].array.noise, []
    noise.place([3, 4])
    for _ in range(2):
        noise.begin(2)
        drawn.append(noise.normals((2, 5), torch.zeros(1)))
    assert len({float(value) for part in drawn for value in part.flatten()}) == 20
    noise.restart()


# A score that shows every difference, and that other processes can be told of.
CROSS_ENTROPY = functools.partial(nn.functional.cross_entropy, reduction="none")


@pytest.mark.parametrize(
    ("name", "cell", "options"),
    [
        ("A", NOISY, {}),
        pytest.param("E", load_device("sonos_40nm_iedm2022"), {"draw_cells": True}, marks=pytest.mark.slow),
        pytest.param(
            "D", PLAIN, {"corrections": ["column_trim"], "correction_batches": small_data(32)}, marks=pytest.mark.slow
        ),
    ],
    ids=["read noise", "drawn cells", "corrected"],
)
def test_the_number_of_worker_processes_changes_nothing(name: str, cell: Cell, options: dict[str, Any]) -> None:
    model = ready(name, cell)
    steps: list[tuple[int, int]] = []
    alone = evaluate(model, small_data(32, 32), 3, seed=3, metric=CROSS_ENTROPY, **options)
    spread = evaluate(
        model,
        small_data(32, 32),
        3,
        seed=3,
        metric=CROSS_ENTROPY,
        workers=2,
        progress=lambda done, passes: steps.append((done, passes)),
        **options,
    )
    np.testing.assert_array_equal(spread.scores, alone.scores)
    np.testing.assert_array_equal(spread.per_trial, alone.per_trial)
    assert spread.clipped_inputs == alone.clipped_inputs
    assert steps == [(k, 5) for k in range(1, 6)]
    assert not np.array_equal(alone.scores[0], alone.scores[2])


@pytest.mark.slow
def test_worker_processes_stop_early_at_the_same_trial() -> None:
    model, data = ready(), small_data()
    alone = evaluate(model, data, 12, tolerance=0.08)
    spread = evaluate(model, data, 12, tolerance=0.08, workers=2)
    assert 3 <= len(alone.per_trial) < 12
    assert spread.stopped_early
    np.testing.assert_array_equal(spread.per_trial, alone.per_trial)


class EndsItsProcess:
    """A score that other processes do not survive being told of."""

    def __call__(self, outputs: Tensor, _: Any) -> Tensor:
        return outputs[:, 0]

    def __reduce__(self) -> Any:
        return os._exit, (3,)


@pytest.mark.slow
def test_a_worker_that_ends_is_named() -> None:
    with pytest.raises(EvaluationError, match="worker process ended before its trial did"):
        evaluate(ready(), small_data(8, 4), 2, metric=EndsItsProcess(), workers=2)


@pytest.mark.slow
def test_a_script_without_its_guard_ends_and_says_so(tmp_path: Path) -> None:
    """Each worker would run the script, and start workers, again."""
    script = tmp_path / "script.py"
    script.write_text(
        "import torch\n"
        "from accuracy import calibrate, convert, evaluate\n"
        "from circuits import CoreDesign\n"
        "from devicekit import load_device\n"
        "x = torch.rand(8, 4)\n"
        "batches = [(x, torch.zeros(8).long())]\n"
        "cell = load_device('sonos_40nm_tcas2022')\n"
        "model = calibrate(convert(torch.nn.Linear(4, 3), CoreDesign(), cell), batches)\n"
        "evaluate(model, batches, 2, workers=2)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode != 0
    assert "put what it runs under `if __name__ == '__main__':`" in done.stderr
    assert "A worker process ended before its trial did" in done.stderr


def test_what_cannot_be_sent_to_other_processes_is_refused() -> None:
    with pytest.raises(EvaluationError, match=r"sent to other processes.*workers=1"):
        evaluate(ready(), small_data(), 2, metric=lambda outputs, _: outputs[:, 0], workers=2)


@pytest.mark.parametrize("workers", [0, 1.5, True])
def test_an_impossible_number_of_workers_is_refused(workers: Any) -> None:
    with pytest.raises(EvaluationError, match="Expected `workers` to be an integer of at least 1"):
        evaluate(ready(), small_data(), 2, workers=workers)


@pytest.mark.parametrize("name", ["A", "B", "D", "E"])
def test_a_copy_of_a_model_that_ran_is_a_model_of_its_own(name: str) -> None:
    """Layouts for the kernels hold addresses; a copy makes its own."""
    model = ready(name)
    x = small_data()[0][0]
    with torch.inference_mode():
        before = model(x)
        copied = copy.deepcopy(model)
        for layer in analog_layers(model):
            layer.program(9)
        assert not torch.equal(model(x), before)
        assert torch.equal(copied(x), before)


def test_the_same_seed_is_the_same_chip_and_trials_differ() -> None:
    model, data = ready(), small_data()
    scored = lambda outputs, _: outputs[:, 0]  # noqa: E731
    first, second, other = (evaluate(model, data, 2, seed=seed, metric=scored) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.scores, second.scores)
    assert not np.array_equal(first.scores, other.scores)
    assert not np.array_equal(first.scores[0], first.scores[1])


def test_trials_do_not_depend_on_how_many_there_are() -> None:
    model, data = ready(), small_data()
    np.testing.assert_array_equal(evaluate(model, data, 1).scores[0], evaluate(model, data, 4).scores[0])


def test_a_trial_programs_anew_without_rebuilding_the_model() -> None:
    model = ready()
    modules = [id(module) for module in model.modules()]
    arrays = [layer.array for layer in analog_layers(model)]
    evaluate(model, small_data(), 3)
    assert [id(module) for module in model.modules()] == modules
    assert all(layer.array is array for layer, array in zip(analog_layers(model), arrays, strict=True))


def test_parts_of_the_loss_add_up() -> None:
    found = evaluate(ready("A", adc_bits=4), small_data(), 4)
    assert found.baseline == 1.0, "labels are what the float network says"
    assert found.loss == pytest.approx(found.quantisation_loss + found.device_loss)
    assert found.loss == pytest.approx(found.baseline - found.mean)
    assert found.images == 96
    assert found.per_trial == pytest.approx(found.scores.mean(axis=1))
    assert found.std == pytest.approx(np.std(found.per_trial, ddof=1))


def test_ideal_cells_do_not_spread() -> None:
    found = evaluate(ready("A", cell=None), small_data(), 3)
    assert found.std == 0.0
    assert found.mean == found.ideal
    assert evaluate(ready("A", cell=None), small_data(), 1).std == 0.0


def result(scores: Any, baseline: Any) -> Accuracy:
    scores, baseline = np.asarray(scores, dtype=float), np.asarray(baseline, dtype=float)
    return Accuracy(scores.mean(axis=1), float(baseline.mean()), 1.0, scores, baseline, baseline, {})


def test_the_interval_is_that_of_student() -> None:
    values = np.array([0.9, 0.8, 0.85, 0.95])
    found = Accuracy(values, 1.0, 1.0, None, None, None, {})
    wanted = stats.t.interval(0.9, 3, loc=values.mean(), scale=stats.sem(values))
    assert found.interval(0.9) == pytest.approx(wanted)
    with pytest.raises(EvaluationError, match="at least 2 trials"):
        Accuracy(values[:1], 1.0, 1.0, None, None, None, {}).interval()
    with pytest.raises(EvaluationError, match="paired bootstrap"):
        found.loss_interval()


def test_the_paired_bootstrap_cancels_what_is_hard_for_both() -> None:
    rng = np.random.default_rng(0)
    baseline = (rng.random(2000) < 0.7).astype(float)
    same = result(np.stack([baseline] * 4), baseline)
    assert -0.002 < same.loss_interval()[0] < 0.0 < same.loss_interval()[1] < 0.002, "nobody saw that there is none"
    scores = np.stack([np.where(rng.random(2000) < 0.02, 0.0, baseline) for _ in range(4)])
    low, high = result(scores, baseline).loss_interval()
    assert low < 0.7 * 0.02 < high
    assert high - low < 0.012, "unpaired it would be 0.04: the baseline's own sampling error"


def test_the_bootstrap_interval_covers_the_true_loss() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(60):
        baseline = (rng.random(400) < 0.9).astype(float)
        scores = np.stack([np.where(rng.random(400) < 0.05, 0.0, baseline) for _ in range(6)])
        low, high = result(scores, baseline).loss_interval(0.9, resamples=400, seed=seed)
        hits += low <= 0.9 * 0.05 <= high
    assert 46 <= hits <= 60


def test_trials_end_early_once_the_interval_is_small_enough() -> None:
    found = evaluate(ready(), small_data(), 50, tolerance=0.2)
    assert found.stopped_early
    assert 3 <= len(found.per_trial) < 50
    low, high = found.interval()
    assert (high - low) / 2 <= 0.2
    assert not evaluate(ready(), small_data(), 4, tolerance=1e-9).stopped_early


class Counting:
    """A metric in the style of torchmetrics."""

    def reset(self) -> None:
        self.right = self.seen = 0

    def update(self, outputs: Tensor, labels: Tensor) -> None:
        self.right += int((outputs.argmax(dim=1) == labels).sum())
        self.seen += len(labels)

    def compute(self) -> Tensor:
        return torch.tensor(self.right / self.seen)


def test_metrics_by_name_by_function_and_by_accumulation() -> None:
    model, data = ready(), small_data()
    named = evaluate(model, data, 2)
    accumulated = evaluate(model, data, 2, metric=Counting())
    assert accumulated.per_trial == pytest.approx(named.per_trial)
    assert accumulated.scores is None
    assert accumulated.images == 0
    assert evaluate(model, data, 1, metric="top5").mean == 1.0, "there are four classes"
    own = evaluate(model, data, 1, metric=lambda outputs, labels: outputs.argmax(dim=1) == labels)
    assert own.mean == named.per_trial[0]
    with pytest.raises(EvaluationError, match="one number for each of 32 examples"):
        evaluate(model, data, 1, metric=lambda outputs, labels: outputs.sum())
    with pytest.raises(EvaluationError, match="Did you mean 'top1'"):
        evaluate(model, data, 1, metric="topp1")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"trials": 0}, "`trials` to be an integer of at least 1, but got 0"),
        ({"trials": True}, "`trials`"),
        ({"tolerance": 0.0}, "`tolerance` to be above 0"),
        ({"corrections": ("trim",), "correction_batches": []}, "Unknown correction 'trim'"),
        ({"corrections": ("drift",)}, "need `correction_batches`"),
        ({"batches": []}, "data are empty"),
        ({"batches": iter([])}, r"one-shot iterator \(list_iterator\)"),
    ],
)
def test_impossible_evaluations_are_refused(change: dict[str, Any], match: str) -> None:
    with pytest.raises(EvaluationError, match=match):
        evaluate(ready(), **{"batches": small_data(), "trials": 1, **change})


def test_a_model_that_was_not_converted_is_refused() -> None:
    with pytest.raises(EvaluationError, match="convert it first"):
        evaluate(small_network(), small_data())


def test_inputs_out_of_range_are_counted_by_layer() -> None:
    model = ready("A", None)
    inside = evaluate(model, small_data(), 1).clipped_inputs
    assert set(inside) == {"conv1", "conv2", "fc"}
    assert max(inside.values()) < 0.01
    beyond = [(3.0 * inputs, labels) for inputs, labels in small_data()]
    assert evaluate(model, beyond, 1).clipped_inputs["conv1"] == pytest.approx(2 / 3, abs=0.03)


def test_progress_counts_every_pass() -> None:
    seen: list[tuple[int, int]] = []
    evaluate(ready(), small_data(), 2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_uncertainty_of_the_fit_flows_into_trials_on_request() -> None:
    cell = Cell(
        error=StateIndependent(0.08), i_max=1.6e-6, on_off_ratio=1e7, read_voltage=0.1, covariance=np.array([[0.03**2]])
    )
    model = ready("A", cell)
    layer = analog_layers(model)[0]
    fixed = evaluate(model, small_data(), 2)
    assert layer.array.cell is cell
    drawn = evaluate(model, small_data(), 2, draw_cells=True)
    assert layer.array.cell is not cell
    assert len({other.array.cell.error.alpha for other in analog_layers(model)}) == 1, "one chip, one technology"
    assert not np.array_equal(drawn.scores, fixed.scores)
    np.testing.assert_array_equal(evaluate(model, small_data(), 2).scores, fixed.scores)


def test_the_layer_report_finds_the_layer_that_loses() -> None:
    model = calibrate(
        convert(small_network(), design("A"), overrides={"conv2": design("A", adc_bits=2)}), small_data(seed=2)
    )
    rows = layer_report(model, small_data(), one_by_one=True)
    assert [row.name for row in rows] == ["conv1", "conv2", "fc"]
    worst = min(rows, key=lambda row: row.snr_db)
    assert worst.name == "conv2"
    assert min(rows, key=lambda row: row.accuracy_alone).name == "conv2"
    assert rows[0].network_snr_db == pytest.approx(rows[0].snr_db)
    with pytest.raises(EvaluationError, match="data are empty"):
        layer_report(model, [])


def test_results_print_on_one_line() -> None:
    result = Accuracy(
        per_trial=np.array([0.9, 0.92]), baseline=0.95, ideal=0.94, scores=np.zeros((2, 500)),
        baseline_scores=np.zeros(500), ideal_scores=np.zeros(500), clipped_inputs={},
    )  # fmt: skip
    assert repr(result) == "Accuracy(top1 0.91 ± 0.014 over 2 trials, float 0.95, loss 0.04, 500 images)"
    report = LayerReport("conv1", 9, 25, 31.26, 28.04, 0.00123)
    assert repr(report) == "LayerReport('conv1', 9 x 25: own SNR 31.3 dB, network SNR 28.0 dB, 0.12 % clipped)"


@pytest.mark.parametrize("cell", [None, PLAIN], ids=["nothing drawn", "cells"])
def test_where_nothing_is_drawn_one_trial_stands_for_all(cell: Cell | None) -> None:
    model, data = ready("A", cell), small_data(20, 20)
    read: list[int] = []
    analog_layers(model)[0].register_forward_hook(lambda *_: read.append(1))
    calls = {}
    for trials in (3, 4):
        read.clear()
        found = evaluate(model, data, trials)
        calls[trials] = len(read)
        assert found.per_trial.shape == (trials,)
        if cell is None:
            assert np.array_equal(found.scores, np.stack([found.ideal_scores] * trials))
    assert calls[4] - calls[3] == (0 if cell is None else 1)


def test_chips_with_faults_or_peripherals_vary() -> None:
    parts_of: list[dict[str, Any]] = [
        {},
        {"faults": Faults(0.1)},
        {"peripherals": load_peripherals("sonos_40nm", design("A"))},
    ]
    for parts in parts_of:
        model = convert(small_network(), design("A"), None, **parts)
        assert all(layer.array.varies == bool(parts) for layer in analog_layers(model))
