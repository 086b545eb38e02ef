"""Closed forms for what each error of the peripherals does: the yardsticks that ngspice is checked against.

Every function is a first-principles limit of one circuit with one error switched on; none is used in a simulation.
"""

from __future__ import annotations

import math

from circuits.peripherals.parameters import Parameters
from circuits.peripherals.theory import accumulator_weights, share_ratio


def integrator_gain_error(dc_gain: float, capacitance: float, parasitic: float) -> float:
    """Return the relative gain error of a charge integrator with finite amplifier gain.

    -(1 + C_p/C) / A to first order; here exact: C / (C + (C + C_p) / A) - 1.

    Args:
        dc_gain: open-loop gain A.
        capacitance: integration capacitor C [F].
        parasitic: at the virtual ground, C_p [F].
    """
    return -1.0 / (1.0 + dc_gain * capacitance / (capacitance + parasitic))


def ramp_lag(time_constant: float, duration: float) -> float:
    """Return the relative error of a first-order system at the end of a ramp: -tau/T * (1 - exp(-T/tau)).

    With tau = 1 / (2 pi beta GBW), beta = C / (C + C_p), this is the integrator's error from its finite
    gain-bandwidth product; with tau = R_on C it is that of the sampling switch.

    Args:
        time_constant: tau [s].
        duration: T [s].
    """
    return -time_constant / duration * -math.expm1(-duration / time_constant)


def transconductor_error(
    duration: float, capacitance: float, load: float, transconductance: float, resistance: float
) -> float:
    """Return the relative error of an integrator whose amplifier is a transconductor without an output buffer.

    The amplifier sinks the current I and what charges its load C_L, for which its input stands at
    I (1 + C_L/C) / gm; reset through R starts the output I R ahead: R C / T - (C + C_L) / (gm T).

    Args:
        duration: integration time T [s].
        capacitance: integration capacitor C [F].
        load: C_L [F].
        transconductance: gm [S].
        resistance: of the reset switch R [Ohm].
    """
    return resistance * capacitance / duration - (capacitance + load) / (transconductance * duration)


def loaded_current(current: float, cell_conductance: float, resistance: float) -> float:
    """Return what a bit line delivers into an input resistance on which it rises, I / (1 + k R I) [A].

    The cells give I (1 - k v), the line stands at v = R times what they give.

    Args:
        current: I at the ideal bit-line voltage [A].
        cell_conductance: k, relative fall of the cells' current with the line's voltage [1/V].
        resistance: input resistance R [Ohm].
    """
    return current / (1 + cell_conductance * resistance * current)


def conveyor_memory(resistance: float, capacitance: float, lead: float, duration: float) -> float:
    """Return how much of a bit's charge is taken from the bit before because the bit line settles late.

    The rows change `lead` before integration starts, the current follows with tau = R_in C_line:
    exp(-lead/tau) * tau/T * (1 - exp(-T/tau)).

    Args:
        resistance: input resistance of the conveyor [Ohm].
        capacitance: of the bit line [F].
        lead: from the rows' change to the start of integration [s].
        duration: integration time T [s].
    """
    tau = resistance * capacitance
    return -math.exp(-lead / tau) * ramp_lag(tau, duration)


def reset_memory(resistance: float, capacitance: float, duration: float) -> float:
    """Return what an incomplete reset leaves of a bit for the next: exp(-t / (R C)).

    Args:
        resistance: of the reset switch [Ohm].
        capacitance: integration capacitor [F].
        duration: of the reset [s].
    """
    return math.exp(-duration / (resistance * capacitance))


def open_switch_leak(p: Parameters) -> float:
    """Return the share of a bit that open switches of resistance R lose until the next bit has been shared, T / (R C).

    While the next bit of length t_i (without signal) integrates, the held half discharges through two switches; before,
    half of the sample's own mean reached the empty holding capacitor. While they share for t_s, two switches drain two
    capacitors, after each bit; between these phases (three guards t_g) one drains one. T = 3/2 t_i + 2 t_s + 3 t_g.
    To first order in T / (R C), for equal capacitors.

    Args:
        p: parameters.
    """
    guard = 0.1 * p["timing.transfer_time"]
    sharing = p["timing.transfer_time"] - 2 * guard
    duration = 1.5 * p["timing.integration_time"] + 2 * sharing + 3 * guard
    return duration / (p["accumulator.off_resistance"] * p["accumulator.capacitance"])


def injection_offset(p: Parameters) -> float:
    """Return the accumulated offset from the charge that the sampling switch leaves on every sample [V].

    Sum of weights times q / (C_1 + C_p1 + q / V_clk): the coupling capacitance itself loads the node.

    Args:
        p: parameters.
    """
    charge = p["accumulator.injected_charge"]
    node = p["accumulator.capacitance"] * (1 + p["accumulator.mismatch"]) + p["accumulator.parasitic_1"]
    coupling = abs(charge) / p["supply.voltage"]
    weights = accumulator_weights(share_ratio(p), p.bits)
    return float(weights.sum() * charge / (node + 2 * coupling))


def amplifier_gain_error(gain: float, dc_gain: float) -> float:
    """Return the relative gain error of a feedback amplifier with finite open-loop gain: -1 / (1 + A / G).

    Args:
        gain: closed-loop gain G.
        dc_gain: open-loop gain A.
    """
    return -1.0 / (1.0 + dc_gain / gain)


def settling_error(time: float, gain: float, gain_bandwidth: float) -> float:
    """Return the relative error of a feedback amplifier's step a time after it: exp(-2 pi GBW t / G).

    Args:
        time: [s].
        gain: closed-loop gain G.
        gain_bandwidth: GBW [Hz].
    """
    return math.exp(-2 * math.pi * gain_bandwidth / gain * time)


def ramp_bow(p: Parameters) -> float:
    """Return the reading error in mid-range of a ramp bent by its source's output resistance, ends held [LSB].

    v = I R (1 - exp(-t/RC)): with x = T/RC small the bow is T^2/(8RC) in time, x/8 of the range. Exact to x^2.

    Args:
        p: parameters.
    """
    span = (p.codes - 1) / p["adc.clock_frequency"]
    return -span / (8 * p["adc.ramp_resistance"] * p["adc.ramp_capacitance"]) * (p.codes - 1)


def comparator_delay_lsb(p: Parameters) -> float:
    """Return the late reading of a one-pole comparator on a long ramp, 1 / (2 pi f) in clock periods [LSB].

    Args:
        p: parameters.
    """
    return p["adc.clock_frequency"] / (2 * math.pi * p["adc.comparator_bandwidth"])


def flicker_noise(area_product: float, width: float, length: float, low: float, high: float) -> float:
    """Return the flicker noise of a transistor's gate over a band, sqrt(S ln(high/low) / (W L)) [V].

    Args:
        area_product: S_V W L f [V**2*m**2].
        width: W [m].
        length: L [m].
        low: lower end of the band [Hz].
        high: upper end [Hz].
    """
    return math.sqrt(area_product / (width * length) * math.log(high / low))


def leak_error(duration: float, dc_gain: float, resistance: float, capacitance: float) -> float:
    """Return the relative error of a charge integrator whose moving virtual ground drives a resistance.

    The virtual ground is at -V/A while V rises evenly: it loses the charge V/(2A) T/R, -T / (2 A R C) of the signal.

    Args:
        duration: integration time T [s].
        dc_gain: open-loop gain A.
        resistance: R from the virtual ground to ground [Ohm].
        capacitance: integration capacitor C [F].
    """
    return -duration / (2 * dc_gain * resistance * capacitance)
