"""Biases on the array: rows of cells beside those of the weights, driven with the same input at every product.

A bias B of a column is what its cells in `bias_rows` = n rows add, driven with the input d (relative to the full scale
X of the layer's inputs), where one weight integer is worth ``step`` on the array with the first rows:

    B = d X step sum_n I_n,     |I_n| <= 2^(weight_bits-1) - 1.

With ``bias_scale="own"``, d is the least input code at which the largest bias fits, so that it takes (nearly) the full
conductance range whatever range the weights take: a second scale, which costs nothing but the rows. With
``bias_scale="weights"``, d = 1, and biases are stored against the n-fold full scale of weights and inputs. Where the
largest bias does not fit at d = 1, the full scale of the weights on that array grows until it does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accuracy.mapping.inputs import input_steps
from accuracy.mapping.weights import Mapping
from circuits import CoreDesign

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BiasRows:
    """Rows of cells that hold the biases of a matrix.

    Attributes:
        mapping: their integers, shape (bias rows, columns), in the form of the matrix, flipped as its first array.
        code: what drives them, in input integers; a fraction of full scale where inputs are not quantised.
        drive: the same as a fraction of full scale.
        signed: whether the inputs beside them carry signs.
    """

    mapping: Mapping
    code: float
    drive: float
    signed: bool

    def values(self, full_scale: float) -> Floats:
        """Return the biases that ideal cells hold, shape (columns,).

        Args:
            full_scale: input value that counts as 1.
        """
        total = self.mapping.integers().sum(axis=0)
        return np.asarray(total * self.mapping.step * (self.drive * full_scale))


def bias_reach(bias: Floats, design: CoreDesign, full_scale: float) -> Floats:
    """Return the least full scale of weights at which biases fit their rows, driven at full scale; shape (columns,).

    Args:
        bias: shape (columns,).
        design: gives the rows.
        full_scale: input value that counts as 1.
    """
    return np.asarray(np.abs(bias) / (design.bias_rows * full_scale), dtype=np.float64)


def bias_codes(
    bias: Floats, step: Floats, design: CoreDesign, full_scale: float, signed: bool
) -> tuple[NDArray[np.int64], float, float]:
    """Return the integers of the bias rows, shape (bias rows, columns), what drives them, and that over full scale.

    Args:
        bias: shape (columns,).
        step: value of one weight integer on the array with the first rows, shape (columns,).
        design: gives the rows and their scale.
        full_scale: input value that counts as 1.
        signed: whether inputs carry signs.
    """
    full, rows = design.weight_code.largest, design.bias_rows
    reach = bias_reach(bias, design, full_scale)
    share = float(np.max(np.where(step > 0, reach / np.where(step > 0, step * full, 1.0), 0.0)))
    steps = input_steps(design, signed)
    if design.bias_scale == "weights" or share == 0:
        share = 1.0
    if steps is None:
        code = drive = min(share, 1.0)
    else:
        # A hair above a code is that code.
        code = float(min(max(np.ceil(share * steps * (1 - 1e-9)), 1), steps))
        drive = code / steps
    worth = step * (drive * full_scale)
    total = np.where(worth > 0, np.rint(bias / np.where(worth > 0, worth, 1.0)), 0.0).astype(np.int64)
    total = np.clip(total, -rows * full, rows * full)
    # As evenly as possible: every row has its share of the cells' errors.
    each, rest = np.divmod(np.abs(total), rows)
    return np.sign(total) * (each + (np.arange(rows)[:, None] < rest)), code, drive


def map_biases(bias: Floats, mapping: Mapping, full_scale: float, signed: bool) -> BiasRows:
    """Lay biases out in rows beside those of a matrix.

    Args:
        bias: shape (columns,).
        mapping: of the matrix, with the `bias_reach` of these biases.
        full_scale: input value that counts as 1.
        signed: whether inputs carry signs.
    """
    step, part = mapping.array_steps(0), (slice(0, mapping.design.bias_rows),)
    codes, code, drive = bias_codes(bias, step, mapping.design, full_scale, signed)
    signs, flipped = np.ones(mapping.columns), mapping.flipped[:, :1]
    own = Mapping(mapping.design, codes.astype(mapping.codes.dtype), flipped, signs, step, part, mapping.unit_columns)
    return BiasRows(own, code, drive, signed)
