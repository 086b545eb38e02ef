"""Options of the trainer: teaching by the digital network, limits and averages of weights, images moved, precision."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from accuracy import analog_layers, calibrate, convert, training
from accuracy.batches import batch_of
from accuracy.training import Training, TrainingError
from accuracy.training.augmentation import augmented
from accuracy.training.examples import Examples
from accuracy.training.held_weights import MovingAverage, WeightLimits
from accuracy.training.losses import SOFT
from accuracy.training.precision import Precision
from circuits import load_design
from devicekit import load_device
from tests.accuracy.small_networks import small_data, small_network

SONOS = load_device("sonos_40nm_tcas2022")


def small(network: nn.Module | None = None) -> nn.Module:
    cell = dataclasses.replace(SONOS, error_scale=4.0)
    return calibrate(convert(network or small_network(), load_design("A"), cell, seed=0), small_data())


def even() -> nn.Module:
    """A network as torch makes it, whose logits do not hang on small differences."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 4)
    ).eval()


def weights(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def test_the_term_of_a_teacher_is_the_published_one() -> None:
    """Kullback-Leibler divergence written out; at high temperature half the squared difference of centred logits."""
    generator = torch.Generator().manual_seed(0)
    own, other = (torch.randn(7, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    labels = torch.zeros(7, dtype=torch.int64)
    for temperature in (1.0, 3.0):
        p, q = (torch.softmax(one / temperature, dim=1) for one in (own, other))
        wanted = temperature**2 * (q * (q / p).log()).sum(dim=1).mean()
        torch.testing.assert_close(SOFT["cross_entropy"](own, other, labels, temperature), wanted)
    hot = SOFT["cross_entropy"](own, other, labels, 1e4)
    difference = own - other
    centred = difference - difference.mean(dim=1, keepdim=True)
    torch.testing.assert_close(hot, centred.square().sum(dim=1).mean() / (2 * 5), rtol=1e-3, atol=0)
    # Places that do not count, and classes along axis 1.
    pixels, targets = (one.t().reshape(1, 5, 7) for one in (own, other))
    places = torch.tensor([[0, 1, -100, 2, -100, 3, 4]])
    kept = places[0] != -100
    torch.testing.assert_close(
        SOFT["cross_entropy"](pixels, targets, places, 2.0),
        SOFT["cross_entropy"](own[kept], other[kept], labels[kept], 2.0),
    )
    assert float(SOFT["mse"](own, other, labels, 1.0)) == pytest.approx(float(difference.square().mean()))
    q, p = torch.sigmoid(other / 2), torch.sigmoid(own / 2)
    binary = -4 * (q * p.log() + (1 - q) * (1 - p).log()).mean()
    torch.testing.assert_close(SOFT["binary"](own, other, labels, 2.0), binary)


def test_a_network_learns_nothing_from_itself_and_its_answers_from_a_noisy_self() -> None:
    """Without noise teacher and student agree, whatever the labels; with noise answers come nearer to the teacher's."""
    data = [(x, (y + 1) % 4) for x, y in small_data()]
    model = small(even())
    before = weights(model)
    result = training.train(
        model, data, Training(noise="none", optimiser="sgd", learning_rate=0.1, epochs=2, distillation=1.0)
    )
    for one, two in zip(before, weights(model), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)
    assert result.history[-1].training_loss == pytest.approx(0.0, abs=1e-5)
    noisy = training.train(
        small(even()), data, Training(learning_rate=3e-3, epochs=20, batch_size=16, distillation=1.0, validation=0)
    )
    losses = [epoch.training_loss for epoch in noisy.history[1:]]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])  # type: ignore[arg-type, type-var]
    half = training.train(
        small(), data, Training(noise="none", epochs=1, learning_rate=1e-9, distillation=0.5, validation=0)
    )
    labels = training.train(small(), data, Training(noise="none", epochs=1, learning_rate=1e-9, validation=0))
    assert half.history[1].training_loss == pytest.approx(0.5 * labels.history[1].training_loss, rel=1e-3)  # type: ignore[operator]


def test_weights_are_limited_layer_by_layer() -> None:
    """Limits come down from the largest weight to the factor in the first half, and clip as written out."""
    model = small()
    layers = analog_layers(model)
    limits = WeightLimits(layers[:1], 1.5)
    first = layers[0].matrix().detach().clone()
    size = first.square().mean().sqrt()
    start = first.abs().max() / size
    assert float(start) > 1.5, "there is something to clip"
    limits.apply(0.25)
    limit = (1.5 + 0.5 * (start - 1.5)) * size
    torch.testing.assert_close(layers[0].matrix().detach(), first.clamp(-limit, limit))
    for done in (0.5, 0.75, *(1.0 for _ in range(60))):
        limits.apply(done)
    found = layers[0].matrix().detach()
    assert float(found.abs().max() / found.square().mean().sqrt()) == pytest.approx(1.5, rel=1e-3)
    untouched = small()
    for layer, other in zip(layers[1:], analog_layers(untouched)[1:], strict=True):
        assert torch.equal(layer.matrix(), other.matrix())
    # In a training: the layers that it names, whatever their form.
    torch.manual_seed(0)
    network = nn.Sequential(nn.ConvTranspose2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(512, 4)).eval()
    trained = small(network)
    settings = Training(epochs=4, learning_rate=1e-9, weight_clip=1.2, layers=("0",), validation=0)
    training.train(trained, small_data(), settings)
    ratios = [float(one.matrix().abs().max() / one.matrix().square().mean().sqrt()) for one in analog_layers(trained)]
    assert ratios[0] < 1.25 < ratios[1]


def test_averages_are_the_recursion_written_out() -> None:
    parameter = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    average = MovingAverage([parameter], 0.9)
    wanted = parameter.detach().clone()
    for step in range(1, 200):
        with torch.no_grad():
            parameter.add_(0.1 * step)
        average.add(step)
        share = min(0.9, (1 + step) / (10 + step))
        wanted = share * wanted + (1 - share) * parameter.detach()
    held = parameter.detach().clone()
    with average.used():
        torch.testing.assert_close(parameter.detach(), wanted)
    assert torch.equal(parameter.detach(), held)
    # The trained network has the average: nearer to the start than the last weights of large steps.
    found = {}
    for own in (None, 0.999):
        model = small()
        start = weights(model)
        training.train(model, small_data(), Training(epochs=1, learning_rate=0.01, average=own, validation=0))
        found[own] = sum(float((a - b).square().sum()) for a, b in zip(start, weights(model), strict=True))
    assert 0 < found[0.999] < found[None]


def test_images_are_turned_and_moved_and_nothing_else() -> None:
    """Each image is one of the moved and turned ones, edges repeated; the step fixes which."""
    x = torch.rand(64, 2, 6, 5, generator=torch.Generator().manual_seed(0))
    settings = Training(mirror=True, shift=2)
    batch = batch_of((x, torch.arange(64)))
    moved = augmented(batch, settings, 3)
    assert torch.equal(moved.labels, batch.labels)
    seen = set()
    wide = {turned: functional.pad(x.flip(-1) if turned else x, (2,) * 4, mode="replicate") for turned in (0, 1)}
    for number, image in enumerate(moved.main):
        ways = [
            (turned, top, left)
            for turned in (0, 1)
            for top in range(5)
            for left in range(5)
            if torch.equal(image, wide[turned][number, :, top : top + 6, left : left + 5])
        ]
        assert len(ways) == 1
        seen.add(ways[0])
    assert len(seen) > 30
    assert torch.equal(augmented(batch, settings, 3).main, moved.main)
    assert not torch.equal(augmented(batch, settings, 4).main, moved.main)
    assert augmented(batch, Training(), 3) is batch
    with pytest.raises(TrainingError, match=r"`mirror` and `shift` are for images.*\(4, 3\)"):
        augmented(batch_of((torch.rand(4, 3), torch.zeros(4))), settings, 0)


def test_a_training_with_all_options_goes_on_bit_for_bit(tmp_path: Path) -> None:
    """Stopped in the midst of its second epoch by whoever watches, it goes on to the weights of a whole run."""
    settings = Training(
        epochs=3,
        batch_size=16,
        learning_rate=5e-3,
        distillation=0.5,
        weight_clip=2.0,
        average=0.9,
        mirror=True,
        shift=1,
    )
    whole = small()
    wanted = training.train(whole, small_data(), settings)

    def stop(done: int, total: int) -> None:
        if done == 9:
            raise KeyboardInterrupt

    how: dict[str, Any] = {"checkpoint": tmp_path / "checkpoint.pt", "checkpoint_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        training.train(small(), small_data(), settings, progress=stop, **how)
    model = small()
    steps: list[int] = []
    found = training.train(model, small_data(), settings, progress=lambda done, _: steps.append(done), **how)
    assert 1 < steps[0] < 10
    assert found.history == wanted.history
    assert all(torch.equal(one, two) for one, two in zip(weights(model), weights(whole), strict=True))
    assert Examples(small_data(), 16, 0, 0.1).steps == 6


@pytest.mark.parametrize("noise", ["none", "weights"])
def test_mixed_precision_computes_products_in_sixteen_bits(noise: Any) -> None:
    """Outputs and gradients differ from those in 32 bits, by no more than such numbers round; weights stay in 32."""
    losses, moved, kinds = [], [], []
    for precision in ("float32", "bfloat16"):
        model = small(even())
        start = weights(model)
        hook = analog_layers(model)[0].register_forward_hook(lambda *seen: kinds.append(seen[2].dtype))
        settings = Training(
            noise=noise,
            epochs=1,
            learning_rate=0.01,
            optimiser="sgd",
            validation=0,
            precision=precision,  # type: ignore[arg-type]
        )
        result = training.train(model, small_data(), settings)
        hook.remove()
        losses.append(result.history[1].training_loss)
        moved.append(torch.cat([(a - b).flatten() for a, b in zip(start, weights(model), strict=True)]))
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert torch.bfloat16 in kinds, "a layer's output"
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert float(functional.cosine_similarity(moved[0], moved[1], dim=0)) > 0.99


def test_what_options_cannot_do_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrainingError, match="one of cross_entropy, mse, binary"):
        training.train(small(), small_data(), Training(distillation=0.5), loss=lambda outputs, labels: outputs.sum())
    for values in ({"noise": "arrays"}, {"noise": "none", "trace_penalty": 1.0}, {"noise": "none", "weight_bits": 4}):
        with pytest.raises(TrainingError, match="`precision` 'bfloat16' belongs to"):
            Training.make({"precision": "bfloat16", **values})
    with pytest.raises(TrainingError, match="for networks of float32, but this one has float64"):
        Precision(nn.Linear(3, 2).double(), "bfloat16")
    monkeypatch.setattr(torch.amp, "is_autocast_available", lambda device: False)
    with pytest.raises(TrainingError, match="The device 'cpu' has no products in bfloat16"):
        training.train(small(), small_data(), Training(precision="bfloat16"))
    with pytest.raises(TrainingError, match="`weight_clip`"):
        Training.make({"weight_clip": 0.5})
