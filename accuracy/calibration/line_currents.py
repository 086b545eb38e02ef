"""Currents on the lines of every layer's arrays, measured on a few images: see `circuits.LineCurrents`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from accuracy.batches import Batch, Batches, inputs_of
from accuracy.calibration.calibrate import require_layers
from accuracy.errors import EvaluationError
from accuracy.kernels.products import Products
from accuracy.layers.analog_layers import AnalogLayer
from accuracy.layers.layer_state import Mode
from accuracy.layers.modes import layer_mode
from accuracy.mapping.inputs import input_digits, quantise_inputs, slice_layout
from circuits import LineCurrents
from circuits.line_currents import INNER_RANGE

IMAGES = 16
"""Images that currents are measured on: thousands of positions and columns a layer."""

Key = tuple[int, int]


def measure_line_currents(model: nn.Module, batches: Batches, *, images: int = IMAGES) -> dict[str, LineCurrents]:
    """Return the line currents of every analog layer that ran, by layer name.

    Cells conduct what they are programmed to, or its mean at the age and temperature at which they are read. Layers
    with ideal cells, of which no current in ampere is known, are left out.

    Args:
        model: converted and calibrated.
        batches: pairs (inputs, labels); the first images are run through the float network.
        images: how many.

    Raises:
        EvaluationError: the model was not converted, or a design that does not quantise inputs.
        CalibrationError: no input ranges.
    """
    layers = [layer for layer in require_layers(model) if layer.array.cell is not None]
    sums: dict[int, _Sums] = {}

    def observe(layer: AnalogLayer, x: Tensor) -> Tensor:
        own = sums.setdefault(id(layer), _Sums())
        for kind, key, values in _currents(layer, x):
            own.add(kind, key, values)
        return layer.float_outputs(x)

    for layer in layers:
        layer.require_calibration()
        if layer.design.input_bits is None:
            raise EvaluationError(f"Layer {layer.name!r}: its design does not quantise inputs, so they have no bits.")
        layer.stand_in = observe
    seen = 0
    try:
        with layer_mode(require_layers(model), Mode.FLOAT), torch.no_grad():
            for batch in inputs_of(batches, model):
                few = _first(batch, images - seen)
                seen += few.examples()
                few.run(model)
                if seen >= images:
                    break
    finally:
        for layer in layers:
            layer.stand_in = None
    source = f"measured on {seen} images"
    return {layer.name: sums[id(layer)].currents(layer, source) for layer in layers if id(layer) in sums}


def _first(batch: Batch, images: int) -> Batch:
    """Return the first examples of a batch; one whose tensors do not all count examples is taken whole."""
    count = batch.examples()
    if count <= images or any(tensor.dim() == 0 or tensor.shape[0] != count for tensor in batch.tensors):
        return batch
    return batch.mapped(lambda tensor: tensor[:images])


def _currents(layer: AnalogLayer, x: Tensor) -> Iterator[tuple[str, Key, Tensor]]:
    """Yield (kind, (weight slice, input slice), currents in units of a full cell) of every partition."""
    calibration, array = layer.require_calibration(), layer.array
    x = x if x.dtype == torch.float64 else x.to(torch.float32)
    array.to(x.device, x.dtype)
    integers, _ = quantise_inputs(x / calibration.scale, layer.design, calibration.signed)
    integers = array.operator.prepare(integers)
    cells, slices = array.read_cells, layer.design.slices
    read, common = (
        Products(array, array.column_matrices(cells=cells)),
        Products(array, array.common_matrices(cells), slices),
    )
    biases = array.biases
    if biases is not None:
        added = [array.bias_common(read_targets=True), array.bias_columns(read_targets=True)]
        bias_common, bias_read = (torch.from_numpy(own).to(x) for own in added)
    for index, (shift, bits, unit, _) in enumerate(slice_layout(layer.design, calibration.signed)):
        digits = input_digits(integers, shift, bits) * unit
        for partition in range(len(read)):
            # Two phases of signed inputs: what both draw together is twice the mean of a phase.
            lines = common.currents(digits.abs(), partition) * (0.5 if calibration.signed else 1.0)
            currents = read.currents(digits, partition)
            if biases is not None and partition == 0:
                driven = (int(biases.code) >> shift) % 2**bits * unit
                lines = lines + bias_common * (driven * (0.5 if calibration.signed else 1.0))
                currents = currents + bias_read * driven
            for own in range(slices):
                yield "common", (own, index), lines[..., own, :]
                yield "differential", (own, index), currents[..., own * array.lines : (own + 1) * array.lines, :]


@dataclass
class _Sums:
    """Sums over positions and columns by kind and slices, and the largest useful range of a partition."""

    count: dict[tuple[str, Key], int] = field(default_factory=lambda: defaultdict(int))
    total: dict[tuple[str, Key], float] = field(default_factory=lambda: defaultdict(float))
    squares: dict[tuple[str, Key], float] = field(default_factory=lambda: defaultdict(float))
    reach: dict[tuple[str, Key], float] = field(default_factory=lambda: defaultdict(float))

    def add(self, kind: str, key: Key, values: Tensor) -> None:
        where = kind, key
        flat = values.detach().reshape(-1).cpu().numpy()
        self.count[where] += flat.size
        self.total[where] += float(flat.sum(dtype=np.float64))
        self.squares[where] += float(np.square(flat, dtype=np.float64).sum())
        inner = min(int(np.ceil(INNER_RANGE * flat.size)), flat.size) - 1
        self.reach[where] = max(self.reach[where], float(np.partition(np.abs(flat), inner)[inner]))

    def currents(self, layer: AnalogLayer, source: str) -> LineCurrents:
        """Return the sums as currents; an input slice that was never applied carries none."""
        assert layer.cell is not None
        full, design, calibration = layer.cell.i_max, layer.design, layer.require_calibration()
        shape = design.slices, design.input_slices
        values = {f"{kind}_{what}_a": np.zeros(shape) for kind in ("differential", "common") for what in _FIGURES}
        for (kind, key), count in self.count.items():
            mean = self.total[kind, key] / count
            spread = np.sqrt(max(self.squares[kind, key] / count - mean**2, 0.0))
            for what, value in zip(_FIGURES, (mean, spread, self.reach[kind, key]), strict=True):
                values[f"{kind}_{what}_a"][key] = value * full
        scales = None if not calibration.ranges else np.array([hi for _, hi in calibration.ranges]) * full
        return LineCurrents(**values, full_scale_a=scales, source=source)


_FIGURES = ("mean", "spread", "range")
