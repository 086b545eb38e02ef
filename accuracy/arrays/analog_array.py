"""One layer's matrix on analog arrays: its programmed cells, and the digital constants of their readings.

For every input slice that is converted by itself, and every partition, the currents of all physical columns are
``v = x G`` (differential pairs subtracted where the design does so in analog). Each is converted; the digital side
then forms ``sum a r + K sum x``, where ``a`` carries the worth of the slice, the division by (1 - g_min) and the sign
of a flipped column, and ``K`` takes off pedestal and offset. `AnalogArray` holds cells and constants; `readout` reads.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy.arrays.physics import NoiseSource, Physics, draw_column_errors
from accuracy.errors import MappingError
from accuracy.kernels import bit_serial
from accuracy.kernels.direct_convolution import ConvolutionReader
from accuracy.mapping.operators import Kernel, Operator
from accuracy.mapping.weights import Mapping
from circuits.peripherals.model import ColumnErrors, PeripheralModel
from devicekit import Cell

Floats = NDArray[np.float64]


_CHUNK_CELLS = 1 << 16
"""Cells programmed together: their means and spreads stay in the cache."""


def digit_conductances(mapping: Mapping, g_min: float) -> Floats:
    """Return what a cell of each digit is programmed to, ``g_min + (1 - g_min) * digit / levels``; (levels + 1,)."""
    return np.asarray(g_min + (1.0 - g_min) * (np.arange(mapping.levels + 1) / float(mapping.levels)))


def program_cells(digits: NDArray[np.int32], targets: Floats, cell: Cell, generator: np.random.Generator) -> Floats:
    """Return programmed conductances: targets with the cell's mean shift and error, clipped at 0, never at 1.

    These are the currents that `Cell.program` gives over i_max, but mean and spread are worked out once for each
    digit instead of once for each cell.

    Args:
        digits: what each cell holds, any shape.
        targets: normalised conductance of each digit.
        cell: the memory cell.
        generator: the standard normals are drawn once from it, in array order.
    """
    result: Floats = generator.standard_normal(digits.shape)
    if cell.spatial is not None and cell.die_deviate is None:
        cell = cell.on_die(generator)
    currents = targets * cell.i_max
    mean, sigma = (values / cell.i_max for values in (cell.mean(currents), cell.sigma(currents)))
    flat, chosen = result.reshape(-1), digits.reshape(-1)
    own = np.empty(min(_CHUNK_CELLS, flat.size))
    for start in range(0, flat.size, _CHUNK_CELLS):
        part = flat[start : start + _CHUNK_CELLS]
        index, values = chosen[start : start + _CHUNK_CELLS].astype(np.intp), own[: part.size]
        part *= sigma.take(index, out=values, mode="clip")
        part += mean.take(index, out=values, mode="clip")
        np.maximum(part, 0.0, out=part)
    return result


class AnalogArray:
    """The arrays that hold one matrix, and the digital constants of their readings.

    Args:
        mapping: digits of every cell.
        operator: how inputs meet rows.
        cell: memory cell; None for ideal cells with g_min = 0.
        physics: what stands between cells and ADCs; None for nothing but the design's bit lines.
        dtype: floating type of currents.

    Attributes:
        conductances: of every cell; shape of the mapping's digits.
        ideal: whether cells hold their exact targets and nothing but quantisation acts.
        column_errors: gain and offset of the converted columns of each partition; None without peripherals.
        noise: source of read and conversion noise.
        inputs_seen: input values read so far.
        inputs_clipped: how many of them lay outside the input range.

    Raises:
        MappingError: stages that the design cannot have.
    """

    def __init__(
        self,
        mapping: Mapping,
        operator: Operator,
        cell: Cell | None,
        physics: Physics | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        self.mapping = mapping
        self.physics = Physics() if physics is None else physics
        self.operator = operator
        self.cell = cell
        self.dtype = dtype
        self.device = torch.device("cpu")
        self.g_min = 0.0 if cell is None else 1.0 / cell.on_off_ratio
        self._digit_targets = digit_conductances(mapping, self.g_min)
        self.conductances = self.targets
        self.ideal = False
        self.column_errors: list[ColumnErrors] | None = None
        self.noise = NoiseSource()
        self._kernels: list[Kernel] | None = None
        self._noise_kernels: list[Kernel] | None = None
        self._readers: dict[bool, bit_serial.BitSerialReader] = {}
        self._convolution: tuple[Hashable, ConvolutionReader] | None = None
        self._convolution_is_old = False
        self.inputs_seen = 0
        self.inputs_clipped = 0
        if mapping.design.r_p_hat > 0 and mapping.design.input_bits is None:
            raise MappingError(
                f"Design {mapping.design.name!r} has a bit-line resistance, which is defined for one-bit inputs and "
                "pulse widths only: give `input_bits`."
            )
        self._constants()

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy starts from: programmed cells, not their layouts, which hold addresses."""
        fresh: dict[str, Any] = {"_kernels": None, "_noise_kernels": None, "_readers": {}, "_convolution": None}
        return {**self.__dict__, **fresh}

    def _constants(self) -> None:
        """Digital constants: reading factors (partitions, blocks, columns), input-sum factors (partitions, columns)."""
        mapping, design = self.mapping, self.mapping.design
        flips = mapping.flipped.transpose(1, 0, 2).astype(np.float64)
        worth = (mapping.slice_weights * mapping.levels)[None, :, None]
        factors = (1.0 - 2.0 * flips) * worth / (1.0 - self.g_min)
        sums = (worth * flips).sum(axis=1)
        # Pedestals of two lines cancel.
        pedestal = self.g_min * factors.sum(axis=1) if design.lines_per_column == 1 else 0.0
        sums = sums - pedestal - mapping.offset
        lines = [factors, -factors][: self.lines]
        # Blocks are ordered (slice, line); columns of the layer come after them.
        stacked = np.stack(lines, axis=2)
        self.factors = torch.from_numpy(stacked.reshape(stacked.shape[0], -1, stacked.shape[-1]))
        self.sum_factors = torch.from_numpy(np.ascontiguousarray(sums)) if np.any(sums) else None
        # A unit column is subtracted before the step is applied, so readings keep weight integers until then.
        self.step = torch.from_numpy(mapping.step * mapping.column_signs)
        unit_column = design.has_unit_column
        self.output_scale = torch.ones(mapping.digits.shape[-1], dtype=torch.float64) if unit_column else self.step

    @property
    def targets(self) -> Floats:
        """What each cell is programmed to; shape of the mapping's digits."""
        return self._digit_targets[self.mapping.digits]

    @property
    def lines(self) -> int:
        """Lines of a column that are converted: 2 with digital subtraction, else 1."""
        return 2 if self.mapping.design.subtraction == "digital" else 1

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

    @property
    def resistive(self) -> bool:
        """Whether bit lines have to be solved."""
        return self.mapping.design.r_p_hat > 0 and not self.ideal

    @property
    def reads_noisily(self) -> bool:
        """Whether cells have read noise."""
        return self.cell is not None and self.cell.read_noise is not None and not self.ideal

    @property
    def peripherals(self) -> PeripheralModel | None:
        """Column peripherals that act."""
        return None if self.ideal else self.physics.peripherals

    def program(self, seed: int | np.random.Generator) -> None:
        """Program the cells afresh and draw column errors; ideal cells take their targets."""
        generator = np.random.default_rng(seed)
        programmed = (
            self.targets
            if self.cell is None
            else program_cells(self.mapping.digits, self._digit_targets, self.cell, generator)
        )
        if self.physics.faults is not None:
            programmed = self.physics.faults.apply(programmed, self.g_min, generator)
        if self.physics.peripherals is not None:
            columns = self.blocks * self.mapping.digits.shape[-1]
            self.column_errors = draw_column_errors(
                self.physics.peripherals, len(self.mapping.partitions), columns, generator
            )
        self.noise.restart([int(part) for part in generator.integers(0, 2**32, 2)])
        self.set_conductances(programmed)

    def idealise(self) -> None:
        """Program every cell to its exact target and leave out everything but quantisation."""
        self.set_conductances(self.targets)
        self.ideal = True

    def set_conductances(self, conductances: Floats) -> None:
        """Take conductances as they are; shape of the mapping's digits."""
        self.conductances = conductances
        self.ideal = False
        self._kernels = self._noise_kernels = None
        self._readers = {}
        self._convolution_is_old = True

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move currents and constants to a device and type."""
        if device != self.device or dtype != self.dtype:
            self.device, self.dtype = device, dtype
            self._kernels = self._noise_kernels = None
            self.factors, self.step = self.factors.to(device), self.step.to(device)
            self.output_scale = self.output_scale.to(device)
            if self.sum_factors is not None:
                self.sum_factors = self.sum_factors.to(device)

    def column_matrix(self, rows: slice) -> Floats:
        """Return what the physical columns of a partition weigh inputs with; shape (rows, blocks * columns)."""
        part = self.conductances[:, :, rows, :]
        return _by_row(part[:, :1] - part[:, 1:] if self.mapping.design.subtracts_lines else part)

    def column_matrices(self) -> list[Floats]:
        """Return `column_matrix` of every partition."""
        return [self.column_matrix(rows) for rows in self.mapping.partitions]

    def kernels(self) -> list[Kernel]:
        """Return one kernel a partition, made when first needed after programming."""
        if self._kernels is None:
            self._kernels = [self._kernel(self.column_matrix(rows), rows) for rows in self.mapping.partitions]
        return self._kernels

    def noise_kernels(self) -> list[Kernel]:
        """Return one kernel a partition of read-noise variances, laid out as `kernels`."""
        if self._noise_kernels is None:
            cell = self.cell
            assert cell is not None
            variance = (np.asarray(cell.read_sigma(self.conductances * cell.i_max)) / cell.i_max) ** 2
            parts = [variance[:, :, rows, :] for rows in self.mapping.partitions]
            subtracted = self.mapping.design.subtracts_lines
            matrices = [_by_row(part.sum(axis=1, keepdims=True) if subtracted else part) for part in parts]
            self._noise_kernels = [
                self._kernel(matrix, rows) for matrix, rows in zip(matrices, self.mapping.partitions, strict=True)
            ]
        return self._noise_kernels

    def reader(self, signed: bool) -> bit_serial.BitSerialReader:
        """Return the look-up form of the programmed columns, made when first needed after programming."""
        if signed not in self._readers:
            self._readers[signed] = bit_serial.BitSerialReader(
                self.mapping,
                self.operator,
                self.column_matrices(),
                self.factors.numpy(),
                None if self.sum_factors is None else self.sum_factors.numpy(),
                signed,
            )
        return self._readers[signed]

    def convolution_reader(self, key: Hashable) -> ConvolutionReader | None:
        """Return the reader kept under a key, with the cells as they are programmed now, or None."""
        if self._convolution is None or self._convolution[0] != key:
            return None
        reader = self._convolution[1]
        if self._convolution_is_old:
            reader.place(self.column_matrices())
            self._convolution_is_old = False
        return reader

    def keep_convolution_reader(self, key: Hashable, reader: ConvolutionReader) -> None:
        """Keep a reader of the cells as they are programmed now; the last one only."""
        self._convolution, self._convolution_is_old = (key, reader), False

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

    def currents(self, x: Tensor, kernel: Kernel) -> Tensor:
        """Column sums of one partition; shape (..., blocks, physical columns)."""
        result = self.operator.apply(x, kernel)
        if self.operator.groups > 1:
            inverse = torch.from_numpy(np.argsort(self._group_order())).to(result.device)
            result = result[..., inverse]
        return result.reshape(*result.shape[:-1], self.blocks, -1)

    def sum_kernel(self, rows: slice, dtype: torch.dtype) -> Kernel:
        """Return a kernel of ones, one column a group, that sums the inputs of some rows."""
        ones = torch.ones(rows.stop - rows.start, self.operator.groups, device=self.device, dtype=dtype)
        return self.operator.kernel(ones, rows)

    def input_sums(self, x: Tensor) -> Tensor:
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
            sums = self.operator.apply(x, self.sum_kernel(rows, x.dtype)).to(torch.float64)
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


def _by_row(cells: Floats) -> Floats:
    """(slices, lines, rows, columns) -> (rows, slices * lines * columns)."""
    return np.ascontiguousarray(cells.transpose(2, 0, 1, 3)).reshape(cells.shape[2], -1)
