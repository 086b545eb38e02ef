"""A slow, independent statement of what an analog matrix computes: integers, loops and float64, nothing shared.

`multiply` does for one matrix what the array does: it turns weights into digits, digits into conductances, inputs into
slices, and then walks through every output, row partition, weight slice, bit line and input slice, adding currents row
by row and converting them one at a time. It reads a design's fields only; slices, partitions, the ideal resolution and
ADC ranges are worked out here from their definitions.

Where the definitions leave a choice, this is the one taken:

- A digit is programmed as digit / (2^bits_per_cell - 1) of full conductance in every slice, also in a last slice that
  holds fewer bits and in the sign slice of one's and two's complement.
- A digit of the input is driven as digit / (2^k - 1) in every input slice, k the bits of a full slice, also in a last
  slice of fewer bits; k is at most the number of magnitude bits, so an unsliced signed input is driven at its value.
- accumulator_bits below input_bits: the inputs count with that many bits, as in B_in = min(input_bits,
  accumulator_bits); unsigned inputs are rounded to accumulator_bits bits, signed ones to as many with the sign.
- The unit column is a physical column: with flipped encoding it is stored complemented where its own digits ask for it.
- "More than half of full scale" is strict, of rows * (2^bits_per_cell - 1) digits, in integers.
- The guarantee of full precision takes the rows of the largest partition of the matrix at hand, not of the core the
  design is sized for. Signed inputs on cells that cannot make a negative current need a sign that B_out does not
  count: the range is one of whole digits only where its codes also cover all that a line can draw.
- One digit, as the LSB of a full-precision range, is the step of a programmed conductance: (1 - g_min) / (2^b - 1).
- With input_bits none, inputs are neither rounded nor clipped, and applied at once.
- For digital subtraction each line is converted and the digital difference is taken; with signed inputs each line's
  range is symmetric.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.reference.ladder_reference import line_current
from tests.reference.mapping_reference import Mapping, digits_of, program, slice_worth


@dataclass
class Conversion:
    """One analog-to-digital conversion.

    Attributes:
        value: what was converted.
        code: the code it got; 0 is lo.
        tie: distance of (value - lo) * q from the nearest border between two codes; large where it was clipped.
        effect: by how much the output changes where the code is one higher, in the units of the output.
        output: (batch, column) of the output that it enters.
        where: (physical column, partition, slice, line, input slice); a unit column is the last column.
    """

    value: float
    code: int
    tie: float
    effect: float
    output: tuple[int, int]
    where: tuple[int, ...]


@dataclass
class Product:
    """What `multiply` returns.

    Attributes:
        output: (batch, columns), in the units of x @ weight.
        conversions: every conversion made, in no particular order.
        analog: pre-conversion values by weight slice, pooled over everything else; a unit column's value stands there
            once, however many outputs it enters.
        magnitude: (batch, columns), sum of the currents of every line and phase times what they count in the output.
        pooled: which values `analog` has: batch, then as `Conversion.where`.
    """

    output: np.ndarray
    conversions: list[Conversion] = field(default_factory=list)
    analog: dict[int, list[float]] = field(default_factory=dict)
    magnitude: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    pooled: set[tuple[int, ...]] = field(default_factory=set)


@dataclass
class Inputs:
    """Inputs as they are applied.

    Attributes:
        values: (batch, rows), what the array takes x to be.
        signs: (batch, rows), 1 or -1.
        slices: drive of each slice (slices, batch, rows) in 0..1, unsigned.
        weights: what a drive of 1 counts in each slice, in units of the input.
        unit_times: time steps or levels of a full drive.
    """

    values: np.ndarray
    signs: np.ndarray
    slices: np.ndarray
    weights: list[float]
    unit_times: int


def apply_inputs(x: np.ndarray, design: Any, signed: bool) -> Inputs:
    """Quantise and slice inputs (batch, rows)."""
    x = np.asarray(x, dtype=np.float64)
    signs = np.where(x < 0, -1.0, 1.0) if signed else np.ones(x.shape)
    if design.input_bits is None:
        return Inputs(x, signs, np.array([x * signs]), [1.0], 0)
    bits = magnitude_bits(design, signed)
    top = 2**bits - 1
    per_slice = min(design.bits_per_input_slice or bits, bits)
    full = 2**per_slice - 1
    count = -(-bits // per_slice)
    slices = np.zeros((count, *x.shape))
    values = np.zeros(x.shape)
    for index in np.ndindex(*x.shape):
        clipped = min(max(float(x[index]), -1.0 if signed else 0.0), 1.0)
        number = int(np.rint(top * clipped))
        values[index] = number / top
        for k, digit in enumerate(digits_of(abs(number), per_slice, bits)):
            slices[(k, *index)] = digit / full
    weights = [full * 2 ** (per_slice * k) / top for k in range(count)]
    return Inputs(values, signs, slices, weights, full)


def magnitude_bits(design: Any, signed: bool) -> int:
    """Bits of an input's magnitude."""
    bits = int(design.input_bits)
    if design.input_accumulation == "analog" and design.accumulator_bits is not None:
        bits = min(bits, design.accumulator_bits)
    return bits - 1 if signed else bits


def negative_currents(design: Any, signed: bool) -> bool:
    """Whether what is converted can be negative."""
    return signed or (design.negative_weights == "differential" and design.subtraction == "analog")


def levels_of(design: Any, bits: int, signed: bool) -> int:
    """Levels of an ADC: 2^bits, or one less where a code must lie at 0."""
    return 2**bits - 1 if negative_currents(design, signed) else 2**bits


def adc_bits_of(design: Any, slices: int) -> list[int]:
    """Bits of the ADC of each slice."""
    if isinstance(design.adc_bits, int):
        return [design.adc_bits] * slices
    return list(design.adc_bits)


def ideal_resolution(design: Any, rows: int) -> float:
    """B_out of an array of so many rows."""
    weight_bits = design.bits_per_cell
    if design.negative_weights == "differential" and design.subtraction == "analog":
        weight_bits += 1
    if design.input_bits is None:
        return math.inf
    if design.input_accumulation == "analog":
        input_bits = min(design.input_bits, design.accumulator_bits or design.input_bits)
    else:
        input_bits = design.bits_per_input_slice or design.input_bits
    resolution = weight_bits + input_bits + math.log2(rows)
    return resolution if weight_bits > 1 and input_bits > 1 else resolution - 1


def input_steps(design: Any, signed: bool) -> int:
    """Least input steps in what is converted at once at full input."""
    bits = magnitude_bits(design, signed)
    if design.input_accumulation == "digital":
        bits = min(design.bits_per_input_slice or bits, bits)
    return int(2**bits - 1)


def most_digits(design: Any, rows: int, signed: bool) -> float:
    """The most that a line can draw, in digits at the least input step."""
    most = rows * (2**design.bits_per_cell - 1) * input_steps(design, signed)
    return most / 2 if design.flipped_encoding else most


def full_ranges(design: Any, rows: int, signed: bool, g_min: float = 0.0) -> list[tuple[float, float]]:
    """The range of each slice's ADC for adc_range "full".

    Args:
        design: a design.
        rows: rows of the largest partition.
        signed: whether inputs have signs.
        g_min: conductance of an idle cell.
    """
    slices = len(slice_worth(design))
    needed = ideal_resolution(design, rows)
    if math.isfinite(needed):
        needed = math.ceil(needed) - (1 if design.flipped_encoding else 0)
    symmetric = negative_currents(design, signed)
    ranges = []
    for bits in adc_bits_of(design, slices):
        codes = (levels_of(design, bits, signed) - 1) // (2 if symmetric else 1)
        if bits >= needed and codes >= most_digits(design, rows, signed):
            hi = codes * (1 - g_min) / (2**design.bits_per_cell - 1) / input_steps(design, signed)
        else:
            hi = rows / 2 if design.flipped_encoding else float(rows)
        ranges.append((-hi if symmetric else 0.0, hi))
    return ranges


def convert(value: float, lo: float, hi: float, levels: int) -> tuple[float, int, float, float]:
    """One conversion.

    Returns:
        The digital value, its code counted from lo, the distance to the nearest border of codes, and one LSB.
    """
    q = (levels - 1) / (hi - lo)
    position = (min(max(value, lo), hi) - lo) * q
    code = int(np.rint(position))
    tie = abs(position - math.floor(position) - 0.5)
    return code / q + lo, code, tie, 1 / q


def multiply(
    x: np.ndarray,
    weight: np.ndarray,
    design: Any,
    *,
    signed: bool = False,
    g_min: float = 0.0,
    adc_range: Any = None,
    step: Any = None,
    conductances: np.ndarray | None = None,
    unit: np.ndarray | None = None,
    parts: list[range] | None = None,
) -> Product:
    """What the array makes of x @ weight.

    Args:
        x: (batch, rows).
        weight: (rows, columns).
        design: any object with the fields of a core design.
        signed: whether inputs have signs.
        g_min: conductance of an idle cell in units of the largest.
        adc_range: None (no conversion), "full", (lo, hi), or a list of one pair for each slice.
        step: the quantiser's step, for weight_scale ``given``.
        conductances: (slices, lines, rows, columns) of real cells in place of ideal ones.
        unit: (slices, rows) of the unit column's real cells.
        parts: rows of each partition; None for the even split.
    """
    mapping = program(weight, design, g_min, step, parts)
    inputs = apply_inputs(x, design, signed)
    cells = mapping.conductances if conductances is None else np.asarray(conductances, dtype=np.float64)
    batch, columns = len(inputs.values), cells.shape[3]
    unit_cells = mapping.unit if unit is None else np.asarray(unit, dtype=np.float64)
    ranges = None
    if adc_range is not None and design.adc_bits is not None:
        largest = max(len(part) for part in mapping.parts)
        if isinstance(adc_range, str):
            ranges = full_ranges(design, largest, signed, g_min)
        elif np.ndim(adc_range) == 1:
            ranges = [tuple(adc_range)] * len(mapping.worth)
        else:
            ranges = [tuple(pair) for pair in adc_range]
    product = Product(np.zeros((batch, columns)), magnitude=np.zeros((batch, columns)))
    reader = _Reader(design, inputs, mapping, ranges, signed, g_min, product)
    offset = 2 ** (design.weight_bits - 1)
    for b in range(batch):
        for c in range(columns):
            output_step = mapping.steps[c] * mapping.signs[c]
            total = 0.0
            for p, part in enumerate(mapping.parts):
                for s, worth in enumerate(mapping.worth):
                    own = cells[s][:, part, c]
                    total += worth * reader.digit_sum((b, c), c, p, s, own, output_step * worth)
                    if unit_cells is not None:
                        one = unit_cells[s][part][None, :]
                        total -= worth * reader.digit_sum((b, c), columns, p, s, one, -output_step * worth)
            if design.negative_weights == "offset":
                total -= offset * math.fsum(inputs.values[b])
            product.output[b, c] = total * output_step
    return product


@dataclass
class _Reader:
    """Reads one slice of one column of one partition at a time."""

    design: Any
    inputs: Inputs
    mapping: Mapping
    ranges: list[tuple[float, float]] | None
    signed: bool
    g_min: float
    product: Product

    def digit_sum(self, output: tuple[int, int], c: int, p: int, s: int, cells: np.ndarray, worth: float) -> float:
        """sum(x * digit) of one physical column as the digital side believes it.

        Args:
            output: (batch, column) that the sum enters.
            c: which physical column (the unit column is the last).
            p: which partition.
            s: which slice.
            cells: (lines, rows of the partition).
            worth: what one digit is worth in the output.
        """
        base = 2**self.design.bits_per_cell
        b, where = output[0], (c, p, s)
        part = self.mapping.parts[p]
        sum_x = math.fsum(self.inputs.values[b, r] for r in part)
        scale = (base - 1) / (1 - self.g_min)
        sign = -1.0 if self.mapping.flipped[s, p, c] else 1.0
        currents = []
        for line in cells:
            phases = [self.phases(b, part, line, k) for k in range(len(self.inputs.weights))]
            for weight, (positive, negative) in zip(self.inputs.weights, phases, strict=True):
                self.product.magnitude[output] += abs(worth * scale * weight) * (positive + negative)
            currents.append([positive - negative for positive, negative in phases])
        if len(cells) == 2 and self.design.subtraction == "analog":
            difference = [plus - minus for plus, minus in zip(*currents, strict=True)]
            return self.collect(difference, output, where, 0, worth * scale) * scale
        if len(cells) == 2:
            plus = self.collect(currents[0], output, where, 0, worth * scale)
            return (plus - self.collect(currents[1], output, where, 1, -worth * scale)) * scale
        reading = self.collect(currents[0], output, where, 0, worth * scale * sign)
        digits = (reading - self.g_min * sum_x) * scale
        return (base - 1) * sum_x - digits if self.mapping.flipped[s, p, c] else digits

    def phases(self, b: int, part: range, line: np.ndarray, k: int) -> tuple[float, float]:
        """Currents of one line under input slice k while positive, and then while negative inputs are applied."""
        drive = self.inputs.slices[k, b, part.start : part.stop]
        signs = self.inputs.signs[b, part.start : part.stop]
        r_p_hat, times = self.design.r_p_hat, self.inputs.unit_times
        positive = line_current(line, np.where(signs > 0, drive, 0.0), r_p_hat, times)
        if not self.signed:
            return positive, 0.0
        return positive, line_current(line, np.where(signs < 0, drive, 0.0), r_p_hat, times)

    def collect(
        self, currents: list[float], output: tuple[int, int], where: tuple[int, ...], line: int, effect: float
    ) -> float:
        """Accumulate input slices before or after conversion."""
        weights = self.inputs.weights
        if self.design.input_accumulation == "analog":
            total = math.fsum(w * i for w, i in zip(weights, currents, strict=True))
            return self.read(total, output, (*where, line, 0), effect)
        return math.fsum(
            w * self.read(i, output, (*where, line, k), effect * w)
            for k, (w, i) in enumerate(zip(weights, currents, strict=True))
        )

    def read(self, value: float, output: tuple[int, int], where: tuple[int, ...], effect: float) -> float:
        """Convert, where there is an ADC."""
        s = where[2]
        if (output[0], *where) not in self.product.pooled:
            self.product.pooled.add((output[0], *where))
            self.product.analog.setdefault(s, []).append(value)
        if self.ranges is None:
            return value
        bits = adc_bits_of(self.design, len(self.mapping.worth))[s]
        result, code, tie, lsb = convert(value, *self.ranges[s], levels_of(self.design, bits, self.signed))
        self.product.conversions.append(Conversion(value, code, tie, effect * lsb, output, where))
        return result
