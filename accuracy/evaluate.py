"""How much accuracy a network keeps on analog arrays: float baseline, ideal cells, and trials with fresh cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from accuracy.calibrate import Batches, Progress, ideal_cells, layer_mode, require_layers, require_reiterable
from accuracy.convert import model_device
from accuracy.errors import EvaluationError
from accuracy.layers import Mode

Floats = NDArray[np.float64]
Score = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Accuracy:
    """Accuracy of one network on one design; fractions in 0..1.

    Attributes:
        per_trial: accuracy of each trial; shape (trials,).
        baseline: accuracy of the float network on the same images.
        ideal: accuracy with quantised weights and inputs, ideal cells and the design's converters.
        scores: score of every image in every trial; shape (trials, images).
        baseline_scores: score of every image by the float network; shape (images,).
        ideal_scores: score of every image with ideal cells; shape (images,).
        clipped_inputs: fraction of each layer's inputs outside its range, by layer name.
    """

    per_trial: Floats
    baseline: float
    ideal: float
    scores: Floats
    baseline_scores: Floats
    ideal_scores: Floats
    clipped_inputs: dict[str, float]

    @property
    def mean(self) -> float:
        """Mean over trials."""
        return float(self.per_trial.mean())

    @property
    def std(self) -> float:
        """Standard deviation over trials (n - 1); 0 for a single one."""
        return float(self.per_trial.std(ddof=1)) if self.per_trial.size > 1 else 0.0

    @property
    def loss(self) -> float:
        """What analog costs: baseline minus mean."""
        return self.baseline - self.mean

    @property
    def images(self) -> int:
        """Number of images."""
        return int(self.baseline_scores.size)


def top_k(k: int) -> Score:
    """Return a score that is 1 where the label is among the `k` largest outputs."""

    def score(outputs: Tensor, labels: Tensor) -> Tensor:
        best = outputs.topk(min(k, outputs.shape[-1]), dim=-1).indices
        return (best == labels.reshape(-1, 1)).any(dim=-1).to(torch.float64)

    return score


def evaluate(
    model: nn.Module,
    batches: Batches,
    trials: int = 10,
    seed: int = 0,
    *,
    progress: Progress | None = None,
) -> Accuracy:
    """Evaluate a converted and calibrated network over trials that each program its cells afresh.

    Args:
        model: from `convert` and `calibrate`.
        batches: pairs (inputs, labels) that can be gone through several times.
        trials: how often cells are programmed.
        seed: the same seed gives the same result whatever the batch size.
        progress: called with (passes done, passes in all).

    Raises:
        EvaluationError: no trials, no images, a one-shot iterator, or a model that was not converted.
        CalibrationError: the model has no ranges, or another design's.
    """
    if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
        raise EvaluationError(f"Expected `trials` to be an integer of at least 1, but got {trials!r}.")
    layers = require_layers(model)
    require_reiterable(batches)
    for layer in layers:
        layer.converters()
        layer.array.inputs_seen = layer.array.inputs_clipped = 0
    passes = trials + 2
    score = top_k(1)

    def report(done: int) -> None:
        if progress is not None:
            progress(done, passes)

    with layer_mode(layers, Mode.FLOAT):
        baseline = _scores(model, batches, score)
    report(1)
    with layer_mode(layers, Mode.ANALOG), ideal_cells(layers):
        ideal = _scores(model, batches, score)
    report(2)
    rows = []
    with layer_mode(layers, Mode.ANALOG):
        for trial in range(trials):
            for layer in layers:
                layer.program(seed, trial)
            rows.append(_scores(model, batches, score))
            report(trial + 3)
    scores = np.stack(rows)
    clipped = {layer.name: layer.array.inputs_clipped / max(layer.array.inputs_seen, 1) for layer in layers}
    return Accuracy(
        per_trial=scores.mean(axis=1),
        baseline=float(baseline.mean()),
        ideal=float(ideal.mean()),
        scores=scores,
        baseline_scores=baseline,
        ideal_scores=ideal,
        clipped_inputs=clipped,
    )


def _scores(model: nn.Module, batches: Batches, score: Score) -> Floats:
    device = model_device(model)
    model.eval()
    found = []
    with torch.inference_mode():
        for inputs, labels in batches:
            outputs = model(inputs.to(device))
            found.append(score(outputs, labels.to(device)).cpu().numpy())
    if not found:
        raise EvaluationError("The data are empty: give at least one batch (inputs, labels).")
    return np.concatenate(found).astype(np.float64)
