"""Corrections after programming undo what they are for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from accuracy import analog_layers, calibrate, convert, evaluate
from accuracy.calibration.corrections import Correction, apply_corrections, clear_corrections
from devicekit import Cell, StateIndependent
from tests.accuracy.small_networks import design, small_data, small_network


def programmed(model: nn.Module, scale: np.ndarray | float) -> nn.Module:
    """Put ideal cells times a factor (a number, or one a column) in every layer."""
    for layer in analog_layers(model):
        factor = scale if isinstance(scale, float) else scale[: layer.array.mapping.columns]
        layer.array.set_conductances(layer.array.targets * factor)
    return model


def outputs(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([model(inputs) for inputs, _ in small_data()])


@pytest.mark.parametrize(
    ("correction", "scale"),
    [
        ("drift", 0.8),
        ("column_trim", 0.8),
        ("column_trim", np.linspace(0.6, 0.95, 8)),
        ("batch_norm", np.linspace(0.6, 0.95, 8)),
    ],
    ids=["drift of all", "trim of all", "trim by column", "moments by column"],
)
def test_a_change_of_gain_is_undone(correction: Correction, scale: np.ndarray | float) -> None:
    model = calibrate(convert(small_network(), design("A", adc_bits=14)), small_data())
    wanted = outputs(model)
    programmed(model, scale)
    spoilt = outputs(model)
    apply_corrections(model, analog_layers(model), [correction], small_data())
    corrected = outputs(model)
    error, before = (float((part - wanted).abs().max()) for part in (corrected, spoilt))
    assert error < before / 8
    clear_corrections(analog_layers(model))
    assert torch.equal(outputs(model), spoilt)


def test_corrections_build_on_each_other() -> None:
    model = programmed(calibrate(convert(small_network(), design("A", adc_bits=14)), small_data()), 0.7)
    apply_corrections(model, analog_layers(model), ["drift", "column_trim"], small_data())
    both = outputs(model)
    apply_corrections(model, analog_layers(model), ["column_trim"], small_data())
    torch.testing.assert_close(outputs(model), both, rtol=1e-3, atol=1e-3)


def test_trimming_wins_accuracy_back_and_is_off_by_default() -> None:
    cell = Cell(error=StateIndependent(0.1), i_max=1.6e-6, on_off_ratio=1e7, read_voltage=0.1)
    model = calibrate(convert(small_network(), design("E"), cell), small_data(seed=2))
    plain = evaluate(model, small_data(), 4)
    trimmed = evaluate(model, small_data(), 4, corrections=("column_trim",), correction_batches=small_data(seed=2))
    assert trimmed.mean > plain.mean + 0.05
    assert trimmed.ideal == plain.ideal
    assert all(layer.correction is None for layer in analog_layers(model))
