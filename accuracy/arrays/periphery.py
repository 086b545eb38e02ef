"""Peripherals of a layer's weight slices: one model for all, or those of a sized circuit at each slice's currents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from accuracy.arrays.analog_array import AnalogArray
from accuracy.errors import MappingError
from accuracy.mapping.adc import AdcRanges
from circuits import network_statistics
from circuits.peripherals.model import PeripheralModel


def needs_common_current(array: AnalogArray) -> bool:
    """Return whether an array's peripherals are those of a circuit whose currents have to be known."""
    peripherals = array.physics.peripherals
    return peripherals is not None and not isinstance(peripherals, PeripheralModel)


def slice_peripherals(
    array: AnalogArray, adc: AdcRanges | None, common: Sequence[float] = (), name: str = ""
) -> tuple[PeripheralModel, ...] | None:
    """Return the peripherals of each weight slice, None without peripherals or ADCs.

    Args:
        array: the layer's array.
        adc: the ranges.
        common: mean current of a line of each slice, in units of a full cell; empty takes what the statistics of
            networks say of the array's cells.
        name: of the layer, for messages.

    Raises:
        MappingError: a sized circuit and cells without a current in ampere.
    """
    peripherals = array.physics.peripherals
    if peripherals is None or adc is None:
        return None
    if isinstance(peripherals, PeripheralModel):
        return (peripherals,) * array.mapping.design.slices
    if array.cell is None:
        raise MappingError(
            f"The peripherals {peripherals.name!r} are a circuit for currents in ampere, but ideal cells have none: "
            "give `cell`."
        )
    means = list(common) or assumed_common(array)
    full, where = array.cell.i_max, f"the layer {name!r}" if name else "an array"
    return tuple(
        peripherals.at(float((hi - max(lo, 0.0)) * full), float(mean * full), where)
        for (lo, hi), mean in zip(adc.ranges, means, strict=True)
    )


def assumed_common(array: AnalogArray) -> list[float]:
    """Return the mean current of a line of each slice's largest partition, rows driven as `network_statistics` says."""
    rows = max(array.mapping.partitions, key=lambda part: part.stop - part.start)
    means = array.targets[:, :, rows, :].mean(axis=(1, 3)).sum(axis=1)
    return [float(mean) for mean in np.asarray(means) * network_statistics().bit_activity]
