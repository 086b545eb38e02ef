"""Fine-tune ResNet-20 for a SONOS cell with four times its error; write what each way of training recovers.

Run from the project's root: ``python scripts/train_resnet20_on_bad_cells.py SHARED OUT``, where SHARED is the folder of
CIFAR-10 and the published weights. Seeded, one thread, checkpointed: a run that was stopped goes on. Training uses 4000
lossless training images and their mirror images; the 1000 test images are looked at once for each network, after
training. Design A, cells of the published 40 nm SONOS at day 0.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from accuracy import calibrate, convert, data_sets, evaluate, networks, training
from accuracy.evaluation.results import Accuracy
from circuits import load_design
from devicekit import load_device
from devicekit.common.paths import replacing

COMMON = training.Training(epochs=6, batch_size=50, learning_rate=1e-4, validation=0, seed=0)
WAYS = {
    "as published": None,
    "noise-aware": COMMON,
    "noise-aware, long": COMMON.model_copy(update={"epochs": 8, "learning_rate": 3e-4}),
    "noise-aware, continued": COMMON.model_copy(update={"epochs": 6, "learning_rate": 3e-4, "seed": 1}),
    "plain fine-tuning": COMMON.model_copy(update={"noise": "none"}),
    "explicit trace": COMMON.model_copy(update={"noise": "none", "trace_penalty": 1.0}),
}
TRIALS, TEST_SEED, ERROR_SCALE = 10, 100, 4.0


def figures(result: Accuracy) -> dict[str, object]:
    """Return what the table shows of an evaluation."""
    return {
        "digital": result.baseline,
        "quantised": result.ideal,
        "analog": result.mean,
        "std": result.std,
        "loss": result.loss,
        "loss_interval": result.loss_interval(),
        "per_trial": result.per_trial.tolist(),
    }


def main() -> None:
    """Train and evaluate each way; write `resnet20_on_bad_cells.json` and the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", choices=WAYS, help="one way; all by default")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = data_sets.load("cifar10", arguments.shared)
    cell = dataclasses.replace(load_device("sonos_40nm_tcas2022"), error_scale=ERROR_SCALE)
    images = list(data.batches("calibration", 500))
    mirrored = [(inputs.flip(-1), labels) for inputs, labels in images]
    arguments.out.mkdir(parents=True, exist_ok=True)
    report = arguments.out / "resnet20_on_bad_cells.json"
    rows = json.loads(report.read_text()) if report.exists() else {}
    for name, settings in WAYS.items():
        if name in rows or arguments.only not in (None, name):
            continue
        # "continued" goes on from the weights of the long training.
        earlier = arguments.out / "noise-aware_long.safetensors"
        network = networks.load("resnet20_cifar10", earlier if name.endswith("continued") else arguments.shared)
        model = calibrate(convert(network, load_design("A"), cell, seed=0), data.batches("calibration", 100, 1000))
        row: dict[str, object] = {}
        if settings is not None:
            start = time.time()
            stem = name.replace(", ", "_").replace(" ", "_")

            def show(done: int, total: int, name: str = name, start: float = start) -> None:
                if done % 20 == 0:
                    print(f"{name}: {done}/{total} steps, {time.time() - start:.0f} s", flush=True)

            found = training.train(
                model, images + mirrored, settings, checkpoint=arguments.out / f"{stem}.pt", progress=show
            )
            row |= {**found.to_dict(), "seconds": time.time() - start}
            save_file(found.network().state_dict(), arguments.out / f"{stem}.safetensors")
        row |= figures(evaluate(model, data.batches("test", 100), TRIALS, TEST_SEED))
        rows[name] = row
        with replacing(report) as temporary:
            temporary.write_text(json.dumps(rows, indent=1))
        print(name, {key: row[key] for key in ("digital", "analog", "loss", "loss_interval")}, flush=True)


if __name__ == "__main__":
    main()
