"""The reduced peripheral model: reading, validation, and what it does to values before conversion."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import circuits
from circuits.peripherals import noise_rms
from devicekit import Constant


def model(**changes):
    values = {"name": "m", "kind": "assumed", "source": "test", "adc_bits": 8, "inl_lsb": (0.0,) * 256}
    return circuits.PeripheralModel(**(values | changes))


def test_ideal_changes_nothing():
    positions = np.linspace(-0.5, 1.5, 101)[:, None]
    ideal = circuits.PeripheralModel.ideal()
    errors = circuits.draw_columns(ideal, 1, seed=3)
    out = circuits.apply_peripherals(positions, ideal, errors, generator=np.random.default_rng(0))
    np.testing.assert_array_equal(out, positions)


@given(
    gain=st.floats(0.5, 1.5),
    offset=st.floats(-5, 5),
    zero=st.sampled_from([0.0, 0.5]),
    position=st.floats(0, 1),
)
def test_gain_acts_about_zero_and_offset_counts_in_lsb(gain, offset, zero, position):
    changed = model(gain=gain, offset_lsb=offset, zero=zero)
    out = circuits.apply_peripherals([position], changed)
    assert out[0] == pytest.approx(zero + gain * (position - zero) + offset / 255, abs=1e-12)
    assert circuits.apply_peripherals([zero], model(gain=gain, zero=zero))[0] == pytest.approx(zero)


def test_inl_is_added_at_its_code_and_between_codes_interpolated():
    table = tuple(np.sin(np.arange(256) / 20))
    changed = model(inl_lsb=table)
    codes = np.arange(256) / 255
    np.testing.assert_allclose((circuits.apply_peripherals(codes, changed) - codes) * 255, table, atol=1e-12)
    halfway = circuits.apply_peripherals([10.5 / 255], changed)[0] * 255 - 10.5
    assert halfway == pytest.approx((table[10] + table[11]) / 2)
    np.testing.assert_allclose(changed.dnl, np.diff(table))


def test_an_adc_of_another_resolution_sees_the_same_fraction_of_the_range():
    fine = model(adc_bits=10, inl_lsb=(4.0,) * 1024)
    coarse = model(inl_lsb=(4.0 * 255 / 1023,) * 256)
    positions = np.linspace(0, 1, 7)
    np.testing.assert_allclose(
        circuits.apply_peripherals(positions, fine), circuits.apply_peripherals(positions, coarse)
    )


def test_another_zero_sees_the_same_errors_of_the_same_signals():
    both = model(gain=1.02, offset_lsb=3.0, inl_lsb=tuple(np.linspace(-1, 1, 256) ** 2), noise_lsb=0.4, clip_high=0.9)
    signal = np.array([0.0, 0.3, 0.7, 1.5])
    symmetric = circuits.apply_peripherals(0.5 + signal / 2, both) - 0.5
    unsigned = circuits.apply_peripherals(signal, both, zero=0.0)
    np.testing.assert_allclose(unsigned, 2 * symmetric)
    np.testing.assert_allclose(noise_rms(signal, both, zero=0.0), 0.8)


def test_values_stop_at_the_clip_points():
    out = circuits.apply_peripherals([-1.0, 0.2, 0.5, 2.0], model(clip_low=0.1, clip_high=0.9))
    np.testing.assert_allclose(out, [0.1, 0.2, 0.5, 0.9])


def test_noise_has_the_stated_rms_and_shot_noise_goes_with_the_root_of_the_signal():
    noisy = model(noise_lsb=0.4, pattern_lsb=0.3, shot_noise_lsb=1.2)
    np.testing.assert_allclose(noise_rms([0.5, 1.0, 0.0, 0.75], noisy), np.sqrt([0.25, 1.69, 1.69, 0.97]))
    positions = np.tile([0.5, 0.75, 1.0], (40_000, 1))
    out = circuits.apply_peripherals(positions, noisy, generator=np.random.default_rng(1))
    np.testing.assert_allclose(((out - positions) * 255).std(axis=0), np.sqrt([0.25, 0.97, 1.69]), rtol=0.02)


def test_patterns_enter_as_noise_where_their_weights_are_not_applied():
    scatter = Constant(value=1.2, unit="", kind="simulated", source="test")
    known = model(noise_lsb=0.5, pattern_lsb=0.1, figures={"pattern_scatter_lsb": scatter})
    assert noise_rms([0.5], known)[0] == pytest.approx(np.hypot(0.5, 0.1))
    assert noise_rms([0.5], known, weighted=False)[0] == pytest.approx(1.3)
    positions = np.full((40_000, 1), 0.5)
    out = circuits.apply_peripherals(positions, known, weighted=False, generator=np.random.default_rng(1))
    assert ((out - positions) * 255).std() == pytest.approx(1.3, rel=0.02)
    assert model(pattern_lsb=0.2).pattern_scatter_lsb == 0.2, "a model without the figure"


def test_noise_does_not_depend_on_the_batch():
    noisy = model(noise_lsb=1.0)
    positions = np.full((10, 3), 0.5)
    whole = circuits.apply_peripherals(positions, noisy, generator=np.random.default_rng(5))
    generator = np.random.default_rng(5)
    parts = [circuits.apply_peripherals(part, noisy, generator=generator) for part in (positions[:4], positions[4:])]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_columns_are_drawn_with_the_stated_spread_and_stay_when_more_are_drawn():
    spread = model(gain=1.01, gain_sigma=0.02, offset_lsb=0.5, offset_sigma_lsb=1.5)
    errors = circuits.draw_columns(spread, 20_000, seed=2)
    assert errors.gain.mean() == pytest.approx(1.01, abs=6e-4)
    assert errors.gain.std() == pytest.approx(0.02, rel=0.02)
    assert errors.offset_lsb.mean() == pytest.approx(0.5, abs=0.05)
    assert errors.offset_lsb.std() == pytest.approx(1.5, rel=0.02)
    assert abs(np.corrcoef(errors.gain, errors.offset_lsb)[0, 1]) < 0.03
    np.testing.assert_array_equal(circuits.draw_columns(spread, 7, seed=2).gain, errors.gain[:7])
    np.testing.assert_array_equal(circuits.draw_columns(spread, 3, seed=None).gain, [1.01] * 3)


def test_trim_removes_the_mean_and_keeps_what_was_cut_off():
    raw = model(gain=1.25, offset_lsb=2.55, gain_sigma=0.1, offset_sigma_lsb=1.0)
    positions = np.linspace(0, 1, 50)
    trimmed = raw.trimmed()
    digital = 0.5 + (np.clip(circuits.apply_peripherals(positions, raw), 0, 1) - 0.01 - 0.5) / 1.25
    np.testing.assert_allclose(circuits.apply_peripherals(positions, trimmed), digital, atol=1e-12)
    assert (trimmed.gain_sigma, trimmed.offset_sigma_lsb) == (0.1, 1.0)
    by_column = raw.trimmed(columns=True)
    assert (by_column.gain_sigma, by_column.offset_sigma_lsb) == (0.0, 0.0)


def test_a_saved_model_is_read_back_the_same(tmp_path):
    joule = Constant(value=1e-13, unit="J", kind="simulated", source="test", interval=(0.9e-13, 1.2e-13))
    saved = model(energy={"comparator": joule}, bit_weights=tuple(2.0**b / 255 for b in range(8)))
    assert circuits.load_peripherals(saved.save(tmp_path / "new" / "m.json")) == saved


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inl_lsb": [0.0] * 255}, r"inl_lsb: expected 2\*\*adc_bits = 256 numbers, but got 255"),
        ({"gain_sigma": -1}, r"gain_sigma: .* greater than or equal to 0, but got -1"),
        ({"gain_sgima": 0.1}, r"gain_sgima: Extra inputs are not permitted"),
        ({"clip_low": 3.0}, r"expected clip_low below clip_high, but got 3.0 and 2.0"),
        ({"bit_weights": [0.5, 0.6]}, r"bit_weights: expected a sum of 1, but got 1.1"),
        ({"gain": "much"}, r"gain: Input should be a valid number.*but got 'much'"),
        ({"format": "other"}, r"format: Input should be 'devicekit-peripherals-1'"),
        (
            {"energy": {"adc": {"value": 1, "unit": "pJ", "kind": "assumed", "source": "x"}}},
            r"energy of adc: expected at least 0 in J, but got 1.0 pJ",
        ),
    ],
)
def test_a_bad_file_is_refused_with_its_name_and_the_field(tmp_path, changes, message):
    content = model().model_dump(mode="json") | changes
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(content))
    with pytest.raises(circuits.PeripheralError, match=message) as raised:
        circuits.load_peripherals(path)
    assert str(raised.value).startswith(str(path))


def test_a_missing_field_and_broken_json_are_named(tmp_path):
    path = tmp_path / "bad.json"
    path.write_text('{"name": "m"}')
    with pytest.raises(circuits.PeripheralError, match=r"kind: Field required \(\d more\)"):
        circuits.load_peripherals(path)
    path.write_text("{")
    with pytest.raises(circuits.PeripheralError, match="Invalid JSON"):
        circuits.load_peripherals(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(circuits.PeripheralError, match="not a text file"):
        circuits.load_peripherals(path)


def test_an_unknown_name_is_refused():
    with pytest.raises(circuits.PeripheralError, match="Unknown peripheral model or file 'no_such'"):
        circuits.load_peripherals("no_such")


def test_wrong_shapes_are_refused():
    errors = circuits.draw_columns(model(), 3, seed=0)
    with pytest.raises(circuits.PeripheralError, match=r"positions of 3 columns, as drawn, but got the shape \(2, 4\)"):
        circuits.apply_peripherals(np.zeros((2, 4)), model(), errors)
    with pytest.raises(circuits.PeripheralError, match="at least 1 column, but got 0"):
        circuits.draw_columns(model(), 0, seed=0)
    with pytest.raises(circuits.PeripheralError, match="`zero` from 0 to below 1, but got 1"):
        circuits.apply_peripherals(np.zeros((2, 3)), model(), zero=1.0)
