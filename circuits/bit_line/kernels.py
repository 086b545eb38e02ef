"""Kernels of the exact ladder solution: arrays in, arrays out, no checks.

The C kernel (``bit_line.c``) keeps its sums in vector registers; where no compiler was there to build it, numba runs
the same recurrence in float64.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from circuits import native
from circuits.threads import share

RENORMALISE_AFTER = 16
"""Selected cells after which (i, u) is scaled back to u = 1, so that long dense lines cannot overflow.

Between two selected cells m rows apart u grows by at most 1 + m (1 + R_p_hat g_max): 16 such steps stay far inside
float64 for any line that can be stored.
"""

ROWS_IN_SINGLE = 1152
"""Longest line that is solved in float32; sums of more equal conductances round too far (1e-5) in the worst case."""

_SOURCE = Path(__file__).with_name("bit_line.c")


_LEAST_PRODUCTS, _LEAST_PACKED = 1 << 17, 1 << 18
"""Products, and bytes to copy, that are worth a thread of their own."""


class _Lines(ctypes.Structure):
    """``struct lines`` of the C source."""

    _fields_ = (
        ("g", ctypes.c_void_p),
        ("rows", ctypes.c_int64),
        ("columns", ctypes.c_int64),
        ("digits", ctypes.c_void_p),
        ("batch", ctypes.c_int64),
        ("phases", ctypes.c_int64),
        ("weights", ctypes.c_void_p),
        ("wire", ctypes.c_double),
        ("ground", ctypes.c_double),
        ("most_sum", ctypes.c_double),
        ("most_cell", ctypes.c_double),
        ("result", ctypes.c_void_p),
        ("packed", ctypes.c_void_p),
        ("most", ctypes.c_int64),
        ("row_block", ctypes.c_int64),
        ("blocks", ctypes.c_int64),
        ("stretch", ctypes.c_int64),
        ("growth", ctypes.c_double),
    )


def compiled_instruction_set(most: int = 3) -> str | None:
    """Return the vector instructions that the compiled kernel takes here, or None where it is not compiled.

    Args:
        most: 3 allows AVX-512 with VBMI2, 2 AVX-512 without, 1 AVX2 at most, 0 neither.
    """
    library = native.load_library(_SOURCE)
    if library is None:
        return None
    return {2: "AVX-512", 1: "AVX2", 0: "baseline"}[library.instruction_set(most)]


def ladder(
    conductance: NDArray[Any],
    active: NDArray[np.bool_],
    r_p_hat: float,
    r_in_hat: float = 0.0,
    largest: float | None = None,
) -> NDArray[Any]:
    """Solve resistor ladders exactly.

    Args:
        conductance: shape (rows, columns), contiguous float32 or float64.
        active: shape (batch, rows), contiguous bool.
        r_p_hat: normalised wire resistance.
        r_in_hat: normalised resistance of the virtual ground, in series with the last wire.
        largest: conductance; None to look for it.

    Returns:
        Currents, shape (batch, columns), dtype of `conductance`.
    """
    if r_p_hat == 0.0 and r_in_hat == 0.0:
        product: NDArray[Any] = active.astype(conductance.dtype) @ conductance
        return product
    if conductance.dtype == np.float32 and conductance.shape[0] > ROWS_IN_SINGLE:
        return ladder(conductance.astype(np.float64), active, r_p_hat, r_in_hat, largest).astype(np.float32)
    result = ladder_compiled(conductance, active, r_p_hat, r_in_hat=r_in_hat, largest=largest)
    return ladder_numba(conductance, active, r_p_hat, r_in_hat) if result is None else result


def bit_serial_ladder(
    conductance: NDArray[Any],
    digits: NDArray[np.uint8],
    r_p_hat: float,
    bits: int,
    weights: NDArray[np.float64] | None,
    r_in_hat: float = 0.0,
    largest: float | None = None,
) -> NDArray[Any]:
    """Solve resistor ladders for every bit of the inputs.

    Args:
        conductance: as for `ladder`.
        digits: shape (batch, rows), contiguous, below 2^bits.
        r_p_hat: as for `ladder`.
        bits: how many bits a digit has.
        weights: weights of the bits in their sum, shape (bits,), or None.
        r_in_hat: as for `ladder`.
        largest: as for `ladder`.

    Returns:
        Currents in the dtype of `conductance`: (batch, columns) with `weights`, else (bits, batch, columns).
    """
    short = conductance.dtype == np.float64 or conductance.shape[0] <= ROWS_IN_SINGLE
    if (r_p_hat > 0 or r_in_hat > 0) and short:
        result = ladder_compiled(
            conductance, digits, r_p_hat, bits=bits, weights=weights, r_in_hat=r_in_hat, largest=largest
        )
        if result is not None:
            return result if weights is not None else result.reshape(bits, digits.shape[0], conductance.shape[1])
    phases = [ladder(conductance, (digits >> bit) % 2 == 1, r_p_hat, r_in_hat, largest) for bit in range(bits)]
    return np.stack(phases) if weights is None else weighted_sum(phases, weights)


def weighted_sum(phases: list[NDArray[Any]], weights: NDArray[np.float64]) -> NDArray[Any]:
    """Return the sum of equally shaped currents, each times its weight, in their dtype."""
    total: NDArray[Any] = phases[0] * phases[0].dtype.type(weights[0])
    for phase, weight in zip(phases[1:], weights[1:], strict=True):
        total += phase * phase.dtype.type(weight)
    return total


def ladder_compiled(
    conductance: NDArray[Any],
    digits: NDArray[Any],
    r_p_hat: float,
    most: int = 3,
    *,
    bits: int = 1,
    weights: NDArray[np.float64] | None = None,
    r_in_hat: float = 0.0,
    largest: float | None = None,
) -> NDArray[Any] | None:
    """Solve with the C kernel in the precision of `conductance`; None where it is absent or refuses.

    Args:
        conductance: as for `ladder`.
        digits: shape (batch, rows), contiguous bool or uint8; each of its lowest `bits` bits is an input pattern.
        r_p_hat: as for `ladder`; it or `r_in_hat` above 0.
        most: as for `compiled_instruction_set`.
        bits: input patterns in a digit, 1 to 8.
        weights: what the current of each bit counts in their sum, shape (bits,); None for the currents themselves.
        r_in_hat: as for `ladder`.
        largest: as for `ladder`.

    Returns:
        Currents in the dtype of `conductance`: (batch, columns) with `weights` or a single bit, else
        (bits, batch, columns).
    """
    library = native.load_library(_SOURCE)
    rows, columns = conductance.shape
    if library is None or columns == 0:
        return None
    kind = "float" if conductance.dtype == np.float32 else "double"
    together = weights is not None or bits == 1
    shape = (digits.shape[0], columns) if together else (bits, digits.shape[0], columns)
    result = np.empty(shape, dtype=conductance.dtype)
    worth = None if weights is None else np.ascontiguousarray(weights, dtype=np.float64)
    # Upper bounds, so a little more than the rounded sums; where wires hardly matter a rough one does.
    most_cell = float(conductance.max()) if largest is None else largest
    most_sum = rows * most_cell
    if r_p_hat * most_sum > 0.1:
        most_sum = 1.001 * float(conductance.sum(axis=0).max())
    job = _Lines(
        conductance.ctypes.data, rows, columns, digits.ctypes.data, digits.shape[0], bits,
        None if worth is None else worth.ctypes.data, r_p_hat, r_in_hat, most_sum, most_cell, result.ctypes.data, None,
        most,
    )  # fmt: skip
    return result if solve_packed(library, f"_{kind}", job, digits.shape[0], bits * conductance.size) else None


def solve_packed(library: ctypes.CDLL, kind: str, job: Any, batch: int, products: int) -> bool:
    """Plan, pack and solve, on all threads; return whether the kernel could.

    Args:
        library: has ``plan``, ``pack`` and ``solve``.
        kind: what their names end with.
        job: what they take; its `packed` is filled in here.
        batch: rows of inputs.
        products: multiplications a row takes.
    """
    plan = getattr(library, f"plan{kind}")
    plan.argtypes, plan.restype = (ctypes.c_void_p,), ctypes.c_int64
    size = plan(ctypes.byref(job))
    if size == 0:
        return False
    room = np.empty(size + 64, np.uint8)
    job.packed = room.ctypes.data + -room.ctypes.data % 64
    share(getattr(library, f"pack{kind}"), job, job.blocks, least=_LEAST_PACKED // (1 + size // job.blocks) + 1)
    least = _LEAST_PRODUCTS // (1 + products) + 1
    return share(getattr(library, f"solve{kind}"), job, batch, least=least) == 0


def ladder_numba(
    conductance: NDArray[Any], active: NDArray[np.bool_], r_p_hat: float, r_in_hat: float = 0.0
) -> NDArray[Any]:
    """Solve in float64 without a compiler.

    Args:
        conductance: as for `ladder`.
        active: as for `ladder`.
        r_p_hat: as for `ladder`.
        r_in_hat: as for `ladder`.
    """
    result = np.empty((active.shape[0], conductance.shape[1]), dtype=conductance.dtype)
    _ladder_double(conductance.astype(np.float64, copy=False), active, r_p_hat, r_in_hat, result)
    return result


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _ladder_double(
    conductance: NDArray[np.float64],
    active: NDArray[np.bool_],
    r_p_hat: float,
    r_in_hat: float,
    result: NDArray[Any],
) -> None:
    """Run down the line once a pattern, all columns together; rows that are off collapse into one longer wire."""
    rows, columns = conductance.shape
    current = np.empty(columns)
    growth = np.empty(columns)  # u - 1
    for pattern in range(active.shape[0]):
        current[:] = 0.0
        growth[:] = 0.0
        wires = 0
        solved = 0
        for row in range(rows):
            if active[pattern, row]:
                resistance = wires * r_p_hat
                for column in range(columns):
                    growth[column] += resistance * current[column]
                    current[column] += conductance[row, column] * (1.0 + growth[column])
                wires = 0
                solved += 1
                if solved == RENORMALISE_AFTER:
                    for column in range(columns):
                        current[column] /= 1.0 + growth[column]
                        growth[column] = 0.0
                    solved = 0
            wires += 1
        resistance = wires * r_p_hat + r_in_hat
        for column in range(columns):
            result[pattern, column] = current[column] / (1.0 + growth[column] + resistance * current[column])
