"""MobileNet-v2.

Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018, table 2. Parameter names are
torchvision's. TensorFlow's weights have batch norm folded and SAME padding; torchvision's have neither.
"""

from __future__ import annotations

import torch
from torch import nn

from accuracy.networks.blocks import ConvNormAct

# Expansion, output channels, blocks, stride of the first block.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class InvertedResidual(nn.Module):
    """Expand by 1 x 1, depthwise 3 x 3, project by 1 x 1 without activation; add the input where shapes agree."""

    def __init__(self, in_planes: int, planes: int, stride: int, expansion: int, folded: bool, same: bool) -> None:
        super().__init__()
        hidden = in_planes * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(ConvNormAct(in_planes, hidden, 1, folded=folded))
        layers += [
            ConvNormAct(hidden, hidden, 3, stride, groups=hidden, folded=folded, same=same),
            nn.Conv2d(hidden, planes, 1, bias=folded),
            nn.Identity() if folded else nn.BatchNorm2d(planes),
        ]
        self.conv = nn.Sequential(*layers)
        self.residual = stride == 1 and in_planes == planes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, planes, height / stride, width / stride)."""
        out: torch.Tensor = self.conv(x)
        return x + out if self.residual else out


class MobileNetV2(nn.Module):
    """Width 1.0, input (batch, 3, 224, 224)."""

    def __init__(self, classes: int = 1000, *, folded: bool = False, same: bool = False) -> None:
        """Build the network.

        Args:
            classes: outputs.
            folded: batch norm is already in the weights.
            same: TensorFlow's SAME padding.
        """
        super().__init__()
        features: list[nn.Module] = [ConvNormAct(3, 32, 3, 2, folded=folded, same=same)]
        planes = 32
        for expansion, out_planes, blocks, stride in STAGES:
            for block in range(blocks):
                first = stride if block == 0 else 1
                features.append(InvertedResidual(planes, out_planes, first, expansion, folded, same))
                planes = out_planes
        features.append(ConvNormAct(planes, 1280, 1, folded=folded))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, classes)."""
        logits: torch.Tensor = self.classifier(self.features(x).mean(dim=(2, 3)))
        return logits
