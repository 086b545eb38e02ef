"""Laws, limits and published values of the error models."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import devicekit
from devicekit.cells.error_model import ErrorModel
from devicekit.cells.error_registry import error_models
from devicekit.common.errors import DeviceError

I_MAX = 1.6e-6

EXAMPLES: list[ErrorModel] = [
    devicekit.StateIndependent(0.05),
    devicekit.StateProportional(0.03),
    devicekit.SaturatingExponential(40e-9, 500e-9),
    devicekit.SaturatingExponential(40e-9, 500e-9, floor=3e-9),
    devicekit.PowerLaw(40e-9, 0.4),
    devicekit.Polynomial((2.0, 30.0, -10.0), scale=1e-6),
    devicekit.Spline((1e-8, 4e-7, 8e-7, 1.6e-6), (2e-9, 2e-8, 3e-8, 3.5e-8)),
    devicekit.Table((1e-8, 4e-7, 8e-7, 1.6e-6), (2e-9, 2e-8, 3e-8, 3.5e-8)),
]


def test_every_model_has_an_example() -> None:
    assert {type(model) for model in EXAMPLES} == set(error_models().values())


def test_reference_sonos_check_values() -> None:
    model = devicekit.SaturatingExponential(39.5656e-9, 1e-9 / 0.00188704)
    assert model.sigma(0.8e-6, I_MAX) == pytest.approx(30.8e-9, rel=1e-3)
    assert model.sigma(0.8e-6, I_MAX) / 0.8e-6 == pytest.approx(0.039, abs=5e-4)
    assert model.sigma(1e-15, I_MAX) / 1e-15 == pytest.approx(0.0747, abs=5e-5)


def test_equal_alphas_meet_at_half_scale() -> None:
    for alpha in (0.01, 0.3):
        same = devicekit.StateIndependent(alpha).sigma(I_MAX / 2, I_MAX)
        assert same == pytest.approx(devicekit.StateProportional(alpha).sigma(I_MAX / 2, I_MAX), rel=1e-15)


def test_power_law_limits_are_the_two_simple_laws() -> None:
    target = np.linspace(1e-9, I_MAX, 50)
    constant = devicekit.PowerLaw(20e-9, 0.0).sigma(target, I_MAX)
    np.testing.assert_allclose(constant, devicekit.StateIndependent(0.025).sigma(target, I_MAX), rtol=1e-14)
    linear = devicekit.PowerLaw(20e-9, 1.0).sigma(target, I_MAX)
    np.testing.assert_allclose(linear, devicekit.StateProportional(20e-9 / I_MAX).sigma(target, I_MAX), rtol=1e-14)


@settings(deadline=None)
@given(st.floats(1e-12, 1e-5), st.floats(1e-9, 1e-4), st.floats(0, 1e-5, allow_subnormal=False))
def test_saturating_exponential_stays_between_its_asymptotes(s_max: float, i_sat: float, target: float) -> None:
    sigma = float(devicekit.SaturatingExponential(s_max, i_sat).sigma(target, I_MAX))
    assert 0 <= sigma <= s_max
    assert sigma <= s_max * target / i_sat * (1 + 1e-12) + 1e-300


@pytest.mark.parametrize("model", EXAMPLES, ids=lambda model: model.name)
def test_a_law_does_not_depend_on_the_unit_of_current(model: ErrorModel) -> None:
    target = np.linspace(0, I_MAX, 33).reshape(3, 11)
    sigma = model.sigma(target, I_MAX)
    assert sigma.shape == (3, 11)
    assert np.all(sigma >= 0)
    np.testing.assert_allclose(model.scaled(1e9).sigma(target * 1e9, I_MAX * 1e9), sigma * 1e9, rtol=1e-12)


@pytest.mark.parametrize("model", EXAMPLES, ids=lambda model: model.name)
def test_values_rebuild_the_model_and_carry_units(model: ErrorModel) -> None:
    assert model.with_values(model.values()) == model
    for name, value in model.values().items():
        scaled = model.scaled(8.0).values()[name]
        assert scaled == pytest.approx(value * (8.0 if model.unit(name) == "A" else 1.0))


@pytest.mark.parametrize("model", EXAMPLES, ids=lambda model: model.name)
def test_guess_is_near_a_law_without_noise(model: ErrorModel) -> None:
    target = np.linspace(0.03, 1, 24) * I_MAX
    sigma = model.sigma(target, I_MAX)
    guess = type(model).guess(target, sigma, I_MAX).sigma(target, I_MAX)
    assert np.median(np.abs(guess / sigma - 1)) < 0.35


def test_table_holds_its_ends_and_spline_does_not_overshoot() -> None:
    currents, sigmas = (1e-7, 2e-7, 4e-7), (1e-9, 5e-9, 5e-9)
    for model in (devicekit.Table(currents, sigmas), devicekit.Spline(currents, sigmas)):
        assert model.sigma(0.0, I_MAX) == 1e-9
        assert model.sigma(1e-6, I_MAX) == 5e-9
        inside = model.sigma(np.linspace(1e-7, 4e-7, 1000), I_MAX)
        assert inside.min() >= 1e-9
        assert inside.max() <= 5e-9 * (1 + 1e-12) + 1e-300


def test_polynomial_is_held_outside_its_range_and_never_negative() -> None:
    held = devicekit.Polynomial((1.0, -0.5), scale=1e-6, valid=(0.0, 1e-6))
    assert held.sigma(3e-6, I_MAX) == pytest.approx(0.5e-6)
    assert devicekit.Polynomial((1.0, -0.5), scale=1e-6).sigma(3e-6, I_MAX) == 0.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: devicekit.StateIndependent(-0.1), "StateIndependent: expected `alpha` to be a finite number of at"),
        (lambda: devicekit.StateProportional(math.nan), "StateProportional: expected `alpha`"),
        (lambda: devicekit.SaturatingExponential(1e-9, 0.0), "expected `i_sat` to be a finite number above 0.*got 0.0"),
        (lambda: devicekit.PowerLaw(1e-9, -1.0), "expected `exponent`"),
        (lambda: devicekit.Polynomial(()), "expected `coefficients`"),
        (lambda: devicekit.Polynomial((1.0,), scale=0.0), "expected `scale`"),
        (lambda: devicekit.Polynomial((1.0,), valid=(2.0, 1.0)), "expected `valid`"),
        (lambda: devicekit.Table((2.0, 1.0), (1.0, 1.0)), "expected `currents` to be at least 1 rising numbers"),
        (lambda: devicekit.Table((1.0, 2.0), (1.0,)), "expected `sigmas` to be one number"),
        (lambda: devicekit.Spline((1.0,), (1.0,)), "expected `currents` to be at least 2 rising numbers"),
    ],
)
def test_impossible_parameters_are_refused_by_name(make: object, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        make()  # type: ignore[operator]
