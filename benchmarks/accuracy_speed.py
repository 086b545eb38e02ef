"""ResNet-20 on analog arrays against plain PyTorch, on one thread and on all: time, memory, the cost of a trial.

Plain PyTorch is float32, batch norm folded, inference mode, batches of 100, in the faster memory format, on as many
threads. Analog models are the ones the tests compare with the reference: SONOS cells, calibrated 8-bit ADCs, every
conversion done. Without the CIFAR data beside the checkout, random weights and images take their place; times do not
depend on them, but for the share of bits that are set.
"""

from __future__ import annotations

import argparse
import copy
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.fx.experimental.optimization import fuse

from accuracy import analog_layers, calibrate, convert, data_sets, evaluate, networks
from accuracy.layers.layer_state import Calibration
from accuracy.layers.programming import program_layers
from benchmarks import aihwkit_environment, readme
from benchmarks.measure import alternate, machine, peak_memory, ratio
from benchmarks.unrolled import unrolled
from circuits import CoreDesign, load_designs
from devicekit import load_device

DATA = Path(os.environ.get("DEVICEKIT_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
BATCH, CALIBRATION = 100, 100
GOALS = {
    False: {"A": 1.05, "B": 5.0, "C": 1.15, "D": 3.0, "E": 9.0, "A, bit line": 9.0},
    True: {"A": 1.15, "B": 7.0, "C": 1.25, "D": 4.0, "E": 12.0, "A, bit line": 12.0},
}
"""Times plain PyTorch that we want to reach, on one thread (False) and on two (True)."""
SHARE = 0.57
"""Seconds on two threads over those on one that we want."""
UNROLLED = " unrolled"
PLAIN = ("plain, channels first", "plain, channels last")

Pairs = list[tuple[torch.Tensor, torch.Tensor]]


def designs() -> dict[str, CoreDesign]:
    """The designs that are timed."""
    published = load_designs("xiao2022")
    return {**published, "A, bit line": published["A"].replace(r_p_hat=1e-5)}


@dataclass
class Bench:
    """The network, its images, and the ranges found so far, by design.

    Attributes:
        model: ResNet-20.
        test: batches to time.
        training: batches to calibrate with.
        source: where they come from.
        ranges: calibration of every layer of a design, so that each design is calibrated once.
    """

    model: nn.Module
    test: Pairs
    training: Pairs
    source: str
    ranges: dict[str, list[Calibration | None]] = field(default_factory=dict)

    def converted(self, name: str) -> nn.Module:
        """A converted model, calibrated and programmed."""
        analog = convert(self.model, designs()[name], cell=load_device("sonos_40nm_tcas2022"), seed=0)
        if name not in self.ranges:
            calibrate(analog, self.training)
            self.ranges[name] = [layer.calibration for layer in analog_layers(analog)]
        for layer, found in zip(analog_layers(analog), self.ranges[name], strict=True):
            layer.set_calibration(found)
        return analog

    def contestant(self, name: str) -> Callable[[], torch.Tensor]:
        """Anything that can be timed, by name."""
        if name in PLAIN:
            return plain_models(self.model, self.test)[name]
        design = name.removesuffix(UNROLLED)
        analog = self.converted(design)
        return pass_over(unrolled(analog) if name != design else analog, self.test, torch.contiguous_format)

    def memory_of(self, name: str) -> float | None:
        """Peak memory of one evaluation at batch 100 in a process of its own [MB]."""
        root = Path(__file__).resolve().parent.parent
        with tempfile.TemporaryDirectory() as work:
            ranges = Path(work) / "ranges.pickle"
            ranges.write_bytes(pickle.dumps(self.ranges))
            command = [sys.executable, "-m", "benchmarks.accuracy_speed", "--memory", name, "--ranges", str(ranges)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
        try:
            return float(done.stdout.split()[-1])
        except (IndexError, ValueError):
            return None


def pass_over(model: nn.Module, batches: Pairs, memory_format: torch.memory_format) -> Callable[[], torch.Tensor]:
    """One evaluation of all images, as a function without arguments."""
    inputs = [x.contiguous(memory_format=memory_format) for x, _ in batches]

    def run() -> torch.Tensor:
        with torch.inference_mode():
            return torch.cat([model(x) for x in inputs])

    return run


def plain_models(model: nn.Module, test: Pairs) -> dict[str, Callable[[], torch.Tensor]]:
    """The float network in both memory formats."""
    folded = fuse(model.eval())
    last = copy.deepcopy(folded).to(memory_format=torch.channels_last)
    return {
        PLAIN[0]: pass_over(folded, test, torch.contiguous_format),
        PLAIN[1]: pass_over(last, test, torch.channels_last),
    }


def prepare(images: int) -> Bench:
    """ResNet-20 with images beside the checkout, or random ones."""
    folder = DATA / "cifar10"
    if folder.is_dir():
        data = data_sets.load("cifar10", folder)
        model = networks.load("resnet20_cifar10", weights=folder / "resnet20.safetensors")
        test = list(data.batches("test", BATCH, images))
        training = list(data.batches("calibration", BATCH, CALIBRATION))
        return Bench(model, test, training, f"{images} CIFAR-10 test images")
    generator = torch.Generator().manual_seed(0)
    model = networks.load("resnet20_cifar10", weights="random")

    def drawn(count: int) -> Pairs:
        pixels = torch.randn(count, 3, 32, 32, generator=generator)
        labels = torch.randint(10, (count,), generator=generator)
        return list(zip(pixels.split(BATCH), labels.split(BATCH), strict=True))

    return Bench(model, drawn(images), drawn(CALIBRATION), f"{images} random images, random weights")


def time_all(
    bench: Bench, names: list[str], rounds: int, with_memory: bool, console: Console, place: str | None = None
) -> None:
    """Time and print one table, one thread and all threads side by side; `place` names it in the README."""
    counts = sorted({1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1})
    runs = plain_models(bench.model, bench.test)
    failed: dict[str, str] = {}
    for name in names:
        try:
            runs[name] = bench.contestant(name)
            runs[name]()
        except Exception as error:
            runs.pop(name, None)
            failed[name] = f"{type(error).__name__}: {error}"
    memories = {name: bench.memory_of(name) for name in runs} if with_memory else {}
    found = {}
    for threads in counts:
        torch.set_num_threads(threads)
        found[threads] = alternate(runs, rounds)
    torch.set_num_threads(1)
    table = Table(title=f"ResNet-20, {bench.source}; medians of {rounds} rounds\n{machine()}", title_justify="left")
    table.add_column("evaluation")
    for threads in counts:
        for column in (f"s, {threads} thr.", "x plain", "goal"):
            table.add_column(column, justify="right")
    for column in ("s / s, 1 thr.", "peak MB"):
        table.add_column(column, justify="right")
    rows: list[list[str]] = []
    for name in runs:
        cells = [name]
        for threads, timings in found.items():
            fastest = min((timings[plain] for plain in PLAIN), key=lambda timing: timing.seconds)
            goal = GOALS[threads > 1].get(name)
            cells += [f"{timings[name].seconds:.3f}", f"{ratio(timings[name], fastest):.2f}", f"{goal or '':}"]
        memory = memories.get(name)
        cells += [
            f"{found[counts[-1]][name].seconds / found[1][name].seconds:.2f}",
            "" if memory is None else f"{memory:.0f}",
        ]
        table.add_row(*cells)
        rows.append(cells)
    for name, reason in failed.items():
        table.add_row(name, "-", reason)
    console.print(table)
    if place is not None:
        headings = ["evaluation"]
        for threads in counts:
            headings += [f"{threads} thread{'s' if threads > 1 else ''} [s]", "x plain", "goal"]
        tables = readme.table([*headings, "s / s, 1 thr.", "peak [MB]"], rows)
        readme.put(place, f"{bench.source}; medians of {rounds} rounds; {machine()}.\n\n{tables}")


def time_steps(bench: Bench, names: list[str], rounds: int, console: Console) -> None:
    """Time programming and calibration with a hundred images against the evaluation of a hundred images."""
    table = Table(title="Steps of a study, in evaluations of 100 images; all threads", title_justify="left")
    for column in ("design", "evaluation [s]", "programming", "calibration"):
        table.add_column(column, justify="left" if column == "design" else "right")
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    rows: list[list[str]] = []
    for name in names:
        analog = bench.converted(name)
        layers = analog_layers(analog)
        trial = iter(range(1, 1000))
        steps: dict[str, Callable[[], object]] = {
            "evaluation": pass_over(analog, bench.test[:1], torch.contiguous_format),
            "programming": lambda layers=layers, trial=trial: program_layers(layers, 0, next(trial)),
            "calibration": lambda analog=analog: calibrate(analog, bench.training[:1]),
        }
        timings = alternate(steps, rounds)
        base = timings["evaluation"]
        cells = [f"{ratio(timings[step], base):.2f}" for step in ("programming", "calibration")]
        table.add_row(name, f"{base.seconds:.3f}", *cells)
        rows.append([name, f"{base.seconds:.3f}", *cells])
    torch.set_num_threads(1)
    console.print(table)
    readme.put("steps", readme.table(["design", "evaluation [s]", "programming", "calibration"], rows))


def time_aihwkit(bench: Bench, rounds: int, console: Console) -> None:
    """Time the same network in aihwkit, in an environment of its own, or say why that cannot be."""
    images = torch.cat([x for x, _ in bench.test])
    answer, failures = aihwkit_environment.time_network(fuse(bench.model), images, rounds)
    title = "aihwkit, 8-bit inputs and outputs, in an environment of its own, one thread"
    table = Table(title=title, title_justify="left")
    for column in ("evaluation", "seconds", "x plain there"):
        table.add_column(column)
    for failure in failures:
        table.add_row(failure, "-", "not installed")
    versions = f"aihwkit {answer.get('aihwkit')}, torch {answer.get('torch')}"
    for name in ("InferenceRPUConfig", "TorchInferenceRPUConfig"):
        if name in answer:
            result = answer[name]
            timed = "error" not in result
            table.add_row(
                f"{versions}, {name}",
                f"{result['seconds']:.3f}" if timed else "-",
                f"{result['ratio']:.1f}" if timed else result["error"],
            )
    console.print(table)


def time_trials(bench: Bench, rounds: int, console: Console, trials: int = 10) -> None:
    """Compare trials, each with fresh cells, with as many evaluations of cells that stay, by processor time.

    One evaluation follows each trial, so that both meet the same machine. `evaluate` also runs the float network and
    ideal cells once; the steps it reports tell its trials from those.
    """
    analog = bench.converted("A")
    once = pass_over(analog, bench.test, torch.contiguous_format)
    once()
    fresh: list[float] = []
    same: list[float] = []
    started = 0.0

    def mark(done: int, _: int) -> None:
        nonlocal started
        now = time.process_time()
        if done > 2:
            fresh.append(now - started)
            once()
            same.append(time.process_time() - now)
        started = time.process_time()

    for _ in range(rounds):
        evaluate(analog, bench.test, trials=trials, progress=mark)
    per_trial, per_evaluation = np.array(fresh).reshape(rounds, trials), np.array(same).reshape(rounds, trials)
    ratios = per_trial.sum(axis=1) / per_evaluation.sum(axis=1)
    images = sum(x.shape[0] for x, _ in bench.test)
    readme.put(
        "trials",
        f"{trials} trials of A on {images} images: {trials * np.median(ratios):.2f} evaluations of the same cells "
        f"(goal {1.03 * trials:.1f}), by processor time.",
    )
    console.print(
        f"Design A, {trials} trials with fresh cells: {np.median(per_trial.sum(axis=1)):.2f} s; {trials} evaluations "
        f"of programmed cells: {np.median(per_evaluation.sum(axis=1)):.2f} s (processor time); ratio of sums, median "
        f"over {rounds} rounds: {np.median(ratios):.3f} (goal 1.03)"
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", help="names of evaluations, separated by semicolons: 'A; E unrolled'")
    parser.add_argument("--trials", action="store_true", help="only compare trials with evaluations")
    parser.add_argument("--no-memory", action="store_true", help="leave out peak memory (one process each)")
    parser.add_argument("--no-aihwkit", action="store_true", help="leave out aihwkit (it installs an environment)")
    parser.add_argument("--quick", action="store_true", help="fewer unrolled ones; aihwkit only where it is installed")
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    parser.add_argument("--ranges", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.memory:
        bench = prepare(BATCH)
        bench.ranges = pickle.loads(Path(options.ranges).read_bytes())
        print(peak_memory(bench.contestant(options.memory)))
        return
    console, bench, memory = Console(width=120), prepare(options.images), not options.no_memory
    few = max(1, options.rounds - 3)
    if options.trials:
        time_trials(bench, options.rounds, console)
        return
    if options.only:
        time_all(bench, [name.strip() for name in options.only.split(";")], options.rounds, memory, console)
        return
    time_all(bench, ["A", "B", "C", "D", "E", "A, bit line"], options.rounds, memory, console, "evaluations")
    names = "A" if options.quick else "ABDE"
    time_all(bench, [f"{name}{UNROLLED}" for name in names], 2 if options.quick else few, False, console, "unrolled")
    time_steps(bench, ["A", "E"], few, console)
    time_trials(bench, few, console)
    if not options.no_aihwkit and (not options.quick or aihwkit_environment.is_there()):
        time_aihwkit(bench, options.rounds, console)


if __name__ == "__main__":
    main()
