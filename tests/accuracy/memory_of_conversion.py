"""Memory that a network takes on arrays, in bytes a weight beyond its own: run as a script, prints one JSON object.

Arguments: design, cell, rows, columns, layers; the network is a chain of as many linear layers.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from accuracy import calibrate, convert


def resident() -> int:
    """Memory of this process that is in use [B]."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class Memory:
    """Memory beyond that at the start, relative to a number of weights."""

    def __init__(self, weights: int) -> None:
        gc.collect()
        self.start, self.weights = resident(), weights
        self.found: dict[str, float] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Note what is held after a step, and the most at any time of it."""
        top, going = [0], threading.Event()

        def watch() -> None:
            while not going.wait(0.001):
                top[0] = max(top[0], resident())

        watcher = threading.Thread(target=watch)
        watcher.start()
        begin = time.perf_counter()
        yield
        going.set()
        watcher.join()
        gc.collect()
        self.found[f"{name}_peak"] = (max(top[0], resident()) - self.start) / self.weights
        self.found[f"{name}_held"] = (resident() - self.start) / self.weights
        self.found[f"{name}_s"] = time.perf_counter() - begin


def main(design: str, cell: str, rows: int, columns: int, layers: int) -> dict[str, float]:
    """Convert, calibrate and run a chain of linear layers."""
    torch.set_num_threads(1)

    def chain(rows: int, columns: int) -> nn.Module:
        return nn.Sequential(*[nn.Sequential(nn.Linear(rows, columns), nn.ReLU()) for _ in range(layers)]).eval()

    # Libraries and kernels are loaded before anything counts.
    for model, x in ((chain(8, 8), torch.rand(2, 8)), (chain(rows, columns), torch.rand(4, rows))):
        with torch.no_grad():
            model(x)
            memory = Memory(rows * columns * layers)
            with memory.of("convert"):
                converted = convert(model, design, cell)
            with memory.of("calibrate"):
                calibrate(converted, [(x, None)])
            with memory.of("run"):
                converted(x)
    return memory.found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], *(int(value) for value in sys.argv[3:]))))
