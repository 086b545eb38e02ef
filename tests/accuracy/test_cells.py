"""Cells are worked out when they are read: row by row they are those that are drawn in one go, from whatever side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from accuracy import AnalogMatrix, Faults, analog_layers, convert
from accuracy.arrays import cells as cells_module
from devicekit import Cell, Spatial, StateIndependent, StateProportional, Tail
from tests.accuracy.small_networks import design

PLAIN = Cell(error=StateProportional(0.2), i_max=1.6e-6, on_off_ratio=100.0)
CELLS = {
    "plain": PLAIN,
    "dies": replace(PLAIN, spatial=Spatial(die=0.3, wafer=0.2)),
    "outliers": replace(PLAIN, tail=Tail(0.05, "normal")),
    "outliers anywhere, dies": replace(PLAIN, tail=Tail(0.05, "uniform"), spatial=Spatial(die=0.3, wafer=0.2)),
    "exact": None,
}


@pytest.mark.parametrize("faults", [None, Faults(0.02, 0.03)], ids=["whole", "stuck"])
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("form", ["differential", "offset"])
def test_cells_drawn_row_by_row_are_those_drawn_at_once(
    form: str, name: str, faults: Faults | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = design("A", negative_weights=form, bits_per_cell=3, max_rows=100)
    weight = np.random.default_rng(0).laplace(size=(301, 250))
    at_once = AnalogMatrix(weight, own, CELLS[name], seed=5, faults=faults).array
    monkeypatch.setattr(cells_module, "_AT_ONCE", 0)
    by_row = AnalogMatrix(weight, own, CELLS[name], seed=5, faults=faults).array
    assert len(list(by_row.pieces())) > 3
    assert np.array_equal(at_once.conductances, by_row.conductances)
    for one, other in zip(at_once.column_matrices(), by_row.column_matrices(), strict=True):
        assert np.array_equal(one, other)
    states = [array.cells.rest().bit_generator.state for array in (at_once, by_row)]  # type: ignore[attr-defined]
    assert states[0] == states[1]


def test_a_matrix_of_many_cells_is_programmed_as_the_device_says() -> None:
    """More cells than are drawn at once: still the normals of the seed, in the order of the cells."""
    weight = np.random.default_rng(0).laplace(size=(500, 300))
    array = AnalogMatrix(weight, "A", PLAIN, seed=5).array
    assert np.prod(array.mapping.shape) > cells_module._AT_ONCE
    wanted = np.clip(PLAIN.program(array.targets * PLAIN.i_max, np.random.default_rng(5)) / PLAIN.i_max, 0.0, None)
    np.testing.assert_allclose(array.conductances, wanted, rtol=1e-13, atol=1e-16)


def test_a_generator_is_drawn_from_when_cells_are_programmed() -> None:
    """Two matrices of one generator have different cells, and it stands where eager programming leaves it."""
    generator, weight = np.random.default_rng(3), np.ones((20, 10))
    first, second = (AnalogMatrix(weight, "A", PLAIN, seed=generator) for _ in range(2))
    assert not np.array_equal(first.conductances, second.conductances)
    by_hand = np.random.default_rng(3)
    for _ in range(2):
        by_hand.standard_normal((1, 2, 20, 10))
        by_hand.integers(0, 2**32, 2)
    assert generator.random() == by_hand.random()
    assert np.array_equal(first.conductances, AnalogMatrix(weight, "A", PLAIN, seed=3).conductances)


def test_the_copy_of_a_network_has_weights_of_its_own() -> None:
    """The memory is one until either network changes; then neither sees the other's change."""
    model = nn.Sequential(nn.Linear(30, 20), nn.Linear(20, 10)).eval()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    converted = convert(model, "A", Cell(error=StateIndependent(0.05), i_max=1.6e-6, on_off_ratio=100.0))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    first, second = analog_layers(converted)
    own = [first.digital.weight, first.digital.bias, second.digital.weight, second.digital.bias]
    assert all(torch.equal(one, other) for one, other in zip(own, before, strict=True))
    assert not first.is_stale(thoroughly=True)
    with torch.no_grad():
        first.digital.weight.fill_(1.0)
    assert first.is_stale()
    assert not any(bool(parameter.any()) for parameter in model.parameters())
