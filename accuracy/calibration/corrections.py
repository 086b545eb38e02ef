"""Digital corrections after programming, off by default: what a chip can do with a few known inputs.

All three end in one gain and offset a column, applied where the digital bias is. They are found with training data:

- ``drift``: one gain a layer that brings the mean magnitude of its outputs back to that of ideal cells (global drift
  compensation; Joshi et al., Nature Communications 11, 2473, 2020);
- ``column_trim``: least-squares gain and offset of each column against ideal cells on the same inputs;
- ``batch_norm``: mean and spread of each column over images and positions brought back to the float network's, layer
  after layer on the inputs that the corrected layers before give: what re-estimating batch-norm statistics does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from accuracy.batches import Batches, inputs_of, require_reiterable
from accuracy.calibration.calibrate import ideal_cells
from accuracy.errors import EvaluationError
from accuracy.layers.analog_layers import AnalogLayer
from accuracy.layers.layer_state import ColumnCorrection, Mode
from accuracy.layers.modes import layer_mode
from circuits.core_parts import Correction
from circuits.core_parts import checked_corrections as known_corrections
from devicekit.common.errors import DesignError


def checked_corrections(wanted: Sequence[str], batches: Batches | None, core: str = "") -> tuple[Correction, ...]:
    """Return corrections in the order given.

    Args:
        wanted: their names.
        batches: training data to find them with.
        core: the core that asks for them, where the caller does not.

    Raises:
        EvaluationError: unknown correction, or no data to find it with.
    """
    try:
        known = known_corrections(wanted)
    except DesignError as error:
        raise EvaluationError(str(error)) from None
    if known and batches is None:
        asked = f"The core {core!r} is corrected after programming ({', '.join(known)}). " if core else ""
        raise EvaluationError(
            f"{asked}Corrections need `correction_batches`, training data that the chip is run on"
            + (", or corrections=() to leave them out." if core else ".")
        )
    if batches is not None:
        require_reiterable(batches)
    return known


def clear_corrections(layers: Sequence[AnalogLayer]) -> None:
    """Leave outputs as the arrays give them."""
    for layer in layers:
        layer.correction = None


def apply_corrections(
    model: nn.Module, layers: Sequence[AnalogLayer], wanted: Sequence[Correction], batches: Batches
) -> None:
    """Find and set corrections for the cells as they are programmed now.

    Args:
        model: the converted network.
        layers: its analog layers.
        wanted: corrections in order; each builds on those before.
        batches: pairs (inputs, labels) of training data.
    """
    clear_corrections(layers)
    for name in wanted:
        if name == "batch_norm":
            _restore_moments(model, layers, batches)
        else:
            _compare_with_ideal(model, layers, batches, _GAINS[name])


@dataclass
class _Sums:
    """Sums over images and positions, by column, in double precision."""

    count: int = 0
    y: Tensor | None = None
    ideal: Tensor | None = None
    y_squared: Tensor | None = None
    product: Tensor | None = None
    magnitude: Tensor | None = None
    ideal_magnitude: Tensor | None = None

    def add(self, y: Tensor, ideal: Tensor) -> None:
        y, ideal = (part.detach().reshape(-1, part.shape[-1]).to(torch.float64) for part in (y, ideal))
        self.count += y.shape[0]
        terms = {
            "y": y,
            "ideal": ideal,
            "y_squared": y * y,
            "product": y * ideal,
            "magnitude": y.abs(),
            "ideal_magnitude": ideal.abs(),
        }
        for name, values in terms.items():
            before = getattr(self, name)
            setattr(self, name, values.sum(dim=0) if before is None else before + values.sum(dim=0))


def _drift_gain(sums: _Sums) -> tuple[Tensor, Tensor]:
    assert sums.magnitude is not None
    assert sums.ideal_magnitude is not None
    total = sums.magnitude.sum()
    gain = sums.ideal_magnitude.sum() / total if total > 0 else torch.ones_like(total)
    return gain.expand_as(sums.magnitude).clone(), torch.zeros_like(sums.magnitude)


def _least_squares(sums: _Sums) -> tuple[Tensor, Tensor]:
    assert sums.y is not None
    assert sums.ideal is not None
    assert sums.y_squared is not None
    assert sums.product is not None
    mean, ideal = sums.y / sums.count, sums.ideal / sums.count
    variance = sums.y_squared / sums.count - mean**2
    covariance = sums.product / sums.count - mean * ideal
    # A column that never moves has no slope; its offset is still corrected.
    moves = variance > 1e-12 * (mean**2 + 1e-300)
    gain = torch.where(moves, covariance / torch.where(moves, variance, 1.0), 1.0)
    return gain, ideal - gain * mean


_GAINS: dict[Correction, Callable[[_Sums], tuple[Tensor, Tensor]]] = {
    "drift": _drift_gain,
    "column_trim": _least_squares,
}


def _compare_with_ideal(
    model: nn.Module, layers: Sequence[AnalogLayer], batches: Batches, solve: Callable[[_Sums], tuple[Tensor, Tensor]]
) -> None:
    """Run the network with ideal cells, read every layer's programmed cells on the same inputs, and solve."""
    sums = {id(layer): _Sums() for layer in layers}

    def compare(layer: AnalogLayer, x: Tensor) -> Tensor:
        programmed = layer.outputs(x, relu=False)
        with ideal_cells([layer]):
            ideal = layer.array_outputs(x)
        bias = _bias(layer)
        sums[id(layer)].add(layer.columns_last(programmed) - bias, layer.columns_last(ideal) - bias)
        return torch.relu(ideal) if layer.relu else ideal

    _run_with(model, layers, batches, compare)
    for layer in layers:
        gain, offset = solve(sums[id(layer)])
        # Arrays make what stands before the digital bias; only that is corrected.
        offset = offset + _bias(layer) * (1.0 - gain)
        layer.correction = ColumnCorrection(gain, offset).after(layer.correction)


def _restore_moments(model: nn.Module, layers: Sequence[AnalogLayer], batches: Batches) -> None:
    """Collect the float network's moments, then run the programmed network with each batch brought back to them."""
    target = {id(layer): _Sums() for layer in layers}

    def observe(layer: AnalogLayer, x: Tensor) -> Tensor:
        result: Tensor = layer.digital(x)
        target[id(layer)].add(layer.columns_last(result), layer.columns_last(result))
        return torch.relu(result) if layer.relu else result

    _run_with(model, layers, batches, observe)
    found = {id(layer): _Sums() for layer in layers}

    def restore(layer: AnalogLayer, x: Tensor) -> Tensor:
        result = layer.outputs(x, relu=False)
        own = _Sums()
        columns = layer.columns_last(result)
        own.add(columns, columns)
        found[id(layer)].add(columns, columns)
        gain, offset = _moment_match(own, target[id(layer)])
        restored = layer.columns_back(ColumnCorrection(gain, offset).apply(columns))
        return torch.relu(restored) if layer.relu else restored

    _run_with(model, layers, batches, restore)
    for layer in layers:
        gain, offset = _moment_match(found[id(layer)], target[id(layer)])
        layer.correction = ColumnCorrection(gain, offset).after(layer.correction)


def _moment_match(own: _Sums, target: _Sums) -> tuple[Tensor, Tensor]:
    mean, spread = _moments(own)
    wanted_mean, wanted_spread = _moments(target)
    gain = torch.where(spread > 0, wanted_spread / torch.where(spread > 0, spread, 1.0), 1.0)
    return gain, wanted_mean - gain * mean


def _moments(sums: _Sums) -> tuple[Tensor, Tensor]:
    assert sums.y is not None
    assert sums.y_squared is not None
    mean = sums.y / sums.count
    return mean, (sums.y_squared / sums.count - mean**2).clamp(min=0.0).sqrt()


def _bias(layer: AnalogLayer) -> Tensor | float:
    bias = layer.digital_bias
    return 0.0 if bias is None else bias.detach().to(torch.float64)


def _run_with(
    model: nn.Module,
    layers: Sequence[AnalogLayer],
    batches: Batches,
    function: Callable[[AnalogLayer, Tensor], Tensor],
) -> None:
    """Run batches with another computation in place of the layers' own."""
    for layer in layers:
        layer.stand_in = function
    try:
        with layer_mode(layers, Mode.ANALOG):
            for batch in inputs_of(batches, model):
                batch.run(model)
    finally:
        for layer in layers:
            layer.stand_in = None
