"""Decoding pictures: single files, folders of classes, tar archives with a table of labels, packed JPEG bytes."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from accuracy.data_sets.data_set import Images
from accuracy.data_sets.errors import DataSetError
from devicekit.common.foreign import numpy_archive, reading

SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".webp")
Geometry = Callable[[Image.Image], Image.Image]
WITH_MARGIN = 256
_FEW_PIXELS = 8
MOST_PIXELS = 50_000_000
LARGEST_PICTURE = 200_000_000
"""Bytes of a picture's file; a member of an archive can claim far more than the archive holds."""


def whole(picture: Image.Image) -> Image.Image:
    """Return the picture as it is."""
    return picture


def centre_crop(size: int) -> Geometry:
    """Return a function that crops a picture to its middle square of `size` pixels; an odd pixel goes right and below.

    Args:
        size: side of the square; smaller pictures are refused with a `DataSetError`.
    """

    def crop(picture: Image.Image) -> Image.Image:
        if min(picture.size) < size:
            raise DataSetError(f"Expected pictures of at least {size} x {size} pixels, but got {picture.size}.")
        left, top = (picture.width - size) // 2, (picture.height - size) // 2
        return picture.crop((left, top, left + size, top + size))

    return crop


def stretch(size: int) -> Geometry:
    """Return a function that resizes the whole picture to a square of `size` pixels (bilinear, antialiased)."""

    def resize(picture: Image.Image) -> Image.Image:
        return picture if picture.size == (size, size) else picture.resize((size, size), Image.Resampling.BILINEAR)

    return resize


def fit_prepared(size: int, side: int) -> Geometry:
    """Return a function that brings square pictures of one size to a network's, as is usual.

    Of pictures with a margin (256 pixels and more: a shorter side of 224 / 0.875) networks see the middle 87.5 %, of
    smaller ones the whole. That is cut to `size` where it is few pixels larger, for resampling would blur it; else
    stretched to it.

    Args:
        size: side of the square wanted.
        side: side of the pictures.
    """
    margin = side >= WITH_MARGIN
    middle = min(side, max(size, round(0.875 * side))) if margin else side
    cut, resize = centre_crop(size if 0 <= middle - size <= _FEW_PIXELS else middle), stretch(size)
    return lambda picture: resize(cut(picture))


def shrink_and_crop(size: int) -> Geometry:
    """Return a function for pictures of any size: shorter side to `size` / 0.875, then the middle square, as is usual.

    Args:
        size: side of the square.
    """
    shorter = round(size / 0.875)
    crop = centre_crop(size)

    def fit(picture: Image.Image) -> Image.Image:
        scale = shorter / min(picture.size)
        sides = (max(shorter, round(picture.width * scale)), max(shorter, round(picture.height * scale)))
        return crop(picture.resize(sides, Image.Resampling.BILINEAR))

    return fit


def decode(data: bytes, geometry: Geometry, where: str) -> NDArray[np.uint8]:
    """Return the RGB pixels of a picture file, uint8 (height, width, 3).

    Args:
        data: the file's bytes.
        geometry: brings it to size.
        where: the file's name, for the message.

    Raises:
        DataSetError: no picture, or one too small.
    """
    # Opening reads the header only: a small file can claim a picture that fills the memory.
    with reading(where, DataSetError, "a readable picture"), Image.open(io.BytesIO(data)) as picture:
        if picture.width * picture.height > MOST_PIXELS:
            raise DataSetError(
                f"{where}: a picture of {picture.width} x {picture.height} pixels, more than "
                f"{MOST_PIXELS // 10**6} million, is not decoded."
            )
        try:
            return np.asarray(geometry(picture.convert("RGB")))
        except DataSetError as error:
            raise DataSetError(f"{where}: {error}") from None


def from_tar(archive: Path, table: Path, geometry: Geometry) -> Images:
    """Return the pictures of a tar archive, in its order.

    Args:
        archive: tar file (compressed or not) of pictures.
        table: CSV with columns `filename` (its path in the archive, or its name) and `class_index` (0-based), one row
            a picture.
        geometry: brings pictures to one size.

    Raises:
        DataSetError: unreadable files, a picture without a label of its own, pictures of several sizes, or larger than
            a picture may be.
    """
    labels = read_labels(table)
    pixels, classes = [], []
    seen: dict[str, str] = {}
    with reading(archive, DataSetError, "a readable tar archive"), tarfile.open(archive) as tar:
        for member in tar:
            path = member.name.removeprefix("./")
            if not member.isfile() or not path.lower().endswith(SUFFIXES):
                continue
            if member.size > LARGEST_PICTURE:
                raise DataSetError(f"{archive}: {path} has {member.size} bytes, more than a picture may.")
            # A table lists pictures by their path in the archive, or by their name where no two share it.
            key = path if path in labels else Path(path).name
            if key not in labels:
                raise DataSetError(f"{archive}: {path} has no label in {table}.")
            if key in seen:
                raise DataSetError(
                    f"{archive}: {seen[key]} and {path} share the label of {key!r} in {table}; list pictures by their "
                    "path in the archive."
                )
            seen[key] = path
            file = tar.extractfile(member)
            assert file is not None
            pixels.append(decode(file.read(), geometry, f"{archive}: {path}"))
            classes.append(labels[key])
    return _images(pixels, classes, archive)


def read_labels(table: Path) -> dict[str, int]:
    """Return class indices by file name, of a CSV with columns `filename` and `class_index`.

    Raises:
        DataSetError: a column is missing, or an index is no whole number; the message names the line.
    """
    labels: dict[str, int] = {}
    with reading(table, DataSetError, "a table of labels"), table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if not {"filename", "class_index"} <= set(reader.fieldnames or ()):
            raise DataSetError(
                f"{table}: expected columns `filename` and `class_index`, but found {reader.fieldnames}."
            )
        for row in reader:
            name = row["filename"].removeprefix("./")
            try:
                index = int(row["class_index"])
            except (TypeError, ValueError):
                raise DataSetError(
                    f"{table}:{reader.line_num}: expected a whole number as class_index, but got "
                    f"{row['class_index']!r:.100}."
                ) from None
            if labels.setdefault(name, index) != index:
                raise DataSetError(
                    f"{table}:{reader.line_num}: {name!r} has class_index {index} here and {labels[name]} above."
                )
    return labels


def from_folder(folder: Path, geometry: Geometry, classes: Mapping[str, int]) -> Images:
    """Return the pictures of a folder of classes, ``folder/CLASS/picture``, sorted by class then name.

    Args:
        folder: holds one folder a class.
        geometry: brings pictures to one size.
        classes: label of each class folder.

    Raises:
        DataSetError: a class folder that is not in `classes`, unreadable pictures, or several sizes.
    """
    pixels, labels = [], []
    for name in class_folders(folder):
        if name not in classes:
            raise DataSetError(f"{folder}: class folder {name!r} has no label; known are {len(classes)} classes.")
        for path in sorted((folder / name).iterdir()):
            if path.suffix.lower() in SUFFIXES:
                pixels.append(decode(path.read_bytes(), geometry, str(path)))
                labels.append(classes[name])
    return _images(pixels, labels, folder)


def class_folders(folder: Path) -> list[str]:
    """Return the names of the class folders in a folder, sorted."""
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def from_packed(path: Path, every: int = 1) -> Images:
    """Return the pictures of a NumPy archive of packed files.

    Args:
        path: archive with `jpeg_bytes` uint8 (all files end to end), `offsets` (pictures + 1,), `labels` (pictures,).
        every: take every so manieth picture, from the first.

    Raises:
        DataSetError: no archive, a key is missing, or pictures of several sizes.
    """
    with numpy_archive(path, DataSetError, "an archive of `jpeg_bytes`, `offsets` and `labels`") as archive:
        data, offsets = archive["jpeg_bytes"], archive["offsets"].astype(np.int64, casting="safe")
        labels = whole_labels(archive["labels"], str(path))
        if data.dtype != np.uint8 or data.ndim != 1 or offsets.shape != (len(labels) + 1,):
            raise DataSetError(f"{path}: expected bytes end to end and one more of `offsets` than of `labels`.")
        if len(labels) and not (offsets[0] >= 0 and (np.diff(offsets) > 0).all() and offsets[-1] <= len(data)):
            raise DataSetError(f"{path}: expected `offsets` that rise within the {len(data)} bytes.")
    chosen = range(0, len(labels), every)
    pixels = [decode(data[offsets[i] : offsets[i + 1]].tobytes(), whole, f"{path}: picture {i}") for i in chosen]
    return _images(pixels, [int(labels[i]) for i in chosen], path)


def whole_labels(labels: NDArray[Any], where: str) -> NDArray[np.int64]:
    """Return labels as integers, shape (images,).

    Args:
        labels: whole numbers, as integers or not.
        where: the file, for the message.

    Raises:
        DataSetError: a label that is no whole number; it would be cut to one in silence.
    """
    values = np.asarray(labels).reshape(-1)
    if values.dtype.kind not in "iuf" or not np.all(np.isfinite(values) & (np.abs(values) < 2**31)):
        raise DataSetError(f"{where}: expected labels as whole numbers, but got {values.dtype} values.")
    broken = values[values != np.floor(values)]
    if broken.size:
        raise DataSetError(f"{where}: expected labels as whole numbers, but got {broken[0]}.")
    return values.astype(np.int64)


def _images(pixels: list[NDArray[np.uint8]], labels: list[int], where: Path) -> Images:
    if not pixels:
        raise DataSetError(f"{where}: expected pictures ({', '.join(SUFFIXES)}), but found none.")
    sizes = {picture.shape for picture in pixels}
    if len(sizes) > 1:
        raise DataSetError(f"{where}: expected pictures of one size, but found {sorted(sizes)[:3]}.")
    return Images(np.stack(pixels), np.array(labels, dtype=np.int64))
