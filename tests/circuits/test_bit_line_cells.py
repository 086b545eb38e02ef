"""Transistor cells on resistive bit lines: calibration, Newton against ngspice, and how close the affine cell comes."""

import dataclasses

import numpy as np
import pytest

import circuits
from devicekit import data_path

needs_ngspice = pytest.mark.usefixtures("ngspice")
ORIENTATIONS = ["source", "drain"]
WEAK = dataclasses.replace(circuits.load_transistor_cell(), sonos_specific_current=1e4, select_specific_current=1e4)
"""Deep in weak inversion, behind a select transistor without resistance: currents and slopes in closed form."""


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_state_gives_its_target_at_the_drive_voltage(orientation):
    cell = circuits.load_transistor_cell(orientation=orientation)
    target = np.concatenate([[0.0, 1e-12, 1e-7], np.linspace(1e-3, 1, 40)])
    current, _ = cell.evaluate(cell.pinch_off(target), 0.0)
    np.testing.assert_allclose(current, target, rtol=1e-13)
    thresholds = cell.threshold_voltage(target)
    assert np.isposinf(thresholds[0])
    assert (np.diff(thresholds) < 0).all(), "more current needs a lower threshold"


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_slope_is_the_derivative(orientation):
    cell = circuits.load_transistor_cell(orientation=orientation)
    p = cell.pinch_off(np.array([1e-6, 0.02, 0.5, 1.0]))[:, None]
    v, h = np.linspace(0.0, 0.99, 7), 1e-5
    difference = (cell.evaluate(p, v - h)[0] - cell.evaluate(p, v + h)[0]) / (2 * h)
    np.testing.assert_allclose(cell.evaluate(p, v)[1], difference, rtol=1e-6)


def test_current_vanishes_with_the_voltage_across_the_cell():
    cell = circuits.load_transistor_cell()
    assert cell.evaluate(cell.pinch_off(1.0), 1.0)[0] == pytest.approx(0.0, abs=1e-14)


def test_weak_inversion_slope_has_its_closed_form():
    """I = I_f (exp(-v/U) - exp(-V_D/U)): the slope is V_D/U / (1 - exp(-V_D/U)) of the current, near 3.9."""
    x = WEAK.drive_voltage / WEAK.thermal_voltage
    g = np.array([1e-5, 0.02, 0.3, 1.0])
    _, slope = WEAK.evaluate(WEAK.pinch_off(g), 0.0)
    np.testing.assert_allclose(slope / g, x / -np.expm1(-x), rtol=1e-4)
    assert x / -np.expm1(-x) == pytest.approx(3.95, abs=0.01)
    v = 0.3
    np.testing.assert_allclose(
        WEAK.evaluate(WEAK.pinch_off(g), v)[0] / g, (np.exp(-v * x) - np.exp(-x)) / -np.expm1(-x), rtol=1e-4
    )


def test_subthreshold_shift_of_the_threshold_moves_the_current_exponentially():
    cell = WEAK
    shift = 0.01
    p = cell.pinch_off(0.02) - shift / (cell.sonos_gate_slope * cell.thermal_voltage)
    expected = np.exp(-shift / (cell.sonos_gate_slope * cell.thermal_voltage))
    assert cell.evaluate(p, 0.0)[0] / 0.02 == pytest.approx(expected, rel=1e-5)


@needs_ngspice
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize(("rows", "r_p_hat", "scale"), [(64, 1e-3, 1.0), (1152, 1e-5, 0.04), (1152, 1e-3, 1.0)])
def test_newton_agrees_with_ngspice(orientation, rows, r_p_hat, scale):
    rng = np.random.default_rng(rows)
    conductance, active = scale * rng.random((rows, 1)), np.stack([rng.random(rows) < 0.5, np.ones(rows, dtype=bool)])
    cell = circuits.load_transistor_cell(orientation=orientation)
    simulated = circuits.simulate_bit_line(conductance, active, r_p_hat, "transistor", orientation)
    solved = circuits.solve_bit_lines(conductance, active, r_p_hat, "transistor", model=cell)
    np.testing.assert_allclose(solved, simulated, rtol=1e-9)


def test_affine_and_relinearised_cells_repair_the_resistor():
    """Where the resistor is wrong by a tenth: affine at least 8 times closer, one step below 1e-4, two below 1e-9."""
    rng = np.random.default_rng(0)
    conductance, active = 0.04 * rng.random((1152, 16)), rng.random((8, 1152)) < 0.5

    def error(cell, **options):
        solved = circuits.solve_bit_lines(conductance, active, 1e-5, cell, **options)
        return np.abs(solved / exact - 1).mean()

    exact = circuits.solve_bit_lines(conductance, active, 1e-5, "transistor")
    assert 0.09 < error("resistor") < 0.12
    assert error("affine") < error("resistor") / 8
    assert error("relinearised") < 1e-4
    assert error("relinearised", relinearisations=2) < 1e-9


@pytest.mark.parametrize("cell", ["affine", "relinearised", "transistor"])
def test_limits(cell):
    """No wires: the matrix product. No row on: no current. Nearly no wires: the first-order loss of the slope."""
    rng = np.random.default_rng(3)
    conductance, active = rng.random((40, 3)), rng.random((5, 40)) < 0.5
    active[0] = False
    ideal = active @ conductance
    np.testing.assert_allclose(circuits.solve_bit_lines(conductance, active, 0, cell), ideal, rtol=1e-14)
    tiny = circuits.solve_bit_lines(conductance, active, 1e-9, cell)
    assert (tiny[0] == 0).all()
    np.testing.assert_allclose(tiny, ideal, rtol=1e-5)
    assert circuits.solve_bit_lines(conductance.astype(np.float32), active, 1e-4, cell).dtype == np.float32


def test_affine_cells_with_the_slope_of_a_resistor_are_resistors():
    class Resistor:
        def prepare(self, conductance):
            return conductance

        def evaluate(self, state, drop):
            state, drop = np.broadcast_arrays(state, drop)
            return state * (1 - drop), np.array(state)

    rng = np.random.default_rng(4)
    conductance, active = rng.random((300, 4)), rng.random((3, 300)) < 0.5
    for r_p_hat in (1e-6, 1e-3, 1.0):
        expected = circuits.solve_bit_lines(conductance, active, r_p_hat)
        got = circuits.solve_bit_lines(conductance, active, r_p_hat, "affine", model=Resistor())
        np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"orientation": "gate"}, "Unknown `orientation` of a cell 'gate'"),
        ({"temperature": 0.0}, r"`temperature` of a transistor cell to be above 0, but got 0\.0"),
        ({"drive_voltage": "0.1 V"}, "`drive_voltage` of a transistor cell to be a number, but got '0.1 V'"),
    ],
)
def test_impossible_cells(changes, message):
    with pytest.raises(circuits.CircuitError, match=message):
        circuits.TransistorCell(**changes)


def test_messages_of_the_solver():
    g, on = np.ones((3, 1)), np.ones((1, 3))
    with pytest.raises(circuits.CircuitError, match=r"Unknown `cell` 'afine'\. Did you mean 'affine'"):
        circuits.solve_bit_lines(g, on, 1e-5, "afine")
    with pytest.raises(circuits.CircuitError, match="`relinearisations` to be at least 0, but got -1"):
        circuits.solve_bit_lines(g, on, 1e-5, "relinearised", relinearisations=-1)
    weak_select = dataclasses.replace(circuits.load_transistor_cell(), select_gate_voltage=0.3)
    with pytest.raises(circuits.CircuitError, match="more than its select transistor can carry"):
        circuits.solve_bit_lines(g, on, 1e-5, "transistor", model=weak_select)


def test_cell_files(tmp_path):
    text = data_path("circuits/sonos_cell.toml").read_text()
    path = tmp_path / "cell.toml"
    path.write_text(text)
    assert circuits.load_transistor_cell(path) == circuits.load_transistor_cell()
    assert circuits.load_transistor_cell() == circuits.TransistorCell(), "defaults and the bundled file agree"
    cases = [
        (text.replace("[temperature]", "[temprature]"), "Unknown parameter 'temprature'. Did you mean 'temperature'"),
        (text[: text.index("[select.gate_voltage]")], "missing parameters: select_gate_voltage"),
        (text.replace("value = 300.15", 'value = "warm"'), "parameter 'temperature': value: Input should be"),
        (text.replace("value = 300.15", "value = -1"), "cell.toml: Expected `temperature`"),
        ("[temperature", "not a TOML file"),
    ]
    for content, message in cases:
        path.write_text(content)
        with pytest.raises(circuits.CircuitError, match=message):
            circuits.load_transistor_cell(path)
    with pytest.raises(circuits.CircuitError, match="Unknown transistor cell 'sonos'"):
        circuits.load_transistor_cell("sonos")
    with pytest.raises(circuits.CircuitError, match=r"nowhere\.toml: there is no such file"):
        circuits.load_transistor_cell(tmp_path / "nowhere.toml")
