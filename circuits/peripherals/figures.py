"""Named figures of a characterisation: what each block does by itself, with unit and source."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from circuits.peripherals.curves import transition_non_linearity
from circuits.peripherals.disturbances import CommonMode, Disturbances
from circuits.peripherals.front_end import FrontEndRun, Schedule
from circuits.peripherals.noise import NoiseFloor
from circuits.peripherals.parameters import Parameters
from circuits.peripherals.ramp_adc import RampRun
from devicekit.common.provenance import Constant, Kind

_OVERDRIVE = 8.0
"""Level that drives every stage to its limit."""
_ALTERNATING, _REST, _SINGLE, LOW_PROBE, HIGH_PROBE = range(5)

SIGNAL_SHOT = "shot noise of the signal"
"""The one noise source whose variance goes with the signal."""


def probes(p: Parameters) -> NDArray[np.float64]:
    """Return bit levels that show single effects, shape (5, bits).

    A full step in every bit up and down, no signal, the last bit but one alone (of one bit, that bit), and both
    limits.

    Args:
        p: parameters.
    """
    levels = np.zeros((5, p.bits))
    sign = (-1.0) ** np.arange(p.bits, 0, -1)
    levels[_ALTERNATING] = (1 + sign) / 2 if p.unsigned else sign
    levels[_SINGLE, max(p.bits - 2, 0)] = 1.0
    # Cells alone on their line give no negative current: below zero signal the range ends, not the circuit.
    # An amplifier driven with more than its bias folds: what clips is looked for below.
    bias, full = p["amplifier.tail_current"], p["input.full_scale_current"]
    drive = _OVERDRIVE if _OVERDRIVE * full <= bias else min(_OVERDRIVE, 0.5 * bias / full)
    levels[LOW_PROBE], levels[HIGH_PROBE] = -1.0 if p.unsigned else -drive, drive
    return levels


def figures(
    p: Parameters,
    random: FrontEndRun,
    adc: RampRun,
    noise: dict[str, NoiseFloor],
    table: NDArray[np.float64],
    pattern_errors: NDArray[np.float64],
    common: CommonMode | None,
    disturbances: Disturbances | None,
    source: str,
) -> dict[str, Constant]:
    """Return the figures of every block.

    Args:
        p: parameters.
        random: front end on `probes`, followed by random patterns.
        adc: run of the ADC.
        noise: noise sources.
        table: INL of the whole chain [LSB].
        pattern_errors: random patterns against the static curve [LSB].
        common: by the common current; None for a line alone.
        disturbances: by supply and neighbours; None for macromodels.
        source: what the figures are drawn from.
    """
    rest, single = random.integrator[_REST], random.integrator[_SINGLE]
    held_rest, held = random.accumulator[_REST], random.accumulator[_SINGLE]
    full = p["input.full_scale_current"] * p["timing.integration_time"] / p["integrator.capacitance"]
    transitions = adc.transitions()
    _, differential = transition_non_linearity(transitions[np.isfinite(transitions)])
    total = float(np.sqrt(sum(floor.lsb**2 for name, floor in noise.items() if name != SIGNAL_SHOT)))
    step, held_step = single - rest, held - held_rest
    own = max(p.bits - 2, 0)
    values: dict[str, tuple[float, str]] = {
        "integrator_gain_error": (float(step[own] / full - 1), ""),
        "integrator_offset": (float(rest[0]), "V"),
        "integrator_clip_low": (float(random.integrator[LOW_PROBE, 0]), "V"),
        "integrator_clip_high": (float(random.integrator[HIGH_PROBE, 0]), "V"),
        "accumulator_sample_weight": (float(held_step[own] / step[own]), ""),
        "accumulator_offset": (float(held_rest[-1]), "V"),
        "gain_stage_settling_time": (settling_time(p, random), "s"),
        "adc_dnl_max_lsb": (float(np.max(np.abs(differential))), ""),
        "adc_delay": (float(np.mean(adc.readings - _ideal_codes(p, adc)) * adc.clock_period), "s"),
        "front_end_gain": (p.calibration, ""),
        "chain_inl_max_lsb": (float(np.max(np.abs(table))), ""),
        "chain_dnl_max_lsb": (float(np.max(np.abs(np.diff(table)))), ""),
        "pattern_scatter_lsb": (float(np.std(pattern_errors)), ""),
        "chain_input_noise": (total * p["input.full_scale_current"] / (1 - p.zero) / (p.codes - 1), "A"),
    }
    if p.bits > 1:
        values |= {
            "integrator_memory": (float(step[-1] / step[-2]), ""),
            "accumulator_halving": (float(held_step[-1] / held_step[-2]), ""),
        }
    if common is not None:
        values |= {"common_mode_gain": (common.gain, ""), "common_mode_offset_lsb": (common.offset_lsb, "")}
    if disturbances is not None:
        values |= {
            "supply_offset_lsb_per_v": (disturbances.supply_offset_lsb, "1/V"),
            "supply_gain_per_v": (disturbances.supply_gain, "1/V"),
            "kick_back_lsb": (disturbances.kick_back_lsb, ""),
        }
    values |= {f"noise_{name.replace(' ', '_')}_lsb": (floor.lsb, "") for name, floor in noise.items()}
    result = {}
    for name, (value, unit) in values.items():
        closed = name.startswith(("noise_shot", "noise_clock", "noise_bias"))
        kind: Kind = "assumed" if closed else "simulated"
        result[name] = Constant(
            value=value, unit=unit, kind=kind, source=f"closed form, parameters {p.name}" if closed else source
        )
    return result


def _ideal_codes(p: Parameters, adc: RampRun) -> NDArray[np.float64]:
    return (adc.inputs - p.lowest_voltage) / adc.lsb


def settling_time(p: Parameters, run: FrontEndRun) -> float:
    """Return the time from the last sharing of charge until the gain stage stays within half an LSB [s].

    Args:
        p: parameters.
        run: whose waveforms show the first column.
    """
    schedule = Schedule.of(p)
    shared = float(schedule.samples[-1]) + schedule.guard
    wave = run.waveforms["gained"]
    outside = (np.abs(wave - wave[-1]) > 0.5 * p.lsb_voltage) & (run.time > shared)
    return float(run.time[outside][-1] - shared) if outside.any() else 0.0


def energies(random: FrontEndRun, adc: RampRun, source: str) -> dict[str, Constant]:
    """Return the energy of one conversion for the blocks that were simulated as transistors.

    Args:
        random: front end.
        adc: run of the ADC.
        source: what the figures are drawn from.
    """
    if random.amplifier_energy is None or adc.comparator_energy is None or adc.ramp_energy is None:
        return {}
    integrated = f"supply current of the transistors integrated over {random.integrator.shape[1]} bits"
    counted = "supply current of the transistors integrated over one ramp, bias reference left out"
    shared = (
        "supply current of the transistors integrated over one ramp, reference branch included; one for all columns"
    )
    return {
        "integrator_amplifier": Constant(
            value=random.amplifier_energy,
            unit="J",
            kind="simulated",
            source=f"{integrated}, bias reference left out; {source}",
        ),
        "comparator": Constant(value=adc.comparator_energy, unit="J", kind="simulated", source=f"{counted}; {source}"),
        "ramp_generator": Constant(value=adc.ramp_energy, unit="J", kind="simulated", source=f"{shared}; {source}"),
    }
