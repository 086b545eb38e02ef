"""Cells are worked out when they are read: row by row they are those that are drawn in one go, from whatever side."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from accuracy import AnalogMatrix, Faults, analog_layers, convert
from accuracy.arrays import cell_kernels
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


@pytest.mark.parametrize("count", [1, 63, 64, 255, 256, 257, 1000, 300_000])
def test_standard_normals_are_numpys(count: int) -> None:
    """The same bits, and a generator in the same state, whatever was drawn before: tails and edges of layers included.

    In 300 000 numbers some 80 come from the tail and 3000 from beside a layer.
    """
    for seed in range(5):
        numpys, ours = np.random.default_rng(seed), np.random.default_rng(seed)
        for generator in (numpys, ours):
            # Half a number of 64 bits is kept for the next 32 bits.
            generator.integers(0, 2**32, dtype=np.uint32)
        for _ in range(2):
            found = cell_kernels.standard_normal(ours, np.empty(count))
            assert np.array_equal(found, numpys.standard_normal(count))
            assert ours.bit_generator.state == numpys.bit_generator.state


def test_normals_of_other_generators_are_numpys_too() -> None:
    for kind in (np.random.MT19937, np.random.PCG64DXSM, np.random.Philox):
        found = cell_kernels.standard_normal(np.random.Generator(kind(3)), np.empty(1000))
        assert np.array_equal(found, np.random.Generator(kind(3)).standard_normal(1000))


def test_a_numpy_with_other_normals_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables that are off by one bit are not used: the numbers are compared before."""
    widths, inside, heights = cell_kernels._tables()
    assert cell_kernels._agrees() == (cell_kernels._library() is not None)
    wrong = np.nextafter(widths, 1.0)
    monkeypatch.setattr(cell_kernels, "_tables", lambda: (wrong, inside, heights))
    cell_kernels._agrees.cache_clear()
    try:
        assert not cell_kernels._agrees()
        found = cell_kernels.standard_normal(np.random.default_rng(1), np.empty(1000))
    finally:
        cell_kernels._agrees.cache_clear()
    assert np.array_equal(found, np.random.default_rng(1).standard_normal(1000))


def test_layers_of_normals_have_one_area() -> None:
    """The ziggurat as published: r f(r) + the tail's area is that of every layer, x_i (f(x_i-1) - f(x_i))."""
    widths, inside, heights = cell_kernels._tables()
    edges = widths * 2.0**52
    area = edges[-1] * heights[-1] + math.sqrt(math.pi / 2) * math.erfc(edges[-1] / math.sqrt(2))
    np.testing.assert_allclose(edges[0] * heights[-1], area, rtol=1e-13)
    np.testing.assert_allclose(edges[1:] * (heights[:-1] - heights[1:]), area, rtol=1e-10)
    np.testing.assert_allclose(inside[2:] / 2.0**52, edges[1:-1] / edges[2:], rtol=1e-15)


def test_cells_programmed_in_c_are_those_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    digits = generator.integers(0, 128, (2, 3, 1001)).astype(np.uint8)
    mean, sigma = np.linspace(0.0, 1.0, 128), np.linspace(0.3, 0.1, 128)
    normals = generator.standard_normal(digits.shape)
    found = cells_module.program_cells(digits, mean, sigma, normals.copy())
    monkeypatch.setattr(cell_kernels, "program", lambda *_: False)
    assert np.array_equal(found, cells_module.program_cells(digits, mean, sigma, normals.copy()))
    assert (found == 0).any()
