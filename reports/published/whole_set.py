"""What a loss measured on an easy subset of images says of the whole set.

A core turns an answer where the network was hardly sure of it: the loss of an image follows from its margin, the score
of the right class over the best other one. A subset differs from the whole set in how often each margin occurs. Of all
ways to weight its images so that the float network is right as often as on the whole set, the exponential of the
margin changes their distribution least (it has the largest entropy for that mean), and it is exact where margins are
normal with another mean. The loss under these weights stands for the whole set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from devicekit.common.plain import PlainValues
from reports.errors import StudyError
from reports.results import Values

Floats = NDArray[np.float64]
_STEEPEST = 200.0


@dataclass(frozen=True)
class WholeSetLoss(PlainValues):
    """A loss carried over to another set of images.

    Attributes:
        loss: fraction lost there.
        interval: 95 %, over images and chips; that the loss follows from the margin is taken for granted.
        effective_images: as many images of equal weight would say as much (Kish).
    """

    loss: float
    interval: tuple[float, float]
    effective_images: float


def weights_for(margins: Floats, right: Floats, accuracy: float) -> Floats:
    """Return the weight of each image, sum 1, under which the float network has an accuracy.

    Args:
        margins: score of the right class over the best other one, shape (images,).
        right: 1 where the float network is right, shape (images,).
        accuracy: of the float network on the whole set.

    Raises:
        StudyError: no weights reach it: all of the images are right, or none.
    """
    spread = float(margins.std()) or 1.0
    standard = (margins - margins.mean()) / spread

    def weights(slope: float) -> Floats:
        exponents = -slope * standard
        drawn = np.exp(exponents - exponents.max())
        return np.asarray(drawn / drawn.sum())

    def excess(slope: float) -> float:
        return float(weights(slope) @ right) - accuracy

    if not excess(-_STEEPEST) > 0 > excess(_STEEPEST):
        raise StudyError(
            f"No weights of these {margins.size} images give the float network an accuracy of {100 * accuracy:.4g} %: "
            f"it is right on {100 * right.mean():.4g} % of them."
        )
    return weights(float(brentq(excess, -_STEEPEST, _STEEPEST, xtol=1e-10)))


def whole_set_loss(
    margins: Floats,
    before: Floats,
    scores: Floats,
    accuracy: float,
    *,
    right: Floats | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> WholeSetLoss:
    """Return what a loss is on a set where the float network has another accuracy.

    Args:
        margins: score of the right class over the best other one by the float network, shape (images,).
        before: 1 where the network that the loss is counted from is right, shape (images,).
        scores: 1 where the analog network is right, shape (trials, images).
        accuracy: of the float network on the whole set.
        right: 1 where the float network is right; None where the loss is counted from it.
        resamples: bootstrap samples of images and trials; each finds its own weights.
        seed: of the bootstrap.

    Raises:
        StudyError: no weights of the images give that accuracy.
    """
    right = before if right is None else right
    own = weights_for(margins, right, accuracy)
    lost = before - scores
    generator = np.random.default_rng(seed)
    trials, images = lost.shape
    draws: list[float] = []
    for _ in range(resamples):
        chosen, chips = generator.integers(images, size=images), generator.integers(trials, size=trials)
        try:
            drawn = weights_for(margins[chosen], right[chosen], accuracy)
        except StudyError:
            continue
        draws.append(float(lost[chips][:, chosen].mean(axis=0) @ drawn))
    low, high = np.quantile(draws, [0.025, 0.975])
    return WholeSetLoss(float(lost.mean(axis=0) @ own), (float(low), float(high)), float(1.0 / (own @ own)))


def whole_set_columns(
    margins: Floats, before: Floats, scores: Floats, accuracy: float, *, right: Floats | None = None, seed: int = 0
) -> Values:
    """Return a loss on the whole set and its interval as columns of a table [points]; empty where none can be found.

    Args:
        margins: as for `whole_set_loss`, like the others.
        before: where the network that the loss is counted from is right.
        scores: where the analog network is right.
        accuracy: of the float network on the whole set.
        right: where the float network is right.
        seed: of the bootstrap.
    """
    try:
        found = whole_set_loss(margins, before, scores, accuracy, right=right, seed=seed)
    except StudyError:
        # So few images that the network is right on all of them say nothing of a harder set.
        return {}
    low, high = found.interval
    return {
        "whole_set_loss_points": 100 * found.loss,
        "whole_set_low_points": 100 * low,
        "whole_set_high_points": 100 * high,
    }
