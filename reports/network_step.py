"""The network's part of a study: load it with its images, and evaluate it on one design after another."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from circuits import Core, LayerShape, WeightCode
from devicekit import Cell
from devicekit.common.plain import plain
from reports.cache import ResultCache, code_hash
from reports.errors import StudyError
from reports.prose import sentence
from reports.results import Values
from reports.study import Study

if TYPE_CHECKING:
    from torch import nn

    from accuracy import Coverage
    from accuracy.data_sets import Source

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
        covered: which of its matrices are analog.
        fingerprint: hash over weights and images.
    """

    name: str
    model: nn.Module
    data: Source
    layers: tuple[LayerShape, ...]
    covered: Coverage
    fingerprint: str


def load_network(study: Study) -> LoadedNetwork:
    """Return the network of a study with its images.

    Args:
        study: the study.

    Raises:
        NetworkError: unknown network, or no weights for it.
        DataSetError: no images, or no training images to calibrate with.
    """
    from accuracy import coverage, data_sets, layer_shapes, networks
    from accuracy.batches import batch_of

    own = ":" in study.network
    if own and study.data_set is None:
        raise StudyError(
            f"Expected `data_set` (--data-set), the images that the network {study.network!r} reads, but got none. "
            f"Known: {', '.join(data_sets.names())}."
        )
    data = data_sets.find(study.data_set or networks.data_set(study.network), study.data)
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
        digest.update(data.fingerprint(part))
    example = batch_of(next(iter(data.batches("test", 1, 1))))
    if example.keywords:
        raise StudyError(f"Data set {data.name!r} gives inputs by name; a study needs (input, ..., labels).")
    name = study.network.rpartition(":")[2] if own else study.network
    layers = tuple(layer_shapes(model, example.arguments, exclude=study.exclude))
    covered = coverage(model, example.arguments, exclude=study.exclude)
    return LoadedNetwork(name, model, data, layers, covered, digest.hexdigest())


def evaluate_design(study: Study, network: LoadedNetwork, core: Core, cache: ResultCache, report: Report) -> Values:
    """Return the accuracy of a network on one core; that of an earlier run where all inputs are the same.

    Args:
        study: the study.
        network: the network with its images.
        core: the core as built, with its cell.
        cache: earlier results.
        report: called with (steps done, steps in all).

    Returns:
        ``accuracy`` (`Accuracy.to_dict`), ``activities`` (`Activity.to_dict` by layer) and ``layer_reports``
        (`LayerReport.to_dict`, one a layer).
    """
    inputs = _inputs(study, network, core)
    known = cache.get(f"accuracy-{core.name}", inputs)
    if known is not None:
        report(1, 1)
        return known
    found = _evaluate(study, network, core, report)
    cache.put(f"accuracy-{core.name}", inputs, found)
    return found


def _evaluate(study: Study, network: LoadedNetwork, core: Core, report: Report) -> Values:
    from accuracy import calibrate, convert, evaluate, layer_report, measure_activity

    training = network.data.batches("calibration", study.batch_size, study.calibration_images)
    test = network.data.batches("test", study.batch_size, study.images)
    few = network.data.batches("test", study.batch_size, min(study.images or SIGNAL_IMAGES, SIGNAL_IMAGES))
    model = convert(network.model, core, seed=study.seed, exclude=study.exclude)
    calibrate(model, training)
    activities = {} if core.design.input_bits is None else measure_activity(model, training)
    data = training if core.corrections else None
    found = evaluate(model, test, trials=study.trials, seed=study.seed, correction_batches=data, progress=report)
    return {
        "accuracy": found.to_dict(seed=study.seed),
        "activities": plain(activities),
        "layer_reports": plain(layer_report(model, few, study.seed)),
    }


def _inputs(study: Study, network: LoadedNetwork, core: Core) -> dict[str, Any]:
    return {
        "core": core_fingerprint(core),
        "network": network.fingerprint,
        "exclude": list(study.exclude),
        "images": study.images,
        "calibration_images": study.calibration_images,
        "trials": study.trials,
        "seed": study.seed,
        "code": code_hash(("devicekit", "circuits", "accuracy")),
    }


def core_fingerprint(core: Core) -> dict[str, Any]:
    """Return everything of a core that accuracy depends on: plain values, and hashes over what it does.

    Args:
        core: the core as built.
    """
    peripherals = core.column_peripherals
    adc = [None if own is None else (own.noise_lsb, own.thresholds_lsb) for own in core.adc_errors]
    return {
        "design": core.design.to_mapping(),
        "weight_code": code_fingerprint(core.design.weight_code),
        "cell": None if core.cell is None else cell_fingerprint(core.cell),
        "adc": plain(adc),
        "peripherals": None if peripherals is None else peripherals.model_dump(mode="json"),
        "bit_line": core.bit_line,
        "corrections": list(core.corrections),
        "faults": plain(core.faults),
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


def summarise_network(study: Study, network: LoadedNetwork, baseline: float) -> Values:
    """Return what the page says of the network, see `StudyResult`.

    Args:
        study: the study.
        network: the network with its images.
        baseline: accuracy of the float network on the test images used.
    """
    from accuracy import networks

    data, shapes = network.data, network.layers
    images = min(study.images or data.size("test"), data.size("test"))
    calibration = min(study.calibration_images, data.size("calibration"))
    notes = [
        f"The float network is right on {100 * baseline:.2f} % of the {images} test images used. The ranges of inputs "
        f"and ADCs were set with {calibration} training images; no test image was used for it.",
        f"It holds {sum(shape.weights for shape in shapes):,} weights in {len(shapes)} layers; an inference takes "
        f"{sum(shape.macs for shape in shapes):,} multiply-accumulates.".replace(",", " "),
        network.covered.summary(),
    ]
    if data.name in EASY:
        notes.append(EASY[data.name])
    return {
        "name": network.name,
        "data_set": data.name,
        "description": f"{sentence(networks.describe(study.network))} {sentence(data.description)}",
        "baseline": baseline,
        "test_images": images,
        "calibration_images": calibration,
        "classes": len(data.classes),
        "layers": plain(shapes),
        "coverage": network.covered.to_dict(),
        "notes": notes,
    }


def common_baseline(evaluations: Iterable[Values]) -> float:
    """Return the float network's accuracy, the same for every design.

    Args:
        evaluations: of `evaluate_design`, one a design.

    Raises:
        StudyError: the designs were evaluated with different networks or images.
    """
    baselines = {evaluation["accuracy"]["baseline"] for evaluation in evaluations}
    if len(baselines) != 1:
        raise StudyError(f"The float network gave different accuracies for different designs: {sorted(baselines)}.")
    return float(baselines.pop())
