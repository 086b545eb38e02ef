"""Text to SI: one number and one unit, read as meant or refused; nothing in between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicekit.common.errors import UnitError
from devicekit.common.quantities import parse_quantity, unit_factor


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("1.6 uA", "A", 1.6e-6),
        ("1.6uA", "A", 1.6e-6),
        ("1.6e3 nA", "A", 1.6e-6),
        (".5 µA", "A", 0.5e-6),
        ("2 days", "s", 172800.0),
        ("27 degC", "K", 300.15),
        ("27 °C", "K", 300.15),
        ("80 degF", "K", 299.8166666666667),
        ("60 kohm", "Ohm", 60e3),
        ("60 kΩ", "Ohm", 60e3),
        ("100 um^2", "m^2", 1e-10),
        ("100 um²", "m^2", 1e-10),
        ("12 1/V", "1/V", 12.0),
        ("25 %", "dimensionless", 0.25),
        ("1e-6", "A", 1e-6),
        (3, "A", 3.0),
    ],
)
def test_quantities_become_si(text, unit, value):
    assert parse_quantity(text, unit, "x") == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,6uA", "a comma is no decimal point here; write '1.6' if that is meant"),
        ("1,6 uA", "write '1.6'"),
        ("1,000.5 nA", "one number, digits alone"),
        ("1'000 nA", "one number, digits alone"),
        ("5 2 nA", "one number, digits alone"),
        ("1_000", "one number, digits alone"),
        ("1_000 nA", "one number, digits alone"),
        ("3 nA*2", "is not a unit"),
        ("9**9**9**9", "is not a unit"),
        ("1 A**9**9", "is not a unit"),
        ("1 A**999", "is not a unit"),
        ("1 kg", "Cannot convert from 'kilogram'"),
        ("0x10", "is not defined"),
        ("nan", "does not begin with a number"),
        ("1e999 A", "to be finite"),
        ("", "does not begin with a number"),
        (10**400, "to be finite"),
        (float("nan"), "to be finite"),
        (True, "to be a number in A"),
        ([1], "to be a number in A"),
    ],
)
def test_what_is_not_one_number_and_one_unit_is_refused(text, message):
    with pytest.raises(UnitError, match=message):
        parse_quantity(text, "A", "x")


@pytest.mark.parametrize(("unit", "factor"), [("nA", 1e-9), ("1e-9 A", 1e-9), ("10 nA", 1e-8), ("C/s", 1.0)])
def test_units_are_factors(unit, factor):
    assert unit_factor(unit, "A", "x") == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize(
    ("unit", "si", "message"),
    [
        ("degC", "K", "has another zero"),
        ("kg", "A", "Cannot convert"),
        ("0 A", "A", "finite multiple"),
        ("9**9**9**9", "A", "is not a unit"),
        ("", "A", "is not a unit"),
    ],
)
def test_what_is_no_factor_is_refused(unit, si, message):
    with pytest.raises(UnitError, match=message):
        unit_factor(unit, si, "x")


@given(text=st.text(max_size=80))
def test_any_text_is_a_quantity_or_a_named_error(text):
    try:
        outcome = parse_quantity(text, "A", "x")
    except UnitError as error:
        outcome = len(str(error))
    assert abs(outcome) < float("inf")
