"""Statistics for energy, against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from accuracy import EvaluationError, analog_layers, calibrate, convert, mean_activity, measure_activity
from accuracy.calibration.activity import mean_conductance
from circuits import Activity
from tests.accuracy.small_networks import design, small_data, small_network


def test_activity_counts_digits_and_driven_bits() -> None:
    layer = nn.Conv2d(1, 2, 2, padding=1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[[[127.0, -3.0], [0.0, 64.0]]], [[[1.0, 2.0], [-127.0, 0.0]]]]))
    own = design("B", weight_bits=8, bits_per_cell=4)
    model = convert(layer, own)
    x = torch.tensor([[[[255.0, 1.0], [128.0, 0.0]]]])
    calibrate(model, [(x, None)])
    found = measure_activity(model, [(x, None)])["conv2d"]
    magnitudes = np.abs([127, 3, 0, 64, 1, 2, 127, 0])
    wanted = [np.mean(magnitudes % 16) / 15 / 2, np.mean(magnitudes // 16) / 15 / 2]
    np.testing.assert_allclose(found.mean_conductance, wanted)
    programmed = mean_conductance(analog_layers(model)[0], programmed_only=True)
    np.testing.assert_allclose(programmed, 2 * np.array(wanted))
    # Each of the four pixels meets four kernel positions, out of nine output positions times four rows.
    scale = analog_layers(model)[0].require_calibration().scale
    integers = np.rint(np.clip(np.array([255, 1, 128, 0]) / scale, 0, 1) * 255).astype(int)
    bits = [np.sum((integers >> b) & 1) * 4 / 36 for b in range(8)]
    np.testing.assert_allclose(found.input_activity, bits, atol=1e-7)
    assert "1 images" in found.source


def test_every_layer_fits_its_design_and_averages() -> None:
    for name in "AE":
        model = calibrate(convert(small_network(), design(name)), small_data())
        found = measure_activity(model, small_data())
        assert set(found) == {"conv1", "conv2", "fc"}
        for activity in found.values():
            assert activity.mean_conductance.shape == (design(name).slices,)
            assert activity.input_activity.shape == (8,)
        mean = mean_activity(list(found.values()), [2.0, 1.0, 0.0])
        wanted = (2 * found["conv1"].input_activity + found["conv2"].input_activity) / 3
        np.testing.assert_allclose(mean.input_activity, wanted)


def test_offset_cells_conduct_about_half_and_differential_little() -> None:
    offset, differential = (
        measure_activity(calibrate(convert(small_network(), design(name)), small_data()), small_data())
        for name in ("E", "A")
    )
    assert 0.4 < offset["conv2"].mean_conductance.mean() < 0.6
    assert differential["conv2"].mean_conductance.mean() < 0.3


def test_what_has_no_bits_or_data_is_refused() -> None:
    model = calibrate(convert(small_network(), design("A", input_bits=None)), small_data())
    with pytest.raises(EvaluationError, match="does not quantise inputs"):
        measure_activity(model, small_data())
    with pytest.raises(EvaluationError, match="data are empty"):
        measure_activity(calibrate(convert(small_network(), design("A")), small_data()), [])
    with pytest.raises(EvaluationError, match="one weight for each"):
        mean_activity([Activity([0.1], [0.2])], [])
