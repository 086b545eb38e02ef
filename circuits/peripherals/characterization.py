"""From a parameter file to a `PeripheralModel`: every block simulated in ngspice, figures drawn from the runs.

The front end (conveyor, integrator, accumulator, gain stage) is run on levels that are the same in all bits, which
gives the static curve and its non-linearity; on random patterns, which show what a straight ramp hides and set gain
and offset; on a single bit, for the memory of the next; and with mismatch. The ADC is run on its codes. The
integrator's amplifier and the ADC are of transistors, or macromodels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from circuits.peripherals.curves import bit_weights, fit_line, non_linearity_table
from circuits.peripherals.disturbances import (
    CommonMode,
    Disturbances,
    simulate_common_mode,
    simulate_disturbances,
)
from circuits.peripherals.figures import HIGH_PROBE, LOW_PROBE, SIGNAL_SHOT, energies, figures, probes
from circuits.peripherals.front_end import FrontEndRun, simulate_front_end
from circuits.peripherals.model import PeripheralError, PeripheralModel, variant_name
from circuits.peripherals.noise import NoiseFloor, noise_floors
from circuits.peripherals.parameters import Parameters, load_parameters
from circuits.peripherals.plots import plot_characterization
from circuits.peripherals.ramp_adc import RampRun, simulate_ramp_adc
from circuits.peripherals.runs import Runs, reading
from circuits.spice.simulator import ngspice_version
from devicekit.common.plain import plain_dict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_REACH = 1.04
"""Levels run to this much of full scale, so that gain and offset errors do not cut the table short."""
Progress = Callable[[int, int], None]


class Characterization(Runs):
    """The model, the runs that it was drawn from, and their figures; attributes as in `Runs`."""

    def save(self, path: Path | str) -> Path:
        """Write the model, see `PeripheralModel.save`.

        Args:
            path: where.
        """
        return self.model.save(path)

    def to_dict(self) -> dict[str, Any]:
        """Return the model and the tables of its runs as plain values, see `PeripheralModel.to_dict` and `tables`."""
        return plain_dict({"model": self.model, **self.tables()})

    def plot(self) -> tuple[Figure, dict[str, Axes]]:
        """Return the page of figures and its axes by name."""
        return plot_characterization(self)


def characterize(
    parameters: str | Path | Parameters = "sonos_40nm",
    *,
    columns: int = 32,
    patterns: int = 48,
    transistors: bool = True,
    calibrate: bool = True,
    unsigned: bool = False,
    input_bits: int | None = None,
    temperature: float | None = None,
    corner: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Characterization:
    """Return the characterisation of a column's peripherals: simulated in ngspice, reduced to a `PeripheralModel`.

    Args:
        parameters: a bundled set by name, a TOML file, or a set.
        columns: columns drawn for the spread; 0 leaves mismatch out.
        patterns: random bit patterns, each level uniform over the full scale of both signs.
        transistors: whether the integrator's amplifier, the comparators and the ramp generator are transistors; energy
            is claimed then only. Otherwise they are macromodels.
        calibrate: whether the ramp is fitted to the gain of front end and ADC, once for all columns, as chips
            do; what mismatch does to the gain of a column stays.
        unsigned: whether currents have one sign and the range starts at zero signal, as offset cells need it;
            otherwise both signs, over a symmetric range. Parameters that are unsigned already stay so.
        input_bits: input bits before one conversion: 1 for digital accumulation; None for the file's.
        temperature: [K]; None for the file's.
        corner: process corner; None for typical.
        seed: of patterns and mismatch.
        progress: called with (steps done, steps).

    Returns:
        The model and the runs; ``.model`` and ``.save(path)`` are what other rooms need.

    Raises:
        PeripheralError: bad parameters, one column only, too few patterns, or an ADC that does not decide.
        MissingDependencyError: ngspice or PySpice is absent.
        SpiceError: a run fails.
    """
    p = parameters if isinstance(parameters, Parameters) else load_parameters(parameters)
    if unsigned or input_bits is not None:
        # Designed for the nominal circuit, before temperature or corner move it.
        p = p.for_use(unsigned=unsigned or p.unsigned, input_bits=input_bits)
    if temperature is not None or corner is not None:
        p = p.at(temperature=temperature, corner=corner)
    if columns == 1 or columns < 0:
        raise PeripheralError(f"Expected `columns` of 2 or more to find a spread, or 0 for none, but got {columns}.")
    if patterns < p.bits + 2:
        raise PeripheralError(f"Expected `patterns` of at least {p.bits + 2}, but got {patterns}.")
    steps = iter(range(1, 7))

    def done() -> None:
        if progress is not None:
            progress(next(steps), 6)

    pattern_seed, column_seed, threshold_seed = np.random.SeedSequence(seed).generate_state(3)
    levels = np.linspace(0.0 if p.unsigned else -_REACH, _REACH, 21)
    static = simulate_front_end(p, np.repeat(levels[:, None], p.bits, axis=1), transistors=transistors)
    done()
    if calibrate:
        p = _calibrated(p, levels, static.gain_stage, transistors)
    # What the front end gives, with a margin, and the ADC's lower end, where late comparators read no 0.
    low, high = (float(extreme(static.gain_stage)) * 1.01 for extreme in (np.min, np.max))
    low = min(low, p.lowest_voltage - (_REACH - 1) / 2 * (p.full_scale_voltage - p.lowest_voltage))
    adc = simulate_ramp_adc(p, np.linspace(low, high, 65 if transistors else p.codes), transistors=transistors)
    _require_decisions(adc)
    done()
    pattern_levels = np.random.default_rng(pattern_seed).uniform(0 if p.unsigned else -1, 1, (patterns, p.bits))
    random = simulate_front_end(p, np.concatenate([probes(p), pattern_levels]), transistors=transistors)
    done()
    gain, offset = _spread(p, columns, int(column_seed), int(threshold_seed), transistors)
    done()
    noise = noise_floors(p, transistors=transistors)
    done()
    common = None if p.unsigned else simulate_common_mode(p, transistors=transistors)
    disturbances = simulate_disturbances(p) if transistors else None
    if disturbances is not None:
        noise |= disturbances.floors(p)
    done()
    return _reduce(p, levels, static, pattern_levels, random, adc, gain, offset, noise, common, disturbances, seed)


def _calibrated(
    p: Parameters, levels: NDArray[np.float64], voltage: NDArray[np.float64], transistors: bool
) -> Parameters:
    """Return the parameters with range and ramp fitted to the front end, then the ramp to its own slope."""
    steps = p.codes - 1
    inside = np.abs(levels) <= 1
    signal = voltage[inside] / p.full_scale_voltage
    p = p.calibrated(front_end=fit_line(levels[inside], signal, zero=0.0, steps=steps).gain)
    positions = np.linspace(0.1, 0.9, 5)
    inputs = p.lowest_voltage + positions * (p.full_scale_voltage - p.lowest_voltage)
    run = simulate_ramp_adc(p, inputs, transistors=transistors)
    _require_decisions(run)
    return p.calibrated(adc=fit_line(positions, run.readings / steps, zero=p.zero, steps=steps).gain)


def _require_decisions(run: RampRun) -> None:
    if not np.all(np.isfinite(run.crossings)):
        raise PeripheralError(
            "The ADC does not decide on some values within its range: the comparator is too slow or too weak, "
            "or the ramp does not reach the front end's output."
        )


def _spread(
    p: Parameters, columns: int, seed: int, threshold_seed: int, transistors: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return gain and offset [LSB] of columns with mismatch, front end and ADC together."""
    if columns == 0:
        return np.ones(0), np.zeros(0)
    drawn = p.draw(columns, seed)
    sets = [own for own in drawn for _ in range(2)]
    errors = np.zeros((columns, 2))
    if transistors:
        pair = p["comparator.input_width"] * p["comparator.length"]
        load = p["comparator.load_width"] * p["comparator.load_length"]
        sigma = p["transistor.threshold_mismatch"] / np.sqrt([pair, load])
        errors = sigma * np.random.default_rng(threshold_seed).standard_normal((columns, 2))
    # Two levels give a column's gain and offset; the static curve has the rest. Lower ones serve where offsets leave
    # the ramp: a column that never decides has no line.
    for level in (0.8, 0.4):
        levels = np.tile([0.1 if p.unsigned else -level, level], columns)
        run = simulate_front_end(sets, np.repeat(levels[:, None], p.bits, axis=1), transistors=transistors)
        adc = simulate_ramp_adc(
            sets,
            run.gain_stage,
            transistors=transistors,
            threshold_errors=np.repeat(errors, 2, axis=0) if transistors else None,
        )
        if np.all(np.isfinite(adc.readings)):
            break
    positions = adc.readings.reshape(columns, 2) / (p.codes - 1)
    ideal = p.zero + levels.reshape(columns, 2) * (1 - p.zero)
    lines = [fit_line(x, y, zero=p.zero, steps=p.codes - 1) for x, y in zip(ideal, positions, strict=True)]
    return np.array([line.gain for line in lines]), np.array([line.offset_lsb for line in lines])


def _reduce(
    p: Parameters,
    levels: NDArray[np.float64],
    static: FrontEndRun,
    pattern_levels: NDArray[np.float64],
    random: FrontEndRun,
    adc: RampRun,
    column_gain: NDArray[np.float64],
    column_offset: NDArray[np.float64],
    noise: dict[str, NoiseFloor],
    common: CommonMode | None,
    disturbances: Disturbances | None,
    seed: int,
) -> Characterization:
    steps = p.codes - 1
    positions = p.zero + levels * (1 - p.zero)
    readings = reading(adc, static.gain_stage)
    inside = np.abs(levels) <= 1
    line = fit_line(positions[inside], readings[inside], zero=p.zero, steps=steps)
    table = non_linearity_table(positions, readings, line, zero=p.zero, codes=p.codes)

    curve = PchipInterpolator(levels, static.gain_stage)
    binary = 2.0 ** np.arange(p.bits) / (2**p.bits - 1)
    outputs = random.gain_stage[len(probes(p)) :]
    pattern_errors = (outputs - curve(pattern_levels @ binary)) / p.lsb_voltage
    # Regressed on what each level gives by itself: a curve before the sum would otherwise pass for weights.
    weights, _, _ = bit_weights(curve(pattern_levels), outputs)
    weights = weights / weights.sum()
    sums = pattern_levels @ weights
    weighted_errors = (outputs - curve(sums)) / p.lsb_voltage
    # What patterns change in proportion to their sum is gain to a network, whose bits are as good as random.
    signal = sums * (1 - p.zero)
    shift, slope = np.polynomial.polynomial.polyfit(signal, weighted_errors, 1)
    rest = weighted_errors - shift - slope * signal
    limits = p.zero + random.gain_stage[LOW_PROBE : HIGH_PROBE + 1] / (p.full_scale_voltage - p.lowest_voltage)

    if not limits[0] < limits[1]:
        raise PeripheralError(
            f"The circuits of {p.name} do not work at {p['input.full_scale_current']:.3g} A full scale: overdriven, "
            f"the integrator's amplifier (bias {p['amplifier.tail_current']:.3g} A) folds back. Size them for these "
            "currents."
        )
    constant = [floor.lsb for name, floor in noise.items() if name != SIGNAL_SHOT]
    source = (
        f"ngspice {ngspice_version()}, parameters {p.name}, {len(pattern_levels)} patterns, "
        f"{len(column_gain)} columns, {'behavioural' if disturbances is None else 'blocks at transistor level'}, "
        f"seed {seed}"
    )
    model = PeripheralModel(
        name=variant_name(p.name, unsigned=p.unsigned, one_bit=p.bits == 1),
        kind="simulated",
        source=source,
        adc_bits=round(p["adc.bits"]),
        zero=p.zero,
        temperature=p.temperature,
        corner=p.corner,
        gain=line.gain + float(slope) / steps,
        gain_sigma=float(np.std(column_gain, ddof=1)) if column_gain.size else 0.0,
        offset_lsb=line.offset_lsb + float(shift),
        offset_sigma_lsb=float(np.std(column_offset, ddof=1)) if column_offset.size else 0.0,
        inl_lsb=tuple(float(value) for value in np.round(table, 6)),
        noise_lsb=math.hypot(*constant),
        shot_noise_lsb=noise[SIGNAL_SHOT].lsb,
        pattern_lsb=float(np.sqrt(np.sum(rest**2) / (len(rest) - 2))),
        clip_low=float(limits[0]),
        clip_high=float(limits[1]),
        bit_weights=tuple(float(weight) for weight in weights) if p.bits > 1 else None,
        energy=energies(random, adc, source),
        figures=figures(p, random, adc, noise, table, pattern_errors, common, disturbances, source),
    )
    return Characterization(
        model=model,
        parameters=p,
        levels=levels,
        front_end=static.gain_stage,
        adc=adc,
        pattern_levels=pattern_levels,
        pattern_errors=pattern_errors,
        weighted_errors=weighted_errors,
        column_gain=column_gain,
        column_offset_lsb=column_offset,
        noise=noise,
        waveform_time=random.time,
        waveforms=dict(random.waveforms),
    )
