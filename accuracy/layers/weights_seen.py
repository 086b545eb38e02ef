"""Whether weights are those that were seen: cheap at every call, certain where it matters."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from accuracy.mapping.weights import row_pieces

Marks = tuple[tuple[int, int], ...]


def marks_of(parameters: Iterable[Tensor | None]) -> Marks:
    """Return which parameters there are, and how often each was changed.

    Args:
        parameters: of a layer.
    """
    return tuple((id(each), 0 if each.is_inference() else each._version) for each in parameters if each is not None)


class WeightsSeen:
    """A hash of a matrix, and the versions of the parameters that it was last found equal with.

    Args:
        matrix: as it was mapped.
    """

    def __init__(self, matrix: Tensor) -> None:
        self._hash = _hash_of(matrix)
        self._marks: Marks | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy starts from: its parameters are others."""
        return {"_hash": self._hash, "_marks": None}

    def differ(self, matrix: Callable[[], Tensor], parameters: Iterable[Tensor | None], thoroughly: bool) -> bool:
        """Return whether a matrix has other values than the one seen.

        Args:
            matrix: gives it as it is now; called where a change is to be looked for.
            parameters: what it is made of; they count their changes.
            thoroughly: whether values are compared even where no change was counted.
        """
        marks = marks_of(parameters)
        if not thoroughly and marks == self._marks:
            return False
        if _hash_of(matrix()) != self._hash:
            return True
        self._marks = marks
        return False


def _hash_of(matrix: Tensor) -> bytes:
    found, held = hashlib.blake2b(digest_size=16), matrix.detach()
    for rows in row_pieces(slice(0, held.shape[0]), held.shape[1]):
        # Single precision, so that a model that is moved to double and back is the same.
        part = held[rows].to("cpu", torch.float32).contiguous()
        found.update(part.view(-1).view(torch.uint8).numpy().data)
    return found.digest()
