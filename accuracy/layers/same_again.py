"""A layer that is called again as it was before: what was looked up and checked then need not be again.

Between the kernels of two layers there is only Python, which runs on one thread and finds its own data gone from the
processor's cache; half a millisecond of it a layer adds up. Whatever can change between two calls is compared here.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn

from accuracy.arrays.analog_array import AnalogArray
from accuracy.errors import NotFiniteError
from accuracy.kernels import readout
from accuracy.kernels.convolution import Convolution
from accuracy.kernels.protocol import Reading
from accuracy.kernels.steps import input_scale
from accuracy.layers.layer_state import Calibration, Mode
from accuracy.layers.weights_seen import marks_of
from accuracy.mapping.adc import AdcRanges

_PLAIN = (nn.Conv2d, nn.Linear)
"""Layers of which nothing but their parameters says what they compute."""


class Layer(Protocol):
    """What is asked of an `AnalogLayer`."""

    array: AnalogArray
    digital: nn.Module
    mode: Mode
    calibration: Calibration | None
    _adc_ranges: AdcRanges | None
    _output_size: list[int] | None

    def columns_last(self, outputs: Tensor) -> Tensor:
        """Return outputs with the columns as their last axis."""
        ...

    def columns_back(self, columns: Tensor) -> Tensor:
        """Return them as the layer gives them."""
        ...


class SameAgain:
    """A call of a layer that the `Convolution` kernel read.

    Args:
        layer: the layer, which has just been read.
        x: its inputs, batched, in single precision.
        kernel: the kernel.
        how: how it was read.
    """

    def __init__(self, layer: Layer, x: Tensor, kernel: Convolution, how: Reading):
        array = layer.array
        self._array, self._kernel, self._kernels = array, kernel, list(readout.KERNELS)
        self._ideal, self._cell, self._marks = array.ideal, array.cell, marks_of(layer.digital._parameters.values())
        kept = array.kept(kernel)
        assert kept is not None
        self._layout, self._key = kept.layout, kept.key
        self._calibration, self._adc = layer.calibration, layer._adc_ranges
        self._shape, self._stride = x.shape, x.stride()
        self._scale = input_scale(array, how)

    @classmethod
    def of(cls, layer: Layer, x: Tensor, how: Reading) -> SameAgain | None:
        """Return the call that has just been made; None where it has to be looked up each time.

        Args:
            layer: which was read.
            x: its inputs, in single precision.
            how: how it was read.
        """
        if type(layer.digital) not in _PLAIN or layer.digital._modules or layer.mode is not Mode.ANALOG:
            return None
        if layer.array.draws_noise or layer._output_size is not None or how.observation is not None:
            return None
        kernel = readout.kernel_for(layer.array, how)
        return cls(layer, x, kernel, how) if type(kernel) is Convolution else None

    def read(self, layer: Layer, x: Tensor, relu: bool, added: Tensor | None) -> Tensor | None:
        """Return outputs; None where anything is not as it was, or an input is not finite.

        Args:
            layer: the same layer.
            x: as for `AnalogLayer.forward`.
            relu: as for `AnalogLayer.array_outputs`.
            added: likewise.
        """
        array = layer.array
        kept = array.kept(self._kernel)
        same = (
            array is self._array
            and kept is not None
            and kept.fresh
            and kept.layout is self._layout
            and kept.key is self._key
            and array.ideal is self._ideal
            and array.cell is self._cell
            and layer.calibration is self._calibration
            and layer._adc_ranges is self._adc
            and layer.mode is Mode.ANALOG
            and layer._output_size is None
            and not torch.is_grad_enabled()
            and type(x) is Tensor
            and x.dtype is torch.float32
            and x.is_cpu
            and x.layout is torch.strided
            and not x.is_nested
            and x.shape == self._shape
            and x.stride() == self._stride
            and marks_of(layer.digital._parameters.values()) == self._marks
            and self._kernels == readout.KERNELS
        )
        if not same:
            return None
        try:
            more = None if added is None else layer.columns_last(added)
            result, clipped = self._layout.read(x, self._scale, 0.0 if relu else -math.inf, more)
        except NotFiniteError:
            return None
        array.inputs_seen += x.numel()
        array.inputs_clipped += clipped
        return layer.columns_back(result)
