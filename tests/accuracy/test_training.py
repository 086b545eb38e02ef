"""The trainer: its loop against one written out, its checkpoints against a killed process, its gain on bad cells."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from accuracy import CalibrationError, analog_layers, calibrate, convert, data_sets, evaluate, networks, training
from accuracy.layers.layer_state import Mode
from accuracy.layers.modes import layer_mode
from accuracy.training import Training, TrainingError
from accuracy.training.examples import Examples
from circuits import load_design
from devicekit import load_device
from tests.accuracy.small_networks import small_data, small_network

SONOS = load_device("sonos_40nm_tcas2022")
DAY = 86400.0


def small(error_scale: float = 4.0, design: str = "A") -> nn.Module:
    cell = dataclasses.replace(SONOS, error_scale=error_scale)
    return calibrate(convert(small_network(), load_design(design), cell, seed=0), small_data())


def weights(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def test_plain_training_is_the_loop_written_out() -> None:
    """Without noise: torch's AdamW on the folded float network, in the order of the examples, along half a cosine."""
    settings = Training(noise="none", epochs=3, batch_size=16, learning_rate=2e-3, weight_decay=0.01, validation=0)
    model, twin = small(), small()
    training.train(model, small_data(), settings)
    examples = Examples(small_data(), 16, settings.seed)
    assert examples.steps == 6
    optimiser = torch.optim.AdamW(twin.parameters(), 2e-3, weight_decay=0.01)
    steps = 0
    with layer_mode(analog_layers(twin), Mode.FLOAT):
        for epoch in range(3):
            seen = []
            for x, y in examples.epoch(epoch):
                for group in optimiser.param_groups:
                    group["lr"] = 1e-3 * (1 + math.cos(math.pi * steps / 18))
                optimiser.zero_grad()
                nn.functional.cross_entropy(twin(x), y).backward()
                optimiser.step()
                steps += 1
                seen.append(x)
            ordered = torch.cat(seen)
            assert not torch.equal(ordered, torch.cat([x for x, _ in small_data()])), "shuffled"
            same = torch.cat([x for x, _ in small_data()]).flatten(1).sum(dim=1).sort().values
            torch.testing.assert_close(ordered.flatten(1).sum(dim=1).sort().values, same)
    for found, wanted in zip(weights(model), weights(twin), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("noise", ["weights", "arrays"])
def test_same_seed_same_weights_and_layers_left_out(noise: Any) -> None:
    settings = Training(noise=noise, epochs=1, draws=2, age=("1 s", "2 days"), optimiser="sgd", learning_rate=0.01)
    seen = []
    for changes in ({}, {}, {"seed": 1}, {"age": (0.0, 0.0)}, {"layers": ("conv2",)}, {"draws": 1}):
        model = small()
        result = training.train(model, small_data(), settings.model_copy(update=changes))
        assert len(result.history) == 2
        seen.append(torch.cat([w.flatten() for w in weights(model)]) if result.best_epoch else None)
        losses = [result.history[-1].training_loss, result.history[0].validation_loss]
        seen[-1] = losses
    assert seen[0] == seen[1]
    for other in seen[2:]:
        assert other != seen[0]


CHILD = """
import sys, types
# Some packages install a `tests` of their own (badcrossbar, of the benchmarks).
sys.modules["tests"] = types.ModuleType("tests")
sys.modules["tests"].__path__ = ["tests"]
from tests.accuracy.test_training import resumed
resumed(sys.argv[1], slow=sys.argv[2] == "slow")
"""


def resumed(checkpoint: str | None, *, slow: bool = False) -> tuple[nn.Module, training.TrainingResult]:
    model = small()
    settings = Training(epochs=4, batch_size=16, learning_rate=2e-3)

    def pause(done: int, total: int) -> None:
        if slow:
            time.sleep(0.2)

    result = training.train(
        model, small_data(), settings, checkpoint=checkpoint, checkpoint_seconds=0.0, progress=pause
    )
    return model, result


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    """SIGKILL in the midst of an epoch; a new process goes on to the bits of an uninterrupted run."""
    whole, wanted = resumed(None)
    path = tmp_path / "checkpoint.pt"
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(path), "slow"], env=environment)
    try:
        for _ in range(1200):
            if path.exists() and torch.load(path, weights_only=True)["step"] >= 3:
                break
            assert child.poll() is None
            time.sleep(0.1)
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
    state = torch.load(path, weights_only=True)
    assert 3 <= state["step"] < 24
    steps = []
    model = small()
    settings = Training(epochs=4, batch_size=16, learning_rate=2e-3)
    result = training.train(
        model, small_data(), settings, checkpoint=path, progress=lambda done, total: steps.append((done, total))
    )
    assert steps[0][0] == state["step"] + 1, "it went on"
    assert all(torch.equal(one, two) for one, two in zip(weights(model), weights(whole), strict=True))
    assert result.history == wanted.history
    with pytest.raises(TrainingError, match="another training"):
        training.train(small(), small_data(), settings.model_copy(update={"seed": 5}), checkpoint=path)
    path.write_bytes(b"rubbish")
    with pytest.raises(TrainingError, match=r"checkpoint\.pt"):
        training.train(small(), small_data(), settings, checkpoint=path)


def test_loaders_that_shuffle_do_so_again() -> None:
    """A DataLoader with shuffle draws the same order for an epoch, wherever in it the training begins."""
    x, y = (torch.cat([item[place] for item in small_data()]) for place in range(2))
    examples = Examples(DataLoader(TensorDataset(x, y), 8, shuffle=True), 8, seed=3)
    first = [batch[0] for batch in examples.epoch(1)]
    torch.rand(7)
    assert len(first) == examples.steps == 12
    assert all(torch.equal(*pair) for pair in zip(first[5:], [b[0] for b in examples.epoch(1, 5)], strict=True))
    assert not torch.equal(first[0], next(examples.epoch(2))[0])
    with pytest.raises(TrainingError, match="cannot be parted"):
        Examples(DataLoader(TensorDataset(x, y), 8), 8, 3, held_out=0.2)


def test_held_out_examples_are_not_trained_on() -> None:
    data = data_sets.load("digits").batches("train", 50)
    examples = Examples(data, 50, 0, held_out=0.2)
    held = torch.cat([x for x, _ in examples.validation()]).flatten(1)
    seen = torch.cat([x for x, _ in examples.epoch(0)]).flatten(1)
    assert (len(held), len(seen)) == (200, 800)
    assert float(torch.cdist(held, seen).min(dim=1).values.median()) > 0


def test_noise_aware_training_helps_the_digits_on_bad_cells() -> None:
    """Four times the SONOS error: plain fine-tuning leaves most of the loss, training on the cells takes half away."""
    digits = data_sets.load("digits")
    cell = dataclasses.replace(SONOS, error_scale=4.0)
    models = {}
    for noise in ("before", "none", "weights"):
        model = calibrate(convert(networks.load("digits_cnn"), load_design("A"), cell), digits.batches("train"))
        if noise != "before":
            settings = Training(noise=noise, epochs=8, learning_rate=2e-3)  # type: ignore[arg-type]
            training.train(model, digits.batches("train"), settings, validation=digits.batches("validation"))
        models[noise] = model
    (found,) = training.compare(models["before"], models["weights"], digits.batches("test"), trials=20, seed=50)
    plain = evaluate(models["none"], digits.batches("test"), 20, 50)
    assert found.recovered is not None
    assert found.recovered > 0.5
    interval = found.gain_interval()
    assert interval is not None
    assert interval[0] > 0
    assert found.after.mean > plain.mean
    assert found.after.baseline > found.before.baseline - 0.01


@pytest.mark.parametrize("closed", [False, True])
def test_the_original_network_gets_the_trained_weights(closed: bool) -> None:
    """The original's own code, batch norms and all, computes what the trained converted network does in floats."""
    net = small_network()
    if closed:
        with torch.no_grad():
            net.bn1.weight[2] = 0.0
            net.bn2.weight[1] = 1e-9
    model = calibrate(convert(net, load_design("A"), SONOS), small_data())
    before = {name: value.clone() for name, value in net.state_dict().items()}
    result = training.train(model, small_data(), Training(epochs=2, learning_rate=0.02, validation=0))
    trained, x = result.network(), small_data()[0][0]
    with torch.no_grad(), layer_mode(analog_layers(model), Mode.FLOAT):
        torch.testing.assert_close(trained(x), model(x), rtol=1e-4, atol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items()), "the user's own is left"
    assert float((trained.conv1.weight - net.conv1.weight).detach().abs().max()) > 1e-3
    loaded = small_network()
    loaded.load_state_dict(trained.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), trained(x))


def test_rewritten_layers_have_no_place_in_the_original() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(5, 6, batch_first=True), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.lstm(x)[0][:, -1])

    torch.manual_seed(0)
    data = [(torch.rand(16, 4, 5), torch.randint(0, 3, (16,))) for _ in range(2)]
    model = calibrate(convert(Reader().eval(), load_design("A"), SONOS), data)
    result = training.train(model, data, Training(epochs=2, validation=0))
    assert result.history[-1].training_loss is not None
    with pytest.raises(TrainingError, match="no place in the original"):
        result.network()


def test_early_stop_keeps_the_best_epoch() -> None:
    """Steps so large that they only harm: the network keeps the weights it had."""
    model = small(1.0)
    before = weights(model)
    result = training.train(
        model, small_data(), Training(noise="none", epochs=20, learning_rate=3.0, patience=2, validation=0.25)
    )
    assert result.best_epoch == 0
    assert result.stopped_early
    assert len(result.history) == 3
    assert all(torch.equal(one, two) for one, two in zip(before, weights(model), strict=True))


def test_what_does_not_fit_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"`epochs`.*but got 0"):
        Training.make({"epochs": 0})
    with pytest.raises(TrainingError, match="learning_rate"):
        Training.make({"learning_rat": 1.0})
    with pytest.raises(TrainingError, match="sampled errors hold it already"):
        Training.make({"trace_penalty": 1.0})
    with pytest.raises(TrainingError, match="shortest and the longest"):
        Training.make({"age": ("2 days", "1 day")})
    (tmp_path / "own.toml").write_text('epochs = 3\nage = ["1 s", "1 day"]\n')
    assert Training.load(tmp_path / "own.toml").age == (1.0, DAY)
    model = small()
    with pytest.raises(TrainingError, match="conv1"):
        training.train(model, small_data(), Training(layers=("conv9",)))
    with pytest.raises(TrainingError, match="loss"):
        training.train(model, small_data(), Training(), loss="cross_entrop")
    with pytest.raises(TrainingError, match="learning_rate"):
        training.train(model, small_data(), Training(noise="none", learning_rate=1e30, epochs=30, validation=0))
    with pytest.raises(CalibrationError):
        training.train(convert(small_network(), load_design("A"), SONOS), small_data())
    ideal = calibrate(convert(small_network(), load_design("A")), small_data())
    with pytest.raises(TrainingError, match="Ideal cells do not age"):
        training.train(ideal, small_data(), Training(age=(0.0, 1.0)))
    assert np.isfinite(training.train(ideal, small_data(), Training(epochs=1)).history[-1].training_loss)
