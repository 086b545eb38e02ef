"""A loss carried from easy images to the whole set: exact for margins that are normal with another mean."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from reports.errors import StudyError
from reports.published.whole_set import weights_for, whole_set_loss


def _images(mean: float, count: int, error: float, trials: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Margins of unit spread, and trials that add an error to each: right where the margin stays above 0."""
    generator = np.random.default_rng(seed)
    margins = mean + generator.standard_normal(count)
    moved = margins + error * generator.standard_normal((trials, count))
    return margins, (margins > 0).astype(float), (moved > 0).astype(float)


def test_loss_of_a_harder_set_is_found_from_an_easier_one() -> None:
    error = 0.5
    # P(margin > 0) of normal margins before and after the error, in closed form.
    accuracy = stats.norm.cdf(0.6)
    expected = accuracy - stats.norm.cdf(0.6 / np.hypot(1.0, error))
    easy = stats.norm.cdf(1.2) - stats.norm.cdf(1.2 / np.hypot(1.0, error))
    margins, right, scores = _images(1.2, 20_000, error, 10, 0)
    found = whole_set_loss(margins, right, scores, float(accuracy), resamples=100)
    low, high = found.interval
    assert abs(found.loss - expected) < 0.004 < abs(easy - expected)
    assert low < expected < high
    assert found.effective_images < margins.size


def test_intervals_hold_the_loss_as_often_as_they_say() -> None:
    error, accuracy = 0.5, float(stats.norm.cdf(0.6))
    expected = accuracy - stats.norm.cdf(0.6 / np.hypot(1.0, error))
    inside = 0
    for seed in range(40):
        low, high = whole_set_loss(*_images(1.0, 400, error, 4, seed), accuracy, resamples=200).interval
        inside += low < expected < high
    # 38 of 40 expected; fewer than 33 happens once in a hundred where intervals are right.
    assert inside >= 33


def test_the_same_set_is_left_as_it_is() -> None:
    margins, right, scores = _images(1.0, 500, 0.4, 3, 1)
    np.testing.assert_allclose(weights_for(margins, right, right.mean()), 1 / 500, rtol=1e-6)
    found = whole_set_loss(margins, right, scores, float(right.mean()), resamples=20)
    assert found.loss == pytest.approx(right.mean() - scores.mean(), abs=1e-9)


def test_images_that_are_all_right_say_nothing_of_a_harder_set() -> None:
    with pytest.raises(StudyError, match="No weights of these 3 images"):
        weights_for(np.array([1.0, 2.0, 3.0]), np.ones(3), 0.7)
