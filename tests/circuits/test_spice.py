"""Real ngspice runs: values of textbook circuits, ngspice's own words in errors, and recovery after each of them."""

import numpy as np
import pytest

from circuits import SpiceError
from circuits.spice import simulator as spice
from devicekit.common.errors import MissingDependencyError

DIVIDER = "divider\nv1 in 0 {}\nr1 in out 1k\nr2 out 0 3k\n.op\n.end"

pytestmark = pytest.mark.usefixtures("ngspice")


def test_divider():
    result = spice.run_netlist(DIVIDER.format(2))
    assert result["out"] == pytest.approx([1.5], rel=1e-12)
    assert result["V1#branch"] == pytest.approx([-0.5e-3], rel=1e-9)
    assert set(result) == {"in", "out", "v1#branch"}
    with pytest.raises(SpiceError, match=r"no vector 'nowhere'; it returned .*out"):
        result["nowhere"]


def test_version_is_a_number():
    assert float(spice.ngspice_version().split("+")[0]) > 30


def test_many_in_order():
    results = spice.run_netlists([DIVIDER.format(k) for k in range(6)], ["out"], workers=2)
    np.testing.assert_allclose([result["out"][0] for result in results], 0.75 * np.arange(6), rtol=1e-12)


def test_several_analyses_and_commands():
    netlist = """filter
v1 in 0 dc 1 ac 1
r1 in out 1k
c1 out 0 1p
.ac dec 4 1e6 1e12
.noise v(out) v1 dec 100 1 1e16
.options temp=26.85
.end"""
    result = spice.run_netlist(netlist)
    assert list(result.plots) == ["ac1", "noise1", "noise2"]
    frequency = result.plots["ac1"]["frequency"].real
    np.testing.assert_allclose(result["out"], 1 / (1 + 2j * np.pi * frequency * 1e-9), rtol=1e-9)
    boltzmann = 1.380649e-23
    assert result["onoise_total"][0] ** 2 == pytest.approx(boltzmann * 300 / 1e-12, rel=1e-3), "kT/C"
    swept = spice.run_netlist(DIVIDER.format(1), ["out"], commands=["run", "alter v1 = 4", "run"])
    assert [swept.plots[name]["out"][0] for name in ("op1", "op2")] == pytest.approx([0.75, 3.0])


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("m1 in in 0 0 nomodel\n.op", "can't find model 'nomodel'"),
        ("r1 in 0 {nothing}\n.op", "Undefined parameter"),
        (".include no_such_models.lib\nr1 in 0 1\n.op", "Could not find include file no_such_models.lib"),
        ("v2 in 0 2\n.op", "singular matrix:  check node v1#branch"),
        ("x1 in 0 nosub\n.op", "unknown subckt: x1 in 0 nosub"),
        ("this is no element\n.op", "transmission line z0 must be given"),
        ("r1 in 0 1k", "run simulation not started"),
        ("b1 a 0 v = v(a) > 0.5 ? 0 : 1\n.op", 'Timestep too small; trouble with node "a"'),
    ],
)
def test_failures_carry_the_words_of_ngspice_and_the_next_run_works(body, line):
    with pytest.raises(SpiceError, match=line):
        spice.run_netlist(f"bad\nv1 in 0 1\n{body}\n.end")
    assert spice.run_netlist(DIVIDER.format(4))["out"][0] == pytest.approx(3.0)


def test_a_hanging_run_is_ended():
    endless = "slow\nv1 in 0 sin(0 1 1e9)\nr1 in out 1\nc1 out 0 1n\n.tran 1p 1\n.end"
    with pytest.raises(SpiceError, match=r"did not finish within 0\.5 s"):
        spice.run_netlist(endless, ["out"], timeout=0.5)
    assert spice.run_netlist(DIVIDER.format(4))["out"][0] == pytest.approx(3.0)


def test_pyspice_circuit():
    circuit = spice.new_circuit("divider")
    circuit.V("1", "top", circuit.gnd, 1)
    circuit.R("1", "top", "out", 1e3)
    circuit.R("2", "out", circuit.gnd, 1e3)
    assert spice.run_netlist(f"{circuit}.op\n.end")["out"][0] == pytest.approx(0.5)


def test_absence_is_said(monkeypatch):
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", "/nowhere/libngspice.so")
    with pytest.raises(MissingDependencyError, match="libngspice0"):
        spice.run_netlist(DIVIDER.format(1))
