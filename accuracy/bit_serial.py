"""The fast way through arrays that convert every input bit by itself: table look-ups in C, conversion included.

`BitSerialReader` gives the same numbers as the general path of `AnalogArray.read` (float32 currents, in another order
of summation). It exists only where the C kernel could be compiled and where inputs are applied one bit at a time,
accumulated digitally, to a matrix product or an ungrouped two-dimensional convolution; `reader` says so with None.
"""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy.converters import Converters, input_steps
from accuracy.mapping import Mapping
from accuracy.operators import ConvolutionOperator, MatrixOperator, Operator
from circuits import CoreDesign
from circuits.native import DEFAULT_FLAGS, load_library

_LANES, _BITS = 16, 8
_SOURCE = Path(__file__).parent / "native" / "bit_serial.c"
_POINTER = ctypes.c_void_p
_LONG = ctypes.c_int64


class _Packing(ctypes.Structure):
    """`struct packing` of the C source."""

    _fields_ = [
        ("x", _POINTER),
        *[(f"stride_{axis}", _LONG) for axis in ("image", "channel", "y", "x")],
        *[(n, _LONG) for n in ("images", "height", "width", "top", "left", "padded_height", "padded_width", "octets")],
        *[(name, _POINTER) for name in ("channel", "phase", "planes", "sums")],
    ]


class _Reading(ctypes.Structure):
    """`struct reading` of the C source."""

    _fields_ = [
        *[(name, _POINTER) for name in ("planes", "sums")],
        *[(name, _LONG) for name in ("padded_height", "padded_width", "octets")],
        *[(name, _LONG) for name in ("out_height", "out_width", "stride_y", "stride_x")],
        *[(name, _LONG) for name in ("taps", "partitions", "blocks", "vectors", "columns")],
        *[(name, _POINTER) for name in ("tap_offset", "octet_first", "octet_count", "weight_start", "conductance")],
        *[
            (name, _POINTER)
            for name in ("word_start", "mask_plus", "mask_minus", "whole", "lo", "hi", "codes_per_unit")
        ],
        *[(name, _POINTER) for name in ("factor", "same_factor", "sum_factor", "scale")],
        ("bit_weight", ctypes.c_double * _BITS),
        *[(name, _POINTER) for name in ("out", "wide")],
    ]


@cache
def _library() -> ctypes.CDLL | None:
    # Without contraction a code is rounded the same way on every processor.
    library = load_library(_SOURCE, (*DEFAULT_FLAGS, "-ffp-contract=off"))
    if library is not None:
        library.pack_inputs.argtypes = [ctypes.POINTER(_Packing), _LONG, _LONG]
        library.pack_inputs.restype = None
        library.read_positions.argtypes = [ctypes.POINTER(_Reading), _LONG, _LONG]
        library.read_positions.restype = ctypes.c_int
    return library


def available() -> bool:
    """Whether the C kernel is there: compiled with the package, or by a compiler of this machine."""
    return _library() is not None


def suits(design: CoreDesign, operator: Operator, signed: bool, converters: Converters) -> bool:
    """Whether readings of this kind can be looked up, and the kernel is there.

    Args:
        design: input bits must be applied and converted one by one, 8 at most.
        operator: a matrix product, or an ungrouped two-dimensional convolution.
        signed: whether inputs carry signs.
        converters: their codes, summed over the input's bits, must stay exact in single precision.
    """
    if design.input_accumulation != "digital" or design.input_slice_bits != 1:
        return False
    steps = input_steps(design, signed)
    if steps is None or steps > 255 or max(converters.levels) * steps >= 2**22:
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

    def read(self, x: Tensor, unit: float, converters: Converters, scale: NDArray[np.float64], *, wide: bool) -> Tensor:
        """Return the digital sum over bits, slices and partitions.

        Args:
            x: integer inputs, float32 on the CPU; (images, channels, height, width) or (..., rows).
            unit: value of one integer.
            converters: one for each slice.
            scale: what each physical column is multiplied with at last, (physical columns,).
            wide: whether to return float64.

        Returns:
            (images, out height, out width, physical columns), or (..., physical columns).
        """
        image = x if self.geometry.area > 1 or x.dim() == 4 else x.reshape(-1, x.shape[-1], 1, 1)
        matrix = image is not x
        images, _, height, width = image.shape
        (py, px), (sy, sx) = self.geometry.padding, self.geometry.stride
        padded = (height + 2 * py, width + 2 * px)
        out_y, out_x = self.geometry.out_size(height, width)
        planes = np.zeros((images, *padded, len(self._channel) // 8), np.uint64)
        sums = None if self._sum_factors is None else np.zeros(planes.shape, np.int32)
        sums_at = None if sums is None else sums.ctypes.data
        packing = _Packing(
            image.data_ptr(), *image.stride(), images, height, width, py, px, *padded, planes.shape[-1],
            self._channel.ctypes.data, self._phase.ctypes.data, planes.ctypes.data, sums_at,
        )  # fmt: skip
        taps = self._tap_offsets(padded[1])
        lines = self.blocks // self.design.slices
        lo, hi, q = (
            np.repeat(np.asarray(values, np.float32), lines)
            for values in (
                [r[0] for r in converters.ranges],
                [r[1] for r in converters.ranges],
                converters.codes_per_unit,
            )
        )
        full_scale = self._padded(np.asarray(scale, np.float64) * unit)
        result = torch.empty((images * out_y * out_x, self.physical), dtype=torch.float64 if wide else torch.float32)
        bits = (self.design.input_bits or 0) - (1 if self.signed else 0)
        reading = _Reading(
            planes.ctypes.data, sums_at, *padded, planes.shape[-1], out_y, out_x, sy, sx,
            self.geometry.area, self.partitions, self.blocks, self.vectors, self.physical,
            taps.ctypes.data, self._octet_first.ctypes.data, self._octet_count.ctypes.data,
            self._weight_start.ctypes.data, self._weights.ctypes.data,
            self._word_start.ctypes.data, self._plus.ctypes.data, self._minus.ctypes.data, self._whole.ctypes.data,
            lo.ctypes.data, hi.ctypes.data, q.ctypes.data, self._factors.ctypes.data, self._same_factor.ctypes.data,
            None if self._sum_factors is None else self._sum_factors.ctypes.data, full_scale.ctypes.data,
            (ctypes.c_double * _BITS)(*[2.0**b if b < bits else 0.0 for b in range(_BITS)]),
            None if wide else result.data_ptr(), result.data_ptr() if wide else None,
        )  # fmt: skip
        _in_threads(packing, reading, images, out_y * out_x)
        shape = x.shape[:-1] if matrix else (images, out_y, out_x)
        return result.reshape(*shape, self.physical)

    def _tap_offsets(self, padded_width: int) -> NDArray[np.int64]:
        (ky, kx), (dy, dx) = self.geometry.taps, self.geometry.dilation
        offsets = np.arange(ky)[:, None] * dy * padded_width + np.arange(kx)[None, :] * dx
        return np.ascontiguousarray(offsets.reshape(-1), dtype=np.int64)


def _row_masks(used: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Pack which of eight slots count into one byte, repeated for the eight bits of a word."""
    bytes_ = np.packbits(used.reshape(-1, 8), axis=1, bitorder="little")[:, 0]
    return np.ascontiguousarray(bytes_.astype(np.uint64) * np.uint64(0x0101010101010101))


def _in_threads(packing: _Packing, reading: _Reading, images: int, area: int) -> None:
    """Run both kernels over torch's number of threads; every output is computed alone, so their number is no matter."""
    library = _library()
    assert library is not None
    threads = max(1, min(torch.get_num_threads(), images * area // 256))
    if threads == 1:
        library.pack_inputs(packing, 0, images)
        failed = library.read_positions(reading, 0, images * area)
    else:
        by_image = [images * k // threads for k in range(threads + 1)]
        by_position = [images * area * k // threads for k in range(threads + 1)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda a, b: library.pack_inputs(packing, a, b), by_image[:-1], by_image[1:]))
            failed = any(
                pool.map(lambda a, b: library.read_positions(reading, a, b), by_position[:-1], by_position[1:])
            )
    if failed:
        raise MemoryError("The look-up kernel could not allocate its tables.")
