"""Elementwise work around an analog product in one pass over memory each, in C where it could be compiled.

Everything here has a plain torch form in `inputs` and `arrays`; the two agree but for rounding ties. `available` says
whether the kernels are there.
"""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy.mapping.adc import AdcRanges
from circuits.native import DEFAULT_FLAGS, load_library

_SOURCE = Path(__file__).parent / "native" / "conversion.c"
_POINTER, _LONG, _FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
LARGEST_CODE = 2**22
"""Codes are rounded by a float32 addition that is exact below this."""


class _Conversion(ctypes.Structure):
    """`struct conversion` of the C source."""

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
        for convert in (library.convert_single, library.convert_double):
            convert.argtypes = [ctypes.POINTER(_Conversion), _LONG, _LONG]
            convert.restype = None
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


@dataclass(frozen=True, eq=False)
class ConversionTables:
    """ADC range of each converted column of a partition, and what each code adds to the outputs.

    Attributes:
        lo: lower edge of each block's range; shape (blocks,).
        hi: upper edge.
        codes_per_unit: codes per unit of current.
        worth: what one code adds to each output; shape (blocks, columns), float32 or float64.
    """

    lo: NDArray[np.float32]
    hi: NDArray[np.float32]
    codes_per_unit: NDArray[np.float32]
    worth: NDArray[np.float32] | NDArray[np.float64]

    @staticmethod
    def of(adc: AdcRanges, lines: int, factors: NDArray[np.float64], wide: bool) -> ConversionTables:
        """Lay out ADCs, one a slice, for blocks (slice, line) with factors (blocks, columns) a unit current."""
        lo, hi, q = (
            np.repeat(np.asarray(values, np.float64), lines)
            for values in (
                [r[0] for r in adc.ranges],
                [r[1] for r in adc.ranges],
                adc.codes_per_unit,
            )
        )
        worth = np.ascontiguousarray(factors / q[:, None])
        edges = lo.astype(np.float32), hi.astype(np.float32), q.astype(np.float32)
        return ConversionTables(*edges, worth if wide else worth.astype(np.float32))

    def lowest(self) -> NDArray[np.float64]:
        """Return what readings at the lower edges add to each output; shape (columns,)."""
        return np.asarray((self.lo.astype(np.float64) * self.codes_per_unit.astype(np.float64)) @ self.worth)


def convert(
    v: Tensor,
    unit: float,
    tables: ConversionTables,
    first: NDArray[np.floating] | None,
    out: Tensor,
    floor: float = -math.inf,
) -> None:
    """Convert currents and add their codes' worth to outputs.

    Args:
        v: float32 currents in units of `unit`, dense, (positions, blocks, columns) in memory.
        unit: current of one unit of v.
        tables: ranges and worths.
        first: what each output starts from, of the type of `out`, shape (columns,); None to add to `out`.
        out: dense, (positions, columns) in memory, float32 or float64 as `tables.worth`.
        floor: outputs below it are raised to it.
    """
    library = _library()
    assert library is not None
    blocks, columns = tables.worth.shape
    start = None if first is None else np.ascontiguousarray(first, dtype=tables.worth.dtype)
    arguments = _Conversion(
        v.data_ptr(),
        blocks,
        columns,
        unit,
        tables.lo.ctypes.data,
        tables.hi.ctypes.data,
        tables.codes_per_unit.ctypes.data,
        tables.worth.ctypes.data,
        None if start is None else start.ctypes.data,
        out.data_ptr(),
        floor,
    )
    kernel = library.convert_double if out.dtype == torch.float64 else library.convert_single
    kernel(ctypes.byref(arguments), 0, out.numel() // columns)
