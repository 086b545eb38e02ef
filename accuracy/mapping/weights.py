"""Weights on arrays: from a real matrix to the digits that its cells hold, exactly, and back.

The arithmetic is that of the design document, section 6. A weight W becomes the integer
``I = rint(W / w_max * (2^(weight_bits-1) - 1))``; its digits, by the design's `circuits.WeightCode`, are spread over
the cells of its slices, and

    sum_rows x I = sum_slices weight_s * sum_rows x digit_s - offset * sum_rows x

with `Mapping.slice_weights` and `Mapping.offset`. Where every array has a scale of its own
(``weight_scale="array"``), w_max is the largest magnitude of a column (or group of columns) on that array, and its
partial sums are multiplied with its scale before they are added.

Source: Xiao et al., IEEE Circuits and Systems Magazine 22(4), 2022, doi 10.1109/MCAS.2022.3214409.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from accuracy.errors import MappingError
from circuits import CoreDesign, split_rows
from circuits.weight_codes import WeightCode

Digits = NDArray[np.unsignedinteger]
Floats = NDArray[np.float64]

PIECE_CELLS = 1 << 16
"""Weights, or cells, that are worked on together: what that takes in double precision stays a few megabytes."""


def row_pieces(rows: slice, width: int) -> Iterator[slice]:
    """Yield consecutive pieces of some rows, each of so few that its cells are worked on together.

    Args:
        rows: from a start to a stop.
        width: cells of a row.
    """
    step = max(1, PIECE_CELLS // max(width, 1))
    for start in range(rows.start, rows.stop, step):
        yield slice(start, min(start + step, rows.stop))


@lru_cache(maxsize=16)
def _digit_table(code: WeightCode) -> Digits:
    """Return the digits of every weight integer from ``-largest`` up; shape (slices, lines, integers)."""
    table = code.digits(np.arange(-code.largest, code.largest + 1))
    return np.ascontiguousarray(table, np.uint8 if code.levels < 256 else np.uint16)


@dataclass(frozen=True, eq=False)
class Mapping:
    """A matrix on arrays: one integer a weight, from which the digits of its cells follow.

    Attributes:
        design: the design it was mapped for.
        codes: weight integers, magnitudes where a column's sign is applied digitally; shape (rows, columns), in the
            fewest bytes.
        flipped: physical columns that store ``levels - digit``; shape (slices, partitions, physical columns).
        column_signs: sign applied digitally to each output; shape (columns,); ones where columns may mix signs.
        step: value of one weight integer, for each output; shape (columns,). The largest, where arrays differ.
        partitions: rows of each array, in order.
        unit_columns: columns that measure the offset, one a convolution group; 0 where it is known digitally.
        array_scales: value of one weight integer on each array over `step`; shape (partitions, columns). None where one
            scale holds for all arrays.
    """

    design: CoreDesign
    codes: NDArray[np.signedinteger]
    flipped: NDArray[np.bool_]
    column_signs: Floats
    step: Floats
    partitions: tuple[slice, ...]
    unit_columns: int = 0
    array_scales: Floats | None = None

    @property
    def rows(self) -> int:
        """Inputs of the matrix."""
        return int(self.codes.shape[0])

    @property
    def columns(self) -> int:
        """Outputs of the matrix, the unit columns not counted."""
        return int(self.codes.shape[1])

    @property
    def physical_columns(self) -> int:
        """Columns of each array, the unit columns last."""
        return self.columns + self.unit_columns

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Cells as (slices, lines, rows, physical columns)."""
        code = self.design.weight_code
        return code.slices, code.lines, self.rows, self.physical_columns

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
    def digits(self) -> Digits:
        """What each cell holds, 0..`levels`; shape (slices, lines, rows, physical columns), positive line first."""
        return self.digits_of(slice(0, self.rows))

    def digits_of(self, rows: slice) -> Digits:
        """Return what the cells of some rows hold, flipped columns complemented.

        Args:
            rows: from a start to a stop.

        Returns:
            Shape (slices, lines, rows, physical columns).
        """
        digits = self._plain_digits(rows)
        if self.flipped.any():
            code = self.design.weight_code
            for index, part in enumerate(self.partitions):
                own = slice(max(part.start - rows.start, 0), max(part.stop - rows.start, 0))
                flips = self.flipped[:, index][:, None, None, :]
                plain = digits[:, :, own].astype(np.int64)
                digits[:, :, own] = np.where(flips, code.complement(plain), plain)
        return digits

    def _plain_digits(self, rows: slice) -> Digits:
        code = self.design.weight_code
        index = self.codes[rows].astype(np.intp) + code.largest
        if self.unit_columns:
            index = np.pad(index, ((0, 0), (0, self.unit_columns)), constant_values=code.largest)
        return _digit_table(code).take(index, axis=2)

    def integers(self) -> NDArray[np.int64]:
        """Return the weight integers; shape (rows, columns)."""
        return np.asarray(self.codes * self.column_signs.astype(np.int64), dtype=np.int64)

    def weights(self) -> Floats:
        """Return the quantised weights; shape (rows, columns)."""
        weights = self.integers() * self.step
        if self.array_scales is not None:
            for rows, scales in zip(self.partitions, self.array_scales, strict=True):
                weights[rows] *= scales
        return weights

    def array_steps(self, partition: int) -> Floats:
        """Return the value of one weight integer on an array, for each output; shape (columns,)."""
        return self.step if self.array_scales is None else self.step * self.array_scales[partition]


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


Rows = Callable[[slice], Floats]
"""Gives some rows of a real matrix in double precision."""


def _rows_of(weight: ArrayLike | Tensor) -> tuple[tuple[int, ...], Rows]:
    """Shape of a matrix, and what reads its rows without a copy of the rest."""
    if isinstance(weight, Tensor):
        held = weight.detach()
        return tuple(held.shape), lambda rows: held[rows].to("cpu", torch.float64).numpy()
    matrix = np.asarray(weight)
    return matrix.shape, lambda rows: np.asarray(matrix[rows], dtype=np.float64)


def _largest_magnitudes(shape: tuple[int, ...], read: Rows, partitions: Sequence[slice]) -> Floats:
    """Return the largest magnitude of each column on each array; shape (partitions, columns).

    Raises:
        MappingError: weights that are not finite.
    """
    largest = np.zeros((len(partitions), shape[1]))
    for own, partition in zip(largest, partitions, strict=True):
        for rows in row_pieces(partition, shape[1]):
            found = np.abs(read(rows)).max(axis=0)
            if not np.isfinite(found).all():
                raise _not_finite(shape, read)
            np.maximum(own, found, out=own)
    return largest


def _not_finite(shape: tuple[int, ...], read: Rows) -> MappingError:
    matrix = read(slice(0, shape[0]))
    row, column = np.argwhere(~np.isfinite(matrix))[0]
    count = int((~np.isfinite(matrix)).sum())
    return MappingError(
        f"Expected `weight` to be finite, but {count} of {matrix.size} values are not; the first is "
        f"{matrix[row, column]} at row {row}, column {column}."
    )


def full_scales(largest: Floats, design: CoreDesign, bias_reach: Floats | None = None) -> Floats:
    """Return the weight that stands for the largest integer, of each column on each array; shape (partitions, columns).

    Args:
        largest: largest magnitude of each column on each array, shape (partitions, columns).
        design: says which of them share a scale.
        bias_reach: what the full scale of the columns of the first array must be at least, so that biases fit their
            rows; shape (columns,).
    """
    scales = largest.copy()
    if bias_reach is not None:
        np.maximum(scales[0], bias_reach, out=scales[0])
    if design.weight_scale == "array":
        width = design.scale_columns or scales.shape[1]
        for start in range(0, scales.shape[1], width):
            group = scales[:, start : start + width]
            group[...] = group.max(axis=1, keepdims=True)
        return scales
    scales[...] = scales.max(axis=0)
    if design.weight_scale == "layer":
        scales[...] = scales.max()
    return scales


def quantise_weights(
    weight: ArrayLike | Tensor,
    design: CoreDesign,
    weight_step: ArrayLike | None = None,
    partitions: Sequence[slice] | None = None,
    bias_reach: Floats | None = None,
) -> tuple[NDArray[np.signedinteger], Floats]:
    """Return weight integers, shape (rows, columns), in the fewest bytes, and the value of one on each array.

    ``rint(W / w_max * (2^(weight_bits-1) - 1))`` with w_max the largest magnitude of the layer, of the column, or of
    the array, or ``rint(W / step)`` with the quantiser's own step. Rows go through in pieces.

    Args:
        weight: shape (rows, columns).
        design: says what has a scale of its own.
        weight_step: step of the quantiser, with ``weight_scale="given"``.
        partitions: rows of each array; None for one array.
        bias_reach: see `full_scales`.

    Returns:
        The integers, and steps of shape (partitions, columns).

    Raises:
        MappingError: weights that are not finite; with a given step, the step is unusable, or an integer or a bias
            exceeds what the weight bits hold.
    """
    shape, read = _rows_of(weight)
    arrays = (slice(0, shape[0]),) if partitions is None else tuple(partitions)
    full = design.weight_code.largest
    largest = _largest_magnitudes(shape, read, arrays)
    codes = np.empty(shape, np.int8 if full < 128 else np.int16)
    if design.weight_scale == "given":
        step = given_steps(weight_step, shape[1], design)
        worst = float(np.rint(largest / step).max())
        if worst > full:
            raise MappingError(
                f"With the given step a weight becomes {worst:.0f}, but {design.weight_bits}-bit weights reach "
                f"{full}; use more weight_bits."
            )
        reach = 0.0 if bias_reach is None else float((bias_reach / step).max())
        if np.rint(reach) > full:
            raise MappingError(
                f"With the given step a bias becomes {reach * design.bias_rows:.0f} on {design.bias_rows} rows of "
                f"{design.weight_bits}-bit cells, which reach {full * design.bias_rows}; use bias_rows of at least "
                f"{int(np.ceil(reach * design.bias_rows / full))}, or digital biases (0)."
            )
        steps, factor = np.tile(step, (len(arrays), 1)), 1
        divisors = steps
    else:
        scales = full_scales(largest, design, bias_reach)
        steps = np.asarray(scales / full, dtype=np.float64)
        # A column of zeros has scale 0: whatever its cells read, its output is exactly 0.
        divisors, factor = np.where(scales > 0, scales, 1.0), full
    for partition, divisor in zip(arrays, divisors, strict=True):
        for rows in row_pieces(partition, shape[1]):
            scaled = read(rows) / divisor
            np.multiply(scaled, factor, out=scaled)
            codes[rows] = np.rint(scaled, out=scaled)
    return codes, steps


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


def _column_signs(codes: NDArray[np.signedinteger], project: bool) -> tuple[NDArray[np.signedinteger], Floats]:
    """One sign a column; weights of the other sign are refused, or set to zero where projection is asked for."""
    integers = codes.astype(np.int64)
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
    return np.where(integers * signs > 0, np.abs(integers), 0).astype(codes.dtype), signs.astype(np.float64)


def map_weights(
    weight: ArrayLike | Tensor,
    design: CoreDesign,
    *,
    weight_step: ArrayLike | None = None,
    project_signs: bool = False,
    channel_rows: int = 1,
    groups: int = 1,
    bias_reach: Floats | None = None,
) -> Mapping:
    """Lay a matrix out on arrays.

    Args:
        weight: real weights, shape (rows, columns).
        design: how signed weights become conductances.
        weight_step: step of the quantiser, with ``weight_scale="given"``.
        project_signs: for column-sign designs, set the minority sign of each column to zero instead of refusing.
        channel_rows: rows of an input channel, kept together where that divides well.
        groups: convolution groups; columns are split evenly among them and each group has its own unit column.
        bias_reach: see `full_scales`.

    Returns:
        The mapping.

    Raises:
        MappingError: weights that are not a finite, non-empty matrix, or do not suit the design.
    """
    matrix = weight if isinstance(weight, Tensor) else np.asarray(weight)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise MappingError(f"Expected `weight` to be a matrix (rows, columns), but got shape {tuple(matrix.shape)}.")
    code = design.weight_code
    partitions = row_partitions(matrix.shape[0], design, channel_rows)
    codes, steps = quantise_weights(matrix, design, weight_step, partitions, bias_reach)
    signs = np.ones(codes.shape[1])
    if code.one_sign:
        codes, signs = _column_signs(codes, project_signs)
    unit_columns = groups if code.unit_column else 0
    flipped = np.zeros((code.slices, len(partitions), codes.shape[1] + unit_columns), dtype=bool)
    step, scales = steps.max(axis=0), None
    if design.weight_scale == "array":
        scales = np.where(step > 0, steps / np.where(step > 0, step, 1.0), 1.0)
    mapping = Mapping(design, codes, flipped, signs, step, partitions, unit_columns, scales)
    if design.flipped_encoding:
        # Nothing is flipped yet, so these are the plain digits.
        found = [code.flips(mapping.digits_of(rows).astype(np.int64)) for rows in partitions]
        flipped[...] = np.stack(found, axis=1)
    return mapping
