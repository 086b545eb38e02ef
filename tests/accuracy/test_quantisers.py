"""Learned steps: gradients by the published formulas, and integers that reach the arrays as they were trained."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from accuracy import analog_layers, calibrate, convert, networks, training
from accuracy.mapping.inputs import quantise_inputs
from accuracy.networks.weights import codes_metadata, lay_in, read_state
from accuracy.training import Training, TrainingError
from accuracy.training.quantisers import LearnedClip, LearnedStep, QuantisedWeights, first_step
from circuits import CoreDesign, load_design
from devicekit import load_device
from tests.accuracy.small_networks import SmallNet, small_data, small_network

EXACT = CoreDesign(adc_bits=None)
PLAIN = Training(noise="none", epochs=2, batch_size=16, learning_rate=2e-3, validation=0)
FEW = PLAIN.model_copy(update={"weight_bits": 4, "activation_bits": 4})


def lsq_by_hand(v: float, step: float, low: int, high: int) -> tuple[float, float, float]:
    """Value, and derivatives with respect to v and the step: Esser et al. 2020, eq. 1 to 3 and 5."""
    if v / step <= -low:
        return -low * step, 0.0, -float(low)
    if v / step >= high:
        return high * step, 0.0, float(high)
    code = round(v / step)
    return code * step, 1.0, code - v / step


@pytest.mark.parametrize(("low", "high"), [(7, 7), (0, 15), (1, 1), (127, 127)])
def test_gradients_of_a_learned_step_are_the_published_ones(low: int, high: int) -> None:
    values = torch.linspace(-1.3, 1.4, 101, dtype=torch.float64) * max(high, 1) * 0.21 + 1e-3
    values.requires_grad_()
    step = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    pull = torch.linspace(0.5, 2.0, 101, dtype=torch.float64)
    result = LearnedStep.apply(values, step, low, high, 40)  # type: ignore[no-untyped-call]
    (result * pull).sum().backward()
    wanted = [lsq_by_hand(float(v), 0.2, low, high) for v in values.detach()]
    assert result.detach().numpy() == pytest.approx(np.array([each[0] for each in wanted]))
    assert values.grad is not None
    assert step.grad is not None
    assert values.grad.numpy() == pytest.approx(np.array([each[1] for each in wanted]) * pull.numpy())
    by_step = sum(each[2] * float(p) for each, p in zip(wanted, pull, strict=True))
    assert float(step.grad) == pytest.approx(by_step / math.sqrt(40 * high))
    assert len({each[1] for each in wanted}) == 2, "some values are clipped"


@pytest.mark.parametrize("low", [0, 15])
def test_gradients_of_learned_clipping_are_the_published_ones(low: int) -> None:
    """PACT: 1 for what lies above alpha, 0 below; here of the step alpha / p."""
    values = torch.tensor([-4.0, -0.2, 0.1, 1.0, 2.9, 3.1, 5.0], dtype=torch.float64, requires_grad=True)
    step = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    result = LearnedClip.apply(values, step, low, 15)  # type: ignore[no-untyped-call]
    (result * torch.arange(1.0, 8.0, dtype=torch.float64)).sum().backward()
    assert result.detach().tolist() == pytest.approx(
        [-3.0 if low else 0, -0.2 if low else 0, 0, 1, 2.8, 3, 3], abs=0.21
    )
    assert values.grad is not None
    assert step.grad is not None
    assert values.grad.tolist() == [0, 2.0 if low else 0, 3, 4, 5, 0, 0]
    assert float(step.grad) == pytest.approx((6 + 7 - (1 if low else 0)) * 15)


def test_the_first_step_is_that_of_the_publication_where_it_clips() -> None:
    values = torch.tensor([-1.0, 1.0, 1.0, 9.0])
    assert float(first_step(values, 1)) == pytest.approx(2 * 3)
    assert float(first_step(values, 127)) == pytest.approx(9 / 127)
    assert float(first_step(torch.zeros(3), 7)) == pytest.approx(1 / 7)


def trained(settings: Training = FEW, design: CoreDesign = EXACT) -> training.TrainingResult:
    model = calibrate(convert(small_network(), design), small_data())
    return training.train(model, small_data(), settings)


def integer_network(network: SmallNet, x: Tensor) -> tuple[list[np.ndarray], Tensor]:
    """The digital integer network: each folded layer's integers, and the logits, from what its layers say of codes."""
    codes, inputs = [], {}

    def layer(module: Any, norm: nn.BatchNorm2d | None, x: Tensor) -> Tensor:
        scale = torch.ones(module.weight.shape[0], dtype=torch.float64)
        shift = torch.zeros_like(scale) if module.bias is None else module.bias.detach().double()
        if norm is not None:
            assert norm.running_var is not None
            assert norm.running_mean is not None
            scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
            shift = norm.bias.detach().double() - norm.running_mean.double() * scale
        weight = module.weight.detach().double() * scale.reshape(-1, *[1] * (module.weight.dim() - 1))
        integers = weight / module.weight_step
        assert float((integers - integers.round()).abs().max()) < 1e-3, "weights are integers"
        codes.append(integers.round().numpy())
        high = 2**module.input_bits - 1
        applied = torch.round(x.double() / module.input_step).clamp(0, high)
        inputs[module] = applied
        if isinstance(module, nn.Conv2d):
            found = nn.functional.conv2d(applied, integers.round(), padding=1)
            shift = shift[:, None, None]
        else:
            found = applied @ integers.round().t()
        return found * (module.weight_step * module.input_step) + shift

    y = torch.relu(layer(network.conv1, network.bn1, x))
    y = torch.relu(y + layer(network.conv2, network.bn2, y))
    return codes, layer(network.fc, None, y.mean(dim=(2, 3)))


@pytest.mark.parametrize("quantiser", ["lsq", "pact"])
def test_the_digital_integer_network_is_the_converted_one(quantiser: Any) -> None:
    """Integers of weights and inputs are on the arrays what they were in training, layer by layer, code for code."""
    result = trained(FEW.model_copy(update={"activation_quantiser": quantiser}))
    network, x = result.network(), small_data()[0][0]
    codes, wanted = integer_network(network, x)
    again = calibrate(convert(network, EXACT.replace(weight_scale="given")), small_data())
    for model in (result.model, again):
        layers = analog_layers(model)
        assert [layer.design.weight_bits for layer in layers] == [8, 4, 8]
        assert [layer.design.input_bits for layer in layers] == [8, 4, 8]
        for layer, integers in zip(layers, codes, strict=True):
            rows = integers.reshape(integers.shape[0], -1).T
            assert np.array_equal(layer.array.mapping.integers(), rows)
            assert np.abs(rows).max() > 2 ** (layer.design.weight_bits - 2), "the codes are used"
            calibration = layer.require_calibration()
            seen = torch.rand(200) * calibration.scale * 1.3
            applied, _ = quantise_inputs(seen / calibration.scale, layer.design, signed=False)
            steps = 2**layer.design.input_bits - 1 if layer.design.input_bits else 0
            assert torch.equal(applied, torch.round(seen / layer.digital.input_step).clamp(0, steps))
        with torch.no_grad():
            found = model(x).double()
        # Inputs on the border of two codes may fall to either in single precision.
        close = (found - wanted).abs().amax(dim=1) < 1e-4 * float(wanted.abs().max())
        assert float(close.double().mean()) > 0.9
    assert all(not name.startswith("learned") for layer in analog_layers(result.model) for name in layer._parameters)


def test_training_to_few_bits_is_better_than_rounding_to_them() -> None:
    """Labels are the float network's: most of what 3-bit weights and inputs lose is brought back."""

    def right(**changes: Any) -> float:
        few = FEW.model_copy(update={"weight_bits": 3, "activation_bits": 3, **changes})
        model = trained(few).model
        with torch.no_grad():
            hits = [float((model(x).argmax(dim=1) == y).double().mean()) for x, y in small_data()]
        return float(np.mean(hits))

    rounded, learned = right(epochs=1, learning_rate=1e-9), right(epochs=20)
    assert rounded < 0.5
    assert 1 - learned < 0.5 * (1 - rounded)


def test_steps_are_learned_and_resumed(tmp_path: Path) -> None:
    """A training that goes on from a checkpoint of its middle gives the same weights and steps."""
    whole = trained()
    seen: list[int] = []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        if done == 8:
            raise KeyboardInterrupt

    path = tmp_path / "checkpoint.pt"
    model = calibrate(convert(small_network(), EXACT), small_data())
    with pytest.raises(KeyboardInterrupt):
        training.train(model, small_data(), FEW, checkpoint=path, checkpoint_seconds=0.0, progress=stop)
    assert not any(name.startswith("learned") for layer in analog_layers(model) for name in layer._parameters)
    model = calibrate(convert(small_network(), EXACT), small_data())
    seen.clear()
    again = training.train(model, small_data(), FEW, checkpoint=path, progress=lambda done, _: seen.append(done))
    assert seen[0] > 6
    for one, two in zip(analog_layers(whole.model), analog_layers(again.model), strict=True):
        assert torch.equal(one.matrix(), two.matrix())
        assert one.digital.weight_step == two.digital.weight_step
        assert one.digital.input_step == two.digital.input_step
        start = calibrate(convert(small_network(), EXACT), small_data())
        assert one.digital.weight_step not in [float(first_step(layer.matrix(), 7)) for layer in analog_layers(start)]


def test_codes_go_with_the_weight_file(tmp_path: Path) -> None:
    network = trained().network()
    save_file(network.state_dict(), tmp_path / "weights.safetensors", metadata=codes_metadata(network))
    read = small_network(5)
    lay_in(read, read_state(tmp_path / "weights.safetensors"), tmp_path / "weights.safetensors")
    for one, two in ((network.conv2, read.conv2), (network.fc, read.fc)):
        for name in ("weight_step", "weight_bits", "input_step", "input_bits", "input_clips"):
            assert getattr(one, name) == getattr(two, name)
    assert read.conv2.weight_bits == 4
    assert codes_metadata(networks.load("digits_cnn")) == {}


def test_drawn_integers_have_the_errors_of_programmed_cells() -> None:
    """Mean and spread of every weight over draws are those of cells that hold its integer in the few-bit design."""
    cell = dataclasses.replace(load_device("sonos_40nm_tcas2022").at(time=86400.0), error_scale=2.0)
    model = calibrate(convert(small_network(), EXACT, cell), small_data())
    layer = analog_layers(model)[1]
    held = QuantisedWeights(layer, 4, 4, pact=False, error_scale=1.0)
    drawn = []
    for draw in range(400):
        held.begin(np.random.SeedSequence(draw), None)
        drawn.append(held.held_weights().detach().double().numpy())
    assert held.held_weights() is held.held_weights(), "one set of cells for all uses in a step"
    held.export()
    held.remove_steps()
    calibrate(model, small_data())
    assert layer.design.weight_bits == 4
    found = []
    for trial in range(400):
        layer.program(0, trial)
        found.append(layer.array.programmed_weights().double().numpy())
    spread = np.std(found, axis=0)
    assert np.std(drawn, axis=0) == pytest.approx(spread, rel=0.25, abs=0.02 * spread.max())
    assert np.abs(np.mean(drawn, axis=0) - np.mean(found, axis=0)).max() < 6 * spread.max() / math.sqrt(400)


def test_few_bits_are_trained_on_bad_cells() -> None:
    cell = dataclasses.replace(load_device("sonos_40nm_tcas2022"), error_scale=2.0)
    found = []
    for _ in range(2):
        model = calibrate(convert(small_network(), EXACT, cell), small_data())
        settings = FEW.model_copy(update={"noise": "weights", "draws": 2, "age": (1.0, 1e5)})
        found.append(training.train(model, small_data(), settings))
    one, two = (result.model for result in found)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert [layer.design.weight_bits for layer in analog_layers(one)] == [8, 4, 8]
    assert found[0].history[-1].training_loss < found[0].history[1].training_loss  # type: ignore[operator]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(TrainingError, match="`activation_bits` needs `weight_bits`"):
        Training.make({"noise": "none", "activation_bits": 4})
    with pytest.raises(TrainingError, match="`weight_bits` belongs to noise = 'weights' or 'none'"):
        Training.make({"weight_bits": 4, "noise": "arrays"})
    flipped = EXACT.replace(negative_weights="offset", bits_per_cell=8, flipped_encoding=True)
    with pytest.raises(TrainingError, match="unit or flipped columns"):
        trained(FEW.model_copy(update={"noise": "weights"}), flipped)
    with pytest.raises(TrainingError, match="its weights would have 8 bits, but design 'custom' has `weight_bits` 6"):
        trained(design=EXACT.replace(weight_bits=6, bits_per_cell=5))
    with pytest.raises(TrainingError, match="do not quantise them"):
        trained(design=load_design("A").replace(input_bits=None, bits_per_input_slice=None))
    with pytest.raises(TrainingError, match="resolve 4"):
        trained(design=EXACT.replace(accumulator_bits=4))
