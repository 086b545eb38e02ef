"""How a file's currents were recorded: what the user and the file say, and the rounding that the numbers show."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from devicekit.common.errors import MeasurementError
from devicekit.common.quantities import parse_quantity
from devicekit.measurements.measurements import Measurements
from devicekit.statistics.recording import Recording, rounding_step
from devicekit.statistics.state_statistics import sort_states


def recording_of(measurements: Measurements, base: Measurements, rounding: float | str | None) -> Recording:
    """Return how currents were recorded.

    Args:
        measurements: the whole file, with the limits of the instrument, and ``rounding`` in its comments where it
            states one.
        base: the programmed states, whose numbers are looked at.
        rounding: step of the currents [A], 0 for none; None: what the file states, else what the numbers show.

    Raises:
        MeasurementError: a step below 0 A.
        UnitError: text that is no current.
    """
    if measurements.is_histogram:
        return Recording()
    place = Path(measurements.place).name
    stated = rounding if rounding is not None else measurements.metadata.get("rounding")
    step: float | None
    if stated is None:
        step = rounding_step(sort_states(base.columns["target"], base.columns["value"]))
    else:
        step = parse_quantity(stated, "A", "`rounding`")
        if step < 0:
            raise MeasurementError(f"{place}: expected `rounding` to be at least 0 A, but got {stated!r}.")
    # A limit that no cell stands at tells nothing.
    limits = Recording(step, measurements.lower_limit, measurements.upper_limit)
    low, high = limits.at_limit(base.columns["value"])
    return Recording(step or None, limits.lower if np.any(low) else None, limits.upper if np.any(high) else None)
