"""Data sets: the stored split, batches that can be gone through again, preprocessing, the named errors."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import accuracy
from accuracy.data_sets import DataSet, DataSetError, Images
from accuracy.data_sets.preprocessing import IMAGENET, Scale
from devicekit.common.paths import data_path


def test_stored_digit_split_is_a_partition_with_every_class_in_proportion() -> None:
    split = tomllib.loads(data_path("digits/split.toml").read_text())
    labels = np.load(data_path("digits/digits.npz"))["labels"].astype(np.int64)
    together = np.concatenate([split[part] for part in ("train", "validation", "test")])
    assert np.array_equal(np.sort(together), np.arange(len(labels)))
    for part in ("train", "validation", "test"):
        expected = np.bincount(labels) * len(split[part]) / len(labels)
        assert np.abs(np.bincount(labels[split[part]]) - expected).max() <= 2


def test_digits_are_those_of_the_uci_test_set() -> None:
    """Counts of the classes as the set's own description prints them; the hash is that of scikit-learn's copy."""
    with np.load(data_path("digits/digits.npz")) as archive:
        images, labels = archive["images"], archive["labels"]
    assert images.shape == (1797, 8, 8)
    assert images.max() == 16
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    assert digest == "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"


def test_digits_are_their_grey_levels_over_16() -> None:
    digits = accuracy.data_sets.load("digits")
    split = tomllib.loads(data_path("digits/split.toml").read_text())
    inputs, labels = digits.test
    with np.load(data_path("digits/digits.npz")) as archive:
        pixels, classes = archive["images"], archive["labels"]
    assert inputs.shape == (500, 1, 8, 8)
    assert inputs.dtype == torch.float32
    assert np.array_equal(inputs[:, 0].numpy() * 16, pixels[split["test"]])
    assert np.array_equal(labels.numpy(), classes[split["test"]])
    assert torch.equal(digits.calibration[0], digits.tensors("train")[0])


@settings(deadline=None, max_examples=30)
@given(batch_size=st.integers(1, 700), limit=st.none() | st.integers(1, 700))
def test_batches_cover_the_part_in_order_and_again(batch_size: int, limit: int | None) -> None:
    digits = accuracy.data_sets.load("digits")
    batches = digits.batches("test", batch_size, limit)
    count = min(limit or 500, 500)
    for _ in range(2):
        seen = list(batches)
        assert len(seen) == len(batches)
        assert all(len(labels) == batch_size for _, labels in seen[:-1])
        assert torch.equal(torch.cat([labels for _, labels in seen]), digits.test[1][:count])


def test_changing_a_batch_does_not_change_the_data_set() -> None:
    digits = accuracy.data_sets.load("digits")
    inputs, labels = next(iter(digits.batches("test")))
    inputs.zero_()
    labels.zero_()
    again = next(iter(digits.batches("test")))
    assert again[0].any()
    assert again[1].any()


def test_scale_is_the_written_equation() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3)).astype(np.uint8)
    expected = (pixels / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    result = IMAGENET(torch.from_numpy(pixels))
    assert result.is_contiguous()
    np.testing.assert_allclose(result.numpy(), expected.transpose(0, 3, 1, 2), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(Scale(1.0)(torch.from_numpy(pixels))[:, 1].numpy(), pixels[..., 1])


def test_cifar10_archives(shared_data: Path) -> None:
    data = accuracy.data_sets.load("cifar10", shared_data / "cifar10")
    assert (data.size("test"), data.size("calibration")) == (1000, 4000)
    assert data.classes[3] == "cat"
    # The official test batch begins cat, ship, ship, airplane, frog.
    assert data.images("test").labels[:5].tolist() == [3, 8, 8, 0, 6]
    assert data.images("calibration").labels[:5].tolist() == [6, 9, 9, 4, 1]


def test_missing_calibration_images_are_an_error_and_not_replaced_by_test_images(tmp_path: Path) -> None:
    np.savez(tmp_path / "cifar10_test1000_lossless.npz", images=np.zeros((1, 32, 32, 3), np.uint8), labels=[0])
    with pytest.raises(DataSetError, match=r"training images for calibration in .*cifar10_train4000_lossless\.npz"):
        accuracy.data_sets.load("cifar10", tmp_path)


def test_named_errors_of_load(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match=r"Unknown data set 'cifar'\. Did you mean 'cifar10'"):
        accuracy.data_sets.load("cifar")
    with pytest.raises(DataSetError, match="not bundled: give the folder"):
        accuracy.data_sets.load("cifar10")
    with pytest.raises(DataSetError, match="expected a folder"):
        accuracy.data_sets.load("cifar10", tmp_path / "absent")
    with pytest.raises(DataSetError, match=r"test images in .*cifar10_test1000_lossless\.npz"):
        accuracy.data_sets.load("cifar10", tmp_path)


def test_malformed_archives_are_refused_by_name(tmp_path: Path) -> None:
    test, train = tmp_path / "cifar10_test1000_lossless.npz", tmp_path / "cifar10_train4000_lossless.npz"
    test.write_bytes(b"no archive")
    np.savez(train, pixels=np.zeros(3))
    data = accuracy.data_sets.load("cifar10", tmp_path)
    with pytest.raises(DataSetError, match=r"cifar10_test1000_lossless\.npz: not a readable NumPy archive"):
        data.images("test")
    with pytest.raises(DataSetError, match="expected arrays `images` and `labels`, but found"):
        data.images("calibration")
    np.savez(test, images=np.zeros((1, 32, 32, 3), np.uint8), labels=[10])
    with pytest.raises(DataSetError, match="expected labels from 0 to 9, but found 10"):
        data.images("test")


def test_images_check_their_shapes() -> None:
    labels = np.zeros(2, np.int64)
    with pytest.raises(DataSetError, match=r"uint8 \(images, height, width, channels\), but got float64"):
        Images(np.zeros((2, 4, 4, 1)), labels)
    with pytest.raises(DataSetError, match="Got 3 images but labels of shape"):
        Images(np.zeros((3, 4, 4, 1), np.uint8), labels)
    with pytest.raises(DataSetError, match="at least one image"):
        Images(np.zeros((0, 4, 4, 1), np.uint8), labels[:0])


def test_named_errors_of_parts_and_batches() -> None:
    digits: DataSet = accuracy.data_sets.load("digits")
    with pytest.raises(DataSetError, match=r"Unknown part of data set 'digits' 'tests'\. Did you mean 'test'"):
        digits.images("tests")
    with pytest.raises(DataSetError, match="Expected `batch_size` to be an integer of at least 1, but got 0"):
        digits.batches("test", 0)
    with pytest.raises(DataSetError, match="Expected `limit` to be an integer of at least 1, but got -1"):
        digits.batches("test", limit=-1)
