"""Convolutions accumulated in analog, summed and converted in the processor's registers by a C kernel.

It gives the same numbers as the general path (float32 currents, in another order of summation), without ever writing a
current to memory: nearly as fast as the plain convolution, however many slices are converted. `suits` says where it
serves: an ungrouped two-dimensional convolution or a matrix product, on an x86 processor with AVX2 or AVX-512.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from accuracy.mapping.adc import AdcRanges
from accuracy.mapping.operators import ConvolutionOperator, MatrixOperator, Operator
from circuits import CoreDesign
from circuits.native import DEFAULT_FLAGS, load_library

Floats = NDArray[np.float64]
_SOURCE = Path(__file__).parent / "native" / "convolution.c"
_POINTER, _LONG, _FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
_PIECE = 2048
"""Positions that a thread takes at once, at least."""
_CHUNK_VALUES = 1 << 17
"""Padded inputs a thread has in hand, in float32 values: 512 KiB."""


class _Convolution(ctypes.Structure):
    """`struct convolution` of the C source."""

    _fields_ = [
        ("x", _POINTER),
        *[(n, _LONG) for n in ("height", "width", "channels", "out_height", "out_width", "stride_y", "stride_x")],
        ("taps", _LONG),
        ("tap_offset", _POINTER),
        ("partitions", _LONG),
        *[(name, _POINTER) for name in ("channel_first", "channel_count", "weight_start", "weight")],
        *[(name, _LONG) for name in ("blocks", "vectors", "columns")],
        ("unit", _FLOAT),
        *[(name, _POINTER) for name in ("lo", "hi", "codes_per_unit", "worth", "first", "out")],
        ("floor", _FLOAT),
    ]


class _Image(ctypes.Structure):
    """`struct image` of the C source."""

    _fields_ = [
        ("x", _POINTER),
        *[(f"stride_{axis}", _LONG) for axis in ("image", "channel", "y", "x")],
        *[(name, _LONG) for name in ("height", "width", "channels", "top", "left")],
        ("out", _POINTER),
        *[(name, _LONG) for name in ("padded_height", "padded_width")],
        *[(name, _FLOAT) for name in ("factor", "lo", "hi")],
    ]


@cache
def _library() -> ctypes.CDLL | None:
    library = load_library(_SOURCE, DEFAULT_FLAGS)
    if library is not None:
        library.lanes.restype = _LONG
        library.read_positions.argtypes = [ctypes.POINTER(_Convolution), _LONG, _LONG, _LONG]
        library.read_positions.restype = None
        library.quantise_images.argtypes = [ctypes.POINTER(_Image), _LONG, _LONG]
        library.quantise_images.restype = _LONG
    return library


def lanes() -> int:
    """Columns that the kernel handles together on this processor; 0 where there is no kernel for it."""
    library = _library()
    return 0 if library is None else int(library.lanes())


def suits(operator: Operator, design: CoreDesign) -> bool:
    """Whether the kernel can apply an operator as a design wants on this machine."""
    if design.input_accumulation != "analog":
        return False
    if isinstance(operator, ConvolutionOperator):
        if operator.dimensions != 2 or operator.groups != 1 or operator.transposed:
            return False
    elif not isinstance(operator, MatrixOperator):
        return False
    return lanes() > 0


class ConvolutionReader:
    """Programmed columns of one matrix with their ADCs, laid out for the kernel.

    Args:
        operator: how inputs meet rows; see `suits`.
        partitions: rows of each array.
        matrices: what each partition's columns weigh inputs with, (rows of the partition, blocks * columns).
        factors: worth of a reading in the output, (partitions, blocks, columns).
        adc: one a slice.
        lines: converted lines of a column and slice.
        start: what is added to each output, (columns,).
        floor: outputs below it are raised to it.
        width: columns handled together; None for what suits the processor.
    """

    def __init__(
        self,
        operator: Operator,
        partitions: Sequence[slice],
        matrices: Sequence[Floats],
        factors: Floats,
        adc: AdcRanges,
        *,
        lines: int,
        start: Floats,
        floor: float = -math.inf,
        width: int | None = None,
    ):
        self.operator, self.floor = operator, floor
        self.width = lanes() if width is None else width
        self.partitions, self.blocks, self.columns = factors.shape
        self.vectors = -(-self.columns // self.width)
        self._lay_out(partitions)
        self.place(matrices)
        lo, hi, q = (
            np.repeat(np.asarray(values, np.float64), lines)
            for values in (
                [r[0] for r in adc.ranges],
                [r[1] for r in adc.ranges],
                adc.codes_per_unit,
            )
        )
        self._lo, self._hi, self._q = (np.ascontiguousarray(values, np.float32) for values in (lo, hi, q))
        worth = factors / q[:, None]
        first = start + np.einsum("pbc,b->c", worth, lo * q)
        self._worth = np.ascontiguousarray(self._by_vector(worth).transpose(0, 2, 1, 3), np.float32)
        self._first = np.ascontiguousarray(self._by_vector(first), np.float32)

    @property
    def _geometry(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Kernel size, stride, padding and dilation; a matrix product is a convolution of single pixels."""
        if isinstance(self.operator, ConvolutionOperator):
            own = self.operator
            (ky, kx), (sy, sx), (py, px), (dy, dx) = own.kernel_size, own.stride, own.padding, own.dilation
            return (ky, kx), (sy, sx), (py, px), (dy, dx)
        return (1, 1), (1, 1), (0, 0), (1, 1)

    def _by_vector(self, values: Floats) -> Floats:
        """(..., columns) -> (..., vectors, lanes), zeros where columns do not fill a vector."""
        spare = self.vectors * self.width - self.columns
        padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, spare)])
        return padded.reshape(*values.shape[:-1], self.vectors, self.width)

    def _lay_out(self, partitions: Sequence[slice]) -> None:
        """Find which channels each partition takes and where its weights go."""
        area = math.prod(self._geometry[0])
        self._rows = list(partitions)
        low = np.array([rows.start // area for rows in partitions], np.int64)
        high = np.array([-(-rows.stop // area) for rows in partitions], np.int64)
        self._channel_first, self._channel_count = low, high - low
        sizes = self._channel_count * (area * self.vectors * self.blocks * self.width)
        self._weight_start = np.cumsum([0, *sizes[:-1]]).astype(np.int64)
        self._weight = _aligned(int(sizes.sum()))

    def place(self, matrices: Sequence[Floats]) -> None:
        """Take weights, laid out as (groups of units, taps, channels, units of the group, lanes) for each partition.

        Args:
            matrices: one a partition, (rows of the partition, blocks * columns).
        """
        area, units = math.prod(self._geometry[0]), self.vectors * self.blocks
        pieces = zip(self._rows, matrices, self._channel_first, self._channel_count, self._weight_start, strict=True)
        for rows, matrix, low, channels, start in pieces:
            full = np.zeros((channels * area, self.blocks, self.vectors * self.width), np.float32)
            own = full[rows.start - low * area : rows.stop - low * area, :, : self.columns]
            own[...] = matrix.reshape(-1, self.blocks, self.columns)
            # Rows are ordered (channel, tap); units (vector, block).
            by_tap = full.reshape(channels, area, self.blocks, self.vectors, self.width)
            by_unit = by_tap.transpose(1, 0, 3, 2, 4).reshape(area * channels, units, self.width)
            for a, b in pairwise(_groups(units)):
                size = area * channels * (b - a) * self.width
                place = self._weight[start : start + size].reshape(area * channels, b - a, self.width)
                place[...] = by_unit[:, a:b]
                start += size

    def read(self, x: Tensor, factor: float, lowest: float, highest: float, unit: float) -> tuple[Tensor, int]:
        """Return outputs, and how many inputs were clipped.

        Args:
            x: real inputs, float32 on the CPU: (images, channels, height, width), or (..., rows).
            factor: integers per unit of x.
            lowest: least integer.
            highest: largest integer.
            unit: what one integer draws through a full cell.

        Returns:
            (images, out height, out width, columns) or (..., columns), and a count.
        """
        library = _library()
        assert library is not None
        pixels = isinstance(self.operator, ConvolutionOperator)
        image = x if pixels else x.reshape(-1, x.shape[-1], 1, 1)
        if isinstance(self.operator, ConvolutionOperator) and any(self.operator.edges):
            image = functional.pad(image, self.operator.edges, mode=self.operator.edge_mode)
        (ky, kx), (sy, sx), (py, px), (dy, dx) = self._geometry
        images, channels, height, width = image.shape
        tall, wide = height + 2 * py, width + 2 * px
        out_y, out_x = (tall - dy * (ky - 1) - 1) // sy + 1, (wide - dx * (kx - 1) - 1) // sx + 1
        taps = np.array([(y * dy * wide + x * dx) * channels for y in range(ky) for x in range(kx)], np.int64)
        result = torch.empty((images, out_y, out_x, self.columns))
        # Few images at a time: their integers stay in the cache, and one zeroed border serves them all.
        many = max(1, min(images, _CHUNK_VALUES * torch.get_num_threads() // max(1, tall * wide * channels)))
        integers = torch.zeros((many, tall, wide, channels))
        layout = _Image(
            image.data_ptr(), *image.stride(), height, width, channels, py, px, integers.data_ptr(), tall, wide,
            factor, lowest, highest,
        )  # fmt: skip
        job = _Convolution(
            integers.data_ptr(), tall, wide, channels, out_y, out_x, sy, sx, taps.size, taps.ctypes.data,
            self.partitions, self._channel_first.ctypes.data, self._channel_count.ctypes.data,
            self._weight_start.ctypes.data, self._weight.ctypes.data, self.blocks, self.vectors, self.columns, unit,
            *(values.ctypes.data for values in (self._lo, self._hi, self._q, self._worth, self._first)),
            result.data_ptr(), self.floor,
        )  # fmt: skip
        clipped = 0
        for start in range(0, images, many):
            count = min(many, images - start)
            layout.x = image.data_ptr() + 4 * start * image.stride(0)
            job.out = result.data_ptr() + 4 * start * out_y * out_x * self.columns
            clipped += int(library.quantise_images(ctypes.byref(layout), 0, count))
            _run(library, job, self.width, count * out_y * out_x)
        return (result if pixels else result.reshape(*x.shape[:-1], self.columns)), clipped


def _run(library: ctypes.CDLL, job: _Convolution, width: int, positions: int) -> None:
    """Read all positions, in as many threads as torch uses; each position is computed alike wherever it falls."""
    threads = max(1, min(torch.get_num_threads(), positions // _PIECE))
    if threads == 1:
        library.read_positions(ctypes.byref(job), width, 0, positions)
        return
    edges = np.linspace(0, positions, threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        list(
            pool.map(
                lambda part: library.read_positions(ctypes.byref(job), width, int(part[0]), int(part[1])),
                pairwise(edges),
            )
        )


def _groups(units: int) -> list[int]:
    """Edges of the groups in which the kernel takes units: fours, then two, then one."""
    edges = list(range(0, units - units % 4 + 1, 4))
    if units % 4 >= 2:
        edges.append(edges[-1] + 2)
    if units % 2:
        edges.append(edges[-1] + 1)
    return edges


def _aligned(size: int) -> NDArray[np.float32]:
    """Room for float32 values at an address that is a multiple of a cache line."""
    room = np.empty(size + 16, np.float32)
    offset = (-room.ctypes.data) % 64 // 4
    return room[offset : offset + size]
