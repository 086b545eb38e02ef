"""Which layer loses the accuracy: signal-to-noise ratio of each, and accuracy with one layer analog at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from accuracy.batches import Batches, inputs_of, require_reiterable
from accuracy.calibration.calibrate import require_layers
from accuracy.errors import EvaluationError
from accuracy.evaluation.metrics import Metric
from accuracy.evaluation.trials import mean_score
from accuracy.layers.analog_layers import AnalogLayer
from accuracy.layers.layer_state import Mode
from accuracy.layers.modes import layer_mode
from accuracy.layers.programming import program_layers
from devicekit.common.plain import PlainValues


@dataclass(frozen=True)
class LayerReport(PlainValues):
    """Signal-to-noise ratios of one layer, and the loss with that layer alone analog.

    Attributes:
        name: the layer.
        rows: inputs of its matrix.
        columns: outputs.
        snr_db: its float output over its own error, on the float network's inputs [dB].
        network_snr_db: float output over the error of the whole analog network up to here [dB].
        clipped_inputs: fraction of its inputs outside the range, on the float network's inputs.
        accuracy_alone: accuracy with only this layer analog; None where not asked for.
    """

    name: str
    rows: int
    columns: int
    snr_db: float
    network_snr_db: float
    clipped_inputs: float
    accuracy_alone: float | None = None

    def __repr__(self) -> str:
        """Return the report on one line."""
        alone = "" if self.accuracy_alone is None else f", alone {self.accuracy_alone:.4g}"
        return (
            f"LayerReport({self.name!r}, {self.rows} x {self.columns}: own SNR {self.snr_db:.1f} dB, network SNR "
            f"{self.network_snr_db:.1f} dB, {100 * self.clipped_inputs:.2g} % clipped{alone})"
        )


def layer_report(
    model: nn.Module, batches: Batches, seed: int = 0, *, one_by_one: bool = False, metric: Metric = "top1"
) -> list[LayerReport]:
    """Compare every analog layer with its float form on one programming.

    Args:
        model: converted and calibrated.
        batches: pairs (inputs, labels).
        seed: programs the cells.
        one_by_one: whether to evaluate the network with each layer analog alone; one pass a layer.
        metric: for that, see `evaluate`.

    Returns:
        One report a layer, in the order of the model.

    Raises:
        EvaluationError: the model was not converted, an iterator, or no data.
        CalibrationError: no ranges.
    """
    layers = require_layers(model)
    require_reiterable(batches)
    for layer in layers:
        layer.adc_ranges()
        layer.array.inputs_seen = layer.array.inputs_clipped = 0
    program_layers(layers, seed)
    own, whole, clipped = _powers(model, layers, batches)
    alone: dict[int, float] = {}
    if one_by_one:
        for layer in layers:
            with layer_mode(layers, Mode.FLOAT), layer_mode([layer], Mode.ANALOG):
                alone[id(layer)] = mean_score(model, layers, batches, metric)
    return [
        LayerReport(
            name=layer.name,
            rows=layer.array.mapping.rows,
            columns=layer.array.mapping.columns,
            snr_db=_decibels(*own[id(layer)]),
            network_snr_db=_decibels(*whole[id(layer)]),
            clipped_inputs=clipped[id(layer)],
            accuracy_alone=alone.get(id(layer)),
        )
        for layer in layers
    ]


Powers = dict[int, tuple[float, float]]


def _powers(model: nn.Module, layers: list[AnalogLayer], batches: Batches) -> tuple[Powers, Powers, dict[int, float]]:
    """Return (signal, error) of each layer by itself and in the analog network, and clipped inputs of the first."""
    own: Powers = {id(layer): (0.0, 0.0) for layer in layers}
    whole: Powers = {id(layer): (0.0, 0.0) for layer in layers}
    kept: dict[int, list[Tensor]] = {}

    def compare(layer: AnalogLayer, x: Tensor) -> Tensor:
        result: Tensor = layer.digital(x)
        _add(own, layer, result, layer.outputs(x, relu=False))
        kept.setdefault(id(layer), []).append(result)
        return torch.relu(result) if layer.relu else result

    def follow(layer: AnalogLayer, x: Tensor) -> Tensor:
        result = layer.outputs(x, relu=False)
        _add(whole, layer, kept[id(layer)].pop(0), result)
        return torch.relu(result) if layer.relu else result

    counted: dict[int, tuple[int, int]] = {id(layer): (0, 0) for layer in layers}
    seen = 0
    try:
        with layer_mode(layers, Mode.ANALOG):
            for batch in inputs_of(batches, model):
                seen += 1
                for function in (compare, follow):
                    before = {id(layer): (layer.array.inputs_seen, layer.array.inputs_clipped) for layer in layers}
                    for layer in layers:
                        layer.stand_in = function
                    batch.run(model)
                    if function is compare:
                        for layer in layers:
                            old, total = before[id(layer)], counted[id(layer)]
                            counted[id(layer)] = (
                                total[0] + layer.array.inputs_seen - old[0],
                                total[1] + layer.array.inputs_clipped - old[1],
                            )
    finally:
        for layer in layers:
            layer.stand_in = None
    if not seen:
        raise EvaluationError("The data are empty: give at least one batch (inputs, labels).")
    return own, whole, {key: clipped / max(values, 1) for key, (values, clipped) in counted.items()}


def _add(powers: Powers, layer: AnalogLayer, wanted: Tensor, found: Tensor) -> None:
    signal, error = powers[id(layer)]
    wanted, found = wanted.to(torch.float64), found.to(torch.float64)
    powers[id(layer)] = (
        signal + float((wanted**2).sum()),
        error + float(((found - wanted) ** 2).sum()),
    )


def _decibels(signal: float, error: float) -> float:
    if error == 0.0:
        return math.inf
    return 10.0 * math.log10(signal / error) if signal > 0 else -math.inf
