"""Arrays whose ADCs read every input bit by itself: table look-ups in C, ADCs and digital sums included.

Rows are driven or not, so that currents are looked up instead of multiplied; see the C source.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy.arrays.analog_array import AnalogArray
from accuracy.kernels import elementwise
from accuracy.kernels.bit_serial_library import BITS, Lookup, Packing, available, kernels
from accuracy.kernels.histograms import BINS, PROBE, Histogram, Observation
from accuracy.kernels.protocol import Reading, quantises_in_single
from accuracy.kernels.steps import alike, as_images, finished, from_images, quantised_in_c, with_added
from accuracy.mapping.adc import Floats, UniformAdc
from accuracy.mapping.inputs import input_steps
from accuracy.mapping.operators import channels_of
from circuits.threads import share, thread_count

_LANES = 16
_TILE = 64
"""Positions that the kernel takes together; the C source has the same number."""
_PIECE = 128
"""Positions that are worth a thread of their own."""
_LEAST_SLOTS = 1 << 14
"""Packed inputs that are."""
_HEADROOM = 4
"""How far beyond a histogram's reach the kernel counts; a power of two."""


class BitSerial:
    """Reads a plane convolution or a matrix product whose input bits are applied and digitised one by one.

    Also counts their currents for calibration.

    Args:
        most: 3 allows AVX-512 with VBMI2, 2 AVX-512 without, 1 AVX2 at most, 0 neither.
    """

    adds = True
    """C does where it finishes outputs; `_finished_with_added` after it else."""

    def __init__(self, most: int = 3) -> None:
        self.most = most

    def suits(self, array: AnalogArray, how: Reading) -> bool:
        """Whether only quantisation acts on such a layer, with codes whose sum over bits is exact in float32."""
        design, steps = array.mapping.design, input_steps(array.mapping.design, how.signed)
        if design.input_accumulation != "digital" or design.input_slice_bits != 1 or array.operator.geometry is None:
            return False
        if array.biases is not None:
            return False
        if steps is None or steps > 255 or not quantises_in_single(array, how):
            return False
        exact = (
            how.observation is not None if how.adc is None else max(how.adc.levels) * steps < elementwise.LARGEST_CODE
        )
        return exact and elementwise.available() and available()

    def read(self, array: AnalogArray, x: Tensor, how: Reading) -> Tensor:
        """Look up the sums over bits, slices and partitions, or count currents where there is no ADC."""
        integers, unit = quantised_in_c(array, x, how)
        layout = array.laid_out(self, how.signed, lambda: _Layout(array, how.signed, self.most))
        scale = array.output_scale.numpy() * how.full_scale
        if how.adc is None:
            assert how.observation is not None
            return _finished_with_added(array, layout.count(integers, unit, scale, how.observation), how)
        adc = how.adc.uniform(array.lines)
        if layout.adds_in_c(array, how):
            return layout.read(integers, unit, scale, adc, how)
        return _finished_with_added(array, layout.read(integers, unit, scale, adc), how)


def _finished_with_added(array: AnalogArray, total: Tensor, how: Reading) -> Tensor:
    if how.added is None:
        return finished(array, total, how)
    return with_added(finished(array, total, replace(how, relu=False)), how.added, relu=how.relu)


class _Layout:
    """Programmed columns of one matrix, laid out for look-up.

    Args:
        array: the programmed cells.
        signed: whether inputs carry signs.
        most: limits the instruction set.
    """

    def __init__(self, array: AnalogArray, signed: bool, most: int):
        self.most = most
        assert array.operator.geometry is not None
        self.operator, self.geometry = array.operator, array.operator.geometry
        self.dtype = array.accumulator
        steps = input_steps(array.mapping.design, signed)
        assert steps is not None
        self.bits, self.lines = steps.bit_length(), array.lines
        factors = array.factors.numpy()
        self.partitions, self.blocks, self.physical = factors.shape
        self.vectors = -(-self.physical // _LANES)
        area = self.geometry.area
        slots: list[NDArray[np.int32]] = []
        phases: list[NDArray[np.int8]] = []
        plus: list[NDArray[np.bool_]] = []
        minus: list[NDArray[np.bool_]] = []
        whole: list[NDArray[np.bool_]] = []
        spans = [channels_of(rows, area) for rows in array.mapping.partitions]
        self.octet_count = np.array([-(-(own.stop - own.start) * (1 + signed) // 8) for own in spans], np.int64)
        sizes = self.octet_count * (8 * area * self.blocks * self.vectors * _LANES)
        self.weight_start = np.cumsum(sizes) - sizes
        self.weights = np.empty(int(sizes.sum()), np.float32)
        for index, (rows, matrix) in enumerate(
            zip(array.mapping.partitions, array.column_matrices(np.float32), strict=True)
        ):
            own = spans[index]
            channel, first = np.arange(own.start, own.stop, dtype=np.int32), own.start * area
            table = self._by_channel(matrix, rows.start - first, channel.size)
            row, phase = np.arange(channel.size * area).reshape(-1, area) + first, np.ones(channel.size, np.int8)
            used = (rows.start <= row) & (row < rows.stop)
            if signed:
                table, used = np.concatenate([table, -table]), np.concatenate([used, used])
                channel, phase = np.concatenate([channel, channel]), np.concatenate([phase, -phase])
            spare = -len(channel) % 8
            slots.append(np.pad(channel, (0, spare), constant_values=-1))
            phases.append(np.pad(phase, (0, spare), constant_values=1))
            used = np.pad(used, ((0, spare), (0, 0)))
            for masks, sign in ((plus, 1), (minus, -1)):
                masks.append(np.ascontiguousarray((used & (phases[-1][:, None] == sign)).T).reshape(-1))
            filled = used | (slots[-1][:, None] < 0)
            whole.append(np.all(filled.T.reshape(-1, 8), axis=1))
            table = np.pad(table, ((0, spare), (0, 0), (0, 0)))
            room = self.weights[self.weight_start[index] :][: sizes[index]]
            room.reshape(area, len(table), -1)[...] = table.transpose(1, 0, 2)
        self.nonnegative = bool((self.weights >= 0).all())
        self.octet_first = np.cumsum(self.octet_count) - self.octet_count
        self.word_start = np.concatenate([self.octet_first, [self.octet_count.sum()]]) * area
        self.channel, self.phase = np.concatenate(slots), np.concatenate(phases)
        self.plus, self.minus = (_row_masks(np.concatenate(masks)) for masks in (plus, minus))
        self.whole = np.concatenate(whole).astype(np.uint8)
        self.factors = self.padded(factors)
        same = [False] + [bool((factors[k] == factors[k - 1]).all()) for k in range(1, self.partitions)]
        self.same_factor = np.array(same, np.uint8)
        self.sum_factors = None if array.sum_factors is None else self.padded(array.sum_factors.numpy())

    def _by_channel(self, matrix: NDArray[np.floating], before: int, channels: int) -> NDArray[np.float32]:
        """Conductances by (channel, kernel position, padded columns); zeros where rows belong to other partitions."""
        area = self.geometry.area
        full = np.zeros((channels * area, self.blocks, self.vectors * _LANES), np.float32)
        full[before : before + len(matrix), :, : self.physical] = matrix.reshape(-1, self.blocks, self.physical)
        return full.reshape(channels, area, -1)

    def padded(self, values: Floats) -> Floats:
        """Return values by column with zeros where columns do not fill the last vector."""
        spare = self.vectors * _LANES - self.physical
        return np.ascontiguousarray(np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, spare)]))

    def adds_in_c(self, array: AnalogArray, how: Reading) -> bool:
        """Whether C adds biases and cuts off negative outputs: on sums of single precision without a unit column."""
        if self.dtype != torch.float32 or array.mapping.design.has_unit_column:
            return False
        bias = how.bias
        if bias is None:
            return True
        dense = bias.is_cpu and bias.is_contiguous() and not bias.is_neg()
        return dense and bias.dtype == torch.float32 and bias.shape == (self.physical,)

    def read(self, x: Tensor, unit: float, scale: Floats, adc: UniformAdc, how: Reading | None = None) -> Tensor:
        """Return the digital sum over bits, slices and partitions.

        Args:
            x: integer inputs, float32 on the CPU; (images, channels, height, width) or (..., rows).
            unit: value of one integer.
            scale: what each physical column is multiplied with at last, (physical columns,).
            adc: ADC of each block.
            how: what is added to the sum, and whether negative ones become 0; by default nothing.

        Returns:
            (images, out height, out width, physical columns), or (..., physical columns).
        """
        job = _Job(self, x, unit, scale)
        if how is not None:
            job.add_in_c(how)
        job.lookup.lo, job.lookup.hi, job.lookup.codes_per_unit = adc.single.addresses
        job.lookup.positive = int(self.nonnegative and not adc.single.lo.any())
        job.run()
        if how is None or how.added is None or job.lookup.added:
            return job.result
        return with_added(job.result, how.added, relu=how.relu)

    def count(self, x: Tensor, unit: float, scale: Floats, observation: Observation) -> Tensor:
        """Count currents, and return the sum that `read` would give without an ADC.

        Args:
            x: as for `read`.
            unit: as for `read`.
            scale: as for `read`.
            observation: its histograms take the currents. Their reach grows where it must. After the first images,
                currents far below the wanted quantile are counted in a sample only.
        """
        # Currents beyond a histogram's reach make the kernel count anew: a few images find the reach first.
        left = max(0, PROBE - observation.counted)
        parts = torch.split(x, [left, x.shape[0] - left]) if 0 < left < x.shape[0] else [x]
        done = []
        for part in parts:
            observation.begin_counting(part.shape[0])
            done.append(self._count(part, unit, scale, observation.currents, observation.symmetric))
        return done[0] if len(done) == 1 else torch.cat(done)

    def _count(self, x: Tensor, unit: float, scale: Floats, histograms: Sequence[Histogram], absolute: bool) -> Tensor:
        job = _Job(self, x, unit, scale)
        unused, floor = np.zeros(self.blocks, np.float32), self._by_block([h.floor for h in histograms])
        job.lookup.lo = job.lookup.hi = job.lookup.codes_per_unit = unused.ctypes.data
        job.lookup.bins, job.lookup.absolute = BINS * _HEADROOM, int(absolute)
        job.lookup.floor = floor.ctypes.data
        threads = thread_count()
        while True:
            reach = self._by_block([h.reach * _HEADROOM for h in histograms])
            counts = np.zeros((threads, self.blocks, BINS * _HEADROOM), np.int64)
            tops = np.zeros(counts.shape, np.float32)
            zeros, largest = np.zeros(counts.shape[:2], np.int64), np.zeros(counts.shape[:2], np.float32)
            lookup = job.lookup
            lookup.counts, lookup.tops, lookup.zeros = counts.ctypes.data, tops.ctypes.data, zeros.ctypes.data
            lookup.largest, lookup.reach = largest.ctypes.data, reach.ctypes.data
            job.run(threads)
            most = largest.max(axis=0).reshape(-1, self.lines).max(axis=1)
            if all(value <= h.reach * _HEADROOM for value, h in zip(most, histograms, strict=True)):
                break
            # Currents beyond the last bin were left out.
            for value, histogram in zip(most, histograms, strict=True):
                histogram.cover(float(value))
        # Most of the headroom is empty: only as many bins as hold currents are looked at.
        used = BINS
        while used < BINS * _HEADROOM and any(
            value >= h.reach * used / BINS for value, h in zip(most, histograms, strict=True)
        ):
            used *= 2
        by_slice = (-1, self.lines, used)
        all_counts = counts[..., :used].sum(axis=0).reshape(by_slice)
        all_tops = tops[..., :used].max(axis=0).reshape(by_slice)
        all_zeros = zeros.sum(axis=0).reshape(-1, self.lines).sum(axis=1)
        currents = job.result.numel() * self.partitions * self.bits * self.lines
        for index, histogram in enumerate(histograms):
            own = all_counts[index].sum(axis=0)
            histogram.cover(float(most[index]))
            edge = float(reach[index * self.lines]) * used / (BINS * _HEADROOM)
            histogram.merge(own, all_tops[index].max(axis=0), edge)
            histogram.zeros += int(all_zeros[index])
            histogram.uncounted += currents - int(own.sum()) - int(all_zeros[index])
        return job.result

    def _by_block(self, values: Sequence[float]) -> NDArray[np.float32]:
        """Values by slice, for each line of it."""
        return np.repeat(np.array(values, np.float32), self.lines)


class _Job:
    """One call of the C code: every output is computed alone, so the number of threads is no matter.

    Args:
        layout: the programmed columns.
        x: integer inputs.
        unit: value of one integer.
        scale: what each physical column is multiplied with at last.

    Attributes:
        lookup: what the C code is told, but for what differs between reading and counting.
        result: where finished outputs stand after `run`.
    """

    def __init__(self, layout: _Layout, x: Tensor, unit: float, scale: Floats):
        image, geometry = as_images(layout.operator, x), layout.geometry
        images, _, height, width = image.shape
        (py, px), (sy, sx) = geometry.padding, geometry.stride
        tall, wide = height + 2 * py, width + 2 * px
        out_y, out_x = geometry.out_size(height, width)
        self._positions, self._lines = images * out_y * out_x, images * height
        self._least = _LEAST_SLOTS // max(1, width * len(layout.channel)) + 1
        planes = np.zeros((images, tall, wide, len(layout.channel) // 8), np.uint64)
        sums = None if layout.sum_factors is None else np.zeros(planes.shape, np.int32)
        self._packing = Packing(
            image.data_ptr(), *image.stride(), images, height, width, py, px, tall, wide, planes.shape[-1],
            _address(layout.channel), _address(layout.phase), _address(planes), _address(sums),
        )  # fmt: skip
        taps = geometry.tap_offsets(wide)
        full_scale = layout.padded(scale * unit)
        result = torch.empty((images, out_y, out_x, layout.physical), dtype=layout.dtype)
        double = layout.dtype == torch.float64
        self.lookup = Lookup(
            planes=_address(planes), sums=_address(sums), octets=planes.shape[-1], padded_height=tall,
            padded_width=wide, out_height=out_y, out_width=out_x, stride_y=sy, stride_x=sx, taps=geometry.area,
            partitions=layout.partitions, blocks=layout.blocks, vectors=layout.vectors, columns=layout.physical,
            tap_offset=_address(taps), octet_first=_address(layout.octet_first),
            octet_count=_address(layout.octet_count), weight_start=_address(layout.weight_start),
            conductance=_address(layout.weights), word_start=_address(layout.word_start),
            whole=_address(layout.whole), mask_plus=_address(layout.plus), mask_minus=_address(layout.minus),
            factor=_address(layout.factors), same_factor=_address(layout.same_factor),
            sum_factor=_address(layout.sum_factors), scale=_address(full_scale),
            bit_weight=(ctypes.c_double * BITS)(*[2.0**b if b < layout.bits else 0.0 for b in range(BITS)]),
            out=None if double else result.data_ptr(), wide=result.data_ptr() if double else None, least=-math.inf,
            most=layout.most,
        )  # fmt: skip
        self.result = from_images(layout.operator, result, x)
        # The structures hold addresses only: what they point to must outlive them.
        self._kept: tuple[object, ...] = (layout, image, planes, sums, taps, full_scale)
        self._packed = False

    def add_in_c(self, how: Reading) -> None:
        """Let the kernel add biases, and another tensor that has the outputs' layout, and cut off negative outputs."""
        bias, inside = how.bias, how.added is not None and alike(how.added, self.result)
        self.lookup.bias = None if bias is None else bias.data_ptr()
        self.lookup.added = how.added.data_ptr() if inside and how.added is not None else None
        self.lookup.least = 0.0 if how.relu and (inside or how.added is None) else -math.inf
        self._kept = (*self._kept, bias, how.added)

    def run(self, threads: int | None = None) -> None:
        """Pack the inputs, unless that was done, and read all positions; on so many threads at most."""
        library = kernels()
        assert library is not None
        if not self._packed:
            if share(library.pack_inputs, self._packing, self._lines, least=self._least):
                raise MemoryError("The look-up kernel could not allocate a row of inputs.")
            self._packed = True
        if share(library.read_positions, self.lookup, self._positions, _PIECE, _TILE, threads):
            raise MemoryError("The look-up kernel could not allocate its tables.")


def _address(values: NDArray[np.generic] | None) -> int | None:
    return None if values is None else values.ctypes.data


def _row_masks(used: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Pack which of eight slots count into one byte, repeated for the eight bits of a word."""
    bytes_ = np.packbits(used.reshape(-1, 8), axis=1, bitorder="little")[:, 0]
    return np.ascontiguousarray(bytes_.astype(np.uint64) * np.uint64(0x0101010101010101))
