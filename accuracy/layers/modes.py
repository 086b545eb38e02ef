"""What the forward passes of analog layers compute, set for a while and set back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from accuracy.layers.analog_layers import AnalogLayer
from accuracy.layers.layer_state import Mode


@contextmanager
def layer_mode(layers: Iterable[AnalogLayer], mode: Mode) -> Iterator[None]:
    """Set what forward passes compute, and set it back."""
    chosen = list(layers)
    before = [layer.mode for layer in chosen]
    for layer in chosen:
        layer.mode = mode
    try:
        yield
    finally:
        for layer, mode_before in zip(chosen, before, strict=True):
            layer.mode = mode_before
