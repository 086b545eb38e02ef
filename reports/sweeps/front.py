"""Which designs are not beaten: the Pareto front, and the probability of being on it, from joint draws."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]


def on_front(costs: Floats) -> Truths:
    """Return which points no other point beats: none is as good in all objectives and better in one.

    Args:
        costs: shape (points, objectives), smaller is better.
    """
    wins = np.ones(len(costs), dtype=bool)
    for number, own in enumerate(costs):
        others = costs[wins] if wins[number] else costs
        no_worse = (others <= own).all(axis=1)
        better = (others < own).any(axis=1)
        wins[number] = not (no_worse & better).any()
    return wins


def front_probability(draws: Floats) -> Floats:
    """Return for each point the share of the draws in which it is on the front, shape (points,).

    Draws of one number are joint: what two points have in common (the same test images, the same components) moves both
    and does not blur which is better.

    Args:
        draws: shape (points, objectives, draws), smaller is better.
    """
    counts = np.zeros(len(draws))
    for number in range(draws.shape[2]):
        counts += on_front(draws[:, :, number])
    return np.asarray(counts / draws.shape[2])
