"""Matrices with bit-line resistance against dense solutions of every line."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.accuracy.matrix_cases import FEWER, Case, cases, check, check_codes, ranges_from, run


@FEWER
@given(cases(resistance=True), st.sampled_from((torch.float32, torch.float64)))
def test_bit_line_resistance_before_conversion(case: Case, dtype: Any) -> None:
    matrix = case.matrix(None)
    product = case.product(matrix, None)
    check(case, product, run(case, matrix, dtype), dtype)


@FEWER
@given(cases(resistance=True), st.sampled_from((torch.float32, torch.float64)))
def test_codes_with_bit_line_resistance(case: Case, dtype: Any) -> None:
    before = case.product(case.matrix(None), None)
    check_codes(case, ranges_from(case, before, 0.9), dtype)
