"""A hundred thousand designs in one call against one call each: time, and the same numbers.

The target is 2 s of processor time on one core for 100 000 designs. The designs differ in everything that a design can
differ in, so nothing is shared but the ways of storing weights and of applying inputs.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.measure import alternate, machine
from circuits import CoreDesign, weight_codes
from energy import design_fields, estimate_core, estimate_designs

TARGET = 2.0
ALONE = 200


def random_designs(size: int, seed: int) -> pd.DataFrame:
    """Return random possible designs, one a row."""
    rng = np.random.default_rng(seed)
    weight_bits = rng.integers(2, 9, size)
    return pd.DataFrame(
        {
            "matrix_rows": rng.integers(1, 3000, size),
            "matrix_columns": rng.integers(1, 600, size),
            "negative_weights": rng.choice(sorted(weight_codes()), size),
            "weight_bits": weight_bits,
            "bits_per_cell": np.minimum(rng.integers(1, 8, size), weight_bits - 1),
            "max_rows": rng.choice([64, 72, 128, 144, 256, 512, 1152], size),
            "input_bits": 8,
            "bits_per_input_slice": rng.integers(1, 9, size),
            "input_accumulation": rng.choice(["analog", "digital"], size),
            "adc_bits": rng.integers(1, 17, size),
            "adc": rng.choice(["ramp", "sar", "flash"], size),
        }
    )


def main(options: list[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--designs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args(options)
    frame = random_designs(chosen.designs, seed=0)
    timing = alternate({"sweep": lambda: estimate_designs(frame)}, chosen.rounds)["sweep"]
    table = estimate_designs(frame)
    designs = [CoreDesign(name=f"d{k}", **design_fields(frame.iloc[k])) for k in range(min(ALONE, len(frame)))]
    started = time.process_time()
    costs = [estimate_core(design, adc=adc) for design, adc in zip(designs, frame["adc"], strict=False)]
    alone = np.array([[cost.value(name) for name in table.columns] for cost in costs])
    each = (time.process_time() - started) / len(designs)
    swept = table.head(len(designs)).to_numpy()
    difference = float(np.max(np.abs(swept - alone) / np.where(alone == 0, 1, alone)))
    shown = Table(title=f"{chosen.designs} designs, {len(table.columns)} numbers each")
    for heading in ("", "processor time [s]", "elapsed [s]", "a design [us]"):
        shown.add_column(heading, justify="right" if heading else "left")
    cpu = float(np.median(timing.cpu))
    shown.add_row("one call", f"{cpu:.2f}", f"{timing.seconds:.2f}", f"{cpu / chosen.designs * 1e6:.1f}")
    shown.add_row("one call each", f"{each * chosen.designs:.0f}", "", f"{each * 1e6:.0f}")
    console = Console()
    console.print(shown)
    console.print(f"largest relative difference over {len(designs)} designs: {difference:.1e}")
    console.print(f"target {TARGET:g} s: {'met' if cpu <= TARGET else 'missed'}; {machine()}")


if __name__ == "__main__":
    main([])
