"""Assumed line currents, against columns of random weights driven by random bits."""

from __future__ import annotations

import json

import numpy as np
import pytest

import circuits
from circuits import LineCurrents, NetworkStatistics, assumed_line_currents, load_design
from circuits.weight_statistics import integer_probabilities
from devicekit import DesignError, load_device

CELL = load_device("sonos_40nm_tcas2022")


@pytest.mark.parametrize("name", "ABCDE")
def test_assumed_currents_are_those_of_independent_weights_and_bits(name: str) -> None:
    design = load_design(name)
    statistics = NetworkStatistics(0.3, 0.05, "test")
    found = assumed_line_currents(design, CELL, statistics)
    code, rows, draws = design.weight_code, design.rows_per_array, 1000
    rng = np.random.default_rng(1)
    integers = np.arange(-code.largest, code.largest + 1)
    weights = rng.choice(integers, (draws, rows), p=integer_probabilities(code.largest, 0.05))
    driven = rng.random((draws, rows)) < 0.3
    g_min = 1 / CELL.on_off_ratio
    cells = (g_min + (1 - g_min) * code.digits(weights) / code.levels) * CELL.i_max
    lines = (cells * driven).sum(axis=-1)
    common = lines.mean(axis=1)
    read = lines[:, 0] - lines[:, 1] if design.subtracts_lines else common
    for kind, values in (("differential", read), ("common", common)):
        spread = getattr(found, f"{kind}_spread_a")[:, 0]
        error = np.abs(getattr(found, f"{kind}_mean_a")[:, 0] - values.mean(axis=1))
        assert np.all(error < 4.5 * spread / np.sqrt(draws) + 1e-12)
        squares = (values - values.mean(axis=1, keepdims=True)) ** 2
        # High slices hold few digits, so that their spread is known less well than that of normal values.
        doubt = squares.std(axis=1) / np.sqrt(draws)
        assert np.all(np.abs(squares.mean(axis=1) - spread**2) < 5 * doubt + 1e-24)


def test_a_range_accumulated_in_analog_is_that_of_the_weighted_bits() -> None:
    accumulated, each = (assumed_line_currents(load_design(name), CELL) for name in "AD")
    assert accumulated.full_scale_a is not None
    assert each.full_scale_a is not None
    # Independent bits of weights 2^b / 255: sqrt(sum 4^b) / 255 of one bit's spread.
    share = np.sqrt(np.sum(4.0 ** np.arange(8))) / 255
    np.testing.assert_allclose(accumulated.full_scale_a, share * each.full_scale_a, rtol=1e-9)
    # Two lines a column: their mean is what the published statistics say of a core of 1152 rows, 20 % of them driven.
    known = circuits.network_statistics()
    wanted = 1152 * known.bit_activity * known.mean_magnitude / 2 * CELL.i_max
    np.testing.assert_allclose(accumulated.common_mean_a[0], wanted, rtol=0.02)


def test_line_currents_are_plain_values_and_refuse_what_they_cannot_be() -> None:
    found = assumed_line_currents(load_design("E"), CELL)
    again = LineCurrents(**json.loads(json.dumps(found.to_dict())))
    assert again.to_dict() == found.to_dict()
    activity = circuits.Activity([0.5] * 4, [0.2] * 8, lines=found)
    back = circuits.Activity(**json.loads(json.dumps(activity.to_dict())))
    assert back.lines is not None
    np.testing.assert_array_equal(back.lines.common_range_a, found.common_range_a)
    np.testing.assert_allclose(found.scaled(0.5).common_mean_a, found.common_mean_a / 2)
    with pytest.raises(DesignError, match=r"lines.*4 weight and 7 input slices.*shape \(4, 8\)"):
        circuits.Activity([0.5] * 4, [0.2] * 7, lines=found)
    with pytest.raises(DesignError, match=r"common_mean_a.*at least 0"):
        LineCurrents([[0.0]], [[0.0]], [[0.0]], [[-1.0]], [[0.0]], [[0.0]])
    with pytest.raises(DesignError, match="neither"):
        assumed_line_currents(load_design("A"))
    with pytest.raises(DesignError, match="bit_activity"):
        NetworkStatistics(1.5, 0.1, "test")
    with pytest.raises(DesignError, match="one weight each"):
        LineCurrents.pooled([], [])
