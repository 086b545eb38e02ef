"""ADCs with the errors of their own circuit: from values to codes, one converter a column; pure functions on arrays.

Values are on the scale of codes: the ideal transition from code k - 1 to code k lies at k - 1/2. A positive offset
reads too high. Converters of no error give ``rint(clip(value, 0, 2**bits - 1))`` but for values on a transition.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from devicekit.common.errors import DesignError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Normals = Callable[[], NDArray[np.floating]]
"""Gives fresh standard normals, one a value, at each call."""


class Converters(Protocol):
    """ADCs of one resolution beside each other, each with its own errors."""

    def codes(self, values: Floats, normals: Normals | None = None) -> Integers:
        """Return the codes of values, from 0.

        Args:
            values: [LSB], shape (..., converters).
            normals: source of the noise; None leaves noise out.
        """
        ...


_MOST_STEPS = 8
"""Codes by which levels may be off for a guess and steps to be faster than a search."""


def slack_of(levels: Floats) -> int:
    """Return by how many codes a value's count of levels may differ from that of ideal levels; (..., count) [LSB]."""
    return math.ceil(float(np.abs(levels - (np.arange(levels.shape[-1]) + 0.5)).max(initial=0.0)))


def levels_below(values: Floats, levels: Floats, slack: int) -> Integers:
    """Return the number of levels at or below each value.

    Near-ideal levels are found from the ideal ones in a few steps, others by a search.

    Args:
        values: [LSB], shape (..., converters).
        levels: ascending [LSB], shape (converters, count), or (1, count) for all.
        slack: `slack_of` the levels.
    """
    converters, count = levels.shape
    if slack > _MOST_STEPS:
        if converters == 1:
            return np.searchsorted(levels[0], values, side="right").astype(np.int64)
        result = np.empty(values.shape, dtype=np.int64)
        for own, row in enumerate(levels):
            result[..., own] = np.searchsorted(row, values[..., own], side="right")
        return result
    # No value is beyond what stands at the ends.
    ends = np.full((converters, 1), np.nan)
    table = np.hstack([ends, levels, ends]).ravel()
    base = (count + 2) * np.arange(converters) if converters > 1 else 0
    place = np.fmin(np.fmax(np.floor(values + 0.5), 0), count).astype(np.int64)
    place += base
    for _ in range(slack):
        place += table.take(place + 1, mode="clip") <= values
    for _ in range(slack):
        place -= table.take(place, mode="clip") > values
    place -= base
    return place


@dataclass(frozen=True, eq=False)
class Levels:
    """Converters that count the transition levels below a value: ramp and flash.

    Attributes:
        levels: transition levels [LSB], ascending; shape (converters, 2**bits - 1), or (1, 2**bits - 1) where all share
            them.
        offsets: of each converter [LSB], shape (converters,).
        noise_lsb: input-referred noise of a conversion, rms [LSB].
    """

    levels: Floats
    offsets: Floats
    noise_lsb: float = 0.0

    def codes(self, values: Floats, normals: Normals | None = None) -> Integers:
        """Return the number of levels at or below each value, its converter's offset and noise added."""
        seen = values + self.offsets
        if self.noise_lsb and normals is not None:
            seen = seen + self.noise_lsb * normals()
        return levels_below(seen, self.levels, self._slack)

    @cached_property
    def _slack(self) -> int:
        return slack_of(self.levels)

    def transitions(self) -> Floats:
        """Return the levels as seen at the input, shape (converters, 2**bits - 1) [LSB]."""
        return self.levels - self.offsets[:, None]


@dataclass(frozen=True, eq=False)
class BinarySearch:
    """Successive approximation: each bit is kept where the value reaches what the bits so far and this one weigh.

    Attributes:
        weights: of each bit [LSB], the most significant first; shape (converters, bits).
        offsets: of each comparator [LSB], shape (converters,).
        decision_noise_lsb: noise of the comparator, fresh at each decision, rms [LSB].
        noise_lsb: noise of the sampled value, the same for all decisions of a conversion, rms [LSB].
    """

    weights: Floats
    offsets: Floats
    decision_noise_lsb: float = 0.0
    noise_lsb: float = 0.0

    def codes(self, values: Floats, normals: Normals | None = None) -> Integers:
        """Return what the search finds for each value."""
        signal = values
        if self.noise_lsb and normals is not None:
            signal = signal + self.noise_lsb * normals()
        if not self.decision_noise_lsb or normals is None:
            levels, slack = self._static
            return levels_below(signal + 0.0, levels, slack)
        # What is left of the value after the bits so far.
        rest = signal + (0.5 + self.offsets)
        code = np.zeros(rest.shape, dtype=np.int64)
        for weight in self.weights.T:
            keep = rest + self.decision_noise_lsb * normals() >= weight
            rest -= weight * keep
            code += code
            code += keep
        return code

    @cached_property
    def _static(self) -> tuple[Floats, int]:
        """Transitions without noise, and how far they lie from the ideal ones."""
        levels = self.transitions()
        return levels, slack_of(levels)

    def transitions(self) -> Floats:
        """Return the value above which each code or a higher one is found, shape (converters, 2**bits - 1) [LSB].

        Noise left out. What the search compares with at a node counts only where values reach that node: a trial level
        beyond one of an earlier decision moves to that one, and the codes between are missing.
        """
        converters, bits = self.weights.shape
        result = np.empty((converters, 2**bits - 1))
        lowest, highest = np.full((converters, 1), -np.inf), np.full((converters, 1), np.inf)
        level = np.zeros((converters, 1))
        for bit in range(bits):
            trial = level + self.weights[:, bit : bit + 1]
            # Nodes of this bit decide between the codes below and from an odd multiple of 2**(bits - 1 - bit).
            split = np.clip(trial, lowest, highest)
            step = 2 ** (bits - 1 - bit)
            result[:, step - 1 :: 2 * step] = split
            level = np.stack([level, trial], axis=2).reshape(converters, -1)
            lowest = np.stack([lowest, split], axis=2).reshape(converters, -1)
            highest = np.stack([split, highest], axis=2).reshape(converters, -1)
        return result - 0.5 - self.offsets[:, None]


@dataclass(frozen=True, eq=False)
class Pipeline:
    """Stages of a bit and a half, then a flash of two bits; the digital side adds what the stages decided.

    A stage decides d = -1, 0 or 1 at the levels -1/4 and 1/4 of its range [-1, 1), and passes on 2 (1 + e) (v - d/2).
    A decision that is off by less than a quarter is made good by the stages behind; a gain error e is not.

    Attributes:
        bits: of the code.
        gain_errors: e of each stage, shape (converters, bits - 2).
        offsets: of the stages' two comparators each, shape (converters, bits - 2, 2) [share of the range's half].
        noise_lsb: input-referred noise of a conversion, rms [LSB].
    """

    bits: int
    gain_errors: Floats
    offsets: Floats
    noise_lsb: float = 0.0

    def codes(self, values: Floats, normals: Normals | None = None) -> Integers:
        """Return what stages and flash add up to, within the codes."""
        signal = values + 0.5
        if self.noise_lsb and normals is not None:
            signal = signal + self.noise_lsb * normals()
        half = 2.0 ** (self.bits - 1)
        v = signal / half - 1.0
        code = np.full(v.shape, int(half), dtype=np.int64)
        stages = self.gain_errors.shape[1]
        for stage in range(stages):
            low, high = self.offsets[:, stage, 0] - 0.25, self.offsets[:, stage, 1] + 0.25
            decision = (v >= high).astype(np.int64) - (v < low)
            v = 2.0 * (1.0 + self.gain_errors[:, stage]) * (v - 0.5 * decision)
            code += decision * 2 ** (self.bits - 2 - stage)
        last = 2 ** (self.bits - 1 - stages)
        code += np.clip(np.floor(v * last), -last, last - 1).astype(np.int64)
        return np.clip(code, 0, 2**self.bits - 1)


# -- what mismatch makes of a circuit ----------------------------------------------------------------------------------


def capacitor_weights(bits: int, unit_mismatch: float, normals: Floats) -> Floats:
    """Return the bits' weights [LSB] of a binary-weighted capacitor array, the most significant first.

    C_b is 2**b unit capacitors, with spread sigma_u sqrt(2**b) in units; one more unit ends the array. A weight is
    2**bits C_b / C_total. The step into the upper half has sigma_DNL = sqrt(2**bits - 1) sigma_u.

    Args:
        bits: resolution.
        unit_mismatch: sigma_u, relative spread of a unit capacitor.
        normals: standard normals, shape (converters, bits + 1): of the bits' capacitors and of the last unit.
    """
    units = np.append(2.0 ** np.arange(bits - 1, -1, -1), 1.0)
    capacitors = np.maximum(units + unit_mismatch * np.sqrt(units) * normals, 1e-6)
    return np.asarray(2.0**bits * capacitors[:, :-1] / capacitors.sum(axis=1, keepdims=True))


def bow_shape(places: Floats, droop: float) -> Floats:
    """Return a ramp that a finite output resistance bends, (1 - e^(-x p)) / (1 - e^-x), straight at the ends.

    Args:
        places: shares p of the ramp's time.
        droop: x = T / (R C), time of the ramp over the time constant of its generator; 0 is straight.
    """
    if abs(droop) < 1e-9:
        return places
    return np.asarray(np.expm1(-droop * places) / np.expm1(-droop))


def droop_of(bow: float) -> float:
    """Return the x of `bow_shape` whose largest deviation from the straight line is `bow`, a share of the range.

    For small x the bow is x / 8.

    Raises:
        DesignError: a bow of half the range or more.
    """
    from scipy.optimize import brentq

    if bow == 0:
        return 0.0

    def largest(droop: float) -> float:
        place = np.log(droop / -np.expm1(-droop)) / droop  # where the slope is that of the line
        return float(bow_shape(np.array(place), droop) - place)

    size = abs(bow)
    if size >= 0.5:
        raise DesignError(f"Expected a ramp's bow below half of its range, but got {size:g} of it.")
    droop = float(brentq(lambda x: largest(x) - size, 1e-8, 50.0, xtol=1e-14)) if size > 1e-9 else 8.0 * size
    return droop if bow > 0 else -droop


def ramp_levels(bits: int, bow_lsb: float, step_mismatch: float, normals: Floats) -> Floats:
    """Return the transition levels [LSB] of a ramp whose ends are calibrated, shape (2**bits - 1,).

    A current that differs by sigma_s from step to step, and never turns round, charges a capacitor; a conductance takes
    part of it away, v_(k+1) = v_k e^(-x/n) + i_k n/x (1 - e^(-x/n)), n = 2**bits - 2 steps, which bends the ramp as
    `bow_shape` says. Without bow the steps add up to a Brownian bridge, of INL sigma_s sqrt(k (1 - k / n)). A ramp that
    is early reads too low; a positive `bow_lsb` reads too high, as positive INL does.

    Args:
        bits: resolution.
        bow_lsb: largest deviation from the straight ramp [LSB].
        step_mismatch: sigma_s, relative spread of a step.
        normals: standard normals, shape (2**bits - 2,).
    """
    steps = np.maximum(1.0 + step_mismatch * normals, 0.0)
    count = steps.size
    if count == 0 or not np.any(steps):
        return np.asarray(np.arange(count + 1) + 0.5, dtype=np.float64)
    # A code is a time: a ramp that is early at equal times is met early, at a lower code.
    droop = droop_of(-bow_lsb / count)
    edges = np.arange(count + 1) / count
    charge = np.concatenate([[0.0], np.cumsum(steps * np.exp(droop * edges[1:]))]) * np.exp(-droop * edges)
    # The counter stops at the first edge beyond the value, also where a drooping ramp falls back behind it.
    return np.asarray(0.5 + count * np.maximum.accumulate(charge / charge[-1]))


def flash_levels(bits: int, offset_lsb: float, ladder_mismatch: float, normals: Floats) -> Floats:
    """Return the transition levels [LSB] of flash ADCs, ascending, shape (converters, 2**bits - 1).

    A ladder of 2**bits resistors between references half a code outside the range, each off by a relative sigma_r, and
    a comparator a level, off by sigma_o: DNL has sigma sqrt(2 sigma_o^2 + sigma_r^2), INL of the ladder
    sigma_r sqrt(k (1 - k / 2**bits)). Thermometer codes are summed, so that the code is the number of levels below the
    value whatever their order.

    Args:
        bits: resolution.
        offset_lsb: sigma_o [LSB].
        ladder_mismatch: sigma_r.
        normals: standard normals, shape (converters, 2**(bits + 1) - 1): of the resistors, then of the comparators.
    """
    resistors = np.maximum(1.0 + ladder_mismatch * normals[:, : 2**bits], 1e-6)
    taps = np.cumsum(resistors, axis=1)
    taps = 2.0**bits * taps[:, :-1] / taps[:, -1:]
    return np.sort(taps - 0.5 + offset_lsb * normals[:, 2**bits :], axis=1)
