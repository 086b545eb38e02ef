"""Converted layers against the reference: convolutions of every shape, gathered number by number, and linear layers."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from accuracy import analog_layers, convert
from accuracy.layers.analog_layers import AnalogLayer
from accuracy.layers.layer_state import Calibration
from circuits import CoreDesign
from devicekit import Cell, StateIndependent
from tests.reference.analog_reference import adc_bits_of, multiply, negative_currents
from tests.reference.mapping_reference import slice_worth
from tests.reference.patches_reference import gather

ON_OFF = 50.0
CELL = Cell(error=StateIndependent(0.05), i_max=1.6e-6, on_off_ratio=ON_OFF)
DESIGNS = {
    "A": CoreDesign(),
    "B": CoreDesign(weight_bits=9, bits_per_cell=1),
    "C": CoreDesign(max_rows=20),
    "D": CoreDesign(input_accumulation="digital"),
    "E": CoreDesign(negative_weights="offset", bits_per_cell=2, max_rows=12, input_accumulation="digital"),
    "unit": CoreDesign(negative_weights="offset_unit_column", bits_per_cell=4, max_rows=20, flipped_encoding=True),
    "both lines": CoreDesign(subtraction="digital", bits_per_cell=3),
    "complement": CoreDesign(negative_weights="twos_complement", bits_per_cell=3, bits_per_input_slice=3),
}


@st.composite
def layers(draw: st.DrawFn) -> nn.Module:
    kind = draw(st.sampled_from(("linear", "conv1d", "conv2d", "conv2d", "conv2d", "conv3d", "transposed")))
    torch.manual_seed(draw(st.integers(0, 2**16)))
    bias = draw(st.booleans())
    if kind == "linear":
        return nn.Linear(draw(st.integers(1, 40)), draw(st.integers(1, 20)), bias=bias)
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    channels, columns = groups * draw(st.integers(1, 4)), groups * draw(st.integers(1, 3))
    axes = {"conv1d": 1, "conv2d": 2, "conv3d": 3, "transposed": 2}[kind]
    shape = {
        "kernel_size": tuple(draw(st.integers(1, 3)) for _ in range(axes)),
        "stride": tuple(draw(st.integers(1, 2)) for _ in range(axes)),
        "dilation": tuple(draw(st.integers(1, 2)) for _ in range(axes)),
        "groups": groups,
        "bias": bias,
    }
    if kind == "transposed":
        return nn.ConvTranspose2d(channels, columns, padding=draw(st.integers(0, 1)), **shape)
    shape["padding"] = draw(st.integers(0, 2))
    shape["padding_mode"] = draw(st.sampled_from(("zeros", "zeros", "replicate", "circular", "reflect")))
    return {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[axes](channels, columns, **shape)


def example_input(layer: nn.Module, signed: bool, seed: int) -> torch.Tensor:
    """Inputs off the borders between two codes, some exactly 0."""
    rng = np.random.default_rng(seed)
    if isinstance(layer, nn.Linear):
        shape: tuple[int, ...] = (3, layer.in_features)
    else:
        axes = len(layer.kernel_size)
        shape = (1, layer.in_channels, *([7] if axes < 3 else [5]) * axes)
    levels = 127 if signed else 255
    numbers = rng.integers(-levels if signed else 0, levels + 1, size=shape) * (rng.uniform(size=shape) < 0.7)
    numbers = np.clip(numbers + rng.uniform(-0.4, 0.4, size=shape), -levels if signed else 0, levels)
    return torch.from_numpy(numbers / levels).float()


def reference_output(
    analog: AnalogLayer, x: np.ndarray, signed: bool, ranges: Any, out_shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Output (positions, columns) without bias, and what rounding may change in it."""
    digital, design = analog.digital, analog.design
    weight = digital.weight.detach().double().numpy()
    transposed = isinstance(digital, nn.ConvTranspose2d)
    if isinstance(digital, nn.Linear):
        groups, rows = 1, x.astype(np.float64)[None]
        matrices = [weight.T]
    else:
        groups = digital.groups
        rows = gather(x, _geometry(digital), out_shape, transposed)
        if transposed:
            per = weight.shape[0] // groups
            matrices = [
                weight[g * per : (g + 1) * per].transpose(0, 2, 3, 1).reshape(-1, weight.shape[1])
                for g in range(groups)
            ]
        else:
            per = weight.shape[0] // groups
            matrices = [weight[g * per : (g + 1) * per].reshape(per, -1).T for g in range(groups)]
    step = np.abs(weight).max() / (2 ** (design.weight_bits - 1) - 1)
    cells, columns = analog.array.conductances, matrices[0].shape[1]
    parts = [range(part.start, part.stop) for part in analog.array.mapping.partitions]
    outputs, allowed = [], []
    for g, matrix in enumerate(matrices):
        unit = cells[:, 0, :, groups * columns + g] if design.negative_weights == "offset_unit_column" else None
        product = multiply(
            rows[g],
            matrix,
            design.replace(weight_scale="given"),
            signed=signed,
            g_min=1 / ON_OFF,
            adc_range=ranges,
            step=step,
            conductances=cells[..., g * columns : (g + 1) * columns],
            unit=unit,
            parts=parts,
        )
        outputs.append(product.output)
        slack = 4e-6 * product.magnitude + 2e-6 * (np.abs(rows[g]) @ np.abs(matrix)) + 1e-9
        for conversion in product.conversions:
            slack[conversion.output] += 1e-6 * abs(conversion.effect) * 2**8
            if conversion.tie < 4e-6 * 2**8:
                slack[conversion.output] += abs(conversion.effect)
        allowed.append(slack)
    return np.concatenate(outputs, axis=1), np.concatenate(allowed, axis=1)


def _geometry(layer: Any) -> Any:
    padding = tuple(layer.padding) if layer.padding_mode == "zeros" else (0,) * len(layer.kernel_size)
    return SimpleNamespace(
        kernel_size=layer.kernel_size,
        stride=layer.stride,
        padding=padding,
        dilation=layer.dilation,
        groups=layer.groups,
    )


def _padded(layer: Any, x: torch.Tensor) -> torch.Tensor:
    if isinstance(layer, nn.Linear) or layer.padding_mode == "zeros":
        return x
    edges = [p for padding in reversed(layer.padding) for p in (padding, padding)]
    return F.pad(x, edges, mode=layer.padding_mode)


@settings(deadline=None, max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(layers(), st.sampled_from(sorted(DESIGNS)), st.booleans(), st.integers(0, 2**16))
def test_layers(layer: nn.Module, name: str, signed: bool, seed: int) -> None:
    design = DESIGNS[name]
    x = example_input(layer, signed, seed)
    analog = analog_layers(convert(layer, design, cell=CELL, seed=seed))[0]
    slices = len(slice_worth(design))
    rows = analog.array.mapping.partitions[0].stop
    hi = 0.3 * math.sqrt(rows) * (1.0 if design.negative_weights == "differential" else 2.0)
    lo = -hi if negative_currents(design, signed) else 0.0
    ranges = [(lo, hi)] * slices
    assert adc_bits_of(design, slices) == [8] * slices
    analog.set_calibration(
        Calibration(design.to_mapping(), x_min=-1.0 if signed else 0.0, x_max=1.0, ranges=tuple(ranges), samples=1)
    )
    with torch.inference_mode():
        ours = analog(x)
        plain = layer(x)
    assert ours.shape == plain.shape
    padded = _padded(layer, x).double().numpy()
    expected, slack = reference_output(analog, padded, signed, ranges, tuple(plain.shape[2:]))
    if layer.bias is not None:
        expected = expected + layer.bias.detach().double().numpy()
    columns_last = ours if isinstance(layer, nn.Linear) else ours.movedim(1, -1)
    difference = np.abs(columns_last.double().numpy().reshape(expected.shape) - expected)
    assert np.all(difference <= slack), f"{layer} {name} signed={signed}: {np.max(difference / slack)} times allowed"
