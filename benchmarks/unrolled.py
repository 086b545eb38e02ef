"""The usual way to evaluate a convolution on arrays, in plain torch: unroll the image, multiply, convert, fold back.

It stands in the table for evaluators that unroll. It uses the cells of a converted layer, so that it computes the same
numbers; everything else is written as one would without further thought.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from accuracy import analog_layers
from accuracy.layers.analog_layers import AnalogLayer


class Unrolled(nn.Module):
    """An analog layer evaluated as a matrix product over unrolled patches.

    Args:
        layer: a converted, calibrated layer of a design without unit column, flips or signed inputs beyond two phases.
    """

    def __init__(self, layer: AnalogLayer) -> None:
        super().__init__()
        self.digital, self.design, array = layer.digital, layer.design, layer.array
        calibration = layer.require_calibration()
        self.signed, self.scale = calibration.signed, calibration.scale
        cells = torch.from_numpy(array.conductances).float()
        self.matrix = cells[:, 0] - cells[:, 1] if cells.shape[1] == 2 else cells[:, 0]
        self.partitions = array.mapping.partitions
        self.worth = array.mapping.slice_weights * array.mapping.levels / (1 - array.g_min)
        self.step = torch.from_numpy(array.mapping.step)
        self.offset = array.mapping.offset + array.g_min * float(self.worth.sum()) if cells.shape[1] == 1 else 0.0
        adc = layer.adc_ranges()
        assert adc is not None
        self.ranges, self.codes = adc.ranges, adc.uniform().codes_per_unit.tolist()

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output."""
        levels = 127 if self.signed else 255
        x = torch.round((x / self.scale).clamp(-1 if self.signed else 0, 1) * levels)
        if isinstance(self.digital, nn.Conv2d):
            kernel = self.digital
            rows = functional.unfold(x, kernel.kernel_size, kernel.dilation, kernel.padding, kernel.stride)
            rows = rows.transpose(1, 2)
        else:
            rows = x
        total = torch.zeros(*rows.shape[:-1], self.matrix.shape[2], dtype=torch.float64)
        for weight, piece in self.slices(rows, levels):
            for part in self.partitions:
                for s, matrix in enumerate(self.matrix):
                    current = piece[..., part] @ matrix[part]
                    (lo, hi), q = self.ranges[s], self.codes[s]
                    total += (torch.round((current.clamp(lo, hi) - lo) * q) / q + lo) * (self.worth[s] * weight)
        if self.offset:
            total -= self.offset * rows.sum(dim=-1, keepdim=True).double() / levels
        out = (total * self.step * self.scale).float()
        if self.digital.bias is not None:
            out = out + self.digital.bias
        if isinstance(self.digital, nn.Conv2d):
            side = [
                (n + 2 * p - d * (k - 1) - 1) // s + 1
                for n, p, d, k, s in zip(
                    x.shape[2:], kernel.padding, kernel.dilation, kernel.kernel_size, kernel.stride, strict=True
                )
            ]
            out = out.transpose(1, 2).reshape(len(x), -1, *side)
        return out

    def slices(self, rows: Tensor, levels: int) -> list[tuple[float, Tensor]]:
        """What is converted at once, with its worth."""
        if self.design.input_accumulation == "analog":
            return [(1.0, rows / levels)]
        magnitude, sign = rows.abs().int(), torch.sign(rows)
        bits = levels.bit_length()
        return [(2.0**b / levels, ((magnitude >> b) & 1).float() * sign) for b in range(bits)]


def unrolled(model: nn.Module) -> nn.Module:
    """Return a copy of a converted, calibrated model whose analog layers are evaluated unrolled."""
    result = copy.deepcopy(model)
    for layer in analog_layers(result):
        parent, _, own = layer.name.rpartition(".")
        setattr(result.get_submodule(parent), own, Unrolled(layer))
    return result.eval()
