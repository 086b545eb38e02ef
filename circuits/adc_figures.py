"""What a histogram says of ADCs as built: DNL, INL, missing codes, effective bits (IEEE Std 1241-2010)."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.adc import Adc
from circuits.adc_transfer import AdcErrors
from circuits.converters.drawn import Converters, Floats
from devicekit.common.errors import DesignError
from devicekit.common.plain import plain_dict

POINTS = 64
"""Values a code in a histogram: levels are found to 1/128 LSB."""
MOST_BITS = 14
"""Resolution up to which histograms are taken."""
_AT_ONCE = 1 << 20
"""Values that are converted together."""


@dataclass(frozen=True, eq=False)
class AdcFigures:
    """Figures of ADCs as built, one row a converter.

    Attributes:
        name: what the ADC is called.
        kind: its kind.
        bits: its resolution.
        dnl_lsb: width of each inner code less the mean one, shape (converters, 2**bits - 2) [LSB].
        inl_lsb: straight line through the first and last transition less each transition, positive where the reading is
            too high; shape (converters, 2**bits - 1) [LSB].
        offset_lsb: mean reading less the value in mid-range, shape (converters,) [LSB].
        gain: codes between first and last transition over the LSB between them, shape (converters,).
        enob: effective bits by the signal-to-noise law, noise included, gain and offset taken out; shape (converters,).
        missing_codes: codes that no value gives, noise left out; shape (converters,).
        monotonic: whether a larger value never gives a smaller code; shape (converters,).
    """

    name: str
    kind: str
    bits: int
    dnl_lsb: Floats
    inl_lsb: Floats
    offset_lsb: Floats
    gain: Floats
    enob: Floats
    missing_codes: NDArray[np.int64]
    monotonic: NDArray[np.bool_]

    @property
    def middle_dnl_lsb(self) -> Floats:
        """DNL of the code below the middle, where all bits of a binary-weighted array switch; shape (converters,)."""
        return np.asarray(self.dnl_lsb[:, 2 ** (self.bits - 1) - 2])

    @property
    def sndr_db(self) -> Floats:
        """Signal-to-noise-and-distortion ratio of a full-scale sine, 6.02 ENOB + 1.76 dB; shape (converters,)."""
        return np.asarray(20 * math.log10(2) * self.enob + 10 * math.log10(1.5))

    def to_dict(self) -> dict[str, Any]:
        """Return the figures over all converters as plain values; units stand in the names."""
        inl, dnl = np.abs(self.inl_lsb).max(axis=1), np.abs(self.dnl_lsb).max(axis=1)
        return plain_dict(
            {
                "name": self.name,
                "kind": self.kind,
                "bits": self.bits,
                "converters": len(self.enob),
                "enob_mean": float(self.enob.mean()),
                "enob_least": float(self.enob.min()),
                "sndr_mean_db": float(self.sndr_db.mean()),
                "inl_median_lsb": float(np.median(inl)),
                "inl_worst_lsb": float(inl.max()),
                "dnl_median_lsb": float(np.median(dnl)),
                "dnl_worst_lsb": float(dnl.max()),
                "middle_dnl_sigma_lsb": float(self.middle_dnl_lsb.std()),
                "offset_sigma_lsb": float(self.offset_lsb.std()),
                "gain_sigma": float(self.gain.std()),
                "missing_codes_mean": float(self.missing_codes.mean()),
                "monotonic_share": float(self.monotonic.mean()),
            }
        )


def adc_figures(adc: Adc, bits: int | None = None, *, converters: int = 32, seed: int = 0) -> AdcFigures:
    """Return what a histogram says of ADCs as built.

    A fine, even staircase of values through the range and a quarter beyond it on either side is converted without noise
    for codes and transitions, and, within the range, with noise for the effective bits: the variance of code less
    value, gain and offset taken out, is 4**(bits - ENOB) / 12.

    Args:
        adc: the ADC.
        bits: resolution; None: the ADC's own.
        converters: how many to draw.
        seed: of mismatch and noise.

    Raises:
        DesignError: no resolution, one that is not from 2 to 14 bits, no converters, or ADCs without any transitions in
            the range.
    """
    width = adc.bits if bits is None else bits
    if width is None or not 2 <= width <= MOST_BITS:
        raise DesignError(f"ADC {adc.label!r}: expected a resolution from 2 to {MOST_BITS} bits, but got {width}.")
    if converters < 1:
        raise DesignError(f"Expected at least one converter, but got {converters}.")
    adc.check_bits([width], f"{width} bits")
    errors = adc.errors(width) or AdcErrors(width, 0.0, None)
    drawn = errors.draw(converters, np.random.default_rng([seed, 1]), np.random.default_rng([seed, 0]))
    codes = 2**width
    counts, monotonic = _histogram(drawn, converters, codes)
    lowest = -0.5 - codes / 4
    transitions = lowest + np.cumsum(counts[:, :-1], axis=1) / POINTS
    span = transitions[:, -1] - transitions[:, 0]
    if not np.all(span > 0):
        raise DesignError(f"ADC {adc.label!r}: its transitions lie beyond the range or coincide, which is no ADC.")
    step = span / (codes - 2)
    line = transitions[:, :1] + step[:, None] * np.arange(codes - 1)
    middle = (transitions[:, 0] + transitions[:, -1]) / 2
    return AdcFigures(
        name=adc.label,
        kind=adc.kind,
        bits=width,
        dnl_lsb=np.diff(transitions, axis=1) / step[:, None] - 1.0,
        inl_lsb=(line - transitions) / step[:, None],
        offset_lsb=(codes - 1) / 2 - middle,
        gain=1.0 / step,
        enob=width - np.log(12.0 * _error_variance(drawn, converters, codes, seed)) / math.log(4.0),
        missing_codes=(counts == 0).sum(axis=1),
        monotonic=monotonic,
    )


def _histogram(drawn: Converters, converters: int, codes: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Return how many values give each code, and whether codes never fall."""
    counts = np.zeros((converters, codes))
    monotonic = np.ones(converters, dtype=bool)
    total = POINTS * (codes + codes // 2)
    last = np.zeros(converters, dtype=np.int64)
    for start in range(0, total, max(_AT_ONCE // converters, 1)):
        stop = min(start + max(_AT_ONCE // converters, 1), total)
        values = -0.5 - codes / 4 + (np.arange(start, stop) + 0.5) / POINTS
        found = drawn.codes(np.repeat(values[:, None], converters, axis=1))
        monotonic &= np.all(np.diff(np.vstack([last, found]), axis=0) >= 0, axis=0)
        last = found[-1]
        for own in range(converters):
            counts[own] += np.bincount(found[:, own], minlength=codes)
    return counts, monotonic


def _error_variance(drawn: Converters, converters: int, codes: int, seed: int) -> Floats:
    """Return the variance of code less value over the range, gain and offset taken out [LSB^2]."""
    random = np.random.default_rng([seed, 2])
    sums = np.zeros((5, converters))
    total = POINTS * codes
    for start in range(0, total, max(_AT_ONCE // converters, 1)):
        stop = min(start + max(_AT_ONCE // converters, 1), total)
        # About the middle, so that squares keep their digits.
        x = (np.arange(start, stop) + 0.5) / POINTS - codes / 2
        values = np.repeat((x + (codes - 1) / 2)[:, None], converters, axis=1)
        y = drawn.codes(values, functools.partial(_normals, random, values.shape)) - (codes - 1) / 2
        sums += np.stack([y.sum(0), (y * y).sum(0), x @ y, np.full(converters, x.sum()), np.full(converters, x @ x)])
    mean_y, mean_yy, mean_xy, mean_x, mean_xx = sums / total
    covariance = mean_xy - mean_x * mean_y
    # Values stand for those within half a step of them.
    between = 1.0 / (12.0 * POINTS**2)
    return np.asarray(mean_yy - mean_y**2 - covariance**2 / (mean_xx - mean_x**2) + between)


def _normals(random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return random.standard_normal(shape)
