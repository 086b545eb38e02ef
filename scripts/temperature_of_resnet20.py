"""Accuracy of ResNet-20 against the temperature of the read: docs/temperature.png and its numbers.

Run from the project's root: ``python scripts/temperature_of_resnet20.py SHARED OUT``, where SHARED is the folder of
CIFAR-10 and the published weights. Design A, SONOS cells, ranges calibrated with ideal cells at 300 K; reads
uncompensated, and with a bias that follows a reference cell or is linear in temperature; untrimmed, and with a gain and
offset of each column trimmed at the temperature of the read.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from accuracy import calibrate, convert, data_sets, evaluate, networks
from circuits import Core
from devicekit.common.paths import replacing

TEMPERATURES = (273.0, 285.0, 315.0, 330.0, 345.0, 360.0)
WAYS = ("none", "reference_cell", "linear_bias")
LABELS = {"none": "uncompensated", "reference_cell": "bias follows a reference cell", "linear_bias": "linear bias"}
COLOURS = {"none": "#c0392b", "reference_cell": "#1b6ca8", "linear_bias": "#7f8c2d"}


def main() -> None:
    """Evaluate every point; write numbers and figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--trials", type=int, default=3)
    arguments = parser.parse_args()
    data = data_sets.load("cifar10", arguments.shared)
    network = networks.load("resnet20_cifar10", arguments.shared)
    calibration = list(data.batches("calibration", 50, 100))
    test = list(data.batches("test", 50, arguments.images))
    rows: list[dict[str, Any]] = []
    for kelvin, way in [(300.0, "none"), *((kelvin, way) for kelvin in TEMPERATURES for way in WAYS)]:
        core = Core("A", cell="sonos_40nm_tcas2022", temperature=kelvin, compensation=way)
        model = calibrate(convert(network, core), calibration)
        row: dict[str, Any] = {"temperature_k": kelvin, "compensation": way}
        for name, corrections in (("untrimmed", ()), ("trimmed", ("column_trim",))):
            found = evaluate(model, test, arguments.trials, corrections=corrections, correction_batches=calibration)
            row[name] = {"mean": found.mean, "std": found.std}
            row |= {"baseline": found.baseline, "images": arguments.images, "trials": arguments.trials}
        rows.append(row)
        shown = ", ".join(
            f"{name} {100 * row[name]['mean']:.1f} +- {100 * row[name]['std']:.1f}" for name in ("untrimmed", "trimmed")
        )
        print(f"{kelvin:g} K, {way}: {shown} %", flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with replacing(arguments.out / "temperature_of_resnet20.json") as temporary:
        temporary.write_text(json.dumps(rows, indent=1))
    draw(rows, arguments.out / "temperature.png")


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw accuracy against temperature, untrimmed beside trimmed."""
    figure, panels = plt.subplots(1, 2, figsize=(8.4, 3.7), layout="constrained", sharey=True)
    for panel, name in zip(panels, ("untrimmed", "trimmed"), strict=True):
        for way in WAYS:
            own = [row for row in rows if row["compensation"] == way or row["temperature_k"] == 300]
            own.sort(key=_temperature)
            mean = [100 * row[name]["mean"] for row in own]
            spread = [100 * row[name]["std"] for row in own]
            style: dict[str, Any] = {"marker": "o", "markersize": 4.5, "capsize": 2.5, "linewidth": 1.5}
            panel.errorbar(
                [row["temperature_k"] for row in own], mean, spread, color=COLOURS[way], label=LABELS[way], **style
            )
        panel.set_title("untrimmed" if name == "untrimmed" else "gain and offset of each column trimmed", fontsize=9)
        panel.set_xlabel("temperature of the read [K]")
        panel.grid(color="#e6e6e6", linewidth=0.7)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("accuracy [%]")
    panels[1].legend(frameon=False, fontsize=8.5, loc="lower left")
    figure.savefig(path, dpi=150)


def _temperature(row: dict[str, Any]) -> float:
    return float(row["temperature_k"])


if __name__ == "__main__":
    main()
