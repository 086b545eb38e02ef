"""Behavioural ADCs against ngspice: drawn ones, at values beside their worst transitions and at random ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from circuits.adc import Adc
from circuits.converters.drawn import BinarySearch, Floats, Integers, Levels, droop_of
from circuits.converters.spice import simulate_ramp, simulate_sar
from devicekit.common.errors import DesignError

BESIDE = 0.02
"""Distance from a transition at which codes are compared [LSB]."""
MOST_BITS = 12


@dataclass(frozen=True, eq=False)
class AdcConfirmation:
    """Codes of behavioural ADCs and of the same circuits in ngspice.

    Attributes:
        values: what was converted, shape (conversions,) [LSB].
        behavioural: code by the behavioural model, noise left out.
        spice: code that ngspice found.
        distance: of each value from the nearest transition of its ADC [LSB].
    """

    values: Floats
    behavioural: Integers
    spice: Integers
    distance: Floats

    @property
    def alike(self) -> int:
        """Conversions with the same code."""
        return int(np.sum(self.behavioural == self.spice))

    def to_dict(self) -> dict[str, Any]:
        """Return how many codes agree, and how near a transition they were compared."""
        apart = np.abs(self.behavioural - self.spice)
        return {
            "conversions": len(self.values),
            "same_code": self.alike,
            "largest_difference_lsb": int(apart.max(initial=0)),
            "least_distance_from_a_transition_lsb": float(self.distance.min(initial=np.inf)),
        }


def confirm_adc(
    adc: Adc, bits: int | None = None, *, converters: int = 8, values: int = 8, seed: int = 0
) -> AdcConfirmation:
    """Return what drawn ADCs give by their model and in ngspice, noise left out.

    Half of each ADC's values lie 0.02 LSB on either side of the transitions whose codes are the widest and narrowest,
    the others anywhere in the range.

    Args:
        adc: a SAR or a ramp with errors of its circuit.
        bits: resolution; None: the ADC's own.
        converters: how many to draw.
        values: conversions of each; a multiple of 4.
        seed: of mismatch and values.

    Raises:
        DesignError: another kind, no errors of a circuit, or a resolution above 12 bits.
        MissingDependencyError: ngspice or PySpice is absent.
        SpiceError: a run fails.
    """
    width = adc.bits if bits is None else bits
    if width is None or not 2 <= width <= MOST_BITS:
        raise DesignError(f"ADC {adc.label!r}: expected a resolution from 2 to {MOST_BITS} bits, but got {width}.")
    errors = adc.errors(width)
    if adc.kind not in ("sar", "ramp") or errors is None or not errors.circuit:
        raise DesignError(
            f"ADC {adc.label!r}: there are netlists of SAR and ramp ADCs with errors of their circuit, but it is a "
            f"{adc.its_kind.label}" + ("." if adc.kind not in ("sar", "ramp") else " that gives none.")
        )
    drawn = errors.draw(converters, np.random.default_rng([seed, 1]), np.random.default_rng([seed, 0]))
    assert isinstance(drawn, BinarySearch | Levels)
    transitions = drawn.transitions()
    random = np.random.default_rng([seed, 3])
    chosen = np.stack([_chosen(own, values, random, width) for own in transitions])
    model = np.stack([drawn.codes(column) for column in chosen.T], axis=1)
    if isinstance(drawn, BinarySearch):
        last = 2.0**width - drawn.weights.sum(axis=1, keepdims=True)
        capacitors = np.repeat(np.hstack([drawn.weights, last]), values, axis=0)
        found = simulate_sar(capacitors, chosen.ravel(), np.repeat(drawn.offsets, values))
    else:
        # The ramp is drawn as its kind draws it: one for all columns.
        normals = np.random.default_rng([seed, 0]).standard_normal(2**width - 2)
        steps = np.maximum(1.0 + errors.circuit.get("step_mismatch", 0.0) * normals, 0.0)
        droop = droop_of(-errors.circuit.get("bow_lsb", 0.0) / (2**width - 2))
        found = simulate_ramp(steps, droop, chosen.ravel(), np.repeat(drawn.offsets, values)).codes
    distance = np.abs(chosen[:, :, None] - transitions[:, None, :]).min(axis=2)
    return AdcConfirmation(chosen.ravel(), model.ravel(), found, distance.ravel())


def _chosen(transitions: Floats, values: int, random: np.random.Generator, bits: int) -> Floats:
    """Return values beside the transitions with the largest steps, and random ones away from transitions."""
    steps = np.abs(np.diff(transitions) - 1.0)
    worst = transitions[1 + np.argsort(steps)[::-1][: values // 4]]
    beside = np.concatenate([worst - BESIDE, worst + BESIDE])
    anywhere = random.uniform(0.0, 2.0**bits - 1.0, values - beside.size)
    return np.concatenate([beside, anywhere])
