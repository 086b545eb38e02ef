"""Inputs on rows: from real activations to integers, and from integers to the slices that are applied one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from accuracy.errors import InputError
from circuits import CoreDesign


@dataclass(frozen=True)
class InputSlice:
    """One piece of the input as rows see it.

    Attributes:
        values: row inputs, 0..1 (or -1..1), as integers times `unit`.
        unit: what one integer of `values` stands for at the row, so that the row input is ``values * unit``.
        weight: worth of the reading of this slice in units of the whole input's full scale.
    """

    values: Tensor
    unit: float
    weight: float


def input_steps(design: CoreDesign, signed_inputs: bool) -> int | None:
    """Return the largest input integer: 255 for unsigned 8-bit inputs, 127 for signed; None if not quantised.

    As `CoreDesign.input_steps`.

    Raises:
        InputError: signed inputs of one bit, which would be the sign.
    """
    steps = design.input_steps(signed_inputs=signed_inputs)
    if steps == 0:
        raise InputError(
            f"Expected signed inputs to have at least 2 bits, one of which is the sign, but design {design.name!r} has "
            f"`input_bits` {design.input_bits}"
            + (f" and `accumulator_bits` {design.accumulator_bits}." if design.accumulator_bits else ".")
        )
    return steps


def quantise_inputs(x: Tensor, design: CoreDesign, signed: bool) -> tuple[Tensor, float]:
    """Return inputs as integers and the value of one of them.

    Unsigned: ``rint(255 * clip(x, 0, 1))`` for 8 bits; signed: ``rint(127 * clip(x, -1, 1))``. With ``input_bits``
    None inputs come back as they are, with unit 1.

    Args:
        x: inputs relative to their full scale.
        design: says how many bits inputs have.
        signed: whether they carry signs.
    """
    steps = input_steps(design, signed)
    if steps is None:
        return x, 1.0
    return torch.round(x.clamp(-1.0 if signed else 0.0, 1.0).mul_(steps)), 1.0 / steps


def slice_layout(design: CoreDesign, signed: bool) -> list[tuple[int, int, float, float]]:
    """Return (shift, bits, unit, weight) of each input slice, least significant first.

    The digit of a slice is ``(integer >> shift) mod 2^bits``; a row sees ``digit * unit`` with unit
    ``1 / (2^width - 1)`` for all slices (one driver serves them all), width being the bits of a slice or of the whole
    magnitude where that has fewer; ``weight`` scales readings back to the whole input's full scale.
    """
    steps = input_steps(design, signed)
    if steps is None:
        return []
    magnitude_bits = steps.bit_length()
    width = min(design.input_slice_bits, magnitude_bits)
    full = 2**width - 1
    return [
        (shift, min(width, magnitude_bits - shift), 1.0 / full, full * 2.0**shift / steps)
        for shift in range(0, magnitude_bits, width)
    ]


def input_digits(integers: Tensor, shift: int, bits: int) -> Tensor:
    """Return the digit ``(|integer| >> shift) mod 2^bits`` with the integer's sign, in the dtype of `integers`."""
    magnitude = integers.abs().to(torch.int32)
    digit = ((magnitude >> shift) & (2**bits - 1)).to(integers.dtype)
    return torch.where(integers < 0, -digit, digit)


def digitised_weights(design: CoreDesign, signed: bool) -> list[float]:
    """Return the `InputSlice.weight` of each of `digitised_slices`."""
    return [1.0] if design.input_accumulation == "analog" else [weight for *_, weight in slice_layout(design, signed)]


def digitised_slices(integers: Tensor, unit: float, design: CoreDesign, signed: bool) -> Iterator[InputSlice]:
    """Yield what the ADCs read at once: the whole input with analog accumulation, else slice by slice.

    Args:
        integers: as `quantise_inputs` returns them.
        unit: value of one integer.
        design: says how inputs are sliced and where slices are accumulated.
        signed: whether inputs carry signs.
    """
    if design.input_accumulation == "analog":
        yield InputSlice(integers, unit, 1.0)
        return
    layout = slice_layout(design, signed)
    if signed or not layout or sum(layout[-1][:2]) > 8:
        for shift, bits, slice_unit, weight in layout:
            yield InputSlice(input_digits(integers, shift, bits), slice_unit, weight)
        return
    # Bytes without sign: a quarter of the memory for each slice.
    whole = integers.to(torch.uint8)
    for shift, bits, slice_unit, weight in layout:
        yield InputSlice(((whole >> shift) & (2**bits - 1)).to(integers.dtype), slice_unit, weight)
