"""From values to codes: transition levels, noise, and what they do to the signal; pure functions on arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.adc_kinds import DEFAULT_KIND, adc_kind
from circuits.converters.drawn import Converters, Levels, levels_below, slack_of

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AdcErrors:
    """What an ADC does to a value before it is a code.

    Attributes:
        bits: resolution.
        noise_lsb: input-referred random noise of one conversion, rms [LSB].
        thresholds_lsb: the 2**bits - 1 transition levels [LSB] of all ADCs, ascending; None: ideal, at k - 1/2.
        kind: of the ADC.
        circuit: errors of its circuit by name, from which each ADC is drawn; empty where all are alike.
    """

    bits: int
    noise_lsb: float
    thresholds_lsb: Floats | None
    kind: str = DEFAULT_KIND
    circuit: Mapping[str, float] = field(default_factory=dict)

    def draw(self, converters: int, own: np.random.Generator, shared: np.random.Generator) -> Converters:
        """Return ADCs as built, see `AdcKind.draw`; all alike without errors in `circuit`.

        Args:
            converters: number of ADCs.
            own: source of what differs from ADC to ADC.
            shared: source of what they have in common.
        """
        if not self.circuit:
            ideal = np.arange(2**self.bits - 1) + 0.5
            levels = ideal if self.thresholds_lsb is None else self.thresholds_lsb
            return Levels(levels[None, :], np.zeros(converters), self.noise_lsb)
        kind = adc_kind(self.kind)
        errors = {name: self.circuit.get(name, 0.0) for name in kind.circuit}
        return kind.draw(self.bits, errors, converters, own, shared, self.noise_lsb)


def transition_levels(bits: int, *, inl_lsb: ArrayLike | None = None, dnl_lsb: ArrayLike | None = None) -> Floats:
    """Return the transition levels that an INL or a DNL means, ascending.

    T[k] = k - 1/2 - INL[k] for k = 1 .. 2**bits - 1, with INL interpolated between its evenly spaced points; or
    T[1] = 1/2 and T[k + 1] = T[k] + 1 + DNL[k], with DNL interpolated likewise over the inner codes (IEEE Std
    1241-2010, without its fit of gain and offset).

    Args:
        bits: resolution.
        inl_lsb: integral non-linearity [LSB], two points or more.
        dnl_lsb: differential non-linearity [LSB] of the 2**bits - 2 inner codes, or fewer points, if not the other.

    Returns:
        Shape (2**bits - 1,) [LSB]. Where a transition would lie below the one before it, a code is missing: the code
        of a value is the number of transitions below it.
    """
    count = 2**bits - 1
    if dnl_lsb is not None:
        given = np.asarray(dnl_lsb, dtype=np.float64)
        inner = np.linspace(0.0, 1.0, count - 1)
        own = given if given.size == count - 1 else np.interp(inner, np.linspace(0.0, 1.0, given.size), given)
        steps = 1.0 + own
        return np.sort(0.5 + np.concatenate([[0.0], np.cumsum(steps)]))
    inl = np.asarray([] if inl_lsb is None else inl_lsb, dtype=np.float64)
    places = np.linspace(0.0, 1.0, count)
    own = np.zeros(count) if inl.size == 0 else np.interp(places, np.linspace(0.0, 1.0, inl.size), inl)
    return np.sort(np.arange(count) + 0.5 - own)


def quantisation_variance(bits: int, thresholds_lsb: ArrayLike | None = None) -> float:
    """Return the variance [LSB^2] of code minus value over full scale, gain and offset taken out; 1/12 when ideal.

    The value is uniform over the 2**bits LSB of full scale; codes are fitted by least squares.

    Args:
        bits: resolution.
        thresholds_lsb: transition levels, shape (2**bits - 1,); None for ideal ones.
    """
    if thresholds_lsb is None:
        return 1.0 / 12.0
    low, high = -0.5, 2**bits - 0.5
    edges = np.concatenate([[low], np.clip(np.asarray(thresholds_lsb, dtype=np.float64), low, high), [high]])
    code = np.arange(2**bits, dtype=np.float64) - (low + high) / 2
    edges = edges - (low + high) / 2
    width, middle = np.diff(edges), (edges[1:] + edges[:-1]) / 2
    share = width / (high - low)
    mean = share @ code
    variance = share @ (code - mean) ** 2
    covariance = share @ ((code - mean) * middle)
    return float(variance - covariance**2 / ((high - low) ** 2 / 12.0))


def adc_codes(
    positions_lsb: ArrayLike,
    errors: AdcErrors,
    *,
    symmetric: bool = False,
    normals: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """Return the codes that an ADC gives for values on the scale of its codes.

    The code is the number of transition levels at or below the value and its noise. On a symmetric range, which has a
    code at 0 in its middle, the lowest of the 2**bits codes is not used.

    Args:
        positions_lsb: values, 0 at the lowest code in use and 1 a code, any shape.
        errors: noise and transition levels.
        symmetric: whether the range is symmetric, of 2**bits - 1 codes.
        normals: standard normals for the noise, shape of the values; None leaves noise out.

    Returns:
        Codes from 0, of the same shape.
    """
    values = np.asarray(positions_lsb, dtype=np.float64)
    if normals is not None:
        values = values + errors.noise_lsb * np.asarray(normals, dtype=np.float64)
    first = 1 if symmetric else 0
    largest = 2**errors.bits - 1
    if errors.thresholds_lsb is None:
        return np.rint(np.clip(values, 0, largest - first)).astype(np.int64)
    levels = errors.thresholds_lsb[None]
    seen = np.atleast_1d(values + first)
    codes = np.maximum(levels_below(seen, levels, slack_of(levels)) - first, 0)
    return codes if values.ndim else codes[0]
