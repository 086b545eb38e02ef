"""What every kernel is asked and has to answer: one protocol for all ways to compute what a layer reads.

A kernel lays out programmed cells as it likes (`AnalogArray.laid_out` keeps that until they change), and agrees with
`PlainTorch` but for the order of summation, which can move a current across the border of two codes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from accuracy.arrays.analog_array import AnalogArray
from accuracy.kernels.histograms import Observation
from accuracy.mapping.adc import AdcRanges
from circuits.peripherals.model import PeripheralModel


@dataclass(frozen=True, eq=False)
class Reading:
    """How a layer reads its array.

    Attributes:
        full_scale: input value that counts as 1.
        signed: whether inputs carry signs.
        adc: range and levels of each slice; None to leave currents as they are.
        peripherals: those of each weight slice at its range; None where there are none.
        bias: digital biases, shape (columns,).
        relu: whether negative outputs become 0.
        added: added to outputs before that, shape (..., columns): the other path of a residual block. Kernels get it
            that have a true attribute `adds`; to outputs of others it is added afterwards.
        observer: called with the currents of every (input slice, partition) before the ADC, shape
            (..., blocks, physical columns).
        observation: where currents are counted, for calibration.
    """

    full_scale: float
    signed: bool
    adc: AdcRanges | None
    peripherals: Sequence[PeripheralModel] | None = None
    bias: Tensor | None = None
    relu: bool = False
    added: Tensor | None = None
    observer: Callable[[Tensor], None] | None = None
    observation: Observation | None = None


class ReadingKernel(Protocol):
    """One way to compute what a layer reads from its array."""

    def suits(self, array: AnalogArray, how: Reading) -> bool:
        """Whether this kernel can read the array in this way, on this machine."""
        ...

    def read(self, array: AnalogArray, x: Tensor, how: Reading) -> Tensor:
        """Return the layer's outputs, shape (..., columns), in the floating type of the array.

        Inputs are counted on the array (`inputs_seen`, `inputs_clipped`) as they are quantised.

        Args:
            array: programmed cells that `suits` said yes to.
            x: real inputs, in the layout of the array's operator; the first axis counts images.
            how: scales, ADC ranges, biases.

        Raises:
            NotFiniteError: an input that is not finite.
        """
        ...


def quantises_in_single(array: AnalogArray, how: Reading, *, resistive: bool = False) -> bool:
    """Whether float32 kernels of the host serve: quantised inputs, and nothing before an ideal ADC but programming.

    Args:
        array: the array.
        how: how it is read.
        resistive: whether bit lines are to be solved, instead of none.
    """
    if how.observer is not None or (how.observation is not None and how.adc is not None):
        return False
    if array.device.type != "cpu" or array.dtype != torch.float32 or array.mapping.design.input_bits is None:
        return False
    return array.only_quantises if not resistive else array.resistive and array.ideal_but_wires
