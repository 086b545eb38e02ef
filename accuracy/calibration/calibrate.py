"""Ranges from training data in two streaming passes: layer inputs first, then column currents.

Pass one runs the float network and finds each layer's input range; pass two runs it with quantised inputs and ideal
cells, without ADCs, and finds one ADC range a layer and slice, pooled over partitions and input slices.
Ranges therefore do not depend on any seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager

import numpy as np
from torch import nn

from accuracy.batches import Batches, batch_of, inputs_of, model_device, require_reiterable
from accuracy.errors import CalibrationError, EvaluationError
from accuracy.kernels.histograms import INNER_FRACTION, Observation, input_range
from accuracy.layer_kinds import OwnCodes
from accuracy.layers.analog_layers import AnalogLayer
from accuracy.layers.conversion import conversion_of
from accuracy.layers.convert import analog_layers
from accuracy.layers.layer_state import Calibration, Mode
from accuracy.layers.modes import layer_mode
from accuracy.layers.settle import settle
from accuracy.mapping.adc import adc_levels, codes_per_level, ranges_over
from accuracy.mapping.inputs import input_steps

Progress = Callable[[int, int], None]


def calibrate(model: nn.Module, batches: Batches, *, progress: Progress | None = None) -> nn.Module:
    """Find the input and ADC ranges of every analog layer, in place.

    The first batch settles which matrices are analog (`coverage`) and is run through the original network as well: a
    converted one that computes something else is refused.

    Args:
        model: a converted model.
        batches: batches of training data (`accuracy.batches`); labels are ignored. Gone through twice; once more
            where the first images of it have far larger currents than the rest.
        progress: called with (batches done, batches in all), where `batches` has a length.

    A layer that draws no current on the data (zero weights, zero inputs) takes the full range of its rows. One that
    never runs has no range, and is refused where it runs later.

    Returns:
        The same model.

    Raises:
        CalibrationError: no data, data that are not finite, or no layer that ran.
        ConversionError: a matrix that would stay digital and is not excluded, or a converted network that computes
            something else than the original.
        NetworkError: the network does not run on the first batch.
        EvaluationError: `batches` is a one-shot iterator, a batch has another form, or the model was not converted.
    """
    if conversion_of(model) is None:
        require_layers(model)
    require_reiterable(batches)
    for item in batches:
        settle(model, batch_of(item, model_device(model)))
        break
    layers = require_layers(model)
    total = 2 * len(batches) if isinstance(batches, Sized) else 0
    done, empty = 0, True
    observations = []
    for layer in layers:
        layer.set_calibration(None)
        layer.observed = Observation(layer.design.slices)
        observations.append(layer.observed)

    def go_through(mode: Mode) -> None:
        nonlocal done, empty
        with layer_mode(layers, mode), ideal_cells(layers, mode is Mode.OBSERVE_CURRENTS):
            for batch in inputs_of(batches, model):
                empty = empty and not any(bool(tensor.any()) for tensor in batch.tensors)
                batch.run(model)
                done += 1
                if progress is not None and total:
                    progress(min(done, total), total)

    try:
        go_through(Mode.OBSERVE_INPUTS)
        if done == 0:
            raise CalibrationError("The calibration data are empty: give at least one batch (inputs, labels).")
        if empty:
            raise CalibrationError("The calibration data are only zeros: there is nothing to set ranges by.")
        set_input_ranges(layers)
        if any(needs_currents(layer) for layer in layers):
            go_through(Mode.OBSERVE_CURRENTS)
            if not all(observation.decided for observation in observations):
                # The first images had far larger currents than the rest: nothing is left out this time.
                for observation in observations:
                    observation.count_anew()
                go_through(Mode.OBSERVE_CURRENTS)
        set_adc_ranges(layers)
    finally:
        for layer in layers:
            layer.observed = None
            layer.array.inputs_seen = layer.array.inputs_clipped = 0
    return model


def require_layers(model: nn.Module) -> list[AnalogLayer]:
    """Return the analog layers of a converted model.

    Raises:
        EvaluationError: there are none.
    """
    layers = analog_layers(model)
    if not layers:
        raise EvaluationError("The model has no analog layers: convert it first with accuracy.convert(model, design).")
    return layers


@contextmanager
def ideal_cells(layers: Iterable[AnalogLayer], wanted: bool = True) -> Iterator[None]:
    """Let every cell hold its exact target, and put programmed ones back."""
    chosen = list(layers) if wanted else []
    before = [(layer.array.cells, layer.array.ideal) for layer in chosen]
    for layer in chosen:
        layer.array.idealise()
    try:
        yield
    finally:
        for layer, (cells, ideal) in zip(chosen, before, strict=True):
            layer.array.take_cells(cells, ideal=ideal)


def needs_currents(layer: AnalogLayer) -> bool:
    """Return whether the ranges of a layer's ADCs come from the currents of its columns."""
    return layer.design.adc_bits is not None and layer.design.range_from_data


def set_input_ranges(layers: Iterable[AnalogLayer]) -> None:
    """Set the input ranges of layers from the inputs that they observed.

    Raises:
        CalibrationError: none of them ran, or inputs that a design's bits do not hold.
    """
    chosen = list(layers)
    if not any(layer.observed is not None and layer.observed.samples for layer in chosen):
        names = ", ".join(repr(layer.name) for layer in chosen)
        raise CalibrationError(f"No analog layer ({names}) ran on the calibration data.")
    for layer in chosen:
        seen = layer.observed
        assert seen is not None
        x_min, x_max = _own_range(layer, seen) or input_range(seen.positive, seen.negative)
        if not max(-x_min, x_max) > 0:
            # Only zeros were seen: any full scale serves.
            x_min, x_max = 0.0, 1.0
        ran = seen.samples > 0
        layer.set_calibration(Calibration(layer.design.to_mapping(), x_min, x_max, samples=seen.samples, ran=ran))
        # What a design cannot hold is refused before the second pass.
        input_steps(layer.design, x_min < 0)
        adc_levels(layer.design, x_min < 0)
        seen.symmetric = layer.design.symmetric_adc(signed_inputs=x_min < 0)


def _own_range(layer: AnalogLayer, seen: Observation) -> tuple[float, float] | None:
    """The range in which a quantised layer's own input integers are the design's, where the design follows its codes.

    Raises:
        CalibrationError: inputs were seen that the design's bits do not hold.
    """
    step = OwnCodes.of(layer.digital).input_step
    signed = seen.negative.reach > 0
    integers = input_steps(layer.design, signed)
    if layer.design.weight_scale != "given" or step is None or integers is None:
        return None
    edge = step * integers
    largest = max(float(side.largest.max(initial=0.0)) for side in (seen.positive, seen.negative))
    # Half a step rounds to the last code.
    if largest >= edge + step / 2 and not OwnCodes.of(layer.digital).input_clips:
        raise CalibrationError(
            f"Layer {layer.name!r}: its inputs reach the integer {largest / step:.0f} of its own quantiser, but "
            f"{layer.design.input_bits}-bit inputs reach {integers}; use more input_bits."
        )
    return (-edge if signed else 0.0, edge)


def set_adc_ranges(layers: Iterable[AnalogLayer]) -> None:
    """Set the ADC ranges of layers from the currents that they observed, after their input ranges."""
    for layer in layers:
        seen, calibration = layer.observed, layer.calibration
        assert seen is not None
        assert calibration is not None
        if seen.common:
            calibration.common = tuple(float(mean) for mean in np.mean(seen.common, axis=0))
        if needs_currents(layer):
            largest = max(layer.array.rows_of_partitions)
            needs = [histogram.quantile(INNER_FRACTION) for histogram in seen.currents]
            if not max(needs) > 0:
                needs = [float(largest)] * len(needs)
            calibration.ranges = ranges_over(needs, layer.design, largest, calibration.signed, layer.array.g_min)
            reach = [hi for _, hi in calibration.ranges]
            codes = [bits - 1 if seen.symmetric else bits for bits in layer.design.adc_bits_per_slice]
            found = list(zip(seen.currents, reach, codes, strict=True))
            calibration.clipped = tuple(histogram.beyond(hi) for histogram, hi, _ in found)
            calibration.used_codes = tuple(histogram.occupied(hi, 2**bits) for histogram, hi, bits in found)
            calibration.useful_range = tuple(hi / largest for hi in reach)


def calibration_report(model: nn.Module) -> list[dict[str, object]]:
    """Return calibrated ranges and how well they are used, one row for each layer and weight slice.

    Columns: layer, slice, x_min, x_max, lo, hi, clipped_fraction, used_code_fraction, useful_range_fraction,
    codes_per_level; the last six are None for designs without calibrated ADCs, and all eight for a layer that never
    ran. Used codes count magnitudes on symmetric ranges; those far below full scale may be of a sample of the currents.
    Codes per level are those between neighbouring currents of ideal cells: whole numbers read them without rounding
    (unless idle cells of single lines conduct), below 1 there are fewer codes than levels; None where inputs are not
    quantised.

    Raises:
        EvaluationError: the model was not converted.
        CalibrationError: it was not calibrated.
    """
    rows: list[dict[str, object]] = []
    for layer in require_layers(model):
        found = layer.require_calibration()
        codes = codes_per_level(found.ranges, layer.design, found.signed, layer.array.g_min) if found.ranges else None
        for index in range(layer.design.slices):
            has = found.ran and index < len(found.ranges)
            rows.append(
                {
                    "layer": layer.name,
                    "slice": index,
                    "x_min": found.x_min if found.ran else None,
                    "x_max": found.x_max if found.ran else None,
                    "lo": found.ranges[index][0] if has else None,
                    "hi": found.ranges[index][1] if has else None,
                    "clipped_fraction": found.clipped[index] if has else None,
                    "used_code_fraction": found.used_codes[index] if has else None,
                    "useful_range_fraction": found.useful_range[index] if has else None,
                    "codes_per_level": codes[index] if has and codes is not None else None,
                }
            )
    return rows
