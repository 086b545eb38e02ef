"""IDX files, the format of MNIST and Fashion-MNIST (LeCun's page; big-endian, gzip or not)."""

from __future__ import annotations

import gzip
import math
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accuracy.data_sets.data_set import DataSet, Images
from accuracy.data_sets.errors import DataSetError
from accuracy.data_sets.files import find
from accuracy.data_sets.preprocessing import Scale
from devicekit.common.foreign import reading

CALIBRATION_IMAGES = 4000
_UNSIGNED_BYTE = 8
LARGEST = 2_000_000_000
_FILES = {"train": "train", "test": "t10k"}
_CLASSES = {
    "mnist": tuple(str(digit) for digit in range(10)),
    "fashion_mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
}  # fmt: skip


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Return the array of an IDX file of unsigned bytes.

    Two zero bytes, the type (8), the number of dimensions, each size as a big-endian 32-bit integer, then the data.

    Args:
        path: the file, gzip-compressed if its name ends in ``.gz``.
        dimensions: how many the array must have.

    Raises:
        DataSetError: not such a file, or not of the length its header says.
    """
    with reading(path, DataSetError, "a readable gzip file" if path.suffix == ".gz" else "a readable file"):
        data = _bytes(path)
    header = 4 + 4 * dimensions
    expected = bytes([0, 0, _UNSIGNED_BYTE, dimensions])
    if data[:4] != expected or len(data) < header:
        raise DataSetError(
            f"{path}: expected an IDX file of unsigned bytes in {dimensions} dimensions (magic number "
            f"{expected.hex()}), but it begins with {data[:4].hex()}."
        )
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", dimensions, 4))
    if len(data) != header + math.prod(shape):
        raise DataSetError(f"{path}: expected {math.prod(shape)} bytes of data, but got {len(data) - header}.")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _bytes(path: Path) -> bytes:
    """Return the content of a file, decompressed, at most `LARGEST` bytes of it."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise DataSetError(f"{path}: more than {LARGEST // 10**9} GB of data; no IDX file of images is as large.")
    return data


def read(name: str, directory: Path) -> DataSet:
    """Return MNIST or Fashion-MNIST from a folder of the four usual files, inputs (batch, 1, 28, 28) in 0..1.

    Args:
        name: ``"mnist"`` or ``"fashion_mnist"``.
        directory: the folder, or the folder above it.

    Raises:
        DataSetError: a file is missing.
    """
    readers = {part: _reader(name, directory, part, prefix) for part, prefix in _FILES.items()}
    return DataSet(
        name=name,
        description=f"{name}: 10 000 test images; calibration on the first {CALIBRATION_IMAGES} training images",
        classes=_CLASSES[name],
        preprocess=Scale(),
        readers={"calibration": partial(readers["train"], limit=CALIBRATION_IMAGES), **readers},
    )


def _reader(name: str, directory: Path, part: str, prefix: str) -> partial[Images]:
    paths = {}
    for what, kind in (("images", "images-idx3"), ("labels", "labels-idx1")):
        names = [f"{prefix}-{kind}-ubyte.gz", f"{prefix}-{kind}-ubyte", f"{prefix}-{kind.replace('-', '.')}-ubyte"]
        paths[what] = find(directory, name, names, f"{name} {part} {what}")
    return partial(_part, paths["images"], paths["labels"])


def _part(images: Path, labels: Path, limit: int | None = None) -> Images:
    pixels, classes = read_idx(images, 3), read_idx(labels, 1)
    if len(pixels) != len(classes):
        raise DataSetError(f"{images} has {len(pixels)} images, but {labels} has {len(classes)} labels.")
    return Images(pixels[:limit, ..., None], classes[:limit].astype(np.int64))
