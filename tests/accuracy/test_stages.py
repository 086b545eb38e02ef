"""What stands between cells and codes: read noise, stuck cells, bit lines and peripherals, each by its law."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from accuracy import (
    AnalogMatrix,
    CalibrationError,
    Faults,
    MappingError,
    analog_layers,
    calibrate,
    convert,
    evaluate,
    measure_activity,
)
from accuracy.arrays.physics import NoiseSource
from circuits import BitLinePoint, EnvelopeWarning, expected_error_lsb
from circuits.bit_line.envelope import forget_warnings
from circuits.peripherals.apply import apply_peripherals, draw_columns
from circuits.peripherals.model import PeripheralModel
from devicekit import Cell, DesignError, Spatial, StateIndependent, StateProportional, load_device
from tests.accuracy.small_networks import design, small_data, small_network

READ_NOISE = 0.04


@pytest.mark.parametrize(
    "cell",
    [
        load_device("sonos_40nm_tcas2022").at(time=86_400.0),
        load_device("sonos_40nm_iedm2022"),
        Cell(error=StateIndependent(0.2), i_max=1.6e-6, on_off_ratio=10.0, spatial=Spatial(die=0.3, wafer=0.2)),
    ],
    ids=["aged", "shifted", "dies"],
)
@pytest.mark.parametrize("form", ["differential", "offset"])
def test_cells_are_programmed_as_the_device_says_and_clipped_at_zero(cell: Cell, form: str) -> None:
    """Worked out digit by digit, the currents are those of `Cell.program` for the same seed."""
    own = design("A", negative_weights=form, bits_per_cell=3)
    # More cells than go through at once, in slices.
    matrix = AnalogMatrix(np.random.default_rng(0).laplace(size=(300, 120)), own, cell, seed=5)
    array = matrix.array
    wanted = np.clip(cell.program(array.targets * cell.i_max, np.random.default_rng(5)) / cell.i_max, 0.0, None)
    np.testing.assert_allclose(array.conductances, wanted, rtol=1e-13, atol=1e-16)
    assert (array.conductances == 0).any() == (cell.spatial is not None)
    assert array.targets.shape == array.mapping.digits.shape == wanted.shape


def test_cells_programmed_again_read_as_in_a_new_model() -> None:
    """The layout of a convolution is kept between trials; what it reads is not."""
    cell = Cell(error=StateProportional(0.3), i_max=1.6e-6, on_off_ratio=100.0)
    x = small_data()[0][0]
    for name in ("A", "B", "C", "D"):
        model, fresh = (convert(small_network(), design(name), cell) for _ in range(2))
        calibrate(model, small_data())
        fresh.load_state_dict(model.state_dict())
        with torch.inference_mode():
            before = model(x)
            for one in (model, fresh):
                for layer in analog_layers(one):
                    layer.program(7, 3)
            after = model(x)
            assert torch.equal(after, fresh(x))
        assert not torch.equal(after, before)


def noisy_cell(read_noise: float = READ_NOISE) -> Cell:
    return Cell(
        error=StateIndependent(0.0),
        i_max=1.6e-6,
        on_off_ratio=math.inf,
        read_voltage=0.1,
        read_noise=StateProportional(read_noise),
    )


def spread(x: np.ndarray, **changes: object) -> float:
    """Standard deviation of the outputs of equal inputs on equal weights, over 20 000 readings."""
    own = design("A", negative_weights="offset", bits_per_cell=8, adc_bits=None, **changes)
    matrix = AnalogMatrix(np.full((16, 4), 1.0), own, noisy_cell(), seed=1)
    return float(np.std(matrix.matmul(np.tile(x, (5_000, 1)))))


def test_read_noise_of_one_slice_is_the_cells_own() -> None:
    x = np.full(16, 1.0)
    # Sixteen full cells of digit 255/255, in units of 127 digits.
    wanted = READ_NOISE * math.sqrt(16) * 255 / 127
    assert spread(x, bits_per_input_slice=None) == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize("accumulation", ["analog", "digital"])
def test_eight_input_slices_gain_1_725_in_read_noise(accumulation: str) -> None:
    x = np.full(16, 1.0)
    gain = spread(x, bits_per_input_slice=None, input_accumulation=accumulation) / spread(
        x, input_accumulation=accumulation
    )
    wanted = 255 / math.sqrt(sum(4**b for b in range(8)))
    assert wanted == pytest.approx(1.725, abs=1e-3)
    assert gain == pytest.approx(wanted, rel=0.03)


def test_read_noise_follows_the_formula_bit_by_bit() -> None:
    integers = np.arange(16) * 17
    x = integers / 255
    variance = sum((2**b / 255) ** 2 * ((integers >> b) & 1).sum() for b in range(8)) * READ_NOISE**2
    assert spread(x) == pytest.approx(math.sqrt(variance) * 255 / 127, rel=0.02)


def test_a_pulse_is_as_many_samples_as_unit_times() -> None:
    x = np.full(16, 1.0)
    pulse = spread(x, input_encoding="pulse_width", bits_per_input_slice=4)
    voltage = spread(x, input_encoding="voltage", bits_per_input_slice=4)
    assert voltage / pulse == pytest.approx(math.sqrt(15), rel=0.03)


def test_both_cells_of_a_pair_add_their_noise() -> None:
    cell = dataclasses.replace(noisy_cell(), on_off_ratio=2.0)
    matrix = AnalogMatrix(np.full((16, 4), 1.0), design("A", adc_bits=None, bits_per_input_slice=None), cell)
    found = np.std(matrix.matmul(np.ones((10_000, 16))))
    assert found == pytest.approx(READ_NOISE * math.sqrt(16 * (1 + 0.25)) / 0.5, rel=0.02)


def test_noise_depends_on_the_image_not_on_the_batch() -> None:
    x = np.random.default_rng(0).random((20, 16))
    whole = AnalogMatrix(np.eye(16), design("A"), noisy_cell(), (-4, 4), seed=2).matmul(x)
    parts = AnalogMatrix(np.eye(16), design("A"), noisy_cell(), (-4, 4), seed=2)
    joined = np.concatenate([parts.matmul(x[:3]), parts.matmul(x[3:4]), parts.matmul(x[4:])])
    np.testing.assert_array_equal(whole, joined)
    assert not np.array_equal(parts.matmul(x), whole), "later readings are new readings"


def test_noise_sources_are_standard_normal_and_independent() -> None:
    source, other = NoiseSource((1, 2)), NoiseSource((1, 3))
    like = torch.empty(0, dtype=torch.float64)
    source.begin(50)
    other.begin(50)
    first, second, foreign = (s.normals((50, 400), like).numpy() for s in (source, source, other))
    for values in (first, second, foreign):
        assert abs(values.mean()) < 0.03
        assert values.std() == pytest.approx(1.0, abs=0.02)
    for pair in ((first, second), (first, foreign), (first[:-1], first[1:])):
        assert abs(np.mean(pair[0] * pair[1])) < 0.03


@pytest.mark.parametrize("seed", range(3))
def test_stuck_cells_are_as_many_as_asked_for(seed: int) -> None:
    weight = np.full((200, 200), 0.5)
    weight[0, 0] = 1.0
    matrix = AnalogMatrix(weight, design("A"), noisy_cell(0.0), seed=seed, faults=Faults(0.1, 0.02))
    g = matrix.conductances
    assert (g == 1.0).mean() == pytest.approx(0.02, abs=2e-3)
    idle_line = g[0, 1]
    assert (idle_line == 0.0).mean() == pytest.approx(0.98, abs=2e-3)
    assert (g[0, 0] == 0.0).mean() == pytest.approx(0.1, abs=4e-3)


@pytest.mark.parametrize("fractions", [(-0.1, 0.0), (0.6, 0.6), (math.nan, 0.0)])
def test_impossible_fractions_of_stuck_cells_are_refused(fractions: tuple[float, float]) -> None:
    with pytest.raises(DesignError, match="fractions of stuck cells"):
        Faults(*fractions)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("model", ["resistor", "affine", "relinearised"])
def test_a_bit_line_without_resistance_is_the_product(model: str, signed: bool) -> None:
    rng = np.random.default_rng(4)
    weight, x = rng.normal(size=(30, 5)), rng.uniform(-1 if signed else 0, 1, (6, 30))
    plain = AnalogMatrix(weight, design("C", max_rows=16)).matmul(x, signed)
    wired = AnalogMatrix(weight, design("C", max_rows=16, r_p_hat=1e-12), bit_line=model).matmul(x, signed)  # type: ignore[arg-type]
    np.testing.assert_allclose(wired, plain, rtol=0, atol=1e-7)


def test_resistance_takes_current_away_and_offset_cells_suffer_most() -> None:
    rng = np.random.default_rng(5)
    weight, x = rng.normal(size=(128, 8)) ** 3, rng.random((20, 128))
    errors = {}
    for form, bits in (("differential", 7), ("offset", 8)):
        own = design("A", negative_weights=form, bits_per_cell=bits)
        plain = AnalogMatrix(weight, own).matmul(x)
        wired = AnalogMatrix(weight, own.replace(r_p_hat=1e-5)).matmul(x)
        errors[form] = np.abs(wired - plain).max() / np.abs(plain).std()
    assert errors["offset"] > 20 * errors["differential"] > 0


def test_bit_lines_need_quantised_inputs() -> None:
    with pytest.raises(MappingError, match="give `input_bits`"):
        AnalogMatrix(np.eye(3), design("A", r_p_hat=1e-5, input_bits=None, input_encoding="pulse_width"))


def peripherals(**changes: object) -> PeripheralModel:
    return PeripheralModel.ideal().model_copy(update=changes)


def test_ideal_peripherals_change_nothing() -> None:
    rng = np.random.default_rng(6)
    weight, x = rng.normal(size=(40, 6)), rng.random((9, 40))
    for name in "AE":
        plain = AnalogMatrix(weight, design(name), None, "full").matmul(x)
        through = AnalogMatrix(weight, design(name), None, "full", peripherals=peripherals()).matmul(x)
        np.testing.assert_array_equal(plain, through)


def test_peripherals_act_as_the_circuits_room_says() -> None:
    rng = np.random.default_rng(7)
    weight, x = rng.normal(size=(40, 6)), rng.random((9, 40))
    model = peripherals(
        gain=0.97, gain_sigma=0.02, offset_lsb=1.5, offset_sigma_lsb=2.0, inl_lsb=tuple(np.sin(np.arange(256) / 20.0))
    )
    own, hi = design("A"), 8.0
    matrix = AnalogMatrix(weight, own, None, (-hi, hi), seed=3, peripherals=model)
    step = np.abs(weight).max() / 127
    integers = np.rint(weight / np.abs(weight).max() * 127)
    v = np.rint(x * 255) / 255 @ integers / 127
    generator = np.random.default_rng(3)
    positions = apply_peripherals((v + hi) / (2 * hi), model, draw_columns(model, 6, generator), zero=0.5)
    codes = np.rint(np.clip(positions, 0, 1) * 254)
    np.testing.assert_allclose(matrix.matmul(x), (codes / 254 * 2 * hi - hi) * 127 * step, rtol=0, atol=1e-12)


def test_conversion_noise_has_the_models_rms() -> None:
    model = peripherals(noise_lsb=3.0, pattern_lsb=4.0)
    own = design("A", adc_bits=16)
    matrix = AnalogMatrix(np.ones((1, 1)), own, None, (-1.0, 1.0), peripherals=model)
    readings = matrix.matmul(np.full((10_000, 1), 51 / 255))
    assert readings.mean() == pytest.approx(0.2, abs=1e-3)
    assert readings.std() == pytest.approx(5.0 * 2 / 255, rel=0.02)


def test_unequal_bit_weights_shift_the_inputs_value() -> None:
    weights = np.array([2.0**b for b in range(8)]) * (1 + 0.01 * np.arange(8))
    model = peripherals(bit_weights=tuple(weights / weights.sum()))
    matrix = AnalogMatrix(np.ones((1, 1)), design("A", adc_bits=20), None, (-1.0, 1.0), peripherals=model)
    x = np.arange(256)
    wanted = sum(((x >> b) & 1) * weights[b] for b in range(8)) / weights.sum()
    np.testing.assert_allclose(matrix.matmul(x[:, None] / 255)[:, 0], wanted, atol=2e-6)


@pytest.mark.parametrize("signed", [False, True])
def test_bit_weights_act_on_bit_lines_as_without_resistance(signed: bool) -> None:
    rng = np.random.default_rng(8)
    weights = 2.0 ** np.arange(8) * (1 + 0.02 * rng.normal(size=8))
    model = peripherals(bit_weights=tuple(weights / weights.sum()))
    weight, x = rng.normal(size=(20, 4)), rng.uniform(-1 if signed else 0, 1, (50, 20))
    own = design("A", adc_bits=20)
    plain, wired = (
        AnalogMatrix(weight, own.replace(r_p_hat=wire), None, (-3.0, 3.0), peripherals=model).matmul(x, signed)
        for wire in (0.0, 1e-12)
    )
    np.testing.assert_allclose(wired, plain, atol=1e-4 * np.abs(plain).max())


def test_peripherals_without_a_range_are_refused() -> None:
    with pytest.raises(CalibrationError, match="act on an ADC's range"):
        AnalogMatrix(np.eye(3), design("A"), peripherals=peripherals())


# Wires beyond the envelope of their model: here they only have to act.
@pytest.mark.filterwarnings("ignore::circuits.EnvelopeWarning")
def test_stages_run_through_networks_and_leave_the_ideal_accuracy_alone() -> None:
    model = convert(
        small_network(),
        design("E", r_p_hat=1e-3),
        noisy_cell(0.3),
        peripherals=peripherals(noise_lsb=1.0, gain_sigma=0.01),
        faults=Faults(0.01, 0.01),
    )
    found = evaluate(calibrate(model, small_data(seed=2)), small_data(24, 24), 2)
    plain = evaluate(calibrate(convert(small_network(), design("E")), small_data(seed=2)), small_data(24, 24), 1)
    np.testing.assert_array_equal(found.ideal_scores, plain.ideal_scores)
    assert found.mean < found.ideal


def wired_small(bit_line: str = "resistor", **changes: object) -> torch.nn.Module:
    own = design("A", **changes)
    model = convert(small_network(), own, noisy_cell(), bit_line=bit_line)  # type: ignore[arg-type]
    return calibrate(model, small_data())


def test_an_evaluation_outside_the_envelope_of_its_wires_warns_once_of_the_worst_layer() -> None:
    forget_warnings()
    model, data = wired_small(r_p_hat=1e-4), small_data(8, 4)
    found = measure_activity(model, data[:1])
    points = {
        layer.name: BitLinePoint.of(layer.design, found[layer.name], layer.array.mapping.rows)
        for layer in analog_layers(model)
    }
    errors = {name: expected_error_lsb(point, gain_removed=True) for name, point in points.items()}
    worst = max(errors, key=errors.__getitem__)
    assert errors[worst] > 0.5
    with pytest.warns(EnvelopeWarning) as caught:
        evaluate(model, data, 2)
    assert len(caught) == 1
    text = str(caught[0].message)
    assert f"off by {errors[worst]:.2g} LSB" in text
    assert f"{points[worst].rows} rows, R_p_hat = 0.0001, {points[worst].activity:.0%} of the rows on" in text
    # Warnings are errors here: a second evaluation is silent.
    evaluate(model, data, 1)


@pytest.mark.parametrize(
    ("bit_line", "changes"), [("resistor", {"r_p_hat": 1e-9}), ("resistor", {}), ("transistor", {"r_p_hat": 1e-4})]
)
def test_inside_the_envelope_an_evaluation_is_silent(bit_line: str, changes: dict[str, object]) -> None:
    forget_warnings()
    evaluate(wired_small(bit_line, **changes), small_data(2, 2), 1)
