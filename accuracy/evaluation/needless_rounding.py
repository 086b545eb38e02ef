"""A remark where ADCs round although they have a code for every current that ideal cells can draw."""

from __future__ import annotations

from collections.abc import Sequence

from accuracy.evaluation.measures import MetricFacts
from accuracy.evaluation.results import Accuracy
from accuracy.layers.analog_layers import AnalogLayer
from accuracy.mapping.adc import codes_per_level

NOTED_LOSS = 0.02
"""Two points of an accuracy, or two percent of another metric's value: less is no reason to look for another range."""
_WHOLE = 1e-3
"""Distance from a whole number of codes a level that is rounding of the arithmetic."""
_MOVED = 0.1
"""Part of their distance by which the current of idle cells may move levels that are still called levels."""


def remark_on_rounding(found: Accuracy, metric: MetricFacts, layers: Sequence[AnalogLayer]) -> str:
    """Return a remark where ideal cells lose much and aligned ranges would have read them without rounding, or "".

    What is much of a user's own metric nobody knows: only accuracies, metrics with a unit and perplexities are
    looked at.

    Args:
        found: the result.
        metric: what is known of its metric.
        layers: analog layers of the network, calibrated.
    """
    share, loss = metric.loss_unit == "points", found.quantisation_loss
    known = share or bool(metric.unit) or found.exponential
    if not (known and loss > NOTED_LOSS * (1.0 if share else abs(found.baseline))):
        return ""
    rounded = [layer for layer in layers if rounds_needlessly(layer)]
    if not rounded:
        return ""
    amount = f"{metric.scale * loss:.1f} points" if share else f"{100 * loss / abs(found.baseline):.3g} %"
    return (
        f"With ideal cells of design {rounded[0].design.name!r} the {metric.label} is {amount} worse than that of the "
        f"float network. In {len(rounded)} of {len(layers)} analog layers the ADCs have a code for every level of the "
        "current, but calibrated ranges put codes between the levels; adc_range = 'aligned' rounds nothing there."
    )


def rounds_needlessly(layer: AnalogLayer) -> bool:
    """Return whether every slice's ADC has a code for each level of its current and one puts codes between them."""
    found, design, g_min = layer.require_calibration(), layer.design, layer.array.g_min
    if design.adc_range != "calibrated" or not (found.ran and found.ranges):
        return False
    codes = codes_per_level(found.ranges, design, found.signed, g_min)
    if codes is None or min(codes) < 1.0 - _WHOLE:
        return False
    spacing = design.level_spacing(signed_inputs=found.signed, g_min=g_min)
    assert spacing is not None  # there are codes a level
    if not design.subtracts_lines and g_min * max(layer.array.rows_of_partitions) > _MOVED * spacing:
        return False
    return any(abs(count - round(count)) > _WHOLE for count in codes)
