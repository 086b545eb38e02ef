"""A labelled image collection in parts, kept as bytes and preprocessed batch by batch.

Images stay unsigned 8-bit in memory (a thousand ImageNet images are 150 MB as bytes, 600 MB as float32) and a part
is read when it is first asked for. Preprocessing belongs to the data set, so networks keep the field's usual modules:
the same pixels with another preprocessing are another data set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from accuracy.data_sets.errors import DataSetError
from devicekit.common.errors import unknown_name

Preprocess = Callable[[torch.Tensor], torch.Tensor]


class Source(Protocol):
    """Data in parts, as the commands read them: a `DataSet` of images, or data of the user's."""

    @property
    def name(self) -> str:
        """The name, for headings."""
        ...

    @property
    def description(self) -> str:
        """What the parts are."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the labels; empty where there are none."""
        ...

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts."""
        ...

    def size(self, part: str) -> int:
        """Return the number of examples of a part."""
        ...

    def batches(self, part: str = "test", batch_size: int = 100, limit: int | None = None) -> Iterable[Any]:
        """Return a part as batches that can be gone through any number of times."""
        ...

    def fingerprint(self, part: str) -> bytes:
        """Return bytes that differ where the examples of a part differ."""
        ...


@dataclass(frozen=True)
class Images:
    """Pixels and labels of one part.

    Attributes:
        pixels: uint8 (images, height, width, channels).
        labels: int64 (images,), 0-based class index.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.dtype != np.uint8:
            raise DataSetError(
                "Expected images as uint8 (images, height, width, channels), "
                f"but got {self.pixels.dtype} {self.pixels.shape}."
            )
        if self.labels.shape != self.pixels.shape[:1]:
            raise DataSetError(f"Got {len(self.pixels)} images but labels of shape {self.labels.shape}.")
        if not len(self.labels):
            raise DataSetError("Expected at least one image, but got none.")


@dataclass(frozen=True, eq=False)
class Picked:
    """Batches of examples by their numbers.

    Attributes:
        batch: gives the batch of an index tensor.
        examples: how many there are.
    """

    batch: Callable[[torch.Tensor], Any]
    examples: int

    def __call__(self, indices: torch.Tensor) -> Any:
        """Return the batch of some examples, shape (numbers,) int64."""
        return self.batch(indices)


class Batches:
    """Batches of (inputs, labels) that can be gone through any number of times, always in the same order.

    Attributes:
        images: the part.
        preprocess: uint8 (batch, height, width, channels) to float32 (batch, channels, height, width).
        batch_size: images a batch; the last batch may be smaller.
    """

    def __init__(self, images: Images, preprocess: Preprocess, batch_size: int) -> None:
        self.images = images
        self.preprocess = preprocess
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.images.labels) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for start in range(0, len(self.images.labels), self.batch_size):
            yield self._batch(slice(start, start + self.batch_size))

    @property
    def pick(self) -> Picked:
        """Gives a batch of the examples of some numbers."""
        return Picked(lambda indices: self._batch(indices.numpy()), len(self.images.labels))

    def _batch(self, part: Any) -> tuple[torch.Tensor, torch.Tensor]:
        pixels = torch.from_numpy(self.images.pixels[part].copy())
        return self.preprocess(pixels), torch.from_numpy(self.images.labels[part].copy())


@dataclass(frozen=True)
class DataSet:
    """Labelled images for one kind of network.

    Attributes:
        name: as `accuracy.data_sets.load` knows it.
        description: what the parts are, and what may not be claimed from them.
        classes: class names, in the order of the labels.
        preprocess: uint8 (batch, height, width, channels) to float32 (batch, channels, height, width).
        readers: what reads each part; at least ``"calibration"`` and ``"test"``.
    """

    name: str
    description: str
    classes: tuple[str, ...]
    preprocess: Preprocess = field(repr=False)
    readers: Mapping[str, Callable[[], Images]] = field(repr=False)
    _read: dict[str, Images] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts."""
        return tuple(self.readers)

    def images(self, part: str) -> Images:
        """Return a part's pixels and labels as stored, reading them at the first call.

        Args:
            part: one of `parts`.

        Raises:
            DataSetError: no such part, a malformed file, or a label without a class.
        """
        if part not in self.readers:
            raise DataSetError(unknown_name(f"part of data set {self.name!r}", part, self.readers))
        if part not in self._read:
            images = self.readers[part]()
            low, high = int(images.labels.min()), int(images.labels.max())
            if low < 0 or high >= len(self.classes):
                raise DataSetError(
                    f"Data set {self.name!r}, part {part!r}: expected labels from 0 to {len(self.classes) - 1}, "
                    f"but found {low if low < 0 else high}."
                )
            self._read[part] = images
        return self._read[part]

    def size(self, part: str) -> int:
        """Return the number of images of a part."""
        return len(self.images(part).labels)

    def fingerprint(self, part: str) -> bytes:
        """Return the pixels and labels of a part as bytes."""
        images = self.images(part)
        return images.pixels.tobytes() + images.labels.tobytes()

    def tensors(self, part: str, limit: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a part as one pair (inputs float32 (images, channels, height, width), labels int64 (images,)).

        Args:
            part: one of `parts`.
            limit: the first so many images; None for all.

        Raises:
            DataSetError: as `images`; or a limit below 1.
        """
        batches = list(self.batches(part, 500, limit))
        return torch.cat([inputs for inputs, _ in batches]), torch.cat([labels for _, labels in batches])

    @property
    def calibration(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Training images for range calibration: inputs float32 (images, channels, height, width), labels int64."""
        return self.tensors("calibration")

    @property
    def test(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Test images: inputs float32 (images, channels, height, width), labels int64."""
        return self.tensors("test")

    def batches(self, part: str = "test", batch_size: int = 100, limit: int | None = None) -> Batches:
        """Return a part as batches that can be iterated any number of times.

        Args:
            part: one of `parts`.
            batch_size: images a batch.
            limit: the first so many images; None (or more than there are) for all.

        Raises:
            DataSetError: no such part, or a batch size or limit below 1.
        """
        for name, value in (("batch_size", batch_size), ("limit", limit)):
            if value is not None and value < 1:
                raise DataSetError(f"Expected `{name}` to be an integer of at least 1, but got {value!r}.")
        images = self.images(part)
        if limit is not None and limit < len(images.labels):
            images = Images(images.pixels[:limit], images.labels[:limit])
        return Batches(images, self.preprocess, batch_size)
