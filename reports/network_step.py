"""The network's part of a study: load it with its images, and evaluate it on one design after another."""

from __future__ import annotations

import contextlib
import gc
import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from circuits import EnvelopeWarning, LayerShape, NetworkCores
from circuits.bit_line.envelope import forget_warnings
from circuits.peripherals.grid import forget_grid_warnings
from devicekit.common.errors import unknown_name
from devicekit.common.plain import plain
from reports.cache import ResultCache
from reports.errors import StudyError
from reports.evaluation_key import evaluation_inputs, network_fingerprint, probe_of
from reports.kept_trials import KeptTrials
from reports.metric import ShownMetric
from reports.prose import sentence
from reports.results import Values
from reports.stages import stages
from reports.study import Study
from reports.wire_rule import leaves_wires_open, wire_cost, wired

if TYPE_CHECKING:
    from torch import nn

    from accuracy import Accuracy, Coverage
    from accuracy.batches import Batch
    from accuracy.data_sets import Source
    from accuracy.evaluation.measures import Measure, MetricFacts
    from accuracy.layers.batch_layout import BatchLayout

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


MANY_WEIGHTS = 1_000_000
"""Weights from which a network that is not needed any more is freed at once."""


@dataclass(frozen=True)
class LoadedNetwork:
    """A network with its images, or whatever it reads.

    Attributes:
        name: the network's name.
        model: the float network.
        data: its data set.
        layers: its layers as matrices.
        covered: which of its matrices are analog.
        fingerprint: hash over what it computes, over the images, and over a metric of the user's.
        measure: what is counted.
        outputs: shape of the scores of one inference, classes last; empty where it has none of a known form.
    """

    name: str
    model: nn.Module
    data: Source
    layers: tuple[LayerShape, ...]
    covered: Coverage
    fingerprint: str
    measure: Measure
    outputs: tuple[int, ...]

    @property
    def metric(self) -> MetricFacts:
        """What outputs say of the metric."""
        return self.measure.facts

    @property
    def example(self) -> str:
        """What one example of the data is called."""
        from accuracy import DataSet

        return self.metric.example or ("image" if isinstance(self.data, DataSet) else "example")

    def batches(self, study: Study, part: str, most: int | None) -> Any:
        """Return examples in batches of the study's size.

        Args:
            study: the study.
            part: ``"test"`` or ``"calibration"``.
            most: so many examples at most; None for all.
        """
        from accuracy.batches import usual_size

        return self.data.batches(part, study.batch_size or usual_size(self.layers), most)

    @property
    def places(self) -> int:
        """Places of one inference that have outputs of their own, as the tokens of a sequence."""
        return math.prod(self.outputs[:-1])


def load_network(study: Study) -> LoadedNetwork:
    """Return the network of a study with its images.

    Args:
        study: the study.

    Raises:
        NetworkError: unknown network, or no weights for it.
        DataSetError: no images, or no training images to calibrate with.
        StudyError: no data for a network of one's own, or another core for layers that the network does not have.
    """
    from accuracy import coverage, data_sets, layer_shapes, networks
    from accuracy.evaluation.measures import measure_of
    from accuracy.evaluation.metrics import score_batch
    from accuracy.layers.batch_layout import layout_of, one_example

    own = networks.is_own(study.network)
    if own and study.data_set is None:
        raise StudyError(
            f"Expected `data_set` (--data-set), the images that the network {study.network!r} reads, but got none. "
            f"Known: {', '.join(data_sets.names())}; data of your own are given as module:function or an .npz file."
        )
    measure = measure_of(study.metric)
    data = data_sets.find(study.data_set or networks.data_set(study.network), study.data)
    # A network known by name may lie beside its images.
    model = networks.load(study.network, study.weights if own else study.weights or study.data)
    probe = probe_of(data)
    outputs = networks.try_out(study.network, model, probe)
    layout = layout_of(model, [], probe)
    if not measure.accumulates:
        # What the metric cannot score is said before anything slow is done.
        score_batch(measure.metric, outputs, probe.labels, probe, layout)  # type: ignore[arg-type]
    one = one_example(probe, layout)
    example = one.keywords or one.arguments
    layers = tuple(layer_shapes(model, example, 1, exclude=study.exclude))
    require_overridden(study, layers)
    covered = coverage(model, example, 1, exclude=study.exclude)
    mark = network_fingerprint(model, data, measure.metric if ":" in study.metric else study.metric)
    return LoadedNetwork(
        study.network_name, model, data, layers, covered, mark, measure, _scored_shape(model, one, layout)
    )


def require_overridden(study: Study, layers: Iterable[LayerShape]) -> None:
    """Refuse a study that gives layers another core which the network does not have on arrays.

    Args:
        study: the study.
        layers: of its network.

    Raises:
        StudyError: the pattern, with the nearest names.
    """
    known = list(layers)
    for pattern in study.overrides:
        if not any(layer.matches(pattern) for layer in known):
            names = [layer.name for layer in known]
            raise StudyError(f"`overrides`: {unknown_name('layer on arrays, or pattern', pattern, names)}")


def _scored_shape(model: nn.Module, one: Batch, layout: BatchLayout) -> tuple[int, ...]:
    """Return the shape of what is scored of one inference, without the axis of the examples."""
    import torch

    from accuracy import EvaluationError
    from accuracy.outputs import logits_of

    with torch.inference_mode():
        try:
            shape = logits_of(one.run(model)).shape
        except EvaluationError:
            # A metric of the user's takes outputs as they are.
            return ()
    return (*shape[: layout.outputs], *shape[layout.outputs + 1 :])


def evaluate_design(
    study: Study, network: LoadedNetwork, cores: NetworkCores, cache: ResultCache, report: Report
) -> Values:
    """Return the accuracy of a network on its cores; that of an earlier run where all inputs are the same.

    Args:
        study: the study.
        network: the network with its images.
        cores: as built, with their cells.
        cache: earlier results.
        report: called with (steps done, steps in all).

    Returns:
        ``accuracy`` (`Accuracy.to_dict`), ``activities`` (`Activity.to_dict` by layer), ``layer_reports``
        (`LayerReport.to_dict`, one a layer), ``wire_cost`` (`WireCost.to_dict`, None where study or core say what
        wires there are) and ``beyond``, sentences on models that were used beyond what they are known for.
    """
    inputs = evaluation_inputs(study, network.fingerprint, cores)
    known = cache.get(f"accuracy-{cores.name}", inputs)
    if known is not None:
        report(1, 1)
        return known
    found = evaluate_afresh(study, network, cores, report, KeptTrials(cache, f"trials-{cores.name}", inputs))
    cache.put(f"accuracy-{cores.name}", inputs, found)
    return found


def evaluate_afresh(
    study: Study, network: LoadedNetwork, cores: NetworkCores, report: Report, kept: KeptTrials | None = None
) -> Values:
    """Return what `evaluate_design` does, without a look at earlier results.

    Args:
        study: the study.
        network: the network with its images.
        cores: as built, with their cells.
        report: called with (steps done, steps in all).
        kept: trials of a run that was interrupted, see `accuracy.evaluate`.

    Returns:
        Also ``loss_draws`` (`Accuracy.loss_draws`), which go together between cores evaluated on the same images.
    """
    from accuracy import layer_report, measure_activity

    few = network.batches(study, "test", min(study.images or SIGNAL_IMAGES, SIGNAL_IMAGES))
    training = training_batches(study, network)
    with beyond_envelopes() as beyond:
        model, cost = converted(study, network, cores), None
        if any(map(leaves_wires_open, cores.kinds)):
            cost = wire_cost(model, cores, training)
            if cost is not None and cost.included:
                model = converted(study, network, wired(cores, cost))
        activities = {} if cores.core.design.input_bits is None else measure_activity(model, training)
        found = _evaluated(study, network, model, study.trials, report, kept)
    for what, value in (("float network", found.baseline), (f"design {cores.name}", found.mean)):
        if not math.isfinite(value):
            raise StudyError(f"The {found.metric} of the {what} is {value}: there is nothing to compare.")
    return {
        "accuracy": found.to_dict(seed=study.seed),
        "loss_draws": found.loss_draws(seed=study.seed).tolist(),
        "activities": plain(activities),
        "layer_reports": plain(layer_report(model, few, study.seed)),
        "wire_cost": None if cost is None else cost.to_dict(),
        "beyond": beyond,
    }


def remarks_of(evaluation: Values) -> list[str]:
    """Return what there is to say of an evaluation: of its result, and of models beyond what they are known for.

    Args:
        evaluation: as `evaluate_design` returns it.
    """
    return [*evaluation["accuracy"].get("remarks", ()), *evaluation.get("beyond", ())]


@contextlib.contextmanager
def beyond_envelopes() -> Iterator[list[str]]:
    """Collect what would be warned of models that are used beyond what they are known for, each once."""
    forget_warnings()
    forget_grid_warnings()
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", EnvelopeWarning)
        yield said
    for one in caught:
        if issubclass(one.category, EnvelopeWarning):
            said.append(str(one.message))
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def evaluate_core(
    study: Study,
    network: LoadedNetwork,
    cores: NetworkCores,
    cache: ResultCache,
    report: Report | None = None,
    *,
    with_scores: bool = False,
) -> Values:
    """Return the accuracy of a network on cores exactly as they are, from an earlier run with the same inputs.

    Args:
        study: the study; nothing of it is filled into the cores.
        network: the network with its images.
        cores: as built.
        cache: earlier results.
        report: called with (steps done, steps in all).
        with_scores: whether ``scores`` stands in it as well: of each image by the float network, with ideal cells, and
            in every trial.

    Returns:
        `Accuracy.to_dict`.
    """
    inputs = evaluation_inputs(study, network.fingerprint, cores) | {"what": "accuracy alone", "scores": with_scores}
    known = cache.get(f"stage-{cores.name}", inputs)
    if known is None:
        with beyond_envelopes():
            # Whoever asks says what models are used beyond what they are known for.
            model = converted(study, network, cores)
            kept = KeptTrials(cache, f"trials-{cores.name}", inputs)
            own = _evaluated(study, network, model, study.trials, report or (lambda *_: None), kept)
        known = own.to_dict(seed=study.seed)
        if with_scores:
            known["scores"] = plain([own.baseline_scores, own.ideal_scores, own.scores])
        cache.put(f"stage-{cores.name}", inputs, known)
    return known


def evaluate_stages(
    study: Study, network: LoadedNetwork, cores: NetworkCores, cache: ResultCache, report: Report
) -> list[Values]:
    """Return the accuracy with the parts of cores added one after another; the last, the cores as built, left out.

    Args:
        study: the study.
        network: the network with its images.
        cores: as they were evaluated, with their wires.
        cache: earlier results.
        report: called with (steps done, steps in all).

    Returns:
        For each stage ``name``, and ``accuracy`` (`Accuracy.to_dict`).
    """
    found: list[Values] = []
    steps = stages(cores)[:-1] if study.trials_a_stage else []
    for number, stage in enumerate(steps):

        def step(done: int, passes: int, number: int = number) -> None:
            report(number * passes + done, len(steps) * passes)

        own = study.model_copy(update={"trials": study.trials_a_stage})
        known = {"accuracy": evaluate_core(own, network, stage.cores, cache, step)}
        found.append({"name": stage.name, **known})
    return found


def training_batches(study: Study, network: LoadedNetwork, images: int | None = None) -> Any:
    """Return training examples as batches.

    Args:
        study: the study.
        network: the network with its images.
        images: so many at most; the study's `calibration_images` at most in any case.
    """
    most = study.calibration_images if images is None else min(images, study.calibration_images)
    return network.batches(study, "calibration", most)


def converted(study: Study, network: LoadedNetwork, cores: NetworkCores) -> nn.Module:
    """Return the network on its cores, with its ranges.

    Args:
        study: the study.
        network: the network with its images.
        cores: as built.
    """
    from accuracy import calibrate, convert

    if sum(own.weights for own in network.layers) > MANY_WEIGHTS:
        # One that was converted before holds itself in circles (a traced graph knows its module), and Python would free
        # it when it has made enough small objects, not when memory is short.
        gc.collect()
    model = convert(network.model, cores, seed=study.seed, exclude=study.exclude, project_signs=study.project_signs)
    return calibrate(model, training_batches(study, network))


def _evaluated(
    study: Study,
    network: LoadedNetwork,
    model: nn.Module,
    trials: int,
    report: Report,
    kept: KeptTrials | None = None,
) -> Accuracy:
    from accuracy import evaluate

    one_point = ShownMetric(network.metric.to_dict()).scaled(1.0)
    return evaluate(
        model,
        network.batches(study, "test", study.images),
        trials,
        study.seed,
        metric=study.metric,
        draw_cells=study.draw_cells,
        tolerance=None if study.tolerance is None else study.tolerance / one_point,
        correction_batches=training_batches(study, network, study.correction_images),
        workers=study.workers,
        kept=kept,
        progress=report,
    )


def summarise_network(study: Study, network: LoadedNetwork, evaluations: Iterable[Values]) -> Values:
    """Return what the page says of the network, see `StudyResult`.

    Args:
        study: the study.
        network: the network with its images.
        evaluations: of `evaluate_design`, one a design.

    Raises:
        StudyError: the designs were evaluated with different networks or images.
    """
    from accuracy import networks

    data, shapes, shown, example = network.data, network.layers, ShownMetric(network.metric.to_dict()), network.example
    found = list(evaluations)
    baseline = common_baseline(found)
    images = found[0]["accuracy"]["images"] or min(study.images or data.size("test"), data.size("test"))
    labels = found[0]["accuracy"]["labels"]
    calibration = min(study.calibration_images, data.size("calibration"))
    notes = [
        f"The float network's {shown.label} is {shown.with_unit(baseline)} on the {images} test {example}s used"
        f"{shown.of_labels(labels)}. The ranges of inputs and ADCs were set with {calibration} training {example}s; no "
        f"test {example} was used for it.",
        *_scale_of(network),
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
        "example": example,
        "labels": labels,
        "places_per_inference": network.places,
        "test_images": images,
        "calibration_images": calibration,
        "classes": len(data.classes),
        "layers": plain(shapes),
        "coverage": network.covered.to_dict(),
        "notes": notes,
    }


def _scale_of(network: LoadedNetwork) -> list[str]:
    """Return what a perplexity compares with."""
    if not network.measure.exponential or not network.outputs:
        return []
    words = network.outputs[-1]
    return [f"Guessing evenly among the {words} entries of its vocabulary has a perplexity of {words}; 1 is certainty."]


def common_baseline(evaluations: Iterable[Values]) -> float:
    """Return the float network's value, the same for every design.

    Args:
        evaluations: of `evaluate_design`, one a design.

    Raises:
        StudyError: the designs were evaluated with different networks or images.
    """
    baselines = {evaluation["accuracy"]["baseline"] for evaluation in evaluations}
    if len(baselines) != 1:
        raise StudyError(f"The float network gave different accuracies for different designs: {sorted(baselines)}.")
    return float(baselines.pop())
