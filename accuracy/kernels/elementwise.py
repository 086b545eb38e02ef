"""Elementwise work around an analog product in C, one pass over memory each: inputs to integers, currents to outputs.

Everything here has a plain torch form, which agrees but for rounding ties; `available` says whether C is there.
"""

from __future__ import annotations

import ctypes
import math
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy.mapping.adc import UniformAdc
from circuits.native import DEFAULT_FLAGS, load_library

_SOURCE = Path(__file__).parent / "native" / "elementwise.c"
_POINTER, _LONG, _FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
LARGEST_CODE = 2**22
"""Codes are rounded by a float32 addition that is exact below this."""


class _Digitisation(ctypes.Structure):
    """`struct digitisation` of the C source."""

    _fields_ = [
        ("v", _POINTER),
        ("blocks", _LONG),
        ("columns", _LONG),
        ("unit", _FLOAT),
        *[(name, _POINTER) for name in ("lo", "hi", "codes_per_unit", "worth", "first", "out")],
        ("floor", _FLOAT),
    ]


@cache
def _library() -> ctypes.CDLL | None:
    # Without contraction a code is rounded the same way on every processor.
    library = load_library(_SOURCE, (*DEFAULT_FLAGS, "-ffp-contract=off"))
    if library is not None:
        library.quantise.argtypes = [_POINTER, _POINTER, _LONG, _FLOAT, _FLOAT, _FLOAT]
        library.quantise.restype = _LONG
        for digitise in (library.digitise_single, library.digitise_double):
            digitise.argtypes = [ctypes.POINTER(_Digitisation), _LONG, _LONG]
            digitise.restype = None
        library.count_values.argtypes = [_POINTER, _LONG, _FLOAT, _LONG, _POINTER, _POINTER]
        library.count_values.restype = _LONG
    return library


def available() -> bool:
    """Whether the C kernels are there: compiled with the package, or by a compiler of this machine."""
    return _library() is not None


def quantise(x: Tensor, factor: float, lowest: float, highest: float, out: Tensor) -> int:
    """Write ``rint(clip(x * factor, lowest, highest))`` to `out`; return how many values were clipped.

    Args:
        x: float32 on the CPU, dense.
        factor: integers per unit of x.
        lowest: least integer.
        highest: largest integer, below 2^22.
        out: float32 of the same layout in memory.
    """
    library = _library()
    assert library is not None
    return int(library.quantise(x.data_ptr(), out.data_ptr(), x.numel(), factor, lowest, highest))


def count_values(values: Tensor, counts: NDArray[np.int64], largest: NDArray[np.float64], reach: float) -> int:
    """Add float32 values, none negative or beyond `reach`, to a histogram from 0; return how many are exactly 0.

    Args:
        values: dense, on the CPU.
        counts: values in each bin.
        largest: largest value of each bin.
        reach: upper edge of the last bin.
    """
    library = _library()
    assert library is not None
    bins = counts.size
    pointers = counts.ctypes.data, largest.ctypes.data
    return int(library.count_values(values.data_ptr(), values.numel(), bins / reach, bins, *pointers))


def digitise(
    v: Tensor,
    unit: float,
    adc: UniformAdc,
    worth: NDArray[np.floating],
    first: NDArray[np.floating] | None,
    out: Tensor,
    floor: float = -math.inf,
) -> None:
    """Add to outputs what the codes of currents are worth.

    Args:
        v: float32 currents in units of `unit`, dense, (positions, blocks, columns) in memory.
        unit: current of one unit of v.
        adc: ADC of each block.
        worth: what one code adds to each output; shape (blocks, columns), dense, of the type of `out`.
        first: what each output starts from, shape (columns,); None to add to `out`.
        out: dense, (positions, columns) in memory, float32 or float64.
        floor: outputs below it are raised to it.
    """
    library = _library()
    assert library is not None
    blocks, columns = worth.shape
    start = None if first is None else np.ascontiguousarray(first, dtype=worth.dtype)
    arguments = _Digitisation(
        v.data_ptr(), blocks, columns, unit, *adc.single.addresses, worth.ctypes.data,
        None if start is None else start.ctypes.data, out.data_ptr(), floor,
    )  # fmt: skip
    kernel = library.digitise_double if out.dtype == torch.float64 else library.digitise_single
    kernel(ctypes.byref(arguments), 0, out.numel() // columns)
