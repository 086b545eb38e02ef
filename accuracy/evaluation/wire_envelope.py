"""A warning where a network's bit lines have more resistance than their cell model is known to be right for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from torch import nn

from accuracy.batches import Batches
from accuracy.calibration.activity import layer_activities
from accuracy.layers.analog_layers import AnalogLayer
from circuits import BitLinePoint, expected_error_lsb, warn_outside_envelope


def warn_of_wires(model: nn.Module, layers: Sequence[AnalogLayer], batches: Batches) -> None:
    """Warn of the layer whose bit lines are modelled worst, where the recorded envelope ends before it.

    Conductance is that of the layers' targets; the input activity is measured on the first batch.

    Args:
        model: converted and calibrated.
        layers: its analog layers; those with a bit-line resistance count.
        batches: pairs (inputs, labels).
    """
    wired = [layer for layer in layers if layer.design.r_p_hat > 0 and layer.array.physics.bit_line != "transistor"]
    first = list(islice(batches, 1))
    if not wired or not first:
        return
    found = layer_activities(model, wired, first)
    places = [
        (BitLinePoint.of(layer.design, found[layer.name], layer.array.mapping.rows), layer.array.physics.bit_line)
        for layer in wired
    ]
    worst = max(places, key=lambda place: expected_error_lsb(*place, gain_removed=True))
    warn_outside_envelope(*worst)
