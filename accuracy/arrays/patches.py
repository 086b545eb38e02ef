"""Inputs of a two-dimensional convolution at every output position: what rows of an array see."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accuracy.mapping.operators import Geometry, channels_of
from circuits.native import load_library
from circuits.threads import share

_SOURCE = Path(__file__).parent / "native" / "patches.c"
_LEAST_BYTES = 1 << 16
"""Bytes that are worth a thread of their own."""


class _Convolution(ctypes.Structure):
    """``struct convolution`` of the C source."""

    _fields_ = (
        ("x", ctypes.c_void_p),
        ("channels", ctypes.c_int64),
        ("height", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("kernel", ctypes.c_int64 * 2),
        ("stride", ctypes.c_int64 * 2),
        ("dilation", ctypes.c_int64 * 2),
        ("size", ctypes.c_int64 * 2),
        ("first", ctypes.c_int64),
        ("count", ctypes.c_int64),
        ("out", ctypes.c_void_p),
    )


def windows(geometry: Geometry, x: NDArray[np.integer], rows: slice) -> NDArray[np.integer]:
    """Return the integers that some rows of an ungrouped two-dimensional convolution see.

    Args:
        geometry: of the convolution.
        x: images of shape (images, channels, height, width).
        rows: rows of the array, in order (channel, kernel row, kernel column).

    Returns:
        Shape (images, height, width, rows) of the output positions.
    """
    area, (ky, kx), size = geometry.area, geometry.taps, geometry.out_size(*x.shape[2:])
    own = channels_of(rows, area)
    (py, px), (sy, sx), (dy, dx) = geometry.padding, geometry.stride, geometry.dilation
    padded = np.ascontiguousarray(np.pad(x[:, own], ((0, 0), (0, 0), (py, py), (px, px))))
    images, channels = padded.shape[:2]
    start, count = rows.start - own.start * area, rows.stop - rows.start
    library = load_library(_SOURCE)
    if library is not None and padded.dtype.itemsize == 1:
        result = np.empty((images, *size, count), dtype=padded.dtype)
        pairs = ((ctypes.c_int64 * 2)(*pair) for pair in ((ky, kx), (sy, sx), (dy, dx), size))
        job = _Convolution(padded.ctypes.data, *padded.shape[1:], *pairs, start, count, result.ctypes.data)
        if share(library.unroll, job, images * size[0], least=_LEAST_BYTES // max(1, size[1] * count) + 1) == 0:
            return result
    n, c, h, w = padded.strides
    view = np.lib.stride_tricks.as_strided(
        padded,
        (images, *size, channels, ky, kx),
        (n, h * sy, w * sx, c, h * dy, w * dx),
        writeable=False,
    )
    return view.reshape(images, *size, -1)[..., start : start + count]
