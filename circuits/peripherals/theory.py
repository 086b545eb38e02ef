"""Closed forms behind the noise of a conversion: what each source leaves on its capacitor, and what bits weigh."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from circuits.peripherals.netlist import BOLTZMANN, CHARGE
from circuits.peripherals.parameters import Parameters


def share_ratio(p: Parameters) -> float:
    """Return the weight of a new sample in charge sharing, (C_1 + C_p1) / (C_1 + C_p1 + C_2 + C_p2); 1/2 is ideal.

    Args:
        p: parameters.
    """
    first = p["accumulator.capacitance"] * (1 + p["accumulator.mismatch"]) + p["accumulator.parasitic_1"]
    second = p["accumulator.capacitance"] + p["accumulator.parasitic_2"]
    return first / (first + second)


def accumulator_weights(ratio: float, bits: int) -> NDArray[np.float64]:
    """Return the weight of each bit's sample in the accumulated voltage: r (1 - r)^(bits - 1 - b), LSB first.

    Args:
        ratio: weight r of a new sample.
        bits: number of bits.
    """
    return np.asarray(ratio * (1 - ratio) ** (bits - 1 - np.arange(bits)))


def reset_noise(temperature: float, capacitance: float) -> float:
    """Return the noise sampled on a capacitor, sqrt(kT/C) [V].

    Args:
        temperature: [K].
        capacitance: C [F].
    """
    return math.sqrt(BOLTZMANN * temperature / capacitance)


def share_noise(temperature: float, first: float, second: float) -> float:
    """Return the noise left on the second of two capacitors when the switch between them opens [V].

    The switch settles their difference to kT/C_series while their charge stays: kT C_1 / (C_2 (C_1 + C_2)).

    Args:
        temperature: [K].
        first: C_1 [F].
        second: C_2 [F].
    """
    return math.sqrt(BOLTZMANN * temperature * first / (second * (first + second)))


def amplifier_noise(density: float, noise_gain: float, gain_bandwidth: float) -> float:
    """Return the output noise of a one-pole feedback amplifier, e_n G sqrt(pi/2 GBW/G) [V].

    Args:
        density: white input noise e_n [V/Hz**0.5].
        noise_gain: G; 1 / beta.
        gain_bandwidth: GBW [Hz].
    """
    return density * math.sqrt(math.pi / 2 * gain_bandwidth * noise_gain) if density else 0.0


def shot_noise(current: float, duration: float) -> float:
    """Return the noise of an integrated current's charge, sqrt(q I t) [C].

    The spectral density 2qI (one-sided) through a window of length t: 2qI * t / 2.

    Args:
        current: I [A].
        duration: t [s].
    """
    return math.sqrt(CHARGE * current * duration)
