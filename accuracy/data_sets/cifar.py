"""CIFAR-10: lossless NumPy archives, the official Python and binary versions, and packed JPEG copies."""

from __future__ import annotations

import codecs
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from accuracy.data_sets import pictures
from accuracy.data_sets.data_set import DataSet, Images, Preprocess
from accuracy.data_sets.errors import DataSetError
from accuracy.data_sets.files import find, first_existing
from devicekit.common.foreign import numpy_archive, reading

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CALIBRATION_IMAGES = 4000
TEST_FILE = "cifar10_test1000_lossless.npz"
CALIBRATION_FILE = "cifar10_train4000_lossless.npz"
PIXELS = 3 * 32 * 32


def read_npz(path: Path) -> Images:
    """Return the images of a NumPy archive with `images` uint8 (n, height, width, channels) and `labels` (n,).

    Raises:
        DataSetError: no archive, or a key is missing.
    """
    with numpy_archive(path, DataSetError, "a readable NumPy archive") as archive:
        missing = [key for key in ("images", "labels") if key not in archive.files]
        if missing:
            raise DataSetError(f"{path}: expected arrays `images` and `labels`, but found {archive.files}.")
        try:
            return Images(archive["images"], pictures.whole_labels(archive["labels"], str(path)))
        except DataSetError as error:
            raise DataSetError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None


# What a pickled array of any NumPy version names; nothing among it runs code of the file's choosing.
_RECONSTRUCT = np.zeros(0).__reduce__()[0]
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): codecs.encode,
}


class _ArraysOnly(pickle.Unpickler):
    """Unpickles NumPy arrays and plain values, nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the few things an array needs."""
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not an array")
        return _ALLOWED[module, name]


def read_python(paths: list[Path]) -> Images:
    """Return the images of batches of the official Python version (pickled dictionaries `data`, `labels`).

    Raises:
        DataSetError: not such a file, or one that would run code.
    """
    parts = []
    for path in paths:
        with reading(path, DataSetError, "a batch of CIFAR-10's Python version"), path.open("rb") as file:
            batch = _ArraysOnly(file, encoding="bytes").load()
            data = np.asarray(batch[b"data"] if b"data" in batch else batch["data"])
            if data.dtype.kind not in "iu" or data.min() < 0 or data.max() > 255:
                raise DataSetError(f"{path}: expected pixels as whole numbers from 0 to 255, but got {data.dtype}.")
            labels = pictures.whole_labels(batch[b"labels"] if b"labels" in batch else batch["labels"], str(path))
            parts.append((data.astype(np.uint8).reshape(-1, 3, 32, 32), labels))
    return _channels_last(parts)


def read_binary(paths: list[Path]) -> Images:
    """Return the images of batches of the official binary version (a label byte, then 3072 pixel bytes, each image).

    Raises:
        DataSetError: a file whose length is no multiple of 3073.
    """
    parts = []
    for path in paths:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        if not len(data) or len(data) % (1 + PIXELS):
            raise DataSetError(f"{path}: expected a multiple of {1 + PIXELS} bytes, but got {len(data)}.")
        records = data.reshape(-1, 1 + PIXELS)
        parts.append((records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64)))
    return _channels_last(parts)


def _channels_last(parts: list[tuple[Any, Any]]) -> Images:
    pixels = np.concatenate([data for data, _ in parts]).transpose(0, 2, 3, 1)
    return Images(np.ascontiguousarray(pixels), np.concatenate([labels for _, labels in parts]))


def read(name: str, directory: Path, preprocess: Preprocess) -> DataSet:
    """Return CIFAR-10 from a folder: lossless archives where both are there, else an official version.

    Args:
        name: what the data set is called with that preprocessing.
        directory: the folder, or the folder above it.
        preprocess: pixels to network inputs.

    Raises:
        DataSetError: files are missing; there is no fallback to test images for calibration.
    """
    readers = _official(directory, "cifar-10-batches-py/", "", read_python) or _official(
        directory, "cifar-10-batches-bin/", ".bin", read_binary
    )
    description = f"CIFAR-10: 10 000 test images; calibration on the first {CALIBRATION_IMAGES} training images"
    if readers is None or first_existing(directory, "cifar10", [TEST_FILE]) is not None:
        test = find(directory, "cifar10", [TEST_FILE], "CIFAR-10 test images")
        calibration = find(directory, "cifar10", [CALIBRATION_FILE], "CIFAR-10 training images for calibration")
        readers = {"calibration": partial(read_npz, calibration), "test": partial(read_npz, test)}
        description = (
            "CIFAR-10, lossless: the first 1000 images of the official test batch; calibration on the first 4000 "
            "training images"
        )
    return DataSet(name, description, CLASSES, preprocess, readers)


def _official(
    directory: Path, folder: str, suffix: str, reader: Callable[[list[Path]], Images]
) -> dict[str, Callable[[], Images]] | None:
    """Return the readers of an official version, or None where it is not in the folder."""
    first = first_existing(directory, "cifar10", [f"{folder}test_batch{suffix}", f"test_batch{suffix}"])
    if first is None:
        return None
    train = [first.with_name(f"data_batch_{i}{suffix}") for i in range(1, 6)]
    absent = [path for path in train if not path.is_file()]
    if absent:
        raise DataSetError(f"Expected CIFAR-10 training images in {absent[0]}, but there is no such file.")

    def calibration() -> Images:
        images = reader(train[:1])
        return Images(images.pixels[:CALIBRATION_IMAGES], images.labels[:CALIBRATION_IMAGES])

    return {"calibration": calibration, "train": partial(reader, train), "test": partial(reader, [first])}


def read_jpeg(name: str, directory: Path, preprocess: Preprocess) -> DataSet:
    """Return the recompressed copy of CIFAR-10, as packed JPEG files.

    Recompression costs networks that were trained on the originals about ten points; compare only within this set.

    Args:
        name: what the data set is called with that preprocessing.
        directory: folder of ``cifar10_test_jpeg.npz`` and ``cifar10_train_jpeg.npz``, or the folder above it.
        preprocess: pixels to network inputs.

    Raises:
        DataSetError: an archive is missing.
    """
    test = find(directory, "cifar10", ["cifar10_test_jpeg.npz"], "CIFAR-10 test images as JPEG")
    train = find(directory, "cifar10", ["cifar10_train_jpeg.npz"], "CIFAR-10 training images as JPEG")
    return DataSet(
        name=name,
        description=(
            "CIFAR-10 recompressed as JPEG (mean pixel error 5.8 of 255, about ten points below the originals): 10 000 "
            "test images; calibration on every 12th training image"
        ),
        classes=CLASSES,
        preprocess=preprocess,
        # Files are grouped by class, so calibration takes every 12th rather than the first 4167.
        readers={
            "calibration": partial(pictures.from_packed, train, 12),
            "train": partial(pictures.from_packed, train),
            "test": partial(pictures.from_packed, test),
        },
    )
