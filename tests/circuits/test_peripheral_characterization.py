"""The whole chain: reduced models, what random patterns show, spread, sweeps, and the recorded file."""

import json
import time

import numpy as np
import pytest

import circuits
from circuits.peripherals import noise_rms, sweep, theory, with_intervals
from circuits.peripherals.front_end import simulate_front_end
from circuits.peripherals.ramp_adc import simulate_ramp_adc
from circuits.peripherals.sweeps import TEMPERATURES
from tests.reference import peripheral_closed_forms as closed_forms

NOMINAL = circuits.load_parameters("sonos_40nm")
STEPS = NOMINAL.codes - 1
BINARY = 2.0 ** np.arange(8) / 255


@pytest.fixture(scope="module")
def behavioural(ngspice):
    return circuits.characterize(NOMINAL, columns=6, patterns=14, transistors=False)


def test_runs_are_json_as_they_stand(behavioural):
    values = behavioural.to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert values["model"]["temperature_k"] == behavioural.model.temperature
    assert [row["level"] for row in values["transfer"]] == behavioural.levels.tolist()
    assert len(values["patterns"]) == 14


def test_the_ideal_chain_converts_random_patterns_exactly(ngspice):
    """Bits in, code out, against the arithmetic that the chain stands for."""
    levels = np.random.default_rng(3).uniform(-1, 1, (16, 8))
    ideal = NOMINAL.ideal()
    start = time.perf_counter()
    voltage = simulate_front_end(ideal, levels).gain_stage
    counts = simulate_ramp_adc(ideal, voltage).counts()
    assert time.perf_counter() - start < 60, "the 8-bit chain takes seconds"
    exact = (0.5 + levels @ BINARY / 2) * STEPS
    clear = np.abs(exact - np.rint(exact)) < 0.45
    assert np.count_nonzero(clear) > 10
    np.testing.assert_array_equal(counts[clear], np.rint(exact[clear]))


def test_the_ideal_circuit_reduces_to_the_ideal_model(ngspice):
    model = circuits.characterize(NOMINAL.ideal(), columns=0, patterns=10, transistors=False).model
    assert model.gain == pytest.approx(1, abs=1e-4)
    assert abs(model.offset_lsb) < 0.01
    assert np.max(np.abs(model.inl)) < 0.01
    assert model.pattern_lsb < 0.01
    assert (model.gain_sigma, model.offset_sigma_lsb, model.energy) == (0, 0, {})
    np.testing.assert_allclose(model.bit_weights, BINARY, rtol=1e-3)


def test_a_straight_ramp_hides_the_memory_that_random_patterns_show(ngspice):
    slow_line = NOMINAL.ideal().with_values({"conveyor.input_resistance": 6e3})
    run = circuits.characterize(slow_line, columns=0, patterns=12, transistors=False)
    tau = 6e3 * NOMINAL["input.bit_line_capacitance"]
    memory = closed_forms.conveyor_memory(6e3, NOMINAL["input.bit_line_capacitance"], 2.5e-9, 7.5e-9)
    assert memory == pytest.approx(np.exp(-2.5e-9 / tau) * tau / 7.5e-9 * (1 - np.exp(-7.5e-9 / tau)))
    assert run.model.figures["integrator_memory"].value == pytest.approx(memory / (1 - memory), rel=0.03)
    assert np.max(np.abs(run.model.inl)) < 0.02, "levels that are the same in all bits show nothing"
    assert run.model.figures["pattern_scatter_lsb"].value > 0.3
    assert run.model.pattern_lsb < 0.02, "and it is linear: other weights of the bits, no more"
    # Bit b is worth 2^b (1 - m) + 2^(b+1) m; the first has long been on, the last has no bit after it.
    weights = BINARY * (1 - memory) + np.append(BINARY[1:], 0) * memory
    weights[0] += BINARY[0] * memory
    np.testing.assert_allclose(run.model.bit_weights, weights / weights.sum(), rtol=3e-3)


def test_the_model_stands_for_the_circuit(behavioural):
    """Applied to new random patterns it predicts ngspice's codes to well under an LSB."""
    levels = np.random.default_rng(9).uniform(-1, 1, (14, 8))
    voltage = simulate_front_end(NOMINAL, levels).gain_stage
    simulated = simulate_ramp_adc(behavioural.parameters, voltage).readings
    sums = levels @ np.array(behavioural.model.bit_weights)
    predicted = circuits.apply_peripherals(0.5 + sums / 2, behavioural.model) * STEPS
    error = simulated - predicted
    assert np.sqrt(np.mean(error**2)) < 0.1
    unweighted = simulated - circuits.apply_peripherals(0.5 + levels @ BINARY / 2, behavioural.model) * STEPS
    assert unweighted.std() == pytest.approx(behavioural.model.figures["pattern_scatter_lsb"].value, rel=0.6)


def test_spread_is_what_the_drawn_columns_make_it(behavioural):
    drawn = NOMINAL.draw(6, int(np.random.SeedSequence(0).generate_state(3)[1]))
    predicted = np.array(
        [
            (1 + p["conveyor.gain_error"])
            * (NOMINAL["integrator.capacitance"] / p["integrator.capacitance"])
            * theory.accumulator_weights(theory.share_ratio(p), 8).sum()
            * (1 + p["gain_stage.gain_error"])
            for p in drawn
        ]
    )
    deviation = behavioural.column_gain / behavioural.column_gain.mean()
    np.testing.assert_allclose(deviation, predicted / predicted.mean(), atol=1e-3)
    assert behavioural.model.gain_sigma == pytest.approx(predicted.std(ddof=1), rel=0.2)
    common = NOMINAL["input.common_current"]
    offsets = np.array(
        [
            (
                (p["integrator.offset_voltage"] + p["conveyor.mismatch"] * common * 7.5e-9 / 750e-15) * 2 * 0.99
                + 2 * p["gain_stage.offset_voltage"]
                - p["adc.comparator_offset"]
            )
            / behavioural.parameters.lsb_voltage
            for p in drawn
        ]
    )
    found = behavioural.column_offset_lsb
    np.testing.assert_allclose(found - found.mean(), offsets - offsets.mean(), atol=0.4)


@pytest.mark.slow
def test_same_seed_same_model(ngspice, behavioural):
    again = circuits.characterize(NOMINAL, columns=6, patterns=14, transistors=False)
    assert again.model == behavioural.model


def test_the_figures_can_be_drawn_and_the_model_saved(behavioural, tmp_path):
    figure, axes = behavioural.plot()
    assert set(axes) == {"waveforms", "curve", "adc", "patterns", "columns", "noise"}
    figure.savefig(tmp_path / "page.png", dpi=40)
    assert circuits.load_peripherals(behavioural.save(tmp_path / "m.json")) == behavioural.model


def test_bad_requests_are_refused():
    with pytest.raises(circuits.PeripheralError, match=r"`columns` of 2 or more to find a spread, or 0 .* got 1"):
        circuits.characterize(columns=1)
    with pytest.raises(circuits.PeripheralError, match="`patterns` of at least 10, but got 5"):
        circuits.characterize(patterns=5)
    with pytest.raises(circuits.PeripheralError, match="`input_bits` of at least 1, but got 0"):
        circuits.characterize(input_bits=0)


def test_an_adc_that_cannot_decide_is_refused(ngspice):
    blind = NOMINAL.with_values({"adc.ramp_error": -0.5})
    with pytest.raises(circuits.PeripheralError, match="does not decide on some values within its range"):
        circuits.characterize(blind, columns=0, patterns=10, transistors=False)


def test_the_recorded_model_is_complete():
    """What works without ngspice: reading, applying, energies with intervals."""
    assert circuits.peripheral_names() == [
        "sonos_40nm",
        "sonos_40nm_one_bit",
        "sonos_40nm_one_bit_unsigned",
        "sonos_40nm_unsigned",
    ]
    model = circuits.load_peripherals("sonos_40nm")
    assert model.kind == "simulated"
    assert "transistor level" in model.source
    assert set(model.energy) == {"integrator_amplifier", "comparator", "ramp_generator"}
    for constant in model.energy.values():
        low, high = constant.interval
        assert low < constant.value < high
    assert 0.9 < model.gain < 1.1
    assert -0.2 < model.figures["common_mode_gain"].value < -0.05
    assert model.gain_sigma > 0
    assert model.offset_sigma_lsb > 0
    assert np.max(np.abs(model.inl)) < 1
    positions = np.random.default_rng(0).uniform(0, 1, (10, 256))
    out = circuits.apply_peripherals(positions, model, circuits.draw_columns(model, 256, seed=1))
    assert np.max(np.abs(out - positions)) < 0.1


@pytest.mark.parametrize(
    ("design", "signed_inputs", "name", "zero", "bits"),
    [
        ("A", False, "sonos_40nm", 0.5, 8),
        ("D", False, "sonos_40nm_one_bit", 0.5, None),
        ("E", False, "sonos_40nm_one_bit_unsigned", 0.0, None),
        ("E", True, "sonos_40nm_one_bit", 0.5, None),
    ],
)
def test_a_design_gets_the_characterisation_of_its_use(design, signed_inputs, name, zero, bits):
    model = circuits.load_peripherals("sonos_40nm", circuits.load_design(design), signed_inputs=signed_inputs)
    assert (model.name, model.zero) == (name, zero)
    assert (model.bit_weights and len(model.bit_weights)) == bits
    assert model.input_bits == (bits or 1)


def test_a_file_and_a_variant_are_taken_as_they_are(tmp_path):
    offset = circuits.load_design("E")
    path = circuits.load_peripherals("sonos_40nm").save(tmp_path / "own.json")
    assert circuits.load_peripherals(path, offset).zero == 0.5
    assert circuits.load_peripherals("sonos_40nm_unsigned", offset).name == "sonos_40nm_unsigned"


def test_an_unsigned_range_is_half_as_wide_and_errors_count_twice():
    """Why it needs a characterisation of its own: the same voltages are twice as many of its codes."""
    both, one = (circuits.load_peripherals(f"sonos_40nm{use}") for use in ("", "_unsigned"))
    # Twice, but for the front ends' gains: one line's cells are loaded less than two with a common current.
    gains = [model.figures["front_end_gain"].value for model in (both, one)]
    twice = 2 * gains[0] / gains[1]
    assert 1.7 < twice < 2
    assert one.offset_sigma_lsb / both.offset_sigma_lsb == pytest.approx(twice, rel=0.1)
    assert one.shot_noise_lsb / both.shot_noise_lsb == pytest.approx(twice, rel=0.02)
    for name in ("integrator_reset", "accumulator_sampling", "accumulator_sharing", "gain_stage", "comparator"):
        ratio = one.figures[f"noise_{name}_lsb"].value / both.figures[f"noise_{name}_lsb"].value
        assert ratio == pytest.approx(twice, rel=0.02), name
    assert np.max(np.abs(one.inl)) > 5 * np.max(np.abs(both.inl)), (
        "a pair's loading is odd in the signal, one line's not"
    )
    assert one.figures["noise_shot_noise_of_the_common_current_lsb"].value == 0, "nothing is subtracted"
    assert one.gain_sigma == pytest.approx(both.gain_sigma, rel=0.2), "a gain is a share of the signal"
    assert one.energy["comparator"].value == pytest.approx(both.energy["comparator"].value, rel=0.02)
    assert one.energy["ramp_generator"].value == pytest.approx(both.energy["ramp_generator"].value / 2, rel=0.02)
    eight = both.energy["integrator_amplifier"].value
    single = circuits.load_peripherals("sonos_40nm_one_bit").energy["integrator_amplifier"].value
    # Bits and the reset before the first one, each at the amplifier's bias current.
    assert single / eight == pytest.approx((10 + 2.5) / (8 * 10 + 2.5), rel=0.01)


def test_a_symmetric_model_on_an_unsigned_range_is_of_the_order_of_the_unsigned_one():
    """One is characterised, the other follows: what it cannot know is the loading of a single line."""
    both, one = (circuits.load_peripherals(f"sonos_40nm{use}") for use in ("", "_unsigned"))
    positions = np.linspace(0.05, 0.95, 7)
    np.testing.assert_allclose(noise_rms(positions, both, zero=0.0), noise_rms(positions, one), rtol=0.25)
    taken = circuits.apply_peripherals(positions, both.trimmed(), zero=0.0)
    np.testing.assert_allclose(taken, positions, atol=0.3 / STEPS)
    own = circuits.apply_peripherals(positions, one.trimmed())
    assert 1 < np.max(np.abs(own - positions)) * STEPS < 3


@pytest.mark.parametrize("input_bits", [None, 1])
def test_the_ideal_unsigned_circuit_reduces_to_the_ideal_model(ngspice, input_bits):
    run = circuits.characterize(
        NOMINAL.ideal(), columns=2, patterns=10, transistors=False, unsigned=True, input_bits=input_bits
    )
    model = run.model
    assert (model.zero, run.parameters.bits) == (0.0, input_bits or 8)
    assert model.gain == pytest.approx(1, abs=1e-4)
    assert abs(model.offset_lsb) < 0.01
    assert np.max(np.abs(model.inl)) < 0.01
    assert model.pattern_lsb < 0.01
    assert model.gain_sigma > 0, "what is drawn is not ideal"
    if input_bits is None:
        np.testing.assert_allclose(model.bit_weights, BINARY, rtol=1e-3)
    run.plot()[0].canvas.draw()


@pytest.mark.slow
def test_the_unsigned_model_stands_for_the_circuit(ngspice):
    run = circuits.characterize(NOMINAL, columns=0, patterns=28, transistors=False, unsigned=True)
    levels = np.random.default_rng(9).uniform(0, 1, (14, 8))
    voltage = simulate_front_end(run.parameters, levels).gain_stage
    simulated = simulate_ramp_adc(run.parameters, voltage).readings
    predicted = circuits.apply_peripherals(levels @ np.array(run.model.bit_weights), run.model) * STEPS
    error = np.sqrt(np.mean((simulated - predicted) ** 2))
    assert error < 1.5 * run.model.pattern_lsb
    assert run.model.pattern_lsb < 1


@pytest.mark.slow
def test_the_recorded_model_is_what_ngspice_gives_now(ngspice):
    recorded = circuits.load_peripherals("sonos_40nm")
    start = time.perf_counter()
    model = circuits.characterize("sonos_40nm").model
    assert time.perf_counter() - start < 120
    assert model.gain == pytest.approx(recorded.gain, abs=2e-4)
    assert model.offset_lsb == pytest.approx(recorded.offset_lsb, abs=0.02)
    np.testing.assert_allclose(model.inl, recorded.inl, atol=0.02)
    assert model.noise_lsb == pytest.approx(recorded.noise_lsb, rel=1e-3)
    assert model.gain_sigma == pytest.approx(recorded.gain_sigma, rel=0.02)
    for name, constant in recorded.energy.items():
        assert model.energy[name].value == pytest.approx(constant.value, rel=0.01)


@pytest.mark.slow
def test_temperature_and_corners_move_figures_the_way_physics_says(ngspice):
    cold, nominal, hot, fast, slow = sweep(patterns=12, transistors=False)
    assert [model.temperature for model in (cold, nominal, hot)] == list(TEMPERATURES)
    assert [model.corner for model in (fast, slow)] == ["fast", "slow"]
    # kT/C: with the root of temperature.
    ratio = hot.figures["noise_accumulator_sharing_lsb"].value / cold.figures["noise_accumulator_sharing_lsb"].value
    assert ratio == pytest.approx(np.sqrt(TEMPERATURES[2] / TEMPERATURES[0]), rel=1e-3)
    for key in ("gain_stage_settling_time", "adc_delay"):
        figures = [abs(model.figures[key].value) for model in (cold, nominal, hot)]
        assert figures[0] < figures[1] < figures[2], f"{key}: amplifiers slow down when hot"
    assert fast.figures["adc_delay"].value < nominal.figures["adc_delay"].value < slow.figures["adc_delay"].value
    assert abs(fast.gain - slow.gain) < 0.02, "each chip is calibrated"
    assert abs(hot.gain - cold.gain) > 0.002, "and then warms up"
    widened = with_intervals(nominal, [cold, hot, fast, slow])
    low, high = widened.figures["adc_delay"].interval
    assert low < widened.figures["adc_delay"].value < high
