"""Read noise is drawn anew for every input slice: eight one-bit slices gain a factor of 1.725 over one slice."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from accuracy import AnalogMatrix
from circuits import CoreDesign
from devicekit import Cell, StateIndependent

SIGMA = 0.02
CELL = Cell(
    error=StateIndependent(0.0),
    i_max=1.6e-6,
    on_off_ratio=5.0,
    read_noise=StateIndependent(2 * SIGMA),
    read_voltage=0.1,
)


def noise(design: CoreDesign, x: np.ndarray) -> float:
    """Standard deviation of a product over many reads of one chip, in units of a full cell."""
    weight = np.random.default_rng(0).uniform(0.2, 1.0, size=(20, 16))
    weight[0] = 1.0
    ideal = AnalogMatrix(weight, design, cell=dataclasses.replace(CELL, read_noise=None))
    matrix = AnalogMatrix(weight, design, cell=CELL)
    reads = matrix.matmul(np.repeat(x[None], 3000, axis=0)) - ideal.matmul(x[None])
    return float(reads.std() * (1 - 1 / CELL.on_off_ratio))


@pytest.mark.parametrize("accumulation", ["analog", "digital"])
def test_eight_input_slices_gain_a_factor_of_1_725(accumulation: str) -> None:
    x = np.ones(20)
    sliced = CoreDesign(input_accumulation=accumulation)
    whole = sliced.replace(bits_per_input_slice=None, input_encoding="voltage")
    one, eight = noise(whole, x), noise(sliced, x)
    # Two cells a pair, each of its own noise.
    assert one == pytest.approx(SIGMA * math.sqrt(2 * 20), rel=0.02)
    assert one / eight == pytest.approx(1.7253, rel=0.02)


def test_variance_follows_the_bits_that_are_set() -> None:
    numbers = np.random.default_rng(1).integers(0, 256, size=20)
    bits = (numbers[:, None] >> np.arange(8)) & 1
    expected = math.sqrt(2 * SIGMA**2 * float((bits * (2.0 ** np.arange(8) / 255) ** 2).sum()))
    assert noise(CoreDesign(), numbers / 255) == pytest.approx(expected, rel=0.02)
