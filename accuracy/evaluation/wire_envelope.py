"""A warning where a network's bit lines have more resistance than their cell model is known to be right for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from torch import nn

from accuracy.batches import Batches
from accuracy.calibration.activity import layer_activities
from accuracy.layers.analog_layers import AnalogLayer
from circuits import BitLinePoint, expected_error_lsb, warn_outside_envelope
from circuits.bit_line.envelope import in_map


def warn_of_wires(model: nn.Module, layers: Sequence[AnalogLayer], batches: Batches) -> None:
    """Warn of the layer whose bit lines are modelled worst, where the recorded envelope ends before it.

    Conductance is that of the layers' targets; the input activity is measured on the first batch.

    Args:
        model: converted and calibrated.
        layers: its analog layers; those whose lines have a resistance count.
        batches: pairs (inputs, labels).
    """
    wired = [layer for layer in layers if layer.array.resistances.any and layer.array.physics.bit_line != "transistor"]
    first = list(islice(batches, 1))
    if not wired or not first:
        return
    found = layer_activities(model, wired, first)
    places = [
        (
            BitLinePoint.of(
                layer.design,
                found[layer.name],
                layer.array.mapping.rows,
                layer.array.resistances,
                layer.array.mapping.columns,
                layer.array.physics.orientation,
            ),
            layer.array.physics.bit_line,
        )
        for layer in wired
    ]
    recorded = [place for place in places if in_map(place[0])]
    others = [place for place in places if place not in recorded]
    # Places that no map holds are solved, which takes its time: that with the largest voltage drop stands for them.
    worst = [max(recorded, key=lambda place: expected_error_lsb(*place, gain_removed=True))] if recorded else []
    for place in [*worst, *([max(others, key=lambda place: _drop(place[0]))] if others else [])]:
        warn_outside_envelope(*place)


def _drop(point: BitLinePoint) -> float:
    """Return about how far lines move, in units of V_D."""
    current = point.rows * point.activity * point.mean_conductance
    row = point.columns * point.mean_conductance * (2 if point.pairing == "differential" else 1)
    supply = 0.5 * point.columns * row if point.feed == "rows" else 0.5 * point.rows * current
    return current * (0.5 * point.rows * point.r_p_hat + point.r_in_hat) + supply * point.r_s_hat
