"""What a study may vary: fields of the design, parts of the core, and what the study itself names."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from circuits import CoreDesign
from devicekit.common.errors import unknown_name
from reports.studies.ranges import values_of

DESIGN_AXES = tuple(field.name for field in dataclasses.fields(CoreDesign) if field.name != "name")
WIRE_AXES = ("bit_line", "r_in_hat", "input_resistance", "r_s_hat", "supply_resistance", "feed", "orientation")
"""Values of a core's `circuits.Wires` beside the bit-line resistance, which is the design's."""
CORE_AXES = ("adc", "peripherals", *WIRE_AXES, "corrections", "age", "temperature", "compensation")
STUDY_AXES = (
    "device", "measurements", "network", "data_set", "weights", "data", "images", "calibration_images", "library",
)  # fmt: skip
AXES = (*STUDY_AXES, *CORE_AXES, *DESIGN_AXES)
"""Everything that `vary` takes."""

PATH_AXES = ("device", "measurements", "weights", "data", "library", "adc", "peripherals")
"""Axes whose values may be paths."""

NETWORK_PARTS = ("network", "data_set", "weights", "data")
"""What a value of the axis ``network`` may hold, as a table, where networks have images or weights of their own."""

MOST_POINTS = 1_000_000
"""Points of a study that runs every combination, at most."""


def checked_axes(vary: Any) -> dict[str, tuple[Any, ...]]:
    """Return what is varied, with all its values, in the order given.

    Args:
        vary: values by axis, each as `values_of` takes them.

    Raises:
        ValueError: no mapping, an unknown axis (the message names the nearest), or no proper values.
    """
    if not isinstance(vary, Mapping):
        raise ValueError("expected a table of values by name, such as max_rows = [144, 288]")
    axes: dict[str, tuple[Any, ...]] = {}
    for key, entry in vary.items():
        if key not in AXES:
            raise ValueError(unknown_name("quantity to vary", str(key), AXES))
        try:
            axes[key] = values_of(entry)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
        for value in axes[key]:
            if isinstance(value, Mapping) and not (key == "network" and set(value) <= set(NETWORK_PARTS)):
                raise ValueError(
                    f"{key}: a table stands for a network only, with {', '.join(NETWORK_PARTS)}, but got {value!r}"
                )
    return axes


def combinations(axes: Mapping[str, tuple[Any, ...]]) -> int:
    """Return the number of combinations of the values of axes.

    Args:
        axes: values by axis.
    """
    return math.prod(len(values) for values in axes.values())
