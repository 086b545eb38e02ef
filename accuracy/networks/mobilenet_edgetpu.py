"""MobileNet-EdgeTPU 1.0, the image classifier of MLPerf Mobile v0.7.

Inverted residuals; the early ones fuse expansion and depthwise convolution into one full 3 x 3 convolution. The
stages were read off the published TensorFlow Lite graph (mlcommons/mobile_models, v0_7).
"""

from __future__ import annotations

import torch
from torch import nn

from accuracy.networks.blocks import ConvNormAct

# Each block: fused or not, kernel of the spatial convolution, hidden channels, output channels, stride, whether the
# input is added (the fourth stage starts anew without adding, though its shapes agree).
STAGES = (
    (True, 3, 128, 32, 2, False), (True, 3, 128, 32, 1, True), (True, 3, 128, 32, 1, True),
    (True, 3, 128, 32, 1, True),
    (True, 3, 256, 48, 2, False), (True, 3, 192, 48, 1, True), (True, 3, 192, 48, 1, True),
    (True, 3, 192, 48, 1, True),
    (False, 3, 384, 96, 2, False), (False, 3, 384, 96, 1, True), (False, 3, 384, 96, 1, True),
    (False, 3, 384, 96, 1, True),
    (False, 3, 768, 96, 1, False), (False, 3, 384, 96, 1, True), (False, 3, 384, 96, 1, True),
    (False, 3, 384, 96, 1, True),
    (False, 5, 768, 160, 2, False), (False, 5, 640, 160, 1, True), (False, 5, 640, 160, 1, True),
    (False, 5, 640, 160, 1, True),
    (False, 3, 1280, 192, 1, False),
)  # fmt: skip


class EdgeBlock(nn.Module):
    """Expand (with or without the depthwise step apart), project without activation; add the input where said."""

    def __init__(self, in_planes: int, stage: tuple[bool, int, int, int, int, bool], folded: bool, same: bool) -> None:
        super().__init__()
        fused, kernel, hidden, planes, stride, self.residual = stage
        if fused:
            self.expand: nn.Module = _block(in_planes, hidden, kernel, stride, folded, same)
            self.depthwise: nn.Module = nn.Identity()
        else:
            self.expand = _block(in_planes, hidden, 1, 1, folded, same)
            self.depthwise = _block(hidden, hidden, kernel, stride, folded, same, groups=hidden)
        self.project = ConvNormAct(hidden, planes, 1, activation=nn.Identity, folded=folded, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, planes, height / stride, width / stride)."""
        out: torch.Tensor = self.project(self.depthwise(self.expand(x)))
        return x + out if self.residual else out


class MobileNetEdgeTPU(nn.Module):
    """Input (batch, 3, 224, 224)."""

    def __init__(self, classes: int = 1000, *, folded: bool = False, same: bool = True) -> None:
        """Build the network.

        Args:
            classes: outputs.
            folded: batch norm is already in the weights.
            same: TensorFlow's SAME padding.
        """
        super().__init__()
        self.stem = _block(3, 32, 3, 2, folded, same)
        self.project = ConvNormAct(32, 16, 1, activation=nn.Identity, folded=folded, eps=1e-3)
        blocks: list[nn.Module] = []
        planes = 16
        for stage in STAGES:
            blocks.append(EdgeBlock(planes, stage, folded, same))
            planes = stage[3]
        self.blocks = nn.Sequential(*blocks)
        self.head = _block(planes, 1280, 1, 1, folded, same)
        self.classifier = nn.Linear(1280, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, classes)."""
        x = self.head(self.blocks(self.project(self.stem(x))))
        logits: torch.Tensor = self.classifier(x.mean(dim=(2, 3)))
        return logits


def _block(
    in_planes: int, planes: int, kernel: int, stride: int, folded: bool, same: bool, groups: int = 1
) -> ConvNormAct:
    return ConvNormAct(
        in_planes, planes, kernel, stride, groups=groups, activation=nn.ReLU, folded=folded, same=same, eps=1e-3
    )
