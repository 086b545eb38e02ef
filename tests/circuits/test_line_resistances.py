"""Resistance of the virtual ground and of what feeds the cells, against Kirchhoff's laws, closed forms and ngspice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import circuits
from circuits import CircuitError, native
from circuits.bit_line.checked import norton
from circuits.bit_line.kernels import ladder_compiled, ladder_numba
from circuits.bit_line.resistances import LineResistances
from tests.reference.array_reference import solve_array

needs_ngspice = pytest.mark.usefixtures("ngspice")
FEEDS = ("readout", "far", "rows")
ON = np.ones((1, 1), dtype=bool)


def array(rows, columns, seed=0, batch=3):
    rng = np.random.default_rng(seed)
    conductance = rng.random((rows, columns)) ** 3
    conductance[::5] = 0
    active = rng.random((batch, rows)) < 0.6
    active[0] = True
    return conductance, active


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("g", [1e-3, 0.3, 1.0])
def test_one_cell_is_a_series_of_resistors(g, feed):
    got = circuits.solve_bit_lines([[g]], ON, 0.02, r_in_hat=0.5, r_s_hat=0.03, feed=feed)
    assert got[0, 0] == pytest.approx(1 / (1 / g + 0.02 + 0.5 + 0.03), rel=1e-14)


def test_two_cells_in_closed_form():
    g1, g2, p, r, s = 0.7, 0.4, 0.2, 0.5, 0.3
    both = np.ones((1, 2), dtype=bool)

    def solve(feed):
        return circuits.solve_bit_lines([[g1], [g2]], both, p, r_in_hat=r, r_s_hat=s, feed=feed)[0, 0]

    # Fed beside the readout: cell 1 with two wires, beside cell 2, behind two more wires and the virtual ground.
    beside = 1 / (1 / g1 + p + s) + g2
    assert solve("readout") == pytest.approx(1 / (1 / beside + p + s + r), rel=1e-14)
    # From the far end: either way from the feed to the readout passes one cell and one of the two wires between them.
    # Wheatstone's bridge without its detector is two branches side by side.
    branches = 1 / (1 / g1 + p) + 1 / (1 / g2 + s)
    assert solve("far") == pytest.approx(1 / (1 / branches + p + r + s), rel=1e-14)
    # Along the rows the two cells have lines of their own.
    first, second = 1 / (1 / g1 + s + p), 1 / (1 / g2 + s)
    assert solve("rows") == pytest.approx(1 / (1 / (first + second) + p + r), rel=1e-14)


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("cell", ["resistor", "affine", "relinearised", "transistor"])
def test_without_the_new_resistances_nothing_changes(cell, feed):
    conductance, active = array(40, 5)
    for kind in (np.float32, np.float64):
        own = (0.2 * conductance).astype(kind)
        for r_p_hat in (0.0, 1e-4):
            before = circuits.solve_bit_lines(own, active, r_p_hat, cell)
            after = circuits.solve_bit_lines(own, active, r_p_hat, cell, r_in_hat=0.0, r_s_hat=0.0, feed=feed)
            np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("cell", ["resistor", "affine", "relinearised", "transistor"])
def test_limits_of_the_virtual_ground(cell):
    """A small resistance takes its share of the current squared; a large one lets V_D over itself through."""
    conductance, active = array(40, 5)
    conductance *= 0.2
    for r_p_hat in (0.0, 1e-4):
        ideal = circuits.solve_bit_lines(conductance, active, r_p_hat, cell)
        little = circuits.solve_bit_lines(conductance, active, r_p_hat, cell, r_in_hat=1e-9)
        np.testing.assert_allclose(little, ideal, rtol=1e-7)
        assert ((little < ideal) | (ideal == 0)).all()
        if cell in ("resistor", "transistor"):
            open_line = circuits.solve_bit_lines(conductance, active, r_p_hat, cell, r_in_hat=1e12)
            np.testing.assert_allclose(open_line * 1e12, np.ones_like(open_line), rtol=1e-4)


def test_only_the_virtual_ground():
    """Without wires all cells of a line meet in one node."""
    conductance, active = array(60, 7)
    for kind, tolerance in ((np.float32, 1e-5), (np.float64, 1e-14)):
        ideal = active.astype(float) @ conductance
        got = circuits.solve_bit_lines(conductance.astype(kind), active, 0.0, r_in_hat=0.3)
        assert got.dtype == kind
        np.testing.assert_allclose(got, ideal / (1 + 0.3 * ideal), rtol=tolerance)


@pytest.mark.parametrize("cell", ["resistor", "affine", "transistor"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_virtual_ground_is_rows_that_are_never_on(kind, cell):
    """Unselected rows at the end of a line are wires: 20 of them are a virtual ground of 20 R_p."""
    conductance, active = array(50, 6)
    own = (0.1 * conductance).astype(kind)
    longer = np.vstack([own, np.full((20, 6), 0.3, dtype=kind)])
    off = np.hstack([active, np.zeros((len(active), 20), dtype=bool)])
    np.testing.assert_allclose(
        circuits.solve_bit_lines(own, active, 1e-3, cell, r_in_hat=20e-3),
        circuits.solve_bit_lines(longer, off, 1e-3, cell),
        rtol=3e-6 if kind == np.float32 else 1e-12,
    )


@settings(deadline=None, max_examples=80)
@given(
    rows=st.integers(1, 12),
    columns=st.integers(1, 5),
    resistances=st.tuples(*[st.sampled_from([0.0, 1e-4, 1e-2, 0.3, 3.0])] * 3),
    feed=st.sampled_from(FEEDS),
    seed=st.integers(0, 2**32 - 1),
)
def test_agrees_with_kirchhoffs_laws_of_the_whole_array(rows, columns, resistances, feed, seed):
    rng = np.random.default_rng(seed)
    conductance = rng.random((rows, columns)) ** 3 * (rng.random((rows, columns)) < 0.8)
    active = rng.random((2, rows)) < 0.7
    expected = np.array([solve_array(conductance, on, *resistances, feed) for on in active])
    keywords = LineResistances(*resistances, feed).to_dict()
    got = circuits.solve_bit_lines(conductance, active, **keywords)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-13)
    single = circuits.solve_bit_lines(conductance.astype(np.float32), active, **keywords)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=2e-5, atol=1e-9)
    digits = (active * 3).astype(np.uint8)
    np.testing.assert_allclose(
        circuits.solve_bit_serial(conductance, digits, bits=2, weights=[1.0, 2.0], **keywords), 3 * got, rtol=1e-12
    )


@pytest.mark.usefixtures("compiler")
@settings(deadline=None, max_examples=40)
@given(
    rows=st.integers(1, 500),
    columns=st.integers(1, 70),
    r_p_hat=st.sampled_from([0.0, 1e-7, 1e-4, 1e-2]),
    r_in_hat=st.sampled_from([1e-6, 1e-3, 1e-1, 10.0, 1e6]),
    density=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_kernels_of_every_instruction_set_on_random_shapes(rows, columns, r_p_hat, r_in_hat, density, seed):
    rng = np.random.default_rng(seed)
    single = (rng.random((rows, columns)) ** 4).astype(np.float32)
    active = rng.random((int(rng.integers(1, 30)), rows)) < density
    expected = in_long_doubles(single, active, r_p_hat, r_in_hat)
    np.testing.assert_allclose(ladder_numba(single.astype(float), active, r_p_hat, r_in_hat), expected, rtol=1e-12)
    cells = circuits.PreparedCells(0.2 * single)
    weak = 0.2 * single.astype(np.float64)
    affine = circuits.solve_bit_lines(weak, active, r_p_hat, "affine", r_in_hat=r_in_hat)
    for most in (0, 1, 2):
        for kind, tolerance in ((np.float32, 1e-5), (np.float64, 1e-12)):
            got = ladder_compiled(single.astype(kind), active, r_p_hat, most, r_in_hat=r_in_hat)
            np.testing.assert_allclose(got, expected, rtol=tolerance)
        solved = cells.solve(active, r_p_hat, again=False, most=most, r_in_hat=r_in_hat)
        if solved is not None:
            np.testing.assert_allclose(solved, affine, rtol=1e-5, atol=1e-9)


def in_long_doubles(conductance, active, r_p_hat, r_in_hat):
    """The ladder in the longest floats of the machine, scaled anew at every cell."""
    real = np.longdouble
    result = np.zeros((len(active), conductance.shape[1]))
    for b, on in enumerate(active):
        i, wires = np.zeros(conductance.shape[1], dtype=real), 0
        for row in range(len(on)):
            if on[row]:
                i = i / (1 + real(r_p_hat) * wires * i) + conductance[row].astype(real)
                wires = 0
            wires += 1
        result[b] = i / (1 + (real(r_p_hat) * wires + real(r_in_hat)) * i)
    return result


@pytest.mark.parametrize("rows", [36, 288])
@pytest.mark.parametrize("r_in_hat", [8e-3, 5e-2])
def test_relinearised_cells_behind_a_virtual_ground_are_near_the_transistor(rows, r_in_hat):
    rng = np.random.default_rng(rows)
    single = rng.beta(1, 60, (rows, 9)).astype(np.float32)
    active = rng.random((8, rows)) < 0.5
    for r_p_hat in (0.0, 1e-5):
        exact = circuits.solve_bit_lines(single.astype(float), active, r_p_hat, "transistor", r_in_hat=r_in_hat)
        off = {
            cell: np.abs(circuits.solve_bit_lines(single, active, r_p_hat, cell, r_in_hat=r_in_hat) / exact - 1).max()
            for cell in ("resistor", "affine", "relinearised")
        }
        assert off["relinearised"] < 3e-3 * off["resistor"] + 1e-5
        assert off["affine"] < 0.5 * off["resistor"]


def test_a_line_is_linear_in_what_drives_its_cells():
    """Superposition: currents of affine cells add up over the cells that are driven."""
    rng = np.random.default_rng(3)
    source, slope = rng.random((30, 4)), rng.random((30, 4))
    wires = rng.random(30) * 0.01
    wires[-1] += 0.4

    def current(part):
        result = np.empty(4)
        norton(np.ascontiguousarray(part), slope, wires, np.empty((30, 4)), result)
        return result

    first = np.where(np.arange(30)[:, None] % 3 == 0, source, 0.0)
    np.testing.assert_allclose(current(first) + current(source - first), current(source), rtol=1e-13)
    np.testing.assert_allclose(current(2.5 * source), 2.5 * current(source), rtol=1e-13)


def test_opposite_ends_are_interchangeable():
    """Upside down, with both lines exchanged, a line fed from the far end is itself."""
    conductance, active = array(70, 4)
    got = circuits.solve_bit_lines(conductance, active, 2e-3, r_in_hat=0.1, r_s_hat=5e-3, feed="far")
    turned = circuits.solve_bit_lines(
        conductance[::-1].copy(), active[:, ::-1].copy(), 5e-3, r_in_hat=0.1, r_s_hat=2e-3, feed="far"
    )
    np.testing.assert_allclose(got, turned, rtol=1e-12)


def test_closed_form_of_the_far_end_is_what_both_lines_give_in_turn():
    class Same:
        """A resistor as a law of its own: solved in turns, not in closed form."""

        def prepare(self, conductance):
            return conductance

        def evaluate_ends(self, state, drop, sag):
            return state * (1 - drop - sag), state, state

    conductance, active = array(200, 3)
    lines = {"r_in_hat": 0.02, "r_s_hat": 1e-5, "feed": "far"}
    got = circuits.solve_bit_lines(conductance, active, 3e-5, **lines)
    in_turns = circuits.solve_bit_lines(conductance, active, 3e-5, "affine", model=Same(), **lines)
    np.testing.assert_allclose(got, in_turns, rtol=1e-12)


@pytest.mark.parametrize("orientation", ["source", "drain"])
def test_slopes_by_both_ends_are_derivatives(orientation):
    cell = circuits.load_transistor_cell(orientation=orientation)
    state = cell.prepare(np.array([1e-6, 1e-3, 0.1, 1.0]))
    v, e, step = 0.2, 0.1, 1e-5
    current, by_drop, by_sag = cell.evaluate_ends(state, v, e)
    for slope, ends in ((by_drop, ((v + step, e), (v - step, e))), (by_sag, ((v, e + step), (v, e - step)))):
        more, less = (cell.evaluate_ends(state, *end)[0] for end in ends)
        np.testing.assert_allclose(slope, (less - more) / (2 * step), rtol=1e-6)
    # In weak inversion the end at the source counts most.
    at_source, at_drain = (by_drop, by_sag) if orientation == "source" else (by_sag, by_drop)
    assert (at_source > 5 * at_drain).all()
    assert (current > 0).all()


@needs_ngspice
@pytest.mark.parametrize(("rows", "columns"), [(64, 3), (1152, 1)])
@pytest.mark.parametrize("feed", FEEDS)
def test_resistors_in_ngspice(rows, columns, feed):
    conductance, active = array(rows, columns)
    for lines in (
        {"r_p_hat": 1e-5, "r_in_hat": 8e-3},
        {"r_p_hat": 0.0, "r_in_hat": 0.5},
        {"r_p_hat": 1e-5, "r_in_hat": 8e-3, "r_s_hat": 2e-5, "feed": feed},
        {"r_p_hat": 0.0, "r_s_hat": 1e-3, "feed": feed},
    ):
        np.testing.assert_allclose(
            circuits.simulate_bit_line(conductance, active, **lines),
            circuits.solve_bit_lines(conductance, active, **lines),
            rtol=1e-9,
            atol=1e-12,
        )


@needs_ngspice
@pytest.mark.parametrize("orientation", ["source", "drain"])
@pytest.mark.parametrize("feed", FEEDS)
def test_transistors_in_ngspice(orientation, feed):
    """Supply lines of cells with their source on the bit line, source lines of cells with their drain on it."""
    conductance, active = array(48, 2)
    cell = circuits.load_transistor_cell(orientation=orientation)
    lines = {"r_p_hat": 1e-4, "r_in_hat": 8e-3, "r_s_hat": 3e-4, "feed": feed}
    np.testing.assert_allclose(
        circuits.solve_bit_lines(0.2 * conductance, active, cell="transistor", model=cell, **lines),
        circuits.simulate_bit_line(0.2 * conductance, active, cell=cell, **lines),
        rtol=1e-9,
    )


def test_source_lines_cost_more_than_supply_lines():
    """The source of a cell in weak inversion takes a rise by V_D / U_T, its drain hardly at all."""
    conductance, active = array(100, 3)
    loss = {}
    for orientation in ("source", "drain"):
        model = circuits.load_transistor_cell(orientation=orientation)
        ideal = circuits.solve_bit_lines(0.1 * conductance, active, 0.0, "transistor", model=model)
        fed = circuits.solve_bit_lines(0.1 * conductance, active, 0.0, "transistor", model=model, r_s_hat=1e-4)
        loss[orientation] = (1 - fed / ideal).mean()
    resistor = circuits.solve_bit_lines(0.1 * conductance, active, 0.0, r_s_hat=1e-4)
    loss["resistor"] = (1 - resistor / ideal).mean()
    assert loss["source"] < 0.3 * loss["resistor"] < 0.3 * loss["drain"]
    assert loss["drain"] == pytest.approx(3.7 * loss["resistor"], rel=0.15), "V_D / U_T at 27 degC is 3.87"


def test_without_a_compiler(monkeypatch):
    conductance, active = array(72, 3)
    lines = {"r_p_hat": 1e-4, "r_in_hat": 0.05}
    expected = circuits.solve_bit_lines(conductance, active, **lines)
    monkeypatch.setattr(native, "load_library", lambda *_: None)
    np.testing.assert_allclose(circuits.solve_bit_lines(conductance, active, **lines), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ({"r_in_hat": -1.0}, "`r_in_hat` to be finite and at least 0, but got -1.0"),
        ({"r_s_hat": "much"}, "`r_s_hat` to be a number of at least 0, but got 'much'"),
        ({"r_in_hat": 1e20}, "`r_in_hat`, times the largest conductance .* at most 1e\\+15"),
        ({"feed": "row"}, r"Unknown `feed` 'row'\. Did you mean 'rows'"),
    ],
)
def test_messages(lines, message):
    with pytest.raises(CircuitError, match=message):
        circuits.solve_bit_lines([[0.5]], ON, 0.0, **lines)


def test_a_model_card_knows_the_bit_line_only():
    class Card:
        def prepare(self, conductance):
            return conductance

        def evaluate(self, state, drop):
            return state * (1 - drop), state

    with pytest.raises(CircuitError, match="known by the voltages of both ends"):
        circuits.solve_bit_lines([[0.5]], ON, 0.0, "transistor", model=Card(), r_s_hat=1e-3)


@pytest.mark.parametrize("name", list("ABCD"))
def test_a_sized_periphery_has_the_virtual_ground_of_the_ladder(name):
    """How its gain moves with the common current in ngspice is what its input resistance does to a pair of lines."""
    grid = circuits.load_peripherals("sized", circuits.load_design(name))
    cell = circuits.load_transistor_cell()
    nominal, r_in_hat = grid.nominal, grid.input_resistance_ohm * cell.full_current / cell.drive_voltage

    def gain(change):
        """Of a small difference between two lines whose mean current is that of the circuit, a little more or less."""
        common = nominal.common_current * (1 + change) / cell.full_current
        rows, step = 400, 1e-3
        lines = np.tile(np.array([[common * (1 + step), common * (1 - step)]]) / rows, (rows, 1))
        plus, minus = circuits.solve_bit_lines(lines, np.ones((1, rows), dtype=bool), 0.0, "affine", r_in_hat=r_in_hat)[
            0
        ]
        return (plus - minus) / (2 * step * common)

    ladder = (gain(0.05) - gain(-0.05)) / 0.1 / gain(0.0)
    assert ladder < -0.02
    assert nominal.common_gain == pytest.approx(ladder, rel=0.1)
