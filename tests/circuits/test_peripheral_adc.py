"""The ramp ADC in ngspice: each error moves its figure as theory says and vanishes with it."""

import numpy as np
import pytest

from circuits.peripherals import load_parameters, ramp_adc
from circuits.peripherals.curves import fit_line, transition_non_linearity
from circuits.peripherals.model import PeripheralError
from circuits.peripherals.ramp_adc import code_voltages, simulate_ramp_adc
from tests.reference import peripheral_closed_forms as closed_forms

pytestmark = pytest.mark.usefixtures("ngspice")

NOMINAL = load_parameters("sonos_40nm")
IDEAL = NOMINAL.ideal()
STEPS = NOMINAL.codes - 1
LEVELS = np.linspace(-1, 1, 18)[1:-1]


def readings(changes, levels=LEVELS, **options):
    """Readings of the ideal ADC with one error, as positions in the range."""
    run = simulate_ramp_adc(IDEAL.with_values(changes), levels * NOMINAL.full_scale_voltage, **options)
    return run.readings / STEPS


def test_the_ideal_adc_reads_every_code_and_every_halfway_point():
    run = simulate_ramp_adc(IDEAL)
    np.testing.assert_array_equal(run.counts(), np.arange(256))
    np.testing.assert_allclose(run.readings, np.arange(256), atol=1e-3)
    integral, differential = transition_non_linearity(run.transitions())
    assert np.max(np.abs(integral)) < 1e-4
    assert np.max(np.abs(differential)) < 1e-4
    random = np.random.default_rng(4).uniform(0, 1, 100)
    run = simulate_ramp_adc(IDEAL, (2 * random - 1) * NOMINAL.full_scale_voltage)
    np.testing.assert_array_equal(run.counts(), np.rint(random * STEPS))


@pytest.mark.parametrize("resistance", [0.5e6, 2e6])
def test_a_leaky_source_bends_the_ramp(resistance):
    changes = {"adc.ramp_resistance": resistance}
    run = simulate_ramp_adc(IDEAL.with_values(changes), np.array([-1, 0, 1]) * NOMINAL.full_scale_voltage)
    first, middle, last = run.readings
    bow = middle - (first + last) / 2
    assert bow == pytest.approx(closed_forms.ramp_bow(NOMINAL.with_values(changes)), rel=0.05)
    ends = run.readings - STEPS * np.array([0, 0.5, 1])
    assert ends[2] == pytest.approx(-4 * bow, rel=0.1), "the late end is four times the bow"


def test_a_wrong_slope_is_a_gain_error_about_the_ramps_start():
    positions = (LEVELS + 1) / 2
    for error in (0.02, -0.01):
        line = fit_line(positions, readings({"adc.ramp_error": error}), zero=0.0, steps=STEPS)
        assert line.gain == pytest.approx(1 / (1 + error), rel=1e-4)


@pytest.mark.parametrize("bandwidth", [100e6, 400e6])
def test_a_slow_comparator_reads_late_by_its_time_constant(bandwidth):
    late = (readings({"adc.comparator_bandwidth": bandwidth}) - readings({})) * STEPS
    expected = closed_forms.comparator_delay_lsb(NOMINAL.with_values({"adc.comparator_bandwidth": bandwidth}))
    np.testing.assert_allclose(late, expected, rtol=0.01)


@pytest.mark.parametrize("gain", [100, 1000])
def test_finite_comparator_gain_needs_overdrive(gain):
    late = (readings({"adc.comparator_gain": gain}) - readings({})) * STEPS
    np.testing.assert_allclose(late, NOMINAL["adc.decision_level"] / gain / NOMINAL.lsb_voltage, rtol=0.01)


def test_comparator_offset_moves_every_code():
    shift = (readings({"adc.comparator_offset": 4e-3}) - readings({})) * STEPS
    np.testing.assert_allclose(shift, -4e-3 / NOMINAL.lsb_voltage, rtol=1e-3)


def test_jitter_blurs_the_count_and_vanishes():
    run = simulate_ramp_adc(IDEAL, np.full(2, 0.2 * NOMINAL.full_scale_voltage))
    crossings = np.full(20_000, 100.9e-9)
    many = run.__class__(**{**run.__dict__, "crossings": crossings})
    counts = many.counts(jitter=2e-9, generator=np.random.default_rng(0))
    assert counts.std() == pytest.approx(np.sqrt(2**2 + 1 / 12), rel=0.02)
    assert set(many.counts(jitter=0.0, generator=np.random.default_rng(0))) == {100}
    lost = run.__class__(**{**run.__dict__, "crossings": np.array([np.nan])})
    assert lost.counts()[0] == STEPS, "a comparator that never decides leaves the counter full"


def test_the_transistor_adc_is_monotone_and_its_energy_is_its_supply_current():
    levels = np.linspace(-1, 1, 9)
    run = simulate_ramp_adc(NOMINAL, levels * NOMINAL.full_scale_voltage, transistors=True)
    assert np.all(np.diff(run.crossings) > 0)
    line = fit_line((levels + 1) / 2, run.readings / STEPS, zero=0.5, steps=STEPS)
    assert line.gain == pytest.approx(1, abs=0.02)
    assert 0 < line.offset_lsb < 5
    # Two class-A branches draw their bias while the ADC runs; mirrors copy it to a few per cent.
    bias = NOMINAL["comparator.tail_current"] + NOMINAL["comparator.output_current"] / 2
    expected = NOMINAL["supply.voltage"] * bias * 256e-9
    assert run.comparator_energy == pytest.approx(expected, rel=0.2)
    assert run.ramp_energy == pytest.approx(NOMINAL["supply.voltage"] * 2 * NOMINAL.ramp_current * 256e-9, rel=0.02)


def test_a_finer_time_step_changes_nothing(monkeypatch):
    levels = np.linspace(-0.9, 0.9, 5) * NOMINAL.full_scale_voltage
    usual = simulate_ramp_adc(NOMINAL, levels, transistors=True)
    monkeypatch.setattr(ramp_adc, "_STEP", 0.1)
    fine = simulate_ramp_adc(NOMINAL, levels, transistors=True)
    assert len(fine.time) > 3 * len(usual.time)
    np.testing.assert_allclose(usual.readings, fine.readings, atol=0.005)
    assert usual.comparator_energy == pytest.approx(fine.comparator_energy, rel=1e-4)


def test_the_unsigned_adc_reads_its_codes_from_zero_signal():
    unsigned = IDEAL.for_use(unsigned=True)
    assert (unsigned.lowest_voltage, unsigned.lsb_voltage) == (0, NOMINAL.lsb_voltage / 2)
    run = simulate_ramp_adc(unsigned)
    np.testing.assert_array_equal(run.counts(), np.arange(256))
    np.testing.assert_allclose(run.inputs[[0, -1]], [0, NOMINAL.full_scale_voltage])
    real = NOMINAL.for_use(unsigned=True)
    levels = np.array([0.1, 0.5, 0.9]) * real.full_scale_voltage
    readings = simulate_ramp_adc(real, levels, transistors=True).readings
    late = readings - levels / real.lsb_voltage
    assert np.all((late > 0) & (late < 6)), "in codes late by the comparator's delay, at every level"


def test_energy_goes_with_the_bias_current():
    def energy(factor):
        bias = {name: factor * NOMINAL[name] for name in ("comparator.tail_current", "comparator.output_current")}
        run = simulate_ramp_adc(NOMINAL.with_values(bias), [0.0, 0.05], transistors=True)
        return run.comparator_energy

    assert energy(2) / energy(1) == pytest.approx(2, rel=0.05)


def test_a_threshold_error_of_the_transistors_is_an_offset():
    errors = np.array([[0, 0], [5e-3, 0], [0, 5e-3]])
    run = simulate_ramp_adc(NOMINAL, np.zeros(3), transistors=True, threshold_errors=errors)
    shift = (run.readings[1:] - run.readings[0]) * NOMINAL.lsb_voltage
    # The pair's own error counts fully; the load's by the ratio of transconductances sqrt(K W / L).
    ratio = np.sqrt(
        NOMINAL["transistor.nmos_transconductance"]
        * NOMINAL["comparator.load_width"]
        / NOMINAL["comparator.load_length"]
        / (
            NOMINAL["transistor.pmos_transconductance"]
            * NOMINAL["comparator.input_width"]
            / NOMINAL["comparator.length"]
        )
    )
    assert abs(shift[0]) == pytest.approx(5e-3, rel=0.1)
    assert abs(shift[1]) == pytest.approx(5e-3 * ratio, rel=0.2)


def test_wrong_shapes_are_refused():
    with pytest.raises(PeripheralError, match=r"inputs of shape \(columns,\).* got \(2,\), 3 sets and \(2, 2\)"):
        simulate_ramp_adc([NOMINAL] * 3, np.zeros(2))


def test_every_code_voltage():
    voltages = code_voltages(NOMINAL)
    assert voltages.shape == (256,)
    assert voltages[-1] == -voltages[0] == NOMINAL.full_scale_voltage
