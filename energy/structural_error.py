"""How far a core's true cost may lie from the model's, beyond what the constants leave open.

A calibration fixes totals of a few designs; between and beyond them the model's structure (which counts cost what) errs
by an amount that only designs it never saw can show. The logarithm of truth over model is taken as a random function of
the design with standard deviation s, zero at the calibrated designs, with a Matern-3/2 correlation over the distance to
the nearest of them (the discrepancy of Kennedy and O'Hagan, J. R. Stat. Soc. B 63, 2001, doi 10.1111/1467-9868.00294,
given that one design alone, which never understates it):

    rho = (1 + sqrt(3) d / L) exp(-sqrt(3) d / L),    spread = s sqrt(1 - rho^2)

The distance d is counted in octaves of what a core's cost goes with, see `FEATURES`; s comes from designs left out
(`energy.validation.structural_scales`), L is assumed. A core with another kind of ADC than the calibrated ones, or with
inputs as voltages, is as far as can be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from circuits import CoreDesign
from circuits.adc_kinds import DEFAULT_KIND
from energy.adc_formulas import flag
from energy.core_model import Values, constants, default_activity, design_arrays
from energy.expressions import Array
from energy.formulas import needed
from energy.library import Library

FEATURES: Mapping[str, tuple[str, ...]] = {
    "energy": ("integrations_per_op", "adc_steps_per_op", "cells_per_op", "row_lines_per_op", "line_current_a"),
    "area": ("chains_per_op", "cells_per_op", "row_lines_per_op", "ideal_conversion_phases"),
}
"""Quantities between whose logarithms designs are apart, for each of the totals."""
_NAMES = tuple(dict.fromkeys(name for names in FEATURES.values() for name in names))
_ALIKE = (flag(DEFAULT_KIND), "voltage_inputs")


def features(library: Library, arrays: Values) -> Values:
    """Return the features of designs, arrays (designs, 1, 1) by name.

    Args:
        library: the library.
        arrays: `energy.core_model.design_arrays` of the designs.
    """
    formulas, names = needed(library.formulas, _NAMES)
    given = {**constants(library), **arrays}
    values = formulas.evaluate({name: given[name] for name in names & formulas.given})
    return {name: values[name] for name in _NAMES}


def anchors(library: Library, designs: Sequence[CoreDesign]) -> dict[str, Array]:
    """Return the features (designs,) of the designs that a library was calibrated to, under its statistics.

    Args:
        library: the library.
        designs: the designs; none where it was calibrated to none.
    """
    if not designs:
        return {}
    arrays = design_arrays(designs, [default_activity(d, library) for d in designs], [DEFAULT_KIND] * len(designs))
    found = features(library, arrays)
    return {name: np.broadcast_to(value[:, 0, 0], len(designs)).copy() for name, value in found.items()}


def distance(total: str, own: Mapping[str, Array], calibrated: Mapping[str, Array]) -> Array:
    """Return the distance [octaves] of designs to the nearest calibrated one, infinite where there is none.

    Args:
        total: ``"energy"`` or ``"area"``.
        own: features of the designs, arrays of one shape.
        calibrated: features (calibrated designs,) of those.
    """
    shape = np.shape(own[FEATURES[total][0]])
    if not calibrated:
        return np.full(shape, np.inf)
    squares = sum(np.log2(own[name][..., None] / calibrated[name]) ** 2 for name in FEATURES[total])
    return np.asarray(np.sqrt(np.min(squares, axis=-1)))


def spread(octaves: Array | float, scale: float, length: float) -> Array:
    """Return the standard deviation of the logarithm of a true cost over the model's.

    Args:
        octaves: distance to the nearest calibrated design.
        scale: s, of designs far from all of them.
        length: L [octaves].
    """
    x = np.sqrt(3.0) * np.asarray(octaves, dtype=np.float64) / length
    near = np.where(np.isfinite(x), x, 0.0)
    rho = np.where(np.isfinite(x), (1 + near) * np.exp(-near), 0.0)
    return np.asarray(scale * np.sqrt(1 - rho**2))


def with_spreads(library: Library, arrays: Values) -> Values:
    """Return the design arrays with the spread of each design's totals.

    Args:
        library: the library, with what it was calibrated to.
        arrays: `energy.core_model.design_arrays` of the designs, with their activity.
    """
    own = features(library, arrays)
    alike = (arrays[_ALIKE[0]] > 0) & (arrays[_ALIKE[1]] == 0)
    length = library.in_si("discrepancy.octaves")
    spreads = {}
    for total in FEATURES:
        octaves = np.where(alike, distance(total, own, library.anchors), np.inf)
        spreads[f"{total}_spread"] = spread(octaves, library.in_si(f"discrepancy.{total}_scale"), length)
    return {**arrays, **spreads}
