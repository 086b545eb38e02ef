"""The compiled kernel in every instruction set, and numba, against float64 in every regime the promise covers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import circuits
from circuits import native
from circuits.bit_line import kernels as bit_line_kernels
from circuits.bit_line.kernels import ladder_compiled, ladder_numba

RESISTANCES = [1e-9, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1.0]
SINGLE, DOUBLE = 1e-5, 1e-12


def exact(conductance, active, r_p_hat):
    """The recurrence in 80-bit floats where the machine has them, rescaled at every cell."""
    real = np.longdouble
    result = np.zeros((len(active), conductance.shape[1]))
    for b, on in enumerate(active):
        i = np.zeros(conductance.shape[1], dtype=real)
        wires = 0
        for row in range(len(on)):
            if on[row]:
                d = real(r_p_hat) * wires * i
                i = (i + conductance[row].astype(real) * (1 + d)) / (1 + d)
                wires = 0
            wires += 1
        result[b] = i / (1 + real(r_p_hat) * wires * i)
    return result


def columns_of_every_kind(rows, rng):
    """Columns that round badly: equal cells (sums that round one way), one cell and dust, sparse, dense."""
    dust = np.full(rows, 1e-6) * rng.random(rows)
    dust[0] = 0.3
    lone = np.zeros(rows)
    lone[0] = 0.29
    kinds = [np.full(rows, g) for g in (1e-3, 0.1, 0.3, 1.0)]
    kinds += [dust, lone, rng.random(rows), rng.random(rows) ** 20, rng.exponential(0.02, rows), np.zeros(rows)]
    return np.stack(kinds, axis=1)


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("most", [0, 1, 2, 3])
@pytest.mark.parametrize("r_p_hat", RESISTANCES)
@pytest.mark.parametrize("rows", [1, 47, 49, 1152])
def test_compiled_kernel_keeps_the_promised_accuracy(rows, r_p_hat, most):
    rng = np.random.default_rng(rows)
    single = columns_of_every_kind(rows, rng).astype(np.float32)
    active = np.stack([np.ones(rows, dtype=bool), rng.random(rows) < 0.5, rng.random(rows) < 0.02])
    expected = exact(single.astype(np.float64), active, r_p_hat)
    for dtype, tolerance in ((np.float32, SINGLE), (np.float64, DOUBLE)):
        got = ladder_compiled(single.astype(dtype), active, r_p_hat, most)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=0)


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("most", [0, 1, 2, 3])
@pytest.mark.parametrize("r_p_hat", [1e-9, 3e-8, 1e-7, 2e-7, 5e-7, 1e-6, 3e-6, 1e-5, 1e-4, 1e-3])
def test_columns_whose_increments_all_round_one_way(r_p_hat, most):
    """Equal cells, lone cells above nothing, alternating and periodic ones, of many sizes: float32 at its worst."""
    rows, kinds = 1152, []
    for g in np.geomspace(1e-3, 1, 40):
        lone, alternate, by_block, above_dust = np.zeros((4, rows))
        lone[0] = alternate[::2] = by_block[::96] = g
        above_dust[:] = g / 100
        above_dust[0] = g
        kinds += [lone, alternate, by_block, above_dust, np.full(rows, g)]
    single = np.stack(kinds, axis=1).astype(np.float32)
    place = np.arange(rows)
    active = np.stack([place >= 0, place % 2 == 0, place % 3 == 0])
    np.testing.assert_allclose(
        ladder_compiled(single, active, r_p_hat, most), exact(single.astype(np.float64), active, r_p_hat), rtol=SINGLE
    )


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("most", [0, 1, 2, 3])
@pytest.mark.parametrize("columns", [1, 16, 31, 48, 64, 100])
def test_patterns_do_not_depend_on_their_neighbours(columns, most):
    """Patterns share registers: whoever the neighbours are, the currents are the same to the last bit."""
    rng = np.random.default_rng(columns)
    conductance = rng.random((300, columns)).astype(np.float32)
    active = rng.random((25, 300)) < rng.random((25, 1))
    together = ladder_compiled(conductance, active, 1e-4, most)
    for pattern in (0, 11, 24):
        alone = ladder_compiled(conductance, active[pattern : pattern + 1], 1e-4, most)
        np.testing.assert_array_equal(together[pattern], alone[0])


@settings(deadline=None, max_examples=25)
@given(
    rows=st.integers(1, 400),
    columns=st.integers(0, 70),
    bits=st.integers(1, 8),
    r_p_hat=st.sampled_from([0.0, 1e-6, 1e-3]),
    single=st.booleans(),
    seed=st.integers(0, 99),
)
def test_bit_serial_inputs_are_their_bits_one_by_one(rows, columns, bits, r_p_hat, single, seed):
    rng = np.random.default_rng(seed)
    conductance = rng.random((rows, columns)).astype(np.float32 if single else np.float64)
    digits = rng.integers(0, 2**bits, (rng.integers(0, 40), rows)).astype(np.uint8)
    weights = rng.normal(size=bits)
    phases = [circuits.solve_bit_lines(conductance, (digits >> bit) & 1 == 1, r_p_hat) for bit in range(bits)]
    apart = circuits.solve_bit_serial(conductance, digits, r_p_hat, bits)
    np.testing.assert_array_equal(apart, np.stack(phases))
    tolerance = 1e-5 if single else 1e-13
    np.testing.assert_allclose(
        circuits.solve_bit_serial(conductance, digits, r_p_hat, bits, weights),
        np.tensordot(weights, apart.astype(np.float64), 1),
        rtol=tolerance,
        atol=tolerance * rows,
    )


def test_bit_serial_affine_cells_are_solved_bit_by_bit():
    rng = np.random.default_rng(1)
    cells = circuits.PreparedCells(rng.beta(1, 20, (90, 5)))
    digits = rng.integers(0, 8, (7, 90)).astype(np.uint8)
    expected = sum(
        2**bit * circuits.solve_bit_lines(cells, (digits >> bit) & 1 == 1, 1e-4, "affine") for bit in range(3)
    )
    got = circuits.solve_bit_serial(cells, digits, 1e-4, 3, [1, 2, 4], "affine")
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"digits": np.ones((2, 4))}, "bytes of shape .batch, rows. and 1 to 8 `bits`, but got float64"),
        ({"bits": 9}, "1 to 8 `bits`, but got uint8 values of shape .2, 4. and 9 bits"),
        ({"digits": np.full((2, 4), 9, np.uint8), "bits": 3}, "digits` of 3 bits, below 8, but got 9"),
        ({"bits": 2, "weights": [1.0]}, "Expected 2 finite `weights`, one a bit"),
        ({"digits": np.ones((2, 3), np.uint8)}, "4 rows as in `conductance`"),
    ],
)
def test_bit_serial_inputs_that_do_not_fit(arguments, message):
    given = {"digits": np.ones((2, 4), np.uint8), "bits": 1, **arguments}
    with pytest.raises(circuits.CircuitError, match=message):
        circuits.solve_bit_serial(np.ones((4, 2)), given.pop("digits"), 1e-5, **given)


@pytest.mark.parametrize("r_p_hat", [1e-7, 1e-2])
def test_long_lines_whose_growth_overflows(r_p_hat):
    """20000 full cells, all on: u would reach 1e868 at R_p_hat = 1e-2. Longer than float32 sums allow, too."""
    single = np.ones((20_000, 3), dtype=np.float32)
    active = np.ones((2, 20_000), dtype=bool)
    expected = exact(single.astype(np.float64), active, r_p_hat)
    np.testing.assert_allclose(circuits.solve_bit_lines(single, active, r_p_hat), expected, rtol=SINGLE)
    np.testing.assert_allclose(
        circuits.solve_bit_lines(single.astype(np.float64), active, r_p_hat), expected, rtol=DOUBLE
    )


@pytest.mark.parametrize("r_p_hat", [*RESISTANCES, 1e4, 1e12])
def test_numba_does_the_same(r_p_hat):
    rng = np.random.default_rng(5)
    conductance = columns_of_every_kind(400, rng)
    active = rng.random((3, 400)) < 0.5
    np.testing.assert_allclose(
        ladder_numba(conductance, active, r_p_hat), exact(conductance, active, r_p_hat), rtol=DOUBLE
    )
    got = circuits.solve_bit_lines(conductance.astype(np.float32), active, r_p_hat)
    np.testing.assert_allclose(got, exact(conductance, active, r_p_hat), rtol=SINGLE)


@settings(deadline=None, max_examples=80)
@given(
    rows=st.integers(1, 300),
    columns=st.integers(1, 300),
    batch=st.integers(0, 70),
    exponent=st.floats(-7, -2),
    density=st.floats(0, 1),
    power=st.floats(0.1, 20),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape_with_and_without_the_compiler(rows, columns, batch, exponent, density, power, seed):
    rng = np.random.default_rng(seed)
    conductance = (rng.random((rows, columns)) ** power).astype(np.float32)
    active = rng.random((batch, rows)) < density
    got = circuits.solve_bit_lines(conductance, active, 10**exponent)
    assert got.shape == (batch, columns)
    np.testing.assert_allclose(got, ladder_numba(conductance, active, 10**exponent), rtol=SINGLE)


def test_without_a_compiler_numba_takes_over(monkeypatch):
    monkeypatch.setattr(native, "load_library", lambda *_: None)
    assert bit_line_kernels.compiled_instruction_set() is None
    conductance, active = np.ones((3, 2), dtype=np.float32), np.ones((1, 3), dtype=bool)
    np.testing.assert_allclose(circuits.solve_bit_lines(conductance, active, 1e-9), 3.0, rtol=1e-6)


@pytest.mark.usefixtures("compiler")
def test_instruction_sets():
    assert bit_line_kernels.compiled_instruction_set(0) == "baseline"
    assert bit_line_kernels.compiled_instruction_set() in ("AVX-512", "AVX2", "baseline")


def test_empty_batches_and_columns():
    assert circuits.solve_bit_lines(np.ones((3, 2)), np.ones((0, 3)), 1e-3).shape == (0, 2)
    assert circuits.solve_bit_lines(np.ones((3, 0)), np.ones((4, 3)), 1e-3).shape == (4, 0)
