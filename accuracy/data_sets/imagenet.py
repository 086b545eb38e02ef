"""ImageNet-like data sets: archives with a table of labels, or folders of classes, brought to a network's size."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from accuracy.data_sets import pictures
from accuracy.data_sets.data_set import DataSet, Images, Preprocess
from accuracy.data_sets.errors import DataSetError
from accuracy.data_sets.files import find, first_existing

CLASSES = 1000
_PARTS = {"test": ("test", "val"), "calibration": ("calibration", "train", "sample")}
"""Words by which a part's archive or folder is known, most wanted first."""
_VALIDATION_IMAGES = 50_000
_PREPARED = re.compile(r"_(\d+)px$")


@dataclass(frozen=True)
class Input:
    """What a network wants to see.

    Attributes:
        size: side of its square input.
        preprocess: pixels to inputs.
    """

    size: int
    preprocess: Preprocess


def read(name: str, directory: Path, wanted: Input) -> DataSet:
    """Return pictures for a 1000-class network from a folder.

    One of, in this order, for the test part (words ``test``, ``val``) and the calibration part (words ``calibration``,
    ``train``, ``sample``):

    - a tar archive with the part's word in its name and a table of labels beside it: ``NAME.tar`` with
      ``NAME_labels.csv`` (columns `filename`, `class_index`). ``NAME_256px.tar`` says that its pictures were brought to
      that many pixels square already (then the table is still ``NAME_labels.csv``), see `pictures.fit_prepared`;
    - a folder of that name with one folder a class.

    Other pictures are shrunk to a shorter side of size / 0.875 and cropped in the middle. Class folders are numbered by
    ``synsets.tsv`` (columns index, wnid, name) where it lies beside them, else in sorted order of the calibration part.

    Args:
        name: what the data set is called.
        directory: the folder, or the folder above it.
        wanted: size and preprocessing.

    Raises:
        DataSetError: a part is missing, or several archives could be it.
    """
    classes, numbers = _classes(directory)
    tars = {part: found for part in _PARTS if (found := _archive(directory, part)) is not None}
    for part in _PARTS.keys() - tars.keys() if tars else ():
        raise DataSetError(
            f"Expected {part} pictures in {directory / part}.tar with their table {part}_labels.csv (or another name "
            f"with {' or '.join(_PARTS[part])} in it), but there is no such pair (nor in imagenet/)."
        )
    if tars:
        readers = {part: _tar(*found, wanted.size) for part, found in tars.items()}
        return DataSet(name, _described(tars), classes, wanted.preprocess, readers)
    what = "pictures (an archive with its table of labels, or a folder of class folders)"
    folders = {part: find(directory, "imagenet", words[:2], f"{part} {what}") for part, words in _PARTS.items()}
    if numbers is None:
        names = pictures.class_folders(folders["calibration"])
        classes, numbers = tuple(names), {name: index for index, name in enumerate(names)}
    own = pictures.shrink_and_crop(wanted.size)
    read_folder = {part: partial(pictures.from_folder, folder, own, numbers) for part, folder in folders.items()}
    return DataSet(name, "pictures of the user's own folder", classes, wanted.preprocess, read_folder)


def _archive(directory: Path, part: str) -> tuple[Path, Path] | None:
    """Return the archive of a part and its table of labels; None where there is no such pair."""
    for word in _PARTS[part]:
        found = [
            (path, table)
            for folder in (directory, directory / "imagenet")
            for path in sorted(folder.glob(f"*{word}*.tar"))
            if (table := path.with_name(f"{_PREPARED.sub('', path.stem)}_labels.csv")).is_file()
        ]
        if len(found) > 1:
            names = ", ".join(str(path) for path, _ in found)
            raise DataSetError(f"Expected one archive of {part} pictures with its table of labels, but found {names}.")
        if found:
            return found[0]
    return None


def _tar(archive: Path, table: Path, size: int) -> Callable[[], Images]:
    prepared = _PREPARED.search(archive.stem)
    geometry = pictures.fit_prepared(size, int(prepared[1])) if prepared else pictures.shrink_and_crop(size)
    return partial(pictures.from_tar, archive, table, geometry)


def _described(tars: Mapping[str, tuple[Path, Path]]) -> str:
    """Return what the archives are, and what may not be claimed from them."""
    counts = {part: len(pictures.read_labels(table)) for part, (_, table) in tars.items()}
    text = f"{counts['test']} pictures of {tars['test'][0].name}"
    if counts["test"] < _VALIDATION_IMAGES:
        text += (
            ", a part of the 50 000 for which accuracies are published and perhaps an easy one: quote losses on it, "
            "not accuracies"
        )
    return f"{text}; calibration on {counts['calibration']} pictures of {tars['calibration'][0].name}"


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
