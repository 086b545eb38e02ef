"""Memory that a network takes on arrays, in bytes a weight beyond its own: run as a script, prints one JSON object.

Arguments: design, cell, rows, columns, layers; the network is a chain of as many linear layers. Or design, cell, width,
blocks: a transformer of as many blocks, 12 * width^2 weights each.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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

    def chain(rows: int, columns: int) -> nn.Module:
        return nn.Sequential(*[nn.Sequential(nn.Linear(rows, columns), nn.ReLU()) for _ in range(layers)]).eval()

    # Libraries and kernels are loaded before anything counts.
    measured(chain(8, 8), torch.rand(2, 8), design, cell, 1)
    return measured(chain(rows, columns), torch.rand(4, rows), design, cell, rows * columns * layers)


def measured(model: nn.Module, x: Tensor, design: str, cell: str, weights: int) -> dict[str, float]:
    """Convert, calibrate and run a network."""
    torch.set_num_threads(1)
    with torch.no_grad():
        model(x)
        memory = Memory(weights)
        with memory.of("convert"):
            converted = convert(model, design, cell)
        with memory.of("calibrate"):
            calibrate(converted, [(x, None)])
        with memory.of("run"):
            outputs = converted(x)
    assert bool(outputs.isfinite().all())
    return memory.found


class Block(nn.Module):
    """Attention over all positions and two layers with a GELU between, each with a residual and a norm before."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        q, k, v = (part(h).unflatten(-1, (-1, 64)).transpose(1, 2) for part in (self.query, self.key, self.value))
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2))
        return x + self.down(F.gelu(self.up(self.second(x))))


def transformer(design: str, cell: str, width: int, blocks: int) -> dict[str, float]:
    """Convert, calibrate and run a transformer on one batch; also the whole memory of the process [B]."""

    def made(width: int, blocks: int) -> nn.Module:
        return nn.Sequential(*[Block(width) for _ in range(blocks)]).eval()

    measured(made(64, 2), torch.rand(2, 4, 64), design, cell, 1)
    model = made(width, blocks)
    weights = sum(parameter.numel() for parameter in model.parameters() if parameter.dim() > 1)
    found = measured(model, torch.randn(2, 16, width), design, cell, weights)
    return found | {"weights": weights, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


if __name__ == "__main__":
    numbers = [int(value) for value in sys.argv[3:]]
    what = main if len(numbers) == 3 else transformer
    print(json.dumps(what(sys.argv[1], sys.argv[2], *numbers)))
