"""Inputs and ADCs of a single bit, where no room is left for a sign."""

import numpy as np
import pytest

from accuracy import AnalogMatrix, CalibrationError, InputError, calibrate, convert, data_sets, networks
from circuits import load_design


@pytest.mark.parametrize("adc_range", [None, "full", (-20.0, 20.0)])
@pytest.mark.parametrize("bits", [{"input_bits": 1}, {"accumulator_bits": 1}])
def test_one_bit_inputs_are_unsigned(adc_range, bits):
    """A sign takes a bit: with one bit nothing is left for the magnitude. Unsigned, 0 and 1 give exact sums."""
    weight = np.random.default_rng(0).normal(size=(12, 3))
    design = load_design("A").replace(adc_bits=20, **bits)
    matrix = AnalogMatrix(weight, design, adc_range=adc_range)
    x = np.random.default_rng(1).integers(0, 2, (4, 12)).astype(float)
    step = np.abs(weight).max() / 127
    tolerance = 12 * step if adc_range is None else 12 * step + 40 * np.abs(weight).max() / 2**20
    np.testing.assert_allclose(matrix.matmul(x), x @ weight, atol=tolerance)
    with pytest.raises(InputError, match="signed inputs to have at least 2 bits"):
        matrix.matmul(-x, signed=True)


def test_one_bit_adcs_read_no_signs():
    """2^1 - 1 levels are the code of 0 alone: refused where ranges are set, or where signed inputs come."""
    with pytest.raises(CalibrationError, match="`adc_bits` of at least 2 where currents have both signs"):
        AnalogMatrix(np.eye(4), load_design("A").replace(adc_bits=1), adc_range="full")
    digits = data_sets.load("digits")
    model = convert(networks.load("digits_cnn"), load_design("A").replace(adc_bits=1))
    with pytest.raises(CalibrationError, match="`adc_bits` of at least 2 where currents have both signs"):
        calibrate(model, digits.batches("calibration", 20, 20))
    offset = AnalogMatrix(np.eye(4), load_design("E").replace(adc_bits=1), adc_range="full")
    assert np.isfinite(offset.matmul(np.ones((1, 4)))).all()
    with pytest.raises(CalibrationError, match="`adc_bits` of at least 2 where currents have both signs"):
        offset.matmul(-np.ones((1, 4)), signed=True)
