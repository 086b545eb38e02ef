"""One layer's matrix on analog arrays: its programmed cells, and the digital constants of their readings.

For every input slice that the ADCs read by itself, and every partition, the currents of all physical columns are
``v = x G`` (differential pairs subtracted where the design does so in analog). From their readings r the digital side
forms ``sum a r + K sum x``, where ``a`` carries the worth of the slice, the division by (1 - g_min) and the sign of a
flipped column, and ``K`` takes off pedestal and offset. `AnalogArray` holds cells and constants; `kernels` read it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy.arrays.cells import Cells, ExactCells, GivenCells, ProgrammedCells, Seed
from accuracy.arrays.noise import NoiseSource
from accuracy.arrays.physics import Physics, draw_column_deviates, draw_converters
from accuracy.errors import MappingError
from accuracy.mapping.biases import BiasRows
from accuracy.mapping.operators import Operator
from accuracy.mapping.weights import Mapping, row_pieces
from circuits import AdcErrors
from circuits.converters.drawn import Converters
from circuits.peripherals.load import Peripherals
from circuits.peripherals.model import PeripheralModel
from devicekit import Cell

Floats = NDArray[np.float64]
Layout = TypeVar("Layout")


def digit_conductances(mapping: Mapping, g_min: float) -> Floats:
    """Return what a cell of each digit is programmed to, ``g_min + (1 - g_min) * digit / levels``; (levels + 1,)."""
    return np.asarray(g_min + (1.0 - g_min) * (np.arange(mapping.levels + 1) / float(mapping.levels)))


class _Kept(NamedTuple):
    """What a kernel made of an array's cells, and whether these are the cells still."""

    key: Hashable
    layout: Any
    renew: Callable[[Any], object] | None
    fresh: bool = True


class _DrawnAfter(NamedTuple):
    """What was drawn after the cells: deviates of columns, keys of noise and ADCs; and the generator after all."""

    column_deviates: list[Floats] | None
    noise_key: list[int]
    adc_seed: list[int]
    bias_seed: list[int]
    generator: np.random.Generator


class AnalogArray:
    """Programmed arrays of one matrix, with the digital constants of their readings.

    Args:
        mapping: digits of every cell.
        operator: how inputs meet rows.
        cell: memory cell; None for ideal cells with g_min = 0.
        physics: what stands between cells and ADCs; None for nothing but the design's bit lines.
        dtype: floating type of currents.
        biases: rows of cells that hold biases; None where there are none.

    Attributes:
        cells: the programmed cells.
        ideal: whether cells hold their exact targets and nothing but quantisation acts.
        resistances: of bit lines, virtual ground and supply.
        noise: source of the noise of reads, peripherals and ADCs.
        inputs_seen: input values read so far.
        inputs_clipped: how many of them lay outside the input range.
        factors: worth of a reading; shape (partitions, blocks, physical columns).
        sum_factors: worth of the sum of inputs; shape (partitions, physical columns), or None where it is 0.
        sums_alike: whether it is the same for all partitions.
        step: value of one weight integer for each output; shape (columns,).
        output_scale: what sums of readings are multiplied with; shape (physical columns,).

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
        biases: BiasRows | None = None,
    ):
        self.mapping = mapping
        self.biases = biases
        self.physics = Physics() if physics is None else physics
        self.operator = operator
        self.cell = cell
        self.dtype = dtype
        self.device = torch.device("cpu")
        self.g_min = 0.0 if cell is None else 1.0 / cell.on_off_ratio
        self._digit_targets = digit_conductances(mapping, self.g_min)
        self.cells: Cells = ExactCells(mapping, self._digit_targets)
        self.ideal = False
        self._programmed: ProgrammedCells | None = None
        self._drawn: _DrawnAfter | None = None
        self._converters: dict[int, tuple[Converters | None, ...]] = {}
        self.noise = NoiseSource()
        self._layouts: dict[object, _Kept] = {}
        self.inputs_seen = 0
        self._clipped = 0
        self._clipped_there: Tensor | None = None
        self.resistances = dataclasses.replace(self.physics.lines, r_p_hat=mapping.design.r_p_hat)
        if self.resistances.any and mapping.design.input_bits is None:
            raise MappingError(
                f"Design {mapping.design.name!r} has a resistance of its lines, which is defined for one-bit inputs "
                "and pulse widths only: give `input_bits`."
            )
        if self.resistances.any and biases is not None:
            raise MappingError(
                f"Design {mapping.design.name!r} has bias rows, which lines with a resistance are not solved with: "
                "leave the resistances out, or the biases digital (bias_rows = 0)."
            )
        self._constants()

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy starts from: programmed cells, not what kernels made of them, which holds addresses."""
        return {**self.__dict__, "_layouts": {}, "_converters": {}}

    def _constants(self) -> None:
        """Work out the digital constants from digits, flips and g_min."""
        mapping, design = self.mapping, self.mapping.design
        flips = mapping.flipped.transpose(1, 0, 2).astype(np.float64)
        worth = (mapping.slice_weights * mapping.levels)[None, :, None]
        factors = (1.0 - 2.0 * flips) * worth / (1.0 - self.g_min)
        sums = (worth * flips).sum(axis=1)
        # Pedestals of two lines cancel.
        pedestal = self.g_min * factors.sum(axis=1) if design.lines_per_column == 1 else 0.0
        sums = sums - pedestal - mapping.offset
        if mapping.array_scales is not None:
            scales = mapping.array_scales
            # All columns beside a unit column have the scale of their array.
            scales = np.concatenate([scales, np.repeat(scales[:, :1], mapping.unit_columns, axis=1)], axis=1)
            factors, sums = factors * scales[:, None, :], sums * scales
        lines = [factors, -factors][: self.lines]
        # Blocks are ordered (slice, line); columns of the layer come after them.
        stacked = np.stack(lines, axis=2)
        self.factors = torch.from_numpy(stacked.reshape(stacked.shape[0], -1, stacked.shape[-1]))
        self.sum_factors = torch.from_numpy(np.ascontiguousarray(sums)) if np.any(sums) else None
        self.sums_alike = bool((sums == sums[:1]).all())
        # A unit column is subtracted before the step is applied, so readings keep weight integers until then.
        self.step = torch.from_numpy(mapping.step * mapping.column_signs)
        unit_column = design.has_unit_column
        self.output_scale = torch.ones(mapping.physical_columns, dtype=torch.float64) if unit_column else self.step

    @property
    def inputs_clipped(self) -> int:
        """How many of the input values read so far lay outside the input range."""
        if self._clipped_there is not None:
            self._clipped += int(self._clipped_there)
            self._clipped_there = None
        return self._clipped

    @inputs_clipped.setter
    def inputs_clipped(self, count: int) -> None:
        self._clipped, self._clipped_there = count, None

    def count_clipped(self, count: Tensor) -> None:
        """Add to `inputs_clipped` without waiting for the device that counts."""
        if count.device.type == "cpu":
            self._clipped += int(count)
        else:
            self._clipped_there = count if self._clipped_there is None else self._clipped_there + count

    @property
    def input_counts(self) -> tuple[int, int, Tensor | None]:
        """What inputs were counted so far, to be set again where a pass starts over; the device is not waited for."""
        return self.inputs_seen, self._clipped, self._clipped_there

    @input_counts.setter
    def input_counts(self, counts: tuple[int, int, Tensor | None]) -> None:
        self.inputs_seen, self._clipped, self._clipped_there = counts

    @property
    def targets(self) -> Floats:
        """What each cell is programmed to; shape of the mapping's digits."""
        return self._digit_targets.take(self.mapping.digits)

    @property
    def read_targets(self) -> Floats:
        """What each cell conducts when it is read: `targets`, or their mean at the cell's age and temperature."""
        return self._read_levels().take(self.mapping.digits)

    def _read_levels(self) -> Floats:
        """What a cell of each digit conducts when it is read."""
        cell = self.cell
        if cell is None or cell.is_fresh:
            return self._digit_targets
        return np.asarray(cell.mean(self._digit_targets * cell.i_max) / cell.i_max)

    @property
    def conductances(self) -> Floats:
        """Normalised conductance of every cell, worked out anew; shape of the mapping's digits."""
        if isinstance(self.cells, GivenCells):
            return self.cells.conductances
        result = np.empty(self.mapping.shape)
        for _, rows, part in self.pieces():
            result[:, :, rows] = part
        return result

    @property
    def column_deviates(self) -> list[Floats] | None:
        """Standard normals behind the errors of the columns of each partition, as the ADCs see them.

        None without peripherals.
        """
        return None if self._programmed is None else self._drawn_after().column_deviates

    @property
    def lines(self) -> int:
        """Lines of a column that ADCs read: 2 with digital subtraction, else 1."""
        return 2 if self.mapping.design.subtraction == "digital" else 1

    @property
    def rows_of_partitions(self) -> list[int]:
        """Rows of each array, bias rows included."""
        rows = [part.stop - part.start for part in self.mapping.partitions]
        return rows if self.biases is None else [rows[0] + self.biases.mapping.rows, *rows[1:]]

    @property
    def blocks(self) -> int:
        """ADC readings of each physical column and partition: slices times lines."""
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
        return self.resistances.any and not self.ideal

    @property
    def reads_noisily(self) -> bool:
        """Whether cells have read noise."""
        return self.cell is not None and self.cell.read_noise is not None and not self.ideal

    @property
    def draws_noise(self) -> bool:
        """Whether reading draws random numbers on programmed cells: read noise, or noise of peripherals and ADCs."""
        model = self.physics.peripherals
        conversion = model is not None and (
            not isinstance(model, PeripheralModel) or bool(model.noise_lsb or model.pattern_lsb or model.shot_noise_lsb)
        )
        return conversion or bool(self.physics.adc) or (self.cell is not None and self.cell.read_noise is not None)

    @property
    def varies(self) -> bool:
        """Whether one chip may differ from another, or one reading of it from the next."""
        physics = self.physics
        return not (self.cell is None and physics.faults is None and physics.peripherals is None and not physics.adc)

    @property
    def peripherals(self) -> Peripherals | None:
        """Column peripherals that act."""
        return None if self.ideal else self.physics.peripherals

    @property
    def adc_errors(self) -> Sequence[AdcErrors | None] | None:
        """Errors of the ADC of each weight slice; None where ADCs are ideal."""
        return None if self.ideal else self.physics.adc or None

    @property
    def _draws_adcs(self) -> bool:
        return any(errors is not None and errors.circuit for errors in self.physics.adc)

    def converters(self, partition: int) -> tuple[Converters | None, ...]:
        """Return the ADCs of a partition's blocks as built, None for blocks whose ADCs are all alike; empty if all are.

        They are drawn with the programming of the cells.

        Args:
            partition: its number.
        """
        if not self._draws_adcs:
            return ()
        if partition not in self._converters:
            seed = [0, 0] if self._programmed is None else self._drawn_after().adc_seed
            columns = self.mapping.physical_columns
            self._converters[partition] = tuple(
                draw_converters(errors, seed, (partition, block), columns)
                if errors is not None and errors.circuit
                else None
                for block, errors in ((block, self.physics.adc[block // self.lines]) for block in range(self.blocks))
            )
        return self._converters[partition]

    @property
    def only_quantises(self) -> bool:
        """Whether nothing acts between programmed cells and codes but an ideal uniform ADC.

        Whatever else comes to act there says no here; kernels with the ideal ADC built in then leave the array alone.
        """
        return self.ideal_but_wires and not self.resistive

    @property
    def ideal_but_wires(self) -> bool:
        """Whether that holds but for the resistance of bit lines."""
        return self.peripherals is None and self.adc_errors is None and not self.reads_noisily

    def program(self, seed: Seed) -> None:
        """Program the cells afresh and draw column errors; ideal cells take their targets.

        Cells are worked out when they are read. A generator is drawn from at once.
        """
        self._programmed = ProgrammedCells(self.mapping, self._digit_targets, self.cell, self.physics.faults, seed)
        self._drawn = None
        self._converters = {}
        if isinstance(seed, np.random.Generator):
            seed.bit_generator.state = self._drawn_after().generator.bit_generator.state
        self.noise.restart(self._noise_key)
        self.take_cells(self._programmed)

    def _drawn_after(self) -> _DrawnAfter:
        """What the generator of the cells gave after them."""
        if self._drawn is None:
            assert self._programmed is not None
            generator, deviates = self._programmed.rest(), None
            if self.physics.peripherals is not None:
                columns = self.blocks * self.mapping.physical_columns
                deviates = draw_column_deviates(len(self.mapping.partitions), columns, generator)
            key = [int(part) for part in generator.integers(0, 2**32, 2)]
            # Without ADCs to draw, generators go on as they would without ADCs.
            seed = [int(part) for part in generator.integers(0, 2**32, 2)] if self._draws_adcs else []
            biases = [] if self.biases is None else [int(part) for part in generator.integers(0, 2**32, 2)]
            self._drawn = _DrawnAfter(deviates, key, seed, biases, generator)
        return self._drawn

    def _noise_key(self) -> list[int]:
        return self._drawn_after().noise_key

    def idealise(self) -> None:
        """Program every cell to its exact target and leave out everything but quantisation."""
        self.take_cells(ExactCells(self.mapping, self._digit_targets), ideal=True)

    def set_conductances(self, conductances: Floats) -> None:
        """Take conductances as they are; shape of the mapping's digits."""
        self.take_cells(GivenCells(conductances))

    def take_cells(self, cells: Cells, *, ideal: bool = False) -> None:
        """Have other cells, such as those that it had before."""
        self.cells, self.ideal = cells, ideal
        self._layouts = {
            name: kept._replace(fresh=False) for name, kept in self._layouts.items() if kept.renew is not None
        }

    def kept(self, kernel: object) -> _Kept | None:
        """Return what a kernel made of the cells, and whether it is of those that there are now."""
        return self._layouts.get(kernel)

    def renew_layouts(self) -> None:
        """Put new cells into the layouts that kernels made of the ones before: what their next reading does else."""
        for name, kept in self._layouts.items():
            if not kept.fresh and kept.renew is not None:
                kept.renew(kept.layout)
                self._layouts[name] = kept._replace(fresh=True)

    def laid_out(
        self,
        kernel: object,
        key: Hashable,
        make: Callable[[], Layout],
        renew: Callable[[Layout], object] | None = None,
    ) -> Layout:
        """Return what a kernel made of the cells as they are programmed now.

        Args:
            kernel: whose it is; the array keeps the last layout of each.
            key: what the layout depends on beside cells.
            make: makes it.
            renew: takes new cells into a layout that was made; None to drop it as soon as cells change.
        """
        kept = self._layouts.get(kernel)
        if kept is None or kept.key != key:
            # What there was is freed before the new one takes its room.
            self._layouts.pop(kernel, None)
            kept = None
            kept = self._layouts[kernel] = _Kept(key, make(), renew)
        elif not kept.fresh and renew is not None:
            renew(kept.layout)
            self._layouts[kernel] = kept._replace(fresh=True)
        layout: Layout = kept.layout
        return layout

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move currents and constants to a device and type."""
        if device != self.device or dtype != self.dtype:
            self.device, self.dtype = device, dtype
            self.factors, self.step = self.factors.to(device), self.step.to(device)
            self.output_scale = self.output_scale.to(device)
            if self.sum_factors is not None:
                self.sum_factors = self.sum_factors.to(device)

    @property
    def read_cells(self) -> Cells:
        """Cells that hold their `read_targets`."""
        return ExactCells(self.mapping, self._read_levels())

    def pieces(self, cells: Cells | None = None) -> Iterator[tuple[int, slice, Floats]]:
        """Yield conductances (slices, lines, rows, physical columns) with partition and rows, a few rows at once.

        Args:
            cells: such as `read_cells`; None for the cells as they are programmed.
        """
        slices, lines, _, columns = self.mapping.shape
        places = [
            (partition, piece)
            for partition, rows in enumerate(self.mapping.partitions)
            for piece in row_pieces(rows, slices * lines * columns)
        ]
        parts = (self.cells if cells is None else cells).rows([piece for _, piece in places])
        for (partition, piece), part in zip(places, parts, strict=True):
            yield partition, piece, part

    def column_pieces(self, cells: Cells | None = None) -> Iterator[tuple[int, slice, Floats]]:
        """Yield what columns weigh inputs with, (rows, blocks * physical columns), a few rows at once; see `pieces`."""
        for partition, rows, part in self.pieces(cells):
            yield partition, rows, _by_row(part[:, :1] - part[:, 1:] if self.mapping.design.subtracts_lines else part)

    def column_matrices(
        self, dtype: type[np.floating] = np.float64, cells: Cells | None = None
    ) -> Iterator[NDArray[np.floating]]:
        """Yield what the columns of each partition weigh inputs with, shape (rows, blocks * physical columns).

        Args:
            dtype: of the matrices.
            cells: as for `pieces`.
        """
        return self._by_partition(self.column_pieces(cells), self.blocks, dtype)

    def common_matrices(self, cells: Cells | None = None) -> Iterator[NDArray[np.floating]]:
        """Yield the means of each column's lines, by partition, shape (rows, slices * physical columns).

        Args:
            cells: as for `pieces`.
        """
        means = (
            (partition, rows, _by_row(part.mean(axis=1, keepdims=True))) for partition, rows, part in self.pieces(cells)
        )
        return self._by_partition(means, self.mapping.design.slices, np.float64)

    def programmed_weights(self) -> torch.Tensor:
        """Return the weights that the cells stand for as programmed, shape (rows, columns), on the array's device.

        What is read with ideal wires, peripherals and ADCs: slices and lines by their worth, pedestal, offset or unit
        column taken off. Worked out once for each programming.
        """
        return self.laid_out("programmed weights", (self.device, self.dtype), self._decoded)

    def _decoded(self) -> torch.Tensor:
        mapping = self.mapping
        parts = []
        factors = self.factors.cpu().numpy()
        for index, (rows, matrix) in enumerate(zip(mapping.partitions, self.column_matrices(), strict=True)):
            blocks = matrix.reshape(rows.stop - rows.start, self.blocks, -1)
            part = np.einsum("rbc,bc->rc", blocks, factors[index])
            if self.sum_factors is not None:
                part = part + self.sum_factors[index].cpu().numpy()
            parts.append(part)
        integers = np.concatenate(parts)
        if mapping.design.has_unit_column:
            unit = integers[:, mapping.columns :]
            integers = integers[:, : mapping.columns] - np.repeat(unit, mapping.columns // unit.shape[1], axis=1)
        return torch.from_numpy(integers * self.step.cpu().numpy()).to(self.device, self.dtype)

    def bias_cells(self, *, read_targets: bool = False) -> Floats:
        """Return the conductances of the bias rows, shape (slices, lines, bias rows, physical columns).

        They are programmed with the cells of the matrix, and exact before, and where cells are ideal.

        Args:
            read_targets: what cells hold whose errors are left out, at their age and temperature.
        """
        assert self.biases is not None
        mapping, rows = self.biases.mapping, [slice(0, self.biases.mapping.rows)]
        if read_targets or self._programmed is None or self.ideal:
            levels = self._read_levels() if read_targets else self._digit_targets
            return next(ExactCells(mapping, levels).rows(rows))
        cell, seed = self._programmed.cell_on_die(), np.random.SeedSequence(self._drawn_after().bias_seed)
        return next(ProgrammedCells(mapping, self._digit_targets, cell, self.physics.faults, seed).rows(rows))

    def bias_columns(self, *, read_targets: bool = False) -> Floats:
        """Return what the bias rows add to each column at full drive, shape (blocks, physical columns)."""
        cells = self.bias_cells(read_targets=read_targets).sum(axis=2)
        return self._bias_blocks(cells[:, :1] - cells[:, 1:] if self.mapping.design.subtracts_lines else cells)

    def bias_common(self, *, read_targets: bool = False) -> Floats:
        """Return what they add to the mean of each column's lines, shape (slices, physical columns)."""
        return np.asarray(self.bias_cells(read_targets=read_targets).sum(axis=2).mean(axis=1))

    def bias_noise_variances(self) -> Floats:
        """Return the read-noise variance of the bias rows of each column, shape (blocks, physical columns)."""
        assert self.cell is not None
        variance = (np.asarray(self.cell.read_sigma(self.bias_cells() * self.cell.i_max)) / self.cell.i_max) ** 2
        summed = variance.sum(axis=2)
        return self._bias_blocks(summed.sum(axis=1, keepdims=True) if self.mapping.design.subtracts_lines else summed)

    def _bias_blocks(self, by_line: Floats) -> Floats:
        return np.ascontiguousarray(by_line).reshape(self.blocks, -1)

    def programmed_bias(self, full_scale: float) -> torch.Tensor:
        """Return the biases that the cells of the bias rows stand for as programmed, shape (columns,), in outputs.

        Args:
            full_scale: input value that counts as 1.
        """
        assert self.biases is not None
        mapping, columns = self.mapping, self.mapping.columns
        total = (self.bias_columns() * self.factors[0].cpu().numpy()).sum(axis=0) * self.biases.drive
        total = total + self.bias_constant.cpu().numpy()
        own, unit = total[:columns], total[columns:]
        if mapping.design.has_unit_column:
            own = own - np.repeat(unit, columns // unit.size)
        return torch.from_numpy(own * self.step.cpu().numpy() * full_scale).to(self.device, self.dtype)

    @property
    def bias_constant(self) -> torch.Tensor:
        """What the digital side adds for the bias rows, as `sum_factors` for inputs; shape (physical columns,)."""
        assert self.biases is not None
        if self.sum_factors is None:
            return torch.zeros(self.mapping.physical_columns, dtype=torch.float64, device=self.device)
        return self.sum_factors[0] * (self.biases.drive * self.biases.mapping.rows)

    def read_noise_variances(self, dtype: type[np.floating] = np.float64) -> Iterator[NDArray[np.floating]]:
        """Yield read-noise variances laid out as `column_matrices`; those of lines subtracted in analog add up."""
        return self._by_partition(self._variance_pieces(), self.blocks, dtype)

    def _variance_pieces(self) -> Iterator[tuple[int, slice, Floats]]:
        assert self.cell is not None
        for partition, rows, part in self.pieces():
            variance = (np.asarray(self.cell.read_sigma(part * self.cell.i_max)) / self.cell.i_max) ** 2
            summed = variance.sum(axis=1, keepdims=True) if self.mapping.design.subtracts_lines else variance
            yield partition, rows, _by_row(summed)

    def _by_partition(
        self, pieces: Iterator[tuple[int, slice, Floats]], blocks: int, dtype: type[np.floating]
    ) -> Iterator[NDArray[np.floating]]:
        """Put pieces of rows together to one matrix a partition."""
        for rows in self.mapping.partitions:
            matrix = np.empty((rows.stop - rows.start, blocks * self.mapping.physical_columns), dtype)
            done = rows.start
            while done < rows.stop:
                _, own, part = next(pieces)
                matrix[own.start - rows.start : own.stop - rows.start] = part
                done = own.stop
            yield matrix


def _by_row(cells: Floats) -> Floats:
    """(slices, lines, rows, columns) -> (rows, slices * lines * columns)."""
    return np.ascontiguousarray(cells.transpose(2, 0, 1, 3)).reshape(cells.shape[2], -1)
