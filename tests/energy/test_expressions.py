"""Formulas as text: the grammar, the three axes, the order of evaluation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy.errors import EnergyError
from energy.expressions import Expression, expression
from energy.formulas import Formula, Formulas


def number(value):
    return np.full((1, 1, 1), float(value))


@given(a=st.floats(0.1, 100), b=st.floats(0.1, 100), c=st.integers(1, 16))
def test_arithmetic_is_pythons(a, b, c):
    text = "(a + 2 * b) / c ** 2 - where(a > b, log2(c), exp(-b)) + ceil(a) * max(a, b) - min(a, b) + log(a)"
    value = expression(text).evaluate({"a": number(a), "b": number(b), "c": number(c)})
    by_hand = (
        (a + 2 * b) / c**2
        - (math.log2(c) if a > b else math.exp(-b))
        + math.ceil(a) * max(a, b)
        - min(a, b)
        + math.log(a)
    )
    assert float(value.ravel()[0]) == pytest.approx(by_hand, rel=1e-12, abs=1e-12)


def test_total_and_largest_reduce_over_slices_only():
    x = np.arange(12.0).reshape(2, 2, 3)
    assert expression("total(x)").evaluate({"x": x}).tolist() == x.sum(axis=2, keepdims=True).tolist()
    assert expression("largest(x)").evaluate({"x": x}).tolist() == x.max(axis=2, keepdims=True).tolist()


def test_names_stand_in_order_with_their_dots():
    assert Expression("ramp.run.energy * steps / 256 + steps").names == ("ramp.run.energy", "steps")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a +", "not an arithmetic expression"),
        ("__import__('os')", "only the functions"),
        ("a.b()", "only the functions"),
        ("'text' * 2", "only numbers may stand"),
        ("[a, b]", "List is not part of the arithmetic"),
        ("a if b else c", "IfExp is not part"),
        ("lambda: 1", "Lambda is not part"),
        ("where(a, b, c=1)", "only the functions"),
        ("(a + b).real", "plain or dotted name"),
        ("max(a)", "max takes 2 or more arguments, not 1"),
        ("ceil(a, b)", "ceil takes 1 argument, not 2"),
        ("where(a, b)", "where takes 3 arguments, not 2"),
        ("a < b < c", "one comparison at a time"),
        ("1e400", "numbers up to 1e"),
        ("-" * 300 + "a", "nested more than"),
        ("(" * 3000 + "a", "not an arithmetic expression"),
        ("a + " * 2000 + "a", "longer than 4000"),
        ("a\x00", "null bytes"),
    ],
)
def test_nothing_but_arithmetic_is_accepted(text, message):
    with pytest.raises(EnergyError, match=message):
        Expression(text)


def test_formulas_are_evaluated_after_what_they_read():
    formulas = Formulas([Formula("c", "", "b * 2", ""), Formula("b", "", "a + 1", "")], ["a"])
    assert [formula.name for formula in formulas.order] == ["b", "c"]
    assert float(formulas.evaluate({"a": number(3)})["c"].ravel()[0]) == 8


@pytest.mark.parametrize(
    ("formulas", "message"),
    [
        ([Formula("a", "", "x", ""), Formula("a", "", "x", "")], "'a' is defined twice"),
        ([Formula("x", "", "1", "")], "'x' is defined twice"),
        ([Formula("a", "", "y + x", "")], "'a' reads 'y', which no count or constant defines"),
        ([Formula("a", "", "b", ""), Formula("b", "", "a", "")], "defined through itself: a -> b -> a"),
    ],
)
def test_a_set_of_formulas_must_close(formulas, message):
    with pytest.raises(EnergyError, match=message):
        Formulas(formulas, ["x"])


@pytest.mark.parametrize("text", ["9**9**9**9", "a ** 9 ** 9 ** 9", "1 / 0", "(-8) ** 0.5"])
def test_numbers_that_cannot_be_computed_are_refused_at_once(text):
    with pytest.raises(EnergyError, match="Formula"):
        expression(text).evaluate({"a": number(2)})


def test_operands_are_left_alone():
    """A third argument of numpy's maximum is the array that it writes to."""
    values = {"a": number(1), "b": number(2), "c": number(3)}
    assert float(expression("max(a, b, c)").evaluate(values)[0, 0, 0]) == 3
    assert float(expression("min(c, b, a)").evaluate(values)[0, 0, 0]) == 1
    assert [float(value[0, 0, 0]) for value in values.values()] == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 - 5", "is -5; expected at least 0 of arrays"),
        ("1 / a", "is not finite"),
        ("log(0 - 1 - a)", "is not finite"),
    ],
)
def test_quantities_are_finite_and_not_negative(text, message):
    formulas = Formulas([Formula("count", "", text, "arrays of a core")], ["a"])
    with pytest.raises(EnergyError, match=message):
        formulas.evaluate({"a": number(0)})


def test_a_branch_that_is_not_chosen_may_divide_by_zero():
    formulas = Formulas([Formula("share", "", "where(a > 0, 1 / a, 0)", "")], ["a"])
    assert float(formulas.evaluate({"a": number(0)})["share"][0, 0, 0]) == 0
