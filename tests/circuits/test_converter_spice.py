"""Behavioural SAR and ramp ADCs against ngspice: charge on a mismatched array, a ramp that is uneven and droops."""

import numpy as np
import pytest

from circuits import Adc, confirm_adc
from circuits.converters.drawn import BinarySearch, capacitor_weights, droop_of, ramp_levels
from circuits.converters.spice import SarCircuit, simulate_ramp, simulate_sar
from circuits.peripherals.model import PeripheralError
from circuits.spice.simulator import spice_missing
from devicekit import DesignError

pytestmark = pytest.mark.skipif(bool(spice_missing()), reason="ngspice or PySpice is absent")


def test_a_search_finds_the_codes_of_charge_redistribution() -> None:
    """0.02 LSB beside the worst transitions of arrays that differ by 5 %, where codes are wide or missing."""
    found = confirm_adc(Adc("sar", circuit={"capacitor_mismatch": 0.05, "comparator_offset_lsb": 1.0}), 6, converters=4)
    assert np.array_equal(found.spice, found.behavioural)
    assert found.distance.min() < 0.021
    assert np.unique(found.spice).size > 10


def test_an_array_with_a_missing_code_skips_it_in_both() -> None:
    """A middle capacitor that is too small: values around the middle go from below it to the code above."""
    units = np.array([[8.0 - 1.6, 4.0, 2.0, 1.0, 1.0]])
    weights = 16 * units[:, :-1] / units.sum()
    values = np.linspace(5.0, 9.0, 8)
    found = simulate_sar(np.repeat(units, 8, axis=0), values)
    assert np.array_equal(found, BinarySearch(weights, np.zeros(1)).codes(values[:, None])[:, 0])
    assert 7 not in found


def test_a_parasitic_on_the_common_plate_changes_no_code() -> None:
    units = capacitor_weights(5, 0.1, np.random.default_rng(3).standard_normal((1, 6)))
    units = np.hstack([units, 32 - units.sum(axis=1, keepdims=True)])
    values = np.linspace(0.2, 30.7, 8)
    codes = [
        simulate_sar(np.repeat(units, 8, axis=0), values, circuit=SarCircuit(parasitic_capacitance=parasitic))
        for parasitic in (1e-16, 6e-14)
    ]
    assert np.array_equal(*codes)


@pytest.mark.parametrize("bow", [-3.0, 2.0])
def test_a_ramp_s_levels_are_those_of_unequal_currents_into_a_capacitor(bow: float) -> None:
    """Level by level within 0.005 LSB, steps that differ by 10 % and a ramp that bends by 3 LSB included."""
    normals = np.random.default_rng(8).standard_normal(62)
    droop = droop_of(-bow / 62)
    for mismatch in (0.0, 0.1):
        found = simulate_ramp(1 + mismatch * normals, droop, np.empty(0))
        np.testing.assert_allclose(found.levels, ramp_levels(6, bow, mismatch, normals), atol=0.005)


def test_columns_count_what_their_comparators_see() -> None:
    adc = Adc("ramp", circuit={"bow_lsb": -1.0, "step_mismatch": 0.1, "comparator_offset_lsb": 1.0})
    found = confirm_adc(adc, 6, converters=4)
    away = found.distance > 0.01
    assert away.sum() >= 30
    assert np.array_equal(found.spice[away], found.behavioural[away])
    assert np.abs(found.spice - found.behavioural).max() <= 1


def test_what_cannot_be_simulated_is_refused() -> None:
    with pytest.raises(DesignError, match=r"netlists of SAR and ramp ADCs .* it is a flash ADC"):
        confirm_adc(Adc("flash", circuit={"ladder_mismatch": 0.1}), 6)
    with pytest.raises(DesignError, match="SAR ADC that gives none"):
        confirm_adc(Adc("sar"), 6)
    with pytest.raises(PeripheralError, match=r"capacitors of shape \(converters, bits \+ 1\)"):
        simulate_sar(np.ones((2, 4)), [1.0])
