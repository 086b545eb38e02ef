"""Intervals of an evaluation: Student's over chips, and of the loss over examples and chips, paired."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from accuracy.errors import EvaluationError

Floats = NDArray[np.float64]
_BLOCK = 256

FEW = 10
"""Examples that differ between baseline and analog network, below which a bootstrap of the loss is too narrow."""

PRIOR = 0.5
"""Examples that count as got worse, and as got better, before any is seen: Jeffreys' prior of a share."""


def half_width(values: Floats, confidence: float) -> float:
    """Return half the t interval of the mean of values.

    Raises:
        EvaluationError: fewer than two values.
    """
    if values.size < 2:
        raise EvaluationError(f"An interval over chips needs at least 2 trials, but there is {values.size}.")
    spread = float(values.std(ddof=1)) / np.sqrt(values.size)
    return float(stats.t.ppf(0.5 + confidence / 2.0, values.size - 1) * spread)


def weighted_value(scores: Floats, weights: Floats, *, exponential: bool = False) -> float:
    """Return the weighted mean of scores, or its exponential.

    Raises:
        EvaluationError: nothing has weight.
    """
    if not weights.sum() > 0:
        raise EvaluationError("No label counts: all places are ignored.")
    mean = float(scores.mean()) if bool((weights == weights[0]).all()) else float(np.average(scores, weights=weights))
    return float(np.exp(mean)) if exponential else mean


def loss_interval(
    baseline: Floats,
    scores: Floats,
    weights: Floats,
    confidence: float,
    resamples: int,
    seed: int,
    *,
    exponential: bool = False,
) -> tuple[float, float]:
    """Return the interval of baseline value minus mean analog value, over examples and chips.

    Args:
        baseline: score of each example by the float network, shape (examples,).
        scores: shape (trials, examples).
        weights: what each example counts, shape (examples,).
        confidence: of the interval.
        resamples: draws.
        seed: of the draws.
        exponential: whether values are exponentials of mean scores.

    Raises:
        EvaluationError: a single example with a score that has no bounds.
    """
    losses = loss_draws(baseline, scores, weights, resamples, seed, exponential=exponential)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(losses, [tail, 1.0 - tail])
    return float(low), float(high)


def loss_draws(
    baseline: Floats, scores: Floats, weights: Floats, resamples: int, seed: int, *, exponential: bool = False
) -> Floats:
    """Return draws of baseline value minus mean analog value, over examples and chips, shape (resamples,).

    Baseline and analog scores of an example are drawn together, so that what makes it hard for both cancels; trials
    are drawn as well. Scores within 0..1 of which fewer than `FEW` differ are not resampled, which would call a loss
    of nothing certain, but drawn from the posterior of the examples' shares, Dirichlet(1, ..., 1, 1/2, 1/2), the last
    two for an example that gets entirely worse or better: for a single trial without any difference that is
    Jeffreys' interval of a binomial share on either side (Brown, Cai, DasGupta, Statistical Science 16, 101, 2001).

    Args:
        baseline: score of each example by the float network, shape (examples,).
        scores: shape (trials, examples).
        weights: what each example counts, shape (examples,).
        resamples: draws.
        seed: of the draws; with the same seed and as many examples, the same examples are drawn.
        exponential: whether values are exponentials of mean scores.

    Raises:
        EvaluationError: a single example with a score that has no bounds.
    """
    differences = baseline[None, :] - scores
    trials, examples = differences.shape
    within = not exponential and all(part.min() >= 0.0 and part.max() <= 1.0 for part in (baseline, scores))
    few = within and int((differences != 0).any(axis=0).sum()) < FEW
    if examples < 2 and not few:
        raise EvaluationError("An interval over examples needs at least 2 of them, but there is 1.")
    generator = np.random.default_rng(seed)
    share = weights / weights.mean()
    equal = bool((weights == weights[0]).all())
    losses = []
    for start in range(0, resamples, _BLOCK):
        count = min(_BLOCK, resamples - start)
        extra: Floats = np.zeros(count)
        if few:
            drawn = generator.dirichlet([*[1.0] * examples, PRIOR, PRIOR], size=count)
            by_example, extra = drawn[:, :-2], drawn[:, -2] - drawn[:, -1]
        else:
            by_example = generator.multinomial(examples, np.full(examples, 1.0 / examples), size=count) / examples
        by_trial = generator.multinomial(trials, np.full(trials, 1.0 / trials), size=count) / trials
        if exponential:
            weighted = by_example * share
            weighted /= weighted.sum(axis=1, keepdims=True)
            per_trial = np.exp(weighted @ baseline)[:, None] - np.exp(weighted @ scores.T)
        elif equal:
            per_trial = by_example @ differences.T
        else:
            weighted = by_example * share
            per_trial = weighted @ differences.T / weighted.sum(axis=1, keepdims=True)
            per_trial *= by_example.sum(axis=1, keepdims=True)
        losses.append((per_trial * by_trial).sum(axis=1) + extra)
    return np.concatenate(losses)
