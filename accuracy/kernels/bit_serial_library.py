"""The C kernels behind `bit_serial`: their structures and how they are loaded."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

from circuits.native import load_library

BITS = 8
"""Input bits of a word."""
_SOURCE = Path(__file__).parent / "native" / "bit_serial.c"
_POINTER = ctypes.c_void_p
_LONG = ctypes.c_int64


class Packing(ctypes.Structure):
    """`struct packing` of the C source."""

    _fields_ = [
        ("x", _POINTER),
        *[(f"stride_{axis}", _LONG) for axis in ("image", "channel", "y", "x")],
        *[(n, _LONG) for n in ("images", "height", "width", "top", "left", "padded_height", "padded_width", "octets")],
        *[(name, _POINTER) for name in ("channel", "phase", "planes", "sums")],
    ]


class Lookup(ctypes.Structure):
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
        ("bit_weight", ctypes.c_double * BITS),
        *[(name, _POINTER) for name in ("out", "wide", "counts", "tops", "zeros", "largest", "reach", "floor")],
        *[(name, _LONG) for name in ("bins", "absolute")],
        *[(name, _POINTER) for name in ("bias", "added")],
        ("least", ctypes.c_double),
        *[(name, _LONG) for name in ("positive", "most")],
    ]


@cache
def kernels() -> ctypes.CDLL | None:
    """Return the compiled kernels, None where they could not be compiled."""
    return load_library(_SOURCE)


def available() -> bool:
    """Whether the C kernel is there: compiled with the package, or by a compiler of this machine."""
    return kernels() is not None
