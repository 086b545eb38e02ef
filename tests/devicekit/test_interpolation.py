"""The monotone cubic is scipy's, only faster."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from devicekit.common.interpolation import monotone_cubic


@settings(max_examples=80, deadline=None)
@given(st.integers(2, 9), st.integers(0, 10_000))
def test_it_is_scipys_pchip_with_held_ends(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    knots = np.sort(rng.random(count)) + np.arange(count) * 0.01
    values = rng.choice([0.0, 0.3, 1.0, 2.0], count) * rng.random(count)
    x = np.linspace(knots[0] - 0.5, knots[-1] + 0.5, 101).reshape(1, 101)
    expected = PchipInterpolator(knots, values)(np.clip(x, knots[0], knots[-1]))
    np.testing.assert_allclose(monotone_cubic(x, list(knots), list(values)), expected, rtol=1e-9, atol=1e-12)


def test_knots_are_met_and_nothing_overshoots() -> None:
    knots, values = [0.0, 1.0, 2.0, 5.0], [0.0, 1.0, 1.0, 3.0]
    assert monotone_cubic(np.array(knots), knots, values) == pytest.approx(values)
    inside = monotone_cubic(np.linspace(1, 2, 50), knots, values)
    assert inside == pytest.approx(1.0)
