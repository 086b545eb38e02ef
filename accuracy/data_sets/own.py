"""The user's own data: ``module:function`` or ``file.py:function`` that gives them, or an ``.npz`` file.

Data have a part ``"calibration"`` (or ``"train"``), which ranges are set with, and a part ``"test"``. A part is a pair
(inputs, labels) of arrays, where inputs may also be a dict or tuple of arrays; a map-style `torch.utils.data.Dataset`
of (input, label); or batches as `accuracy.evaluate` takes them, a list or a DataLoader.
"""

from __future__ import annotations

import hashlib
import math
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from accuracy.batches import batch_of, map_tensors, require_reiterable, tensors_in
from accuracy.data_sets.data_set import DataSet, Picked, Source
from accuracy.data_sets.errors import DataSetError
from accuracy.errors import EvaluationError
from accuracy.own_code import naming_errors, own_function
from devicekit.common.errors import unknown_name

_PARTS = {"calibration": ("calibration", "train", "training"), "test": ("test",)}
_NPZ = {
    "calibration": (("calibration_inputs", "calibration_labels"), ("x_train", "y_train")),
    "test": (("test_inputs", "test_labels"), ("x_test", "y_test")),
}


def is_own(name: str) -> bool:
    """Say whether a data set's name means data of the user's."""
    return ":" in name or name.endswith(".npz")


def read(name: str) -> Source:
    """Return the user's data.

    Args:
        name: ``module:function``, ``file.py:function``, or an ``.npz`` file with calibration_inputs,
            calibration_labels, test_inputs and test_labels (or x_train, y_train, x_test, y_test).

    Raises:
        DataSetError: no such function or file, or data of another form.
    """
    if name.endswith(".npz"):
        return OwnData(Path(name).stem, f"data of {name}", _arrays(Path(name)))
    given = own_function(name, "data set", DataSetError)()
    if isinstance(given, DataSet | OwnData):
        return given
    if (
        isinstance(given, tuple)
        and len(given) == 2
        and not all(isinstance(part, Tensor | np.ndarray) for part in given)
    ):
        given = {"calibration": given[0], "test": given[1]}
    if not isinstance(given, Mapping):
        raise DataSetError(
            f"Expected {name} to return {{'calibration': ..., 'test': ...}} or (calibration, test), each (inputs, "
            f"labels), a torch Dataset or batches, but got {type(given).__name__}."
        )
    parts = {}
    for part, names in _PARTS.items():
        found = next((key for key in names if key in given), None)
        if found is None:
            raise DataSetError(f"{name}: " + unknown_name("part", part, map(str, given)))
        parts[part] = given[found]
    return OwnData(name.rpartition(":")[2], f"data of {name}", parts)


def _arrays(path: Path) -> dict[str, Any]:
    """Arrays of an .npz file, by part; numbers in double precision become float32, as networks are."""
    try:
        with np.load(path, allow_pickle=False) as file:
            held = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataSetError(f"{path}: cannot read arrays: {error}.") from None
    parts = {}
    for part, pairs in _NPZ.items():
        names = next((pair for pair in pairs if pair[0] in held and pair[1] in held), None)
        if names is None:
            raise DataSetError(
                f"{path}: expected arrays {pairs[0][0]!r} and {pairs[0][1]!r}, but found {sorted(held)}."
            )
        inputs, labels = (held[name] for name in names)
        if inputs.dtype == np.uint8:
            raise DataSetError(
                f"{path}: {names[0]!r} holds bytes 0 to 255; save what the network reads, scaled as in its training."
            )
        for name, array in zip(names, (inputs, labels), strict=True):
            if array.dtype.kind not in "fiub":
                raise DataSetError(f"{path}: expected numbers in {name!r}, but got {array.dtype}.")
        parts[part] = (inputs.astype(np.float32) if inputs.dtype == np.float64 else inputs, labels)
    return parts


@dataclass(frozen=True, eq=False)
class OwnData:
    """The user's data in parts.

    Attributes:
        name: for headings.
        description: where they are from.
        sources: the parts as they were given.
        classes: names of classes; empty, as nobody said them.
    """

    name: str
    description: str
    sources: Mapping[str, Any] = field(repr=False)
    classes: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts."""
        return tuple(self.sources)

    def batches(self, part: str = "test", batch_size: int = 100, limit: int | None = None) -> Iterable[Any]:
        """Return a part as batches that can be gone through any number of times.

        Args:
            part: one of `parts`.
            batch_size: examples a batch; data given as batches keep theirs.
            limit: the first so many examples (of data given as batches, as many batches as hold them); None for all.

        Raises:
            DataSetError: no such part, a batch size or limit below 1, or a part of another form.
        """
        for name, value in (("batch_size", batch_size), ("limit", limit)):
            if value is not None and value < 1:
                raise DataSetError(f"Expected `{name}` to be an integer of at least 1, but got {value!r}.")
        if part not in self.sources:
            raise DataSetError(unknown_name(f"part of data set {self.name!r}", part, self.sources))
        return _batches(f"{self.name}, part {part!r}", self.sources[part], batch_size, limit)

    def size(self, part: str) -> int:
        """Return the number of examples of a part."""
        return sum(_examples(self.name, item) for item in self.batches(part))

    def fingerprint(self, part: str) -> bytes:
        """Return a hash over the examples and labels of a part."""
        digest = hashlib.sha256()
        for item in self.batches(part):
            for tensor in tensors_in(item):
                digest.update(repr((tensor.shape, tensor.dtype)).encode())
                digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.digest()


def _examples(where: str, item: Any) -> int:
    try:
        return batch_of(item).examples()
    except EvaluationError as error:
        raise DataSetError(f"Data set {where}: {error}") from None


def _batches(where: str, part: Any, batch_size: int, limit: int | None) -> Iterable[Any]:
    if isinstance(part, Dataset) and not isinstance(part, DataLoader):
        if not hasattr(part, "__len__"):
            raise DataSetError(f"Data set {where}: an iterable Dataset has no length; give a DataLoader of it.")
        return _Items(where, part, batch_size, limit)
    if isinstance(part, tuple) and len(part) == 2:
        inputs, labels = map_tensors(part, lambda tensor: tensor)
        return _Slices(where, inputs, labels, batch_size, limit)
    try:
        require_reiterable(part)
    except EvaluationError as error:
        raise DataSetError(f"Data set {where}: {error}") from None
    return _First(where, part, math.inf if limit is None else limit)


class _Slices:
    """Batches of arrays whose first axis counts examples."""

    def __init__(self, where: str, inputs: Any, labels: Any, batch_size: int, limit: int | None) -> None:
        lengths = [tensor.shape[0] if tensor.dim() else 0 for tensor in tensors_in((inputs, labels))]
        if not lengths or len(set(lengths)) > 1 or not lengths[0]:
            shown = [tuple(tensor.shape) for tensor in tensors_in((inputs, labels))]
            raise DataSetError(
                f"Data set {where}: expected arrays (inputs, labels) whose first axis counts the same examples, but "
                f"got shapes {shown}."
            )
        self._data, self._batch_size = (inputs, labels), batch_size
        self._length = lengths[0] if limit is None else min(limit, lengths[0])

    def __len__(self) -> int:
        return -(-self._length // self._batch_size)

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, self._length, self._batch_size):
            yield self._batch(slice(start, min(start + self._batch_size, self._length)))

    @property
    def pick(self) -> Picked:
        """Gives a batch of the examples of some numbers."""
        return Picked(self._batch, self._length)

    def _batch(self, part: Any) -> Any:
        return map_tensors(self._data, lambda tensor: tensor[part])


class _Items:
    """Batches of a map-style Dataset, in its order."""

    def __init__(self, where: str, items: Any, batch_size: int, limit: int | None) -> None:
        self._where, self._items, self._batch_size = where, items, batch_size
        self._length = len(items) if limit is None else min(limit, len(items))

    def __len__(self) -> int:
        return -(-self._length // self._batch_size)

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, self._length, self._batch_size):
            stop = min(start + self._batch_size, self._length)
            yield self._batch(range(start, stop))

    @property
    def pick(self) -> Picked:
        """Gives a batch of the examples of some numbers."""
        return Picked(lambda indices: self._batch(indices.tolist()), self._length)

    def _batch(self, part: Iterable[int]) -> Any:
        with naming_errors(f"Data set {self._where} cannot be read", DataSetError):
            return default_collate([self._items[index] for index in part])


class _First:
    """The first batches of ready ones, until they hold so many examples."""

    def __init__(self, where: str, batches: Iterable[Any], limit: float) -> None:
        self._where, self._batches, self._limit = where, batches, limit

    def __iter__(self) -> Iterator[Any]:
        seen = 0
        # What the consumer of a batch raises does not pass here.
        with naming_errors(f"Data set {self._where} cannot be read", DataSetError):
            for item in self._batches:
                yield item
                seen += _examples(self._where, item)
                if seen >= self._limit:
                    return
