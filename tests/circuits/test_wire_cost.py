"""What wires cost a reading: the closed form against lines that are solved exactly."""

from __future__ import annotations

import numpy as np
import pytest

from circuits import LineCurrents, load_design, solve_bit_lines
from circuits.bit_line.wire_cost import wire_error_lsb
from circuits.designs import CoreDesign
from devicekit import DesignError

I_MAX = 1.6e-6


def _one_bit(name: str) -> CoreDesign:
    return load_design(name).replace(input_accumulation="digital")


def _solved(design: CoreDesign, rows: int, r_p_hat: float, seed: int) -> tuple[LineCurrents, float, float]:
    """Return line currents of random cells and inputs, and the wires' error as it is and with each column trimmed."""
    rng = np.random.default_rng(seed)
    columns, patterns = 24, 600
    lines = 2 if design.subtracts_lines else 1
    cells = rng.exponential(0.03 if lines == 2 else 0.2, (lines, rows, columns)).clip(0, 1)
    # Inputs of different loads, as images have them.
    active = rng.random((patterns, rows)) < rng.uniform(0.02, 0.5, (patterns, 1))
    straight = np.stack([active.astype(float) @ own for own in cells])
    wired = np.stack([solve_bit_lines(own, active, r_p_hat) for own in cells])
    ideal, read = (v[0] - v[1] if lines == 2 else v[0] for v in (straight, wired))
    reach = np.quantile(np.abs(ideal), 0.9998)
    common = straight.mean(axis=0)
    values = {
        "differential_mean_a": ideal.mean(), "differential_spread_a": ideal.std(), "differential_range_a": reach,
        "common_mean_a": common.mean(), "common_spread_a": common.std(), "common_range_a": common.max(),
    }  # fmt: skip
    currents = LineCurrents(**{key: [[own * I_MAX]] for key, own in values.items()}, full_scale_a=[reach * I_MAX])
    code = reach * 2 / 254 if lines == 2 else reach / 255
    rest = []
    for own, wanted in zip(read.T, ideal.T, strict=True):
        gain, offset = np.polyfit(own, wanted, 1)
        rest.append(gain * own + offset - wanted)
    return (
        currents,
        float(np.sqrt(np.mean((read - ideal) ** 2)) / code),
        float(np.sqrt(np.mean(np.square(rest))) / code),
    )


@pytest.mark.parametrize("name", ["A", "E"])
@pytest.mark.parametrize(("rows", "r_p_hat"), [(128, 3e-6), (1152, 1e-6), (576, 1e-5)])
def test_the_closed_form_meets_solved_lines(name: str, rows: int, r_p_hat: float) -> None:
    design = _one_bit(name)
    currents, error, rest = _solved(design, rows, r_p_hat, seed=rows)
    # A bound, and not far from what it bounds.
    for trimmed, exact in ((False, error), (True, rest)):
        bound = wire_error_lsb(currents, design, rows, r_p_hat, I_MAX, trimmed=trimmed)
        assert 0.8 * exact < bound < 2.5 * exact


def test_it_grows_as_resistance_rows_and_slope() -> None:
    design = _one_bit("A")
    currents, *_ = _solved(design, 64, 1e-6, seed=1)
    base = wire_error_lsb(currents, design, 64, 1e-6, I_MAX)
    assert wire_error_lsb(currents, design, 64, 3e-6, I_MAX) == pytest.approx(3 * base)
    assert wire_error_lsb(currents, design, 128, 1e-6, I_MAX) == pytest.approx(2 * base)
    assert wire_error_lsb(currents, design, 64, 1e-6, I_MAX, slope=4.0) == pytest.approx(4 * base)
    assert wire_error_lsb(currents, design, 64, 0.0, I_MAX) == 0.0


def test_bits_accumulated_before_a_conversion_share_its_error() -> None:
    """The same current in every bit, accumulated, is the error of one bit: weights sum to 1."""
    currents, *_ = _solved(_one_bit("A"), 64, 1e-6, seed=1)
    values = {key: np.tile(getattr(currents, key), 8) for key in currents.to_dict() if key.endswith("_a")}
    values["full_scale_a"] = currents.full_scale_a
    together = LineCurrents(**values)
    one = wire_error_lsb(currents, _one_bit("A"), 64, 1e-6, I_MAX)
    assert wire_error_lsb(together, load_design("A"), 64, 1e-6, I_MAX) == pytest.approx(one)


def test_what_is_impossible_is_refused() -> None:
    design = _one_bit("A")
    currents, *_ = _solved(design, 64, 1e-6, seed=1)
    with pytest.raises(DesignError, match="`slope`"):
        wire_error_lsb(currents, design, 64, 1e-6, I_MAX, slope=0.0)
    with pytest.raises(DesignError, match="range of the ADCs"):
        wire_error_lsb(currents, design.replace(adc_bits=None), 64, 1e-6, I_MAX)
