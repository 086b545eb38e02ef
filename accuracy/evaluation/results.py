"""Result of an evaluation with its uncertainty: over chips, over images, and paired with the digital baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accuracy.errors import EvaluationError
from accuracy.evaluation.intervals import half_width, loss_draws, loss_interval
from devicekit.common.plain import plain_dict

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Accuracy:
    """Accuracy of one network on one design; fractions in 0..1 for accuracies, else in the metric's own units.

    Attributes:
        per_trial: accuracy of each trial; shape (trials,).
        baseline: accuracy of the float network on the same images.
        ideal: accuracy with quantised weights and inputs, ideal cells and the design's ADCs.
        scores: score of every image in every trial, shape (trials, images); None for metrics without one.
        baseline_scores: score of every image by the float network, shape (images,); None likewise.
        ideal_scores: score of every image with ideal cells; None likewise.
        clipped_inputs: fraction of each layer's inputs outside its range, by layer name.
        stopped_early: whether trials ended because the interval was small enough.
        weights: what each image counts (its tokens or pixels), shape (images,); None where all count the same.
        higher_is_better: whether a larger value is a better network; losses are positive where it gets worse.
        exponential: whether values are exponentials of the mean score, as a perplexity is.
        metric: name of what was counted.
        remarks: sentences on what to know or to try, such as rounding that another range of the ADCs would spare.
    """

    per_trial: Floats
    baseline: float
    ideal: float
    scores: Floats | None
    baseline_scores: Floats | None
    ideal_scores: Floats | None
    clipped_inputs: dict[str, float]
    stopped_early: bool = False
    weights: Floats | None = None
    higher_is_better: bool = True
    exponential: bool = False
    metric: str = "top1"
    remarks: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return the result on one line: mean and spread over trials, baseline and loss in the metric's own units."""
        return (
            f"Accuracy({self.metric} {self.mean:.4g} ± {self.std:.2g} over {self.per_trial.size} trials, "
            f"float {self.baseline:.4g}, loss {self.loss:.2g}, {self.images} images"
            f"{', see remarks' if self.remarks else ''})"
        )

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
        """Loss of the analog network: baseline minus mean over trials, or mean minus baseline where lower is better."""
        return self._worse(self.baseline, self.mean)

    @property
    def quantisation_loss(self) -> float:
        """Loss from quantisation alone: baseline against ideal cells."""
        return self._worse(self.baseline, self.ideal)

    @property
    def device_loss(self) -> float:
        """Loss from cells and circuits: ideal cells against the mean over trials."""
        return self._worse(self.ideal, self.mean)

    def _worse(self, before: float, after: float) -> float:
        """How much worse the second value is."""
        return before - after if self.higher_is_better else after - before

    @property
    def images(self) -> int:
        """Number of images; 0 for metrics without a score for each."""
        return 0 if self.baseline_scores is None else int(self.baseline_scores.size)

    @property
    def labels(self) -> int:
        """Number of labels that were counted: one an image, or all tokens or pixels; 0 for metrics without scores."""
        return self.images if self.weights is None else int(self.weights.sum())

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the t interval of the mean over chips, on these images.

        Args:
            confidence: of the interval.

        Raises:
            EvaluationError: fewer than two trials.
        """
        half = half_width(self.per_trial, confidence)
        return self.mean - half, self.mean + half

    def loss_interval(self, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
        """Return the interval of the loss over images and chips, by paired bootstrap.

        Where hardly any image of an accuracy differs, it is a Bayesian one, never of zero width: see
        `accuracy.evaluation.intervals`.

        Args:
            confidence: of the interval.
            resamples: bootstrap samples.
            seed: of the bootstrap.

        Raises:
            EvaluationError: the metric gives no score for each image, or there is a single one without bounds.
        """
        if self.scores is None or self.baseline_scores is None:
            raise EvaluationError("The metric gives no score for each image, which a paired bootstrap needs.")
        weights = np.ones(self.baseline_scores.size) if self.weights is None else self.weights
        low, high = loss_interval(
            self.baseline_scores, self.scores, weights, confidence, resamples, seed, exponential=self.exponential
        )
        return (low, high) if self.higher_is_better else (-high, -low)

    def loss_draws(self, resamples: int = 512, seed: int = 0) -> Floats:
        """Return draws of the loss as its interval takes them, shape (resamples,).

        Results on the same images with the same seed go together, draw by draw: what images have in common cancels
        in their difference. Without scores of single images, draws are of the mean over chips alone (normal).

        Args:
            resamples: bootstrap samples.
            seed: of the bootstrap.
        """
        if self.scores is None or self.baseline_scores is None or (self.images < 2 and self.scores.size):
            spread = self.std / np.sqrt(self.per_trial.size)
            return np.asarray(self.loss + spread * np.random.default_rng(seed).standard_normal(resamples))
        weights = np.ones(self.baseline_scores.size) if self.weights is None else self.weights
        drawn = loss_draws(self.baseline_scores, self.scores, weights, resamples, seed, exponential=self.exponential)
        return drawn if self.higher_is_better else -drawn

    def to_dict(self, confidence: float = 0.95, seed: int = 0) -> dict[str, Any]:
        """Return everything but the scores of single images as plain values; without them there is no interval.

        Args:
            confidence: of ``loss_interval``.
            seed: of its bootstrap.
        """
        try:
            interval = self.loss_interval(confidence, seed=seed)
        except EvaluationError:
            interval = None
        return plain_dict(
            {
                "metric": self.metric,
                "higher_is_better": self.higher_is_better,
                "baseline": self.baseline,
                "ideal": self.ideal,
                "mean": self.mean,
                "std": self.std,
                "loss": self.loss,
                "loss_interval": interval,
                "per_trial": self.per_trial,
                "trials": len(self.per_trial),
                "images": self.images,
                "labels": self.labels,
                "clipped_inputs": self.clipped_inputs,
                "stopped_early": self.stopped_early,
                "remarks": list(self.remarks),
            }
        )
