"""Training examples in an order that seed and epoch fix, so that a training that goes on is the one that stopped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from accuracy.batches import Batches, map_tensors, require_reiterable, tensors_in
from accuracy.data_sets.data_set import Picked
from accuracy.training.errors import TrainingError


class Examples:
    """Batches of training examples.

    Examples that can be picked one by one (image data sets, arrays, lists of batches of equal form) are shuffled and
    put into batches anew in every epoch. Other batches come as they are, with torch's global generator seeded for the
    epoch, so that a `DataLoader` that shuffles does so in the same way again.

    Args:
        data: batches, in any of the forms of `accuracy.batches`.
        batch_size: examples a batch, where they can be picked.
        seed: of the order.
        held_out: share of the examples that is left for validation.

    Raises:
        TrainingError: no examples, or examples that cannot be picked where some shall be held out.
        EvaluationError: `data` is a one-shot iterator or no iterable.
    """

    def __init__(self, data: Batches, batch_size: int, seed: int, held_out: float = 0.0) -> None:
        require_reiterable(data)
        self._data, self._batch_size, self._seed = data, batch_size, seed
        self._pick = _picker(data)
        self._chosen: Tensor | None = None
        self._validation: Tensor | None = None
        if self._pick is None:
            if held_out:
                raise TrainingError(
                    "Data given as ready batches of unequal form cannot be parted: give `validation` data of their "
                    "own, or set the setting `validation` to 0."
                )
            self.steps = sum(1 for _ in data)
        else:
            order = torch.from_numpy(_generator(seed, "parts").permutation(self._pick.examples))
            count = round(held_out * self._pick.examples)
            self._validation, self._chosen = order[:count].sort().values, order[count:].sort().values
            self.steps = -(-len(self._chosen) // batch_size)
        if not self.steps:
            raise TrainingError("The training data are empty: give at least one batch (inputs, labels).")

    def epoch(self, number: int, begin: int = 0) -> Iterator[Any]:
        """Yield the batches of an epoch.

        Args:
            number: of the epoch.
            begin: batches at its beginning to leave out.
        """
        if self._pick is not None and self._chosen is not None:
            order = self._chosen[_generator(self._seed, "order", number).permutation(len(self._chosen))]
            for indices in _parts(order, self._batch_size)[begin:]:
                yield self._pick(indices)
            return
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(_generator(self._seed, "order", number).integers(2**62)))
            batches = iter(self._data)
            state = torch.get_rng_state()
        for step in range(self.steps):
            # What the data draw is theirs alone, whatever else draws meanwhile.
            with torch.random.fork_rng(devices=[]):
                torch.set_rng_state(state)
                item = next(batches, None)
                state = torch.get_rng_state()
            if item is None:
                return
            if step >= begin:
                yield item

    def some(self, count: int) -> list[Any]:
        """Return batches of the first so many examples, in the data's own order."""
        if self._pick is not None and self._chosen is not None:
            return [self._pick(part) for part in _parts(self._chosen[:count], self._batch_size)]
        return list(self._data)[: -(-count // self._batch_size)]

    def validation(self) -> list[Any]:
        """Return the batches that were held out; empty where none were."""
        if self._pick is None or self._validation is None or not len(self._validation):
            return []
        return [self._pick(part) for part in _parts(self._validation, max(self._batch_size, 100))]


def _parts(numbers: Tensor, size: int) -> list[Tensor]:
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def _picker(data: Any) -> Picked | None:
    """What gives a batch of examples by their numbers; None for batches that cannot be taken apart."""
    own = getattr(data, "pick", None)
    if isinstance(own, Picked):
        return own
    if not isinstance(data, list | tuple) or not data:
        return None
    parts = [list(tensors_in(item)) for item in data]
    forms = {tuple((tensor.shape[1:], tensor.dtype) for tensor in part) for part in parts}
    first = parts[0]
    plain = all(
        isinstance(item, tuple) and len(item) == 2 and all(isinstance(t, Tensor) for t in item) for item in data
    )
    counts = all(len({tensor.shape[:1] for tensor in part}) == 1 and part[0].dim() for part in parts)
    if len(forms) != 1 or not plain or not counts or not first:
        return None
    held = tuple(torch.cat([item[place] for item in data]) for place in range(2))
    return Picked(lambda indices: map_tensors(held, lambda tensor: tensor[indices]), held[0].shape[0])


def _generator(seed: int, *what: Any) -> np.random.Generator:
    """A generator of its own for each purpose of a seed."""
    key = [int.from_bytes(str(part).encode()[:8], "little") if isinstance(part, str) else int(part) for part in what]
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(7001, *key)))
