"""What each way of training, and each way of storing weights and biases, does for the digits network on bad cells.

Run from the project's root: ``python scripts/ablate_on_digits.py OUT [--only storage|training]``. Seeded, one thread,
some minutes. 20 sets of cells that nothing was trained with, the same for all rows of a table; gains over the first
row, paired over images and sets of cells, with 95 % intervals (bootstrap over both).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from accuracy import calibrate, convert, data_sets, evaluate, networks, training
from accuracy.evaluation.intervals import loss_interval
from circuits import CoreDesign, load_design
from devicekit import Cell, StateIndependent, StateProportional, load_device
from devicekit.common.paths import replacing

TRIALS, TEST_SEED = 20, 100
SONOS = dataclasses.replace(load_device("sonos_40nm_tcas2022"), error_scale=4.0)
CELLS = {
    "4 x SONOS": SONOS,
    "independent, alpha 0.1": dataclasses.replace(SONOS, error=StateIndependent(0.1), error_scale=1.0),
    "proportional, alpha 0.25": dataclasses.replace(SONOS, error=StateProportional(0.25), error_scale=1.0),
}
SHORT = {"max_rows": 72}
STORAGE: dict[str, dict[str, Any]] = {
    "digital biases": {},
    "one bias row, own scale": {"bias_rows": 1},
    "one bias row, scale of the weights": {"bias_rows": 1, "bias_scale": "weights"},
    "72 rows, digital biases, a scale a layer": SHORT,
    "the same, a scale an array": SHORT | {"weight_scale": "array"},
    "the same, a scale an array, one bias row, own scale": SHORT | {"weight_scale": "array", "bias_rows": 1},
    "a scale a column of the layer, digital biases": {"weight_scale": "column"},
    "72 rows, a scale a column of each array, digital biases": SHORT | {"weight_scale": "array", "scale_columns": 1},
}
COMMON = training.Training(epochs=20, learning_rate=2e-3)
WAYS: dict[str, training.Training | None] = {
    "as given": None,
    "plain fine-tuning": COMMON.model_copy(update={"noise": "none"}),
    "explicit trace": COMMON.model_copy(update={"noise": "none", "trace_penalty": 1.0}),
    "explicit trace, ten times": COMMON.model_copy(update={"noise": "none", "trace_penalty": 10.0}),
    "drawn cells": COMMON,
    "drawn cells, taught": COMMON.model_copy(update={"distillation": 1.0}),
    "drawn cells, weights within 3 root mean squares": COMMON.model_copy(update={"weight_clip": 3.0}),
    "drawn cells, average of 0.99": COMMON.model_copy(update={"average": 0.99}),
}


def model_on(design: CoreDesign, cell: Cell) -> torch.nn.Module:
    """Return the digits network on a core, calibrated."""
    digits = data_sets.load("digits")
    return calibrate(convert(networks.load("digits_cnn"), design, cell, seed=0), digits.batches("train"))


def row(name: str, model: torch.nn.Module, first: Any) -> tuple[dict[str, Any], Any]:
    """Return what the table shows of a network, and its scores."""
    found = evaluate(model, data_sets.load("digits").batches("test"), TRIALS, TEST_SEED)
    assert found.scores is not None
    values = {"name": name, "digital": found.baseline, "ideal": found.ideal, "analog": found.mean, "std": found.std}
    if first is not None:
        images = first.shape[1]
        interval = loss_interval(np.zeros(images), first - found.scores, np.ones(images), 0.95, 2000, 0)
        values |= {"gain": float((found.scores - first).mean()), "gain_interval": interval}
    print(json.dumps(values), flush=True)
    return values, found.scores


def storage() -> dict[str, Any]:
    """Compare ways to store weights and biases, without training."""
    tables = {}
    for cell_name, cell in CELLS.items():
        print(cell_name)
        rows, first = [], None
        for name, changes in STORAGE.items():
            values, scores = row(name, model_on(load_design("A").replace(**changes), cell), first)
            first = scores if first is None else first
            rows.append(values)
        tables[cell_name] = rows
    return tables


def trained() -> list[dict[str, Any]]:
    """Compare ways to train."""
    digits, rows, first = data_sets.load("digits"), [], None
    for name, settings in WAYS.items():
        model = model_on(load_design("A"), SONOS)
        if settings is not None:
            training.train(model, digits.batches("train"), settings, validation=digits.batches("validation"))
        values, scores = row(name, model, first)
        first = scores if first is None else first
        rows.append(values)
    return rows


def main() -> None:
    """Print both tables and write them to `ablations_on_digits.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", choices=("storage", "training"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "ablations_on_digits.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    for name, what in (("storage", storage), ("training", trained)):
        if arguments.only in (None, name):
            found[name] = what()
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
