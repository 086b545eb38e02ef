"""Convolutions accumulated in analog, summed and digitised in the processor's registers by a C kernel.

No current is ever written to memory, so that it is nearly as fast as the plain convolution however many slices the
ADCs read. It has forms for AVX-512, AVX2, and for the four lanes that every other processor has; these sum in single
precision. One more, for AVX-512 with VNNI, sums integers: inputs are bytes and weights integers of 24 bits, whose last
bit is worth less than what single precision loses in a sum.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from accuracy.arrays.analog_array import AnalogArray
from accuracy.errors import NotFiniteError
from accuracy.kernels.elementwise import LARGEST_CODE
from accuracy.kernels.protocol import Reading, quantises_in_single
from accuracy.kernels.steps import alike, as_images, from_images, input_scale, with_added
from accuracy.mapping.adc import Floats
from accuracy.mapping.inputs import input_steps
from accuracy.mapping.operators import ConvolutionOperator, channels_of
from circuits.native import load_library
from circuits.threads import share, thread_count

_SOURCE = Path(__file__).parent / "native" / "convolution.c"
_POINTER, _LONG, _FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
_CHUNK_VALUES = 1 << 17
"""Padded inputs a thread has in hand, in float32 values: 512 KiB."""
_BAND_VALUES = 1 << 13
"""Padded inputs of the least band of an image."""
_LEAST_PRODUCTS = 1 << 18
"""Products that are worth a thread of their own: some microseconds."""
BYTES = 64
"""Width of the form that multiplies bytes."""
_LANES = 16
"""Columns that it handles together."""
_DIGITS, _LARGEST_INTEGER = 3, 127 * 65536 + 127 * 256 + 127
"""Bytes of a weight, and what the largest of them makes."""
_BOUNDS = (2.0, 8.0, 32.0)
"""Conductances are below 2 but for outliers; weights beyond the last bound are left to single precision."""
_MOST_SHAPES = 8
"""Shapes of images that a layer remembers how to read."""
_MOST_ROWS = 1 << 16
"""Rows whose products with bytes fit 32 bits."""

Pieces = Iterable[tuple[int, slice, Floats]]


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
        *[(name, _POINTER) for name in ("added", "digits", "begin")],
    ]


class _Image(ctypes.Structure):
    """`struct image` of the C source."""

    _fields_ = [
        ("x", _POINTER),
        *[(f"stride_{axis}", _LONG) for axis in ("image", "channel", "y", "x")],
        *[(name, _LONG) for name in ("height", "width", "channels", "top", "left")],
        *[(name, _LONG) for name in ("padded_height", "padded_width")],
        *[(name, _FLOAT) for name in ("factor", "lo", "hi")],
        ("offset", _LONG),
    ]


class _Layer(ctypes.Structure):
    """`struct layer` of the C source."""

    _fields_ = [
        ("image", _Image),
        ("convolution", _Convolution),
        *[(name, _LONG) for name in ("reach", "bands", "images")],
        ("room", _POINTER),
        *[(name, _LONG) for name in ("room_size", "width", "infinite")],
    ]


class _Bytes(ctypes.Structure):
    """`struct bytes` of the C source."""

    _fields_ = [
        ("matrix", _POINTER),
        *[(n, _LONG) for n in ("rows", "first", "taps", "channel_first", "channel_count")],
        *[(n, _LONG) for n in ("blocks", "vectors", "columns", "offset")],
        ("scale", ctypes.c_double),
        *[(name, _POINTER) for name in ("digits", "begin")],
    ]


@cache
def _library() -> ctypes.CDLL | None:
    library = load_library(_SOURCE)
    if library is not None:
        library.widest.restype = library.pack_bytes.restype = _LONG
    return library


def widest() -> int:
    """The widest form that this processor has: 16, 8 or 4 columns, or `BYTES`; 0 where none could be compiled."""
    library = _library()
    return 0 if library is None else int(library.widest())


def _takes_bytes(array: AnalogArray, how: Reading) -> bool:
    """Whether inputs are bytes, and sums of products with them fit 32 bits."""
    steps = input_steps(array.mapping.design, how.signed)
    most = max(rows.stop - rows.start for rows in array.mapping.partitions)
    return steps is not None and steps <= (127 if how.signed else 255) and most <= _MOST_ROWS


class Convolution:
    """Reads a plane convolution or a matrix product that is accumulated in analog; sums need no double precision.

    Args:
        width: columns handled together, or `BYTES`; None for what suits the processor.
    """

    adds = True

    def __init__(self, width: int | None = None) -> None:
        self.width = width

    def suits(self, array: AnalogArray, how: Reading) -> bool:
        """Whether only quantisation acts on such a layer, on a processor that the C code knows."""
        if how.adc is None or max(how.adc.levels) >= LARGEST_CODE or not quantises_in_single(array, how):
            return False
        if array.wide or array.mapping.design.input_accumulation != "analog" or array.operator.geometry is None:
            return False
        if array.biases is not None:
            return False
        if self.width == BYTES and not _takes_bytes(array, how):
            return False
        return widest() >= (self.width or 1)

    def read(self, array: AnalogArray, x: Tensor, how: Reading) -> Tensor:
        """Quantise, sum, digitise and finish outputs in one pass; cells stay laid out until they change."""
        bias = None if how.bias is None else how.bias.detach().numpy()
        key = (how.full_scale, how.signed, how.adc, None if bias is None else bias.tobytes())
        width = self.width or (min(widest(), BYTES if _takes_bytes(array, how) else _LANES))
        layout = array.laid_out(
            self,
            key,
            lambda: _Layout(array, how, None if bias is None else bias.astype(np.float64), width),
            renew=lambda known: known.place(array.column_pieces),
        )
        result, clipped = layout.read(x, input_scale(array, how), 0.0 if how.relu else -math.inf, how.added)
        array.inputs_seen += x.numel()
        array.inputs_clipped += clipped
        return result


class _Work(NamedTuple):
    """How images of one shape are read.

    Attributes:
        job: for the C code, but for where images and outputs lie, and what becomes of the sums.
        taps: where it finds the taps.
        shape: of outputs.
        room: shape of what it works in, in bytes.
        parts: of all images.
        least: parts that are worth a thread of their own.
    """

    job: _Layer
    taps: NDArray[np.int64]
    shape: tuple[int, ...]
    room: tuple[int, int]
    parts: int
    least: int


class _Layout:
    """Programmed columns of one matrix with the worth of their codes, laid out for the C code.

    Args:
        array: the programmed cells.
        how: says how they are read.
        bias: what is added to each output; None for nothing.
        width: columns handled together, or `BYTES`.
    """

    def __init__(self, array: AnalogArray, how: Reading, bias: Floats | None, width: int):
        assert array.operator.geometry is not None
        assert how.adc is not None
        self.operator, self.geometry = array.operator, array.operator.geometry
        self.bytes, self.width = width == BYTES, min(width, _LANES)
        self.offset = 128 if how.signed and self.bytes else 0
        self.partitions, self.blocks, self.columns = array.factors.shape
        self.vectors = -(-self.columns // self.width)
        self._bound = _BOUNDS[0]
        self._work: dict[tuple[Any, ...], _Work] = {}
        self._lay_out(array.mapping.partitions)
        self.place(array.column_pieces)
        adc = how.adc.uniform(array.lines)
        worth = adc.worth(array.factors.numpy() * (array.output_scale.numpy() * how.full_scale))
        first = (0.0 if bias is None else bias) + np.einsum("pbc,b->c", worth, adc.lowest)
        self._adc = adc.single
        self._worth = np.ascontiguousarray(self._by_vector(worth).transpose(0, 2, 1, 3), np.float32)
        self._first = np.ascontiguousarray(self._by_vector(first), np.float32)

    def _by_vector(self, values: Floats) -> Floats:
        """(..., columns) -> (..., vectors, lanes), zeros where columns do not fill a vector."""
        spare = self.vectors * self.width - self.columns
        padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, spare)])
        return padded.reshape(*values.shape[:-1], self.vectors, self.width)

    def _lay_out(self, partitions: Sequence[slice]) -> None:
        """Find which channels each partition takes and where its weights go."""
        area = self.geometry.area
        self._rows, spans = partitions, [channels_of(rows, area) for rows in partitions]
        self._channel_first = np.array([span.start for span in spans], np.int64)
        self._channel_count = np.array([span.stop - span.start for span in spans], np.int64)
        units = self.vectors * self.blocks
        if self.bytes:
            self._channel_count += -self._channel_count % 4
            self._begin = np.zeros((self.partitions, units, _DIGITS, _LANES), np.int32)
        sizes = self._channel_count * (area * units * self.width * (_DIGITS if self.bytes else 1))
        self._weight_start = np.cumsum([0, *sizes[:-1]]).astype(np.int64)
        self._weight = _aligned(int(sizes.sum()), np.int8 if self.bytes else np.float32)

    def place(self, pieces: Callable[[], Pieces]) -> None:
        """Take weights.

        Args:
            pieces: gives partition, rows and weights (rows, blocks * columns) of a few rows at once; rows are ordered
                (channel, tap).
        """
        self._work.clear()
        if self.bytes:
            for bound in _BOUNDS:
                self._bound = max(self._bound, bound)
                if self._place_bytes(pieces()):
                    return
            self.bytes, self.offset = False, 0
            self._lay_out(self._rows)
        self._place_floats(pieces())

    def _place_bytes(self, pieces: Pieces) -> bool:
        """Lay weights out as bytes, unless there are some beyond the bound."""
        library = _library()
        assert library is not None
        self._begin.fill(0)
        units, area = self.vectors * self.blocks, self.geometry.area
        for partition, rows, matrix in pieces:
            dense = np.ascontiguousarray(matrix, np.float64)
            job = _Bytes(
                dense.ctypes.data, len(dense), rows.start, area,
                int(self._channel_first[partition]), int(self._channel_count[partition]),
                self.blocks, self.vectors, self.columns, self.offset, _LARGEST_INTEGER / self._bound,
                self._weight.ctypes.data + int(self._weight_start[partition]),
                self._begin.ctypes.data + partition * units * _DIGITS * _LANES * 4,
            )  # fmt: skip
            if library.pack_bytes(ctypes.byref(job)):
                return False
        return True

    def _place_floats(self, pieces: Pieces) -> None:
        """Lay weights out as (groups of units, taps, channels, units of the group, lanes) for each partition."""
        area, units, width = self.geometry.area, self.vectors * self.blocks, self.width
        for partition, rows, matrix in pieces:
            count = rows.stop - rows.start
            padded = np.zeros((count, self.blocks, self.vectors * width), np.float32)
            padded[:, :, : self.columns] = matrix.reshape(count, self.blocks, self.columns)
            # Units are ordered (vector, block).
            by_unit = (
                padded.reshape(count, self.blocks, self.vectors, width).swapaxes(1, 2).reshape(count, units, width)
            )
            channel, tap = np.divmod(np.arange(rows.start, rows.stop), area)
            channel -= self._channel_first[partition]
            start, channels = self._weight_start[partition], self._channel_count[partition]
            for first, last, size in _groups(units):
                groups, end = (last - first) // size, start + (last - first) * area * channels * width
                room = self._weight[start:end].reshape(groups, area, channels, size, width)
                room[:, tap, channel] = by_unit[:, first:last].reshape(count, groups, size, width).swapaxes(0, 1)
                start = end

    def read(
        self, x: Tensor, scale: tuple[float, float, float, float], floor: float, added: Tensor | None
    ) -> tuple[Tensor, int]:
        """Return outputs, and how many inputs were clipped.

        Args:
            x: real inputs, float32 on the CPU: (images, channels, height, width), or (..., rows).
            scale: integers per unit of x, the lowest and the highest of them, and what one draws through a full cell.
            floor: outputs below are raised to it.
            added: to outputs before that; of their shape. None for nothing.

        Returns:
            (images, out height, out width, columns) or (..., columns), and a count.
        """
        library = _library()
        assert library is not None
        image = as_images(self.operator, x)
        repeated = 0
        if isinstance(self.operator, ConvolutionOperator) and any(self.operator.edges):
            image = functional.pad(image, self.operator.edges, mode=self.operator.edge_mode)
            repeated = _outside(image, *scale[:3]) - _outside(x, *scale[:3])
        key = (image.shape, image.stride(), scale, thread_count())
        work = self._work.get(key)
        if work is None:
            if len(self._work) >= _MOST_SHAPES:
                self._work.clear()
            work = self._work[key] = self._prepare(image, *key[2:])
        result = from_images(self.operator, torch.empty(work.shape), x)
        inside = added is not None and alike(added, result)
        room = _room(math.prod(work.room))
        job = _Layer.from_buffer_copy(work.job)
        job.image.x, job.convolution.out, job.room = image.data_ptr(), result.data_ptr(), room.data_ptr()
        job.convolution.floor = floor if inside or added is None else -math.inf
        job.convolution.added = added.data_ptr() if inside and added is not None else None
        clipped = share(library.read_parts, job, work.parts, work.least, threads=key[-1])
        if job.infinite:
            raise NotFiniteError
        if added is not None and not inside:
            result = with_added(result, added, relu=floor == 0.0)
        return result, clipped - repeated

    def _prepare(self, image: Tensor, scale: tuple[float, float, float, float], threads: int) -> _Work:
        """Work out how images of a shape are read; arguments are those of `read`."""
        factor, lowest, highest, unit = scale
        images, channels, height, width = image.shape
        (py, px), (sy, sx) = self.geometry.padding, self.geometry.stride
        tall, wide = height + 2 * py, width + 2 * px
        out_y, out_x = self.geometry.out_size(height, width)
        taps = self.geometry.tap_offsets(wide) * channels
        line = wide * channels
        value = 1 if self.bytes else 4
        # Small images are read several at a time; few or large ones are cut into bands, which stay in the cache.
        bands = -(-tall * line // _CHUNK_VALUES)
        if images < 4 * threads:
            bands = max(bands, min(tall * line // _BAND_VALUES, -(-4 * threads // max(images, 1))))
        bands = max(1, min(out_y, bands))
        together = max(1, _CHUNK_VALUES // max(1, tall * line)) if bands == 1 else 1
        reach = (self.geometry.taps[0] - 1) * self.geometry.dilation[0] + 1
        rows = tall if bands == 1 else min(tall, -(-out_y // bands) * sy + reach + sy)
        # Four bytes are read from where the last one is.
        room = (threads, (together * rows * line * value + 127) // 64 * 64)
        weights = self._weight.ctypes.data
        integer = self._bound / _LARGEST_INTEGER if self.bytes else 1.0
        job = _Layer(
            _Image(
                None, *image.stride(), height, width, channels, py, px, tall, wide, factor, lowest, highest,
                self.offset,
            ),
            _Convolution(
                None, 0, wide, channels, out_y, out_x, sy, sx, taps.size, taps.ctypes.data,
                self.partitions, self._channel_first.ctypes.data, self._channel_count.ctypes.data,
                self._weight_start.ctypes.data, None if self.bytes else weights, self.blocks, self.vectors,
                self.columns, unit * integer,
                *self._adc.addresses, self._worth.ctypes.data, self._first.ctypes.data,
                None, 0.0, None, weights if self.bytes else None,
                self._begin.ctypes.data if self.bytes else None,
            ),
            reach, bands, together, None, room[1], BYTES if self.bytes else self.width, 0,
        )  # fmt: skip
        # Each position is computed alike wherever it falls, so the number of threads is no matter.
        products = -(-out_y * out_x * self.columns // bands) * channels * self.geometry.area * self.blocks
        least = -(-_LEAST_PRODUCTS // max(1, products))
        return _Work(job, taps, (images, out_y, out_x, self.columns), room, images * bands, least)


_own = threading.local()


def _room(size: int) -> Tensor:
    """Bytes to work in, the same for all layers that a thread of Python reads: what is new has to be cleared first."""
    room: Tensor | None = getattr(_own, "room", None)
    if room is None or room.numel() < size:
        room = _own.room = torch.empty(size, dtype=torch.uint8)
    return room


def _outside(x: Tensor, factor: float, lowest: float, highest: float) -> int:
    scaled = x * factor
    return int(((scaled < lowest) | (scaled > highest)).sum())


def _groups(units: int) -> list[tuple[int, int, int]]:
    """Units in the groups in which the kernel takes them, (first, last, size): fours, then two, then one."""
    fours, twos = units - units % 4, units - units % 2
    spans = [(0, fours, 4), (fours, twos, 2), (twos, units, 1)]
    return [span for span in spans if span[0] < span[1]]


def _aligned(size: int, kind: type[np.generic]) -> NDArray[Any]:
    """Zeros at an address that is a multiple of a cache line."""
    room = np.zeros(size + 64 // np.dtype(kind).itemsize, kind)
    offset = (-room.ctypes.data) % 64 // room.itemsize
    return room[offset : offset + size]
