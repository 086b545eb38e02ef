"""Accuracy of ResNet-20 against the resistance of the virtual ground: docs/virtual_ground.png and its numbers.

Run from the project's root: ``python scripts/virtual_ground_of_resnet20.py SHARED OUT``, where SHARED is the folder of
CIFAR-10 and the published weights. Design A, SONOS cells in weak inversion (re-linearised bit lines without resistance
of their own), untrimmed and with a gain and offset trimmed in each column. Points that OUT holds already are kept, so
that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from accuracy import calibrate, convert, data_sets, evaluate, networks
from circuits import Core, EnvelopeWarning, load_design
from circuits.peripherals.load import sized_input_resistance
from devicekit import load_device
from devicekit.common.paths import replacing

RESISTANCES = (4e-3, 8e-3, 1.6e-2)
CELL = load_device("sonos_40nm_tcas2022")


def point(shared: Path, design: str, r_in_hat: float, bit_line: str, images: int, trials: int) -> dict[str, Any]:
    """Return the accuracy at one resistance, untrimmed and trimmed."""
    data = data_sets.load("cifar10", shared)
    calibration = list(data.batches("calibration", 50, 100))
    test = list(data.batches("test", 50, images))
    core = Core(design, cell=CELL, wires={"r_in_hat": r_in_hat, "bit_line": bit_line})
    model = calibrate(convert(networks.load("resnet20_cifar10", shared), core), calibration)
    row: dict[str, Any] = {"design": design, "r_in_hat": r_in_hat, "bit_line": bit_line}
    for name, corrections in (("untrimmed", ()), ("trimmed", ("column_trim",))):
        found = evaluate(model, test, trials, corrections=corrections, correction_batches=calibration)
        row[name] = {"mean": found.mean, "std": found.std, "per_trial": found.per_trial.tolist()}
        row |= {"baseline": found.baseline, "ideal": found.ideal, "images": images, "trials": trials}
    return row


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw what is left against the resistance, with the sized circuit's own and an unsized 500 Ohm marked."""
    figure, panel = plt.subplots(figsize=(6.4, 3.9), layout="constrained")
    own = sorted((row for row in rows if row["design"] == "A" and row["bit_line"] == "relinearised"), key=_resistance)
    shown = [row for row in own if row["r_in_hat"] > 0]
    for name, colour in (("trimmed", "#1b6ca8"), ("untrimmed", "#c0392b")):
        x = [row["r_in_hat"] for row in shown]
        mean = [100 * row[name]["mean"] for row in shown]
        spread = [100 * row[name]["std"] for row in shown]
        label = "gain and offset of each column trimmed" if name == "trimmed" else "untrimmed"
        style: dict[str, Any] = {"color": colour, "marker": "o", "markersize": 4.5, "capsize": 2.5, "linewidth": 1.5}
        panel.errorbar(x, mean, spread, label=label, **style)
    sized = sized_input_resistance(load_design("A")) * CELL.g_max
    for value, text in ((sized, "sized for A"), (8e-3, "500 Ohm")):
        panel.axvline(value, color="#777777", linewidth=0.9, linestyle=":")
        panel.annotate(text, (value, 1.01), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=8)
    panel.axhline(100 * own[0]["baseline"], color="#777777", linewidth=0.9)
    panel.set_xscale("log")
    panel.set_xlabel(r"resistance of the virtual ground $\hat R_{in}$ [least cell resistance, 62.5 k$\Omega$]")
    panel.set_ylabel("accuracy [%]")
    panel.grid(color="#e6e6e6", linewidth=0.7)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=8.5, loc="lower left")
    figure.savefig(path, dpi=150)


def _resistance(row: dict[str, Any]) -> float:
    return float(row["r_in_hat"])


def main() -> None:
    """Evaluate every point that is missing; write numbers and figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--trials", type=int, default=3)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", EnvelopeWarning)
    arguments.out.mkdir(parents=True, exist_ok=True)
    report = arguments.out / "virtual_ground_of_resnet20.json"
    rows: list[dict[str, Any]] = json.loads(report.read_text()) if report.exists() else []
    sized = sized_input_resistance(load_design("A")) * CELL.g_max
    wanted = [("A", r, "relinearised") for r in (8e-3, 0.0, sized, *(own for own in RESISTANCES if own != 8e-3))]
    for design, r_in_hat, bit_line in [*wanted, ("A", 8e-3, "affine")]:
        if any((row["design"], row["r_in_hat"], row["bit_line"]) == (design, r_in_hat, bit_line) for row in rows):
            continue
        rows.append(point(arguments.shared, design, r_in_hat, bit_line, arguments.images, arguments.trials))
        with replacing(report) as temporary:
            temporary.write_text(json.dumps(rows, indent=1))
        last = rows[-1]
        print(
            f"{design} {bit_line} R_in_hat {r_in_hat:.4g}: "
            + ", ".join(
                f"{name} {100 * last[name]['mean']:.1f} +- {100 * last[name]['std']:.1f} %"
                for name in ("untrimmed", "trimmed")
            ),
            flush=True,
        )
    draw(rows, arguments.out / "virtual_ground.png")


if __name__ == "__main__":
    main()
