"""Monte Carlo laws of programmed matrices: what the published analysis says must show on any zero-peaked weights.

Source of the laws: Xiao et al., "On the accuracy of analog neural network inference accelerators", IEEE Circuits and
Systems Magazine 22(4), 2022. Error here is that of a matrix product against the same product with ideal cells.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from accuracy import AnalogMatrix
from circuits import CoreDesign
from devicekit import Cell, StateIndependent, StateProportional, load_device

I_MAX = 1.6e-6
DIFFERENTIAL = CoreDesign(negative_weights="differential")
OFFSET = CoreDesign(negative_weights="offset")
UNIT = CoreDesign(negative_weights="offset_unit_column")


def independent(alpha: float, on_off: float = 1e7) -> Cell:
    return Cell(error=StateIndependent(alpha), i_max=I_MAX, on_off_ratio=on_off)


def proportional(alpha: float, on_off: float = 1e7) -> Cell:
    return Cell(error=StateProportional(alpha), i_max=I_MAX, on_off_ratio=on_off)


def zero_peaked(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Weights with a peak at zero and long tails: mean magnitude 3 to 4 % of the largest, as in ResNet-50."""
    exponential = np.random.default_rng(seed).laplace(size=(rows, columns))
    return np.sign(exponential) * np.abs(exponential) ** 1.5


def sparse_inputs(batch: int, rows: int, seed: int = 1) -> np.ndarray:
    """Inputs as after a rectifier: half of them zero, the others small more often than large."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.exponential(0.15, size=(batch, rows)), 0, 1) * (rng.uniform(size=(batch, rows)) < 0.5)


def error_of(weight: np.ndarray, x: np.ndarray, design: CoreDesign, cell: Cell, seed: int = 0) -> np.ndarray:
    """Error of the product through programmed cells."""
    ideal = AnalogMatrix(weight, design).matmul(x)
    return AnalogMatrix(weight, design, cell=cell, seed=seed).matmul(x) - ideal


def rms_error(weight: np.ndarray, x: np.ndarray, design: CoreDesign, cell: Cell) -> float:
    """Root-mean-square error over outputs and a few chips."""
    return math.sqrt(np.mean([np.mean(error_of(weight, x, design, cell, seed) ** 2) for seed in range(4)]))


@pytest.mark.parametrize(
    ("cell", "integers"),
    [
        (independent(0.05), (40, 90, 127)),
        (proportional(0.05), (1, 40, 127)),
        (load_device("sonos_40nm_tcas2022"), (2, 40, 127)),
        (load_device("sonos_40nm_iedm2022"), (40, 127)),
    ],
    ids=["independent", "proportional", "sonos_40nm_tcas2022", "sonos_40nm_iedm2022"],
)
def test_a_million_programmed_cells_spread_as_the_cell_says(cell: Cell, integers: tuple[int, ...]) -> None:
    for integer in integers:
        weight = np.full((1001, 1000), integer / 127)
        weight[0] = 1.0
        cells = np.asarray(AnalogMatrix(weight, DIFFERENTIAL, cell=cell, seed=3).conductances)[0, 0, 1:]
        g_min = 1 / cell.on_off_ratio
        target = (g_min + (1 - g_min) * integer / 127) * cell.i_max
        sigma = float(cell.sigma(target)) / cell.i_max
        assert target / cell.i_max > 4 * sigma
        assert cells.size == 10**6
        assert cells.std() == pytest.approx(sigma, rel=0.01)
        assert cells.mean() == pytest.approx(float(cell.mean(target)) / cell.i_max, abs=5e-3 * sigma)


def test_a_million_idle_cells_are_a_rectified_normal() -> None:
    cell = independent(0.05)
    weight = np.ones((1000, 1000))
    idle = np.asarray(AnalogMatrix(weight, DIFFERENTIAL, cell=cell, seed=4).conductances)[0, 1]
    sigma = float(cell.sigma(cell.i_min)) / I_MAX
    assert sigma == pytest.approx(0.025)
    assert idle.min() == 0.0
    assert idle.mean() == pytest.approx(0.3989 * sigma, rel=0.01)
    assert idle.std() == pytest.approx(0.5838 * sigma, rel=0.01)
    assert np.mean(idle == 0.0) == pytest.approx(0.5, abs=0.003)


def test_conductances_are_never_clipped_at_full_scale() -> None:
    cells = np.asarray(AnalogMatrix(np.ones((100, 100)), DIFFERENTIAL, cell=independent(0.1)).conductances)
    assert np.mean(cells[0, 0] > 1.0) == pytest.approx(0.5, abs=0.05)


def test_the_same_seed_gives_the_same_chip_and_another_seed_another() -> None:
    weight = zero_peaked(30, 10)
    first, again, other = (
        np.asarray(AnalogMatrix(weight, DIFFERENTIAL, cell=independent(0.05), seed=seed).conductances)
        for seed in (5, 5, 6)
    )
    assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("bits_per_cell", "gain"), [(4, 1.0604), (2, 1.2859), (1, 1.7253)])
def test_slicing_offset_weights_gains_little_signal_to_noise(bits_per_cell: int, gain: float) -> None:
    """With error independent of state a slice of weight 2^k counts 2^k times: the gain is 255 / (levels * norm).

    An on/off ratio of 3 keeps all targets far from 0, so that nothing is clipped.
    """
    slices = 8 // bits_per_cell
    assert gain == pytest.approx(
        255 / ((2**bits_per_cell - 1) * math.sqrt(sum(4.0 ** (bits_per_cell * s) for s in range(slices)))), rel=1e-4
    )
    assert gain < math.sqrt(3)
    weight, x = zero_peaked(32, 30000), np.random.default_rng(2).uniform(size=(1, 32))
    cell = independent(0.02, on_off=3.0)
    whole = error_of(weight, x, OFFSET, cell, seed=1).std()
    sliced = error_of(weight, x, OFFSET.replace(bits_per_cell=bits_per_cell), cell, seed=2).std()
    assert whole / sliced == pytest.approx(gain, rel=0.02)


@pytest.mark.parametrize("form", ["differential", "offset", "offset_unit_column", "twos_complement", "ones_complement"])
def test_slicing_of_ideal_cells_changes_nothing(form: Any) -> None:
    weight, x = zero_peaked(40, 7), np.random.default_rng(3).uniform(size=(5, 40))
    wanted = AnalogMatrix(weight, DIFFERENTIAL).matmul(x)
    for bits_per_cell in range(1, 8):
        design = CoreDesign(negative_weights=form, bits_per_cell=bits_per_cell)
        assert_allclose(AnalogMatrix(weight, design).matmul(x), wanted, rtol=1e-10, atol=1e-11)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.integers(1, 80), st.integers(0, 2**16), st.booleans())
def test_partitions_add_up_to_the_whole(max_rows: int, seed: int, signed: bool) -> None:
    rng = np.random.default_rng(seed)
    weight, x = zero_peaked(60, 5, seed), rng.uniform(-1 if signed else 0, 1, size=(4, 60))
    cell = independent(0.05, on_off=100)
    for design in (DIFFERENTIAL, OFFSET, UNIT):
        whole = AnalogMatrix(weight, design, cell=cell, seed=1)
        split = AnalogMatrix(weight, design.replace(max_rows=max_rows), cell=cell, seed=1)
        assert_array_equal(np.asarray(split.conductances), np.asarray(whole.conductances))
        assert_allclose(split.matmul(x, signed=signed), whole.matmul(x, signed=signed), rtol=1e-9, atol=1e-10)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.integers(1, 8), st.integers(0, 2**16), st.booleans())
def test_slices_of_the_input_add_up_wherever_they_are_added(slice_bits: int, seed: int, signed: bool) -> None:
    rng = np.random.default_rng(seed)
    weight, x = zero_peaked(20, 5, seed), rng.uniform(-1 if signed else 0, 1, size=(4, 20))
    for form in ("differential", "offset"):
        design = CoreDesign(negative_weights=form)
        at_once = AnalogMatrix(weight, design, cell=independent(0.05), seed=2).matmul(x, signed=signed)
        sliced = design.replace(input_accumulation="digital", bits_per_input_slice=slice_bits)
        added = AnalogMatrix(weight, sliced, cell=independent(0.05), seed=2).matmul(x, signed=signed)
        assert_allclose(added, at_once, rtol=1e-9, atol=1e-10)


def test_a_unit_column_of_ideal_cells_measures_what_is_subtracted_digitally() -> None:
    weight, x = zero_peaked(50, 8), np.random.default_rng(5).uniform(size=(6, 50))
    for changes in ({}, {"bits_per_cell": 2}, {"max_rows": 13}, {"input_accumulation": "digital"}):
        plain, unit = OFFSET.replace(**changes), UNIT.replace(**changes)
        assert_allclose(AnalogMatrix(weight, unit).matmul(x), AnalogMatrix(weight, plain).matmul(x), atol=1e-10)


def test_a_unit_column_shifts_every_column_alike() -> None:
    """Its error is common to the outputs of one input: columns differ from the plain offset by the same number."""
    weight, x = zero_peaked(50, 8), np.random.default_rng(5).uniform(size=(6, 50))
    matrix = AnalogMatrix(weight, UNIT, cell=independent(0.05, on_off=math.inf), seed=7)
    own = np.asarray(matrix.conductances)[0, 0]
    quantised = np.rint(255 * x) / 255
    step = np.abs(weight).max() / 127
    without = (quantised @ own * 255 - 128 * quantised.sum(axis=1, keepdims=True)) * step
    shift = matrix.matmul(x) - without
    assert_allclose(shift, np.repeat(shift[:, :1], 8, axis=1), rtol=1e-6, atol=1e-8)
    assert np.abs(shift).max() > 0.1


@pytest.mark.parametrize(
    "design", [DIFFERENTIAL, OFFSET, UNIT, OFFSET.replace(max_rows=9, input_accumulation="digital")]
)
def test_results_do_not_depend_on_the_batch(design: CoreDesign) -> None:
    weight, x = zero_peaked(40, 6), np.random.default_rng(6).uniform(size=(17, 40))
    matrix = AnalogMatrix(
        weight, design, cell=independent(0.05), adc_range=(-8, 8) if design.symmetric_adc() else (0, 8)
    )
    together = matrix.matmul(x)
    for size in (1, 5):
        apart = np.concatenate([matrix.matmul(x[i : i + size]) for i in range(0, 17, size)])
        assert_allclose(apart, together, rtol=1e-12, atol=1e-12)


def test_error_independent_of_state_hurts_offset_more_and_a_unit_column_most() -> None:
    weight, x = zero_peaked(256, 200), sparse_inputs(20, 256)
    cell = independent(0.025)
    differential, offset, unit = (rms_error(weight, x, design, cell) for design in (DIFFERENTIAL, OFFSET, UNIT))
    assert offset > 1.5 * differential
    # The unit column adds an error of the same size that does not average over columns.
    assert unit / offset == pytest.approx(math.sqrt(2), rel=0.1)


def test_differential_cells_stand_ten_times_more_error_in_proportion_to_state() -> None:
    weight, x = zero_peaked(256, 200), sparse_inputs(20, 256)
    ratio = rms_error(weight, x, OFFSET, proportional(0.02)) / rms_error(weight, x, DIFFERENTIAL, proportional(0.02))
    assert ratio > 10


def test_an_on_off_ratio_of_one_hundred_is_about_as_good_as_infinite() -> None:
    weight, x = zero_peaked(256, 200), sparse_inputs(20, 256)
    best = rms_error(weight, x, DIFFERENTIAL, proportional(0.05))
    assert rms_error(weight, x, DIFFERENTIAL, proportional(0.05, on_off=100)) < 1.25 * best
    assert rms_error(weight, x, DIFFERENTIAL, proportional(0.05, on_off=5)) > 2 * best


def test_equal_alphas_err_equally_at_half_scale() -> None:
    target = 0.5 * I_MAX
    assert float(independent(0.04).sigma(target)) == pytest.approx(float(proportional(0.04).sigma(target)))


def test_mean_conductance_by_mapping() -> None:
    """Unsliced differential cells are nearly empty, offset cells half full.

    Lower slices of differential cells hold digits as good as random, where weights are not mostly zero: half of full
    scale over the programmed cell of each pair, a quarter over both.
    """
    weight = zero_peaked(1152, 256)
    unsliced = np.asarray(AnalogMatrix(weight, DIFFERENTIAL).conductances)
    assert 0.01 < unsliced.mean() < 0.03
    assert np.asarray(AnalogMatrix(weight, OFFSET).conductances).mean() == pytest.approx(0.5, abs=0.01)
    weight = np.random.default_rng(0).laplace(size=(1152, 256))
    sliced = np.asarray(AnalogMatrix(weight, DIFFERENTIAL.replace(bits_per_cell=2)).conductances)
    assert sliced[0].mean() == pytest.approx(0.25, abs=0.02)
    assert sliced[0].max(axis=0).mean() == pytest.approx(0.5, abs=0.04)
    assert sliced[-1].mean() < 0.02


def test_signals_of_differential_cells_fill_little_of_full_scale() -> None:
    """Useful signal over full scale (every row at full conductance and input), as an ADC's range would take it."""
    weight, x = zero_peaked(1152, 64), sparse_inputs(50, 1152)
    quantised = np.rint(255 * x) / 255

    def used(conductance: np.ndarray) -> float:
        return float(np.quantile(np.abs(quantised @ conductance), 0.9998)) / len(weight)

    offset = np.asarray(AnalogMatrix(weight, OFFSET).conductances)[0, 0]
    pairs = np.asarray(AnalogMatrix(weight, DIFFERENTIAL.replace(bits_per_cell=2)).conductances)
    assert 0.01 < used(offset) < 0.2
    assert used(pairs[-1, 0] - pairs[-1, 1]) < 0.003
    assert used(offset) > 10 * used(pairs[-1, 0] - pairs[-1, 1])


def converted_error(design: CoreDesign, weight: np.ndarray, x: np.ndarray, bits: int) -> float:
    """Error of conversion alone over the signal's standard deviation, range set to the inner 99.98 % of currents."""
    plain = AnalogMatrix(weight, design)
    exact = plain.matmul(x)
    cells = np.asarray(plain.conductances)[:, 0]
    if design.lines_per_column == 2:
        cells = cells - np.asarray(plain.conductances)[:, 1]
    rows = [range(r, min(r + design.max_rows, len(weight))) for r in range(0, len(weight), design.max_rows)]
    quantised = np.rint(255 * x) / 255
    ranges = []
    for matrix in cells:
        currents = np.concatenate([(quantised[:, part] @ matrix[part]).ravel() for part in rows])
        hi = float(np.quantile(np.abs(currents), 0.9998))
        ranges.append((-hi if design.symmetric_adc() else 0.0, hi))
    matrix = AnalogMatrix(weight, design.replace(adc_bits=bits), adc_range=ranges)
    return float(np.std(matrix.matmul(x) - exact) / exact.std())


def test_differential_cells_do_with_seven_bits_where_offset_cells_need_more() -> None:
    weight, x = zero_peaked(1152, 64), sparse_inputs(50, 1152)
    assert DIFFERENTIAL.b_out > 26
    assert converted_error(DIFFERENTIAL, weight, x, 7) < 0.02
    assert converted_error(OFFSET, weight, x, 8) > 5 * converted_error(DIFFERENTIAL, weight, x, 8)
    # Fewer rows and bits a cell bring B_out of offset cells towards the ADC's bits.
    small = OFFSET.replace(max_rows=72, bits_per_cell=2)
    assert converted_error(small, weight, x, 8) < 0.5 * converted_error(OFFSET, weight, x, 8)


def wire_error(weight: np.ndarray, x: np.ndarray, design: CoreDesign, r_p_hat: float) -> float:
    """Root-mean-square error that wires cause, over the standard deviation of the exact product."""
    exact = AnalogMatrix(weight, design).matmul(x)
    wired = AnalogMatrix(weight, design.replace(r_p_hat=r_p_hat)).matmul(x)
    return float(np.sqrt(np.mean((wired - exact) ** 2)) / exact.std())


def test_offset_cells_are_more_than_a_hundred_times_as_sensitive_to_wires() -> None:
    """1152 rows of gated cells: the resistance that costs a twentieth of the signal, for each mapping."""
    weight, x = zero_peaked(1152, 16), sparse_inputs(24, 1152)
    bare = {name: form.replace(adc_bits=None) for name, form in (("pairs", DIFFERENTIAL), ("offset", OFFSET))}

    def bearable(design: CoreDesign) -> float:
        low, high = 1e-11, 1e-2
        while high / low > 1.05:
            middle = math.sqrt(low * high)
            low, high = (middle, high) if wire_error(weight, x, design, middle) < 0.05 else (low, middle)
        return low

    pairs, offset = bearable(bare["pairs"]), bearable(bare["offset"])
    assert pairs > 1e-5
    assert pairs > 100 * offset
    # A unit column sees nearly the current of its neighbours, and takes off most of what wires do to an offset.
    assert bearable(UNIT.replace(adc_bits=None)) > 50 * offset


def test_slices_of_four_bits_stand_wires_somewhat_worse_than_whole_differential_cells() -> None:
    """The lower slice's cells conduct as if random, a quarter of full scale over both lines, instead of 2 %."""
    weight, x = zero_peaked(1152, 16), sparse_inputs(24, 1152)
    whole = DIFFERENTIAL.replace(adc_bits=None)
    ratio = wire_error(weight, x, whole.replace(bits_per_cell=4), 1e-6) / wire_error(weight, x, whole, 1e-6)
    assert 1 < ratio < 10
