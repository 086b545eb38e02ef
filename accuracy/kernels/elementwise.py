"""Elementwise work around an analog product in C, one pass over memory each: inputs to integers, currents to outputs.

Everything here has a plain torch form, which agrees but for rounding ties; `available` says whether C is there.
"""

from __future__ import annotations

import ctypes
import math
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy.errors import NotFiniteError
from accuracy.mapping.adc import UniformAdc
from circuits.native import load_library
from circuits.threads import share, thread_count

_SOURCE = Path(__file__).parent / "native" / "elementwise.c"
_POINTER, _LONG, _FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
LARGEST_CODE = 2**22
"""Codes are rounded by a float32 addition that is exact below this."""
_LEAST_VALUES, _LEAST_COUNTED = 1 << 14, 1 << 18
"""Values that are worth a thread of their own, and where each thread counts in a histogram of its own."""
_LINE = 16
"""float32 values of a cache line."""
Side = Literal["positive", "negative", "magnitude"]


class _Quantisation(ctypes.Structure):
    """`struct quantisation` of the C source."""

    _fields_ = [
        ("x", _POINTER),
        ("out", _POINTER),
        *[(name, _FLOAT) for name in ("factor", "lo", "hi")],
        ("infinite", ctypes.c_int32),
    ]


class _Counting(ctypes.Structure):
    """`struct counting` of the C source."""

    _fields_ = [
        ("v", _POINTER),
        ("factor", _FLOAT),
        ("absolute", ctypes.c_int32),
        ("scale", _FLOAT),
        ("bins", _LONG),
        ("counts", _POINTER),
        ("largest", _POINTER),
    ]


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
    return load_library(_SOURCE)


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

    Raises:
        NotFiniteError: an input that is not finite.
    """
    library = _library()
    assert library is not None
    job = _Quantisation(x.data_ptr(), out.data_ptr(), factor, lowest, highest, 0)
    clipped = share(library.quantise, job, x.numel(), least=_LEAST_VALUES, step=_LINE)
    if job.infinite:
        raise NotFiniteError
    return clipped


def count_values(
    values: Tensor, counts: NDArray[np.int64], largest: NDArray[np.float64], reach: float, side: Side
) -> int:
    """Add float32 values to a histogram from 0; return how many count as 0.

    Args:
        values: dense, on the CPU.
        counts: values in each bin.
        largest: largest value of each bin.
        reach: upper edge of the last bin; no value counts for more.
        side: what counts: values above 0, minus the values below 0, or magnitudes.
    """
    library = _library()
    assert library is not None
    bins = counts.size
    threads = thread_count() if values.numel() > _LEAST_COUNTED else 1
    own_counts, own_largest = np.zeros((threads, bins), np.int64), np.zeros((threads, bins), np.float32)
    job = _Counting(
        values.data_ptr(), -1.0 if side == "negative" else 1.0, side == "magnitude", bins / reach, bins,
        own_counts.ctypes.data, own_largest.ctypes.data,
    )  # fmt: skip
    zeros = share(library.count_values, job, values.numel(), least=_LEAST_COUNTED, threads=threads)
    counts += own_counts.sum(axis=0)
    np.maximum(largest, own_largest.max(axis=0), out=largest)
    return zeros


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
    share(kernel, arguments, out.numel() // columns, least=_LEAST_VALUES // max(1, blocks * columns) + 1)
