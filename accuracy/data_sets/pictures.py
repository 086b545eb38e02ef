"""Decoding pictures: single files, folders of classes, tar archives with a table of labels, packed JPEG bytes."""

from __future__ import annotations

import csv
import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from accuracy.data_sets.data_set import Images
from accuracy.data_sets.errors import DataSetError

SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".webp")
Geometry = Callable[[Image.Image], Image.Image]
WITH_MARGIN = 256
_FEW_PIXELS = 8


def whole(picture: Image.Image) -> Image.Image:
    """Return the picture as it is."""
    return picture


def centre_crop(size: int) -> Geometry:
    """Return what cuts the middle square out, of `size` pixels; an odd pixel over is left at the bottom and right.

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
    """Return what resizes the whole picture to a square of `size` pixels (bilinear, antialiased)."""

    def resize(picture: Image.Image) -> Image.Image:
        return picture if picture.size == (size, size) else picture.resize((size, size), Image.Resampling.BILINEAR)

    return resize


def fit_prepared(size: int, side: int) -> Geometry:
    """Return what brings square pictures of one size to a network's, as the field does.

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
    """Return the field's usual way with pictures of any size: shorter side to `size` / 0.875, then the middle square.

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
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return np.asarray(geometry(picture.convert("RGB")))
    except DataSetError as error:
        raise DataSetError(f"{where}: {error}") from None
    except (UnidentifiedImageError, OSError) as error:
        raise DataSetError(f"{where}: not a readable picture ({error}).") from None


def from_tar(archive: Path, table: Path, geometry: Geometry) -> Images:
    """Return the pictures of a tar archive, in its order.

    Args:
        archive: tar file (compressed or not) of pictures.
        table: CSV with columns `filename` and `class_index` (0-based), one row a picture.
        geometry: brings pictures to one size.

    Raises:
        DataSetError: unreadable files, a picture without a label, or pictures of several sizes.
    """
    labels = read_labels(table)
    pixels, classes = [], []
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = Path(member.name).name
                file = tar.extractfile(member) if name.lower().endswith(SUFFIXES) else None
                if file is None:
                    continue
                if name not in labels:
                    raise DataSetError(f"{archive}: {name} has no label in {table}.")
                pixels.append(decode(file.read(), geometry, f"{archive}: {name}"))
                classes.append(labels[name])
    except tarfile.TarError as error:
        raise DataSetError(f"{archive}: not a readable tar archive ({error}).") from None
    return _images(pixels, classes, archive)


def read_labels(table: Path) -> dict[str, int]:
    """Return class indices by file name, of a CSV with columns `filename` and `class_index`.

    Raises:
        DataSetError: a column is missing, or an index is no whole number; the message names the line.
    """
    labels: dict[str, int] = {}
    with table.open(newline="") as file:
        reader = csv.DictReader(file)
        if not {"filename", "class_index"} <= set(reader.fieldnames or ()):
            raise DataSetError(
                f"{table}: expected columns `filename` and `class_index`, but found {reader.fieldnames}."
            )
        for row in reader:
            try:
                labels[row["filename"]] = int(row["class_index"])
            except (TypeError, ValueError):
                raise DataSetError(
                    f"{table}:{reader.line_num}: expected a whole number as class_index, but got "
                    f"{row['class_index']!r}."
                ) from None
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
    try:
        with np.load(path, allow_pickle=False) as archive:
            data, offsets, labels = archive["jpeg_bytes"], archive["offsets"], archive["labels"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataSetError(f"{path}: expected an archive of `jpeg_bytes`, `offsets` and `labels` ({error}).") from None
    chosen = range(0, len(labels), every)
    pixels = [decode(data[offsets[i] : offsets[i + 1]].tobytes(), whole, f"{path}: picture {i}") for i in chosen]
    return _images(pixels, [int(labels[i]) for i in chosen], path)


def _images(pixels: list[NDArray[np.uint8]], labels: list[int], where: Path) -> Images:
    if not pixels:
        raise DataSetError(f"{where}: expected pictures ({', '.join(SUFFIXES)}), but found none.")
    sizes = {picture.shape for picture in pixels}
    if len(sizes) > 1:
        raise DataSetError(f"{where}: expected pictures of one size, but found {sorted(sizes)[:3]}.")
    return Images(np.stack(pixels), np.array(labels, dtype=np.int64))
