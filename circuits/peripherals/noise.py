"""Noise floors of the blocks by ngspice's noise analysis, each beside its closed form.

A switched circuit is taken phase by phase: the noise sampled when a switch opens is the integrated noise of the
circuit with the switch closed. Phases are independent, so that variances add, each weighted with its way to the
ADC.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from circuits.peripherals import theory
from circuits.peripherals.front_end import add_gain_stage
from circuits.peripherals.netlist import BOLTZMANN, Netlist
from circuits.peripherals.parameters import Parameters
from circuits.peripherals.ramp_adc import simulate_comparator_noise
from circuits.peripherals.transistors import add_amplifier_rails, add_models, add_telescopic_amplifier
from circuits.spice.simulator import run_netlist, run_netlists

_ANALYSIS = "dec 30 1 1e14"
"""From 1 Hz: what is slower is taken to be calibrated away with the offset."""


@dataclass(frozen=True)
class NoiseFloor:
    """One source of noise.

    Attributes:
        simulated: by ngspice, rms where it arises [V], or None where only a closed form exists.
        closed_form: of theory, rms where it arises [V]; None for blocks of transistors, whose bandwidth has
            none.
        lsb: what it is at the ADC, rms [LSB].
    """

    simulated: float | None
    closed_form: float | None
    lsb: float


def noise_floors(p: Parameters, *, transistors: bool = False) -> dict[str, NoiseFloor]:
    """Return every noise source of a conversion.

    Args:
        p: parameters.
        transistors: whether integrator amplifier and comparator are of transistors.

    Raises:
        MissingDependencyError: ngspice or PySpice is absent.
        SpiceError: a run fails.
    """
    netlists = {
        "integrator reset": _integrator_reset(p),
        "integrator amplifier": _integrator_amplifier(p, transistors),
        "accumulator sampling": _sampling(p),
        "accumulator sharing": _sharing(p),
        "gain stage": _gain_stage(p),
    }
    results = run_netlists(list(netlists.values()))
    simulated = {
        name: float(result.plots["noise2"]["onoise_total"][0]) for name, result in zip(netlists, results, strict=True)
    }
    simulated["comparator"] = simulate_comparator_noise(p, transistors=transistors)
    forms = closed_forms(p)
    ways = _ways(p)
    floors = {}
    for name, form in forms.items():
        value = simulated.get(name)
        known = None if transistors and name in ("integrator amplifier", "comparator") else form
        floors[name] = NoiseFloor(value, known, ways[name] * (form if value is None else value))
    if transistors:
        with_flicker = {
            "integrator amplifier": float(
                run_netlist(_integrator_amplifier(p, True, flicker=True)).plots["noise2"]["onoise_total"][0]
            ),
            "comparator": simulate_comparator_noise(p, transistors=True, flicker=True),
        }
        for name, total in with_flicker.items():
            # Flicker is slower than a conversion: it is the same for all its bits, whose weights add.
            slow = math.sqrt(max(total**2 - simulated[name] ** 2, 0.0))
            floors[f"{name} flicker"] = NoiseFloor(slow, None, ways[f"{name} flicker"] * slow)
    return floors


def closed_forms(p: Parameters) -> dict[str, float]:
    """Return the closed form of every noise source, rms where it arises [V].

    Args:
        p: parameters.
    """
    c, parasitic = p["integrator.capacitance"], p["integrator.parasitic_capacitance"]
    first, second = _capacitors(p)
    gain = p["gain_stage.gain"]
    bandwidth = p["gain_stage.gain_bandwidth"]
    # Thermal noise of the divider: as input noise of its parallel resistance.
    divider = p["gain_stage.resistance"] / gain * (1 - 1 / gain) if math.isfinite(bandwidth) else 0.0
    gain_density = math.sqrt(p["gain_stage.noise_density"] ** 2 + 4 * BOLTZMANN * p.temperature * divider)
    duration = p["timing.integration_time"]
    return {
        "integrator reset": theory.reset_noise(p.temperature, c),
        "integrator amplifier": theory.amplifier_noise(
            p["integrator.noise_density"], 1 + parasitic / c, p["integrator.gain_bandwidth"]
        ),
        "accumulator sampling": theory.reset_noise(p.temperature, first),
        "accumulator sharing": theory.share_noise(p.temperature, first, second),
        "gain stage": theory.amplifier_noise(gain_density, gain, bandwidth),
        "comparator": theory.amplifier_noise(p["adc.comparator_noise_density"], 1.0, p["adc.comparator_bandwidth"]),
        "clock jitter": p["adc.clock_jitter"] * p["adc.clock_frequency"] * p.lsb_voltage,
        "shot noise of the common current": theory.shot_noise(
            0.0 if p.unsigned else 2 * p["input.common_current"], duration
        )
        / c,
        "bias of the conveyor": theory.shot_noise((1 if p.unsigned else 2) * p["conveyor.bias_current"], duration) / c,
        "shot noise of the signal": theory.shot_noise(p["input.full_scale_current"], duration) / c,
    }


def _capacitors(p: Parameters) -> tuple[float, float]:
    first = p["accumulator.capacitance"] * (1 + p["accumulator.mismatch"]) + p["accumulator.parasitic_1"]
    return first, p["accumulator.capacitance"] + p["accumulator.parasitic_2"]


def _ways(p: Parameters) -> dict[str, float]:
    """Return the factor from each source's own voltage to LSB of a conversion [LSB/V]."""
    ratio = theory.share_ratio(p)
    weights = theory.accumulator_weights(ratio, p.bits)
    lsb = p.lsb_voltage
    sampled = float(np.sqrt(np.sum(weights**2))) * p["gain_stage.gain"] / lsb
    steps = float(np.sqrt(np.sum((1 - ratio) ** (2 * np.arange(p.bits))))) * p["gain_stage.gain"] / lsb
    return {
        "integrator amplifier flicker": float(weights.sum()) * p["gain_stage.gain"] / lsb,
        "comparator flicker": 1 / lsb,
        "integrator reset": sampled,
        "integrator amplifier": sampled,
        "accumulator sampling": sampled,
        "accumulator sharing": steps,
        "gain stage": 1 / lsb,
        "comparator": 1 / lsb,
        "clock jitter": 1 / lsb,
        "shot noise of the common current": sampled,
        "bias of the conveyor": sampled,
        "shot noise of the signal": sampled,
    }


def _finish(netlist: Netlist, output: str) -> str:
    """Add the reference source that a noise analysis asks for, and the analysis."""
    netlist.voltage("reference", "reference", "0", "dc 0 ac 1")
    netlist.resistor("reference", "reference", "0", 1.0, noisy=False)
    return netlist.text(".options gmin=1e-18 reltol=1e-6", f".noise {output} Vreference {_ANALYSIS}")


def _integrator_reset(p: Parameters) -> str:
    """Switch closed over the capacitor: what it holds when the switch opens."""
    netlist = Netlist("integrator in reset", p.temperature)
    netlist.resistor("reset", "held", "0", max(p["integrator.reset_resistance"], 1.0))
    netlist.capacitor("integrate", "held", "0", p["integrator.capacitance"])
    return _finish(netlist, "v(held)")


def _integrator_amplifier(p: Parameters, transistors: bool, *, flicker: bool = False) -> str:
    """Integrator at the end of a bit: the amplifier's noise at the output, with the load of the sampling capacitor."""
    netlist = Netlist("integrator integrating", p.temperature, flicker=flicker)
    netlist.capacitor("integrate", "sum", "out", p["integrator.capacitance"])
    netlist.capacitor("virtual", "sum", "0", p["integrator.parasitic_capacitance"])
    netlist.resistor("bias", "sum", "out", 1e12, noisy=False)
    if transistors:
        add_models(netlist, p)
        add_amplifier_rails(netlist, p)
        netlist.resistor("sampling", "out", "sample", max(p["accumulator.on_resistance"], 1.0), noisy=False)
        netlist.capacitor("sample", "sample", "0", _capacitors(p)[0])
        add_telescopic_amplifier(netlist, p, "0", "sum", "out", "")
        return _finish(netlist, "v(sample)")
    netlist.amplifier(
        "integrator",
        "0",
        "sum",
        "out",
        dc_gain=p["integrator.dc_gain"],
        gain_bandwidth=p["integrator.gain_bandwidth"],
        noise_density=p["integrator.noise_density"],
    )
    return _finish(netlist, "v(out)")


def _sampling(p: Parameters) -> str:
    netlist = Netlist("sampling", p.temperature)
    netlist.resistor("switch", "sample", "0", max(p["accumulator.on_resistance"], 1.0))
    netlist.capacitor("sample", "sample", "0", _capacitors(p)[0])
    return _finish(netlist, "v(sample)")


def _sharing(p: Parameters) -> str:
    netlist = Netlist("sharing", p.temperature)
    first, second = _capacitors(p)
    netlist.capacitor("sample", "sample", "0", first)
    netlist.resistor("switch", "sample", "hold", max(p["accumulator.on_resistance"], 1.0))
    netlist.capacitor("hold", "hold", "0", second)
    netlist.resistor("bias", "hold", "0", 1e18, noisy=False)
    return _finish(netlist, "v(hold)")


def _gain_stage(p: Parameters) -> str:
    netlist = Netlist("gain stage", p.temperature)
    netlist.voltage("hold", "hold", "0", 0.0)
    # Without a bandwidth the divider's white noise has no integral; it is left out, as in the closed form.
    add_gain_stage(netlist, p, "", noise=math.isfinite(p["gain_stage.gain_bandwidth"]))
    return _finish(netlist, "v(gained)")
