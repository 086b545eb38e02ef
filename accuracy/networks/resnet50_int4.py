"""ResNet-50 v1.5 with 4-bit weights and activations: all integers, with its own requantisers between the layers.

The network of the 4-bit rows of Xiao et al., IEEE Transactions on Circuits and Systems I 69, 1480 (2022), published by
NVIDIA with the results of MLPerf Inference v0.5 (Apache-2.0). Weights have 4 bits, those of the first and the last
layer 8; activations have 4 bits, the image 8 and the pooled features 7. Between layers stand integer requantisers.

Codes are held in single precision, in which every sum and every product of these sizes is exact. Each layer says its
quantiser (`accuracy.layer_kinds.OwnCodes`), so that designs with ``weight_scale="given"`` map weights and inputs as the
integers they are.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from accuracy.layer_kinds import OwnCodes
from accuracy.networks.errors import NetworkError
from accuracy.networks.resnet50 import EXPANSION
from devicekit.common.foreign import numpy_archive

STAGES = ((64, 1, 3), (128, 2, 4), (256, 2, 6), (512, 2, 3))
"""Planes, stride of the first block, and blocks of each stage."""
PIXEL_STEP = 2.64 / 127
"""Normalised pixel of one input code."""
PIXEL_CODES = 127
CODE_SPREAD = 5.0
"""Root mean square of 4-bit codes, about, and below of random 4-bit weights."""
WEIGHT_SPREAD = 4.3
EXACT_SHIFT = 16
"""With factors of 16 bits, a code below 128 and this shift a product has 23 bits: single precision holds it."""


class Requantiser(nn.Module):
    """Sums to codes: ``sign(t) floor(|t| + 1/2)`` of ``t = sum * factor / 2^shift``, clamped to what the bits hold.

    Unsigned codes reach from 0, which is the ReLU as well; signed ones from ``-2^bits``.
    """

    factor: torch.Tensor

    def __init__(self, channels: int, factor: float = 1.0, bits: int = 4, signed: bool = False) -> None:
        super().__init__()
        self.register_buffer("factor", torch.full((1, channels, 1, 1), factor))
        self.reach(bits, signed)

    def reach(self, bits: int, signed: bool) -> None:
        """Set the bits of the code, its sign not counted."""
        self.high = float(2**bits - 1)
        self.low = -self.high - 1 if signed else 0.0

    def lay_in(self, factor: Any, shift: int, bits: int, signed: bool) -> None:
        """Take over a factor a channel, the right shift, and the bits of the code (its sign not counted)."""
        self.factor.copy_(torch.from_numpy(np.asarray(factor, dtype=np.float64) / 2.0**shift))
        self.reach(bits, signed)

    def forward(self, sums: torch.Tensor) -> torch.Tensor:
        """Return codes, of the shape of the sums."""
        scaled = sums * self.factor
        if self.low < 0:
            # Half away from zero.
            scaled = torch.trunc(scaled + torch.copysign(torch.full_like(scaled, 0.5), scaled))
        else:
            scaled = torch.floor(scaled + 0.5)
        return scaled.clamp(self.low, self.high)


def _draw(layer: nn.Conv2d | nn.Linear, largest: int) -> None:
    """Random weight integers and no bias, for an untrained network."""
    with torch.no_grad():
        layer.weight.copy_(torch.randint(-largest, largest + 1, layer.weight.shape, device=layer.weight.device))
        if layer.bias is not None:
            layer.bias.zero_()


def _to_codes(rows: int) -> float:
    """The factor that brings sums over random weights and codes back to codes, for an untrained network."""
    return 1.0 / (WEIGHT_SPREAD * math.sqrt(rows))


class Bottleneck(nn.Module):
    """Codes in, codes out: 1 x 1, 3 x 3 (with the stride) and 1 x 1, and a shortcut that is requantised to sums."""

    def __init__(self, in_planes: int, planes: int, stride: int, first: bool) -> None:
        super().__init__()
        out_planes = planes * EXPANSION
        self.conv1 = nn.Conv2d(in_planes, planes, 1)
        self.quantize1 = Requantiser(planes, _to_codes(in_planes))
        self.conv2 = nn.Conv2d(planes, planes, 3, stride=stride, padding=1)
        self.quantize2 = Requantiser(planes, _to_codes(9 * planes))
        self.conv3 = nn.Conv2d(planes, out_planes, 1)
        self.quantize3 = Requantiser(out_planes, _to_codes(planes))
        to_sums = Requantiser(out_planes, 1 / _to_codes(planes), 31, signed=first)
        self.downsample: nn.Module = to_sums
        if first:
            projection = nn.Conv2d(in_planes, out_planes, 1, stride=stride)
            to_codes = Requantiser(out_planes, _to_codes(in_planes), 7, signed=True)
            self.downsample = nn.Sequential(projection, to_codes, to_sums)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return codes (batch, 4 planes, height / stride, width / stride)."""
        out = self.quantize1(self.conv1(x))
        out = self.quantize2(self.conv2(out))
        codes: torch.Tensor = self.quantize3(self.conv3(out) + self.downsample(x))
        return codes


class ResNet50Int4(nn.Module):
    """Input (batch, 3, 224, 224), normalised by ImageNet's channel statistics; everything behind is integer codes."""

    out_scale: torch.Tensor
    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.quantize1 = Requantiser(64, _to_codes(3 * 7 * 7) * CODE_SPREAD * PIXEL_STEP / 16)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        planes = 64
        for index, (width, stride, blocks) in enumerate(STAGES, start=1):
            stage = nn.Sequential()
            for block in range(blocks):
                stage.append(Bottleneck(planes, width, stride if block == 0 else 1, first=block == 0))
                planes = width * EXPANSION
            self.add_module(f"layer{index}", stage)
        self.fc = nn.Linear(planes, 1000)
        self.register_buffer("out_scale", torch.ones(1000))
        for name, layer in self.named_modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                bits = 8 if name in ("conv1", "fc") else 4
                OwnCodes(weight_step=1.0, weight_bits=bits, input_step=1.0, input_bits=bits).say(layer)
                _draw(layer, 2 ** (bits - 1) - 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, 1000)."""
        x = torch.round(x / PIXEL_STEP).clamp(-PIXEL_CODES, PIXEL_CODES)
        x = self.maxpool(self.quantize1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        pooled = torch.floor(x.mean(dim=(2, 3)) + 0.5)
        logits: torch.Tensor = self.fc(pooled) / self.out_scale
        return logits


def lay_in(model: nn.Module, path: Path) -> None:
    """Copy the published integers into a `ResNet50Int4`, in place.

    Args:
        model: changed in place.
        path: an archive of NumPy arrays: of each layer ``NAME.weight`` (out, in, height, width) and ``.bias``, of each
            requantiser ``NAME.requant_factor`` (a channel), ``.shift_bits``, ``.output_bits`` and ``.signed``, and
            ``scale.out_scale`` (1000); blocks are called ``layer1_0_conv1``.

    Raises:
        NetworkError: no such archive, an array that is missing or of another shape, weights beyond their bits, or a
            shift at which single precision would round.
    """
    with numpy_archive(path, NetworkError, "an archive of 4-bit integers and requantisers") as archive, torch.no_grad():
        for name, module in model.named_modules():
            stored = _stored_name(name)
            if isinstance(module, nn.Conv2d | nn.Linear):
                assert module.bias is not None
                _copy(module.weight, archive[f"{stored}.weight"], path, f"{stored}.weight")
                _copy(module.bias, archive[f"{stored}.bias"], path, f"{stored}.bias")
                bits = int(module.weight_bits)  # type: ignore[arg-type]
                if float(module.weight.abs().max()) > 2 ** (bits - 1) - 1:
                    raise NetworkError(f"{path}: expected weights of {bits} bits in {stored!r}, but found larger ones.")
            elif isinstance(module, Requantiser):
                shift = int(archive[f"{stored}.shift_bits"])
                factor = archive[f"{stored}.requant_factor"]
                if not 0 <= shift <= EXACT_SHIFT or factor.dtype != np.uint16 or factor.size != module.factor.numel():
                    raise NetworkError(
                        f"{path}: expected {stored!r} with a factor of 16 bits for each of {module.factor.numel()} "
                        f"channels and a shift of at most {EXACT_SHIFT}, but found {factor.size} factors of type "
                        f"{factor.dtype} and a shift of {shift}."
                    )
                signed = bool(archive[f"{stored}.signed"])
                module.lay_in(factor.reshape(module.factor.shape), shift, int(archive[f"{stored}.output_bits"]), signed)
        assert isinstance(model, ResNet50Int4)
        _copy(model.out_scale, archive["scale.out_scale"], path, "scale.out_scale")


def _stored_name(name: str) -> str:
    """``layer1.0.downsample.2`` is called ``layer1_0_downsample_2``."""
    return name.replace(".", "_")


def _copy(target: torch.Tensor, values: Any, path: Path, name: str) -> None:
    if tuple(values.shape) != tuple(target.shape):
        raise NetworkError(
            f"{path}: expected {name!r} of shape {tuple(target.shape)}, but it has {tuple(values.shape)}."
        )
    target.copy_(torch.from_numpy(np.asarray(values, dtype=np.float32)))
