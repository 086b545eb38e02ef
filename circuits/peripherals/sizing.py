"""Sizing of a column's circuits for the line currents of a design: capacitor, conveyor bias, amplifier, gain taps.

A small step with assumed process numbers (``[sizing]`` of a parameter file), not an optimisation of a layout:

- integration capacitor: the largest current of any input bit fills the integrator's swing, ``C = I_bit t / V``;
- amplifier: its bias goes with the capacitor, so that it stays as fast;
- conveyor: more class-A bias lowers its input resistance ``R = 1 / (g_m A)``, ``g_m = (g_m/I)(I_bias + I_line)``, and
  with it how much the cells' current bends (``s R I``, s the cell's slope), but adds noise: the bias with the least sum
  of squares is taken;
- gain taps: powers of two; a layer takes the largest that keeps its calibrated range within the ADC's input, and the
  ramp's slope fits what is left.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from circuits.bit_line.transistor_cell import relative_slope
from circuits.designs import CoreDesign
from circuits.line_currents import LineCurrents
from circuits.peripherals import theory
from circuits.peripherals.model import PeripheralError
from circuits.peripherals.parameters import Parameters
from circuits.weight_statistics import network_statistics
from devicekit.common.foreign import read_toml
from devicekit.common.paths import data_path
from devicekit.common.plain import PlainValues

_BIAS_STEPS = 200
_SIGNAL_SHARE = 1 / 3.7
"""Rms of a normal signal whose inner 99.98 % fill the range."""
_PARABOLA = 1 / (6 * math.sqrt(5))
"""Rms distance of x (1 - k x) from its best line over 0..1, over k."""


@dataclass(frozen=True)
class Load(PlainValues):
    """Line currents that one circuit has to serve, over all layers and weight slices of a core.

    Attributes:
        largest_range_a: largest full-scale current of an ADC's range [A].
        smallest_range_a: smallest full-scale current [A].
        largest_bit_a: largest current of a single input bit that is integrated, of either sign [A].
        common_a: mean current of a line, in the slice that carries most [A]; of one line by itself its own.
        common_spread_a: its standard deviation [A].
    """

    largest_range_a: float
    smallest_range_a: float
    largest_bit_a: float
    common_a: float
    common_spread_a: float

    @classmethod
    def of(cls, lines: Sequence[LineCurrents]) -> Load:
        """Return the load of a network's layers.

        Args:
            lines: of each layer, with ADC ranges.

        Raises:
            PeripheralError: no layer, or no ADC range.
        """
        scales = [part.full_scale_a for part in lines if part.full_scale_a is not None]
        if not scales or len(scales) != len(lines):
            raise PeripheralError("Expected line currents with the range of the ADCs: a circuit is sized for ranges.")
        pooled = LineCurrents.pooled(lines, [1.0] * len(lines))
        busiest = int(np.argmax(pooled.common_mean_a.mean(axis=1)))
        return cls(
            largest_range_a=float(np.max(scales)),
            smallest_range_a=float(np.min(scales)),
            largest_bit_a=float(pooled.differential_range_a.max()),
            common_a=float(pooled.common_mean_a[busiest].mean()),
            common_spread_a=float(pooled.common_spread_a[busiest].mean()),
        )


def recorded_loads() -> dict[str, Load]:
    """Return the loads that the recorded circuits are sized for, by design, from ``data/circuits/line_loads.toml``."""
    content = read_toml(data_path("circuits/line_loads.toml"), PeripheralError)
    return {name: Load(**values) for name, values in content["loads"].items()}


@dataclass(frozen=True)
class Sizing(PlainValues):
    """A circuit sized for a load, and what it is expected to do at the middle of its ranges.

    Attributes:
        load: what it is sized for.
        capacitance_f: integration capacitor [F].
        tail_current_a: bias of the integrator's amplifier [A].
        bias_current_a: class-A bias of each line's conveyor [A].
        input_resistance_ohm: of the conveyor [Ohm].
        taps: gains of the gain stage.
        noise_lsb: noise of common current and bias, rms [codes] of the middle range.
        variation_lsb: what the common current's variation, or a single line's bend, does to readings, rms [codes].
    """

    load: Load
    capacitance_f: float
    tail_current_a: float
    bias_current_a: float
    input_resistance_ohm: float
    taps: tuple[float, ...]
    noise_lsb: float
    variation_lsb: float

    def apply(self, p: Parameters) -> Parameters:
        """Return the parameters of the sized circuit at the load's largest range, `designed` for it.

        Args:
            p: parameters for the design's use (`Parameters.for_use`).
        """
        speed = self.capacitance_f / p["integrator.capacitance"]
        offset = p["sizing.bias_mismatch"] * self.bias_current_a
        sized = dataclasses.replace(p, mismatch={**p.mismatch, "conveyor.offset_current": offset})
        return sized.with_values(
            {
                "input.full_scale_current": self.load.largest_range_a,
                "input.common_current": self.load.common_a,
                "input.cell_conductance": relative_slope(network_statistics().mean_magnitude),
                "conveyor.bias_current": self.bias_current_a,
                "conveyor.input_resistance": self.input_resistance_ohm,
                "integrator.capacitance": self.capacitance_f,
                "integrator.parasitic_capacitance": p["integrator.parasitic_capacitance"] * speed,
                "integrator.noise_density": p["integrator.noise_density"]
                * math.sqrt(p["amplifier.tail_current"] / self.tail_current_a),
                "amplifier.tail_current": self.tail_current_a,
                "gain_stage.gain": tap_for(p, self.capacitance_f, self.taps, self.load.largest_range_a),
            },
            redesign=True,
        )


def voltage_at_unity(p: Parameters, capacitance: float, current: float) -> float:
    """Return the gain stage's input for a current that is full scale in every bit [V].

    Args:
        p: gives integration time and bits.
        capacitance: integration capacitor [F].
        current: [A].
    """
    return current * p["timing.integration_time"] / capacitance * (1 - 2.0**-p.bits)


def range_voltage(p: Parameters) -> float:
    """Return the largest voltage of full scale at the ADC [V]."""
    return p["sizing.unsigned_range" if p.unsigned else "sizing.signed_range"]


def tap_for(p: Parameters, capacitance: float, taps: Sequence[float], current: float) -> float:
    """Return the gain tap that realises a range: the largest that keeps it within the ADC's input, else the least.

    Args:
        p: parameters.
        capacitance: integration capacitor [F].
        taps: gains in rising order.
        current: full-scale current of the range [A].
    """
    most = range_voltage(p) / voltage_at_unity(p, capacitance, current)
    return max((tap for tap in taps if tap <= most * (1 + 1e-9)), default=taps[0])


def size_peripherals(p: Parameters, load: Load, what: str = "the design") -> Sizing:
    """Return a circuit sized for line currents.

    Args:
        p: parameters for the design's use.
        load: the currents.
        what: what the message of a refusal is about.

    Raises:
        PeripheralError: no capacitor, amplifier or bias within the process numbers serves; the message says which and
            what it would take.
    """
    time = p["timing.integration_time"]
    taps = tuple(2.0**k for k in range(int(math.log2(p["sizing.largest_tap"])) + 1))
    wanted = load.largest_bit_a * time / p["sizing.integrator_swing"]
    # A range must not overdrive the ADC at the least gain either.
    wanted = max(wanted, voltage_at_unity(p, 1.0, load.largest_range_a) * taps[0] / range_voltage(p))
    capacitance = max(wanted, p["sizing.least_capacitance"])
    tail = capacitance * p["sizing.tail_per_capacitance"]
    refusal = (
        "No periphery of {} works for {}: a bit of {:.3g} A takes an {} of {:.3g} {}, more than the {:.3g} {} of its "
    )
    refusal += "process numbers. Fewer rows an array, or a shorter integration, would."
    for name, needed, limit, unit in (
        ("integration capacitor", capacitance, p["sizing.largest_capacitance"], "F"),
        ("bias of the integrator's amplifier", tail, p["sizing.largest_tail"], "A"),
    ):
        if needed > limit * (1 + 1e-9):
            raise PeripheralError(refusal.format(p.name, what, load.largest_bit_a, name, needed, unit, limit, unit))
    bias, noise, variation = _conveyor_bias(p, load, capacitance)
    error = math.hypot(noise, variation)
    if error > p["sizing.largest_error"]:
        raise PeripheralError(
            f"No periphery of {p.name} works for {what}: with the best conveyor bias, {bias:.3g} A a line, noise of "
            f"{noise:.2g} and variation of {variation:.2g} codes are left at a range of {_middle(load):.3g} A, more "
            f"than the {p['sizing.largest_error']:g} codes of its process numbers. Less current beside the signal "
            "(fewer rows an array, two lines subtracted), or a conveyor of a higher loop gain, would."
        )
    return Sizing(load, capacitance, tail, bias, input_resistance(p, bias + load.common_a), taps, noise, variation)


def input_resistance(p: Parameters, current: float) -> float:
    """Return the conveyor's input resistance at a current [Ohm].

    Args:
        p: process numbers.
        current: of its input branch, bias and line [A].
    """
    return 1.0 / (p["sizing.transconductance"] * current * p["sizing.loop_gain"])


def _middle(load: Load) -> float:
    return math.sqrt(load.largest_range_a * load.smallest_range_a)


def _conveyor_bias(p: Parameters, load: Load, capacitance: float) -> tuple[float, float, float]:
    """Return bias [A], noise and variation [codes, rms] with the least sum of squares."""
    middle, lines = _middle(load), 1 if p.unsigned else 2
    code = middle / (1 - p.zero) / (p.codes - 1)
    weights = theory.accumulator_weights(0.5, p.bits)
    averaged = float(np.linalg.norm(weights) / weights.sum())
    slope = relative_slope(network_statistics().mean_magnitude)
    time = p["timing.integration_time"]
    bias = np.geomspace(1e-7, p["sizing.largest_bias"], _BIAS_STEPS)
    charge = np.array([theory.shot_noise(lines * (own + load.common_a), time) for own in bias])
    noise = charge / time / code * averaged
    bend = slope * np.array([input_resistance(p, own + load.common_a) for own in bias])
    if p.unsigned:
        variation = bend * middle * _PARABOLA * (p.codes - 1)
    else:
        variation = 2 * bend * load.common_spread_a * _SIGNAL_SHARE * middle / code
    best = int(np.argmin(noise**2 + variation**2))
    return float(bias[best]), float(noise[best]), float(variation[best])


def parameters_for(p: Parameters, design: CoreDesign, *, signed_inputs: bool = False) -> Parameters:
    """Return parameters for a design's use: range of one sign or both, bits before a conversion.

    Args:
        p: the set.
        design: the design.
        signed_inputs: whether its inputs carry signs.
    """
    bits = 1 if design.input_accumulation == "digital" else design.input_bits
    return p.for_use(unsigned=not design.symmetric_adc(signed_inputs=signed_inputs), input_bits=bits)
