"""ImageNet-like data sets: archives with a table of labels, or folders of classes, brought to a network's size."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from accuracy.data_sets import pictures
from accuracy.data_sets.data_set import DataSet, Images, Preprocess
from accuracy.data_sets.errors import DataSetError
from accuracy.data_sets.files import find, first_existing

VALIDATION = "ilsvrc2012_val1300"
CALIBRATION = "imagenet_sample1000"
CLASSES = 1000


@dataclass(frozen=True)
class Input:
    """What a network wants to see.

    Attributes:
        size: side of its square input.
        preprocess: pixels to inputs.
        subset: how the 227-pixel validation images come to that size.
        sample: how the 256-pixel calibration images do.
    """

    size: int
    preprocess: Preprocess
    subset: pictures.Geometry
    sample: pictures.Geometry


def read(name: str, directory: Path, wanted: Input) -> DataSet:
    """Return pictures for a 1000-class network from a folder.

    One of, in this order:

    - ``ilsvrc2012_val1300_227px.tar`` with its ``_labels.csv`` (1300 real validation images, an easy subset) and
      ``imagenet_sample1000_256px.tar`` with its (one image a class, for calibration only);
    - ``test.tar`` and ``calibration.tar``, each with ``NAME_labels.csv`` (columns `filename`, `class_index`);
    - folders ``test`` or ``val``, and ``calibration`` or ``train``, with one folder a class.

    Pictures of a user's own are shrunk to a shorter side of size / 0.875 and cropped in the middle. Class folders are
    numbered by ``synsets.tsv`` (columns index, wnid, name) where it lies beside them, else in sorted order of the
    calibration part.

    Args:
        name: what the data set is called.
        directory: the folder, or the folder above it.
        wanted: size and preprocessing.

    Raises:
        DataSetError: none of these is complete.
    """
    classes, numbers = _classes(directory)
    own = pictures.shrink_and_crop(wanted.size)
    description = "pictures of the user's own folder"
    readers: dict[str, Callable[[], Images]]
    if first_existing(directory, "imagenet", [f"{VALIDATION}_227px.tar"]):
        readers = {
            "calibration": _tar(directory, f"{CALIBRATION}_256px.tar", f"{CALIBRATION}_labels.csv", wanted.sample),
            "test": _tar(directory, f"{VALIDATION}_227px.tar", f"{VALIDATION}_labels.csv", wanted.subset),
        }
        description = (
            "1300 images of the ILSVRC-2012 validation set, not a random sample: networks score 7 to 14 points above "
            "their accuracy on all 50 000, so quote losses, not accuracies; calibration on one other image a class"
        )
    elif first_existing(directory, "imagenet", ["test.tar"]):
        readers = {part: _tar(directory, f"{part}.tar", f"{part}_labels.csv", own) for part in ("calibration", "test")}
    else:
        what = "pictures (test.tar, or a folder of class folders)"
        test = find(directory, "imagenet", ["test", "val"], f"test {what}")
        calibration = find(directory, "imagenet", ["calibration", "train"], f"calibration {what}")
        if numbers is None:
            names = pictures.class_folders(calibration)
            classes, numbers = tuple(names), {name: index for index, name in enumerate(names)}
        readers = {
            "calibration": partial(pictures.from_folder, calibration, own, numbers),
            "test": partial(pictures.from_folder, test, own, numbers),
        }
    return DataSet(name, description, classes, wanted.preprocess, readers)


def _tar(directory: Path, archive: str, table: str, geometry: pictures.Geometry) -> Callable[[], Images]:
    return partial(
        pictures.from_tar,
        find(directory, "imagenet", [archive], "pictures"),
        find(directory, "imagenet", [table], "labels"),
        geometry,
    )


def _classes(directory: Path) -> tuple[tuple[str, ...], dict[str, int] | None]:
    """Return class names and the label of each class folder; without a table, bare numbers and None."""
    table = first_existing(directory, "imagenet", ["synsets.tsv"])
    if table is None:
        return tuple(str(index) for index in range(CLASSES)), None
    with table.open(newline="") as file:
        rows = [row for row in csv.reader(file, delimiter="\t") if row and row[0].isdigit()]
    if [int(row[0]) for row in rows] != list(range(len(rows))) or not all(len(row) == 3 for row in rows):
        raise DataSetError(f"{table}: expected rows of index, wnid and name with indices 0, 1, 2 and so on.")
    return tuple(row[2] for row in rows), {row[1]: int(row[0]) for row in rows}
