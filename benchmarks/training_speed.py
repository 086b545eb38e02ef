"""Cost of a step of training on one's own cells, against plain training of the same network.

ResNet-20, batch norm folded, batches of 50, AdamW, one thread, design A with the 40 nm SONOS cell: steps of
`accuracy.training`, timed between two calls of `progress`. Contestants alternate, and a ratio is the median over rounds
of the ratio to plain training in the same round, by processor time. aihwkit's hardware-aware training of the same
network (torch tile, inputs and outputs of 8 bits, normal errors of the weights drawn for every batch) runs in an
environment of its own, against plain torch there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.fx.experimental.optimization import fuse

from accuracy import calibrate, convert, networks, training
from benchmarks import aihwkit_environment, readme
from benchmarks.measure import machine
from circuits import load_design
from devicekit import load_device

BATCH, STEPS = 50, 4
GOAL = 2.0

CONTESTANTS: Mapping[str, dict[str, Any]] = {
    "plain": {"noise": "none"},
    "drawn weights": {},
    "drawn weights, limits": {"weight_clip": 3.5},
    "drawn weights, taught": {"distillation": 1.0},
    "programmed arrays": {"noise": "arrays"},
    "explicit trace": {"noise": "none", "trace_penalty": 1.0},
    "plain, bfloat16": {"noise": "none", "precision": "bfloat16"},
    "drawn weights, bfloat16": {"precision": "bfloat16"},
}


def seconds_a_step(network: nn.Module, data: list[Any], changes: dict[str, Any]) -> tuple[float, float]:
    """Return processor and elapsed time of a step [s], medians over the steps of one epoch without the first."""
    model = calibrate(convert(network, load_design("A"), load_device("sonos_40nm_tcas2022")), data[:1])
    settings = training.Training(epochs=1, batch_size=BATCH, learning_rate=1e-4, validation=0, **changes)
    marks = []
    training.train(
        model, data, settings, progress=lambda done, total: marks.append((time.process_time(), time.perf_counter()))
    )
    cpu, wall = np.median(np.diff(np.array(marks), axis=0), axis=0)
    return float(cpu), float(wall)


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-aihwkit", action="store_true", help="leave out aihwkit (it installs an environment)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    network = networks.load("resnet20_cifar10", "random")
    generator = torch.Generator().manual_seed(0)
    data = [
        (torch.randn(BATCH, 3, 32, 32, generator=generator), torch.randint(0, 10, (BATCH,), generator=generator))
        for _ in range(STEPS + 1)
    ]
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in CONTESTANTS}
    for _ in range(options.rounds):
        for name, changes in CONTESTANTS.items():
            rounds[name].append(seconds_a_step(network, data, changes))
    plain = np.array(rounds["plain"])
    rows = []
    for name, found in rounds.items():
        own = np.array(found)
        ratios = own[:, 0] / plain[:, 0]
        goal = f"{GOAL:g}" if name == "drawn weights" else ""
        spread = f"{ratios.min():.2f} to {ratios.max():.2f}"
        rows.append((name, f"{np.median(own[:, 0]):.3f}", f"{np.median(ratios):.2f}", spread, goal))
    if not options.no_aihwkit:
        images = torch.cat([batch for batch, _ in data[:2]])
        answer, failures = aihwkit_environment.time_network(fuse(network), images, options.rounds, training=True)
        name = f"aihwkit {answer.get('aihwkit')}, torch {answer.get('torch')}" if answer else "aihwkit"
        found = answer.get("training", {})
        if "ratio" in found:
            spread = f"{found['lowest']:.2f} to {found['highest']:.2f}"
            rows.append((name, f"{found['seconds']:.3f}", f"{found['ratio']:.2f}", spread, ""))
        else:
            failures = [*failures, *filter(None, [found.get("error")])]
            rows.append((f"{name}: {'; '.join(failures) or 'no answer'}", "", "", "", ""))
    headings = ("a step of", "processor time [s]", "x plain", "over rounds", "goal")
    text = (
        f"ResNet-20, batches of {BATCH}, one thread; medians of {options.rounds} rounds; {machine()}.\n\n"
        f"{readme.table(headings, rows)}"
    )
    print(text)
    readme.put("training", f"\n{text}\n")


if __name__ == "__main__":
    main()
