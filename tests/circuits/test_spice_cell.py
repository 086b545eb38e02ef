"""A model card of the user's own (here ngspice's built-in BSIM4 in subthreshold) in place of the SONOS transistor."""

import numpy as np
import pytest

import circuits
from circuits import SpiceCell, SpiceError
from devicekit import data_path

pytestmark = pytest.mark.usefixtures("ngspice")


def bsim4(orientation="source", **changes):
    fields = {"library": data_path("circuits/example_nmos.lib"), "model": "example_nmos", "instance": "w=1u l=200n"}
    return SpiceCell(**fields | {"base": circuits.load_transistor_cell(orientation=orientation)} | changes)


@pytest.fixture(scope="module", params=["source", "drain"])
def cell(request):
    return bsim4(request.param)


def test_states_give_their_targets_and_the_gate_rises_with_them(cell):
    target = np.array([0.0, 1e-9, 1e-7, 1e-3, 0.02, 0.5, 1.0])
    gate = cell.prepare(target)
    assert np.isneginf(gate[0])
    assert (np.diff(gate) > 0).all()
    current, slope = cell.evaluate(gate, 0.0)
    np.testing.assert_allclose(current, target, rtol=1e-9)
    assert (slope[1:] > 0).all()
    if cell.base.orientation == "source":
        assert slope[3] / target[3] == pytest.approx(4.0, abs=0.3), "weak inversion: near V_D / U_T"


def test_slope_is_the_derivative(cell):
    gate = cell.prepare(np.array([1e-8, 0.02, 0.7]))[:, None]
    v, h = np.linspace(0.01, 0.9, 5), 1e-4
    difference = (cell.evaluate(gate, v - h)[0] - cell.evaluate(gate, v + h)[0]) / (2 * h)
    np.testing.assert_allclose(cell.evaluate(gate, v)[1], difference, rtol=1e-4)


@pytest.mark.parametrize(("rows", "r_p_hat", "scale"), [(64, 1e-3, 0.5), (1152, 1e-5, 0.04)])
def test_newton_on_the_spline_agrees_with_ngspice(cell, rows, r_p_hat, scale):
    rng = np.random.default_rng(rows)
    conductance, active = scale * rng.random((rows, 1)), rng.random((1, rows)) < 0.5
    simulated = circuits.simulate_bit_line(conductance, active, r_p_hat, cell)
    solved = circuits.solve_bit_lines(conductance, active, r_p_hat, "transistor", model=cell)
    np.testing.assert_allclose(solved, simulated, rtol=1e-6)
    if rows == 1152 and cell.base.orientation == "source":
        error = {
            kind: abs(circuits.solve_bit_lines(conductance, active, r_p_hat, kind, model=cell)[0, 0] / simulated - 1)
            for kind in ("resistor", "affine", "relinearised")
        }
        assert 0.08 < error["resistor"] < 0.13
        assert error["affine"] < error["resistor"] / 8
        assert error["relinearised"] < 1e-4


def test_subcircuit_in_a_section_is_the_same_as_the_card(tmp_path):
    path = tmp_path / "mine.lib"
    card = data_path("circuits/example_nmos.lib").read_text()
    path.write_text(
        f".lib typical\n{card}.subckt memory d g s b\nm1 d g s b example_nmos w=1u l=200n\n.ends\n.endl typical\n"
    )
    wrapped = SpiceCell(library=path, model="memory", kind="subcircuit", section="typical")
    rng = np.random.default_rng(1)
    conductance, active = rng.random((8, 1)), np.ones((1, 8), dtype=bool)
    np.testing.assert_allclose(
        circuits.simulate_bit_line(conductance, active, 1e-3, wrapped),
        circuits.simulate_bit_line(conductance, active, 1e-3, bsim4()),
        rtol=1e-7,
    )


def test_errors_name_the_card_and_carry_the_words_of_ngspice(tmp_path):
    conductance, active = np.full((2, 1), 0.5), np.ones((1, 2), dtype=bool)
    with pytest.raises(circuits.CircuitError, match=r"`library` to be a model file, but .*nowhere\.lib is none"):
        bsim4(library=tmp_path / "nowhere.lib")
    with pytest.raises(circuits.CircuitError, match=r"Unknown model card or subcircuit 'example_pmos'\. Did you mean"):
        circuits.simulate_bit_line(conductance, active, 1e-3, bsim4(model="example_pmos"))
    (tmp_path / "level.lib").write_text(".model odd nmos level=77\n")
    with pytest.raises(
        SpiceError, match=r"level\.lib: ngspice does not have the level of this model\. Only MOS device"
    ):
        circuits.simulate_bit_line(conductance, active, 1e-3, bsim4(library=tmp_path / "level.lib", model="odd"))
    with pytest.raises(circuits.CircuitError, match="`model` to be the name of a card"):
        bsim4(model="a b")
    with pytest.raises(circuits.CircuitError, match="`instance` to be parameters of one transistor"):
        bsim4(instance="w=1u\n.control\nshell true\n.endc")
    with pytest.raises(circuits.CircuitError, match="`gate_range` to rise"):
        bsim4(gate_range=(1.0, 0.0))
    with pytest.raises(circuits.CircuitError, match="expected it to pass from nearly off to above one"):
        bsim4(gate_range=(-0.5, 0.1)).prepare(np.array([0.1]))
    narrow = bsim4()
    with pytest.raises(circuits.CircuitError, match="more than the model's cell carries"):
        narrow.prepare(np.array([5.0]))
    np.testing.assert_allclose(circuits.simulate_bit_line(conductance, active, 0.0), 1.0)
