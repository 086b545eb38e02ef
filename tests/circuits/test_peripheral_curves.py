"""Gain, offset and non-linearity from readings: closed forms and laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits.peripherals import PeripheralError, PeripheralModel, apply_peripherals
from circuits.peripherals.curves import bit_weights, fit_line, non_linearity_table, transition_non_linearity


@given(gain=st.floats(0.5, 1.5), offset=st.floats(-5, 5), zero=st.sampled_from([0.0, 0.5]))
def test_a_straight_line_is_found_and_leaves_nothing(gain, offset, zero):
    x = np.linspace(0, 1, 33)
    readings = x + (gain - 1) * (x - zero) + offset / 255
    line = fit_line(x, readings, zero=zero, steps=255)
    assert line.gain == pytest.approx(gain)
    assert line.offset_lsb == pytest.approx(offset, abs=1e-9)
    np.testing.assert_allclose(non_linearity_table(x, readings, line, zero=zero, codes=256), 0, atol=1e-9)


def test_a_model_made_of_readings_gives_the_readings_back():
    """The reduction and the application are each other's inverse."""
    x = np.linspace(-0.05, 1.05, 221)
    readings = x + 0.03 * (x - 0.5) + 0.01 + 0.004 * np.sin(7 * x)
    line = fit_line(x, readings, zero=0.5, steps=255)
    table = non_linearity_table(x, readings, line, zero=0.5, codes=256)
    model = PeripheralModel(
        name="m",
        kind="simulated",
        source="test",
        adc_bits=8,
        gain=line.gain,
        offset_lsb=line.offset_lsb,
        inl_lsb=tuple(table),
    )
    inside = (readings > 0) & (readings < 1)
    np.testing.assert_allclose(apply_peripherals(x, model)[inside], readings[inside], atol=2e-4 / 255)


def test_transitions_give_inl_and_dnl_as_data_sheets_define_them():
    widths = np.ones(254)
    widths[9], widths[10] = 1.5, 0.5
    integral, differential = transition_non_linearity(np.concatenate([[0.0], np.cumsum(widths)]) * 3e-3)
    np.testing.assert_allclose(differential[[8, 9, 10, 11]], [0, 0.5, -0.5, 0], atol=1e-12)
    np.testing.assert_allclose(integral[[9, 10, 11, -1]], [0, 0.5, 0, 0], atol=1e-12)


def test_bit_weights_are_found_and_the_rest_is_left():
    rng = np.random.default_rng(0)
    levels, weights = rng.uniform(-1, 1, (40, 8)), 2.0 ** np.arange(8)
    found, constant, rest = bit_weights(levels, levels @ weights + 3)
    np.testing.assert_allclose(found, weights)
    assert constant == pytest.approx(3)
    np.testing.assert_allclose(rest, 0, atol=1e-9)


def test_too_little_is_refused():
    with pytest.raises(PeripheralError, match="more than 9 patterns to find 8 weights, but got 9"):
        bit_weights(np.zeros((9, 8)), np.zeros(9))
    with pytest.raises(PeripheralError, match="1 of 3 that are not finite"):
        fit_line([0, 0.5, 1], [0, np.nan, 1], zero=0.5, steps=255)
