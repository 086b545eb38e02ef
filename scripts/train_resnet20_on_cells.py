"""Fine-tune ResNet-20 for one kind of cell after another; write what each way of training recovers.

Run from the project's root: ``python scripts/train_resnet20_on_cells.py SHARED OUT``, where SHARED is the folder of
CIFAR-10 and the published weights. Seeded, one thread, checkpointed: a run that was stopped goes on. The 1000 test
images are looked at once for each network, after training, with the same sets of cells for all ways of one kind of
cell. Most ways are tried on the published 40 nm SONOS at day 0 with four times its error, a few on every kind.

Training images: the 4000 lossless ones, with their mirror images, or turned and moved at random; "recompressed": with
those of the JPEG copy of the training set, on which the published network gives 81 % instead of 91.5 %.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from accuracy import calibrate, convert, data_sets, evaluate, networks, training
from accuracy.data_sets.data_set import Batches, DataSet, Images
from accuracy.evaluation.intervals import loss_interval
from accuracy.evaluation.results import Accuracy
from accuracy.networks.weights import codes_metadata
from circuits import Core, load_design
from devicekit import load_device
from devicekit.common.paths import replacing


@dataclass(frozen=True)
class Way:
    """One row of the table.

    Attributes:
        settings: of the training; None: the network as it was published.
        images: so many lossless and recompressed images together; None: the lossless ones and their mirror images.
        design: changes of design A.
        start: the row whose weights it starts from.
    """

    settings: training.Training | None
    images: int | None = None
    design: dict[str, Any] = field(default_factory=dict)
    start: str | None = None


@dataclass(frozen=True)
class Kind:
    """Cells that networks are trained for.

    Attributes:
        device: bundled name.
        error_scale: factor on the spread.
        age: at which cells are read, in training and test.
    """

    device: str
    error_scale: float = 1.0
    age: str | None = None

    def core(self, design: dict[str, Any]) -> Core:
        """Return design A, with changes, on these cells."""
        cell = dataclasses.replace(load_device(self.device), error_scale=self.error_scale)
        return Core(load_design("A").replace(**design), cell=cell, age=self.age)


SONOS = "sonos_40nm_tcas2022"
BAD = "sonos x 4"
KINDS = {
    BAD: Kind(SONOS, 4.0),
    "sonos x 2": Kind(SONOS, 2.0),
    "pcm": Kind("pcm_joshi2020"),
    "reram": Kind("reram_wan2022"),
    "sonos, day 5": Kind(SONOS, age="5 days"),
    "sonos": Kind(SONOS),
}
COMMON = training.Training(epochs=6, batch_size=50, learning_rate=1e-4, validation=0, seed=0)
TAUGHT = COMMON.model_copy(
    update={"epochs": 4, "learning_rate": 3e-4, "distillation": 1.0, "mirror": True, "shift": 2, "weight_clip": 3.5}
)
FEW = 4000


def changed(**changes: Any) -> training.Training:
    """Return the settings of the taught ways with changes."""
    return TAUGHT.model_copy(update=changes)


COLUMN = {"weight_scale": "column"}
WAYS = {
    "as published": Way(None),
    "noise-aware": Way(COMMON),
    "noise-aware, long": Way(COMMON.model_copy(update={"epochs": 8, "learning_rate": 3e-4})),
    "noise-aware, continued": Way(
        COMMON.model_copy(update={"epochs": 6, "learning_rate": 3e-4, "seed": 1}), start="noise-aware, long"
    ),
    "plain fine-tuning": Way(COMMON.model_copy(update={"noise": "none"})),
    "explicit trace": Way(COMMON.model_copy(update={"noise": "none", "trace_penalty": 1.0})),
    "taught": Way(changed(weight_clip=None), FEW),
    "clipped": Way(changed(epochs=2, distillation=0.0, mirror=False, shift=0)),
    "taught, clipped": Way(TAUGHT, FEW),
    "taught, clipped, long": Way(changed(epochs=8), FEW),
    "taught, clipped, recompressed": Way(changed(epochs=1), 16_000),
    "taught, clipped, recompressed, long": Way(changed(epochs=1), 54_000),
    "taught, clipped, without noise": Way(changed(noise="none"), FEW),
    "taught, clipped, trace": Way(changed(noise="none", trace_penalty=1.0, epochs=2), FEW),
    "scale a column": Way(None, design=COLUMN),
    "scale a column, taught, clipped": Way(TAUGHT, FEW, COLUMN),
    "4 bits": Way(changed(noise="none", weight_clip=None, weight_bits=4, activation_bits=4), FEW),
    "4 bits, noise-aware": Way(changed(weight_clip=None, weight_bits=4, activation_bits=4), FEW),
}
OF_EVERY_KIND = (
    "as published",
    "taught, clipped, without noise",
    "noise-aware, long",
    "taught, clipped, long",
    "4 bits, noise-aware",
)
TRIALS, TEST_SEED = 10, 100


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


def training_data(lossless: DataSet, shared: Path, images: int | None) -> Any:
    """Return the training examples of a row."""
    if images is None:
        batches = list(lossless.batches("calibration", 500))
        return batches + [(inputs.flip(-1), labels) for inputs, labels in batches]
    first, more = lossless.images("calibration"), data_sets.load("cifar10_jpeg", shared).images("train")
    chosen = np.random.default_rng(0).permutation(len(more.labels))[: images - len(first.labels)]
    pixels = np.concatenate([first.pixels, more.pixels[chosen]])
    return Batches(Images(pixels, np.concatenate([first.labels, more.labels[chosen]])), lossless.preprocess, 50)


def gain(scores: Any, published: Any) -> dict[str, Any]:
    """Return how much more is right on arrays than as published, with its interval, paired over images and cells."""
    ones = np.ones(scores.shape[1])
    low, high = loss_interval(np.zeros(scores.shape[1]), published - scores, ones, 0.95, 2000, 0)
    return {"gain": float(scores.mean() - published.mean()), "gain_interval": (low, high)}


def stem_of(name: str) -> str:
    """Return the name of a way or a kind as part of a file's name."""
    return name.replace(", ", "_").replace(" ", "_")


def trained(model: Any, name: str, way: Way, data: DataSet, shared: Path, files: Path) -> dict[str, Any]:
    """Train a model in place, keep its weights beside `files`, and return the course of the training."""
    assert way.settings is not None
    start, used = time.time(), time.process_time()

    def show(done: int, total: int) -> None:
        if done % 20 == 0:
            print(f"{name}: {done}/{total} steps, {time.time() - start:.0f} s", flush=True)

    examples = training_data(data, shared, way.images)
    found = training.train(model, examples, way.settings, checkpoint=files.with_suffix(".pt"), progress=show)
    network = found.network()
    save_file(
        {key: value.contiguous() for key, value in network.state_dict().items()},
        files.with_suffix(".safetensors"),
        metadata=codes_metadata(network),
    )
    return {**found.to_dict(), "seconds": time.time() - start, "processor_seconds": time.process_time() - used}


def main() -> None:
    """Train and evaluate each way on each kind of cell; write `resnet20_on_cells.json` and the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cells", choices=KINDS, action="append", help="kinds of cells; all by default")
    parser.add_argument("--only", choices=WAYS, action="append", help="ways, after those they need; all by default")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = data_sets.load("cifar10", arguments.shared)
    for kind in arguments.cells or KINDS:
        folder = arguments.out / stem_of(kind)
        folder.mkdir(parents=True, exist_ok=True)
        for name, way in WAYS.items():
            files = folder / stem_of(name)
            wanted = name in arguments.only if arguments.only else kind == BAD or name in OF_EVERY_KIND
            if files.with_suffix(".json").exists() or not (wanted or name == "as published"):
                continue
            start = arguments.shared if way.start is None else (folder / stem_of(way.start)).with_suffix(".safetensors")
            network = networks.load("resnet20_cifar10", start)
            core = KINDS[kind].core(way.design)
            model = calibrate(convert(network, core, seed=0), data.batches("calibration", 100, 1000))
            row: dict[str, Any] = {"cells": kind, "name": name}
            if way.settings is not None:
                row |= trained(model, f"{kind}: {name}", way, data, arguments.shared, files)
            result = evaluate(model, data.batches("test", 100), TRIALS, TEST_SEED)
            assert result.scores is not None
            row |= figures(result)
            with replacing(files.with_suffix(".npy")) as temporary, temporary.open("wb") as file:
                np.save(file, result.scores)
            row |= gain(result.scores, np.load(folder / "as_published.npy"))
            with replacing(files.with_suffix(".json")) as temporary:
                temporary.write_text(json.dumps(row, indent=1))
            print(
                kind,
                name,
                *(row[key] for key in ("digital", "quantised", "analog", "gain", "gain_interval")),
                flush=True,
            )
    gather(arguments.out)


def gather(out: Path) -> None:
    """Write all rows that lie in the folder to one file, in the order of kinds and ways."""
    paths = [(out / stem_of(kind) / stem_of(name)).with_suffix(".json") for kind in KINDS for name in WAYS]
    rows = [json.loads(path.read_text()) for path in paths if path.exists()]
    with replacing(out / "resnet20_on_cells.json") as temporary:
        temporary.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
