"""Readers of data set files: CIFAR's official versions, IDX, archives and folders of pictures, and their errors."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import accuracy
from accuracy.data_sets import DataSetError
from accuracy.data_sets.idx import read_idx
from accuracy.data_sets.pictures import centre_crop, shrink_and_crop, stretch

RNG = np.random.default_rng(0)


def cifar_python(folder: Path, images: int = 3) -> tuple[np.ndarray, list[int]]:
    """Write the official Python version with a few images a batch; return all training pixels and labels."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels, labels = [], []
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        data = RNG.integers(0, 256, (images, 3072)).astype(np.uint8)
        classes = RNG.integers(0, 10, images).tolist()
        (folder / name).write_bytes(pickle.dumps({b"data": data, b"labels": classes}, protocol=2))
        pixels.append(data)
        labels += classes
    return np.concatenate(pixels[:5]), labels


def test_cifar_python_version(tmp_path: Path) -> None:
    pixels, labels = cifar_python(tmp_path / "cifar-10-batches-py")
    data = accuracy.data_sets.load("cifar10", tmp_path)
    assert {part: data.size(part) for part in data.parts} == {"calibration": 3, "train": 15, "test": 3}
    train = data.images("train")
    # Stored channel by channel, row by row: red of the second row's first pixel is number 32.
    assert train.pixels[4, 1, 0, 0] == pixels[4, 32]
    assert train.pixels[4, 0, 0, 2] == pixels[4, 2048]
    assert train.labels.tolist() == labels[:15]
    np.testing.assert_array_equal(data.images("calibration").pixels, train.pixels[:3])


def test_cifar_binary_version_is_the_same_as_the_python_one(tmp_path: Path) -> None:
    cifar_python(tmp_path / "a")
    (tmp_path / "b").mkdir()
    for source in (tmp_path / "a").iterdir():
        batch = pickle.loads(source.read_bytes())
        records = np.column_stack([np.array(batch[b"labels"], np.uint8), batch[b"data"]])
        (tmp_path / "b" / f"{source.name}.bin").write_bytes(records.tobytes())
    first, second = (accuracy.data_sets.load("cifar10_raw", tmp_path / x) for x in "ab")
    for part in first.parts:
        for one, other in zip(first.tensors(part), second.tensors(part), strict=True):
            assert torch.equal(one, other)


def test_cifar_files_that_are_not_what_they_should_be(tmp_path: Path) -> None:
    cifar_python(tmp_path)
    (tmp_path / "test_batch").write_bytes(pickle.dumps(Path("x")))
    with pytest.raises(DataSetError, match=r"test_batch: not a batch of CIFAR-10's Python version: pathlib"):
        accuracy.data_sets.load("cifar10", tmp_path).images("test")
    (tmp_path / "data_batch_3").unlink()
    with pytest.raises(DataSetError, match=r"training images in .*data_batch_3, but there is no such file"):
        accuracy.data_sets.load("cifar10", tmp_path)
    binary = tmp_path / "binary"
    binary.mkdir()
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        (binary / f"{name}.bin").write_bytes(b"12345")
    with pytest.raises(DataSetError, match="expected a multiple of 3073 bytes, but got 5"):
        accuracy.data_sets.load("cifar10", binary).images("test")


def test_recompressed_cifar_has_every_class_in_its_calibration_part(shared_data: Path) -> None:
    data = accuracy.data_sets.load("cifar10_jpeg", shared_data)
    labels = data.images("calibration").labels
    assert len(labels) == 4167
    assert np.bincount(labels).min() >= 416


@pytest.mark.parametrize(
    ("name", "train", "test"),
    [
        ("mnist", "6bbc9ace898e44ae57da46a324031adb", None),
        ("fashion_mnist", "f4a8712d7a061bf5bd6d2ca38dc4d50a", "8181f5470baa50b63fa0f6fddb340f0a"),
    ],
)
def test_idx_files_are_the_known_ones(shared_data: Path, name: str, train: str, test: str | None) -> None:
    data = accuracy.data_sets.load(name, shared_data)
    assert {part: data.size(part) for part in data.parts} == {"calibration": 4000, "train": 60_000, "test": 10_000}
    for part, md5 in (("train", train), ("test", test)):
        images = data.images(part)
        if md5:
            header = np.array([2051, len(images.labels), 28, 28], ">u4").tobytes()
            assert hashlib.md5(header + images.pixels.tobytes()).hexdigest() == md5
        assert np.bincount(images.labels).min() > len(images.labels) / 12
    inputs, _ = next(iter(data.batches("test", 10)))
    assert inputs.shape == (10, 1, 28, 28)
    assert 0.9 < float(inputs.max()) <= 1


def idx(array: np.ndarray) -> bytes:
    """An IDX file of unsigned bytes."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def test_idx_reads_plain_and_gzip_and_refuses_the_rest(tmp_path: Path) -> None:
    array = RNG.integers(0, 256, (2, 3, 4)).astype(np.uint8)
    for name, data in (("a", idx(array)), ("a.gz", gzip.compress(idx(array)))):
        (tmp_path / name).write_bytes(data)
        np.testing.assert_array_equal(read_idx(tmp_path / name, 3), array)
    with pytest.raises(DataSetError, match=r"unsigned bytes in 1 dimensions .* but it begins with 00000803"):
        read_idx(tmp_path / "a", 1)
    (tmp_path / "short").write_bytes(idx(array)[:-1])
    with pytest.raises(DataSetError, match="expected 24 bytes of data, but got 23"):
        read_idx(tmp_path / "short", 3)
    (tmp_path / "b.gz").write_bytes(b"no gzip")
    with pytest.raises(DataSetError, match="not a readable gzip file"):
        read_idx(tmp_path / "b.gz", 3)


def test_mnist_names_the_file_it_misses_and_counts_labels(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match=r"mnist train images in .*train-images-idx3-ubyte\.gz \(or "):
        accuracy.data_sets.load("mnist", tmp_path)
    for prefix, labels in (("train", 2), ("t10k", 3)):
        (tmp_path / f"{prefix}-images.idx3-ubyte").write_bytes(idx(np.zeros((2, 28, 28), np.uint8)))
        (tmp_path / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(np.zeros(labels, np.uint8)))
    data = accuracy.data_sets.load("mnist", tmp_path)
    assert data.size("train") == 2
    with pytest.raises(DataSetError, match=r"has 2 images, but .* has 3 labels"):
        data.images("test")


def png(width: int, height: int, value: int = 0) -> bytes:
    """A picture whose red is `value` and whose green and blue are the column and row."""
    rows, columns = np.indices((height, width))
    pixels = np.stack([np.full_like(rows, value), columns, rows], axis=-1).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def picture(width: int, height: int) -> Image.Image:
    return Image.open(io.BytesIO(png(width, height))).convert("RGB")


def test_geometries() -> None:
    # 227 to 224: one pixel off at the top and left, two at the bottom and right.
    cropped = np.asarray(centre_crop(224)(picture(227, 227)))
    assert cropped.shape == (224, 224, 3)
    assert cropped[0, 0].tolist() == [0, 1, 1]
    assert np.asarray(stretch(10)(picture(20, 40))).shape == (10, 10, 3)
    same = picture(12, 12)
    assert stretch(12)(same) is same
    # Shorter side to 32, then the middle 28; a linear ramp keeps its middle.
    shrunk = np.asarray(shrink_and_crop(28)(picture(64, 200)))
    assert shrunk.shape == (28, 28, 3)
    assert abs(float(shrunk[..., 1].mean()) - 31.5) < 1
    assert abs(float(shrunk[..., 2].mean()) - 99.5) < 2
    with pytest.raises(DataSetError, match="at least 30 x 30 pixels"):
        centre_crop(30)(picture(40, 29))


def write_tar(
    folder: Path, part: str, pictures: dict[str, bytes], labels: str | None = None, prepared: int | None = None
) -> None:
    with tarfile.open(folder / f"{part}{'' if prepared is None else f'_{prepared}px'}.tar", "w") as tar:
        for name, data in pictures.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    rows = labels if labels is not None else "".join(f"{Path(name).name},{i}\n" for i, name in enumerate(pictures))
    (folder / f"{part}_labels.csv").write_text("filename,class_index\n" + rows)


def test_tar_archives_of_any_size_of_picture(tmp_path: Path) -> None:
    for part in ("calibration", "test"):
        write_tar(tmp_path, part, {"x/a.png": png(300, 260, 7), "b.PNG": png(256, 400, 9), "notes.txt": b"hello"})
    data = accuracy.data_sets.load("imagenet_mobilenet_224", tmp_path)
    inputs, labels = data.test
    assert inputs.shape == (2, 3, 224, 224)
    assert labels.tolist() == [0, 1]
    assert float(inputs[0, 0].mean()) == pytest.approx((7 - 127.5) / 127.5)
    assert data.classes[999] == "999"
    # Caffe's order: blue first, the red mean last.
    caffe, _ = accuracy.data_sets.load("imagenet_caffe_227", tmp_path).test
    assert float(caffe[0, 2].mean()) == pytest.approx(7 - 123)


def test_prepared_archives_say_their_size_and_are_known_by_a_word_in_their_name(tmp_path: Path) -> None:
    """Of 256 pixels the middle 87.5 % is seen, of 227 the whole; a few pixels over are cut, never blurred."""
    write_tar(tmp_path, "my_val", {"a.png": png(227, 227, 7)}, prepared=227)
    write_tar(tmp_path, "my_train", {"b.png": png(256, 256, 9), "c.png": png(256, 256, 9)}, prepared=256)
    data = accuracy.data_sets.load("imagenet_224", tmp_path)
    assert data.description.startswith("1 pictures of my_val_227px.tar, a part of the 50 000")
    assert "calibration on 2 pictures of my_train_256px.tar" in data.description
    # Columns and rows as drawn: the crop begins at 1 of 227 and at 16 of 256.
    assert data.images("test").pixels[0, 0, 0].tolist() == [7, 1, 1]
    assert data.images("calibration").pixels[0, 0, 0].tolist() == [9, 16, 16]
    smaller = accuracy.data_sets.load("imagenet_mobilenet_192", tmp_path)
    assert abs(int(smaller.images("test").pixels[0, 0, 0, 1]) - 0) <= 1, "the whole picture is stretched"
    assert abs(int(smaller.images("calibration").pixels[0, 0, 0, 1]) - 16) <= 1, "the middle 224 are"
    write_tar(tmp_path, "other_val", {"a.png": png(227, 227)})
    with pytest.raises(DataSetError, match=r"one archive of test pictures .*my_val_227px\.tar, .*other_val\.tar"):
        accuracy.data_sets.load("imagenet_224", tmp_path)


def test_folders_of_classes_take_sorted_order_or_the_table_of_synsets(tmp_path: Path) -> None:
    for part, names in (("train", "ab"), ("val", "b")):
        for name in names:
            (tmp_path / part / f"n{name}").mkdir(parents=True)
            (tmp_path / part / f"n{name}" / "1.jpg").write_bytes(png(300, 300))
    data = accuracy.data_sets.load("imagenet_299", tmp_path)
    assert data.classes == ("na", "nb")
    assert data.images("test").labels.tolist() == [1]
    (tmp_path / "synsets.tsv").write_text("0\tnz\tzebra\n1\tna\tant\n2\tnb\tbee\n")
    data = accuracy.data_sets.load("imagenet_299", tmp_path)
    assert data.classes == ("zebra", "ant", "bee")
    assert data.images("test").labels.tolist() == [2]
    (tmp_path / "synsets.tsv").write_text("0\tnz\tzebra\n1\tna\tant\n")
    with pytest.raises(DataSetError, match="class folder 'nb' has no label; known are 2 classes"):
        accuracy.data_sets.load("imagenet_299", tmp_path).images("test")
    (tmp_path / "synsets.tsv").write_text("0\tnz\tzebra\n2\tna\tant\n")
    with pytest.raises(DataSetError, match="rows of index, wnid and name"):
        accuracy.data_sets.load("imagenet_299", tmp_path)


def test_named_errors_of_pictures(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="Expected test pictures"):
        accuracy.data_sets.load("imagenet_224", tmp_path)
    write_tar(tmp_path, "test", {"a.png": b"no picture"})
    with pytest.raises(DataSetError, match=r"Expected calibration pictures in .*calibration\.tar with their table"):
        accuracy.data_sets.load("imagenet_224", tmp_path)
    write_tar(tmp_path, "calibration", {"a.png": png(256, 256)})
    data = accuracy.data_sets.load("imagenet_224", tmp_path)
    with pytest.raises(DataSetError, match=r"test\.tar: a\.png: not a readable picture"):
        data.images("test")
    for labels, match in (
        ("b.png,1\n", r"a\.png has no label in .*test_labels\.csv"),
        ("a.png,cat\n", r"test_labels\.csv:2: expected a whole number as class_index, but got 'cat'"),
        ("a.png,1000\n", "expected labels from 0 to 999, but found 1000"),
    ):
        write_tar(tmp_path, "test", {"a.png": png(256, 256)}, labels)
        with pytest.raises(DataSetError, match=match):
            accuracy.data_sets.load("imagenet_224", tmp_path).images("test")
    (tmp_path / "test_labels.csv").write_text("file,class\n")
    with pytest.raises(DataSetError, match="expected columns `filename` and `class_index`, but found"):
        accuracy.data_sets.load("imagenet_224", tmp_path).images("test")
    write_tar(tmp_path, "test", {"notes.txt": b""})
    with pytest.raises(DataSetError, match=r"expected pictures \(.*but found none"):
        accuracy.data_sets.load("imagenet_224", tmp_path).images("test")
    (tmp_path / "test.tar").write_bytes(b"no archive, but long enough to look at" * 30)
    with pytest.raises(DataSetError, match="not a readable tar archive"):
        accuracy.data_sets.load("imagenet_224", tmp_path).images("test")


def test_packed_pictures_must_be_of_one_size_and_complete(tmp_path: Path) -> None:
    files = [png(32, 32), png(31, 32)]
    offsets = np.cumsum([0, *map(len, files)])
    data = np.frombuffer(b"".join(files), np.uint8)
    np.savez(tmp_path / "cifar10_train_jpeg.npz", jpeg_bytes=data, offsets=offsets)
    np.savez(tmp_path / "cifar10_test_jpeg.npz", jpeg_bytes=data, offsets=offsets, labels=[0, 1])
    loaded = accuracy.data_sets.load("cifar10_jpeg", tmp_path)
    with pytest.raises(DataSetError, match="not an archive of `jpeg_bytes`, `offsets` and `labels`: 'labels is not"):
        loaded.images("calibration")
    with pytest.raises(
        DataSetError, match=r"expected pictures of one size, but found \[\(32, 31, 3\), \(32, 32, 3\)\]"
    ):
        loaded.images("test")


def test_imagenet_archives(shared_data: Path) -> None:
    data = accuracy.data_sets.load("imagenet_mobilenet_192", shared_data)
    assert data.size("test") == 1300
    assert data.images("test").pixels.shape == (1300, 192, 192, 3)
    assert data.classes[0] == "tench, Tinca tinca"
    assert len(data.classes) == 1000


@pytest.mark.slow
def test_imagenet_calibration_archive_has_one_picture_a_class(shared_data: Path) -> None:
    data = accuracy.data_sets.load("imagenet_caffe_227", shared_data)
    assert sorted(data.images("calibration").labels.tolist()) == list(range(1000))
    assert data.images("calibration").pixels.shape == (1000, 227, 227, 3)
