"""Peripherals and ideal conversion of column currents in C, one pass over memory; see `physics.through_peripherals`.

The plain form makes an array for every step of the law; most of the time of a network with peripherals went there.
Both draw the same noise, and agree but for rounding ties of the ADC.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy.arrays.noise import NoiseSource
from accuracy.mapping.adc import UniformAdc
from circuits.native import load_library
from circuits.peripherals.apply import column_errors, noise_variances, scale_of
from circuits.peripherals.model import PeripheralModel
from circuits.threads import share

_SOURCE = Path(__file__).parent / "native" / "periphery.c"
_POINTER, _LONG, _DOUBLE = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
_LEAST_VALUES = 1 << 12
"""Values that are worth a thread of their own."""
Floats = NDArray[np.float64]


class _Stage(ctypes.Structure):
    """`struct stage` of the C source."""

    _fields_ = [
        *[(name, _DOUBLE) for name in ("lo", "span", "zero", "model_zero", "scale", "lsb", "clip_low", "clip_high")],
        *[(name, _DOUBLE) for name in ("common_gain", "common_offset", "constant", "shot")],
        *[(name, _POINTER) for name in ("gain", "offset", "common_column", "inl")],
        ("points", _LONG),
        ("normals", _POINTER),
        ("follows", _LONG),
        *[(name, _DOUBLE) for name in ("low", "high", "q")],
    ]


class _Periphery(ctypes.Structure):
    """`struct periphery` of the C source."""

    _fields_ = [
        ("v", _POINTER),
        ("blocks", _LONG),
        ("columns", _LONG),
        ("stages", _POINTER),
        ("common", _POINTER),
        ("slices", _LONG),
        ("convert", ctypes.c_int32),
    ]


@cache
def _library() -> ctypes.CDLL | None:
    return load_library(_SOURCE)


def available(v: Tensor) -> bool:
    """Whether the C kernel takes these currents: on the CPU, in single or double precision, where there is C."""
    return v.device.type == "cpu" and v.dtype in (torch.float32, torch.float64) and _library() is not None


def converted(
    v: Tensor,
    adc: UniformAdc,
    models: Sequence[PeripheralModel],
    deviates: Floats,
    noise: NoiseSource,
    common: Tensor | None = None,
    *,
    convert: bool = True,
) -> Tensor:
    """Return what the ADC makes of currents behind their peripherals.

    Args:
        v: currents, shape (images, ..., blocks, columns), see `available`.
        adc: the ADC of each block.
        models: the peripherals of each weight slice.
        deviates: standard normals behind the errors of the blocks * columns columns, shape (blocks * columns, 3).
        noise: source of the noise.
        common: mean current of each column's lines over its mean in the calibration data, shape (images, ..., slices,
            columns); None where no model follows it.
        convert: whether the ideal ADC reads them; otherwise the currents that an ADC sees are returned.
    """
    library = _library()
    assert library is not None
    out = v.contiguous()
    out = out.clone() if out.data_ptr() == v.data_ptr() else out
    blocks, columns = out.shape[-2:]
    lines = blocks // len(models)
    # What the structures point at must live as long as they do.
    held: list[NDArray[np.floating]] = []

    def keep(values: Floats) -> int:
        own = np.ascontiguousarray(values, dtype=np.float64)
        held.append(own)
        return own.ctypes.data

    stages = (_Stage * blocks)()
    for block in range(blocks):
        model = models[block // lines]
        errors = column_errors(model, deviates[block * columns : (block + 1) * columns])
        zero = float(adc.positions(np.zeros(()), block))
        constant, shot = noise_variances(model)
        normals = None
        if constant or shot:
            drawn = noise.normals((*out.shape[:-2], columns), torch.empty(0)).numpy()
            held.append(drawn)
            normals = drawn.ctypes.data
        lo, hi = float(adc.lo[block]), float(adc.hi[block])
        own = errors.common_offset_lsb
        follows = common is not None and model.follows_common_current
        stages[block] = _Stage(
            lo=lo, span=hi - lo, zero=zero, model_zero=model.zero, scale=scale_of(model, zero), lsb=model.lsb,
            clip_low=model.clip_low, clip_high=model.clip_high,
            common_gain=model.common_gain, common_offset=model.common_offset_lsb, follows=follows,
            constant=constant, shot=shot,
            gain=keep(errors.gain - 1), offset=keep(errors.offset_lsb),
            common_column=None if own is None else keep(own),
            inl=keep(model.inl), points=len(model.inl_lsb), normals=normals,
            low=lo, high=hi, q=float(adc.codes_per_unit[block]),
        )  # fmt: skip
    lines_of = None if common is None else keep(common.to(torch.float64).contiguous().numpy())
    job = _Periphery(out.data_ptr(), blocks, columns, ctypes.addressof(stages), lines_of, len(models), convert)
    kernel = library.periphery_double if out.dtype == torch.float64 else library.periphery_single
    if out.numel():
        share(kernel, job, out.numel() // (blocks * columns), least=_LEAST_VALUES // (blocks * columns) + 1)
    return out
