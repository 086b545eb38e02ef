"""Labelled images for the networks: what is bundled, and what a folder of the user's holds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from accuracy.data_sets import cifar, digits, idx, imagenet, own
from accuracy.data_sets.data_set import Batches, DataSet, Images, Source
from accuracy.data_sets.errors import DataSetError
from accuracy.data_sets.preprocessing import CAFFE, IMAGENET, RAW, SIGNED
from devicekit.common.errors import unknown_name

__all__ = ["Batches", "DataSet", "DataSetError", "Images", "Source", "find", "load", "names"]

_BUNDLED: dict[str, Callable[[], DataSet]] = {"digits": digits.read}
# The same pictures with another preprocessing are another data set.
_INPUTS = {
    "imagenet_224": imagenet.Input(224, IMAGENET),
    "imagenet_299": imagenet.Input(299, SIGNED),
    "imagenet_mobilenet_224": imagenet.Input(224, SIGNED),
    "imagenet_mobilenet_192": imagenet.Input(192, SIGNED),
    "imagenet_caffe_227": imagenet.Input(227, CAFFE),
}
_IN_FOLDER: dict[str, Callable[[Path], DataSet]] = {
    "cifar10": partial(cifar.read, "cifar10", preprocess=IMAGENET),
    "cifar10_raw": partial(cifar.read, "cifar10_raw", preprocess=RAW),
    "cifar10_jpeg": partial(cifar.read_jpeg, "cifar10_jpeg", preprocess=IMAGENET),
    "cifar10_jpeg_raw": partial(cifar.read_jpeg, "cifar10_jpeg_raw", preprocess=RAW),
    "mnist": partial(idx.read, "mnist"),
    "fashion_mnist": partial(idx.read, "fashion_mnist"),
    **{name: partial(imagenet.read, name, wanted=wanted) for name, wanted in _INPUTS.items()},
}


def names() -> tuple[str, ...]:
    """Return the names of all data sets, bundled ones first."""
    return (*_BUNDLED, *_IN_FOLDER)


def find(name: str, directory: str | Path | None = None) -> Source:
    """Return data by the name of a data set, or the user's own.

    Args:
        name: as for `load`; or ``module:function``, ``file.py:function`` or an ``.npz`` file of the user's
            (`accuracy.data_sets.own`).
        directory: as for `load`.

    Raises:
        DataSetError: unknown name, no folder given, a file missing from it, or data of another form.
    """
    return own.read(name) if own.is_own(name) else load(name, directory)


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
        raise DataSetError(
            unknown_name("data set", name, names()) + " Data of your own are given as module:function or an .npz file."
        )
    if directory is None:
        raise DataSetError(f"Data set {name!r} is not bundled: give the folder that holds its files as `directory`.")
    folder = Path(directory)
    if not folder.is_dir():
        raise DataSetError(f"Data set {name!r}: expected a folder, but {folder} is none.")
    return _IN_FOLDER[name](folder)
