"""Networks by name: bundled weights and card, CIFAR ResNets on the lossless images, the named errors."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import accuracy
from accuracy.networks import NetworkError
from devicekit import DevicekitError
from devicekit.common.paths import data_path


def top1(model: nn.Module, batches: accuracy.data_sets.Batches) -> float:
    """Fraction of images whose largest logit is at their label."""
    right = total = 0
    with torch.inference_mode():
        for inputs, labels in batches:
            right += int((model(inputs).argmax(1) == labels).sum())
            total += len(labels)
    return right / total


def test_bundled_network_has_the_accuracy_and_sizes_its_card_states() -> None:
    card = tomllib.loads(data_path("networks/digits_cnn.toml").read_text())
    model = accuracy.networks.load("digits_cnn")
    digits = accuracy.data_sets.load(accuracy.networks.data_set("digits_cnn"))
    for part in ("train", "validation", "test"):
        assert digits.size(part) == card[part]["images"]
        assert top1(model, digits.batches(part)) == pytest.approx(card[part]["correct"] / card[part]["images"])
    assert sum(parameter.numel() for parameter in model.parameters()) == card["parameters"]
    rows = [m.weight[0].numel() for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert rows == card["matrix_rows"]
    # What the network is for: a matrix that cores of 144 and of 72 rows both split, and unevenly.
    assert any(n > 144 and n % 72 and n % -(-n // 144) and n % -(-n // 72) for n in rows)


def test_loaded_networks_are_in_inference_mode_and_any_batch_size_gives_the_same() -> None:
    model = accuracy.networks.load("digits_cnn")
    assert not model.training
    inputs, _ = accuracy.data_sets.load("digits").test
    with torch.inference_mode():
        together = model(inputs[:7])
        singly = torch.cat([model(image[None]) for image in inputs[:7]])
    torch.testing.assert_close(together, singly)


def test_random_weights_follow_the_seed_and_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = (accuracy.networks.load("digits_cnn", "random", seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.conv2.weight, again.conv2.weight)
    assert not torch.equal(first.conv2.weight, other.conv2.weight)


@pytest.mark.parametrize(("depth", "parameters"), [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018)])
def test_cifar_resnets_have_the_published_size(depth: int, parameters: int) -> None:
    # 0.27, 0.46, 0.66 and 0.85 million in He et al. 2016, table 6; exact counts with option-A shortcuts.
    model = accuracy.networks.load(f"resnet{depth}_cifar10", "random")
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_resnet20_gets_915_of_1000_lossless_images_right(shared_data: Path) -> None:
    model = accuracy.networks.load("resnet20_cifar10", weights=shared_data / "cifar10")
    assert top1(model, accuracy.data_sets.load("cifar10", shared_data / "cifar10").batches("test", 250)) == 0.915


def test_weights_are_found_as_a_file_in_their_folder_and_in_the_folder_above(shared_data: Path) -> None:
    file = load_file(shared_data / "cifar10" / "resnet20.safetensors")
    for where in ("cifar10/resnet20.safetensors", "cifar10", "."):
        state = accuracy.networks.load("resnet20_cifar10", weights=shared_data / where).state_dict()
        assert all(torch.equal(state[name], value) for name, value in file.items())


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "expected"), [(32, 0.928), (44, 0.933), (56, 0.926)])
def test_deeper_cifar_resnets_reproduce_their_verified_accuracy(shared_data: Path, depth: int, expected: float) -> None:
    model = accuracy.networks.load(f"resnet{depth}_cifar10", shared_data)
    measured = top1(model, accuracy.data_sets.load("cifar10", shared_data).batches("test", 250))
    print(f"ResNet-{depth}, 1000 lossless CIFAR-10 test images: {measured:.1%}")
    assert measured == pytest.approx(expected, abs=0.0011)


def test_weights_load_from_a_wrapped_torch_state_dict(tmp_path: Path) -> None:
    source = accuracy.networks.load("digits_cnn", "random", seed=1)
    state = {f"module.{name}": value for name, value in source.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "mine.pt")
    loaded = accuracy.networks.load("digits_cnn", tmp_path / "mine.pt")
    assert torch.equal(loaded.fc.weight, source.fc.weight)


def test_unknown_network_names_the_nearest() -> None:
    with pytest.raises(NetworkError, match=r"Unknown network 'resnet21_cifar10'\. Did you mean '.*'resnet20_cifar10'"):
        accuracy.networks.load("resnet21_cifar10")
    with pytest.raises(DevicekitError, match="Unknown network"):
        accuracy.networks.data_set("nothing")


def test_a_network_without_bundled_weights_names_the_file_expected(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"'resnet20_cifar10' is not bundled.*'resnet20.safetensors'"):
        accuracy.networks.load("resnet20_cifar10")
    with pytest.raises(NetworkError, match=r"expected its weights in .*resnet20\.safetensors"):
        accuracy.networks.load("resnet20_cifar10", tmp_path)
    with pytest.raises(NetworkError, match="no such file or folder"):
        accuracy.networks.load("resnet20_cifar10", tmp_path / "absent.safetensors")


def test_a_folder_of_images_gives_a_bundled_network_its_bundled_weights(tmp_path: Path) -> None:
    bundled = accuracy.networks.load("digits_cnn").fc.weight
    assert torch.equal(accuracy.networks.load("digits_cnn", tmp_path).fc.weight, bundled)
    other = accuracy.networks.load("digits_cnn", "random")
    save_file(other.state_dict(), tmp_path / "digits_cnn.safetensors")
    assert torch.equal(accuracy.networks.load("digits_cnn", tmp_path).fc.weight, other.fc.weight)
    with pytest.raises(NetworkError, match="no such file or folder"):
        accuracy.networks.load("digits_cnn", tmp_path / "absent")


def test_weights_that_do_not_fit_are_refused_by_name(tmp_path: Path) -> None:
    state = load_file(data_path("networks/digits_cnn.safetensors"))
    cases = {
        "missing": {name: value for name, value in state.items() if name != "fc.bias"},
        "unexpected": {**state, "fc2.bias": torch.zeros(3)},
        "of another shape": {**state, "fc.bias": torch.zeros(3)},
        "NaN or infinity": {**state, "fc.bias": torch.full((10,), float("nan"))},
    }
    for what, tensors in cases.items():
        path = tmp_path / "weights.safetensors"
        save_file(tensors, path)
        with pytest.raises(NetworkError, match=what):
            accuracy.networks.load("digits_cnn", path)


def test_unreadable_weight_files_are_refused_by_name(tmp_path: Path) -> None:
    for name, match in (
        ("a.safetensors", "not a readable safetensors file"),
        ("a.pt", "not a readable state dict"),
        ("a.h5", r"expected weights as \.safetensors, \.pt, \.pth or \.th \(\.npz if quantised\), but got '\.h5'"),
    ):
        (tmp_path / name).write_bytes(b"not weights")
        with pytest.raises(NetworkError, match=match):
            accuracy.networks.load("digits_cnn", tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(NetworkError, match="expected a state dict of tensors, but got list"):
        accuracy.networks.load("digits_cnn", tmp_path / "list.pt")
