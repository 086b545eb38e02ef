"""What to know of a result's ADC ranges: rounding that others would spare, and aligned ones that could not be had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn

from accuracy.calibration.calibrate import ideal_cells
from accuracy.evaluation.measures import MetricFacts
from accuracy.evaluation.trials import Course, Scores, run_pass
from accuracy.layers.analog_layers import AnalogLayer
from accuracy.layers.layer_state import Mode
from accuracy.layers.modes import layer_mode
from accuracy.mapping.adc import Range, codes_per_level
from circuits.adc_ranges import aligned_reach, is_whole

NOTED = 0.02
"""Two points of an accuracy, or two percent of another metric: less is no reason to look for other ranges."""


def run_ideal(model: nn.Module, layers: Sequence[AnalogLayer], course: Course) -> Scores:
    """Run a network with ideal cells once."""
    with layer_mode(layers, Mode.ANALOG), ideal_cells(layers):
        return run_pass(model, layers, course)


def range_remarks(
    model: nn.Module, layers: Sequence[AnalogLayer], course: Course, baseline: Scores, ideal: Scores
) -> tuple[str, ...]:
    """Return remarks on ADC ranges.

    Where ideal cells lose much, and calibrated ranges put codes between the levels of the current although there is a
    code for each, ideal cells are run once more with aligned ranges: what is said is measured.

    Args:
        model: converted and calibrated.
        layers: its analog layers.
        course: what the passes of this evaluation go through.
        baseline: of the float network.
        ideal: of ideal cells.
    """
    return tuple(filter(None, [_spared(model, layers, course, baseline, ideal), _not_aligned(layers)]))


def _spared(model: nn.Module, layers: Sequence[AnalogLayer], course: Course, baseline: Scores, ideal: Scores) -> str:
    metric = course.measure.facts
    sign = 1.0 if metric.higher_is_better else -1.0
    much = NOTED * (1.0 if metric.loss_unit == "points" else max(abs(baseline.value), abs(ideal.value)))
    others = {layer: found for layer in layers if (found := _aligned(layer)) is not None}
    if not others or not sign * (baseline.value - ideal.value) > much:
        return ""
    with _ranges(others):
        again = run_ideal(model, layers, course)
    if not sign * (again.value - ideal.value) > much:
        return ""
    named = ", ".join(sorted({repr(layer.design.name) for layer in others}))
    was, float_network, would_be = (_shown(one.value, metric) for one in (ideal, baseline, again))
    return (
        f"With ideal cells the {metric.label} is {was}, that of the float network {float_network}: in {len(others)} of "
        f"{len(layers)} analog layers (design {named}) ADCs have a code for every level of the current, but calibrated "
        f"ranges put codes between the levels. With adc_range = 'aligned' there it is {would_be}."
    )


def _shown(value: float, metric: MetricFacts) -> str:
    if metric.loss_unit == "points":
        return f"{metric.scale * value:.1f} %"
    return f"{value:.4g} {metric.unit}".rstrip()


def _aligned(layer: AnalogLayer) -> tuple[Range, ...] | None:
    """Return aligned ranges of a layer with calibrated ones that are not; None where there are none."""
    found, design = layer.require_calibration(), layer.design
    codes = _codes(layer)
    if design.adc_range != "calibrated" or codes is None or all(map(is_whole, codes)):
        return None
    reach = aligned_reach(
        [hi for _, hi in found.ranges],
        design,
        max(layer.array.rows_of_partitions),
        signed_inputs=found.signed,
        g_min=layer.array.g_min,
    )
    return (
        None
        if reach is None
        else tuple((-hi if lo < 0 else 0.0, hi) for hi, (lo, _) in zip(reach, found.ranges, strict=True))
    )


def _codes(layer: AnalogLayer) -> tuple[float, ...] | None:
    """Return the codes a level of a layer, None without ranges from data or levels."""
    found = layer.require_calibration()
    if not (found.ran and found.ranges):
        return None
    return codes_per_level(found.ranges, layer.design, found.signed, layer.array.g_min)


@contextmanager
def _ranges(others: dict[AnalogLayer, tuple[Range, ...]]) -> Iterator[None]:
    """Give layers other ADC ranges, and put theirs back."""
    before = {layer: layer.require_calibration().ranges for layer in others}
    try:
        for layer, own in others.items():
            layer.take_adc_ranges(own)
        yield
    finally:
        for layer, own in before.items():
            layer.take_adc_ranges(own)


def _not_aligned(layers: Sequence[AnalogLayer]) -> str:
    """Say where ranges that were to be aligned are not."""
    asked = [layer for layer in layers if layer.design.adc_range == "aligned" and layer.design.adc_bits is not None]
    left = [layer for layer in asked if not all(map(is_whole, _codes(layer) or ()))]
    if not left:
        return ""
    named = ", ".join(sorted({repr(layer.design.name) for layer in left}))
    return (
        f"adc_range = 'aligned' of design {named}: in {len(left)} of {len(layers)} analog layers an ADC has fewer "
        "codes than its currents have levels, or idle cells move the levels; ranges are calibrated ones there."
    )
