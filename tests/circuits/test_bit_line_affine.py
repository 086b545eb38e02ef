"""The compiled affine and re-linearised bit lines against the same in float64, and against the transistor itself."""

import numpy as np
import pytest

import circuits
from circuits import PreparedCells, native

pytestmark = pytest.mark.usefixtures("compiler")

PLACES = [
    # rows, r_p_hat, mean conductance, activity
    (1, 1e-2, 0.5, 1.0),
    (36, 1e-4, 0.5, 0.5),
    (72, 1e-4, 0.3, 0.1),
    (144, 1e-4, 0.1, 0.5),
    (144, 1e-5, 0.5, 1.0),
    (1152, 1e-5, 0.02, 0.5),
    (1152, 1e-4, 0.02, 0.05),
    (1100, 1e-6, 0.1, 0.5),
]


def array(rows, mean, activity, columns=37, batch=33):
    rng = np.random.default_rng(rows)
    conductance = rng.beta(1, 1 / mean - 1, (rows, columns)).astype(np.float32)
    conductance[1::5] = 0
    active = rng.random((batch, rows)) < activity
    active[0] = False
    return conductance, active


@pytest.mark.parametrize("orientation", ["source", "drain"])
@pytest.mark.parametrize(("rows", "r_p_hat", "mean", "activity"), PLACES)
def test_against_float64_and_the_transistor(rows, r_p_hat, mean, activity, orientation):
    conductance, active = array(rows, mean, activity)
    cell = circuits.load_transistor_cell(orientation=orientation)
    prepared = PreparedCells(conductance, cell)
    double = conductance.astype(np.float64)
    affine = circuits.solve_bit_lines(double, active, r_p_hat, "affine", model=cell)
    exact = circuits.solve_bit_lines(double, active, r_p_hat, "transistor", model=cell)
    resistor = circuits.solve_bit_lines(double, active, r_p_hat)
    used = exact > 0
    wrong = np.abs(resistor[used] / exact[used] - 1).mean()
    for most in (0, 1, 2, 3):
        np.testing.assert_allclose(prepared.solve(active, r_p_hat, again=False, most=most), affine, rtol=1e-5)
        again = prepared.solve(active, r_p_hat, again=True, most=most)
        assert (again[~used] == 0).all()
        if wrong <= 0.105:
            assert np.abs(again[used] / exact[used] - 1).mean() < 1e-4


def test_solve_bit_lines_takes_prepared_cells_and_float32_alike():
    conductance, active = array(288, 0.1, 0.5)
    prepared = PreparedCells(conductance)
    for kind in ("affine", "relinearised"):
        np.testing.assert_array_equal(
            circuits.solve_bit_lines(prepared, active, 1e-5, kind),
            circuits.solve_bit_lines(conductance, active, 1e-5, kind),
        )
    np.testing.assert_array_equal(
        circuits.solve_bit_lines(prepared, active, 1e-5), circuits.solve_bit_lines(conductance, active, 1e-5)
    )
    np.testing.assert_allclose(
        circuits.solve_bit_lines(prepared, active, 1e-5, "transistor"),
        circuits.solve_bit_lines(conductance.astype(np.float64), active, 1e-5, "transistor"),
        rtol=1e-5,
    )


def test_lines_too_resistive_for_blocks_take_the_exact_way():
    conductance, active = array(1152, 0.5, 0.5, columns=3, batch=4)
    prepared = PreparedCells(conductance)
    assert prepared.solve(active, 1e-2, again=True) is None
    got = circuits.solve_bit_lines(prepared, active, 1e-2, "relinearised")
    expected = circuits.solve_bit_lines(conductance.astype(np.float64), active, 1e-2, "relinearised")
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_without_a_compiler(monkeypatch):
    conductance, active = array(72, 0.3, 0.5, columns=3, batch=4)
    expected = circuits.solve_bit_lines(conductance, active, 1e-5, "affine")
    monkeypatch.setattr(native, "load_library", lambda *_: None)
    got = circuits.solve_bit_lines(conductance, active, 1e-5, "affine")
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_a_single_state_and_no_state():
    active = np.ones((2, 50), dtype=bool)
    full = circuits.solve_bit_lines(np.full((50, 2), 1.0, dtype=np.float32), active, 1e-5, "affine")
    double = circuits.solve_bit_lines(np.full((50, 2), 1.0), active, 1e-5, "affine")
    np.testing.assert_allclose(full, double, rtol=1e-5)
    nothing = circuits.solve_bit_lines(np.zeros((50, 2), dtype=np.float32), active, 1e-5, "relinearised")
    assert (nothing == 0).all()


@pytest.mark.parametrize(
    ("conductance", "message"),
    [(np.ones(3), r"shape \(rows, columns\), but got shape \(3,\)"), (-np.ones((2, 2)), "finite and at least 0")],
)
def test_messages(conductance, message):
    with pytest.raises(circuits.CircuitError, match=message):
        PreparedCells(conductance)
