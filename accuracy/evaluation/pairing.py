"""Which example is which, pass after pass: scores are paired by what the examples are, not by when they come.

A loader that shuffles gives the same examples in another order each time. Every example has a fingerprint of its inputs
and labels; the first pass numbers them, and later ones look the numbers up.
"""

from __future__ import annotations

import functools
from collections import defaultdict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy.batches import Batch, tensors_in
from accuracy.errors import EvaluationError

Words = NDArray[np.uint64]


def fingerprints(batch: Batch, axis: int = 0) -> Words:
    """Return 64 bits of every example of a batch, shape (examples,); equal examples have equal ones.

    A sum of the example's words times fixed odd numbers, modulo 2^64.

    Args:
        batch: its tensors with as many entries along an axis as the first one has examples count, and its labels.
        axis: of the examples.
    """
    examples = batch.examples(axis)
    total: Words = np.zeros(examples, dtype=np.uint64)
    for number, tensor in enumerate((*batch.tensors, *tensors_in(batch.labels))):
        own = next((a for a in (axis, 0) if a < tensor.dim() and tensor.shape[a] == examples), None)
        if own is not None and tensor.numel():
            words = _words(tensor.detach().cpu().movedim(own, 0).reshape(examples, -1))
            total += (words * _factors(number, words.shape[1])).sum(axis=1, dtype=np.uint64)
    return total


def _words(rows: Tensor) -> Words:
    """Rows of bytes as rows of 64-bit words, filled up with zeros."""
    held: NDArray[np.uint8] = rows.contiguous().view(torch.uint8).numpy()
    missing = -held.shape[1] % 8
    if missing:
        held = np.pad(held, ((0, 0), (0, missing)))
    return np.ascontiguousarray(held).view(np.uint64)


@functools.lru_cache(maxsize=8)
def _factors(number: int, count: int) -> Words:
    drawn = np.random.default_rng(number).integers(0, 1 << 63, count, dtype=np.uint64)
    return np.asarray(2 * drawn + 1, dtype=np.uint64)


class Order:
    """Numbers of the examples of a data set, from its first pass.

    Attributes:
        known: numbers of the examples of each fingerprint, ascending.
        size: how many examples there are.
    """

    def __init__(self) -> None:
        self.known: dict[int, list[int]] = defaultdict(list)
        self.size = 0

    def add(self, marks: Words) -> list[int]:
        """Number further examples, by their fingerprints."""
        numbers = list(range(self.size, self.size + len(marks)))
        for mark, number in zip(marks.tolist(), numbers, strict=True):
            self.known[mark].append(number)
        self.size += len(numbers)
        return numbers


class Roll:
    """The examples of one later pass, called by their numbers.

    Args:
        order: of the first pass.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._used: dict[int, int] = {}
        self._seen = 0

    def numbers(self, marks: Words) -> list[int]:
        """Return the numbers of a batch's examples; equal examples in the order in which they come.

        Raises:
            EvaluationError: an example that the first pass did not have.
        """
        found = []
        for mark in marks.tolist():
            own, turn = self._order.known.get(mark, []), self._used.get(mark, 0)
            if turn >= len(own):
                raise EvaluationError(_OTHERS)
            self._used[mark] = turn + 1
            found.append(own[turn])
        self._seen += len(found)
        return found

    def end(self) -> None:
        """Check that every example came.

        Raises:
            EvaluationError: some did not.
        """
        if self._seen != self._order.size:
            raise EvaluationError(_OTHERS)


_OTHERS = (
    "`batches` give other examples when they are gone through again (random augmentation, random or limited sampling, "
    "or data changed in between), so that trials cannot be compared with the float network: give the same examples "
    "each time, in any order."
)
