"""The fast way through arrays that convert every input bit by itself: table look-ups in C, conversion included.

`BitSerialReader` gives the same numbers as the general path of `AnalogArray.read` (float32 currents, in another order
of summation). It exists only where the C kernel could be compiled and where inputs are applied one bit at a time,
accumulated digitally, to a matrix product or an ungrouped two-dimensional convolution; `reader` says so with None.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy.kernels.bit_serial_kernels import BITS, Packing, Reading, available, kernels
from accuracy.kernels.ranges import BINS, Histogram
from accuracy.mapping.adc import AdcRanges
from accuracy.mapping.inputs import input_steps
from accuracy.mapping.operators import ConvolutionOperator, MatrixOperator, Operator
from accuracy.mapping.weights import Mapping
from circuits import CoreDesign

_LANES = 16
_PROBE = 8
"""Images whose currents are counted first, to find the reach of empty histograms."""
_HEADROOM = 4
"""How far beyond a histogram's reach the kernel counts; a power of two."""


def suits(design: CoreDesign, operator: Operator, signed: bool, adc: AdcRanges | None) -> bool:
    """Whether readings of this kind can be looked up, and the kernel is there.

    Args:
        design: input bits must be applied and converted one by one, 8 at most.
        operator: a matrix product, or an ungrouped two-dimensional convolution.
        signed: whether inputs carry signs.
        adc: their codes, summed over the input's bits, must stay exact in single precision; None where
            currents are only counted.
    """
    if design.input_accumulation != "digital" or design.input_slice_bits != 1:
        return False
    steps = input_steps(design, signed)
    if steps is None or steps > 255:
        return False
    if adc is not None and max(adc.levels) * steps >= 2**22:
        return False
    if isinstance(operator, ConvolutionOperator):
        if operator.dimensions != 2 or operator.groups != 1 or operator.transposed:
            return False
    elif not isinstance(operator, MatrixOperator):
        return False
    return available()


@dataclass(frozen=True)
class _Geometry:
    """Kernel positions and where they lie; a matrix product is a convolution of single pixels."""

    taps: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]

    @staticmethod
    def of(operator: Operator) -> _Geometry:
        if isinstance(operator, ConvolutionOperator):
            (ky, kx), (sy, sx) = operator.kernel_size, operator.stride
            (py, px), (dy, dx) = operator.padding, operator.dilation
            return _Geometry((ky, kx), (sy, sx), (py, px), (dy, dx))
        return _Geometry((1, 1), (1, 1), (0, 0), (1, 1))

    @property
    def area(self) -> int:
        return self.taps[0] * self.taps[1]

    def out_size(self, height: int, width: int) -> tuple[int, int]:
        """Output positions along both axes, as in torch."""
        sizes = zip((height, width), self.taps, self.stride, self.padding, self.dilation, strict=True)
        y, x = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sizes)
        return y, x


class BitSerialReader:
    """Programmed columns of one matrix, laid out for look-up.

    Args:
        mapping: says how rows are split over arrays.
        operator: how inputs meet rows.
        columns: conductances that each partition's columns weigh inputs with, (rows of the partition, blocks *
            physical columns), as `AnalogArray.column_matrix` returns them.
        factors: worth of a reading, (partitions, blocks, physical columns).
        sum_factors: worth of the sum of inputs, (partitions, physical columns), or None.
        signed: whether inputs carry signs.
    """

    def __init__(
        self,
        mapping: Mapping,
        operator: Operator,
        columns: list[NDArray[np.float64]],
        factors: NDArray[np.float64],
        sum_factors: NDArray[np.float64] | None,
        signed: bool,
    ):
        self.design, self.signed = mapping.design, signed
        self.geometry = _Geometry.of(operator)
        self.partitions, self.blocks, self.physical = factors.shape
        self.vectors = -(-self.physical // _LANES)
        area = self.geometry.area
        slots: list[NDArray[np.int32]] = []
        phases: list[NDArray[np.int8]] = []
        weights: list[NDArray[np.float32]] = []
        plus: list[NDArray[np.bool_]] = []
        minus: list[NDArray[np.bool_]] = []
        whole: list[NDArray[np.bool_]] = []
        self._octet_count = np.zeros(self.partitions, np.int64)
        for index, (rows, matrix) in enumerate(zip(mapping.partitions, columns, strict=True)):
            first, last = rows.start // area, -(-rows.stop // area)
            table = self._by_channel(matrix, rows.start - first * area, last - first)
            used = np.zeros((last - first) * area, np.bool_)
            used[rows.start - first * area : rows.stop - first * area] = True
            used = used.reshape(last - first, area)
            channel, phase = np.arange(first, last, dtype=np.int32), np.ones(last - first, np.int8)
            if signed:
                table, used = np.concatenate([table, -table]), np.concatenate([used, used])
                channel, phase = np.concatenate([channel, channel]), np.concatenate([phase, -phase])
            spare = -len(channel) % 8
            slots.append(np.pad(channel, (0, spare), constant_values=-1))
            phases.append(np.pad(phase, (0, spare), constant_values=1))
            used = np.pad(used, ((0, spare), (0, 0)))
            for masks, sign in ((plus, 1), (minus, -1)):
                own = used & (phases[-1][:, None] == sign)
                masks.append(np.ascontiguousarray(own.T).reshape(-1))
            filled = used | (slots[-1][:, None] < 0)
            whole.append(np.all(filled.T.reshape(-1, 8), axis=1, keepdims=True)[:, 0])
            table = np.pad(table, ((0, spare), (0, 0), (0, 0)))
            weights.append(np.ascontiguousarray(table.transpose(1, 0, 2), dtype=np.float32).reshape(-1))
            self._octet_count[index] = len(slots[-1]) // 8
        self._octet_first = np.cumsum(self._octet_count) - self._octet_count
        self._word_start = np.concatenate([self._octet_first, [self._octet_count.sum()]]) * area
        self._weight_start = np.cumsum([0] + [len(w) for w in weights[:-1]]).astype(np.int64)
        self._weights = np.concatenate(weights)
        self._channel, self._phase = np.concatenate(slots), np.concatenate(phases)
        self._plus, self._minus = (_row_masks(np.concatenate(masks)) for masks in (plus, minus))
        self._whole = np.concatenate(whole).astype(np.uint8)
        self._factors = self._padded(factors)
        same = [False] + [bool((factors[k] == factors[k - 1]).all()) for k in range(1, self.partitions)]
        self._same_factor = np.array(same, np.uint8)
        self._sum_factors = None if sum_factors is None else self._padded(sum_factors)

    def _by_channel(self, matrix: NDArray[np.float64], before: int, channels: int) -> NDArray[np.float64]:
        """Conductances by (channel, kernel position, padded columns); zeros where rows belong to other partitions."""
        area = self.geometry.area
        full = np.zeros((channels * area, self.blocks, self.vectors * _LANES))
        full[before : before + len(matrix), :, : self.physical] = matrix.reshape(-1, self.blocks, self.physical)
        return full.reshape(channels, area, -1)

    def _padded(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        spare = self.vectors * _LANES - self.physical
        return np.ascontiguousarray(np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, spare)]))

    def read(self, x: Tensor, unit: float, adc: AdcRanges, scale: NDArray[np.float64], *, wide: bool) -> Tensor:
        """Return the digital sum over bits, slices and partitions.

        Args:
            x: integer inputs, float32 on the CPU; (images, channels, height, width) or (..., rows).
            unit: value of one integer.
            adc: one for each slice.
            scale: what each physical column is multiplied with at last, (physical columns,).
            wide: whether to return float64.

        Returns:
            (images, out height, out width, physical columns), or (..., physical columns).
        """
        job = self._job(x, unit, scale, wide)
        lo, hi, q = (
            np.repeat(np.asarray(values, np.float32), self._lines)
            for values in (
                [r[0] for r in adc.ranges],
                [r[1] for r in adc.ranges],
                adc.codes_per_unit,
            )
        )
        job.reading.lo, job.reading.hi, job.reading.codes_per_unit = (v.ctypes.data for v in (lo, hi, q))
        job.run([job.reading] * job.threads)
        return job.result

    def count(
        self,
        x: Tensor,
        unit: float,
        histograms: Sequence[Histogram],
        scale: NDArray[np.float64],
        *,
        absolute: bool,
        wide: bool,
    ) -> Tensor:
        """Count the current of every conversion, and return the sum that `read` would without ADCs.

        Args:
            x: as for `read`.
            unit: as for `read`.
            histograms: one a slice; their reach grows where it must.
            scale: as for `read`.
            absolute: whether magnitudes are counted; otherwise negative currents count as 0.
            wide: as for `read`.
        """
        # Currents beyond a histogram's reach make the kernel count anew: a few images find the reach first.
        few = _PROBE if all(h.reach == 0 for h in histograms) else x.shape[0]
        parts = torch.split(x, [few, x.shape[0] - few]) if few < x.shape[0] else [x]
        done = [self._count(part, unit, histograms, scale, absolute, wide) for part in parts]
        return done[0] if len(done) == 1 else torch.cat(done)

    def _count(
        self,
        x: Tensor,
        unit: float,
        histograms: Sequence[Histogram],
        scale: NDArray[np.float64],
        absolute: bool,
        wide: bool,
    ) -> Tensor:
        job = self._job(x, unit, scale, wide)
        unused = np.zeros(self.blocks, np.float32)
        job.reading.lo = job.reading.hi = job.reading.codes_per_unit = unused.ctypes.data
        job.reading.bins, job.reading.absolute = BINS * _HEADROOM, int(absolute)
        while True:
            reach = np.repeat(np.array([h.reach * _HEADROOM for h in histograms], np.float32), self._lines)
            counts = np.zeros((job.threads, self.blocks, BINS * _HEADROOM), np.int64)
            tops = np.zeros(counts.shape, np.float32)
            zeros, largest = np.zeros(counts.shape[:2], np.int64), np.zeros(counts.shape[:2], np.float32)
            readings = []
            for own in range(job.threads):
                reading = Reading.from_buffer_copy(job.reading)
                reading.counts, reading.tops = counts[own].ctypes.data, tops[own].ctypes.data
                reading.zeros = zeros[own].ctypes.data
                reading.largest, reading.reach = largest[own].ctypes.data, reach.ctypes.data
                readings.append(reading)
            job.run(readings)
            most = largest.max(axis=0).reshape(-1, self._lines).max(axis=1)
            if all(value <= h.reach * _HEADROOM for value, h in zip(most, histograms, strict=True)):
                break
            # Currents beyond the last bin were left out.
            for value, histogram in zip(most, histograms, strict=True):
                histogram.cover(float(value))
        by_slice = (self.design.slices, self._lines, BINS * _HEADROOM)
        all_counts, all_tops = counts.sum(axis=0).reshape(by_slice), tops.max(axis=0).reshape(by_slice)
        all_zeros = zeros.sum(axis=0).reshape(by_slice[:2]).sum(axis=1)
        for index, histogram in enumerate(histograms):
            histogram.cover(float(most[index]))
            histogram.merge(
                all_counts[index].sum(axis=0), all_tops[index].max(axis=0), float(reach[index * self._lines])
            )
            histogram.zeros += int(all_zeros[index])
        return job.result

    @property
    def _lines(self) -> int:
        """Converted lines of a column and slice."""
        return int(self.blocks // self.design.slices)

    def _job(self, x: Tensor, unit: float, scale: NDArray[np.float64], wide: bool) -> _Job:
        """Lay out everything that readings share."""
        image = x if self.geometry.area > 1 or x.dim() == 4 else x.reshape(-1, x.shape[-1], 1, 1)
        matrix = image is not x
        images, _, height, width = image.shape
        (py, px), (sy, sx) = self.geometry.padding, self.geometry.stride
        padded = (height + 2 * py, width + 2 * px)
        out_y, out_x = self.geometry.out_size(height, width)
        planes = np.zeros((images, *padded, len(self._channel) // 8), np.uint64)
        sums = None if self._sum_factors is None else np.zeros(planes.shape, np.int32)
        sums_at = None if sums is None else sums.ctypes.data
        packing = Packing(
            image.data_ptr(), *image.stride(), images, height, width, py, px, *padded, planes.shape[-1],
            self._channel.ctypes.data, self._phase.ctypes.data, planes.ctypes.data, sums_at,
        )  # fmt: skip
        taps = self._tap_offsets(padded[1])
        full_scale = self._padded(np.asarray(scale, np.float64) * unit)
        result = torch.empty((images * out_y * out_x, self.physical), dtype=torch.float64 if wide else torch.float32)
        bits = (self.design.input_bits or 0) - (1 if self.signed else 0)
        reading = Reading(
            planes=planes.ctypes.data, sums=sums_at, octets=planes.shape[-1],
            padded_height=padded[0], padded_width=padded[1],
            out_height=out_y, out_width=out_x, stride_y=sy, stride_x=sx,
            taps=self.geometry.area, partitions=self.partitions, blocks=self.blocks, vectors=self.vectors,
            columns=self.physical, tap_offset=taps.ctypes.data,
            octet_first=self._octet_first.ctypes.data, octet_count=self._octet_count.ctypes.data,
            weight_start=self._weight_start.ctypes.data, conductance=self._weights.ctypes.data,
            word_start=self._word_start.ctypes.data, whole=self._whole.ctypes.data,
            mask_plus=self._plus.ctypes.data, mask_minus=self._minus.ctypes.data,
            factor=self._factors.ctypes.data, same_factor=self._same_factor.ctypes.data,
            sum_factor=None if self._sum_factors is None else self._sum_factors.ctypes.data,
            scale=full_scale.ctypes.data,
            bit_weight=(ctypes.c_double * BITS)(*[2.0**b if b < bits else 0.0 for b in range(BITS)]),
            out=None if wide else result.data_ptr(), wide=result.data_ptr() if wide else None,
        )  # fmt: skip
        shape = x.shape[:-1] if matrix else (images, out_y, out_x)
        kept = (image, planes, sums, taps, full_scale)
        return _Job(packing, reading, images, out_y * out_x, result.reshape(*shape, self.physical), kept)

    def _tap_offsets(self, padded_width: int) -> NDArray[np.int64]:
        (ky, kx), (dy, dx) = self.geometry.taps, self.geometry.dilation
        offsets = np.arange(ky)[:, None] * dy * padded_width + np.arange(kx)[None, :] * dx
        return np.ascontiguousarray(offsets.reshape(-1), dtype=np.int64)


def _row_masks(used: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Pack which of eight slots count into one byte, repeated for the eight bits of a word."""
    bytes_ = np.packbits(used.reshape(-1, 8), axis=1, bitorder="little")[:, 0]
    return np.ascontiguousarray(bytes_.astype(np.uint64) * np.uint64(0x0101010101010101))


class _Job:
    """One call of the kernels, over torch's number of threads.

    Every output is computed alone, so the number of threads is no matter.

    Attributes:
        reading: what the kernel is told, but for what differs between reading and counting.
        threads: how many parts the positions are dealt to.
        result: where finished outputs stand after `run`.
    """

    def __init__(
        self, packing: Packing, reading: Reading, images: int, area: int, result: Tensor, kept: tuple[object, ...]
    ):
        self.reading, self.result = reading, result
        # The structures hold addresses only: what they point to must outlive them.
        self._packing, self._kept = packing, kept
        self._images, self._positions = images, images * area
        self._packed = False
        self.threads = max(1, min(torch.get_num_threads(), self._positions // 256))

    def run(self, readings: list[Reading]) -> None:
        """Pack the inputs, unless that was done, and read all positions; one structure a thread."""
        library = kernels()
        assert library is not None
        share = range(self.threads + 1)
        by_image = [self._images * k // self.threads for k in share]
        by_position = [self._positions * k // self.threads for k in share]

        def pack(own: int) -> None:
            library.pack_inputs(self._packing, by_image[own], by_image[own + 1])

        def read(own: int) -> bool:
            return bool(library.read_positions(readings[own], by_position[own], by_position[own + 1]))

        if self.threads == 1:
            if not self._packed:
                pack(0)
            failed = read(0)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                if not self._packed:
                    list(pool.map(pack, range(self.threads)))
                failed = any(list(pool.map(read, range(self.threads))))
        self._packed = True
        if failed:
            raise MemoryError("The look-up kernel could not allocate its tables.")
