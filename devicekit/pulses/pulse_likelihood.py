"""Likelihood of ramps under an update model: a Kalman filter that tells the noise of pulses from that of reads.

The conductance after a pulse is G' = G + d s f(d w(G)) + q xi, the reading y = G + r eps. Noise of a pulse stays in the
conductance, noise of a read does not: only a filter that follows the hidden conductance tells them apart (a fit of the
curve alone would take a random walk for misfit). Step and slope are evaluated at the filtered conductance (extended
Kalman filter, exact for linear laws with additive noise). All ramps and many parameter sets run side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devicekit.pulses.update_laws import SHAPE_PARAMETERS, UpdateLaw, step_shape, step_slope

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Layout:
    """Which parameters a fit has, in the order of its vector; conductances in shares of the measured range.

    Attributes:
        law: the law.
        additive: whether pulse noise is that of the step in the middle of the range.
        up: whether up pulses were measured.
        down: whether down pulses were measured.
    """

    law: UpdateLaw
    additive: bool
    up: bool
    down: bool

    @property
    def free_bounds(self) -> bool:
        """Whether the bounds are asymptotes to be fitted."""
        return self.law == "soft_bounds"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the vector's entries: logarithms of positive parameters carry ``ln_``."""
        names = []
        for side, there in (("up", self.up), ("down", self.down)):
            if not there:
                continue
            names.append(f"ln_step_{side}")
            shape = SHAPE_PARAMETERS[self.law]
            names += [f"gamma_{side}"] if shape == ("gamma",) else [f"ln_{name}_{side}" for name in shape]
            if self.free_bounds:
                names.append("ln_reach_up" if side == "up" else "ln_reach_down")
        return (*names, "ln_pulse_noise", "ln_read_noise")

    def read(self, vectors: Floats) -> Parameters:
        """Return parameters of vectors of shape (..., size)."""
        by_name = {name: vectors[..., index] for index, name in enumerate(self.names)}
        zero = np.zeros(vectors.shape[:-1])
        shape: dict[str, list[Floats]] = {}
        for side in ("up", "down"):
            shape[side] = [
                by_name.get(f"{name}_{side}", zero)
                if name == "gamma"
                else np.exp(by_name.get(f"ln_{name}_{side}", zero))
                for name in SHAPE_PARAMETERS[self.law]
            ]
        # Asymptotes lie beyond the other end of the measured range: up pulses approach 0 + reach, down pulses 1 -
        # reach.
        high = np.exp(by_name["ln_reach_up"]) if "ln_reach_up" in by_name else zero + 1.0
        low = 1.0 - np.exp(by_name["ln_reach_down"]) if "ln_reach_down" in by_name else zero
        return Parameters(
            low,
            high,
            np.exp(by_name.get("ln_step_up", zero)),
            np.exp(by_name.get("ln_step_down", zero)),
            shape["up"],
            shape["down"],
            np.exp(by_name["ln_pulse_noise"]),
            np.exp(by_name["ln_read_noise"]),
        )


@dataclass(frozen=True)
class Parameters:
    """Parameters of one or many models, arrays of one shape; conductances in shares of the measured range."""

    low: Floats
    high: Floats
    step_up: Floats
    step_down: Floats
    shape_up: Sequence[Floats]
    shape_down: Sequence[Floats]
    pulse_noise: Floats
    read_noise: Floats


def deviance(layout: Layout, vectors: Floats, readings: Floats, up: NDArray[np.bool_]) -> Floats:
    """Return minus twice the log-likelihood of the ramps for each parameter vector, shape (vectors,).

    Args:
        layout: what the vectors hold.
        vectors: shape (vectors, size).
        readings: in shares of the measured range, NaN where there is none, shape (ramps, pulses + 1).
        up: direction of each ramp.
    """
    found = layout.read(vectors)
    order = np.argsort(~up, kind="stable")
    readings, ups = readings[order], int(up.sum())
    total = np.zeros(len(vectors))
    for rows, sign, step, shape in (
        (readings[:ups], 1.0, found.step_up, found.shape_up),
        (readings[ups:], -1.0, found.step_down, found.shape_down),
    ):
        if len(rows):
            total += _one_direction(layout, found, rows, sign, step, shape)
    return np.where(np.isfinite(total), total, 1e300)


def _one_direction(
    layout: Layout, found: Parameters, readings: Floats, sign: float, step: Floats, shape: Sequence[Floats]
) -> Floats:
    law = layout.law
    low, span = found.low[:, None], (found.high - found.low)[:, None]
    step, shape = step[:, None], [value[:, None] for value in shape]
    read_variance = (found.read_noise**2)[:, None]
    fixed = (found.pulse_noise[:, None] * step) ** 2
    mean = np.broadcast_to(readings[:, 0], (len(low), len(readings))).copy()
    variance = np.broadcast_to(read_variance, mean.shape).copy()
    total = np.zeros(mean.shape)
    scale = 2.0 / span
    present = np.isfinite(readings)
    for index in range(1, readings.shape[1]):
        w = sign * ((mean - low) * scale - 1.0)
        change = step * step_shape(law, w, shape)
        gain = 1.0 + step * scale * step_slope(law, w, shape)
        noise = fixed if layout.additive else (found.pulse_noise[:, None] * change) ** 2
        mean = mean + sign * change
        if not layout.free_bounds:
            mean = np.clip(mean, low, low + span)
        variance = gain**2 * variance + noise
        seen = present[:, index]
        expected = variance + read_variance
        surprise = np.where(seen, readings[:, index], 0.0) - mean
        total += np.where(seen, np.log(expected) + surprise**2 / expected, 0.0)
        weight = np.where(seen, variance / expected, 0.0)
        mean = mean + weight * surprise
        variance = (1.0 - weight) * variance
    return np.asarray(total.sum(axis=1), dtype=np.float64)
