"""Parameter files of the peripherals: provenance, variants, and what is refused."""

import math
from pathlib import Path

import numpy as np
import pytest

import circuits
from circuits.peripherals import parameter_names
from circuits.peripherals.definitions import DEFINITIONS
from devicekit.common.paths import data_path

NOMINAL = circuits.load_parameters("sonos_40nm")


@pytest.fixture
def variant(tmp_path):
    """Write the bundled file with one text replaced, and return its path."""

    def write(old, new):
        text = data_path("peripherals/sonos_40nm.toml").read_text()
        assert text.count(old) >= 1
        path = tmp_path / "own.toml"
        path.write_text(text.replace(old, new, 1))
        return path

    return write


def test_every_bundled_set_is_complete_and_says_where_its_numbers_come_from():
    assert parameter_names() == ["sonos_40nm"]
    assert set(NOMINAL.values) == set(DEFINITIONS)
    for name, constant in NOMINAL.constants.items():
        assert len(constant.source) > 3, name
    assert {"fast", "slow"} == set(NOMINAL.corners)


def test_units_become_si():
    assert NOMINAL["integrator.capacitance"] == pytest.approx(750e-15)
    assert NOMINAL["integrator.noise_density"] == pytest.approx(5e-9)
    assert NOMINAL["conveyor.output_resistance"] == pytest.approx(2e6)
    assert NOMINAL["transistor.threshold_mismatch"] == pytest.approx(2.5e-9)
    assert NOMINAL.mismatch["integrator.offset_voltage"] == pytest.approx(1.5e-3)


def test_the_range_follows_from_the_design_and_not_from_errors():
    charge = 10e-6 * 7.5e-9
    expected = 2 * charge / 750e-15 * 255 / 256
    assert NOMINAL.full_scale_voltage == pytest.approx(expected)
    assert pytest.approx(2 * expected / 255) == NOMINAL.lsb_voltage
    assert pytest.approx(NOMINAL.lsb_voltage * 1e9 * 20e-12) == NOMINAL.ramp_current
    halved = {"integrator.capacitance": 375e-15}
    assert NOMINAL.with_values(halved).full_scale_voltage == NOMINAL.full_scale_voltage
    assert NOMINAL.with_values(halved, redesign=True).full_scale_voltage == pytest.approx(2 * expected)
    assert NOMINAL.at(corner="slow").full_scale_voltage == NOMINAL.full_scale_voltage


def test_the_ideal_set_has_no_error_left_and_can_keep_some():
    ideal = NOMINAL.ideal()
    for name, definition in DEFINITIONS.items():
        assert ideal[name] == (NOMINAL[name] if definition.ideal is None else definition.ideal), name
    kept = NOMINAL.ideal("accumulator.")
    assert kept["accumulator.parasitic_1"] == NOMINAL["accumulator.parasitic_1"]
    assert math.isinf(kept["integrator.dc_gain"])


def test_temperature_and_corner_scale_what_the_file_names():
    hot = NOMINAL.at(temperature=360.18, corner="slow")
    assert hot["accumulator.on_resistance"] == pytest.approx(800 * 1.25 * 1.2**1.5)
    assert hot["integrator.dc_gain"] == NOMINAL["integrator.dc_gain"]
    assert (hot.temperature, hot.corner) == (360.18, "slow")
    same = NOMINAL.at()
    assert all(same[name] == pytest.approx(NOMINAL[name]) for name in DEFINITIONS)


def test_mismatch_is_absolute_for_errors_and_relative_for_sizes():
    drawn = NOMINAL.draw(4000, seed=1)
    offsets = np.array([p["integrator.offset_voltage"] for p in drawn])
    sizes = np.array([p["integrator.capacitance"] for p in drawn])
    assert offsets.std() == pytest.approx(1.5e-3, rel=0.05)
    assert sizes.std() == pytest.approx(0.001 * 750e-15, rel=0.05)
    assert sizes.mean() == pytest.approx(750e-15, rel=1e-3)
    assert [p.values for p in NOMINAL.draw(3, seed=1)] == [p.values for p in drawn[:3]]


def test_variants_are_refused_by_name():
    with pytest.raises(circuits.PeripheralError, match=r"Unknown parameter 'integrator.gain'.*'integrator.dc_gain'"):
        NOMINAL.with_values({"integrator.gain": 3.0})
    with pytest.raises(circuits.PeripheralError, match=r"Unknown corner 'fsat'.*'fast'"):
        NOMINAL.at(corner="fsat")
    with pytest.raises(circuits.PeripheralError, match="a temperature above 0 K, but got -3"):
        NOMINAL.at(temperature=-3)
    with pytest.raises(circuits.PeripheralError, match="the nominal parameters, but these are at another"):
        NOMINAL.at(corner="fast").at(temperature=350)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dc_gain =", "dc_gian =", "Unknown parameter 'integrator.dc_gian'. Did you mean 'integrator.dc_gain'"),
        ('unit = "fF"', 'unit = "mV"', "bit_line_capacitance.*quantity in F"),
        ("value = 750", "value = 0", r"`integrator.capacitance` above 0, but got 0 F"),
        ("value = 60, ", "value = -60, ", r"`integrator.parasitic_capacitance` of at least 0, but got -6e-14 F"),
        ("value = 1.1,", 'value = "high",', r"`supply.voltage.value`: Input should be a valid number"),
        (
            'voltage = { value = 1.1, unit = "V", kind = "assumed", source = "core supply of 40 nm logic" }',
            "",
            "an entry for `supply.voltage`, but found none \\(1 missing\\)",
        ),
        ('kind = "assumed", source = "core', 'source = "core', r"`supply.voltage.kind`: Field required"),
        ("[supply]", "[supply", "not a TOML file"),
        ('"conveyor.mismatch" =', '"conveyor.mismacth" =', "Unknown parameter 'conveyor.mismacth'"),
        (
            '"integrator.capacitance" = { value = 0.92, unit = "1"',
            '"integrator.capacitance" = { value = 0.92, unit = "fF"',
            "to be a plain number",
        ),
    ],
)
def test_a_bad_file_is_refused_with_its_name(variant, old, new, message):
    path = variant(old, new)
    with pytest.raises(circuits.PeripheralError, match=message) as raised:
        circuits.load_parameters(path)
    assert str(raised.value).startswith(str(path))


def test_an_unknown_set_is_refused_and_an_own_file_is_read(variant):
    with pytest.raises(circuits.PeripheralError, match=r"Unknown parameter set or file 'sonos'.*'sonos_40nm'"):
        circuits.load_parameters("sonos")
    own = circuits.load_parameters(variant('value = 750, unit = "fF"', 'value = 1.5, unit = "pF"'))
    assert own["integrator.capacitance"] == pytest.approx(1.5e-12)
    assert own.full_scale_voltage == pytest.approx(NOMINAL.full_scale_voltage / 2)


def test_calibration_moves_range_and_ramp_and_nothing_else():
    fitted = NOMINAL.calibrated(front_end=0.9, adc=1.1)
    assert fitted.full_scale_voltage == pytest.approx(0.9 * NOMINAL.full_scale_voltage)
    assert fitted.ramp_current == pytest.approx(0.99 * NOMINAL.ramp_current)
    assert fitted.calibration == pytest.approx(0.9)
    assert fitted.values == NOMINAL.values
    assert fitted.at(temperature=350).ramp_current == fitted.ramp_current


def test_every_error_with_a_parameter_is_switched_on_by_a_test():
    """A new non-ideality needs a test that its figure moves with it; each of those names its parameter."""
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_peripheral_*.py"))
    errors = [name for name, definition in DEFINITIONS.items() if definition.ideal is not None]
    assert len(errors) > 30
    untested = [name for name in errors if f'"{name}"' not in tests]
    assert untested == []


def test_another_use_designs_range_and_ramp_anew():
    unsigned = NOMINAL.for_use(unsigned=True)
    assert (NOMINAL.zero, unsigned.zero) == (0.5, 0.0)
    assert (NOMINAL.lowest_voltage, unsigned.lowest_voltage) == (-NOMINAL.full_scale_voltage, 0)
    assert unsigned.full_scale_voltage == NOMINAL.full_scale_voltage
    assert unsigned.ramp_current == pytest.approx(NOMINAL.ramp_current / 2)
    single = NOMINAL.for_use(input_bits=1)
    assert single.full_scale_voltage == pytest.approx(NOMINAL.full_scale_voltage * 0.5 / (1 - 2**-8))
    assert unsigned.at(temperature=350).unsigned


def test_a_file_with_a_base_holds_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "slow.toml"
    entry = '[integrator.dc_gain]\nvalue = 100\nunit = "1"\nkind = "assumed"\nsource = "test"\n'
    path.write_text(f'base = "sonos_40nm"\n{entry}')
    base, own = circuits.load_parameters("sonos_40nm"), circuits.load_parameters(path)
    assert own.name == "slow"
    assert {name for name in base.values if own[name] != base[name]} == {"integrator.dc_gain"}
    assert own.constants["integrator.dc_gain"].source == "test"
    assert own.constants["integrator.capacitance"] == base.constants["integrator.capacitance"]
    assert (own.mismatch, own.corners) == (base.mismatch, base.corners)
    path.write_text('base = "sonos_40mn"\n')
    with pytest.raises(circuits.PeripheralError, match=r"`base`: Unknown parameter set 'sonos_40mn'\. Did you"):
        circuits.load_parameters(path)
    path.write_text('base = "sonos_40nm"\n[integrator.dc_gain]\nvalue = 100\n')
    with pytest.raises(circuits.PeripheralError, match=r"`integrator.dc_gain\.unit`"):
        circuits.load_parameters(path)
