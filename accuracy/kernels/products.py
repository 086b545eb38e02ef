"""Column currents by torch's own products: a matrix product or a convolution for each partition, on any device."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy.arrays.analog_array import AnalogArray
from accuracy.arrays.physics import weighted_inputs
from accuracy.mapping.inputs import digitised_slices, input_steps, quantise_inputs
from accuracy.mapping.operators import Kernel


class Products:
    """The columns of an array, laid out for torch.

    Args:
        array: says how inputs meet rows, and where and in which type to compute.
        matrices: what the columns of each partition weigh inputs with, (rows, blocks * physical columns).
        blocks: readings of each physical column; None for those that ADCs take.
    """

    def __init__(self, array: AnalogArray, matrices: Iterable[NDArray[np.floating]], blocks: int | None = None):
        self._operator, self._blocks = array.operator, array.blocks if blocks is None else blocks
        order = _group_order(array, self._blocks) if array.operator.groups > 1 else None
        self._inverse = None if order is None else torch.from_numpy(np.argsort(order)).to(array.device)
        self._kernels = [
            array.operator.kernel(
                torch.from_numpy(matrix if order is None else matrix[:, order]).to(array.device, array.dtype), rows
            )
            for matrix, rows in zip(matrices, array.mapping.partitions, strict=True)
        ]

    def __len__(self) -> int:
        """Partitions."""
        return len(self._kernels)

    def currents(self, x: Tensor, partition: int) -> Tensor:
        """Return the column sums of one partition; shape (..., blocks, physical columns)."""
        result = self._operator.apply(x, self._kernels[partition])
        if self._inverse is not None:
            result = result[..., self._inverse]
        return result.reshape(*result.shape[:-1], self._blocks, -1)


def numpy_type(dtype: torch.dtype) -> type[np.floating]:
    """Return numpy's name of single or double precision."""
    return np.float64 if dtype == torch.float64 else np.float32


def column_products(array: AnalogArray) -> Products:
    """Return the products of an array's columns, kept until its cells change."""
    where = (array.device, array.dtype, array.operator)
    return array.laid_out(
        column_products, where, lambda: Products(array, array.column_matrices(numpy_type(array.dtype)))
    )


def bias_currents(
    array: AnalogArray, signed: bool, columns: NDArray[np.float64], bit_weights: Sequence[float] | None = None
) -> list[Tensor]:
    """Return what the bias rows add to the currents of the first array, for each of `digitised_slices`.

    Args:
        array: with bias rows.
        signed: whether inputs carry signs.
        columns: what the rows add at full drive, shape (blocks, physical columns).
        bit_weights: weights of an accumulator's input bits; None for equal ones.
    """
    assert array.biases is not None
    design = array.mapping.design
    steps = input_steps(design, signed)
    code = torch.tensor([array.biases.code], dtype=torch.float64)
    unit = 1.0 if steps is None else 1.0 / steps
    if bit_weights is not None and design.input_accumulation == "analog" and design.input_slice_bits == 1:
        driven = [float(weighted_inputs(code, design, signed, bit_weights))]
    else:
        driven = [float(piece.values) * piece.unit for piece in digitised_slices(code, unit, design, signed)]
    return [torch.from_numpy(columns * value).to(array.device, array.dtype) for value in driven]


def mean_common(array: AnalogArray, x: Tensor, full_scale: float, signed: bool) -> NDArray[np.float64]:
    """Return the mean current of a column's lines over inputs, columns and partitions, for each weight slice.

    Args:
        array: its targets are taken.
        x: real inputs of the layer.
        full_scale: input value that counts as 1.
        signed: whether inputs carry signs; each of their two phases has half of the current.

    Returns:
        Shape (slices,), in units of a full cell; of one conversion, so that bits that are converted one by one count
        alike.
    """
    design = array.mapping.design
    integers, unit = quantise_inputs(x / full_scale, design, signed)
    integers = array.operator.prepare(integers).abs()
    pieces = [(piece.values, piece.unit) for piece in digitised_slices(integers, unit, design, signed)]
    products = Products(array, array.common_matrices(array.read_cells), design.slices)
    total = np.zeros(design.slices)
    if array.biases is not None:
        for own in bias_currents(array, signed, array.bias_common(read_targets=True)):
            total += own.mean(dim=-1, dtype=torch.float64).cpu().numpy()
    for values, value in pieces:
        for partition in range(len(products)):
            currents = products.currents(values, partition)
            axes = [axis for axis in range(currents.dim()) if axis != currents.dim() - 2]
            total += currents.mean(dim=axes, dtype=torch.float64).cpu().numpy() * value
    return total / (len(pieces) * len(products)) * (0.5 if signed else 1.0)


def _group_order(array: AnalogArray, blocks: int) -> NDArray[np.int64]:
    """From columns (block, column) to (group, block, column of the group), as grouped convolutions want them."""
    groups, columns = array.operator.groups, array.mapping.columns
    physical = array.mapping.physical_columns
    index = np.arange(blocks * physical).reshape(blocks, physical)
    own = index[:, :columns].reshape(blocks, groups, -1)
    unit = index[:, columns:].reshape(blocks, groups, -1)
    return np.concatenate([own, unit], axis=2).transpose(1, 0, 2).reshape(-1)


def sum_kernel(array: AnalogArray, rows: slice, dtype: torch.dtype) -> Kernel:
    """Return a kernel of ones, one column a group, that sums the inputs of some rows."""
    ones = torch.ones(rows.stop - rows.start, array.operator.groups, device=array.device, dtype=dtype)
    return array.operator.kernel(ones, rows)


def input_sums(array: AnalogArray, x: Tensor) -> Tensor:
    """Return ``sum_p K_p sum x_p`` for integer inputs; exact, in float64; shape (..., physical columns)."""
    assert array.sum_factors is not None
    if array.mapping.design.input_bits is None:
        x = x.to(torch.float64)
    parts = list(zip(array.mapping.partitions, array.sum_factors, strict=True))
    if array.sums_alike:
        parts = [(slice(0, array.mapping.rows), array.sum_factors[0])]
    groups, columns = array.operator.groups, array.mapping.columns
    total: Tensor | None = None
    for rows, factors in parts:
        sums = array.operator.apply(x, sum_kernel(array, rows, x.dtype)).to(torch.float64)
        if groups > 1:
            # Own columns group by group, then one unit column a group, where there are any.
            own = sums.repeat_interleave(columns // groups, dim=-1)
            sums = torch.cat([own, sums], dim=-1) if factors.shape[0] > columns else own
        term = sums * factors
        total = term if total is None else total + term
    assert total is not None
    return total
