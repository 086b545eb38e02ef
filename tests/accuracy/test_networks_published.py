"""Published networks: parameter names and counts, conversion from other frameworks, verified digital accuracies."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from torch import nn

import accuracy
from accuracy.networks import NetworkError
from accuracy.networks.blocks import ConvNormAct
from accuracy.networks.registry import ENTRIES
from accuracy.networks.resnet8 import ResNet8, from_keras
from accuracy.networks.squeezenet import from_caffe

# Trainable parameters. torchvision 0.29.2 for the five of its names (Inception without the auxiliary classifier);
# Keras applications for MobileNet-v1; the others counted on paper from the papers' tables.
PARAMETERS = {
    "resnet50_v1_5": 25_557_032,
    "inception_v3": 23_834_568,
    "vgg19": 143_667_240,
    "squeezenet1_0": 1_248_424,
    "squeezenet1_0_deepcompression": 1_248_424,
    "mobilenet_v2": 3_504_872,
    # 25 502 912 weights and a bias a channel; the package's own count.
    "resnet50_v1_5_int4": 25_530_472,
    "efficientnet_lite0": 4_652_008,
    "mobilenet_v1": 4_231_976,
    "resnet8_mlperf_tiny": 78_186,
    "lenet5_mnist": 61_706,
    "cnn6_fashion_mnist": 117_530,
    # As printed by the code of the chip's authors; half of the chip's 101 780 cells.
    "cnn7_mnist": 23_170,
    "mlp64_mnist": 50_890,
    # By hand from the paper's table 1.
    "wrn16_2_cifar10": 691_674,
    "wrn16_4_cifar10": 2_748_890,
}

# First 16 digits of sha256 over "name (shape)" lines, sorted, of torchvision 0.29.2's state dicts without
# num_batches_tracked and AuxLogits; with its weights laid in, these modules gave bitwise equal logits.
TORCHVISION_NAMES = {
    "resnet50_v1_5": "cf11dad974eadeaa",
    "inception_v3": "5beceaea5a4204b9",
    "vgg19": "393fac8b08b63fbe",
    "squeezenet1_0": "142983e4c19c76ad",
    "mobilenet_v2": "d613ea65450d5318",
}


def on_meta(name: str) -> nn.Module:
    """The module without memory for its weights."""
    with torch.device("meta"):
        return ENTRIES[name].build()


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts(name: str) -> None:
    assert sum(parameter.numel() for parameter in on_meta(name).parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", TORCHVISION_NAMES)
def test_names_and_shapes_are_those_of_torchvision(name: str) -> None:
    state = on_meta(name).state_dict()
    lines = sorted(f"{key} {tuple(value.shape)}" for key, value in state.items() if "num_batches" not in key)
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == TORCHVISION_NAMES[name]


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_every_network_runs_on_its_data_set_and_can_be_traced(name: str) -> None:
    entry = ENTRIES[name]
    sides = {"digits": 8, "mnist": 28, "fashion_mnist": 28, "cifar10": 32, "cifar10_raw": 32}
    side = sides.get(entry.data_set) or int(entry.data_set.rsplit("_", 1)[1])
    channels = 1 if side in (8, 28) else 3
    with torch.device("meta"):
        model = entry.build().eval()
        example = torch.zeros(2, channels, side, side)
    assert entry.data_set in accuracy.data_sets.names()
    assert model(example).shape == (2, 1000 if side > 32 else 10)
    traced = torch.fx.symbolic_trace(model)
    assert traced(example).shape == model(example).shape


@pytest.mark.parametrize(
    ("name", "side", "macs"),
    [
        # Millions of multiply-accumulates: torchvision's table for the first four, Howard et al. for MobileNet-v1.
        ("inception_v3", 299, 5713),
        ("vgg19", 224, 19632),
        ("mobilenet_v2", 224, 301),
        ("squeezenet1_0", 224, 819),
        ("mobilenet_v1", 224, 569),
    ],
)
def test_operations_of_the_published_networks(name: str, side: int, macs: int) -> None:
    with torch.device("meta"):
        model = ENTRIES[name].build()
        shapes = accuracy.layer_shapes(model, torch.zeros(1, 3, side, side))
    assert sum(shape.macs for shape in shapes) / 1e6 == pytest.approx(macs, rel=0.002)


@pytest.mark.parametrize(("kernel", "side"), [(1, 8), (3, 8), (5, 14), (3, 6)])
def test_same_padding_is_tensorflows(kernel: int, side: int) -> None:
    # TensorFlow: pad in all max((ceil(n/s)-1)*s + k - n, 0), the odd pixel after.
    block = ConvNormAct(2, 3, kernel, 2, same=True, folded=True, activation=nn.Identity)
    x = torch.randn(1, 2, side, side, generator=torch.Generator().manual_seed(0))
    total = max((-(-side // 2) - 1) * 2 + kernel - side, 0)
    before = total // 2
    padded = torch.zeros(1, 2, side + total, side + total)
    padded[:, :, before : before + side, before : before + side] = x
    expected = nn.functional.conv2d(padded, block[0].weight, block[0].bias, stride=2)
    torch.testing.assert_close(block(x), expected)


def test_keras_layouts_become_torch_layouts() -> None:
    kernel = torch.arange(3 * 3 * 16 * 32, dtype=torch.float32).reshape(3, 3, 16, 32)
    dense = torch.arange(640, dtype=torch.float32).reshape(64, 10)
    renamed = from_keras(
        {"conv2d_3.kernel": kernel, "dense.kernel": dense, "batch_normalization_3.moving_mean": torch.ones(32)}
    )
    assert set(renamed) == {"block2.conv1.0.weight", "dense.weight", "block2.conv1.1.running_mean"}
    assert renamed["block2.conv1.0.weight"][5, 7, 1, 2] == kernel[1, 2, 7, 5]
    assert torch.equal(renamed["dense.weight"], dense.T)
    own = ResNet8().state_dict()
    assert renamed["block2.conv1.0.weight"].shape == own["block2.conv1.0.weight"].shape


def test_caffe_names_become_torchvisions_and_others_stay() -> None:
    caffe = {"conv1.weight": 0, "fire2/squeeze1x1.bias": 1, "fire9/expand3x3.weight": 2, "conv10.bias": 3, "x": 4}
    assert from_caffe({name: torch.tensor(value) for name, value in caffe.items()}) == {
        "features.0.weight": 0,
        "features.3.squeeze.bias": 1,
        "features.12.expand3x3.weight": 2,
        "classifier.1.bias": 3,
        "x": 4,
    }


def top(k: int, name: str, folder: Path, data_set: str | None = None, part: str = "test") -> float:
    """Fraction of a part of a network's data set whose class is among the k best, printed."""
    model = accuracy.networks.load(name, folder)
    batches = accuracy.data_sets.load(data_set or accuracy.networks.data_set(name), folder).batches(part, 50)
    right = total = 0
    with torch.inference_mode():
        for inputs, labels in batches:
            right += int((model(inputs).topk(k).indices == labels[:, None]).sum())
            total += len(labels)
    print(f"{name} on {data_set or 'its'} {part} images: {right} of {total} = {right / total:.2%} (top {k})")
    return right / total


def top1(name: str, folder: Path, data_set: str | None = None) -> float:
    """Fraction right of a network on its data set's test part."""
    return top(1, name, folder, data_set)


def test_resnet8_gets_881_of_1000_lossless_images_right(shared_data: Path) -> None:
    assert top1("resnet8_mlperf_tiny", shared_data) == 0.881


@pytest.mark.parametrize("name", ["lenet5_mnist", "cnn6_fashion_mnist", "cnn7_mnist", "mlp64_mnist"])
def test_small_bundled_networks_have_the_accuracy_their_cards_state(shared_data: Path, name: str) -> None:
    import tomllib

    from devicekit.common.paths import data_path

    card = tomllib.loads(data_path(f"networks/{name}.toml").read_text())
    data = accuracy.data_sets.load(card["data_set"], shared_data)
    model = accuracy.networks.load(name)
    with torch.inference_mode():
        right = sum(int((model(x).argmax(1) == y).sum()) for x, y in data.batches("test", 500))
    # Another build of torch may round one image's logits the other way.
    assert right == pytest.approx(card["test"]["correct"], abs=2)
    assert card["test"]["images"] == data.size("test")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "data_set", "expected"),
    [
        ("resnet20_cifar10", "cifar10_jpeg", 0.8103),
        ("resnet32_cifar10", "cifar10_jpeg", 0.8256),
        ("resnet56_cifar10", "cifar10_jpeg", 0.8320),
        ("resnet8_mlperf_tiny", "cifar10_jpeg_raw", 0.7548),
    ],
)
def test_recompressed_cifar10(shared_data: Path, name: str, data_set: str, expected: float) -> None:
    # Decoders and summation order may differ by an image or two in 10 000.
    assert top1(name, shared_data, data_set) == pytest.approx(expected, abs=0.0003)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("mobilenet_edgetpu_qat", 1067),
        ("mobilenet_v2_ptq", 1037),
        ("mobilenet_v2_qat", 1019),
        ("mobilenet_v1_075_192_qat", 979),
        ("squeezenet1_0_deepcompression", 929),
    ],
)
def test_imagenet_subset(shared_data: Path, name: str, right: int) -> None:
    assert top1(name, shared_data) == pytest.approx(right / 1300, abs=1.5 / 1300)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_top_5_of_squeezenet(shared_data: Path) -> None:
    found = top(5, "squeezenet1_0_deepcompression", shared_data)
    assert found == pytest.approx(0.9085, abs=1.5 / 1300)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("mobilenet_edgetpu_qat", 895),
        ("mobilenet_v2_ptq", 887),
        ("mobilenet_v2_qat", 887),
        ("mobilenet_v1_075_192_qat", 786),
        ("squeezenet1_0_deepcompression", 635),
    ],
)
def test_calibration_images_are_prepared_as_for_the_published_figures(shared_data: Path, name: str, right: int) -> None:
    assert top(1, name, shared_data, part="calibration") == pytest.approx(right / 1000, abs=1.5 / 1000)


def test_imagenet_weights_of_another_network_are_refused(shared_data: Path) -> None:
    imagenet = shared_data / "imagenet"
    with pytest.raises(NetworkError, match=r"weights do not fit MobileNetV2: it has 53 layers, the file 28"):
        accuracy.networks.load("mobilenet_v2_qat", imagenet / "mobilenet_v1_0.75_192_qat_uint8.npz")
    with pytest.raises(NetworkError, match=r"weights do not fit CifarResNet: .* missing"):
        accuracy.networks.load("resnet20_cifar10", imagenet / "squeezenet1_0_deepcompression.safetensors")
