"""Statistics of each layer for energy and circuits: mean conductance, input activity, and currents of the lines.

Conductances are averages over every physical cell, both cells of a differential pair, the unit column and bias rows
included.
Input activity is averaged over rows as the array sees them: a pixel counts as often as kernels cover it, padding as 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from accuracy.batches import Batches, inputs_of, require_reiterable
from accuracy.calibration.calibrate import require_layers
from accuracy.calibration.line_currents import measure_line_currents
from accuracy.errors import EvaluationError
from accuracy.kernels.products import sum_kernel
from accuracy.layers.analog_layers import AnalogLayer
from accuracy.layers.layer_state import Mode
from accuracy.layers.modes import layer_mode
from accuracy.mapping.inputs import input_digits, quantise_inputs, slice_layout
from circuits import Activity, LineCurrents


def mean_conductance(layer: AnalogLayer, *, programmed_only: bool = False) -> np.ndarray:
    """Return the mean conductance of each weight slice, shape (slices,).

    What cells are programmed to, or its mean at the age and temperature at which they are read.

    Args:
        layer: an analog layer.
        programmed_only: for differential designs, average over the larger cell of each pair only, as some
            publications do.
    """
    targets = layer.array.read_targets
    if layer.array.biases is not None:
        targets = np.concatenate([targets, layer.array.bias_cells(read_targets=True)], axis=2)
    if programmed_only:
        targets = targets.max(axis=1, keepdims=True)
    return np.asarray(targets.mean(axis=(1, 2, 3)))


def measure_activity(model: nn.Module, batches: Batches) -> dict[str, Activity]:
    """Return the activity of every analog layer, by layer name.

    Input activity is the mean of each input slice over its largest value; for signed inputs a row counts where it is
    driven in either of the two phases, and the bit that the sign takes is 0. Where the cell says how much current it
    draws, the line currents (`measure_line_currents`) of the first images are part of it.

    Args:
        model: converted and calibrated.
        batches: pairs (inputs, labels); run through the float network.

    Raises:
        EvaluationError: the model was not converted, an iterator, no data, or a design that does not quantise inputs.
        CalibrationError: no input ranges.
    """
    layers = require_layers(model)
    require_reiterable(batches)
    found = layer_activities(model, layers, batches)
    currents = measure_line_currents(model, batches)
    return {name: dataclasses.replace(own, lines=currents.get(name)) for name, own in found.items()}


def layer_activities(model: nn.Module, layers: Sequence[AnalogLayer], batches: Batches) -> dict[str, Activity]:
    """Return the activity of some analog layers of a model; see `measure_activity`."""
    sums: dict[int, np.ndarray] = {}
    weights: dict[int, int] = {}

    def observe(layer: AnalogLayer, x: Tensor) -> Tensor:
        means, count = _slice_means(layer, x)
        sums[id(layer)] += means * count
        weights[id(layer)] = weights.get(id(layer), 0) + count
        result: Tensor = layer.digital(x)
        return torch.relu(result) if layer.relu else result

    for layer in layers:
        layer.require_calibration()
        if layer.design.input_bits is None:
            raise EvaluationError(f"Layer {layer.name!r}: its design does not quantise inputs, so they have no bits.")
        sums[id(layer)] = np.zeros(layer.design.input_slices)
        layer.stand_in = observe
    images = 0
    try:
        with layer_mode(require_layers(model), Mode.FLOAT):
            for batch in inputs_of(batches, model):
                images += batch.examples()
                batch.run(model)
    finally:
        for layer in layers:
            layer.stand_in = None
    if not images:
        raise EvaluationError("The data are empty: give at least one batch (inputs, labels).")
    source = f"measured on {images} images"
    found = {}
    for layer in layers:
        driven = np.clip(sums[id(layer)] / max(weights[id(layer)], 1), 0.0, 1.0)
        conductance = mean_conductance(layer)
        found[layer.name] = Activity(conductance, driven, source, max(1.0, float(conductance.max())))
    return found


def _slice_means(layer: AnalogLayer, x: Tensor) -> tuple[np.ndarray, int]:
    """Return the mean of each input slice over rows and positions, and the number of positions."""
    calibration, array = layer.require_calibration(), layer.array
    x = x if x.dtype == torch.float64 else x.to(torch.float32)
    array.to(x.device, x.dtype)
    integers, _ = quantise_inputs(x / calibration.scale, layer.design, calibration.signed)
    integers = array.operator.prepare(integers)
    result = np.zeros(layer.design.input_slices)
    rows = array.mapping.rows
    kernel = sum_kernel(array, slice(0, rows), integers.dtype)
    positions = 0
    for index, (shift, bits, unit, _) in enumerate(slice_layout(layer.design, calibration.signed)):
        driven = array.operator.apply(input_digits(integers, shift, bits).abs(), kernel)
        positions = driven.numel()
        result[index] = float(driven.to(torch.float64).mean()) * unit / rows
    return result, positions


def mean_activity(activities: Sequence[Activity], weights: Sequence[float]) -> Activity:
    """Return a weighted mean of activities, such as over layers by their number of products.

    Args:
        activities: with the same numbers of slices.
        weights: one each, not all 0.

    Raises:
        EvaluationError: nothing to average, or lengths that differ.
    """
    if not activities or len(activities) != len(weights) or not sum(weights) > 0:
        raise EvaluationError("Expected one weight for each activity, not all 0.")
    share = np.asarray(weights, dtype=np.float64) / sum(weights)
    conductance = sum(s * a.mean_conductance for s, a in zip(share, activities, strict=True))
    driven = sum(s * a.input_activity for s, a in zip(share, activities, strict=True))
    most = max(activity.most for activity in activities)
    lines = [activity.lines for activity in activities if activity.lines is not None]
    pooled = LineCurrents.pooled(lines, weights) if len(lines) == len(activities) else None
    return Activity(conductance, driven, activities[0].source, most, pooled)
