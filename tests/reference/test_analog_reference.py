"""The reference itself, against closed forms and numbers worked out by hand."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from circuits import CoreDesign
from tests.reference.analog_reference import apply_inputs, convert, full_ranges, ideal_resolution, multiply
from tests.reference.calibration_reference import best_high, calibrate_matrix, own_range, quantisation_error, tie_ranges
from tests.reference.ladder_reference import line_current, solve_ladder
from tests.reference.mapping_reference import integer_weights, partition_rows, program, slice_worth, stored_digits

FORMS = ["differential", "offset", "offset_unit_column", "twos_complement", "ones_complement", "column_sign"]


def one_sign(weight: np.ndarray, form: str) -> np.ndarray:
    if form != "column_sign":
        return weight
    return np.abs(weight) * np.where(np.arange(weight.shape[1]) % 2, -1.0, 1.0)


def exact(x: np.ndarray, weight: np.ndarray, design: Any, signed: bool = False) -> np.ndarray:
    """Product of the quantised operands, in fractions."""
    integers, steps = integer_weights(weight, design)
    top = 2 ** (design.input_bits - (1 if signed else 0)) - 1
    numbers = np.rint(top * np.clip(x, -1 if signed else 0, 1)).astype(int)
    out = np.zeros((len(x), weight.shape[1]))
    for b, c in np.ndindex(*out.shape):
        out[b, c] = float(sum(Fraction(int(n), top) * int(i) for n, i in zip(numbers[b], integers[:, c], strict=True)))
    return out * steps


def test_integers_round_half_to_even_at_the_layers_scale() -> None:
    weight = np.array([[127.0, -127.0], [0.5, 1.5], [-2.5, 63.4]])
    integers, steps = integer_weights(weight, CoreDesign(weight_bits=8))
    assert_array_equal(integers, [[127, -127], [0, 2], [-2, 63]])
    assert_allclose(steps, 1.0)


def test_integers_at_a_columns_own_scale_and_at_a_given_step() -> None:
    weight = np.array([[1.0, 0.25], [-0.5, -0.125]])
    own, steps = integer_weights(weight, CoreDesign(weight_bits=4, weight_scale="column"))
    assert_array_equal(own, [[7, 7], [-4, -4]])
    assert_allclose(steps, [1 / 7, 0.25 / 7])
    given, _ = integer_weights(weight, CoreDesign(weight_bits=4, weight_scale="given"), step=0.125)
    assert_array_equal(given, [[8, 2], [-4, -1]])


@pytest.mark.parametrize(
    ("form", "integer", "expected"),
    [
        ("differential", -0b1011011, [[0, 3], [0, 2], [0, 1], [0, 1]]),
        ("column_sign", 0b1011011, [[3], [2], [1], [1]]),
        ("offset", -128 + 0b11100100, [[0], [1], [2], [3]]),
        ("twos_complement", -1, [[3], [3], [3], [1], [1]]),
        ("twos_complement", 5, [[1], [1], [0], [0], [0]]),
        ("ones_complement", -1, [[2], [3], [3], [1], [1]]),
        ("ones_complement", 0, [[0], [0], [0], [0], [0]]),
    ],
)
def test_digits_by_hand(form: Any, integer: int, expected: list[list[int]]) -> None:
    assert stored_digits(integer, CoreDesign(negative_weights=form, bits_per_cell=2)) == expected


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weight_bits", [2, 5, 8, 9])
def test_digits_and_their_worth_give_the_integer_back(form: Any, weight_bits: int) -> None:
    top = 2 ** (weight_bits - 1) - 1
    for cell_bits in range(1, weight_bits):
        design = CoreDesign(negative_weights=form, weight_bits=weight_bits, bits_per_cell=cell_bits)
        worth = slice_worth(design)
        assert len(worth) == design.slices
        for integer in range(-top, top + 1):
            digits = stored_digits(integer, design)
            lines = [sum(w * d[line] for w, d in zip(worth, digits, strict=True)) for line in range(len(digits[0]))]
            value = lines[0] - (lines[1] if len(lines) == 2 else 0)
            if form.startswith("offset"):
                value -= 2 ** (weight_bits - 1)
            assert value == (abs(integer) if form == "column_sign" else integer)
            assert all(0 <= d < 2**cell_bits for digit in digits for d in digit)


def test_rows_split_as_the_definition_says() -> None:
    assert [len(part) for part in partition_rows(290, 128)] == [97, 97, 96]
    assert [len(part) for part in partition_rows(144, 72)] == [72, 72]
    assert [len(part) for part in partition_rows(3, 1152)] == [3]
    parts = partition_rows(1001, 13)
    assert [r for part in parts for r in part] == list(range(1001))
    assert max(map(len, parts)) <= 13
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_inputs_by_hand() -> None:
    design = CoreDesign(input_bits=8, bits_per_input_slice=3)
    inputs = apply_inputs(np.array([[1.0, 0.0, 0b01110001 / 255, 2.0, -1.0]]), design, signed=False)
    assert_allclose(inputs.slices[:, 0] * 7, [[7, 0, 1, 7, 0], [7, 0, 6, 7, 0], [3, 0, 1, 3, 0]])
    assert_allclose(inputs.values, [[1, 0, 113 / 255, 1, 0]])
    recombined = sum(w * s for w, s in zip(inputs.weights, inputs.slices, strict=True))
    assert_allclose(recombined, inputs.values)
    both = apply_inputs(np.array([[-1.0, 0.5, -3.0]]), CoreDesign(bits_per_input_slice=None), signed=True)
    assert both.unit_times == 127
    assert_allclose(both.slices[0], [[1, 64 / 127, 1]])
    assert_array_equal(both.signs, [[-1, 1, -1]])


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_without_conversion_and_errors_the_product_is_exact(form: Any, signed: bool) -> None:
    rng = np.random.default_rng(3)
    weight = one_sign(rng.normal(size=(11, 4)), form)
    x = rng.uniform(-1 if signed else 0, 1, size=(3, 11))
    for changes in (
        {},
        {"max_rows": 4, "bits_per_cell": 2, "bits_per_input_slice": 3},
        {"max_rows": 5, "input_accumulation": "digital", "bits_per_input_slice": 2, "bits_per_cell": 3},
    ):
        for flipped in (False, True) if form != "differential" else (False,):
            design = CoreDesign(negative_weights=form, flipped_encoding=flipped, **changes)
            for g_min in (0.0, 0.01):
                out = multiply(x, weight, design, signed=signed, g_min=g_min).output
                assert_allclose(out, exact(x, weight, design, signed), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("accumulation", ["analog", "digital"])
@pytest.mark.parametrize("form", FORMS)
def test_conversion_at_the_guarantee_is_exact_and_one_bit_less_is_not(
    form: Any, accumulation: Any, signed: bool
) -> None:
    rng = np.random.default_rng(4)
    weight = one_sign(rng.normal(size=(13, 3)), form)
    weight[:, 0] = np.abs(weight).max()
    x = rng.uniform(-1 if signed else 0, 1, size=(3, 13))
    x[0] = 1.0
    for flipped in (False, True) if form != "differential" else (False,):
        design = CoreDesign(
            negative_weights=form,
            bits_per_cell=2,
            max_rows=7,
            input_accumulation=accumulation,
            bits_per_input_slice=2,
            flipped_encoding=flipped,
        )
        bits = math.ceil(ideal_resolution(design, 7)) - (1 if flipped else 0)
        if signed and accumulation == "digital" and form != "differential":
            bits += 1  # the sign
        wanted = exact(x, weight, design, signed)
        enough = multiply(x, weight, design.replace(adc_bits=bits), signed=signed, adc_range="full").output
        assert_allclose(enough, wanted, rtol=1e-11, atol=1e-11)
        short = multiply(x, weight, design.replace(adc_bits=bits - 2), signed=signed, adc_range="full").output
        assert np.abs(short - wanted).max() > 1e-6


def test_digital_subtraction_converts_each_line_in_an_unsigned_range() -> None:
    weight = np.array([[1.0], [-1.0]])
    design = CoreDesign(subtraction="digital", weight_bits=2, adc_bits=2, input_bits=8)
    product = multiply(np.array([[1.0, 0.4]]), weight, design, adc_range=(0.0, 1.5))
    assert sorted(c.code for c in product.conversions) == [1, 2]
    assert_allclose(product.output, [[0.5]])


def test_convert_by_hand() -> None:
    assert convert(0.49, 0.0, 3.0, 4)[:2] == (0.0, 0)
    assert convert(1.5, 0.0, 3.0, 4)[:2] == (2.0, 2)
    assert convert(2.5, 0.0, 3.0, 4)[:2] == (2.0, 2)
    assert convert(9.0, 0.0, 3.0, 4)[:2] == (3.0, 3)
    value, code, _, lsb = convert(0.0, -1.0, 1.0, 255)
    assert (value, code) == (0.0, 127)
    assert lsb == pytest.approx(2 / 254)


def test_flips_store_the_complement_of_full_columns_only() -> None:
    weight = np.array([[1.0, -1.0], [1.0, -1.0], [1.0, 0.0]])
    design = CoreDesign(negative_weights="offset", weight_bits=4, bits_per_cell=2, flipped_encoding=True)
    mapping = program(weight, design)
    assert_array_equal(mapping.flipped[:, 0], [[True, False], [True, False]])
    assert_array_equal(mapping.digits[:, 0, :, 0], [[0, 0, 0], [0, 0, 0]])
    assert_array_equal(mapping.digits[:, 0, :, 1], [[1, 1, 0], [0, 0, 2]])


def test_the_unit_column_holds_the_offset_and_its_error_counts() -> None:
    rng = np.random.default_rng(5)
    weight, x = rng.normal(size=(6, 2)), rng.uniform(size=(2, 6))
    design = CoreDesign(negative_weights="offset_unit_column", bits_per_cell=4)
    mapping = program(weight, design)
    assert mapping.unit is not None
    assert_allclose(mapping.unit * 15, [[0] * 6, [8] * 6])
    unit = mapping.unit.copy()
    unit[1, 2] += 0.1
    ideal = multiply(x, weight, design)
    off = multiply(x, weight, design, unit=unit)
    expected = 0.1 * 15 * 16 * np.rint(255 * x[:, 2]) / 255 * mapping.steps[0]
    assert_allclose(ideal.output - off.output, np.stack([expected, expected], axis=1), rtol=1e-9)


def test_ladder_of_one_and_two_cells_by_hand() -> None:
    assert solve_ladder(np.array([0.5]), np.array([True]), 0.2) == pytest.approx(1 / (1 / 0.5 + 0.2))
    g1, g2, r = 0.7, 0.4, 0.05
    far = 1 / (1 / g1 + r)
    # Far cell and its wire feed the last node beside the second cell; from there one wire to ground.
    both = far + g2
    assert solve_ladder(np.array([g1, g2]), np.array([True, True]), r) == pytest.approx(
        both / (1 + r * both), rel=1e-12
    )
    only_far = solve_ladder(np.array([g1, g2]), np.array([True, False]), r)
    assert only_far == pytest.approx(1 / (1 / g1 + 2 * r), rel=1e-12)


def test_ladder_agrees_with_the_recursion_and_vanishes_with_the_wire() -> None:
    rng = np.random.default_rng(6)
    g, on = rng.uniform(0, 1, 40), rng.uniform(size=40) < 0.6
    for r_p in (1e-5, 1e-3, 0.1):
        u, i = 1.0, 0.0
        for k in range(40):
            if on[k]:
                i += g[k] * u
            u += r_p * i
        assert solve_ladder(g, on, r_p) == pytest.approx(i / u, rel=1e-12)
    assert solve_ladder(g, on, 1e-12) == pytest.approx(g[on].sum(), rel=1e-9)


def test_pulse_width_is_the_mean_over_unit_times() -> None:
    g, drive = np.array([0.3, 0.9]), np.array([1 / 3, 1.0])
    both, last = solve_ladder(g, np.array([True, True]), 0.1), solve_ladder(g, np.array([False, True]), 0.1)
    assert line_current(g, drive, 0.1, 3) == pytest.approx((both + 2 * last) / 3)


def test_resistance_lowers_every_current_and_the_exact_product_returns_without_it() -> None:
    rng = np.random.default_rng(7)
    weight, x = rng.normal(size=(9, 2)), rng.uniform(-1, 1, size=(2, 9))
    design = CoreDesign(r_p_hat=1e-9)
    assert_allclose(
        multiply(x, weight, design, signed=True).output, exact(x, weight, design, True), rtol=1e-6, atol=1e-6
    )


def test_full_range_without_the_guarantee_is_the_rows_of_the_largest_partition() -> None:
    offset = CoreDesign(negative_weights="offset", adc_bits=8)
    assert full_ranges(offset, 100, signed=False) == [(0.0, 100.0)]
    assert full_ranges(offset, 100, signed=True) == [(-100.0, 100.0)]
    assert full_ranges(offset.replace(flipped_encoding=True), 100, signed=False) == [(0.0, 50.0)]
    assert full_ranges(CoreDesign(adc_bits=8), 100, signed=False) == [(-100.0, 100.0)]


def test_isaac_reaches_full_precision_with_eight_bits() -> None:
    design = CoreDesign(
        negative_weights="offset",
        bits_per_cell=2,
        max_rows=128,
        input_accumulation="digital",
        flipped_encoding=True,
        adc_bits=8,
    )
    assert ideal_resolution(design, 128) == 9
    assert full_ranges(design, 128, signed=False) == [(0.0, 255 / 3)] * 4


def test_quantile_and_powers_of_two() -> None:
    assert own_range(range(10001), symmetric=False) == pytest.approx(9998.0)
    assert own_range([-3, 1, 2], symmetric=True, inner=1.0) == 3.0
    assert tie_ranges([8.0, 2.1, 2.0, 0.9], symmetric=False) == [(0, 8), (0, 4), (0, 2), (0, 1)]
    assert tie_ranges([1.0, 8.0], symmetric=True) == [(-1, 1), (-8, 8)]


def test_calibrated_ranges_cover_nearly_everything_and_tie_slices_by_powers_of_two() -> None:
    rng = np.random.default_rng(8)
    weight, x = rng.normal(size=(30, 6)), rng.uniform(size=(20, 30))
    ranges = calibrate_matrix(x, weight, CoreDesign(bits_per_cell=2, max_rows=11))
    highs = np.array([hi for _, hi in ranges])
    ratios = np.log2(highs.max() / highs)
    assert_allclose(ratios, np.rint(ratios))
    analog = multiply(x, weight, CoreDesign(bits_per_cell=2, max_rows=11)).analog
    for s, (lo, hi) in enumerate(ranges):
        assert sum(not lo <= v <= hi for v in analog[s]) <= 1


def test_the_best_activation_range_of_uniform_data_is_all_of_it() -> None:
    values = np.linspace(0, 1, 2001)
    high, error = best_high(values, bits=6, candidates=100)
    assert high == pytest.approx(1.0, abs=0.02)
    assert error == pytest.approx(2001 / 4 / 63, rel=0.05)
    assert quantisation_error(values, 0.0, 0.5, 6) > error
