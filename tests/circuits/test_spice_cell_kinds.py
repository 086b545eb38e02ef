"""Cards as labs give them: erased and p-channel transistors, subcircuits, two-terminal cells, and what they lack."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import circuits
from circuits import CircuitError, SpiceCell, SpiceError
from circuits.spice.card_contents import card_contents, held_states, spice_number
from reports.command import build_app

BSIM4 = (
    "level=14 version=4.8.1 toxe=2.5e-9 u0=0.03 ndep=2.5e17 nfactor=1.4 voff=-0.1 k1=0.45 rdsw=100 dsub=0.3 eta0=0.02 "
    "vsat=1.0e5 lint=0 wint=0 diomod=1 jss=1e-9 jsd=1e-9"
)
CARDS = f"""* made for the test
.model erased_nmos nmos vth0=-1.5 {BSIM4}
.model enhancement nmos vth0=0.35 {BSIM4}
.model deep nmos vth0=-4 {BSIM4}
.model mirrored pmos vth0=-0.35 {BSIM4}
.model squarelaw nmos level=1 vto=0.5 kp=200u
.model diode d is=1e-14
.subckt wrapped d g s b w=1u
m1 d g s b enhancement w={{w}} l={{len}}
.ends
.subckt reordered gate drain bulk source
m1 drain gate source bulk enhancement w=1u l=200n
.ends
.subckt unnamed n1 n2 n3 n4
m1 n2 n1 n4 n3 enhancement w=1u l=200n
.ends
.subckt pwrapped d g s b
x1 d g s b inner
.ends
.subckt inner d g s b
m1 d g s b mirrored w=1u l=200n
.ends
.subckt lacking d g s b
m1 d g s b elsewhere w=1u l=200n
.ends
.subckt rram te be Rstate=100k
Rm te be {{Rstate}}
.ends
.subckt undeclared te be
Rm te be {{Rstate}}
.ends
.subckt filament te be gap=0.5 i0=1m g0=0.25 v0=0.25
Bm te be i=i0*exp(-gap/g0)*sinh(v(te,be)/v0)
.ends
.subckt vteam p n x0=0.5 ron=5k roff=2meg
Bm p n i=v(p,n)/(ron*x0+roff*(1-x0))
.ends
.subckt drift plus minus PARAMS: Ron=1K Roff=1000K Rinit=80K
Gx 0 x value={{I(Emem)*1e3}}
Cx x 0 1 IC={{(Roff-Rinit)/(Roff-Ron)}}
Raux x 0 1T
Emem plus aux value={{-I(Emem)*V(x)*(Roff-Ron)}}
Roff aux minus {{Roff}}
.ends
.subckt monitored p n x Rs=100k
Rm p n {{Rs}}
Ex x 0 p n 1
.ends
.subckt battery te be Rs=100k
Vb te a 0.05
Rm a be {{Rs}}
.ends
"""
SIZE = "w=1u l=200n"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("cards") / "cards.lib"
    path.write_text(CARDS)
    return path


@pytest.fixture(scope="module")
def make(library, ngspice):
    def made(model, orientation="source", **fields):
        return SpiceCell(
            library=library, model=model, base=circuits.load_transistor_cell(orientation=orientation), **fields
        )

    return made


def line_currents(cell):
    """Return the current by ngspice and by Newton's method on one line of 64 cells."""
    rng = np.random.default_rng(0)
    least = cell.least_target
    line, on = least + (1 - least) * 0.4 * rng.random((64, 1)), rng.random((1, 64)) < 0.5
    simulated = circuits.simulate_bit_line(line, on, 1e-3, cell)
    return simulated[0, 0], circuits.solve_bit_lines(line, on, 1e-3, "transistor", model=cell)[0, 0]


@pytest.mark.parametrize("orientation", ["source", "drain"])
@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("mirrored", {"instance": SIZE}),
        ("pwrapped", {}),
        ("wrapped", {"instance": "len=200n"}),
        ("rram", {}),
        ("undeclared", {"state_parameter": "Rstate", "instance": "Rstate=50k"}),
        ("filament", {"state_parameter": "gap"}),
        ("filament", {"state_parameter": "gap", "state_range": (0.0, 10.0)}),
        ("vteam", {"state_parameter": "x0"}),
        ("drift", {"state_parameter": "rinit"}),
        ("monitored", {"terminals": ("top", "bottom", "open")}),
    ],
)
def test_newton_agrees_with_ngspice(make, model, fields, orientation):
    simulated, solved = line_currents(make(model, orientation, **fields))
    assert solved == pytest.approx(simulated, rel=1e-6)


@pytest.mark.parametrize("orientation", ["source", "drain"])
def test_a_mirrored_p_channel_cell_is_the_n_channel_one(make, orientation):
    """The same BSIM4 parameters, threshold voltage and type of the other sign: all currents are equal by symmetry."""
    n, p = (make(name, orientation, instance=SIZE) for name in ("enhancement", "mirrored"))
    target = np.array([1e-7, 1e-3, 0.02, 0.5, 1.0])
    np.testing.assert_allclose(p.prepare(target), n.prepare(target), rtol=1e-9)
    assert p.programmed_value(p.prepare(target)[-1]) == pytest.approx(-n.programmed_value(n.prepare(target)[-1]))
    assert (n.understood().polarity, p.understood().polarity) == ("n", "p")
    np.testing.assert_allclose(line_currents(p), line_currents(n), rtol=1e-8)


def test_terminals_go_by_name_or_by_role(make):
    expected = line_currents(make("enhancement", instance=SIZE))
    assert make("reordered").card.roles == ("gate", "drain", "body", "source")
    np.testing.assert_allclose(line_currents(make("reordered")), expected, rtol=1e-8)
    given = make("unnamed", terminals=("gate", "drain", "body", "source"))
    np.testing.assert_allclose(line_currents(given), expected, rtol=1e-8)
    with pytest.raises(CircuitError, match=r"unnamed.* carries .*see whether polarity, terminals and the full current"):
        make("unnamed").prepare(np.array([0.1]))


def test_a_resistor_has_the_resistance_that_ohm_gives(make):
    """R_state = V_D / I - R_select, with the select transistor as good as linear for a state of 1e-3."""
    cell = make("rram")
    small = cell.programmed_value(cell.prepare(np.array([1e-3]))[0])
    assert small == pytest.approx(62.5e6, rel=1e-4)
    assert cell.least_target == 0


def test_a_cell_that_does_not_turn_off_keeps_its_least_current(make):
    cell = make("vteam", state_parameter="x0", state_range=(0.0, 1.0))
    assert cell.least_target == pytest.approx(62.5e3 / 2e6, rel=1e-2), "R_off of 2 MOhm"
    with pytest.raises(CircuitError, match="less than the model's cell carries at least"):
        cell.prepare(np.array([0.01]))
    errors = circuits.bit_line_errors(circuits.BitLinePoint(36, 1e-4), transistor=cell, columns=2, patterns=4)
    assert np.isfinite(errors["error_lsb"]).all()


def test_the_gate_is_swept_until_off_and_full_current_are_reached(make):
    deep = make("deep", instance=SIZE)
    shallow = make("erased_nmos", instance=SIZE)
    shift = deep.prepare(np.array([1e-3, 0.5])) - shallow.prepare(np.array([1e-3, 0.5]))
    np.testing.assert_allclose(shift, -2.5, atol=0.02)
    assert deep.understood().searched_low < -4.0
    with pytest.raises(CircuitError, match=r"(turn off there|off to above one).*`gate_range`"):
        make("erased_nmos", instance=SIZE, gate_range=(-0.5, 1.5)).prepare(np.array([0.1]))
    given = make("erased_nmos", instance=SIZE, gate_range=(-3.0, 0.0))
    assert given.understood().given
    np.testing.assert_allclose(given.prepare(np.array([0.1])), shallow.prepare(np.array([0.1])), atol=1e-5)


@pytest.mark.parametrize(
    ("model", "fields", "message"),
    [
        ("wrapped", {}, "the parameter 'len' has no value: give one with `instance`"),
        ("wrapped", {"instance": "len=1u wd=2u"}, "Unknown parameter of wrapped, 'wd'. Did you mean 'w'"),
        ("enhancement", {"instance": f"{SIZE} wf=2"}, "a transistor of 'enhancement' has no parameter 'wf'"),
        ("enhancement", {"instance": "w={wide} l=1u"}, "the parameter 'wide' has no value"),
        ("lacking", {}, "it holds no model 'elsewhere', which 'lacking' needs"),
        ("enhancment", {}, "Unknown model card or subcircuit 'enhancment'. Did you mean 'enhancement'"),
        ("diode", {}, "the card 'diode' is of type 'd'; expected nmos or pmos"),
        ("rram", {"state_parameter": "Rset"}, "Unknown `state_parameter` 'Rset'. Did you mean 'Rstate'"),
        ("undeclared", {}, "say with `state_parameter` which parameter"),
        ("filament", {}, "programmed; it has gap, i0, g0, v0"),
        ("undeclared", {"state_parameter": "Rstate"}, "has no number as its value, .*`state_range`"),
        ("monitored", {}, "has the terminals p n x; say with `terminals`"),
        ("monitored", {"terminals": ("top", "bottom")}, "expected `terminals` to give each of them a role"),
        ("monitored", {"terminals": ("top", "botom", "open")}, "Unknown role in `terminals` 'botom'"),
        ("rram", {"state_range": (1e5, 1e6)}, "carries 0.06.* to 0.6.* full currents .*`state_range`"),
        ("rram", {"gate_range": (0.0, 1.0)}, "`gate_range` is of transistors"),
        ("rram", {"polarity": "p"}, "`polarity` is a transistor's"),
        ("enhancement", {"state_parameter": "vth0"}, "`state_parameter` programs cells of two terminals"),
        ("battery", {}, "falls to zero or changes its sign"),
        ("squarelaw", {"instance": SIZE}, "MOS level 1 to 3 has none"),
    ],
)
def test_what_a_card_lacks_is_one_line(make, model, fields, message):
    with pytest.raises((CircuitError, SpiceError), match=message) as found:
        make(model, **fields).prepare(np.array([0.1]))
    assert "\n" not in str(found.value)
    assert "It said" not in str(found.value)


def test_options_of_the_wrong_form(library):
    for fields, message in (
        ({"polarity": "x"}, "Unknown `polarity` 'x'"),
        ({"state_range": (2.0, 1.0)}, "`state_range` to rise"),
        ({"state_parameter": "a b"}, "`state_parameter` to be the name of a parameter"),
    ):
        with pytest.raises(CircuitError, match=message):
            SpiceCell(library=library, model="rram", **fields)


def test_cards_are_parsed_as_ngspice_reads_them():
    lines = [".subckt a x y PARAMS: r = 1k t='2*r + 1' u={r}", "m1 x y 0 0 n.1", ".ends", ".model n.1 pmos (level=1)"]
    contents = card_contents(lines)
    assert contents.subcircuits["a"].terminals == ("x", "y")
    assert contents.subcircuits["a"].parameters == {"r": "1k", "t": "'2*r + 1'", "u": "{r}"}
    assert contents.channels("A") == {"pmos"}
    assert contents.models["n"] == "pmos", "a bin is asked for without its number"
    assert [spice_number(text) for text in ("100k", "1meg", "40n", "1.5e3", "{2u}", "a*b")] == pytest.approx(
        [1e5, 1e6, 4e-8, 1500.0, 2e-6, None]
    )
    assert held_states(["Cx x 0 1 IC={a}", "C1 x 0 1p"]) == ["vCx x 0 {a}", "C1 x 0 1p"]


SMALL = ["--rows", "144", "--r-p-hat", "1e-5", "--columns", "2", "--patterns", "4", "--mean-conductance", "0.02"]


def invoke(*arguments):
    return CliRunner().invoke(build_app("bitline"), ["bitline", *arguments])


def errors_of(document):
    return {row["model"]: row["error_lsb"] for row in document["errors"]}


def test_an_erased_card_is_swept_to_off(library, ngspice):
    cell = ["--cell", str(library), "--card", "erased_nmos"]
    document = json.loads(invoke(*cell, *SMALL, "--json").stdout)
    errors = errors_of(document)
    assert (errors["ideal"], errors["resistor"]) == pytest.approx((1.63, 1.21), abs=0.01)
    assert document["cell"]["searched_low"] <= -1.8
    assert "the affine model holds, to 0.006" in document["verdict"]
    assert document["holds"][0]["model"] == "affine"
    confirmed = document["confirmation"]
    assert confirmed["cells"] == 144
    assert confirmed["lines"] >= 1
    assert confirmed["relative_difference"] < 1e-6
    text = invoke(*cell, *SMALL)
    assert text.exit_code == 0
    assert "gate voltage from -1.8 to -1.3" in text.stderr
    assert "of these very lines (up to 144 rows" in text.stderr
    assert text.stdout.startswith("At 144 rows, R_p_hat = 1e-05 and mean conductance 0.02 the affine model holds")
    refused = invoke(*cell, *SMALL, "--gate-range", "-0.5", "1.5")
    assert refused.exit_code == 2
    assert "--gate-range" in refused.stderr


def test_a_two_terminal_cell_behind_the_select_transistor(library, ngspice):
    """A resistor behind a select transistor that is nearly one: the resistor model is exact."""
    document = json.loads(invoke("--cell", str(library), "--card", "rram", "--subcircuit", *SMALL, "--json").stdout)
    errors = errors_of(document)
    assert errors["resistor"] < 1e-5
    assert 0.3 < errors["ideal"] < 0.5
    assert (document["cell"]["kind"], document["cell"]["programmed"]) == ("two-terminal", "Rstate")
    assert document["confirmation"]["relative_difference"] < 1e-6


def test_resistances_stand_for_r_p_hat(ngspice):
    small = ["--rows", "72", "--columns", "2", "--patterns", "4", "--mean-conductance", "0.02", "--json"]
    given = json.loads(invoke("--wire-resistance", "1.2 ohm", "--cell-resistance", "60 kohm", *small).stdout)
    assert [row["r_p_hat"] for row in given["errors"]] == pytest.approx([2e-5] * 4, rel=1e-12)
    own = json.loads(invoke("--wire-resistance", "0.625 ohm, 1.25 ohm", *small).stdout)
    assert list(dict.fromkeys(row["r_p_hat"] for row in own["errors"])) == pytest.approx([1e-5, 2e-5], rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--wire-resistance", "1 ohm", "--r-p-hat", "1e-5"], "either --r-p-hat or --wire-resistance"),
        (["--wire-resistance", "1 volt"], "--wire-resistance"),
        (["--cell-resistance", "0 ohm"], "--cell-resistance to be above 0"),
        (["--card", "x"], "--card belong to a SPICE model file"),
        (["--gate-range", "0", "1"], "--gate-range belong to a SPICE model file"),
    ],
)
def test_options_that_do_not_fit_are_refused(arguments, message):
    result = invoke("--rows", "8", "--columns", "2", "--patterns", "2", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_confirmation_ends_with_its_time(ngspice):
    points = [circuits.BitLinePoint(rows, 1e-4) for rows in (36, 72)]
    found = circuits.confirm_lines(points, columns=2, patterns=2)
    assert (found.places, found.of_places, found.cells) == (2, 2, 72)
    assert found.relative_difference < 1e-8
    late = circuits.confirm_lines(points, columns=2, patterns=2, seconds=1e-9)
    assert late.recorded
    assert late.reason == "ngspice finished no line within 1e-09 s."
    assert circuits.confirm_lines([circuits.BitLinePoint(36, 1e-8)], columns=1, patterns=1) is None, "wires of 0.6 mOhm"
