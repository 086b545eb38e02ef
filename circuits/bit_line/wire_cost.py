"""What the resistance of bit lines costs a core's readings, from the currents on its lines: a closed form.

A line of n cells with evenly spread current I (in units of a full cell) loses voltage on the way to its end; a cell at
a fraction y of the way loses ``R n I (y - y^2 / 2)`` of the read voltage in the mean, with R the wire resistance
between neighbours over the least cell resistance. The line then reads ``I - k I^2`` with ``k = R n / 3``, a full
cell's slope apart: the current of a cell falls by `slope` times the voltage it loses (1 for a resistor).

Two subtracted lines with difference D and mean C read ``D (1 - 2 k C)``: the mean of C is a gain, which a trim of
columns removes, its variation is not. A line by itself reads ``I - k I^2``, whose best straight line a trim removes.
Both hold while k C is small and are taken with normal currents; what D and C have in common is bounded by Cauchy and
Schwarz. `solve_bit_lines` has the exact solution.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from circuits.adc_ranges import codes_to_the_end
from circuits.designs import CoreDesign
from circuits.line_currents import LineCurrents
from devicekit.common.errors import DesignError
from devicekit.common.numbers import is_real


def wire_error_lsb(
    lines: LineCurrents, design: CoreDesign, rows: int, r_p_hat: float, i_max: float, *, slope: float = 1.0,
    trimmed: bool = False, signed_inputs: bool = False,
) -> float:  # fmt: skip
    """Return what wires without correction cost a reading, at most over weight slices [LSB, rms].

    Errors of input bits that are accumulated before a conversion add up by their weights, as if they went together,
    which is a bound.

    Args:
        lines: currents of a layer, with the ranges of its ADCs.
        design: gives lines a column, ADC bits and how input bits are accumulated.
        rows: cells on a line.
        r_p_hat: wire resistance between neighbouring cells over the least cell resistance.
        i_max: current of a full cell [A].
        slope: relative fall of a cell's current by the share of the read voltage it loses: 1 for a resistor.
        trimmed: whether gain and offset of every column are corrected.
        signed_inputs: whether inputs carry signs, which gives every range both.

    Raises:
        DesignError: no ADC range, or a resistance, current, slope or row count that is impossible.
    """
    if lines.full_scale_a is None or design.adc_bits is None:
        raise DesignError("Expected line currents with the range of the ADCs: what wires cost is counted in its codes.")
    for name, value in (("r_p_hat", r_p_hat), ("i_max", i_max), ("slope", slope), ("rows", rows)):
        if not (is_real(value) and value >= 0 and (value > 0 or name == "r_p_hat")):
            raise DesignError(f"Expected `{name}` to be finite and above 0, but got {value!r}.")
    k = slope * r_p_hat * rows / 3
    common, spread = lines.common_mean_a / i_max, lines.common_spread_a / i_max
    if design.subtracts_lines:
        signal = _fourth(lines.differential_mean_a / i_max, lines.differential_spread_a / i_max)
        # Both grow with the rows that are on: the mean of their product is at most that of their fourth powers.
        error = 2 * k * np.sqrt(signal * _fourth(np.zeros_like(common) if trimmed else common, spread))
    elif trimmed:
        error = math.sqrt(2) * k * spread**2
    else:
        error = k * _fourth(common, spread)
    if design.input_accumulation == "analog":
        worth = 2.0 ** (design.input_slice_bits * np.arange(error.shape[1]))
        error = (error @ (worth / worth.sum()))[:, None]
    codes = np.array(codes_to_the_end(design, signed_inputs=signed_inputs))
    return float((error.max(axis=1) / (lines.full_scale_a / i_max) * codes).max())


def _fourth(mean: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the root of the fourth moment of a normal distribution."""
    return np.asarray(np.sqrt(mean**4 + 6 * mean**2 * spread**2 + 3 * spread**4))
