"""Outlier cells reach the arrays: every array programs what the cell itself programs."""

from dataclasses import replace

import numpy as np
import pytest

import devicekit
from accuracy import AnalogMatrix
from circuits import CoreDesign
from devicekit.cells.tails import TAIL_SHAPES

CELL = devicekit.load_device("sonos_40nm_tcas2022")


@pytest.mark.parametrize("shape", TAIL_SHAPES)
def test_arrays_hold_the_cells_that_the_cell_programs(shape: str) -> None:
    cell = replace(CELL, tail=devicekit.Tail(0.03, shape, 10.0))  # type: ignore[arg-type]
    design = CoreDesign(
        name="offset", negative_weights="offset", weight_bits=8, bits_per_cell=8, max_rows=128, matrix_rows=128
    )
    weight = np.random.default_rng(0).normal(size=(128, 64))
    with_tail, without = (AnalogMatrix(weight, design, c, seed=7) for c in (cell, CELL))
    differ = with_tail.conductances != without.conductances
    assert differ.mean() == pytest.approx(0.03, abs=0.008)
    # Every array goes through the cell's own law: the same seed gives its currents, clipped at 0.
    generator = np.random.default_rng(7)
    targets = AnalogMatrix(weight, design, replace(CELL, error=devicekit.StateIndependent(0.0)), seed=7).conductances
    expected = np.maximum(cell.program(targets * cell.i_max, generator) / cell.i_max, 0.0)
    np.testing.assert_allclose(with_tail.conductances, expected, rtol=0, atol=1e-12)
    x = np.random.default_rng(1).uniform(size=(50, 128))
    ideal = x @ weight
    errors = [np.std(matrix.matmul(x) - ideal) for matrix in (with_tail, without)]
    assert errors[0] > 1.05 * errors[1]
