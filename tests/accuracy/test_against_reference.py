"""The evaluator's matrix against the slow independent reference, over every form, slicing, split and encoding."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from accuracy import AnalogMatrix
from circuits import CoreDesign
from tests.accuracy.matrix_cases import FEWER, SETTINGS, Case, cases, check, check_codes, ranges_from, run
from tests.reference.mapping_reference import program


@SETTINGS
@given(cases())
def test_ideal_cells_hold_what_the_reference_programs(case: Case) -> None:
    ideal = dataclasses.replace(case, error=0.0)
    matrix = ideal.matrix(None)
    mapping = program(case.weight, case.design, case.g_min, case.step)
    assert np.asarray(matrix.conductances).shape == mapping.conductances.shape
    assert_allclose(np.asarray(matrix.conductances), mapping.conductances, rtol=1e-12, atol=1e-12)
    if mapping.unit is not None:
        assert_allclose(matrix.unit_conductances[:, 0, :, 0], mapping.unit, rtol=1e-12, atol=1e-12)


@SETTINGS
@given(cases(), st.sampled_from((torch.float32, torch.float64)))
def test_before_conversion(case: Case, dtype: Any) -> None:
    matrix = case.matrix(None)
    product = case.product(matrix, None)
    check(case, product, run(case, matrix, dtype), dtype)


@SETTINGS
@given(cases(), st.sampled_from((torch.float32, torch.float64)), st.sampled_from((0.5, 0.9, 1.3)))
def test_codes_in_given_ranges(case: Case, dtype: Any, width: float) -> None:
    before = case.product(case.matrix(None), None)
    adc_range = ranges_from(case, before, width)
    check_codes(case, adc_range, dtype)


@SETTINGS
@given(cases(), st.sampled_from((torch.float32, torch.float64)))
def test_codes_in_the_full_range(case: Case, dtype: Any) -> None:
    check_codes(case, "full", dtype)


@FEWER
@given(cases())
def test_unquantised_inputs(case: Case) -> None:
    design = case.design.replace(
        input_bits=None, bits_per_input_slice=None, input_accumulation="analog", input_encoding="voltage"
    )
    case = dataclasses.replace(case, design=design, x=case.x * 1.7)
    matrix = case.matrix(None)
    product = case.product(matrix, None)
    check(case, product, run(case, matrix, torch.float64), torch.float64)


@FEWER
@given(cases(), st.integers(1, 8))
def test_a_coarse_analog_accumulator(case: Case, accumulator_bits: int) -> None:
    assume(accumulator_bits > 1 or not case.signed)
    design = case.design.replace(input_accumulation="analog", accumulator_bits=accumulator_bits)
    case = dataclasses.replace(case, design=design)
    matrix = case.matrix(None)
    product = case.product(matrix, None)
    check(case, product, run(case, matrix, torch.float64), torch.float64)


def test_the_same_product_as_numpy_and_as_a_tensor() -> None:
    rng = np.random.default_rng(0)
    weight, x = rng.normal(size=(20, 4)), rng.uniform(size=(3, 20))
    matrix = AnalogMatrix(weight, CoreDesign())
    assert_array_equal(matrix.matmul(x), matrix.matmul(torch.from_numpy(x)).numpy())
