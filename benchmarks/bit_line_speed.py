"""Speed of the exact bit-line solution against a plain matrix product and other solvers.

One array, on one thread and on all: `python -m benchmarks.bit_line_speed [--rounds N]`. Each contestant alternates with
the matrix product; times are compared round by round, so a busy machine hits both alike: processor times on one thread,
elapsed times on all. The compiled kernel is timed as
`solve_bit_lines` runs it: checks, conversion of boolean inputs and packing included. A process of its own holds both to
AVX2. badcrossbar and scipy's banded solver get fewer inputs and columns and are scaled up to the same number.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from scipy.linalg import solve_banded

from benchmarks import readme
from benchmarks.measure import Timing, alternate, machine, ratio
from circuits import PreparedCells, solve_bit_lines
from circuits.bit_line.kernels import compiled_instruction_set, ladder_compiled, ladder_numba

ROWS, COLUMNS, INPUTS, R_P_HAT = 1152, 256, 1000, 1e-5
GOAL = {"AVX-512": 1.0, "AVX2": 2.5}
CELL_GOALS = (("affine cells, float32", 1.4), ("re-linearised once, float32", 2.3))
"""Times a resistor solve that we want to reach."""


def banded(conductance: np.ndarray, active: np.ndarray, r_p_hat: float) -> np.ndarray:
    """Kirchhoff's laws of each bit line as a banded system, one scipy call a pattern and column."""
    wire = 1 / r_p_hat
    rows, columns = conductance.shape
    result = np.empty((len(active), columns))
    bands = np.full((3, rows), -wire)
    for b, on in enumerate(active):
        for column in range(columns):
            cell = np.where(on, conductance[:, column], 0.0)
            bands[1] = 2 * wire + cell
            bands[1, 0] -= wire
            result[b, column] = wire * solve_banded((1, 1), bands, cell)[-1]
    return result


def crossbar() -> Callable[[np.ndarray, np.ndarray, float], np.ndarray] | None:
    """Return badcrossbar with ideal word lines, one call a pattern (open cells have infinite resistance), or None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import badcrossbar
        except ImportError:
            return None
    import logging

    logging.disable(logging.INFO)

    def solve(conductance: np.ndarray, active: np.ndarray, r_p_hat: float) -> np.ndarray:
        volts = np.ones((conductance.shape[0], 1))
        outputs = []
        for on in active:
            with np.errstate(divide="ignore"):
                resistance = np.where(on[:, None], 1 / conductance, np.inf)
            solution = badcrossbar.compute(
                volts, resistance, r_i_word_line=0.0, r_i_bit_line=r_p_hat, node_voltages=False, all_currents=False
            )
            outputs.append(np.asarray(solution.currents.output)[0])
        return np.stack(outputs)

    return solve


def draw() -> tuple[np.ndarray, np.ndarray, Callable[[], object]]:
    """Return conductances, inputs and the matrix product of both in torch."""
    rng = np.random.default_rng(0)
    conductance = rng.beta(1, 49, (ROWS, COLUMNS)).astype(np.float32)
    active = rng.random((INPUTS, ROWS)) < 0.5
    matrix, inputs = torch.from_numpy(conductance).contiguous(), torch.from_numpy(active).float().contiguous()
    return conductance, active, lambda: inputs @ matrix


def time_avx2(rounds: int) -> None:
    """Print the kernel's time over the matrix product's, both with AVX2; for a process with torch held to it."""
    conductance, active, product = draw()
    contestants = {"product": product, "kernel": lambda: ladder_compiled(conductance, active, R_P_HAT, 1)}
    timings = alternate(contestants, rounds)
    milliseconds = (1e3 * float(np.median(timings[name].cpu)) for name in ("product", "kernel"))
    print(*milliseconds, ratio(timings["kernel"], timings["product"], cpu=True))


def avx2_only(rounds: int) -> list[float]:
    """Run `time_avx2` in a process whose torch uses AVX2."""
    held = {**os.environ, "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    command = [sys.executable, "-m", "benchmarks.bit_line_speed", "--avx2", "--rounds", str(rounds)]
    done = subprocess.run(command, env=held, capture_output=True, text=True, check=True)
    return [float(value) for value in done.stdout.split()]


def main(arguments: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.bit_line_speed", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="leave out other solvers")
    parser.add_argument("--avx2", action="store_true", help=argparse.SUPPRESS)
    options, _ = parser.parse_known_args(arguments)
    torch.set_num_threads(1)
    if options.avx2:
        time_avx2(options.rounds)
        return
    conductance, active, product = draw()
    prepared = PreparedCells(conductance)
    best = compiled_instruction_set()
    contestants: dict[str, Callable[[], object]] = {
        "solve_bit_lines, float32": lambda: solve_bit_lines(conductance, active, R_P_HAT),
    }
    if best is not None:
        double = conductance.astype(np.float64)
        contestants["solve_bit_lines, float64"] = lambda: solve_bit_lines(double, active, R_P_HAT)
        contestants["affine cells, float32"] = lambda: solve_bit_lines(prepared, active, R_P_HAT, "affine")
        contestants["re-linearised once, float32"] = lambda: solve_bit_lines(prepared, active, R_P_HAT, "relinearised")
    all_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def timed() -> dict[str, dict[str, Timing]]:
        return {
            name: alternate({"product": product, name: solve}, options.rounds) for name, solve in contestants.items()
        }

    pairs = timed()
    torch.set_num_threads(all_threads)
    wide = timed()
    torch.set_num_threads(1)
    ratios = {name: ratio(pair[name], pair["product"], cpu=True) for name, pair in pairs.items()}
    products = np.concatenate([pair["product"].cpu for pair in pairs.values()])
    wide_products = np.concatenate([pair["product"].wall for pair in wide.values()])
    scaled = {"numba fallback (float64)": (ladder_numba, 40, COLUMNS), "scipy solve_banded": (banded, 1, 32)}
    solver = None if options.quick else crossbar()
    if options.quick:
        scaled = {}
    if solver is not None:
        scaled["badcrossbar"] = (solver, 1, 32)
    expected = solve_bit_lines(conductance.astype(np.float64), active[:1], R_P_HAT)

    print(f"{ROWS} rows x {COLUMNS} columns, {INPUTS} binary inputs, half on, R_p_hat = {R_P_HAT:g}")
    print(f"{machine()}; kernel: {best or 'numba (no compiler)'}; torch: {torch.backends.cpu.get_cpu_capability()}")
    print(f"{'':<30}{'one thread':>24}{f'{all_threads} threads':>24}")
    print(f"{'':<30}{'ms':>12}{'x matmul':>12}{'ms':>12}{'x matmul':>12}{'largest error':>16}")
    base, wide_base = float(np.median(products)), float(np.median(wide_products))
    print(f"{'torch float32 matmul':<30}{1e3 * base:>12.2f}{1:>12.2f}{1e3 * wide_base:>12.2f}{1:>12.2f}")
    rows = [["torch float32 matmul", f"{1e3 * base:.2f}", "1", f"{1e3 * wide_base:.2f}", "1", ""]]
    solutions = {
        "solve_bit_lines, float32": solve_bit_lines(conductance, active[:1], R_P_HAT),
        "solve_bit_lines, float64": solve_bit_lines(conductance.astype(np.float64), active[:1], R_P_HAT),
    }
    for name, pair in pairs.items():
        error = f"{np.abs(solutions[name] / expected - 1).max():.1e}" if name in solutions else ""
        own = f"{1e3 * float(np.median(pair[name].cpu)):>12.2f}{ratios[name]:>12.2f}"
        together = wide[name][name], wide[name]["product"]
        print(f"{name:<30}{own}{1e3 * together[0].seconds:>12.2f}{ratio(*together):>12.2f}{error:>16}")
        alone = [f"{1e3 * float(np.median(pair[name].cpu)):.2f}", f"{ratios[name]:.2f}"]
        rows.append([name, *alone, f"{1e3 * together[0].seconds:.2f}", f"{ratio(*together):.2f}", error])
    headings = ["", "1 thread [ms]", "x matmul", f"{all_threads} threads [ms]", "x matmul", "largest error"]
    resistor = ratios["solve_bit_lines, float32"]
    others = ", ".join(
        f"{name} {ratios[name] / resistor:.2f} (goal {goal:g})" for name, goal in CELL_GOALS if name in ratios
    )
    readme.put("bit line", f"{readme.table(headings, rows)}\n\nIn resistor solves: {others}; {machine()}.")
    for name, (solve, few, columns) in scaled.items():
        some, chosen = conductance[:, :columns].astype(np.float64), active[:few]
        solution = solve(some, chosen[:1], R_P_HAT)
        started = time.process_time()
        solve(some, chosen, R_P_HAT)
        seconds = (time.process_time() - started) * (INPUTS / few) * (COLUMNS / columns)
        error = np.abs(solution / expected[:, :columns] - 1).max()
        print(f"{name:<30}{1e3 * seconds:>12.0f}{seconds / base:>12.0f}{'':>24}{error:>16.1e}")
    for name, goal in CELL_GOALS:
        if name in ratios:
            print(f"{name}: {ratios[name] / resistor:.2f} times the resistor solve (goal {goal:g})")
    if best in GOAL:
        print(f"goal with {best}: at most {GOAL[best]} times the matrix product; here {resistor:.2f}")
    if best == "AVX-512":
        theirs, ours, own = avx2_only(options.rounds)
        print(
            f"kernel and matrix product both held to AVX2: {ours:.2f} ms and {theirs:.2f} ms; "
            f"goal at most {GOAL['AVX2']} times; here {own:.2f}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
