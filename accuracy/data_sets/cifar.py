"""CIFAR-10 as lossless NumPy archives: 1000 test images, 4000 training images for calibration."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from accuracy.data_sets.data_set import DataSet, Images, Preprocess
from accuracy.data_sets.errors import DataSetError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TEST_FILE = "cifar10_test1000_lossless.npz"
CALIBRATION_FILE = "cifar10_train4000_lossless.npz"


def find(directory: Path, folder: str, file: str, what: str) -> Path:
    """Return the path of a file in a directory or in its sub-folder of that data set's name.

    Args:
        directory: what the user gave.
        folder: sub-folder looked in as well, so that the folder above several data sets does too.
        file: the file's name.
        what: what the file holds, for the message.

    Raises:
        DataSetError: it is in neither.
    """
    for candidate in (directory / file, directory / folder / file):
        if candidate.is_file():
            return candidate
    raise DataSetError(f"Expected {what} in {directory / file}, but there is no such file (nor in {folder}/).")


def read_npz(path: Path) -> Images:
    """Return the images of a NumPy archive with `images` uint8 (n, height, width, channels) and `labels` (n,).

    Raises:
        DataSetError: no archive, or a key is missing.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in ("images", "labels") if key not in archive.files]
            if missing:
                raise DataSetError(f"{path}: expected arrays `images` and `labels`, but found {archive.files}.")
            return Images(archive["images"], archive["labels"].astype(np.int64).reshape(-1))
    except (OSError, ValueError) as error:
        raise DataSetError(f"{path}: not a readable NumPy archive ({error}).") from None


def read(name: str, directory: Path, preprocess: Preprocess) -> DataSet:
    """Return CIFAR-10 from the archives in a folder.

    Args:
        name: what the data set is called with that preprocessing.
        directory: folder with both archives, or the folder above it.
        preprocess: pixels to network inputs.

    Raises:
        DataSetError: an archive is missing; there is no fallback to test images for calibration.
    """
    test = find(directory, "cifar10", TEST_FILE, "CIFAR-10 test images")
    calibration = find(directory, "cifar10", CALIBRATION_FILE, "CIFAR-10 training images for calibration")
    return DataSet(
        name=name,
        description=(
            "CIFAR-10, lossless: the first 1000 images of the official test batch; calibration on the first 4000 "
            "training images"
        ),
        classes=CLASSES,
        preprocess=preprocess,
        readers={"calibration": lambda: read_npz(calibration), "test": lambda: read_npz(test)},
    )
