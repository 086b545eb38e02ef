"""Column currents with resistive lines: every phase, input slice and line is a bit line of its own, solved exactly.

Only here are convolutions unrolled, because a bit line's current is not linear in its inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy.arrays.analog_array import AnalogArray
from accuracy.arrays.patches import windows
from accuracy.mapping.inputs import input_steps, slice_layout
from accuracy.mapping.operators import ConvolutionOperator, Operator
from circuits import CoreDesign, PreparedCells, solve_bit_lines, solve_bit_serial
from circuits.bit_line.resistances import LineResistances
from circuits.bit_line.solve import BitLineCell
from circuits.bit_line.transistor_cell import Orientation, load_transistor_cell

POSITIONS = 8192
"""Output positions solved together: their currents stay a few megabytes."""


class LineCells:
    """Programmed cells of one partition as the solver takes them, array by array in each group of the layer.

    Slices lie on arrays of their own. Which columns share one matters only where lines along the rows feed their cells:
    everywhere else all lines of a group are solved together.

    Args:
        conductances: shape (slices, lines, rows, physical columns).
        operator: how inputs meet rows.
        design: the design.
        cell: cell model of the bit line.
        resistances: of the lines.
        dtype: floating type of the solution.
        orientation: end of the cells that lies on the bit line, where they are no resistors.

    Attributes:
        shape: slices, lines and physical columns of a group.
        groups: the arrays of each group, each a matrix (rows, bit lines), prepared for cells that are no resistors.
        cell: cell model of the bit line.
        resistances: of the lines.
        keywords: the same, and the current law of cells that are no resistors, as arguments of the solver.
    """

    def __init__(
        self,
        conductances: NDArray[np.floating],
        operator: Operator,
        design: CoreDesign,
        cell: BitLineCell,
        resistances: LineResistances,
        dtype: torch.dtype,
        orientation: Orientation = "source",
    ) -> None:
        model = None if cell == "resistor" else load_transistor_cell(orientation=orientation)
        kind = np.float64 if dtype == torch.float64 else np.float32
        self.groups: list[list[NDArray[np.floating] | PreparedCells]] = []
        shared = resistances.r_s_hat > 0 and resistances.feed == "rows"
        prepares = cell in ("affine", "relinearised") and kind is np.float32 and resistances.r_s_hat == 0
        for columns in _group_columns(design, conductances.shape[-1], operator.groups):
            own = conductances if operator.groups == 1 else conductances[..., columns]
            slices, lines, rows, _ = own.shape
            if shared:
                # A column's lines side by side, as their currents are subtracted at its foot.
                self._cuts = _cuts(design, own.shape[-1])
                parts = [part[..., cut].transpose(1, 2, 0) for part in own for cut in self._cuts]
            else:
                parts = [own.transpose(2, 0, 1, 3)]
            matrices: list[NDArray[Any]] = [np.ascontiguousarray(part, dtype=kind).reshape(rows, -1) for part in parts]
            self.groups.append([PreparedCells(matrix, model) if prepares else matrix for matrix in matrices])
        self.shape = slices, lines, len(columns)
        self.cell = cell
        self.resistances = resistances
        self.keywords: dict[str, Any] = {**resistances.to_dict(), "model": model}
        self._shared = shared

    def joined(self, currents: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
        """Return the currents of a group from those of its arrays, shape (positions, slices, lines, columns).

        Args:
            currents: of each array, shape (positions, bit lines).
        """
        slices, lines, columns = self.shape
        if not self._shared:
            return currents[0].reshape(-1, slices, lines, columns)
        result = np.empty((len(currents[0]), slices, lines, columns), dtype=currents[0].dtype)
        places = [(own, cut) for own in range(slices) for cut in self._cuts]
        for (own, cut), part in zip(places, currents, strict=True):
            result[:, own, :, cut] = part.reshape(len(part), -1, lines).transpose(0, 2, 1)
        return result


def _cuts(design: CoreDesign, columns: int) -> list[slice]:
    """Return which physical columns of a group share an array; the unit column stands beside the last ones."""
    unit = 1 if design.has_unit_column else 0
    starts = list(range(0, max(columns - unit, 1), design.matrix_columns))
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], columns], strict=True)]


def unrolled(operator: Operator, x: Tensor, rows: slice, steps: int | None = None) -> NDArray[np.integer]:
    """Return the integer inputs of a partition's rows at every output position, shape (..., groups, rows).

    Two-dimensional convolutions are unrolled by strides, in bytes where the inputs fit. For any other layer a kernel
    that is the unit matrix copies every row to a column of its own.

    Args:
        operator: how inputs meet rows.
        x: integer inputs, padded.
        rows: the partition.
        steps: no magnitude is larger, and signed ones have 127 at most; None where nobody knows.
    """
    count = rows.stop - rows.start
    if isinstance(operator, ConvolutionOperator) and operator.geometry is not None:
        return windows(operator.geometry, _integers(x, steps), rows)[..., None, :]
    if operator.groups == 1 and not isinstance(operator, ConvolutionOperator):
        return _integers(x[..., rows], steps)[..., None, :]
    unit = torch.eye(count, dtype=x.dtype, device=x.device).repeat(1, operator.groups)
    result = operator.apply(x, operator.kernel(unit, rows))
    return _integers(result.reshape(*result.shape[:-1], operator.groups, count), steps)


def _integers(values: Tensor, steps: int | None) -> NDArray[np.integer]:
    """Return integers of at most so many steps, 0 or above where these are more than 127, in the fewest bytes."""
    kind = torch.int32 if steps is None or steps > 255 else torch.uint8 if steps > 127 else torch.int8
    found: NDArray[np.integer] = values.to(kind).cpu().numpy()
    return found


def line_currents(
    integers: NDArray[np.integer],
    conductance: NDArray[np.floating] | PreparedCells,
    design: CoreDesign,
    cells: LineCells,
    signed: bool,
    bit_weights: Sequence[float] | None = None,
) -> list[NDArray[np.floating]]:
    """Return the current of every bit line for each ADC reading, in units of a full cell with input 1.

    Args:
        integers: row inputs, shape (positions, rows).
        conductance: shape (rows, lines); or the same prepared for cells that are no resistors.
        design: says how inputs are sliced and accumulated.
        cells: what the array belongs to: cell model and resistances of the solution.
        signed: whether inputs carry signs; both phases are solved, and subtracted.
        bit_weights: what the periphery makes each of 8 bits count, least significant first; None for powers of two.
            They act where one-bit slices are accumulated in analog.

    Returns:
        One array (positions, lines): the accumulated current with analog accumulation, else one an input slice.
    """
    layout = slice_layout(design, signed)
    if bit_weights is not None and design.input_accumulation == "analog" and design.input_slice_bits == 1:
        own = np.asarray(bit_weights)[-len(layout) :]  # magnitudes of signed inputs take the upper bits
        layout = [(*piece[:3], share / piece[2]) for piece, share in zip(layout, own / own.sum(), strict=True)]
    phases = [(1, integers.clip(min=0)), (-1, -integers.clip(max=0))] if signed else [(1, integers)]
    bit_serial = all(bits == 1 for _, bits, _, _ in layout) and len(layout) <= 8
    if bit_serial and integers.dtype.itemsize == 1:
        return _bit_serial_currents(phases, conductance, design, cells, layout)
    values = conductance.conductance if isinstance(conductance, PreparedCells) else conductance
    slices: list[NDArray[np.floating]] = []
    for shift, bits, unit, weight in layout:
        current = np.zeros((integers.shape[0], values.shape[1]), dtype=values.dtype)
        for sign, magnitude in phases:
            digit = (magnitude >> shift) & (2**bits - 1)
            # A pulse of d unit times is on in the first d of them.
            for time in range(1, 2**bits):
                active = digit >= time
                if active.any():
                    current += sign * solve_bit_lines(conductance, active, cell=cells.cell, **cells.keywords)
        slices.append(current * unit if design.input_accumulation == "digital" else current * (unit * weight))
    return slices if design.input_accumulation == "digital" else [np.asarray(np.sum(slices, axis=0))]


def _bit_serial_currents(
    phases: list[tuple[int, NDArray[np.integer]]],
    conductance: NDArray[np.floating] | PreparedCells,
    design: CoreDesign,
    cells: LineCells,
    layout: list[tuple[int, int, float, float]],
) -> list[NDArray[np.floating]]:
    """Return what `line_currents` does where every input slice is one bit of a byte."""
    digital = design.input_accumulation == "digital"
    weights = None if digital else [unit * weight for _, _, unit, weight in layout]
    total: NDArray[np.floating] | None = None
    for sign, magnitude in phases:
        digits = np.ascontiguousarray(magnitude).view(np.uint8)
        current = solve_bit_serial(
            conductance, digits, bits=len(layout), weights=weights, cell=cells.cell, **cells.keywords
        )
        total = current if total is None else total + sign * current
    assert total is not None
    return [current * unit for current, (_, _, unit, _) in zip(total, layout, strict=True)] if digital else [total]


def bit_line_currents(
    operator: Operator,
    x: Tensor,
    rows: slice,
    cells: LineCells,
    design: CoreDesign,
    signed: bool,
    bit_weights: Sequence[float] | None = None,
) -> list[Tensor]:
    """Return the column currents of a partition, one tensor for each ADC reading (see `digitised_slices`).

    Args:
        operator: how inputs meet rows.
        x: integer inputs, padded.
        rows: the partition.
        cells: its programmed cells.
        design: the design.
        signed: whether inputs carry signs.
        bit_weights: as for `line_currents`.

    Returns:
        Tensors (..., blocks, physical columns), differential lines subtracted where the design does so in analog.
    """
    patches = unrolled(operator, x, rows, input_steps(design, signed))
    shape, groups = patches.shape[:-2], operator.groups
    integers = patches.reshape(-1, groups, patches.shape[-1])
    by_group = [
        _solve(integers[:, group], arrays, cells, design, signed, bit_weights)
        for group, arrays in enumerate(cells.groups)
    ]
    result = []
    for parts in zip(*by_group, strict=True):
        joined = parts[0]
        if groups > 1:
            # Group by group the columns come as (own, unit); all own columns stand before all unit columns.
            own = [part[..., : part.shape[-1] - (1 if design.has_unit_column else 0)] for part in parts]
            unit = [part[..., part.shape[-1] - 1 :] for part in parts] if design.has_unit_column else []
            joined = torch.cat([*own, *unit], dim=-1)
        result.append(joined.reshape(*shape, *joined.shape[1:]).to(x.device))
    return result


def _group_columns(design: CoreDesign, physical: int, groups: int) -> list[NDArray[np.int64]]:
    columns = physical - (groups if design.has_unit_column else 0)
    own = np.arange(columns).reshape(groups, -1)
    if not design.has_unit_column:
        return list(own)
    return [np.append(own[group], columns + group) for group in range(groups)]


def _solve(
    integers: NDArray[np.integer],
    arrays: Sequence[NDArray[np.floating] | PreparedCells],
    cells: LineCells,
    design: CoreDesign,
    signed: bool,
    bit_weights: Sequence[float] | None,
) -> list[Tensor]:
    """Return the currents (positions, blocks, columns) of one group, for each ADC reading."""
    chunks = []
    for start in range(0, integers.shape[0], POSITIONS):
        own = integers[start : start + POSITIONS]
        by_array = [line_currents(own, array, design, cells, signed, bit_weights) for array in arrays]
        chunks.append([cells.joined(parts) for parts in zip(*by_array, strict=True)])
    result = []
    for parts in zip(*chunks, strict=True):
        currents = torch.from_numpy(parts[0] if len(parts) == 1 else np.concatenate(parts))
        if design.subtracts_lines:
            currents = currents[:, :, :1] - currents[:, :, 1:]
        result.append(currents.reshape(currents.shape[0], -1, cells.shape[-1]))
    return result


def line_cells(array: AnalogArray) -> list[LineCells]:
    """Return the cells of every partition of an array, kept until they are programmed anew."""
    design, cell, orientation = array.mapping.design, array.physics.bit_line, array.physics.orientation
    resistances = array.resistances

    def lay_out() -> list[LineCells]:
        conductances = array.conductances
        return [
            LineCells(conductances[:, :, rows, :], array.operator, design, cell, resistances, array.dtype, orientation)
            for rows in array.mapping.partitions
        ]

    return array.laid_out(line_cells, (array.dtype, cell, resistances, orientation), lay_out)
