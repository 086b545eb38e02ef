"""Cells of several layers programmed at the same time: every layer draws from a stream of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from accuracy.layers.analog_layers import AnalogLayer
from circuits.threads import thread_count

_LEAST_CELLS = 1 << 16
"""Cells that are worth a thread of their own: a millisecond."""


def program_layers(layers: Sequence[AnalogLayer], seed: int, trial: int = 0, *, draw_cell: bool = False) -> None:
    """Program the cells of layers, on all threads; the same cells for any number of them.

    Args:
        layers: which.
        seed: as for `AnalogLayer.program`.
        trial: likewise.
        draw_cell: likewise.
    """
    cells = [math.prod(layer.array.mapping.shape) for layer in layers]
    threads = min(thread_count(), len(layers), sum(cells) // _LEAST_CELLS)
    # The largest first: whoever is done takes the next smaller one.
    order = sorted(range(len(layers)), key=lambda index: -cells[index])

    def program(index: int) -> None:
        layers[index].program(seed, trial, draw_cell=draw_cell)
        # Cells are drawn where kernels take them: here, while other layers are.
        layers[index].array.renew_layouts()

    if threads < 2:
        for index in order:
            program(index)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(program, order))
