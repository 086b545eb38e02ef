"""One matrix on analog arrays: the smallest thing to try a design on, and the one the laws are tested on.

It has no biases: bias rows that a design asks for stay empty.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Literal, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from accuracy.arrays.analog_array import AnalogArray
from accuracy.arrays.periphery import slice_peripherals
from accuracy.arrays.physics import Physics
from accuracy.errors import CalibrationError, InputError, InputRangeWarning
from accuracy.kernels.protocol import Reading
from accuracy.kernels.readout import read
from accuracy.mapping.adc import AdcRanges, Range, full_adc_ranges, given_adc_ranges
from accuracy.mapping.operators import MatrixOperator
from accuracy.mapping.weights import map_weights
from circuits import Core, CoreDesign, Faults, Wires, as_core
from circuits.bit_line.solve import BitLineCell
from circuits.core import AdcLike, CellLike, PeripheralsLike

Floats = NDArray[np.float64]
AdcRange = None | Literal["full"] | Range | Sequence[Range]


class AnalogMatrix:
    """A matrix programmed on the arrays of a design, ready to be multiplied with inputs.

    Args:
        weight: shape (rows, columns), numpy or torch; rows are inputs.
        design: the core: as built, a design, or a name (``"A"``, ``"FILE:NAME"``).
        cell: memory cell, or its name; None for the core's own, ideal cells with g_min = 0 where it has none. This,
            `peripherals`, `bit_line`, `adc` and `faults` fill in what the core leaves open.
        adc_range: None for no ADC whatever the design says, ``"full"``, (lo, hi), or one pair for
            each slice, in units of one full cell with input 1.
        seed: everything random is drawn from it.
        peripherals: what stands between columns and codes, or its name; ideal columns by default.
        bit_line: cell model of the bit-line solution, for designs with a bit-line resistance; resistors by default.
        adc: the ADC, its kind, or its file; ideal by default.
        faults: stuck cells; none by default.
        weight_step: step of the quantiser, for designs with ``weight_scale="given"``.
        project_signs: for column-sign designs, set the minority sign of each column to zero instead of refusing.

    Raises:
        MappingError: weights that do not suit the design.
        CalibrationError: an impossible range, or none for peripherals or an ADC that is not ideal to act on.
        DesignError: no core, design or name; a part beside one of the core's own; parts that do not go together.
    """

    def __init__(
        self,
        weight: ArrayLike | Tensor,
        design: Core | CoreDesign | str,
        cell: CellLike | None = None,
        adc_range: AdcRange = None,
        seed: int | np.random.Generator = 0,
        peripherals: PeripheralsLike | None = None,
        bit_line: BitLineCell | None = None,
        *,
        adc: AdcLike | None = None,
        faults: Faults | None = None,
        weight_step: ArrayLike | None = None,
        project_signs: bool = False,
    ):
        self._torch = isinstance(weight, Tensor)
        wires = None if bit_line is None else Wires(bit_line=bit_line)
        self.core = as_core(design, cell=cell, adc=adc, peripherals=peripherals, wires=wires, faults=faults)
        self.design = self.core.design
        mapping = map_weights(weight, self.design, weight_step=weight_step, project_signs=project_signs)
        physics = Physics.of(self.core)
        if adc_range is None and (physics.peripherals is not None or physics.adc):
            raise CalibrationError("Peripherals, and errors of an ADC, act on an ADC's range: give `adc_range`.")
        self.array = AnalogArray(mapping, MatrixOperator(), self.core.cell, physics, torch.float64)
        self.array.program(seed)
        self.adc_range = adc_range
        # Those of signed inputs follow with the first of them: a design may be unable to take any.
        self._adc_ranges = {False: self._make_adc_ranges(signed=False)}

    @property
    def inputs_seen(self) -> int:
        """Input values given to `matmul` so far."""
        return self.array.inputs_seen

    @property
    def inputs_clipped(self) -> int:
        """How many of them lay outside the input range."""
        return self.array.inputs_clipped

    def _make_adc_ranges(self, *, signed: bool) -> AdcRanges | None:
        if self.adc_range is None or self.design.adc_bits is None:
            return None
        if isinstance(self.adc_range, str):
            if self.adc_range != "full":
                raise CalibrationError(
                    f"Expected `adc_range` to be None, 'full', (lo, hi) or one pair a slice, but got "
                    f"{self.adc_range!r}; calibrated ranges are found for networks by accuracy.calibrate."
                )
            return full_adc_ranges(self.design, self.array.rows_of_partitions, signed, self.array.g_min)
        return given_adc_ranges(self.design, signed, self.adc_range)

    def _how(self, *, signed: bool) -> Reading:
        if signed not in self._adc_ranges:
            self._adc_ranges[signed] = self._make_adc_ranges(signed=signed)
        adc = self._adc_ranges[signed]
        return Reading(1.0, signed, adc, slice_peripherals(self.array, adc))

    @property
    def conductances(self) -> Floats | Tensor:
        """Programmed conductances, shape (slices, 2 or 1, rows, columns), positive cell first; unit column left out.

        A tensor where the weight was one, else a numpy array.
        """
        values = self.array.conductances[..., : self.array.mapping.columns].copy()
        return torch.from_numpy(values) if self._torch else values

    @property
    def unit_conductances(self) -> Floats:
        """Programmed conductances of the unit column, shape (slices, 1, rows, 1), empty in the last axis without."""
        return self.array.conductances[..., self.array.mapping.columns :].copy()

    @overload
    def matmul(self, x: Tensor, signed: bool = False) -> Tensor: ...

    @overload
    def matmul(self, x: ArrayLike, signed: bool = False) -> Floats: ...

    def matmul(self, x: ArrayLike | Tensor, signed: bool = False) -> Floats | Tensor:
        """Multiply inputs with the matrix as the arrays do.

        Args:
            x: shape (batch, rows), relative to the inputs' full scale: 0..1, or -1..1 where signed. Values outside
                are clipped, counted in `inputs_clipped`, and warned of.
            signed: whether inputs carry signs.

        Returns:
            Shape (batch, columns), in the units of ``x @ weight``; a tensor of the type of `x` where that is a
            floating tensor, else float64 numpy.

        Raises:
            InputError: wrong shape, values that are not finite, or signed inputs of one bit.
            CalibrationError: signed inputs before ADCs of one bit.
        """
        inputs = x if isinstance(x, Tensor) else torch.from_numpy(np.array(x, dtype=np.float64))
        rows = self.array.mapping.rows
        if inputs.ndim != 2 or inputs.shape[1] != rows:
            raise InputError(f"Expected `x` to have shape (batch, {rows}), but got {tuple(inputs.shape)}.")
        if not inputs.dtype.is_floating_point:
            inputs = inputs.to(torch.float64)
        if not bool(torch.isfinite(inputs).all()):
            raise InputError(f"Expected `x` to be finite, but {int((~torch.isfinite(inputs)).sum())} values are not.")
        dtype = torch.float64 if inputs.dtype == torch.float64 else torch.float32
        self.array.to(inputs.device, dtype)
        before = self.inputs_clipped
        result = read(self.array, inputs.to(dtype), self._how(signed=signed))
        if self.inputs_clipped > before:
            warnings.warn(
                f"{self.inputs_clipped - before} of {inputs.numel()} inputs lie outside {-1 if signed else 0}..1 and "
                "were clipped.",
                InputRangeWarning,
                stacklevel=2,
            )
        return result.to(inputs.dtype) if isinstance(x, Tensor) else result.numpy()
