"""Whether the inputs of layers are finite, asked once for a whole pass of a network on an accelerator.

To ask is to wait for all that the device was given before. On the host it costs nothing to ask at every layer;
elsewhere a pass of which the caller can start over keeps one flag on the device, and asks at its end.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class FiniteChecks:
    """The inputs that were met while questions were put off.

    Args:
        device: of the tensors that are not asked about at once.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._doubtful: Tensor | None = None

    def add(self, total: Tensor) -> None:
        """Take in the sum of a layer's inputs."""
        doubtful = ~torch.isfinite(total)
        self._doubtful = doubtful if self._doubtful is None else self._doubtful | doubtful

    def all_finite(self) -> bool:
        """Return whether no input can have been infinite or no number; waits for the device."""
        return self._doubtful is None or not bool(self._doubtful)


_open = threading.local()


@contextmanager
def put_off(device: torch.device, wanted: bool = True) -> Iterator[FiniteChecks]:
    """Put off questions about tensors of a device; whoever does has to ask at the end, and to start over.

    Args:
        device: where the network is.
        wanted: False to ask at every layer.
    """
    checks, before = FiniteChecks(device), getattr(_open, "checks", None)
    _open.checks = checks if wanted else None
    try:
        yield checks
    finally:
        _open.checks = before


def is_finite(x: Tensor) -> bool:
    """Return whether all values are finite, or True where the question is put off."""
    total, checks = x.sum(), getattr(_open, "checks", None)
    if checks is not None and checks.device == x.device:
        checks.add(total)
        return True
    # A sum that is finite has finite terms only; one that is not may be of large numbers.
    return math.isfinite(float(total)) or bool(torch.isfinite(x).all())
