"""Weights on arrays: from a real matrix to the digits that its cells hold, exactly, and back.

The arithmetic is that of the design document, section 6. A weight W becomes the integer
``I = rint(W / w_max * (2^(weight_bits-1) - 1))``; its digits, by the design's `circuits.WeightCode`, are spread over
the cells of its slices, and

    sum_rows x I = sum_slices weight_s * sum_rows x digit_s - offset * sum_rows x

with `Mapping.slice_weights` and `Mapping.offset`. Source: Xiao et al., IEEE Circuits and Systems Magazine 22(4), 2022,
doi 10.1109/MCAS.2022.3214409.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accuracy.errors import MappingError
from circuits import CoreDesign, split_rows

Digits = NDArray[np.int32]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mapping:
    """A matrix as the digits of its cells.

    Attributes:
        design: the design it was mapped for.
        digits: what each cell holds, 0..`levels`; shape (slices, lines, rows, physical columns), positive line first.
            Unit columns, where there are any (one a convolution group), are the last physical columns.
        flipped: physical columns that store ``levels - digit``; shape (slices, partitions, physical columns).
        column_signs: sign applied digitally to each output; shape (columns,); ones where columns may mix signs.
        step: value of one weight integer, for each output; shape (columns,).
        partitions: rows of each array, in order.
    """

    design: CoreDesign
    digits: Digits
    flipped: NDArray[np.bool_]
    column_signs: Floats
    step: Floats
    partitions: tuple[slice, ...]

    @property
    def rows(self) -> int:
        """Inputs of the matrix."""
        return int(self.digits.shape[2])

    @property
    def columns(self) -> int:
        """Outputs of the matrix, the unit column not counted."""
        return int(self.step.shape[0])

    @property
    def levels(self) -> int:
        """The digit of a cell at G_max, ``2^bits_per_cell - 1``."""
        return self.design.weight_code.levels

    @property
    def slice_weights(self) -> Floats:
        """Worth of one digit of each slice in weight integers; shape (slices,)."""
        return np.array(self.design.weight_code.worth, dtype=np.float64)

    @property
    def offset(self) -> int:
        """What is subtracted digitally from every stored integer; a unit column measures it instead."""
        code = self.design.weight_code
        return 0 if code.unit_column else code.offset

    @property
    def fractions(self) -> Floats:
        """Digits as fractions of a full cell; same shape as `digits`."""
        return self.digits / float(self.levels)

    def integers(self) -> NDArray[np.int64]:
        """Return the weight integers that the digits stand for; shape (rows, columns)."""
        code = self.design.weight_code
        digits = self.digits.astype(np.int64)
        for index, rows in enumerate(self.partitions):
            flips = self.flipped[:, index, :][:, None, None, :]
            digits[:, :, rows, :] = np.where(flips, code.complement(digits[:, :, rows, :]), digits[:, :, rows, :])
        total = code.integers(digits)
        if code.unit_column:
            unit = total[:, self.columns :]
            total = total[:, : self.columns] - np.repeat(unit, self.columns // unit.shape[1], axis=1)
        return np.asarray(total * self.column_signs.astype(np.int64), dtype=np.int64)

    def weights(self) -> Floats:
        """Return the quantised weights; shape (rows, columns)."""
        return self.integers() * self.step


def given_steps(given: ArrayLike | None, columns: int, design: CoreDesign) -> Floats:
    """Return the quantiser's own step for each column; shape (columns,).

    Raises:
        MappingError: the step is missing, of the wrong size or not positive.
    """
    if given is None:
        raise MappingError(
            f"Design {design.name!r} has weight_scale 'given': pass `weight_step`, the quantiser's step (one "
            "number, or one a column); layers take it from their attribute `weight_step`."
        )
    step = np.asarray(given, dtype=np.float64).reshape(-1)
    if step.size not in (1, columns) or not np.all(np.isfinite(step) & (step > 0)):
        raise MappingError(
            f"Expected `weight_step` to be one positive number or {columns}, but got {np.array2string(step)}."
        )
    return np.array(np.broadcast_to(step, (columns,)))


def quantise_weights(
    weight: Floats, design: CoreDesign, weight_step: ArrayLike | None = None
) -> tuple[NDArray[np.int64], Floats]:
    """Return weight integers, shape (rows, columns), and the value of one of them for each column.

    ``rint(W / w_max * (2^(weight_bits-1) - 1))`` with w_max the largest magnitude of the layer or of the column, or
    ``rint(W / step)`` with the quantiser's own step.

    Raises:
        MappingError: with a given step, the step is unusable or an integer exceeds what the weight bits hold.
    """
    full = design.weight_code.largest
    if design.weight_scale == "given":
        step = given_steps(weight_step, weight.shape[1], design)
        integers = np.rint(weight / step)
        worst = float(np.abs(integers).max())
        if worst > full:
            raise MappingError(
                f"With the given step a weight becomes {worst:.0f}, but {design.weight_bits}-bit weights reach "
                f"{full}; use more weight_bits."
            )
        return integers.astype(np.int64), step
    by_column = design.weight_scale == "column"
    largest = np.abs(weight).max(axis=0) if by_column else np.full(weight.shape[1], np.abs(weight).max())
    # A column of zeros has scale 0: whatever its cells read, its output is exactly 0.
    integers = np.rint(weight / np.where(largest > 0, largest, 1.0) * full)
    return integers.astype(np.int64), np.asarray(largest / full, dtype=np.float64)


def row_partitions(rows: int, design: CoreDesign, channel_rows: int = 1) -> tuple[slice, ...]:
    """Split the rows of a matrix over arrays, as evenly as possible, larger parts first.

    Args:
        rows: inputs of the matrix.
        design: sets how many rows an array has at most.
        channel_rows: rows of one input channel (the kernel area of a convolution). Whole channels share an array
            where that needs no more arrays; otherwise channels are cut.

    Returns:
        Consecutive slices that cover all rows.
    """
    parts = split_rows(rows, design.max_rows)
    channels, rest = divmod(rows, channel_rows)
    if rest == 0 and channel_rows > 1 and channels >= len(parts):
        even, larger = divmod(channels, len(parts))
        if (even + (1 if larger else 0)) * channel_rows <= design.max_rows:
            parts = tuple((even + (1 if i < larger else 0)) * channel_rows for i in range(len(parts)))
    edges = np.concatenate([[0], np.cumsum(parts)])
    return tuple(slice(int(a), int(b)) for a, b in pairwise(edges))


def _column_signs(integers: NDArray[np.int64], project: bool) -> tuple[NDArray[np.int64], Floats]:
    """One sign a column; weights of the other sign are refused, or set to zero where projection is asked for."""
    positive = (integers.clip(min=0) ** 2).sum(axis=0)
    negative = (integers.clip(max=0) ** 2).sum(axis=0)
    signs = np.where(negative > positive, -1, 1)
    mixed = np.flatnonzero((positive > 0) & (negative > 0))
    if mixed.size and not project:
        raise MappingError(
            f"Column-sign designs need weights of one sign in each column, but {mixed.size} of {integers.shape[1]} "
            f"columns mix signs (the first is column {mixed[0]}); retrain the network for it, or ask for "
            "project_signs=True, which sets the minority sign of each column to zero."
        )
    return np.where(integers * signs > 0, np.abs(integers), 0), signs.astype(np.float64)


def map_weights(
    weight: ArrayLike,
    design: CoreDesign,
    *,
    weight_step: ArrayLike | None = None,
    project_signs: bool = False,
    channel_rows: int = 1,
    groups: int = 1,
) -> Mapping:
    """Lay a matrix out on arrays.

    Args:
        weight: real weights, shape (rows, columns).
        design: how signed weights become conductances.
        weight_step: step of the quantiser, with ``weight_scale="given"``.
        project_signs: for column-sign designs, set the minority sign of each column to zero instead of refusing.
        channel_rows: rows of an input channel, kept together where that divides well.
        groups: convolution groups; columns are split evenly among them and each group has its own unit column.

    Returns:
        The mapping.

    Raises:
        MappingError: weights that are not a finite, non-empty matrix, or do not suit the design.
    """
    matrix = np.asarray(weight, dtype=np.float64)
    if matrix.ndim != 2 or matrix.size == 0:
        raise MappingError(f"Expected `weight` to be a matrix (rows, columns), but got shape {matrix.shape}.")
    if not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0]
        count = int((~np.isfinite(matrix)).sum())
        raise MappingError(
            f"Expected `weight` to be finite, but {count} of {matrix.size} values are not; the first is "
            f"{matrix[row, column]} at row {row}, column {column}."
        )
    code = design.weight_code
    integers, step = quantise_weights(matrix, design, weight_step)
    signs = np.ones(matrix.shape[1])
    if code.one_sign:
        integers, signs = _column_signs(integers, project_signs)
    if code.unit_column:
        integers = np.concatenate([integers, np.zeros((matrix.shape[0], groups), dtype=np.int64)], axis=1)
    digits = code.digits(integers)
    partitions = row_partitions(matrix.shape[0], design, channel_rows)
    flipped = np.zeros((code.slices, len(partitions), digits.shape[-1]), dtype=bool)
    if design.flipped_encoding:
        for index, rows in enumerate(partitions):
            block = digits[:, :, rows, :]
            flipped[:, index, :] = code.flips(block)
            digits[:, :, rows, :] = np.where(flipped[:, index, :][:, None, None, :], code.complement(block), block)
    return Mapping(
        design=design,
        digits=np.ascontiguousarray(digits, dtype=np.int32),
        flipped=flipped,
        column_signs=signs,
        step=step,
        partitions=partitions,
    )
