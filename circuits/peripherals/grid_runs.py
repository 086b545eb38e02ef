"""Runs in ngspice behind a `PeripheralGrid`: a characterisation at each full-scale and common current of a circuit."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from circuits.designs import CoreDesign
from circuits.peripherals.characterization import characterize
from circuits.peripherals.curves import fit_line
from circuits.peripherals.definitions import DEFINITIONS
from circuits.peripherals.front_end import simulate_front_end
from circuits.peripherals.grid import LINEAR, SPREADS, GridPoint, PeripheralGrid
from circuits.peripherals.model import ADC_NOISE, PeripheralError
from circuits.peripherals.parameters import Parameters
from circuits.peripherals.ramp_adc import simulate_ramp_adc
from circuits.peripherals.runs import Runs, reading
from circuits.peripherals.sizing import Sizing, range_voltage, tap_for, voltage_at_unity
from devicekit.common.paths import replacing

COMMON_SHARES = (1.0,)
"""Common currents of the runs over the load's; patterns of a run spread around it, see `patterns`."""
_LEAST_WINDOW = 1.3
"""Full-scale currents that a tap serves alone, largest over smallest, for runs of its own."""
PATTERNS = 48
_INL_POINTS = 33
_BIT_SPREAD, _COMMON_SPREAD = 0.3, 0.5
"""Spread of the normal levels of each bit of a pattern over full scale, and of common currents over their mean."""
_CONVEYOR = "conveyor.mismatch"

Progress = Callable[[int, int], None]


def at_currents(
    p: Parameters, sizing: Sizing, full_scale: float, common: float, tap: float | None = None
) -> Parameters:
    """Return a sized circuit with its gain stage and range at other currents.

    Args:
        p: of the sized circuit, `Sizing.apply`.
        sizing: its sizing.
        full_scale: full-scale current [A].
        common: [A].
        tap: gain of the gain stage; None for the one that realises the range.
    """
    own = tap_for(p, sizing.capacitance_f, sizing.taps, full_scale)
    return p.with_values(
        {"input.full_scale_current": full_scale, "input.common_current": common, "gain_stage.gain": tap or own},
        redesign=True,
    )


def places(p: Parameters, sizing: Sizing) -> list[tuple[float, float, float]]:
    """Return tap, full-scale [A] and common current [A] of the runs: both ends of each tap, from the least upwards.

    Args:
        p: of the sized circuit.
        sizing: its sizing.
    """
    unity = voltage_at_unity(p, sizing.capacitance_f, 1.0)
    load = sizing.load
    commons = [0.0] if p.unsigned else [share * load.common_a for share in COMMON_SHARES]
    found = []
    for tap in sizing.taps:
        # A range beyond the largest bit leaves the integrator's swing.
        most = max(load.largest_range_a, min(load.largest_range_a * 1.5, load.largest_bit_a))
        top = min(range_voltage(p) / (unity * tap), most)
        last = tap == sizing.taps[-1]
        # The last tap serves all that is smaller, down to a quarter of the ADC's input.
        low = range_voltage(p) / (unity * tap) / (4 if last else 2)
        if low * _LEAST_WINDOW < top or low < load.largest_range_a <= top:
            found += [(tap, scale, common) for scale in (low, top) for common in commons]
    return found


def patterns(p: Parameters, seed: int, count: int = PATTERNS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return random bit levels, and common currents over their mean, each of shape (patterns, bits).

    Args:
        p: parameters.
        seed: of both.
        count: how many.
    """
    rng = np.random.default_rng(seed)
    shape = count, p.bits
    if p.unsigned:
        return np.clip(np.abs(0.45 * rng.standard_normal(shape)), 0.0, 1.0), np.ones(shape)
    levels = np.clip((_BIT_SPREAD if p.bits > 1 else 0.45) * rng.standard_normal(shape), -1.0, 1.0)
    shared = rng.standard_normal((count, 1)) if p.bits > 1 else np.zeros((count, 1))
    commons = 1 + _COMMON_SPREAD * (shared + rng.standard_normal(shape)) / math.sqrt(2 if p.bits > 1 else 1)
    # A line carries at least half of the difference of the two.
    least = np.abs(levels) * p["input.full_scale_current"] / 2 / p["input.common_current"]
    return levels, np.maximum(commons, np.maximum(least, 0.05))


def read_patterns(
    p: Parameters, run: Runs, levels: NDArray[np.float64], commons: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return positions that a calibrated circuit reads for patterns, without noise, shape (patterns,).

    Args:
        p: of the circuit, with its calibrated range and ramp.
        run: holds a run of its ADC.
        levels: of the bits, shape (patterns, bits).
        commons: over ``input.common_current``, same shape.
    """
    front = simulate_front_end(p, levels, common_levels=commons, transistors=True)
    return reading(run.adc, front.gain_stage)


def simulate_point(p: Parameters, *, seed: int = 0) -> GridPoint:
    """Return one point of a grid.

    Args:
        p: the circuit at its currents, `at_currents`.
        seed: of the patterns.

    Raises:
        PeripheralError: an ADC that does not decide.
        MissingDependencyError: ngspice or PySpice is absent.
        SpiceError: a run fails.
    """
    run = characterize(p, columns=0, patterns=max(12, p.bits + 2), seed=seed)
    calibrated, model = run.parameters, run.model
    figures: dict[str, float] = {name: float(getattr(model, name)) for name in (*LINEAR, *SPREADS)}
    figures |= _of_common(calibrated, run, seed)
    figures |= _spreads(calibrated)
    own = {name: model.figures[name].value for name in ADC_NOISE if name in model.figures}
    figures["noise_before_adc_lsb"] = math.sqrt(max(model.noise_lsb**2 - sum(v**2 for v in own.values()), 0.0))
    shot = model.figures.get("noise_shot_noise_of_the_common_current_lsb")
    figures["noise_common_lsb"] = 0.0 if shot is None else shot.value
    figures["calibration"] = calibrated.calibration
    figures["ramp"] = calibrated.ramp_current / p.ramp_current / calibrated.calibration
    figures["settling_time"] = model.figures["gain_stage_settling_time"].value
    figures["kick_back_lsb"] = model.figures["kick_back_lsb"].value
    energy = {name: constant.value for name, constant in model.energy.items()}
    lines = 1 if p.unsigned else 2
    branch = p["conveyor.bias_current"] + (
        p["input.full_scale_current"] / 3 if p.unsigned else p["input.common_current"]
    )
    energy["conveyor"] = lines * branch * p["supply.voltage"] * p.bit_period * p.bits
    grid = np.linspace(0, 1, len(model.inl_lsb))
    inl = np.interp(np.linspace(0, 1, _INL_POINTS), grid, model.inl)
    return GridPoint(
        full_scale_a=p["input.full_scale_current"],
        common_a=0.0 if p.unsigned else p["input.common_current"],
        tap=p["gain_stage.gain"],
        figures={name: float(f"{value:.7g}") for name, value in figures.items()},
        inl_lsb=tuple(float(f"{value:.5f}") for value in inl),
        energy_j={name: float(f"{value:.5g}") for name, value in energy.items()},
    )


def _of_common(p: Parameters, run: Runs, seed: int) -> dict[str, float]:
    """Return what the common current does to gain and offset, and what it leaves of patterns, from random ones."""
    if p.unsigned:
        return {}
    model = run.model
    levels, commons = patterns(p, seed + 1)
    positions = read_patterns(p, run, levels, commons)
    weights = np.array(model.bit_weights or (1.0,))
    signal, excess = (levels @ weights) * (1 - p.zero), commons @ weights - 1
    steps = p.codes - 1
    residual = (positions - p.zero - model.gain * signal) * steps - model.offset_lsb
    residual -= np.interp(p.zero + signal, np.linspace(0, 1, len(model.inl_lsb)), model.inl)
    terms = np.stack([signal * excess * steps, excess], axis=1)
    solution, *_ = np.linalg.lstsq(terms, residual, rcond=None)
    rest = residual - terms @ solution
    return {
        "common_gain": float(solution[0]) / model.gain,
        "common_offset_lsb": float(solution[1]),
        "pattern_lsb": float(np.sqrt(np.sum(rest**2) / (len(rest) - 2))),
    }


def mismatch_responses(p: Parameters) -> dict[str, tuple[float, float]]:
    """Return the change of gain and offset [LSB] by one standard deviation of each mismatch, by name.

    Args:
        p: the calibrated circuit.
    """
    names = [*sorted(p.mismatch)]
    sets = [p]
    for name in names:
        step = p.mismatch[name]
        sets.append(p.with_values({name: p[name] + (step if DEFINITIONS[name].ideal == 0 else step * p[name])}))
    levels = np.tile([0.1 if p.unsigned else -0.8, 0.8], len(sets))
    front = simulate_front_end(
        [own for own in sets for _ in range(2)], np.repeat(levels[:, None], p.bits, axis=1), transistors=True
    )
    pair = p["comparator.input_width"] * p["comparator.length"]
    load = p["comparator.load_width"] * p["comparator.load_length"]
    sigma = p["transistor.threshold_mismatch"] / np.sqrt([pair, load])
    # Comparators with one threshold moved read the plain circuit.
    errors = np.concatenate([np.zeros((len(sets), 2)), np.diag(sigma)])
    voltages = np.concatenate([front.gain_stage.reshape(-1, 2), np.tile(front.gain_stage[:2], (2, 1))])
    adc = simulate_ramp_adc(p, voltages.ravel(), transistors=True, threshold_errors=np.repeat(errors, 2, axis=0))
    positions = adc.readings.reshape(-1, 2) / (p.codes - 1)
    ideal = p.zero + levels[:2] * (1 - p.zero)
    lines = [fit_line(ideal, own, zero=p.zero, steps=p.codes - 1) for own in positions]
    found = {}
    for name, line in zip([*names, "comparator.pair", "comparator.load"], lines[1:], strict=True):
        found[name] = line.gain - lines[0].gain, line.offset_lsb - lines[0].offset_lsb
    # The transistor comparator draws its own thresholds instead of the macromodel's offset.
    found.pop("adc.comparator_offset", None)
    return found


def _spreads(p: Parameters) -> dict[str, float]:
    """Return gain and offset spreads from the responses to each mismatch; variances add."""
    found = mismatch_responses(p)
    follows = not p.unsigned and _CONVEYOR in found
    apart = found.pop(_CONVEYOR) if follows else (0.0, 0.0)
    return {
        "gain_sigma": math.hypot(apart[0], *(gain for gain, _ in found.values())),
        "offset_sigma_lsb": math.hypot(*(offset for _, offset in found.values())),
        "common_offset_sigma_lsb": abs(apart[1]),
    }


def simulate_grid(
    p: Parameters,
    sizing: Sizing,
    design: CoreDesign,
    *,
    seed: int = 0,
    kept: Path | None = None,
    progress: Progress | None = None,
) -> PeripheralGrid:
    """Return the peripherals of a sized circuit over its currents, simulated in ngspice.

    Args:
        p: of the sized circuit, `Sizing.apply`.
        sizing: its sizing.
        design: the design it is sized for.
        seed: of the patterns.
        kept: file that holds points already simulated, and is written after each; None keeps none.
        progress: called with (points done, points).

    Raises:
        PeripheralError: an ADC that does not decide.
        MissingDependencyError: ngspice or PySpice is absent.
        SpiceError: a run fails.
    """
    from circuits.spice.simulator import ngspice_version

    known = json.loads(kept.read_text("utf-8")) if kept is not None and kept.is_file() else []
    points = [GridPoint.model_validate(values) for values in known]
    wanted = places(p, sizing)
    weights: tuple[float, ...] | None = None
    for done, (tap, scale, common) in enumerate(wanted, start=1):
        own = at_currents(p, sizing, scale, common or p["input.common_current"], tap)
        known_here = [
            q
            for q in points
            if math.isclose(q.full_scale_a, scale) and math.isclose(q.common_a, common) and q.tap == tap
        ]
        if not known_here:
            try:
                points.append(simulate_point(own, seed=seed))
            except PeripheralError:
                # The last tap reaches down as far as its ADC decides.
                if not (tap == sizing.taps[-1] and scale == min(place[1] for place in wanted)):
                    raise
                points.append(
                    simulate_point(at_currents(p, sizing, 2 * scale, own["input.common_current"], tap), seed=seed)
                )
            if kept is not None:
                with replacing(kept) as temporary:
                    temporary.write_text(json.dumps([q.model_dump(mode="json") for q in points]), "utf-8")
        if progress is not None:
            progress(done, len(wanted))
    if p.bits > 1:
        weights = _bit_weights(p)
    return PeripheralGrid(
        name=f"{p.name} sized for {design.name}",
        design=design.name,
        source=f"ngspice {ngspice_version()}, parameters {p.name}, transistors, seed {seed}",
        adc_bits=round(p["adc.bits"]),
        zero=p.zero,
        temperature=p.temperature,
        bit_weights=weights,
        sizing=sizing.to_dict() | {"rows": design.rows_per_array, "cell_bits": design.cell_bits},
        points=tuple(points),
    )


def _bit_weights(p: Parameters) -> tuple[float, ...]:
    """Return the weights of the input bits: a single bit at a time, in the middle of the circuit's range."""
    levels = np.concatenate([np.zeros((1, p.bits)), 0.5 * np.eye(p.bits)])
    output = simulate_front_end(p, levels, transistors=True).gain_stage
    weights = (output[1:] - output[0]) / np.sum(output[1:] - output[0])
    return tuple(float(weight) for weight in weights)
