"""How long a million cells take from a Parquet file to a fitted device, on one core: `python -m benchmarks.fit_speed`.

The target is 3 s for 1 000 000 cells in 128 states, statistics of every state and all error models compared. The
process is held on one core; imports are not counted.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import devicekit
from benchmarks.measure import alternate

TARGET_S = 3.0


def make(path: Path, cells: int, states: int) -> None:
    """Write cells of the reference device's spread to a Parquet file, in random order."""
    generator = np.random.default_rng(0)
    target = generator.permutation(np.resize(np.linspace(0.02, 1.0, states) * 1600.0, cells))
    sigma = devicekit.load_device("sonos_40nm_tcas2022").error.scaled(1e9).sigma(target, 1600.0)
    frame = pd.DataFrame({"target (nA)": target, "current (nA)": generator.normal(target, sigma)})
    frame.to_parquet(path, index=False)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.fit_speed", description=__doc__)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--states", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    options, _ = parser.parse_known_args(arguments)
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else None
    if cores is not None:
        os.sched_setaffinity(0, {min(cores)})
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "cells.parquet"
            make(path, options.cells, options.states)
            measurements = devicekit.read_measurements(path)
            times = alternate(
                {
                    "read": lambda: devicekit.read_measurements(path),
                    "fit": lambda: devicekit.fit_device(measurements),
                },
                options.rounds,
            )
    finally:
        if cores is not None:
            os.sched_setaffinity(0, cores)
    print(f"{options.cells:,} cells in {options.states} states, Parquet, one core, best of {options.rounds}")
    for name, timing in times.items():
        print(f"  {name:<6}{min(timing.wall):6.2f} s elapsed, {min(timing.cpu):5.2f} s of the processor")
    wall = sum(min(timing.wall) for timing in times.values())
    cpu = sum(min(timing.cpu) for timing in times.values())
    print(f"  {'both':<6}{wall:6.2f} s elapsed, {cpu:5.2f} s of the processor (target {TARGET_S:g} s)")


if __name__ == "__main__":
    main(sys.argv[1:])
