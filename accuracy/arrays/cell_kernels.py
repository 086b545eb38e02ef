"""Programmed cells in C: standard normals of a numpy generator, the same bits and the same state, and what they make.

numpy draws them one by one, and its processor foretells every other sign wrongly; C takes a third of the time. The
tables of numpy's ziggurat are found by asking: a generator whose state is set so that its next number names a layer
answers with that layer's width. What C makes of them is compared with numpy's numbers before it is used.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.native import load_library

_SOURCE = Path(__file__).parent / "native" / "cells.c"
_LAYERS, _SCALE = 256, 2.0**52
_FACTOR, _STATES = 0x2360ED051FC65DA44385DF649FCCF645, 1 << 128
"""PCG64's state x becomes x * factor + step, modulo the number of states."""
_HALF = (1 << 64) - 1
_COMPARED = 1 << 15
"""Numbers that are compared with numpy's once: some of the tail, and hundreds beside the layers."""
_FEW = 64
"""Numbers that numpy draws sooner than they are asked of C."""

Floats = NDArray[np.float64]


class _Normals(ctypes.Structure):
    """`struct normals` of the C source."""

    _fields_ = [
        ("state", ctypes.c_uint64 * 2),
        ("step", ctypes.c_uint64 * 2),
        *[(name, ctypes.c_void_p) for name in ("width", "inside", "height")],
        ("edge", ctypes.c_double),
        ("count", ctypes.c_int64),
        ("out", ctypes.c_void_p),
    ]


class _Programming(ctypes.Structure):
    """`struct programming` of the C source."""

    _fields_ = [*[(name, ctypes.c_void_p) for name in ("digits", "mean", "sigma", "cells")], ("count", ctypes.c_int64)]


def standard_normal(generator: np.random.Generator, out: Floats) -> Floats:
    """Fill an array as ``generator.standard_normal(out=out)`` does.

    Args:
        generator: moved on.
        out: dense.
    """
    if out.size < _FEW or type(generator.bit_generator) is not np.random.PCG64 or not _agrees():
        generator.standard_normal(out=out)
    else:
        _fill(generator, out)
    return out


def _fill(generator: np.random.Generator, out: Floats) -> None:
    library, tables = _library(), _tables()
    assert library is not None
    source = generator.bit_generator
    with source.lock:
        state: Any = source.state
        own = state["state"]
        job = _Normals(
            (own["state"] & _HALF, own["state"] >> 64), (own["inc"] & _HALF, own["inc"] >> 64),
            *(table.ctypes.data for table in tables), float(tables[0][-1] * _SCALE), out.size, out.ctypes.data,
        )  # fmt: skip
        library.standard_normals(ctypes.byref(job))
        own["state"] = job.state[0] | job.state[1] << 64
        source.state = state


def program(digits: NDArray[np.unsignedinteger], mean: Floats, sigma: Floats, deviates: Floats) -> bool:
    """Turn standard normals into ``max(deviates * sigma[digits] + mean[digits], 0)`` in place, where C can.

    Args:
        digits: what each cell holds, dense.
        mean: of each digit.
        sigma: of each digit.
        deviates: one a cell, dense.

    Returns:
        Whether it is done.
    """
    library = _library()
    if library is None or digits.dtype != np.uint8:
        return False
    job = _Programming(*(a.ctypes.data for a in (digits, mean, sigma, deviates)), deviates.size)
    library.program_cells(ctypes.byref(job))
    return True


@cache
def _library() -> ctypes.CDLL | None:
    library = load_library(_SOURCE)
    if library is None:
        return None
    library.standard_normals.restype = ctypes.c_int64
    # Without integers of 128 bits there is no kernel.
    return library if library.standard_normals(ctypes.byref(_Normals())) == 0 else None


@cache
def _tables() -> tuple[Floats, NDArray[np.uint64], Floats]:
    """Width of each layer in units of 2^-52, magnitudes that lie in it for certain, and the curve at its edge.

    Layer 0 is the one with the tail; the last is the widest of the others.
    """
    source = np.random.PCG64(0)
    state: Any = source.state
    generator = np.random.Generator(source)
    step, back = state["state"]["inc"], pow(_FACTOR, -1, _STATES)
    magnitude = 1 << 40
    widths = np.empty(_LAYERS)
    for layer in range(_LAYERS):
        # The number is the state itself where that fills the low half alone.
        state["state"]["state"] = ((magnitude << 9 | layer) - step) * back % _STATES
        source.state = state
        widths[layer] = generator.standard_normal() / magnitude
    edges = widths * _SCALE
    inside = np.zeros(_LAYERS, np.uint64)
    inside[2:] = np.rint(edges[1:-1] / edges[2:] * _SCALE)
    inside[0] = np.rint(edges[-1] / edges[0] * _SCALE)
    heights = np.exp(-0.5 * edges * edges)
    heights[0] = 1.0
    return widths, inside, heights


@cache
def _agrees() -> bool:
    """Whether C gives numpy's numbers, on this machine, with this numpy."""
    if _library() is None:
        return False
    numpys, ours = np.random.default_rng(0), np.random.default_rng(0)
    result = np.empty(_COMPARED)
    _fill(ours, result)
    same = np.array_equal(numpys.standard_normal(_COMPARED), result)
    return bool(same and numpys.bit_generator.state == ours.bit_generator.state)
