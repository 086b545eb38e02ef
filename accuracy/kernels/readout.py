"""From a layer's inputs to its outputs: the first kernel of `KERNELS` that suits an array reads it.

All kernels agree but for rounding ties. A further one, that knows more of a machine or of a kind of layer, is added by
``KERNELS.insert(0, kernel)``; see `ReadingKernel` for what it has to answer.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from accuracy.arrays.analog_array import AnalogArray
from accuracy.kernels.bit_serial import BitSerial
from accuracy.kernels.convolution import Convolution
from accuracy.kernels.fused import Fused
from accuracy.kernels.plain_torch import PlainTorch
from accuracy.kernels.protocol import Reading, ReadingKernel
from accuracy.kernels.steps import with_added

KERNELS: list[ReadingKernel] = [BitSerial(), Convolution(), Fused(), Fused(resistive=True), PlainTorch()]
"""Fastest first; the last suits everything."""


def kernel_for(array: AnalogArray, how: Reading) -> ReadingKernel:
    """Return the kernel that reads an array in this way."""
    return next(kernel for kernel in KERNELS if kernel.suits(array, how))


def read(array: AnalogArray, x: Tensor, how: Reading, *, again: bool = False) -> Tensor:
    """Return a layer's outputs for real inputs, shape (..., columns), in the floating type of the array.

    Args:
        array: programmed cells.
        x: inputs, in the layout of the array's operator; the first axis counts images.
        how: scales, ADC ranges, biases.
        again: whether these are the images of the last call, which was refused.

    Raises:
        NotFiniteError: an input that is not finite; nothing is counted then.
    """
    if not again:
        array.noise.begin(x.shape[0])
    kernel = kernel_for(array, how)
    if how.added is None or getattr(kernel, "adds", False):
        return kernel.read(array, x, how)
    return with_added(kernel.read(array, x, replace(how, added=None, relu=False)), how.added, relu=how.relu)
