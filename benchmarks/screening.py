"""The screen against full trials: how designs rank, how far accuracies are apart, and what both take.

Twenty designs are screened and tried; then five hundred are screened, and the time is compared with that of one
evaluation by trials. Targets: Kendall's tau of at least 0.9, and 500 designs in the time of 10 evaluations.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.stats import kendalltau

import accuracy
from accuracy import measure_sensitivities, screen_core
from benchmarks.measure import machine
from circuits import Core, load_designs
from devicekit import Cell, load_device

TARGET_TAU = 0.9
TARGET_EVALUATIONS = 10.0


def twenty(cell: Cell) -> list[Core]:
    """Return designs of all kinds whose losses go from nothing to most of the accuracy."""
    base = load_designs("xiao2022")
    chosen = [
        *(("A", f"spread x {scale}", scale, {}) for scale in (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)),
        *(("E", f"spread x {scale}", scale, {}) for scale in (0.5, 1.0, 1.5)),
        *(("B", f"spread x {scale}", scale, {}) for scale in (1.0, 3.0, 5.0)),
        *(("A", f"{bits}-bit ADC", 1.0, {"adc_bits": bits}) for bits in (4, 5, 6)),
        *(("A", f"{bits}-bit weights", 1.0, {"weight_bits": bits, "bits_per_cell": bits - 1}) for bits in (3, 4)),
        ("C", "a scale a column, spread x 2", 2.0, {"weight_scale": "column"}),
        ("D", "spread x 2.2", 2.2, {}),
    ]
    return [
        Core(
            base[design].replace(**fields),
            cell=dataclasses.replace(cell, error_scale=scale),
            name=f"{design}, {what}",
        )
        for design, what, scale, fields in chosen
    ]


def five_hundred(cell: Cell) -> list[Core]:
    """Return designs that differ in rows, ADC bits, form and cell."""
    base = load_designs("xiao2022")
    return [
        Core(
            base[name].replace(adc_bits=bits, max_rows=rows),
            cell=dataclasses.replace(cell, error_scale=scale),
            name=f"{name} {bits} {rows} {scale}",
        )
        for name in ("A", "B", "C", "D", "E")
        for bits in (5, 6, 7, 8, 9)
        for rows in (72, 144, 288, 576, 1152)
        for scale in (0.7, 1.0, 1.4, 2.0)
    ]


def main(options: list[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="digits_cnn")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--images", type=int, default=360)
    parser.add_argument("--calibration-images", type=int, default=200)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--designs", type=int, default=500, help="screened for the time, evenly out of 500")
    chosen = parser.parse_args(options)
    torch.set_num_threads(1)
    model = accuracy.networks.load(chosen.network, chosen.data)
    data = accuracy.data_sets.find(accuracy.networks.data_set(chosen.network), chosen.data)
    test = data.batches("test", 100, chosen.images)
    training = data.batches("calibration", 100, chosen.calibration_images)
    cell = load_device("sonos_40nm_tcas2022")
    began = time.process_time()
    sensitivities = measure_sensitivities(model, test, training, scales=("layer", "column"))
    measuring = time.process_time() - began
    table = Table("design", "screen %", "stated error", "over chips", "trials %", "over chips", "apart", "")
    estimates, means, takes = [], [], []
    for core in twenty(cell):
        found = screen_core(sensitivities, core)
        began = time.process_time()
        converted = accuracy.calibrate(accuracy.convert(model, core), training)
        tried = accuracy.evaluate(converted, test, trials=chosen.trials)
        takes.append(time.process_time() - began)
        estimates.append(found)
        means.append(tried.mean)
        parts = (found.mean, found.error, found.std, tried.mean, tried.std, tried.mean - found.mean)
        table.add_row(core.name, *(f"{100 * part:.2f}" for part in parts), "unsure" if found.unsure else "")
    cores = five_hundred(cell)[:: max(1, 500 // chosen.designs)]
    began = time.process_time()
    for core in cores:
        screen_core(sensitivities, core)
    screening = time.process_time() - began
    console = Console(width=120)
    console.print(machine())
    console.print(table)
    tau = kendalltau([one.mean for one in estimates], means).statistic
    sure = [(one, mean) for one, mean in zip(estimates, means, strict=True) if not one.unsure]
    apart = np.array([mean - one.mean for one, mean in sure])
    within = np.mean([abs(mean - one.mean) < 2 * one.error for one, mean in sure])
    rms = 100 * np.sqrt(np.mean(apart**2))
    console.print(
        f"Kendall's tau {tau:.3f} (target {TARGET_TAU}); of the {len(sure)} designs it is sure of, accuracies are "
        f"{rms:.2f} points apart (rms), {100 * within:.0f} % within twice the stated error."
    )
    whole = measuring + screening * 500 / len(cores)
    console.print(
        f"500 designs: {whole:.1f} s of processor time ({measuring:.1f} s of it once a network), that of "
        f"{whole / np.mean(takes):.1f} evaluations of {np.mean(takes):.2f} s (target {TARGET_EVALUATIONS:g})."
    )


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
