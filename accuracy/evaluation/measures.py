"""Which metric is meant by a name, by ``module:function`` or by an object, and what tables and pages say of it."""

from __future__ import annotations

import functools
import inspect
import re
from dataclasses import dataclass

from torch import nn
from torch.nn import functional as F

from accuracy.errors import EvaluationError
from accuracy.evaluation.metrics import (
    AccumulatingMetric,
    Binary,
    CrossEntropy,
    MeanSquaredError,
    Metric,
    NamedMetric,
    Perplexity,
    Score,
    TopK,
    has_scores,
)
from accuracy.own_code import naming_errors, own_attribute
from devicekit.common.errors import unknown_name
from devicekit.common.plain import PlainValues

_NAMED: dict[str, NamedMetric] = {
    "top1": TopK(1),
    "top5": TopK(5),
    "binary": Binary(),
    "binary_probability": Binary(0.5),
    "multi_label": Binary(),
    "cross_entropy": CrossEntropy(),
    "perplexity": Perplexity(),
    "mse": MeanSquaredError(),
}

_TORCH_LOSSES = [
    getattr(F, name) for name in dir(F) if name.endswith("_loss") or "cross_entropy" in name or name == "kl_div"
]


@dataclass(frozen=True)
class MetricFacts(PlainValues):
    """What outputs say of a metric.

    Attributes:
        name: as it was asked for.
        label: the same in words.
        unit: of a value that is shown: ``"%"``, ``"nat"``, or nothing.
        loss_unit: of a loss that is shown: ``"points"`` for percentages, else that of the value.
        scale: what a value is multiplied with to be shown.
        higher_is_better: whether a larger value is a better network; losses are positive where it gets worse.
        column: beginning of the names of columns.
        example: what one example of the data is called; empty where the metric does not say.
        place: what one label of an example is called; empty likewise.
    """

    name: str
    label: str
    unit: str
    loss_unit: str
    scale: float
    higher_is_better: bool
    column: str
    example: str
    place: str


@dataclass(frozen=True)
class Measure:
    """A metric together with what is known of it.

    Attributes:
        metric: what counts.
        higher_is_better: whether a larger value is a better network.
        name: as it was asked for.
    """

    metric: NamedMetric | Score | AccumulatingMetric
    higher_is_better: bool = True
    name: str = ""

    @property
    def accumulates(self) -> bool:
        """Whether there is one number for all data and none for each example."""
        return isinstance(self.metric, AccumulatingMetric) and not has_scores(self.metric)

    @property
    def exponential(self) -> bool:
        """Whether the value is the exponential of the mean score."""
        return isinstance(self.metric, Perplexity)

    @property
    def facts(self) -> MetricFacts:
        """What outputs say of it: the metric's own ``label``, ``unit``, ``share`` ..., its name where it has none."""
        own = self.name.rpartition(":")[2]
        share = bool(getattr(self.metric, "share", False))
        unit = "%" if share else str(getattr(self.metric, "unit", ""))
        return MetricFacts(
            name=self.name,
            label=str(getattr(self.metric, "label", own.replace("_", " "))),
            unit=unit,
            loss_unit="points" if share else unit,
            scale=100.0 if share else 1.0,
            higher_is_better=self.higher_is_better,
            column=str(getattr(self.metric, "column", re.sub(r"\W+", "_", own))),
            example=str(getattr(self.metric, "example", "")),
            place=str(getattr(self.metric, "place", "")),
        )


def metric_names() -> tuple[str, ...]:
    """Return the names of the named metrics."""
    return tuple(_NAMED)


def named_metric(metric: Metric) -> NamedMetric | Score | AccumulatingMetric:
    """Return the metric for a name, or the metric itself.

    Args:
        metric: one of `metric_names`; ``module:name`` or ``file.py:name`` of a function (outputs, labels), of an object
            with reset, update and compute, or of a function or class without arguments that makes one; or such a
            function or object itself.

    Raises:
        EvaluationError: unknown name, or neither a function nor a metric.
    """
    if isinstance(metric, str) and ":" in metric:
        return _own(metric)
    if isinstance(metric, str):
        if metric not in _NAMED:
            raise EvaluationError(
                unknown_name("metric", metric, _NAMED) + " A metric of your own is given as module:function."
            )
        return _NAMED[metric]
    if not (callable(metric) or isinstance(metric, AccumulatingMetric) or has_scores(metric)):
        raise EvaluationError(
            f"Expected `metric` to be one of {', '.join(_NAMED)}, a function (outputs, labels), or an object with "
            f"reset, update and compute, but got {metric!r}."
        )
    return metric


def _own(name: str) -> NamedMetric | Score | AccumulatingMetric:
    """Return the metric that ``module:name`` means."""
    found = own_attribute(name, "metric", EvaluationError)
    if inspect.isclass(found) or (inspect.isfunction(found) and not _takes_batches(found)):
        with naming_errors(f"The metric {name!r} cannot be made", EvaluationError):
            found = found()
    if isinstance(found, str):
        raise EvaluationError(f"Expected {name} to be or to return a metric, but got the text {found!r}.")
    return named_metric(found)


def _takes_batches(function: object) -> bool:
    """Whether a function can be given outputs and labels."""
    try:
        inspect.signature(function).bind(None, None)  # type: ignore[arg-type]
    except TypeError:
        return False
    return True


def is_better_higher(metric: NamedMetric | Score | AccumulatingMetric, wanted: bool | None) -> bool:
    """Return whether larger values are better: as the caller says, else as the metric does, else yes.

    Losses of torch (functions, also in `functools.partial`, and modules) are better lower; torchmetrics say it in
    their ``higher_is_better``.
    """
    if wanted is not None:
        return wanted
    own = getattr(metric, "higher_is_better", None)
    if own is not None:
        return bool(own)
    while isinstance(metric, functools.partial):
        metric = metric.func
    return not (isinstance(metric, nn.modules.loss._Loss) or any(metric is loss for loss in _TORCH_LOSSES))


def measure_of(metric: Metric, higher_is_better: bool | None = None) -> Measure:
    """Return a metric with what is known of it.

    Raises:
        EvaluationError: unknown name, or neither a function nor a metric.
    """
    found = named_metric(metric)
    name = metric if isinstance(metric, str) else str(getattr(metric, "__name__", type(metric).__name__))
    return Measure(found, is_better_higher(found, higher_is_better), name)
