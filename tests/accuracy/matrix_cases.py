"""Matrices of every form, slicing, split, encoding and size, and how near the evaluator must come to the reference."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, assume, event, settings
from hypothesis import strategies as st

from accuracy import AnalogMatrix
from circuits import CoreDesign
from devicekit import Cell, StateIndependent
from tests.reference.analog_reference import Product, multiply
from tests.reference.mapping_reference import integer_weights

FORMS = ("differential", "offset", "offset_unit_column", "twos_complement", "ones_complement", "column_sign")
BEFORE_CONVERSION = 2e-6
"""What float32 may lose before the ADC."""


@dataclasses.dataclass
class Case:
    """One matrix, its inputs, and how both are laid out."""

    design: CoreDesign
    weight: np.ndarray
    x: np.ndarray
    signed: bool
    on_off: float | None
    error: float
    step: Any
    seed: int

    @property
    def cell(self) -> Cell | None:
        if self.on_off is None:
            return None
        return Cell(error=StateIndependent(self.error), i_max=1.6e-6, on_off_ratio=self.on_off, read_voltage=0.1)

    @property
    def g_min(self) -> float:
        return 0.0 if self.on_off is None else 1 / self.on_off

    def matrix(self, adc_range: Any) -> AnalogMatrix:
        return AnalogMatrix(
            self.weight, self.design, cell=self.cell, adc_range=adc_range, seed=self.seed, weight_step=self.step
        )

    def product(self, matrix: AnalogMatrix, adc_range: Any) -> Product:
        """The reference on the cells that the matrix drew."""
        unit = matrix.unit_conductances[:, 0, :, 0] if self.design.negative_weights == "offset_unit_column" else None
        return multiply(
            self.x,
            self.weight,
            self.design,
            signed=self.signed,
            g_min=self.g_min,
            adc_range=adc_range,
            step=self.step,
            conductances=np.asarray(matrix.conductances),
            unit=unit,
        )


@st.composite
def designs(draw: st.DrawFn, resistance: bool = False) -> CoreDesign:
    form = draw(st.sampled_from(FORMS))
    weight_bits = draw(st.integers(2, 9))
    cell_bits = draw(st.integers(1, weight_bits if form.startswith("offset") else weight_bits - 1))
    input_bits = draw(st.one_of(st.just(8), st.integers(2, 8))) if not resistance else draw(st.integers(2, 4))
    encoding = draw(st.sampled_from(("bit_serial", "voltage", "pulse_width")))
    slice_bits = draw(st.one_of(st.none(), st.just(1), st.integers(1, input_bits)))
    if resistance:
        encoding = draw(st.sampled_from(("bit_serial", "pulse_width")))
        slice_bits = 1 if encoding == "bit_serial" else slice_bits
    accumulation = draw(st.sampled_from(("analog", "digital")))
    slices = math.ceil((weight_bits if form.startswith("offset") else weight_bits - 1) / cell_bits)
    slices += 1 if form.endswith("complement") else 0
    bits = st.integers(2, 12)
    return CoreDesign(
        negative_weights=form,
        subtraction=draw(st.sampled_from(("analog", "digital"))) if form == "differential" else "analog",
        weight_bits=weight_bits,
        weight_scale=draw(st.sampled_from(("layer", "column", "given"))),
        bits_per_cell=cell_bits,
        max_rows=draw(st.integers(1, 30)),
        input_bits=input_bits,
        bits_per_input_slice=slice_bits,
        input_accumulation=accumulation,
        input_encoding=encoding,
        adc_bits=draw(st.one_of(bits, st.tuples(*[bits] * slices))),
        flipped_encoding=draw(st.booleans()) if form != "differential" else False,
        r_p_hat=draw(st.sampled_from((1e-5, 1e-3, 0.02))) if resistance else 0.0,
    )


@st.composite
def cases(draw: st.DrawFn, resistance: bool = False) -> Case:
    design = draw(designs(resistance))
    rows = draw(st.integers(1, 9 if resistance else 24))
    columns, batch = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    seed = draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    signed = draw(st.booleans()) if design.input_bits != 1 else False
    weight = rng.normal(size=(rows, columns)) * (rng.uniform(size=(rows, columns)) < draw(st.sampled_from((0.3, 1.0))))
    if design.negative_weights == "column_sign":
        weight = np.abs(weight) * rng.choice((-1.0, 1.0), size=columns)
    assume(np.any(weight != 0))
    top = 2 ** (design.weight_bits - 1) - 1
    step = None
    if design.weight_scale == "given":
        step = np.full(columns, np.abs(weight).max() / top) * (
            rng.uniform(1.0, 1.5, size=columns) if draw(st.booleans()) else 1.0
        )
    levels = 2 ** (design.input_bits - (1 if signed else 0)) - 1
    numbers = rng.integers(-levels if signed else 0, levels + 1, size=(batch, rows))
    numbers[rng.uniform(size=numbers.shape) < 0.3] = 0
    # Off the rounding borders, so that float32 and float64 agree on the integers.
    x = np.clip((numbers + rng.uniform(-0.4, 0.4, size=numbers.shape)) / levels, -1 if signed else 0, 1)
    on_off = draw(st.sampled_from((None, 5.0, 100.0, 1e7)))
    error = draw(st.sampled_from((0.0, 0.1)))
    return Case(design, weight, x.astype(np.float32).astype(np.float64), signed, on_off, error, step, seed)


def ranges_from(case: Case, product: Product, scale: float) -> Any:
    """One range a slice, that clips some of what it is given and keeps most."""
    symmetric = case.signed or (case.design.negative_weights == "differential" and case.design.subtraction == "analog")
    ranges = []
    for s in sorted(product.analog):
        hi = scale * max(max(abs(v) for v in product.analog[s]), 0.05)
        ranges.append((-hi if symmetric else 0.0, hi))
    return ranges


def allowed(case: Case, product: Product, dtype: Any) -> np.ndarray:
    """Difference that rounding may make: before the ADC, and one code where a value lies on a border.

    Rounding before the ADC is relative to the currents that enter an output, and to sum |x| |w|, which they are
    without cancellation between positive and negative terms.
    """
    relative, per_level = (1e-11, 1e-11) if dtype is torch.float64 else (BEFORE_CONVERSION, 4e-6)
    integers, steps = integer_weights(case.weight, case.design, case.step)
    result = (
        relative * (product.magnitude + np.abs(case.x) @ np.maximum(np.abs(integers), 1) * steps)
        + 1e-14 * 2**case.design.weight_bits * (1 + np.abs(case.x).sum()) * np.abs(steps).max()
    )
    for conversion in product.conversions:
        levels = 2 ** max(np.atleast_1d(np.asarray(case.design.adc_bits)))
        # A code is read back as code / q + lo: that sum rounds at the size of lo.
        result[conversion.output] += 2 * torch.finfo(dtype).eps * levels * abs(conversion.effect)
        if conversion.tie < per_level * levels:
            result[conversion.output] += abs(conversion.effect)
    return result


def check(case: Case, product: Product, ours: np.ndarray, dtype: Any) -> None:
    tolerance = allowed(case, product, dtype)
    excess = np.abs(ours - product.output) / tolerance
    event("ties" if tolerance.max() > tolerance.min() else "no ties")
    assert np.all(excess <= 1), (
        f"\n{case.design}\nsigned {case.signed}, on/off {case.on_off}, error {case.error}\n"
        f"evaluator {ours}\nreference {product.output}\ndifference over tolerance {excess}"
    )


def run(case: Case, matrix: AnalogMatrix, dtype: Any) -> np.ndarray:
    x = torch.from_numpy(case.x).to(dtype)
    return matrix.matmul(x, signed=case.signed).double().numpy()


SETTINGS = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
FEWER = settings(SETTINGS, max_examples=40)


def check_codes(case: Case, adc_range: Any, dtype: Any) -> None:
    matrix = case.matrix(adc_range)
    check(case, case.product(matrix, adc_range), run(case, matrix, dtype), dtype)
