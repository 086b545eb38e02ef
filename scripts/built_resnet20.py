"""Accuracy of ResNet-20 on cores as built: docs/resnet20_as_built.png and the table of docs/peripherals.md.

Run from the project's root: ``python scripts/built_resnet20.py SHARED OUT A C``, where SHARED is the folder of
CIFAR-10 and the published weights. SONOS cells at age 0; cells alone, with the periphery that is sized for each design
and a gain and offset of each column trimmed, and the same untrimmed; wires where measured line currents say that they
matter. Every result lies in a file of its own under OUT and is not computed again.
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
from reports.wire_rule import wire_cost, wired

KINDS = {"cells": "cells alone", "trimmed": "as built, trimmed", "untrimmed": "as built, untrimmed"}
COLOURS = {"cells": "#9aa5b1", "trimmed": "#1b6ca8", "untrimmed": "#c0392b"}
CALIBRATION_IMAGES = 500


def main() -> None:
    """Evaluate the designs that are asked for; draw all that lie in the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("designs", nargs="*")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=10)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for design in arguments.designs:
        for kind in KINDS:
            path = arguments.out / f"{design}-{kind}-{arguments.images}-{arguments.trials}.json"
            if not path.exists():
                row = evaluated(arguments.shared, design, kind, arguments.images, arguments.trials)
                with replacing(path) as temporary:
                    temporary.write_text(json.dumps(row, indent=1))
                print(f"{design}, {KINDS[kind]}: {100 * row['mean']:.2f} +- {100 * row['std']:.2f} %", flush=True)
    draw([json.loads(path.read_text()) for path in sorted(arguments.out.glob("*.json"))], arguments.out)


def evaluated(shared: Path, design: str, kind: str, images: int, trials: int) -> dict[str, Any]:
    """Return one result; untrimmed columns differ so much that a third of the trials tells enough."""
    data = data_sets.load("cifar10", shared)
    network = networks.load("resnet20_cifar10", shared)
    training = data.batches("calibration", 100, CALIBRATION_IMAGES)
    core = Core(
        design,
        cell="sonos_40nm_tcas2022",
        peripherals=None if kind == "cells" else "sized",
        corrections=("column_trim",) if kind == "trimmed" else (),
    )
    model, cost = calibrate(convert(network, core), training), None
    if kind != "cells":
        cost = wire_cost(model, core, data.batches("calibration", 100, 200))
        if cost is not None and cost.included:
            model = calibrate(convert(network, wired(core, cost)), training)
    found = evaluate(
        model,
        data.batches("test", 100, images),
        max(3, trials // 3) if kind == "untrimmed" else trials,
        corrections=core.corrections,
        correction_batches=training,
    )
    return {
        "design": design, "kind": kind, "images": found.images, "trials": found.per_trial.size,
        "baseline": found.baseline, "ideal": found.ideal, "mean": found.mean, "std": found.std,
        "interval": found.interval(), "loss": found.loss, "loss_interval": found.loss_interval(),
        "wires": None if cost is None else cost.to_dict(),
    }  # fmt: skip


def draw(rows: list[dict[str, Any]], folder: Path) -> None:
    """Draw the three accuracies of each design side by side."""
    figure, panel = plt.subplots(figsize=(7.0, 3.6), layout="constrained")
    designs = sorted({row["design"] for row in rows}, key="ABCDE".find)
    for shift, kind in enumerate(KINDS):
        own = [row for row in rows if row["kind"] == kind]
        panel.bar(
            [designs.index(row["design"]) + 0.27 * (shift - 1) for row in own],
            [100 * row["mean"] for row in own],
            0.25,
            yerr=[100 * row["std"] for row in own],
            color=COLOURS[kind],
            label=KINDS[kind],
            capsize=2.5,
        )
    panel.axhline(100 * max(row["baseline"] for row in rows), color="#444444", linewidth=0.9, linestyle="--")
    panel.set_xticks(range(len(designs)), designs)
    panel.set_xlabel("design")
    panel.set_ylabel("accuracy of ResNet-20 [%]")
    panel.set_ylim(0, 100)
    panel.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, fontsize=8.5, loc="outside upper center", ncols=3)
    figure.savefig(folder / "resnet20_as_built.png", dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
