"""Labelled images for the networks: what is bundled, and what a folder of the user's holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from accuracy.data_sets import cifar, digits
from accuracy.data_sets.data_set import Batches, DataSet, Images
from accuracy.data_sets.errors import DataSetError
from accuracy.data_sets.preprocessing import IMAGENET
from devicekit.errors import unknown_name

__all__ = ["Batches", "DataSet", "DataSetError", "Images", "load", "names"]

_BUNDLED: dict[str, Callable[[], DataSet]] = {"digits": digits.read}
_IN_FOLDER: dict[str, Callable[[Path], DataSet]] = {
    "cifar10": lambda directory: cifar.read("cifar10", directory, IMAGENET),
}


def names() -> tuple[str, ...]:
    """Return the names of all data sets, bundled ones first."""
    return (*_BUNDLED, *_IN_FOLDER)


def load(name: str, directory: str | Path | None = None) -> DataSet:
    """Return a data set by name.

    Args:
        name: one of `names()`.
        directory: folder that holds its files; not needed (and ignored) for a bundled one.

    Raises:
        DataSetError: unknown name, no folder given, or a file missing from it.
    """
    if name in _BUNDLED:
        return _BUNDLED[name]()
    if name not in _IN_FOLDER:
        raise DataSetError(unknown_name("data set", name, names()))
    if directory is None:
        raise DataSetError(f"Data set {name!r} is not bundled: give the folder that holds its files as `directory`.")
    folder = Path(directory)
    if not folder.is_dir():
        raise DataSetError(f"Data set {name!r}: expected a folder, but {folder} is none.")
    return _IN_FOLDER[name](folder)
