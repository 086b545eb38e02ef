"""The network's part of a study: load it with its images, and evaluate it on one design after another."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from circuits import Activity, CoreDesign, LayerShape, WeightCode
from devicekit import Cell
from reports.cache import ResultCache, code_hash
from reports.errors import StudyError
from reports.results import AccuracyResult, LayerSignal, NetworkSummary
from reports.study import Study

if TYPE_CHECKING:
    from torch import nn

    from accuracy.data_sets import DataSet

Report = Callable[[int, int], None]

EASY = {
    "digits": (
        "These digits are 8 × 8 pixels in 17 grey levels: an easy problem, easier still than CIFAR-10. What a core "
        "loses here says little of what it loses on a large network; run the report with a network of your own, or "
        "with ResNet-20 on CIFAR-10, before you choose a core."
    )
}


SIGNAL_IMAGES = 100
"""Test images that the layers' signal-to-error ratios are taken on."""


@dataclass(frozen=True)
class LoadedNetwork:
    """A network with its images.

    Attributes:
        name: the network's name.
        model: the float network.
        data: its data set.
        layers: its layers as matrices.
        fingerprint: hash over weights and images.
    """

    name: str
    model: nn.Module
    data: DataSet
    layers: tuple[LayerShape, ...]
    fingerprint: str


def load_network(study: Study) -> LoadedNetwork:
    """Load the network and the data set of a study.

    Args:
        study: the study.

    Raises:
        NetworkError: unknown network, or no weights for it.
        DataSetError: no images, or no training images to calibrate with.
    """
    from accuracy import data_sets, layer_shapes, networks

    own = ":" in study.network
    if own and study.data_set is None:
        raise StudyError(
            f"Expected `data_set` (--data-set), the images that the network {study.network!r} reads, but got none. "
            f"Known: {', '.join(data_sets.names())}."
        )
    data = data_sets.load(study.data_set or networks.data_set(study.network), study.data)
    # A network known by name may lie beside its images.
    model = networks.load(study.network, study.weights if own else study.weights or study.data)
    digest = hashlib.sha256()
    source = inspect.getsourcefile(type(model))
    if own and source is not None:
        digest.update(Path(source).read_bytes())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    for part in ("calibration", "test"):
        images = data.images(part)
        digest.update(images.pixels.tobytes())
        digest.update(images.labels.tobytes())
    example = next(iter(data.batches("test", 1, 1)))[0]
    name = study.network.rpartition(":")[2] if own else study.network
    layers = tuple(layer_shapes(model, example, exclude=study.exclude))
    return LoadedNetwork(name, model, data, layers, digest.hexdigest())


@dataclass(frozen=True)
class DesignEvaluation:
    """What evaluating a network on one design gave.

    Attributes:
        accuracy: what it is worth.
        activities: what the arrays of each layer conduct and how often their rows are driven.
        signals: signal-to-error ratio of each layer.
    """

    accuracy: AccuracyResult
    activities: dict[str, Activity]
    signals: tuple[LayerSignal, ...]

    def document(self) -> dict[str, Any]:
        """Return this as JSON holds it."""
        activities = {
            name: {
                "mean_conductance": activity.mean_conductance.tolist(),
                "input_activity": activity.input_activity.tolist(),
                "source": activity.source,
            }
            for name, activity in self.activities.items()
        }
        return {
            "accuracy": asdict(self.accuracy),
            "activities": activities,
            "signals": [asdict(signal) for signal in self.signals],
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> DesignEvaluation:
        """Return what `document` was made from.

        Args:
            document: plain values.
        """
        accuracy = dict(document["accuracy"])
        accuracy["per_trial"] = tuple(accuracy["per_trial"])
        if accuracy["loss_interval"] is not None:
            accuracy["loss_interval"] = tuple(accuracy["loss_interval"])
        return cls(
            AccuracyResult(**accuracy),
            {name: Activity(**values) for name, values in document["activities"].items()},
            tuple(LayerSignal(**values) for values in document["signals"]),
        )


def evaluate_design(
    study: Study, network: LoadedNetwork, design: CoreDesign, cell: Cell, cache: ResultCache, report: Report
) -> DesignEvaluation:
    """Evaluate a network on one design, or take the result of an earlier run with the same inputs.

    Args:
        study: the study.
        network: the network with its images.
        design: the core.
        cell: the memory cell.
        cache: earlier results.
        report: called with (steps done, steps in all).
    """
    inputs = _inputs(study, network, design, cell)
    known = cache.get(f"accuracy-{design.name}", inputs)
    if known is not None:
        report(1, 1)
        return DesignEvaluation.from_document(known)
    found = _evaluate(study, network, design, cell, report)
    cache.put(f"accuracy-{design.name}", inputs, found.document())
    return found


def _evaluate(study: Study, network: LoadedNetwork, design: CoreDesign, cell: Cell, report: Report) -> DesignEvaluation:
    from accuracy import calibrate, convert, evaluate, layer_report, measure_activity

    training = network.data.batches("calibration", study.batch_size, study.calibration_images)
    test = network.data.batches("test", study.batch_size, study.images)
    few = network.data.batches("test", study.batch_size, min(study.images or SIGNAL_IMAGES, SIGNAL_IMAGES))
    model = convert(network.model, design, cell, study.seed, exclude=study.exclude)
    calibrate(model, training)
    activities = {} if design.input_bits is None else measure_activity(model, training)
    found = evaluate(model, test, trials=study.trials, seed=study.seed, progress=report)
    signals = layer_report(model, few, study.seed)
    return DesignEvaluation(
        accuracy=AccuracyResult(
            baseline=found.baseline,
            ideal=found.ideal,
            mean=found.mean,
            std=found.std,
            per_trial=tuple(float(value) for value in found.per_trial),
            loss=found.loss,
            images=found.images,
            loss_interval=found.loss_interval(seed=study.seed),
        ),
        activities=activities,
        signals=tuple(
            LayerSignal(name=layer.name, own_db=_finite(layer.snr_db), network_db=_finite(layer.network_snr_db))
            for layer in signals
        ),
    )


def _finite(ratio: float) -> float | None:
    return ratio if math.isfinite(ratio) else None


def _inputs(study: Study, network: LoadedNetwork, design: CoreDesign, cell: Cell) -> dict[str, Any]:
    return {
        "design": design.to_mapping(),
        "weight_code": code_fingerprint(design.weight_code),
        "cell": cell_fingerprint(cell),
        "network": network.fingerprint,
        "exclude": list(study.exclude),
        "images": study.images,
        "calibration_images": study.calibration_images,
        "trials": study.trials,
        "seed": study.seed,
        "code": code_hash(("devicekit", "circuits", "accuracy")),
    }


def code_fingerprint(code: WeightCode) -> str:
    """Return a hash over how a form stores every weight: it may come from a package that `code_hash` does not see.

    Args:
        code: the form.
    """
    facts = (code.name, code.lines, code.unit_column, code.one_sign, code.worth, code.offset)
    digest = hashlib.sha256(repr(facts).encode())
    digest.update(code.digits(np.arange(-code.largest, code.largest + 1)).tobytes())
    return digest.hexdigest()


def cell_fingerprint(cell: Cell) -> str:
    """Return a hash over what a cell does: its means and spreads over the whole range of targets.

    Args:
        cell: the cell.
    """
    target = np.linspace(0.0, cell.i_max, 513)
    digest = hashlib.sha256(repr((cell.i_max, cell.on_off_ratio, cell.read_voltage, cell.spatial)).encode())
    for values in (cell.mean(target), cell.sigma(target), cell.read_sigma(target)):
        digest.update(np.asarray(values, dtype=np.float64).tobytes())
    return digest.hexdigest()


def summarise_network(study: Study, network: LoadedNetwork, baseline: float) -> NetworkSummary:
    """Return what the page says of the network.

    Args:
        study: the study.
        network: the network with its images.
        baseline: accuracy of the float network on the test images used.
    """
    from accuracy import networks

    data = network.data
    images = min(study.images or data.size("test"), data.size("test"))
    calibration = min(study.calibration_images, data.size("calibration"))
    shapes = network.layers
    rows = [{"name": s.name, "rows": s.rows, "columns": s.columns, "mvms": s.mvms, "groups": s.groups} for s in shapes]
    weights = sum(shape.weights for shape in shapes)
    notes = [
        f"The float network is right on {100 * baseline:.2f} % of the {images} test images used. The ranges of inputs "
        f"and converters were set with {calibration} training images; no test image was used for it.",
        f"It holds {weights:,} weights in {len(shapes)} layers; an inference takes "
        f"{sum(shape.macs for shape in shapes):,} multiply-accumulates.".replace(",", " "),
    ]
    if data.name in EASY:
        notes.append(EASY[data.name])
    description = f"{_sentence(networks.describe(study.network))} {_sentence(data.description)}"
    return NetworkSummary(
        name=network.name,
        data_set=data.name,
        description=description,
        baseline=baseline,
        test_images=images,
        calibration_images=calibration,
        classes=len(data.classes),
        layers=tuple(rows),
        notes=tuple(notes),
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def check_same_baseline(results: list[AccuracyResult]) -> float:
    """Return the float network's accuracy, the same for every design.

    Args:
        results: one entry a design.

    Raises:
        StudyError: the designs were evaluated with different networks or images.
    """
    baselines = {result.baseline for result in results}
    if len(baselines) != 1:
        raise StudyError(f"The float network gave different accuracies for different designs: {sorted(baselines)}.")
    return baselines.pop()
