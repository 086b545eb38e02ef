"""Real ngspice bit lines against the exact and the nonlinear solutions."""

import ctypes.util

import numpy as np
import pytest

import circuits
from circuits.spice import simulator as spice
from devicekit.common.errors import MissingDependencyError

needs_ngspice = pytest.mark.usefixtures("ngspice")


@needs_ngspice
def test_ngspice_confirms_the_exact_solution_of_64_cells():
    result = circuits.confirm_bit_line()
    assert not result.recorded
    assert result.cells == 64
    assert result.relative_difference < 1e-8


@needs_ngspice
@pytest.mark.parametrize("rows", [64, 1152])
@pytest.mark.parametrize("r_p_hat", [0.0, 1e-7, 1e-5, 1e-2])
def test_resistor_lines(rows, r_p_hat):
    rng = np.random.default_rng(rows)
    conductance = rng.random((rows, 1))
    conductance[::7] = 0
    active = np.stack([np.ones(rows, dtype=bool), rng.random(rows) < 0.5, np.zeros(rows, dtype=bool)])
    np.testing.assert_allclose(
        circuits.simulate_bit_line(conductance, active, r_p_hat),
        circuits.solve_bit_lines(conductance, active, r_p_hat),
        rtol=1e-9,
        atol=1e-12,
    )


def test_recorded_values_stand_in_and_say_so(monkeypatch):
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", "/nowhere/libngspice.so")
    result = circuits.confirm_bit_line()
    assert result.recorded
    assert result.relative_difference < 1e-8
    assert result.cells == 64
    with pytest.raises(MissingDependencyError, match="runs ngspice"):
        circuits.confirm_bit_line(cells=100)


def test_ngspice_is_looked_for_in_the_system(monkeypatch):
    monkeypatch.delenv("NGSPICE_LIBRARY_PATH", raising=False)
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    monkeypatch.setattr(spice, "_PLACES", ())
    assert "libngspice0" in spice.spice_missing()


@needs_ngspice
def test_unknown_cell_and_tiny_wires():
    with pytest.raises(circuits.CircuitError, match=r"Unknown `cell` 'resister'. Did you mean 'resistor'"):
        circuits.simulate_bit_line(np.ones((2, 1)), np.ones((1, 2)), 1e-3, cell="resister")
    with pytest.raises(circuits.CircuitError, match="wires of at least"):
        circuits.simulate_bit_line(np.ones((2, 1)), np.ones((1, 2)), 1e-9, cell="transistor")
