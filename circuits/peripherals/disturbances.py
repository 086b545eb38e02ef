"""What disturbs a conversion from outside the signal: common current, the supply, other columns on the shared ramp.

The last two need transistors: macromodels know no supply and load nothing. The supply is moved as a whole between two
conversions, which stands for noise slower than one; kick-back is what a neighbour that has just decided leaves on the
ramp, beyond the steady load of its input, which calibration takes up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from circuits.peripherals.curves import Line, fit_line
from circuits.peripherals.front_end import simulate_front_end
from circuits.peripherals.noise import NoiseFloor
from circuits.peripherals.parameters import Parameters
from circuits.peripherals.ramp_adc import simulate_ramp_adc

SUPPLY_STEP = 0.02
"""Relative change of the supply, either way; twice as large a step moves readings twice as much."""
NEIGHBOURS = 7
"""Columns that decide together, so that what one of them does is far above the simulator's tolerance."""
_BEFORE = 5
"""Codes by which they decide before the column that is watched, when their kick is largest."""


COMMON_STEP = 0.1
"""Relative change of the lines' common current, either way."""


@dataclass(frozen=True)
class CommonMode:
    """Gain and offset from the common current of both bit lines, which differs by column and input.

    Attributes:
        gain: relative change of the gain over the relative change of the common current.
        offset_lsb: shift of zero signal by a relative change of 1 [LSB].
    """

    gain: float
    offset_lsb: float


def simulate_common_mode(p: Parameters, *, transistors: bool = False) -> CommonMode:
    """Return what the common current of both lines does to a reading, from runs with signals of both signs.

    Args:
        p: parameters for both signs; a line alone has no common current.
        transistors: whether the integrator's amplifier is of transistors.

    Raises:
        MissingDependencyError: ngspice or PySpice is absent.
        SpiceError: a run fails.
    """
    levels = np.tile([-0.8, 0.8], 2)[:, None] * np.ones(p.bits)
    common = 1 + COMMON_STEP * np.repeat([-1.0, 1.0], 2)[:, None] * np.ones(p.bits)
    run = simulate_front_end(p, levels, common_levels=common, transistors=transistors)
    low, high = run.gain_stage.reshape(2, 2)
    step = 2 * COMMON_STEP
    return CommonMode(
        gain=float((np.diff(high) / np.diff(low))[0] - 1) / step,
        offset_lsb=float(high.mean() - low.mean()) / p.lsb_voltage / step,
    )


@dataclass(frozen=True)
class Disturbances:
    """How far supply and neighbouring columns move a reading.

    Attributes:
        supply_offset_lsb: shift of zero signal by the supply [LSB/V].
        supply_gain: relative change of the gain by the supply [1/V].
        kick_back_lsb: shift by one neighbour that has decided just before [LSB].
    """

    supply_offset_lsb: float
    supply_gain: float
    kick_back_lsb: float

    def floors(self, p: Parameters) -> dict[str, NoiseFloor]:
        """Return the disturbances as sources of noise.

        The supply counts at the end of the range where it does most. Of the N - 1 neighbours each has decided before
        or not, independently and evenly: a binomial count, whose mean is calibrated away, around it
        sqrt(N - 1) / 2.

        Args:
            p: parameters, for the supply's noise and the number of columns.
        """
        ends = (np.array([0.0, 1.0]) - p.zero) * (p.codes - 1)
        most = float(np.max(np.abs(self.supply_offset_lsb + self.supply_gain * ends)))
        values = {
            "supply": p["supply.noise"] * most,
            "kick back of neighbours": abs(self.kick_back_lsb) * math.sqrt(p["adc.columns"] - 1) / 2,
        }
        return {name: NoiseFloor(lsb * p.lsb_voltage, None, lsb) for name, lsb in values.items()}


def simulate_disturbances(p: Parameters) -> Disturbances:
    """Return what supply and neighbours do to a reading: the supply moved, and neighbours that decide first.

    Args:
        p: parameters.

    Raises:
        MissingDependencyError: ngspice or PySpice is absent.
        SpiceError: a run fails.
    """
    low, high = (_transfer(p, share) for share in (-SUPPLY_STEP, SUPPLY_STEP))
    swing = 2 * SUPPLY_STEP * p["supply.voltage"]
    return Disturbances(
        supply_offset_lsb=(high.offset_lsb - low.offset_lsb) / swing,
        supply_gain=(high.gain - low.gain) / swing,
        kick_back_lsb=kick_back(p),
    )


def _transfer(p: Parameters, change: float) -> Line:
    """Return gain and offset from current to code with the supply changed by a share of itself."""
    moved = p.with_values({"supply.voltage": p["supply.voltage"] * (1 + change)})
    levels = np.array([0.1, 0.8]) if p.unsigned else np.array([-0.8, 0.8])
    run = simulate_front_end(moved, np.repeat(levels[:, None], p.bits, axis=1), transistors=True)
    positions = simulate_ramp_adc(moved, run.gain_stage, transistors=True).readings / (p.codes - 1)
    return fit_line(p.zero + levels * (1 - p.zero), positions, zero=p.zero, steps=p.codes - 1)


def kick_back(p: Parameters, neighbours: int = NEIGHBOURS) -> float:
    """Return how far one neighbour that has just decided moves a reading in mid-range [LSB].

    Args:
        p: parameters.
        neighbours: how many decide together; each does the same.
    """
    width = p.full_scale_voltage - p.lowest_voltage
    watched = p.lowest_voltage + 0.5 * width
    # Neighbours that decide long after load the ramp as much, but have kicked nothing yet.
    before, after = (
        simulate_ramp_adc(p, [other] * neighbours + [watched], transistors=True, columns_a_run=neighbours + 1).readings[
            -1
        ]
        for other in (watched - _BEFORE * p.lsb_voltage, p.lowest_voltage + 0.9 * width)
    )
    return float(before - after) / neighbours
