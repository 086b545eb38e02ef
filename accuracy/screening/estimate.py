"""One design screened: variances of its errors times the sensitivities of the network."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from accuracy.screening.conversion import ColumnErrors, ExactReading, LayerConversion, layer_conversion, read_exactly
from accuracy.screening.errors import ScreeningError
from accuracy.screening.sensitivities import LayerSensitivity, Sensitivities
from accuracy.screening.weight_moments import weight_moments
from circuits import Core, NetworkCores, network_cores
from circuits.peripherals.model import PeripheralModel

Floats = NDArray[np.float64]
_MOST_KNOWN = 200
"""Readings of layers that are kept, each of some megabytes."""


@dataclass(frozen=True, eq=False)
class Margins:
    """Margins of a network's decisions on a core; arrays (images, competitors).

    Attributes:
        mean: of each margin.
        weights: variance from errors of cells, which all images of a chip share.
        readings: variance from errors of readings, and from rounding of weights.
        layers: variance from errors of cells by layer, (layers, images, competitors).
    """

    mean: Floats
    weights: Floats
    readings: Floats
    layers: Floats = field(repr=False)


def margins_on(sensitivities: Sensitivities, core: Core | NetworkCores, *, seed: int = 0) -> Margins:
    """Return mean and variance of the margins on a core, or on the cores of all layers.

    Args:
        sensitivities: of the network.
        core: as built.
        seed: of drawn peripheries and noise.

    Raises:
        ScreeningError: a core that the screen has no law for.
        DevicekitError: the network is impossible on the core.
    """
    cores, count = network_cores(core), sensitivities.competitors
    mean = sensitivities.margins[:, :count].copy()
    readings, parts = np.zeros_like(mean), []
    for own in sensitivities.layers:
        on = cores.of(own.layer.names)
        shift, shared, independent = _layer(own, on, _conversion(sensitivities, own, on, seed))
        mean += shift
        readings += independent
        parts.append(shared)
    layers = np.stack(parts)
    return Margins(mean, layers.sum(axis=0), readings, layers)


def _conversion(sensitivities: Sensitivities, own: LayerSensitivity, core: Core, seed: int) -> LayerConversion:
    """Read a layer's arrays; what they read on exact cells is kept for cores that differ in nothing but the rest."""
    design = tuple((key, str(value)) for key, value in core.design.to_mapping().items() if key != "name")
    common = core.cell if needs_common_current(core) else None
    key = (own.layer.name, design, None if core.cell is None else core.cell.on_off_ratio, common)
    if key not in sensitivities.known:
        while len(sensitivities.known) >= _MOST_KNOWN:
            sensitivities.known.pop(next(iter(sensitivities.known)))
        sensitivities.known[key] = read_exactly(own, core)
    reading: ExactReading = sensitivities.known[key]
    return layer_conversion(reading, own.x, core, seed)


def needs_common_current(core: Core) -> bool:
    """Return whether calibration notes the lines' common current, which sized circuits ask for."""
    model = core.column_peripherals
    return model is not None and not isinstance(model, PeripheralModel)


def is_trimmed(core: Core) -> bool:
    """Return whether a core's columns get a gain and offset of their own after programming."""
    return bool({"column_trim", "batch_norm"} & set(core.corrections))


def _layer(own: LayerSensitivity, core: Core, conversion: LayerConversion) -> tuple[Floats, Floats, Floats]:
    """Return shift of the margins, variance from cells, and variance from readings."""
    trimmed, scale = is_trimmed(core), core.design.weight_scale
    moments = weight_moments(core.design, core.cell, core.faults, conversion.flipped)
    if scale not in own.unit:
        raise ScreeningError(f"The sensitivities were not measured for weights scaled by {scale!r}: measure them anew.")
    every = "batch_norm" in core.corrections
    sums, squares = own.sums[scale, trimmed], own.squares[scale, trimmed]
    shift = sums @ moments.mean
    shared = squares @ moments.variance
    shared += (sums @ moments.common) ** 2
    if moments.unit_variance:
        shared += own.unit[scale] * moments.unit_variance
    if "drift" in core.corrections and not trimmed:
        shift -= own.products.sum(axis=-1) * float(own.drift[scale] @ moments.mean)
    shift, shared = conversion.arriving * shift, conversion.arriving**2 * shared
    shift += own.sums[scale, every] @ moments.rounding
    rounding, built = conversion.rounding, conversion.built
    shift += _shift(own, rounding, trimmed=every) + _shift(own, built, trimmed=trimmed)
    variance = rounding.variance + built.variance
    independent = own.powers @ variance
    # Weights round alike on all chips.
    independent += own.squares[scale, every].sum(axis=-1) * moments.rounding_variance
    if not trimmed:
        shared += own.slopes**2 @ built.offset_variance + own.products**2 @ built.gain_variance
    return shift, shared, independent


def _shift(own: LayerSensitivity, errors: ColumnErrors, *, trimmed: bool) -> Floats:
    if trimmed:
        return np.zeros(own.slopes.shape[:-1])
    return np.asarray(own.slopes @ errors.offset + own.products @ errors.gain)
