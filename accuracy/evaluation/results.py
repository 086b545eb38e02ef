"""Result of an evaluation with its uncertainty: over chips, over images, and paired with the digital baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from accuracy.errors import EvaluationError
from devicekit.common.plain import plain_dict

Floats = NDArray[np.float64]
_BLOCK = 256


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
    """

    per_trial: Floats
    baseline: float
    ideal: float
    scores: Floats | None
    baseline_scores: Floats | None
    ideal_scores: Floats | None
    clipped_inputs: dict[str, float]
    stopped_early: bool = False

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
        """Accuracy loss: baseline minus mean over trials."""
        return self.baseline - self.mean

    @property
    def quantisation_loss(self) -> float:
        """Loss from quantisation alone: baseline minus accuracy with ideal cells."""
        return self.baseline - self.ideal

    @property
    def device_loss(self) -> float:
        """Loss from cells and circuits: accuracy with ideal cells minus mean over trials."""
        return self.ideal - self.mean

    @property
    def images(self) -> int:
        """Number of images; 0 for metrics without a score for each."""
        return 0 if self.baseline_scores is None else int(self.baseline_scores.size)

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

        Baseline and analog scores of an image are resampled together, so that what makes an image hard for both
        cancels; trials are resampled as well.

        Args:
            confidence: of the interval.
            resamples: bootstrap samples.
            seed: of the bootstrap.

        Raises:
            EvaluationError: the metric gives no score for each image.
        """
        if self.scores is None or self.baseline_scores is None:
            raise EvaluationError("The metric gives no score for each image, which a paired bootstrap needs.")
        differences = self.baseline_scores[None, :] - self.scores
        trials, images = differences.shape
        generator = np.random.default_rng(seed)
        losses = []
        for start in range(0, resamples, _BLOCK):
            count = min(_BLOCK, resamples - start)
            by_image = generator.multinomial(images, np.full(images, 1.0 / images), size=count) / images
            by_trial = generator.multinomial(trials, np.full(trials, 1.0 / trials), size=count) / trials
            losses.append(((by_image @ differences.T) * by_trial).sum(axis=1))
        tail = (1.0 - confidence) / 2.0
        low, high = np.quantile(np.concatenate(losses), [tail, 1.0 - tail])
        return float(low), float(high)

    def to_dict(self, confidence: float = 0.95, seed: int = 0) -> dict[str, Any]:
        """Return everything but the scores of single images as plain values; a metric without them has no interval.

        Args:
            confidence: of ``loss_interval``.
            seed: of its bootstrap.
        """
        paired = self.scores is not None and self.baseline_scores is not None
        return plain_dict(
            {
                "baseline": self.baseline,
                "ideal": self.ideal,
                "mean": self.mean,
                "std": self.std,
                "loss": self.loss,
                "loss_interval": self.loss_interval(confidence, seed=seed) if paired else None,
                "per_trial": self.per_trial,
                "trials": len(self.per_trial),
                "images": self.images,
                "clipped_inputs": self.clipped_inputs,
                "stopped_early": self.stopped_early,
            }
        )


def half_width(values: Floats, confidence: float) -> float:
    """Return half the t interval of the mean of values.

    Raises:
        EvaluationError: fewer than two values.
    """
    if values.size < 2:
        raise EvaluationError(f"An interval over chips needs at least 2 trials, but there is {values.size}.")
    spread = float(values.std(ddof=1)) / np.sqrt(values.size)
    return float(stats.t.ppf(0.5 + confidence / 2.0, values.size - 1) * spread)
