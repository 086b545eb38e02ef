"""Analog stages between programmed cells and the ADC, in this order.

1. programming: mean shift and spread of the cell, clipped at 0 (`cells.program_cells`);
2. stuck cells: a fraction replaced by g_min or G_max (`Faults`);
3. read noise: resampled at every input slice, one Gaussian an output (`read_noise_inputs`);
4. resistance of bit lines, virtual ground and supply: every phase, slice and line solved by itself (`wires`);
5. analog subtraction of differential lines and analog accumulation over input slices (unequal bit weights included);
6. peripherals: gain and offset of each column, also as the common current of its lines moves them, clipping,
   non-linearity, thermal and shot noise (`apply_peripherals`);
7. the ADC (`UniformAdc`), with noise and transition levels of its own where it has them, or one drawn for each column
   from the errors of its circuit (`through_adc`).

Each stage is off unless asked for. Stages 3 to 6 are left out where cells are ideal: calibration and the ideal-cell
accuracy see quantisation only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accuracy.arrays.noise import NoiseSource
from accuracy.mapping.adc import UniformAdc
from accuracy.mapping.inputs import input_digits, input_steps, slice_layout
from circuits import AdcErrors, Core, CoreDesign, Faults, adc_codes
from circuits.bit_line.resistances import LineResistances
from circuits.bit_line.solve import BitLineCell
from circuits.bit_line.transistor_cell import Orientation
from circuits.converters.drawn import Converters
from circuits.peripherals.apply import apply_peripherals, column_deviates, column_errors, noise_rms
from circuits.peripherals.load import Peripherals
from circuits.peripherals.model import PeripheralModel

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Physics:
    """Analog stages of a layer's arrays beside programming.

    Attributes:
        bit_line: cell model of the bit-line solution, used where lines have a resistance.
        peripherals: column peripherals; None for ideal ones.
        faults: stuck cells; None for none.
        adc: errors of the ADC of each weight slice, None for an ideal one; empty where all are.
        lines: resistances of virtual ground and supply; that of the bit line itself is the design's.
        orientation: end of the cells that lies on the bit line, where they are no resistors.
    """

    bit_line: BitLineCell = "resistor"
    peripherals: Peripherals | None = None
    faults: Faults | None = None
    adc: tuple[AdcErrors | None, ...] = ()
    lines: LineResistances = field(default_factory=LineResistances)
    orientation: Orientation = "source"

    @classmethod
    def of(cls, core: Core) -> Physics:
        """Return the stages of a core."""
        adc = core.adc_errors
        own_adc = adc if any(adc) else ()
        return cls(core.bit_line, core.column_peripherals, core.faults, own_adc, core.lines, core.orientation)


def read_noise_inputs(integers: Tensor, unit: float, design: CoreDesign, signed: bool) -> Tensor:
    """Return the weight of each cell's read-noise variance in the variance of an analog-accumulated output.

    Noise is resampled at every input slice: ``sum_b (weight_b * input_b)^2``, which is ``sum_b (2^b/255)^2 x_b`` for
    eight one-bit slices. A pulse of d unit times is d samples: d instead of d^2.

    Args:
        integers: inputs as integers.
        unit: value of one integer.
        design: says how inputs are sliced.
        signed: whether inputs carry signs.
    """
    if input_steps(design, signed) is None:
        return (integers * unit) ** 2
    layout = slice_layout(design, signed)
    return _by_integer(
        integers,
        design,
        signed,
        lambda own: torch.stack(
            [
                slice_noise_input(input_digits(own, shift, bits), design) * (slice_unit * weight) ** 2
                for shift, bits, slice_unit, weight in layout
            ]
        ).sum(dim=0),
    )


def slice_noise_input(digits: Tensor, design: CoreDesign) -> Tensor:
    """Return the digit's share in the variance of its slice, in squared units of the slice's step."""
    return digits.abs() if design.input_encoding == "pulse_width" else digits * digits


def weighted_inputs(integers: Tensor, design: CoreDesign, signed: bool, bit_weights: Sequence[float]) -> Tensor:
    """Return input values summed with an accumulator's unequal bit weights, as fractions of full scale.

    Args:
        integers: inputs as integers.
        design: one-bit slices, accumulated in analog.
        signed: whether inputs carry signs; they then take the weights of the upper bits.
        bit_weights: weight of each bit, least significant first, sum 1.
    """
    layout = slice_layout(design, signed)
    own = np.asarray(bit_weights, dtype=np.float64)[-len(layout) :]
    own = own / own.sum()
    return _by_integer(
        integers,
        design,
        signed,
        lambda all_of_them: torch.stack(
            [
                input_digits(all_of_them, shift, bits) * float(weight)
                for (shift, bits, _, _), weight in zip(layout, own, strict=True)
            ]
        ).sum(dim=0),
    )


def _by_integer(integers: Tensor, design: CoreDesign, signed: bool, law: Callable[[Tensor], Tensor]) -> Tensor:
    """Return what a law makes of inputs, worked out once for each integer that they can be: there are few of them."""
    steps = input_steps(design, signed)
    assert steps is not None
    lowest = -steps if signed else 0
    table = law(torch.arange(lowest, steps + 1, dtype=torch.float64)).to(integers.device, integers.dtype)
    places = integers.flatten().to(torch.int32)
    return table.index_select(0, places - lowest if lowest else places).reshape(integers.shape)


def draw_column_deviates(partitions: int, columns: int, seed: np.random.Generator) -> list[Floats]:
    """Return the standard normals behind the errors of the columns of every partition, each of shape (columns, 3)."""
    return list(column_deviates(partitions * columns, seed).reshape(partitions, columns, 3))


def through_peripherals(
    v: Tensor,
    adc: UniformAdc,
    models: Sequence[PeripheralModel],
    deviates: Floats,
    noise: NoiseSource,
    common: Tensor | None = None,
) -> Tensor:
    """Return currents as the ADC sees them, by the law of `PeripheralModel`.

    Args:
        v: currents, shape (images, ..., blocks, columns).
        adc: the ADC of each block; peripherals act on positions in its range.
        models: the peripherals of each weight slice.
        deviates: standard normals behind the errors of the blocks * columns columns, shape (blocks * columns, 3).
        noise: source of the noise.
        common: mean current of each column's lines over its mean in the calibration data, shape (images, ..., slices,
            columns); None where no model follows it.
    """
    parts = []
    columns = v.shape[-1]
    lines = v.shape[-2] // len(models)
    for block in range(v.shape[-2]):
        model = models[block // lines]
        own = slice(block * columns, (block + 1) * columns)
        errors = column_errors(model, deviates[own])
        positions = adc.positions(v[..., block, :].to(torch.float64).cpu().numpy(), block)
        zero = float(adc.positions(np.zeros(()), block))
        lines_of = None if common is None else common[..., block // lines, :].to(torch.float64).cpu().numpy()
        reading = apply_peripherals(positions, model, errors, zero=zero, common=lines_of)
        if model.noise_lsb or model.pattern_lsb or model.shot_noise_lsb:
            rms = torch.from_numpy(noise_rms(positions, model, zero=zero) * model.lsb)
            reading = reading + (rms * noise.normals(positions.shape, rms)).numpy()
        parts.append(torch.from_numpy(adc.currents(reading, block)).to(v.device, v.dtype))
    return torch.stack(parts, dim=-2)


def draw_converters(errors: AdcErrors, seed: Sequence[int], place: Sequence[int], columns: int) -> Converters:
    """Return the ADCs of the columns of one block, as built.

    Args:
        errors: of their circuit.
        seed: of the layer's ADCs; what all of them have in common, such as a ramp, follows from it alone.
        place: partition and block.
        columns: number of ADCs.
    """
    own = np.random.default_rng([*seed, 1, *place])
    return errors.draw(columns, own, np.random.default_rng([*seed, 0]))


def through_adc(
    v: Tensor,
    adc: UniformAdc,
    errors: Sequence[AdcErrors | None],
    noise: NoiseSource,
    drawn: Sequence[Converters | None] = (),
) -> Tensor:
    """Return the readings of ADCs that are not ideal.

    Args:
        v: currents, shape (images, ..., blocks, columns).
        adc: range and codes of each block.
        errors: of the ADC of each weight slice; None for an ideal one.
        noise: source of the noise.
        drawn: the ADCs of each block as built, None for blocks whose ADCs are all alike.
    """
    lines = v.shape[-2] // len(errors)
    ideal = adc.read(v) if None in errors else v
    parts = []
    for block in range(v.shape[-2]):
        own = errors[block // lines]
        if own is None:
            parts.append(ideal[..., block, :])
            continue
        levels = adc.levels(block)
        positions = adc.positions(v[..., block, :].to(torch.float64).cpu().numpy(), block) * (levels - 1)
        symmetric = levels < 2**own.bits
        converters = drawn[block] if drawn else None
        if converters is None:
            normals = _normals(noise, positions.shape, torch.float64) if own.noise_lsb else None
            codes = adc_codes(positions, own, symmetric=symmetric, normals=normals)
        else:
            # The lowest code is not used where a range has a code at 0 in its middle.
            first = 1 if symmetric else 0
            # A SAR draws for every decision: single precision is twice as fast.
            fresh = functools.partial(_normals, noise, positions.shape, torch.float32)
            codes = np.maximum(converters.codes(positions + first, fresh) - first, 0)
        parts.append(torch.from_numpy(adc.currents(codes / (levels - 1), block)).to(v.device, v.dtype))
    return torch.stack(parts, dim=-2)


def _normals(noise: NoiseSource, shape: Sequence[int], dtype: torch.dtype) -> NDArray[np.floating]:
    return np.asarray(noise.normals(shape, torch.empty(0, dtype=dtype)).numpy())
