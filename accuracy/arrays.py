"""One layer's matrix on analog arrays: programmed cells, and how their currents become numbers.

For every input slice that is converted by itself, and every partition, the currents of all physical columns are
``v = x G`` (differential pairs subtracted where the design does so in analog). Each is converted; the digital side
then forms ``sum a r + K sum x``, where ``a`` carries the worth of the slice, the division by (1 - g_min) and the sign
of a flipped column, and ``K`` takes off pedestal and offset. `AnalogArray` holds the cells; `read` does the rest.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy import bit_serial, direct, fused
from accuracy.converters import Converters, input_steps
from accuracy.direct import DirectReader
from accuracy.inputs import converted_slices, quantise_inputs
from accuracy.mapping import Mapping
from accuracy.operators import Kernel, Operator
from devicekit import Cell

Floats = NDArray[np.float64]
Observer = Callable[[Tensor], None]


def target_conductances(mapping: Mapping, g_min: float) -> Floats:
    """Return what each cell is programmed to: ``g_min + (1 - g_min) * digit / levels``; shape of `mapping.digits`."""
    return np.asarray(g_min + (1.0 - g_min) * mapping.fractions)


def program_cells(targets: Floats, cell: Cell, seed: int | np.random.Generator) -> Floats:
    """Return programmed conductances: targets with the cell's mean shift and error, clipped at 0, never at 1.

    Args:
        targets: normalised conductances.
        cell: the memory cell.
        seed: the standard normals are drawn once from it, in array order.
    """
    currents = np.asarray(cell.program(targets * cell.i_max, seed=seed), dtype=np.float64)
    return np.clip(currents / cell.i_max, 0.0, None)


class AnalogArray:
    """The arrays that hold one matrix, and the digital constants of their readings.

    Args:
        mapping: digits of every cell.
        operator: how inputs meet rows.
        cell: memory cell; None for ideal cells with g_min = 0.
        dtype: floating type of currents.
    """

    def __init__(self, mapping: Mapping, operator: Operator, cell: Cell | None, dtype: torch.dtype = torch.float32):
        self.mapping = mapping
        self.operator = operator
        self.cell = cell
        self.dtype = dtype
        self.device = torch.device("cpu")
        self.g_min = 0.0 if cell is None else 1.0 / cell.on_off_ratio
        self.targets = target_conductances(mapping, self.g_min)
        self.conductances = self.targets
        self._kernels: list[Kernel] | None = None
        self._readers: dict[bool, bit_serial.BitSerialReader] = {}
        self.inputs_seen = 0
        self.inputs_clipped = 0
        self._constants()

    def _constants(self) -> None:
        """Digital constants: reading factors (partitions, blocks, columns), input-sum factors (partitions, columns)."""
        mapping, design = self.mapping, self.mapping.design
        flips = mapping.flipped.transpose(1, 0, 2).astype(np.float64)
        worth = (mapping.slice_weights * mapping.levels)[None, :, None]
        factors = (1.0 - 2.0 * flips) * worth / (1.0 - self.g_min)
        sums = (worth * flips).sum(axis=1)
        lines = [factors]
        if design.is_differential:
            if design.subtraction == "digital":
                lines.append(-factors)
        else:
            sums = sums - self.g_min * factors.sum(axis=1) - mapping.offset
        # Blocks are ordered (slice, line); columns of the layer come after them.
        stacked = np.stack(lines, axis=2)
        self.factors = torch.from_numpy(stacked.reshape(stacked.shape[0], -1, stacked.shape[-1]))
        self.sum_factors = torch.from_numpy(np.ascontiguousarray(sums)) if np.any(sums) else None
        # A unit column is subtracted before the step is applied, so readings keep weight integers until then.
        self.step = torch.from_numpy(mapping.step * mapping.column_signs)
        unit_column = design.has_unit_column
        self.output_scale = torch.ones(mapping.digits.shape[-1], dtype=torch.float64) if unit_column else self.step

    @property
    def lines(self) -> int:
        """Lines of a column that are converted: 2 with digital subtraction, else 1."""
        design = self.mapping.design
        return 2 if design.subtraction == "digital" else 1

    @property
    def blocks(self) -> int:
        """Converted columns for each physical column and partition: slices times lines."""
        return self.mapping.design.slices * self.lines

    @property
    def wide(self) -> bool:
        """Whether the digital side subtracts a large term, so that sums need double precision."""
        return self.sum_factors is not None or self.mapping.design.has_unit_column

    @property
    def accumulator(self) -> torch.dtype:
        """Floating type of the digital sums."""
        return torch.float64 if self.wide else self.dtype

    def program(self, seed: int | np.random.Generator) -> None:
        """Program the cells afresh; ideal cells take their targets."""
        if self.cell is None:
            self.set_conductances(self.targets)
        else:
            self.set_conductances(program_cells(self.targets, self.cell, seed))

    def idealise(self) -> None:
        """Program every cell to its exact target."""
        self.set_conductances(self.targets)

    def set_conductances(self, conductances: Floats) -> None:
        """Take conductances as they are; shape of the mapping's digits."""
        self.conductances = conductances
        self._kernels = None
        self._readers = {}

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move currents and constants to a device and type."""
        if device != self.device or dtype != self.dtype:
            self.device, self.dtype = device, dtype
            self._kernels = None
            self.factors, self.step = self.factors.to(device), self.step.to(device)
            self.output_scale = self.output_scale.to(device)
            if self.sum_factors is not None:
                self.sum_factors = self.sum_factors.to(device)

    def column_matrix(self, rows: slice) -> Floats:
        """Return what the physical columns of a partition weigh inputs with; shape (rows, blocks * columns)."""
        design, part = self.mapping.design, self.conductances[:, :, rows, :]
        if design.is_differential and design.subtraction == "analog":
            part = part[:, :1] - part[:, 1:]
        return np.ascontiguousarray(part.transpose(2, 0, 1, 3)).reshape(part.shape[2], -1)

    def kernels(self) -> list[Kernel]:
        """Return one kernel a partition, made when first needed after programming."""
        if self._kernels is None:
            self._kernels = [self._kernel(self.column_matrix(rows), rows) for rows in self.mapping.partitions]
        return self._kernels

    def _kernel(self, matrix: Floats, rows: slice) -> Kernel:
        groups = self.operator.groups
        if groups > 1:
            matrix = self._group_major(matrix)
        return self.operator.kernel(torch.from_numpy(matrix).to(self.device, self.dtype), rows)

    def _group_major(self, matrix: Floats) -> Floats:
        """Reorder columns (block, column) to (group, block, column of the group), as grouped convolutions want."""
        return matrix[:, self._group_order()]

    def _group_order(self) -> NDArray[np.int64]:
        groups, columns = self.operator.groups, self.mapping.columns
        physical = self.mapping.digits.shape[-1]
        index = np.arange(self.blocks * physical).reshape(self.blocks, physical)
        own = index[:, :columns].reshape(self.blocks, groups, -1)
        unit = index[:, columns:].reshape(self.blocks, groups, -1)
        return np.concatenate([own, unit], axis=2).transpose(1, 0, 2).reshape(-1)

    def _currents(self, x: Tensor, kernel: Kernel) -> Tensor:
        """Column sums of one partition; shape (..., blocks, physical columns)."""
        result = self.operator.apply(x, kernel)
        if self.operator.groups > 1:
            inverse = torch.from_numpy(np.argsort(self._group_order())).to(result.device)
            result = result[..., inverse]
        return result.reshape(*result.shape[:-1], self.blocks, -1)

    def _sum_kernel(self, rows: slice, dtype: torch.dtype) -> Kernel:
        ones = torch.ones(rows.stop - rows.start, self.operator.groups, device=self.device, dtype=dtype)
        return self.operator.kernel(ones, rows)

    def _input_sums(self, x: Tensor) -> Tensor:
        """Return ``sum_p K_p sum x_p`` for integer inputs; exact, in float64; shape (..., physical columns)."""
        assert self.sum_factors is not None
        physical = self.sum_factors.shape[1]
        total: Tensor | None = None
        if self.mapping.design.input_bits is None:
            x = x.to(torch.float64)
        parts: list[tuple[slice, Tensor]]
        if bool((self.sum_factors == self.sum_factors[:1]).all()):
            whole = slice(self.mapping.partitions[0].start, self.mapping.partitions[-1].stop)
            parts = [(whole, self.sum_factors[0])]
        else:
            parts = list(zip(self.mapping.partitions, self.sum_factors, strict=True))
        for rows, factors in parts:
            sums = self.operator.apply(x, self._sum_kernel(rows, x.dtype)).to(torch.float64)
            if self.operator.groups > 1:
                own = self.mapping.columns
                repeat = [sums.repeat_interleave(own // self.operator.groups, dim=-1)]
                if physical > own:
                    repeat.append(sums)
                sums = torch.cat(repeat, dim=-1)
            term = sums * factors
            total = term if total is None else total + term
        assert total is not None
        return total

    def read(
        self,
        x: Tensor,
        full_scale: float,
        signed: bool,
        converters: Converters | None,
        *,
        bias: Tensor | None = None,
        observer: Observer | None = None,
    ) -> Tensor:
        """Return the layer's outputs for real inputs.

        Args:
            x: inputs, in the layout of the operator.
            full_scale: input value that counts as 1.
            signed: whether inputs carry signs.
            converters: None for no conversion.
            bias: digital biases, shape (columns,).
            observer: called with the currents of every (input slice, partition) before conversion, shape
                (..., blocks, physical columns).

        Returns:
            Shape (..., columns), in the floating type of the array.
        """
        if self._fast(converters, observer):
            assert converters is not None
            if bit_serial.suits(self.mapping.design, self.operator, signed, converters):
                return self._look_up(x, full_scale, signed, converters, bias)
            return self._direct(x, full_scale, signed, converters, bias)
        integers, unit = self._quantise(x, full_scale, signed)
        integers = self.operator.prepare(integers)
        scale = self.output_scale.to(self.accumulator) * full_scale
        total = self._sum(integers, unit, signed, converters, observer) * scale
        return self._finish(total, bias)

    def _fast(self, converters: Converters | None, observer: Observer | None) -> bool:
        """Whether the C kernels serve: they convert float32 currents on the host, and observe nothing."""
        if converters is None or observer is not None or not fused.available():
            return False
        on_host = self.device.type == "cpu" and self.dtype == torch.float32
        return on_host and max(converters.levels) < fused.LARGEST_CODE and self.mapping.design.input_bits is not None

    def _quantise(self, x: Tensor, full_scale: float, signed: bool) -> tuple[Tensor, float]:
        """Return integers and the value of one, and count what is out of range."""
        design = self.mapping.design
        if design.input_bits is None:
            return x / full_scale, 1.0
        lowest = -full_scale if signed else 0.0
        self.inputs_seen += x.numel()
        self.inputs_clipped += int(((x > full_scale) | (x < lowest)).sum())
        return quantise_inputs(x / full_scale, design, signed)

    def _finish(self, total: Tensor, bias: Tensor | None) -> Tensor:
        """Subtract a unit column where there is one, add biases; `total` has the full scale applied."""
        if self.mapping.design.has_unit_column:
            columns = self.mapping.columns
            measured = total[..., columns:]
            total = total[..., :columns] - measured.repeat_interleave(columns // measured.shape[-1], dim=-1)
            total = total * self.step
        if bias is not None:
            total = total + bias
        return total.to(self.dtype)

    def _look_up(
        self, x: Tensor, full_scale: float, signed: bool, converters: Converters, bias: Tensor | None
    ) -> Tensor:
        integers, unit = self._fused_quantise(x, full_scale, signed)
        scale = self.output_scale.numpy() * full_scale
        return self._finish(self._reader(signed).read(integers, unit, converters, scale, wide=self.wide), bias)

    def _direct(
        self, x: Tensor, full_scale: float, signed: bool, converters: Converters, bias: Tensor | None
    ) -> Tensor:
        scale = self.output_scale.numpy() * full_scale
        whole = not self.wide
        start = np.zeros(scale.size) if bias is None or not whole else bias.detach().numpy().astype(np.float64)
        reader = DirectReader(
            self.mapping.design,
            self.operator,
            self._currents,
            self.kernels(),
            factors=self.factors.numpy(),
            lines=self.lines,
            wide=self.wide,
            signed=signed,
            converters=converters,
            scale=scale,
            start=start,
        )
        parts = []
        for part in x.split(reader.chunk(x)):
            integers, unit = self._fused_quantise(part, full_scale, signed)
            total = reader.read(integers, unit)
            if self.sum_factors is not None:
                total = total + self._input_sums(integers) * (unit * torch.from_numpy(scale))
            parts.append(total if whole else self._finish(total, bias))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _fused_quantise(self, x: Tensor, full_scale: float, signed: bool) -> tuple[Tensor, float]:
        integers, clipped = direct.quantise(x, full_scale, signed, self.mapping.design, self.operator)
        self.inputs_seen += x.numel()
        self.inputs_clipped += clipped
        steps = input_steps(self.mapping.design, signed)
        assert steps is not None
        return self.operator.prepare(integers), 1.0 / steps

    def _reader(self, signed: bool) -> bit_serial.BitSerialReader:
        if signed not in self._readers:
            self._readers[signed] = bit_serial.BitSerialReader(
                self.mapping,
                self.operator,
                [self.column_matrix(rows) for rows in self.mapping.partitions],
                self.factors.numpy(),
                None if self.sum_factors is None else self.sum_factors.numpy(),
                signed,
            )
        return self._readers[signed]

    def _sum(
        self, x: Tensor, unit: float, signed: bool, converters: Converters | None, observer: Observer | None
    ) -> Tensor:
        """Return the digital sum over slices and partitions; shape (..., physical columns)."""
        accumulator = self.accumulator
        factors = self.factors.to(accumulator)
        total: Tensor | None = None
        for piece in converted_slices(x, unit, self.mapping.design, signed):
            for index, kernel in enumerate(self.kernels()):
                v = self._currents(piece.values, kernel).mul_(piece.unit)
                if observer is not None:
                    observer(v)
                if converters is not None:
                    v = self._convert(v, converters)
                reading = (v.to(accumulator) * (factors[index] * piece.weight)).sum(dim=-2)
                total = reading if total is None else total + reading
        assert total is not None
        if self.sum_factors is not None:
            total = total + self._input_sums(x) * unit
        return total

    def _convert(self, v: Tensor, converters: Converters) -> Tensor:
        shape = (self.blocks, 1)
        repeat = self.lines
        lo, hi, q = (
            torch.tensor(values, device=v.device, dtype=v.dtype).repeat_interleave(repeat).reshape(shape)
            for values in (
                [r[0] for r in converters.ranges],
                [r[1] for r in converters.ranges],
                converters.codes_per_unit,
            )
        )
        return torch.round((torch.minimum(torch.maximum(v, lo), hi) - lo) * q) / q + lo
