"""ResNet-8, the image classifier of MLPerf Tiny.

Banbury et al., "MLPerf Tiny benchmark", NeurIPS 2021 (mlcommons/tiny, image_classification). It is a Keras network:
convolutions with bias, TensorFlow's SAME padding, batch norm with eps 1e-3, shortcuts of 1 x 1 convolutions without
batch norm, raw pixels 0..255. `from_keras` brings Keras' weights (names, HWIO kernels) into this module.
"""

from __future__ import annotations

import torch
from torch import nn

from accuracy.networks.blocks import ConvNormAct

EPS = 1e-3


class KerasBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm; the input, or its 1 x 1 projection, is added before the last ReLU."""

    def __init__(self, in_planes: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _biased(in_planes, planes, stride, nn.ReLU)
        self.conv2 = _biased(planes, planes, 1, nn.Identity)
        self.skip: nn.Module = nn.Identity() if stride == 1 else nn.Conv2d(in_planes, planes, 1, stride=stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, planes, height / stride, width / stride)."""
        return torch.relu(self.conv2(self.conv1(x)) + self.skip(x))


class ResNet8(nn.Module):
    """Input (batch, 3, 32, 32), pixels 0..255."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = _biased(3, 16, 1, nn.ReLU)
        self.block1 = KerasBlock(16, 16, 1)
        self.block2 = KerasBlock(16, 32, 2)
        self.block3 = KerasBlock(32, 64, 2)
        self.dense = nn.Linear(64, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, classes)."""
        x = self.block3(self.block2(self.block1(self.stem(x))))
        logits: torch.Tensor = self.dense(x.mean(dim=(2, 3)))
        return logits


def _biased(in_planes: int, planes: int, stride: int, activation: type[nn.Module]) -> ConvNormAct:
    block = ConvNormAct(in_planes, planes, 3, stride, activation=activation, same=True, eps=EPS)
    block[0].bias = nn.Parameter(torch.zeros(planes))
    return block


# Keras numbers layers as they were made: the shortcut of a block after its two convolutions.
_CONVOLUTIONS = (
    "stem.0", "block1.conv1.0", "block1.conv2.0", "block2.conv1.0", "block2.conv2.0", "block2.skip",
    "block3.conv1.0", "block3.conv2.0", "block3.skip",
)  # fmt: skip
_NORMS = (
    "stem.1", "block1.conv1.1", "block1.conv2.1", "block2.conv1.1", "block2.conv2.1", "block3.conv1.1",
    "block3.conv2.1",
)  # fmt: skip
_NORM_PARTS = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def from_keras(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return Keras' weights under this module's names and in PyTorch's layouts; other names are left as they are.

    Args:
        state: ``conv2d[_k].kernel`` (height, width, in, out) and ``.bias``, ``batch_normalization[_k].*``,
            ``dense.kernel`` (in, out) and ``.bias``.
    """
    layers = {f"conv2d{_suffix(k)}": name for k, name in enumerate(_CONVOLUTIONS)}
    layers |= {f"batch_normalization{_suffix(k)}": name for k, name in enumerate(_NORMS)}
    renamed = {}
    for name, value in state.items():
        layer, _, part = name.rpartition(".")
        if part == "kernel":
            value = value.permute(3, 2, 0, 1) if value.ndim == 4 else value.T
            part = "weight"
        elif layer.startswith("batch_normalization"):
            part = _NORM_PARTS.get(part, part)
        renamed[f"{layers.get(layer, layer)}.{part}"] = value.contiguous()
    return renamed


def _suffix(k: int) -> str:
    return f"_{k}" if k else ""
