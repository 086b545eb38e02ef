"""Each error of the front end alone: in ngspice its figure moves as its closed form says, and vanishes with it.

Every column of one run is the ideal circuit with one error switched on, so that a single simulation shows them all.
"""

import math

import numpy as np
import pytest

from circuits.peripherals import load_parameters, theory
from circuits.peripherals.disturbances import simulate_common_mode
from circuits.peripherals.front_end import Schedule, simulate_front_end
from circuits.peripherals.model import PeripheralError
from tests.reference import peripheral_closed_forms as closed_forms

pytestmark = pytest.mark.usefixtures("ngspice")

NOMINAL = load_parameters("sonos_40nm")
IDEAL = NOMINAL.ideal()
BITS = NOMINAL.bits
ONE = np.eye(BITS)[-2]
LAST = np.eye(BITS)[-1]
ALL = np.ones(BITS)
NOTHING = np.zeros(BITS)
FULL = 10e-6 * 7.5e-9 / 750e-15
"""Voltage of one full-scale bit at the ideal integrator [V]."""
# An amplifier in its limit leaves its virtual ground to the input current: without a pole that has no solution.
REAL_AMPLIFIER = {"integrator.dc_gain": 1000, "integrator.gain_bandwidth": 2e9}

# name of the column: (errors switched on, bit levels)
COLUMNS = {
    "ideal one": ({}, ONE),
    "ideal all": ({}, ALL),
    "ideal last": ({}, LAST),
    "ideal over": ({}, 3 * ALL),
    "gain 100": ({"integrator.dc_gain": 100, "integrator.parasitic_capacitance": 60e-15}, ONE),
    "gain 400": ({"integrator.dc_gain": 400, "integrator.parasitic_capacitance": 60e-15}, ONE),
    "gain 400, no parasitic": ({"integrator.dc_gain": 400}, ONE),
    "leak": ({"integrator.dc_gain": 100, "conveyor.output_resistance": 50e3}, ONE),
    "bandwidth 0.4 GHz": ({"integrator.gain_bandwidth": 0.4e9, "integrator.parasitic_capacitance": 60e-15}, ONE),
    "bandwidth 1.6 GHz": ({"integrator.gain_bandwidth": 1.6e9, "integrator.parasitic_capacitance": 60e-15}, ONE),
    "swing 0.05": ({"integrator.output_swing": 0.05, **REAL_AMPLIFIER}, 3 * ALL),
    "swing 0.15": ({"integrator.output_swing": 0.15, **REAL_AMPLIFIER}, 3 * ALL),
    "line 4k": ({"conveyor.input_resistance": 4e3}, ONE),
    "line 2k": ({"conveyor.input_resistance": 2e3}, ONE),
    "loaded cells 10/V": ({"conveyor.input_resistance": 500, "input.cell_conductance": 10}, ALL),
    "loaded cells 39/V": ({"conveyor.input_resistance": 500, "input.cell_conductance": 39}, ALL),
    "loaded cells, no resistance": ({"conveyor.input_resistance": 0, "input.cell_conductance": 39}, ALL),
    "reset 1k": ({"integrator.reset_resistance": 1000}, ONE),
    "reset 0.5k": ({"integrator.reset_resistance": 500}, ONE),
    "conveyor gain": ({"conveyor.gain_error": 0.03}, ONE),
    "conveyor mismatch": ({"conveyor.mismatch": 0.02}, NOTHING),
    "conveyor offset": ({"conveyor.offset_current": 50e-9}, NOTHING),
    "integrator offset": ({"integrator.offset_voltage": 2e-3}, NOTHING),
    "integrator charge": ({"integrator.injected_charge": 0.6e-15}, NOTHING),
    "integrator minus charge": ({"integrator.injected_charge": -0.3e-15}, NOTHING),
    "unequal 4 %": ({"accumulator.mismatch": 0.04}, ONE),
    "unequal -2 %": ({"accumulator.mismatch": -0.02}, ONE),
    "parasitic 1": ({"accumulator.parasitic_1": 10e-15}, ONE),
    "parasitic 2": ({"accumulator.parasitic_2": 10e-15}, ONE),
    "charge 0.2 fC": ({"accumulator.injected_charge": 0.2e-15}, NOTHING),
    "charge -0.1 fC": ({"accumulator.injected_charge": -0.1e-15}, NOTHING),
    "switch 4k": ({"accumulator.on_resistance": 4e3}, ONE),
    "switch 2k": ({"accumulator.on_resistance": 2e3}, ONE),
    "open switch 1e+07": ({"accumulator.off_resistance": 1e7}, ONE),
    "open switch 4e+07": ({"accumulator.off_resistance": 4e7}, ONE),
    "ratio": ({"gain_stage.gain_error": 0.02}, ALL),
    "amplifier 50": ({"gain_stage.dc_gain": 50}, ALL),
    "amplifier 200": ({"gain_stage.dc_gain": 200}, ALL),
    "slow 60 MHz": ({"gain_stage.gain_bandwidth": 60e6}, LAST),
    "slow 120 MHz": ({"gain_stage.gain_bandwidth": 120e6}, LAST),
    "limit 0.1": ({"gain_stage.output_swing": 0.1, "gain_stage.dc_gain": 1e4}, 3 * ALL),
    "gain stage offset": ({"gain_stage.offset_voltage": -1e-3}, NOTHING),
}


@pytest.fixture(scope="module")
def run(ngspice):
    sets = [IDEAL.with_values(changes) for changes, _ in COLUMNS.values()]
    result = simulate_front_end(sets, np.array([levels for _, levels in COLUMNS.values()]))
    names = list(COLUMNS)

    class Run:
        @staticmethod
        def integrator(name):
            return result.integrator[names.index(name)]

        @staticmethod
        def accumulator(name):
            return result.accumulator[names.index(name)]

        @staticmethod
        def output(name):
            return result.gain_stage[names.index(name)]

    return Run


def test_the_ideal_column_halves_and_sums(run):
    np.testing.assert_allclose(run.integrator("ideal all"), FULL, rtol=1e-4)
    np.testing.assert_allclose(run.accumulator("ideal all"), FULL * (1 - 0.5 ** np.arange(1, BITS + 1)), rtol=1e-4)
    assert run.output("ideal all") == pytest.approx(NOMINAL.full_scale_voltage, rel=1e-4)
    assert run.accumulator("ideal one")[-2:] == pytest.approx([FULL / 2, FULL / 4], rel=1e-4)
    assert abs(run.integrator("ideal one")[-1]) < 1e-5 * FULL


@pytest.mark.parametrize(
    ("column", "dc_gain", "parasitic"),
    [("gain 100", 100, 60e-15), ("gain 400", 400, 60e-15), ("gain 400, no parasitic", 400, 0)],
)
def test_finite_gain_loses_charge_to_the_virtual_ground(run, column, dc_gain, parasitic):
    error = run.integrator(column)[-2] / run.integrator("ideal one")[-2] - 1
    assert error == pytest.approx(closed_forms.integrator_gain_error(dc_gain, 750e-15, parasitic), rel=0.01)


def test_output_resistance_leaks_charge_while_the_virtual_ground_moves(run):
    both = run.integrator("leak")[-2] / run.integrator("ideal one")[-2] - 1
    leak = both - closed_forms.integrator_gain_error(100, 750e-15, 0)
    assert leak == pytest.approx(closed_forms.leak_error(7.5e-9, 100, 50e3, 750e-15), rel=0.03)


@pytest.mark.parametrize(("column", "bandwidth"), [("bandwidth 0.4 GHz", 0.4e9), ("bandwidth 1.6 GHz", 1.6e9)])
def test_finite_bandwidth_lags_the_ramp(run, column, bandwidth):
    error = run.integrator(column)[-2] / run.integrator("ideal one")[-2] - 1
    tau = (1 + 60 / 750) / (2 * math.pi * bandwidth)
    assert error == pytest.approx(closed_forms.ramp_lag(tau, 7.5e-9), rel=0.02)


@pytest.mark.parametrize(("column", "swing"), [("swing 0.05", 0.05), ("swing 0.15", 0.15)])
def test_the_integrator_stops_at_its_swing(run, column, swing):
    np.testing.assert_allclose(run.integrator(column), swing, rtol=1e-3)
    np.testing.assert_allclose(run.integrator("ideal over"), 3 * FULL, rtol=1e-4)


@pytest.mark.parametrize(("column", "resistance"), [("line 4k", 4e3), ("line 2k", 2e3)])
def test_a_slow_bit_line_carries_charge_into_the_next_bit(run, column, resistance):
    now, after = run.integrator(column)[-2:]
    lead = NOMINAL["timing.transfer_time"] - 1.5 * IDEAL["timing.edge_time"]
    memory = closed_forms.conveyor_memory(resistance, 250e-15, lead, 7.5e-9)
    assert after / FULL == pytest.approx(memory, rel=0.02)
    assert 1 - now / run.integrator("ideal one")[-2] == pytest.approx(memory, rel=0.1)


@pytest.mark.parametrize(
    ("column", "resistance", "conductance"),
    [("loaded cells 10/V", 500, 10), ("loaded cells 39/V", 500, 39), ("loaded cells, no resistance", 0, 39)],
)
def test_cells_give_less_where_the_conveyor_lets_their_line_rise(run, column, resistance, conductance):
    common, half = NOMINAL["input.common_current"], NOMINAL["input.full_scale_current"] / 2
    plus, minus = (closed_forms.loaded_current(common + sign * half, conductance, resistance) for sign in (1, -1))
    expected = FULL * (plus - minus) / (2 * half)
    assert expected == pytest.approx(FULL, rel=1e-9) or expected < 0.95 * FULL
    # The first bit has been on for long; later ones begin with a settled line, too.
    np.testing.assert_allclose(run.integrator(column), expected, rtol=2e-4)


@pytest.mark.parametrize("conductance", [0, 10, 39])
def test_the_common_current_moves_the_gain_of_loaded_cells(conductance):
    p = IDEAL.with_values({"conveyor.input_resistance": 500, "input.cell_conductance": conductance})
    common, half = NOMINAL["input.common_current"], 0.4 * NOMINAL["input.full_scale_current"]

    def gain(factor):
        plus, minus = (closed_forms.loaded_current(factor * common + s * half, conductance, 500) for s in (1, -1))
        return plus - minus

    found = simulate_common_mode(p)
    assert found.gain == pytest.approx((gain(1.1) / gain(0.9) - 1) / 0.2, rel=2e-3, abs=1e-5)
    assert (found.gain < -0.05) == (conductance > 0)
    assert abs(found.offset_lsb) < 0.01


def test_the_common_current_is_an_offset_where_the_lines_gains_differ():
    found = simulate_common_mode(IDEAL.with_values({"conveyor.mismatch": 0.02}))
    at_adc = 0.02 * NOMINAL["input.common_current"] / NOMINAL["input.full_scale_current"] * 127.5
    assert found.offset_lsb == pytest.approx(at_adc, rel=1e-3)


@pytest.mark.parametrize(("column", "resistance"), [("reset 1k", 1e3), ("reset 0.5k", 500)])
def test_an_incomplete_reset_is_remembered(run, column, resistance):
    now, after = run.integrator(column)[-2:]
    memory = closed_forms.reset_memory(resistance, 750e-15, 0.9 * NOMINAL["timing.transfer_time"])
    assert after / now == pytest.approx(memory, rel=0.05)


def test_conveyor_errors(run):
    assert run.integrator("conveyor gain")[-2] / run.integrator("ideal one")[-2] == pytest.approx(1.03, rel=1e-4)
    expected = 0.02 * NOMINAL["input.common_current"] * 7.5e-9 / 750e-15
    np.testing.assert_allclose(run.integrator("conveyor mismatch"), expected, rtol=1e-3)
    np.testing.assert_allclose(run.integrator("conveyor offset"), 50e-9 * 7.5e-9 / 750e-15, rtol=1e-3)


def test_integrator_offsets(run):
    np.testing.assert_allclose(run.integrator("integrator offset"), 2e-3, rtol=1e-3)
    np.testing.assert_allclose(run.integrator("integrator charge"), 0.6e-15 / 750e-15, rtol=0.02)
    np.testing.assert_allclose(run.integrator("integrator minus charge"), -0.3e-15 / 750e-15, rtol=0.02)


@pytest.mark.parametrize(
    ("column", "changes"),
    [
        ("unequal 4 %", {"accumulator.mismatch": 0.04}),
        ("unequal -2 %", {"accumulator.mismatch": -0.02}),
        ("parasitic 1", {"accumulator.parasitic_1": 10e-15}),
        ("parasitic 2", {"accumulator.parasitic_2": 10e-15}),
    ],
)
def test_unequal_capacitors_move_the_weights(run, column, changes):
    ratio = theory.share_ratio(IDEAL.with_values(changes))
    weights = theory.accumulator_weights(ratio, BITS)
    assert abs(ratio - 0.5) > 0.004
    held = run.accumulator(column)[-2:] / run.accumulator("ideal one")[-2:] * [0.5, 0.25]
    np.testing.assert_allclose(held, [ratio, weights[-2]], rtol=2e-4)


@pytest.mark.parametrize(("column", "charge"), [("charge 0.2 fC", 0.2e-15), ("charge -0.1 fC", -0.1e-15)])
def test_injected_charge_is_an_offset(run, column, charge):
    expected = closed_forms.injection_offset(IDEAL.with_values({"accumulator.injected_charge": charge}))
    assert run.accumulator(column)[-1] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(("column", "resistance"), [("switch 4k", 4e3), ("switch 2k", 2e3)])
def test_a_resistive_switch_samples_late(run, column, resistance):
    kept = run.accumulator(column)[-2] / run.accumulator("ideal one")[-2]
    sampled = 1 + closed_forms.ramp_lag(resistance * 200e-15, 7.5e-9)
    # Two equal capacitors share with half the time constant, for the transfer time less two guards.
    shared = 1 - math.exp(-0.8 * NOMINAL["timing.transfer_time"] / (resistance * 100e-15))
    assert 1 - kept == pytest.approx(1 - sampled * shared, rel=0.02)


@pytest.mark.parametrize("resistance", [1e7, 4e7])
def test_open_switches_leak(run, resistance):
    kept = run.accumulator(f"open switch {resistance:.0e}")[-1] / run.accumulator("ideal one")[-1]
    lost = closed_forms.open_switch_leak(IDEAL.with_values({"accumulator.off_resistance": resistance}))
    assert lost == pytest.approx(16e-9 / (resistance * 200e-15))
    assert 1 - kept == pytest.approx(lost, rel=0.03)


def test_gain_stage_errors(run):
    full = run.output("ideal all")
    assert run.output("ratio") / full == pytest.approx(1.02, rel=1e-4)
    for gain in (50, 200):
        error = run.output(f"amplifier {gain}") / full - 1
        assert error == pytest.approx(closed_forms.amplifier_gain_error(2, gain), rel=0.01)
    assert run.output("gain stage offset") == pytest.approx(-2e-3, rel=1e-3)
    assert run.output("limit 0.1") == pytest.approx(0.1, rel=1e-3)
    assert run.output("ideal over") == pytest.approx(3 * NOMINAL.full_scale_voltage, rel=1e-4)


@pytest.mark.parametrize("bandwidth", [60, 120])
def test_the_gain_stage_settles_with_its_bandwidth(run, bandwidth):
    schedule = Schedule.of(NOMINAL)
    elapsed = schedule.stop - (schedule.samples[-1] + schedule.guard)
    error = 1 - run.output(f"slow {bandwidth} MHz") / run.output("ideal last")
    assert error == pytest.approx(closed_forms.settling_error(elapsed, 2, bandwidth * 1e6), rel=0.05)


def test_the_gain_is_tunable():
    gains = [1, 4, 8]
    sets = [IDEAL.with_values({"gain_stage.gain": gain}) for gain in gains]
    run = simulate_front_end(sets, np.full((3, BITS), 0.25))
    np.testing.assert_allclose(run.gain_stage, np.array(gains) * 0.125 * NOMINAL.full_scale_voltage, rtol=1e-4)
    redesigned = NOMINAL.with_values({"gain_stage.gain": 4.0}, redesign=True)
    assert redesigned.full_scale_voltage == pytest.approx(2 * NOMINAL.full_scale_voltage)


def test_the_integrator_of_transistors_follows_the_theory_of_a_transconductor():
    levels = np.array([ONE, NOTHING, 0.5 * ONE, -ONE])
    kept = {"integrator.reset_resistance": 300.0, "accumulator.on_resistance": 100.0}
    run = simulate_front_end(IDEAL.with_values(kept), levels, transistors=True)
    signal = run.integrator - run.integrator[1]
    current = run.amplifier_energy / (NOMINAL["supply.voltage"] * (8 * 10e-9 + 2.5e-9))
    assert current == pytest.approx(NOMINAL["amplifier.tail_current"], rel=0.1), "class A: the bias, signal or not"
    transconductance = current / NOMINAL["amplifier.input_overdrive"]
    expected = closed_forms.transconductor_error(7.5e-9, 750e-15, 200e-15, transconductance, 300)
    assert signal[0, -2] / FULL - 1 == pytest.approx(expected, rel=0.05)
    assert signal[2, -2] / signal[0, -2] == pytest.approx(0.5, abs=0.002)
    assert signal[3, -2] / signal[0, -2] == pytest.approx(-1, abs=0.01)
    assert abs(signal[0, -1] / signal[0, -2]) < 1e-3, "reset forgets"


def test_unsigned_columns_have_one_line_and_no_mismatch_of_two():
    changes = {"conveyor.mismatch": 0.02, "conveyor.gain_error": 0.03}
    one = simulate_front_end(IDEAL.with_values(changes).for_use(unsigned=True), np.array([ALL, 0.5 * ALL, NOTHING]))
    expected = 1.03 * NOMINAL.full_scale_voltage * np.array([1, 0.5, 0])
    np.testing.assert_allclose(one.gain_stage, expected, rtol=1e-4, atol=1e-6)


def test_one_bit_before_a_conversion_is_halved_once():
    single = IDEAL.for_use(input_bits=1)
    run = simulate_front_end(single, np.array([[1.0], [-0.25]]))
    np.testing.assert_allclose(run.accumulator[:, 0], FULL / 2 * np.array([1, -0.25]), rtol=1e-4)
    np.testing.assert_allclose(run.gain_stage, single.full_scale_voltage * np.array([1, -0.25]), rtol=1e-4)


def test_wrong_shapes_are_refused():
    with pytest.raises(PeripheralError, match=r"shape \(columns, 8\) with a parameter set.* the shape \(1, 7\) and 1"):
        simulate_front_end(NOMINAL, np.zeros(7))
    with pytest.raises(PeripheralError, match="and 3 sets"):
        simulate_front_end([NOMINAL] * 3, np.zeros((2, 8)))
