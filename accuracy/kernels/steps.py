"""The digital steps before and after an analog product that kernels share: inputs to integers, sums to outputs."""

from __future__ import annotations

import torch
from torch import Tensor

from accuracy.arrays.analog_array import AnalogArray
from accuracy.errors import NotFiniteError
from accuracy.kernels import elementwise
from accuracy.kernels.finite_checks import is_finite
from accuracy.kernels.protocol import Reading
from accuracy.mapping.inputs import input_steps, quantise_inputs
from accuracy.mapping.operators import ConvolutionOperator, Operator


def quantised(array: AnalogArray, x: Tensor, how: Reading) -> tuple[Tensor, float]:
    """Return integers, padded for the array's operator, and the value of one; by torch.

    Raises:
        NotFiniteError: an input that is not finite.
    """
    design = array.mapping.design
    if not is_finite(x):
        raise NotFiniteError
    if design.input_bits is None:
        return array.operator.prepare(x / how.full_scale), 1.0
    lowest = -how.full_scale if how.signed else 0.0
    array.inputs_seen += x.numel()
    array.count_clipped(((x > how.full_scale) | (x < lowest)).sum())
    integers, unit = quantise_inputs(x / how.full_scale, design, how.signed)
    return array.operator.prepare(integers), unit


def input_scale(array: AnalogArray, how: Reading) -> tuple[float, float, float, float]:
    """Return what C takes to make integers, and the value of one: (integers per unit of x, lowest, highest, value)."""
    steps = input_steps(array.mapping.design, how.signed)
    assert steps is not None
    return steps / how.full_scale, -float(steps) if how.signed else 0.0, float(steps), 1.0 / steps


def quantised_in_c(array: AnalogArray, x: Tensor, how: Reading) -> tuple[Tensor, float]:
    """Return what `quantised` does, for float32 inputs on the CPU; by the C kernel, in one pass over memory.

    Raises:
        NotFiniteError: an input that is not finite.
    """
    ordered = array.operator.ordered(x)
    integers = torch.empty_like(ordered)
    factor, lowest, highest, unit = input_scale(array, how)
    array.inputs_seen += x.numel()
    array.inputs_clipped += elementwise.quantise(ordered, factor, lowest, highest, integers)
    return array.operator.prepare(integers), unit


def as_images(operator: Operator, x: Tensor) -> Tensor:
    """Return inputs as images (images, channels, height, width); every vector of a matrix product is one pixel."""
    return x if isinstance(operator, ConvolutionOperator) else x.reshape(-1, x.shape[-1], 1, 1)


def from_images(operator: Operator, result: Tensor, x: Tensor) -> Tensor:
    """Return results (images, height, width, columns) in the layout that `x` has, columns last."""
    return result if isinstance(operator, ConvolutionOperator) else result.reshape(*x.shape[:-1], result.shape[-1])


def finished(array: AnalogArray, total: Tensor, how: Reading) -> Tensor:
    """Subtract a unit column, add biases, cut off negative outputs; `total` has the full scale applied."""
    if array.mapping.design.has_unit_column:
        columns = array.mapping.columns
        measured = total[..., columns:]
        total = total[..., :columns] - measured.repeat_interleave(columns // measured.shape[-1], dim=-1)
        total = total * array.step
    if how.bias is not None:
        total = total + how.bias
    total = total.to(array.dtype)
    return total.clamp_(min=0.0) if how.relu else total


def alike(one: Tensor, other: Tensor) -> bool:
    """Whether a tensor is laid out in memory as fresh outputs on the CPU are: C takes it by its address.

    Args:
        one: the tensor.
        other: the outputs.
    """
    dense = one.is_cpu and one.is_contiguous() and not one.is_neg()
    return dense and one.shape == other.shape and one.dtype == other.dtype


def with_added(result: Tensor, added: Tensor, *, relu: bool) -> Tensor:
    """Return outputs with another tensor added, negative ones cut off after that; `result` may be overwritten.

    Args:
        result: fresh outputs.
        added: what `torch.add` takes beside them.
        relu: whether negative sums become 0.
    """
    total = result.add_(added) if added.shape == result.shape and added.dtype == result.dtype else result + added
    return total.relu_() if relu else total
