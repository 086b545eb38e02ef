"""Line currents of layers, against currents summed by hand from targets and input bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from accuracy import analog_layers, calibrate, convert, mean_activity, measure_activity, measure_line_currents
from circuits import LineCurrents
from devicekit import load_device
from tests.accuracy.small_networks import design, small_data, small_network

CELL = load_device("sonos_40nm_tcas2022")


def _by_hand(name: str, signed: bool) -> tuple[LineCurrents, dict[str, NDArray[np.float64]]]:
    """Return measured currents of one linear layer, and the currents of every image, column and bit [A]."""
    rng = np.random.default_rng(3)
    layer = nn.Linear(40, 12, bias=False)
    x = torch.from_numpy(rng.uniform(-1 if signed else 0, 1, (16, 40)).astype(np.float32))
    model = calibrate(convert(layer, design(name, matrix_rows=40), cell=CELL), [(x, None)])
    found = measure_line_currents(model, [(x, None)])["linear"]
    own = analog_layers(model)[0]
    calibration, cells = own.require_calibration(), own.array.targets
    steps = 127 if signed else 255
    integers = np.rint(np.clip(x.numpy() / calibration.scale, -1, 1) * steps).astype(int)
    bits = np.stack([np.sign(integers) * ((np.abs(integers) >> b) & 1) for b in range(8)])
    parts = own.array.mapping.partitions
    differential = cells[:, 0] - cells[:, 1] if cells.shape[1] == 2 else cells[:, 0]
    read, common = (
        np.stack([np.einsum("bnr,src->sbnc", values[:, :, p], matrix[:, p]) for p in parts], axis=2) * CELL.i_max
        for values, matrix in ((bits, differential), (np.abs(bits), cells.mean(axis=1)))
    )
    return found, {"differential": read, "common": common * (0.5 if signed else 1.0)}


@pytest.mark.parametrize(("name", "signed"), [("A", False), ("C", True), ("E", False), ("B", False)])
def test_currents_are_those_of_every_column_and_bit(name: str, signed: bool) -> None:
    found, wanted = _by_hand(name, signed)
    for kind, currents in wanted.items():
        by_slices = currents.reshape(*currents.shape[:2], -1)
        np.testing.assert_allclose(getattr(found, f"{kind}_mean_a"), by_slices.mean(axis=2), rtol=1e-4, atol=1e-12)
        np.testing.assert_allclose(getattr(found, f"{kind}_spread_a"), by_slices.std(axis=2), rtol=1e-4, atol=1e-12)
        # Fewer than 5000 values: the useful range is the largest of them.
        largest = np.abs(by_slices).max(axis=2)
        np.testing.assert_allclose(getattr(found, f"{kind}_range_a"), largest, rtol=1e-5, atol=1e-12)


def test_lines_of_a_layer_belong_to_its_activity_and_pool() -> None:
    model = calibrate(convert(small_network(), design("A"), cell=CELL), small_data())
    found = measure_activity(model, small_data())
    lines = {name: activity.lines for name, activity in found.items()}
    ranges = analog_layers(model)[0].require_calibration().ranges
    first = lines["conv1"]
    assert first is not None
    assert first.full_scale_a is not None
    np.testing.assert_allclose(first.full_scale_a, [ranges[0][1] * CELL.i_max])
    pooled = mean_activity(list(found.values()), [1.0, 1.0, 0.0]).lines
    assert pooled is not None
    second = lines["conv2"]
    assert second is not None
    np.testing.assert_allclose(pooled.common_mean_a, (first.common_mean_a + second.common_mean_a) / 2)
    # The law of total variance: spread of the layers' values together.
    together = (first.common_spread_a**2 + second.common_spread_a**2) / 2
    apart = ((first.common_mean_a - second.common_mean_a) / 2) ** 2
    np.testing.assert_allclose(pooled.common_spread_a**2, together + apart)
    # Without a cell there is no ampere.
    ideal = calibrate(convert(small_network(), design("A")), small_data())
    assert all(activity.lines is None for activity in measure_activity(ideal, small_data()).values())
