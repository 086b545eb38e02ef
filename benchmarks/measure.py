"""Timing and memory, done fairly: contestants alternate, ratios are taken round by round, medians over rounds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Timing:
    """Seconds of one contestant, one entry a round.

    Attributes:
        wall: elapsed time [s].
        cpu: processor time of this process [s].
    """

    wall: tuple[float, ...]
    cpu: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Median elapsed time [s]."""
        return float(np.median(self.wall))


def alternate(contestants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Timing]:
    """Time contestants in turns, so that a busy or throttled machine hits all of them alike.

    Args:
        contestants: what to run, by name; each is run once before the first round.
        rounds: how often each is timed.
    """
    wall: dict[str, list[float]] = {name: [] for name in contestants}
    cpu: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        run()
    for _ in range(rounds):
        for name, run in contestants.items():
            started, started_cpu = time.perf_counter(), time.process_time()
            run()
            wall[name].append(time.perf_counter() - started)
            cpu[name].append(time.process_time() - started_cpu)
    return {name: Timing(tuple(wall[name]), tuple(cpu[name])) for name in contestants}


def ratio(timing: Timing, baseline: Timing, *, cpu: bool = False) -> float:
    """Median over rounds of the ratio to the baseline's time in the same round.

    Args:
        timing: of a contestant.
        baseline: of the baseline, from the same run of `alternate`.
        cpu: compare processor time instead of elapsed time.
    """
    own, base = (timing.cpu, baseline.cpu) if cpu else (timing.wall, baseline.wall)
    return float(np.median(np.array(own) / np.array(base)))


def machine() -> str:
    """Processor and load, to stand beside every table of times."""
    model = "unknown processor"
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    return f"{model}, {os.cpu_count()} processors, load {load}"


def peak_memory(run: Callable[[], object]) -> float | None:
    """Peak resident memory of this process while something runs [MB], or None where the system does not tell.

    Args:
        run: what to run; only what it touches on top of what is loaded already raises the peak.
    """
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if not (reset.exists() and status.exists()):
        return None
    try:
        reset.write_text("5")
    except OSError:
        return None
    run()
    for line in status.read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return None
