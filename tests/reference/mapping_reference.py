"""How a matrix is laid out on cells: integers, digits, partitions and flips, in loops. Choices: `analog_reference`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

OFFSETS = ("offset", "offset_unit_column")


def integer_weights(weight: np.ndarray, design: Any, step: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Weights as integers and what one integer is worth in each column.

    Args:
        weight: (rows, columns).
        design: a design; read are weight_bits and weight_scale.
        step: the quantiser's step for ``given``: a number, or one a column.

    Returns:
        Integers (rows, columns) and steps (columns,).
    """
    weight = np.asarray(weight, dtype=np.float64)
    rows, columns = weight.shape
    top = 2 ** (design.weight_bits - 1) - 1
    steps = np.zeros(columns)
    for c in range(columns):
        if design.weight_scale == "layer":
            steps[c] = np.max(np.abs(weight)) / top
        elif design.weight_scale == "column":
            steps[c] = np.max(np.abs(weight[:, c])) / top
        else:
            steps[c] = np.broadcast_to(np.asarray(step, dtype=np.float64), (columns,))[c]
    integers = np.zeros((rows, columns), dtype=np.int64)
    for r in range(rows):
        for c in range(columns):
            if steps[c] > 0:
                w_max = steps[c] * top
                integers[r, c] = int(np.rint(weight[r, c] / w_max * top))
    return integers, steps


def digits_of(number: int, bits_per_digit: int, total_bits: int) -> list[int]:
    """Digits of a number in base 2^bits_per_digit, least significant first; the last takes what is left."""
    count = -(-total_bits // bits_per_digit)
    result = []
    for _ in range(count):
        result.append(number % 2**bits_per_digit)
        number //= 2**bits_per_digit
    assert number == 0
    return result


def stored_digits(integer: int, design: Any) -> list[list[int]]:
    """Digits that one weight stores: a list over slices of a list over lines (positive cell first)."""
    bits, cell_bits, form = design.weight_bits, design.bits_per_cell, design.negative_weights
    if form == "differential":
        magnitude = digits_of(abs(integer), cell_bits, bits - 1)
        return [[d, 0] if integer > 0 else [0, d] for d in magnitude]
    if form == "column_sign":
        return [[d] for d in digits_of(abs(integer), cell_bits, bits - 1)]
    if form in OFFSETS:
        return [[d] for d in digits_of(integer + 2 ** (bits - 1), cell_bits, bits)]
    if form == "twos_complement":
        pattern = integer % 2**bits
    else:
        pattern = integer if integer >= 0 else (2**bits - 1) ^ abs(integer)
    sign, rest = divmod(pattern, 2 ** (bits - 1))
    return [[d] for d in digits_of(rest, cell_bits, bits - 1)] + [[sign]]


def slice_worth(design: Any) -> list[int]:
    """What one digit of each weight slice counts, in integer weights."""
    bits, cell_bits, form = design.weight_bits, design.bits_per_cell, design.negative_weights
    stored_bits = bits if form in OFFSETS else bits - 1
    worth = [2 ** (cell_bits * s) for s in range(-(-stored_bits // cell_bits))]
    if form == "twos_complement":
        worth.append(-(2 ** (bits - 1)))
    elif form == "ones_complement":
        worth.append(-(2 ** (bits - 1) - 1))
    return worth


def partition_rows(rows: int, max_rows: int) -> list[range]:
    """Rows of each partition: as even as possible, larger parts first."""
    parts = 1
    while parts * max_rows < rows:
        parts += 1
    result, start = [], 0
    for p in range(parts):
        size = -(-(rows - start) // (parts - p))
        result.append(range(start, start + size))
        start += size
    return result


@dataclass
class Mapping:
    """A programmed matrix.

    Attributes:
        digits: (slices, lines, rows, columns) integers as stored, flips included; with a unit column that is the last.
        flipped: (slices, partitions, columns) bool.
        worth: what a digit of each slice counts.
        steps: (columns,) of the matrix, what one integer is worth.
        signs: (columns,) digital sign of each column.
        parts: rows of each partition.
        conductances: (slices, lines, rows, columns of the matrix), ideal cells.
        unit: (slices, rows), conductances of the unit column, or None.
    """

    digits: np.ndarray
    flipped: np.ndarray
    worth: list[int]
    steps: np.ndarray
    signs: np.ndarray
    parts: list[range]
    conductances: np.ndarray
    unit: np.ndarray | None


def program(
    weight: np.ndarray, design: Any, g_min: float = 0.0, step: Any = None, parts: list[range] | None = None
) -> Mapping:
    """Lay a matrix out on ideal cells.

    Args:
        weight: (rows, columns).
        design: any object with the fields of a core design.
        g_min: conductance of an idle cell, in units of the largest.
        step: see `integer_weights`.
        parts: rows of each partition, where they are not the even split: which rows of a convolution share an array is
            free.
    """
    integers, steps = integer_weights(weight, design, step)
    rows, columns = integers.shape
    bits, base = design.weight_bits, 2**design.bits_per_cell
    worth = slice_worth(design)
    lines = 2 if design.negative_weights == "differential" else 1
    unit = design.negative_weights == "offset_unit_column"
    width = columns + 1 if unit else columns
    signs = np.ones(columns)
    if design.negative_weights == "column_sign":
        for c in range(columns):
            assert np.all(integers[:, c] >= 0) or np.all(integers[:, c] <= 0), "mixed signs in a column"
            signs[c] = -1.0 if np.any(integers[:, c] < 0) else 1.0
    digits = np.zeros((len(worth), lines, rows, width), dtype=np.int64)
    for r in range(rows):
        for c in range(columns):
            digits[:, :, r, c] = stored_digits(int(integers[r, c]), design)
        if unit:
            digits[:, 0, r, columns] = digits_of(2 ** (bits - 1), design.bits_per_cell, bits)
    parts = partition_rows(rows, design.max_rows) if parts is None else parts
    flipped = np.zeros((len(worth), len(parts), width), dtype=bool)
    if design.flipped_encoding:
        for s in range(len(worth)):
            for p, part in enumerate(parts):
                for c in range(width):
                    total = sum(int(digits[s, 0, r, c]) for r in part)
                    if 2 * total > (base - 1) * len(part):
                        flipped[s, p, c] = True
                        for r in part:
                            digits[s, 0, r, c] = base - 1 - digits[s, 0, r, c]
    conductances = np.zeros(digits.shape)
    for index in np.ndindex(*digits.shape):
        conductances[index] = g_min + (1 - g_min) * int(digits[index]) / (base - 1)
    return Mapping(
        digits,
        flipped,
        worth,
        steps,
        signs,
        parts,
        conductances[..., :columns],
        conductances[:, 0, :, columns] if unit else None,
    )
