"""The ladder solution against Kirchhoff's laws solved densely, in closed form, and against its own limits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import circuits


def nodal(conductance, active, r_p_hat):
    """Kirchhoff's current law at every node, solved as a dense linear system in float64."""
    rows, columns = conductance.shape
    wire = 1 / r_p_hat
    result = np.zeros((len(active), columns))
    for b, on in enumerate(active):
        for j in range(columns):
            g = np.where(on, conductance[:, j].astype(np.float64), 0.0)
            matrix = np.diag(g) + 2 * wire * np.eye(rows) - wire * (np.eye(rows, k=1) + np.eye(rows, k=-1))
            matrix[0, 0] -= wire
            result[b, j] = wire * np.linalg.solve(matrix, g)[-1]
    return result


@pytest.mark.parametrize("r_p_hat", [1e-5, 1e-3, 1e-2, 1.0])
@pytest.mark.parametrize("rows", [1, 2, 65, 100])
def test_agrees_with_nodal_analysis(rows, r_p_hat):
    rng = np.random.default_rng(rows)
    conductance = rng.random((rows, 2)) ** 4
    active = rng.random((4, rows)) < 0.5
    active[0] = True
    active[1] = False
    expected = nodal(conductance, active, r_p_hat)
    np.testing.assert_allclose(circuits.solve_bit_lines(conductance, active, r_p_hat), expected, rtol=1e-10)
    single = circuits.solve_bit_lines(conductance.astype(np.float32), active, r_p_hat)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=1e-5)


def norton(conductance, on, r_p_hat):
    """The line above each node as a current source with a conductance beside it: nothing grows, whatever the wire."""
    current, beside = np.zeros(conductance.shape[1]), np.zeros(conductance.shape[1])
    for g, selected in zip(conductance.astype(np.float64), on, strict=True):
        current, beside = current + g * selected, beside + g * selected
        share = 1 / (1 + r_p_hat * beside)
        current, beside = current * share, beside * share
    return current


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("r_p_hat", [1e3, 1e9, 1e15])
def test_wires_up_to_an_open_line_are_solved(r_p_hat, dtype):
    rng = np.random.default_rng(0)
    conductance = rng.random((1152, 3)).astype(dtype)
    active = rng.random((3, 1152)) < 0.5
    active[0] = True
    expected = [norton(conductance, on, r_p_hat) for on in active]
    got = circuits.solve_bit_lines(conductance, active, r_p_hat)
    np.testing.assert_allclose(got, expected, rtol=1e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize(
    ("conductance", "r_p_hat", "message"),
    [
        ([[0.5]], 1e20, "at most 1e\\+15, the wire of an open line, but got 1e\\+20"),
        ([[1e6]], 1e10, "times the largest conductance"),
        ([[0.5 + 1j]], 1e-3, "real numbers, but got complex128"),
    ],
)
def test_what_no_line_is_gets_refused(conductance, r_p_hat, message):
    with pytest.raises(circuits.CircuitError, match=message):
        circuits.solve_bit_lines(conductance, np.ones((1, 1), dtype=bool), r_p_hat)


def test_uniform_line_has_its_closed_form():
    """Many equal cells: i/u follows the ladder's hyperbolic solution, here up to growth that overflows float64."""
    g, r, rows = 1.0, 1e-2, 100_000
    half = np.arccosh(1 + g * r / 2)
    expected = np.sqrt(g / r) * 1 / (np.sqrt(1 + g * r / 4) + np.sqrt(g * r) / 2)
    got = circuits.solve_bit_lines(np.full((rows, 1), g), np.ones((1, rows), dtype=bool), r)[0, 0]
    assert np.sqrt(g / r) > got > 0
    assert rows * half > 709
    assert got == pytest.approx(expected, rel=1e-12)


@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(1, 200),
    columns=st.integers(1, 5),
    exponent=st.floats(-7, 0),
    density=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_laws(rows, columns, exponent, density, seed):
    """Wires only take current away; more wire takes more; another selected cell adds some."""
    rng = np.random.default_rng(seed)
    conductance = rng.random((rows, columns))
    active = rng.random((2, rows)) < density
    active[1] |= active[0]
    ideal = active @ conductance
    r = 10**exponent
    some, more = (circuits.solve_bit_lines(conductance, active, value) for value in (r, 2 * r))
    assert (some <= ideal * (1 + 1e-12)).all()
    assert (more <= some * (1 + 1e-12)).all()
    assert (some[1] >= some[0] * (1 - 1e-12)).all()
    assert (some * r * 1 <= 1 + 1e-12).all(), "a wire to ground carries at most V_D / R_p"


def test_without_resistance_it_is_the_matrix_product():
    rng = np.random.default_rng(1)
    conductance, active = rng.random((50, 4)), rng.random((6, 50)) < 0.3
    np.testing.assert_allclose(circuits.solve_bit_lines(conductance, active, 0), active @ conductance, rtol=1e-14)


def test_batch_and_columns_are_independent():
    rng = np.random.default_rng(2)
    conductance, active = rng.random((200, 37)), rng.random((11, 200)) < 0.5
    whole = circuits.solve_bit_lines(conductance, active, 1e-3)
    for b in range(11):
        np.testing.assert_array_equal(circuits.solve_bit_lines(conductance, active[b : b + 1], 1e-3)[0], whole[b])
    one = circuits.solve_bit_lines(conductance[:, 5:6], active, 1e-3)
    np.testing.assert_allclose(one[:, 0], whole[:, 5], rtol=1e-13)


@pytest.mark.parametrize(
    ("conductance", "active", "r_p_hat", "message"),
    [
        (np.ones(3), np.ones((1, 3)), 1e-5, r"`conductance` of shape \(rows, columns\), but got shape \(3,\)"),
        (np.ones((3, 1)), np.ones((1, 4)), 1e-5, r"with 3 rows as in `conductance`, but got shape \(1, 4\)"),
        (-np.ones((3, 1)), np.ones((1, 3)), 1e-5, "finite and at least 0 everywhere"),
        (np.full((3, 1), np.nan), np.ones((1, 3)), 1e-5, "finite and at least 0 everywhere"),
        (np.full((3, 1), "a"), np.ones((1, 3)), 1e-5, "`conductance` to be real numbers"),
        (np.ones((3, 1)), np.full((1, 3), 0.5), 1e-5, "on or off"),
        (np.ones((3, 1)), np.ones((1, 3)), -1e-5, "`r_p_hat` to be finite and at least 0, but got -1e-05"),
        (np.ones((3, 1)), np.ones((1, 3)), "much", "`r_p_hat` to be a number of at least 0, but got 'much'"),
    ],
)
def test_messages(conductance, active, r_p_hat, message):
    with pytest.raises(circuits.CircuitError, match=message):
        circuits.solve_bit_lines(conductance, active, r_p_hat)
