"""Wide residual networks for 32 x 32 images.

Zagoruyko and Komodakis, "Wide residual networks", BMVC 2016, arXiv 1605.07146: depth 6 n + 4, stages of 16 k, 32 k and
64 k channels, batch norm and ReLU before each convolution, a 1 x 1 convolution as shortcut where channels change. Batch
norms before a convolution that reads a sum cannot be folded into one and stay digital; the second of each block can.
"""

from __future__ import annotations

import torch
from torch import nn


class WideBlock(nn.Module):
    """Two 3 x 3 convolutions, each behind batch norm and ReLU, and a shortcut."""

    def __init__(self, in_planes: int, planes: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_planes)
        self.conv1 = nn.Conv2d(in_planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        same = in_planes == planes and stride == 1
        self.shortcut = None if same else nn.Conv2d(in_planes, planes, 1, stride=stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, planes, height / stride, width / stride)."""
        active = torch.relu(self.bn1(x))
        out = self.conv2(torch.relu(self.bn2(self.conv1(active))))
        sum_with = x if self.shortcut is None else self.shortcut(active)
        total: torch.Tensor = out + sum_with
        return total


class WideResNet(nn.Module):
    """Wide ResNet for images (batch, 3, 32, 32), normalised with ImageNet's channel statistics.

    Args:
        depth: 6 n + 4.
        width: k.
        classes: of the classifier.
    """

    def __init__(self, depth: int = 16, width: int = 4, classes: int = 10) -> None:
        super().__init__()
        blocks = (depth - 4) // 6
        planes = [16, 16 * width, 32 * width, 64 * width]
        self.conv1 = nn.Conv2d(3, planes[0], 3, padding=1, bias=False)
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(
                WideBlock(planes[stage], planes[stage + 1], 1 if stage == 0 else 2),
                *(WideBlock(planes[stage + 1], planes[stage + 1], 1) for _ in range(blocks - 1)),
            )
            for stage in range(3)
        )
        self.bn = nn.BatchNorm2d(planes[3])
        self.linear = nn.Linear(planes[3], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, classes)."""
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        logits: torch.Tensor = self.linear(torch.relu(self.bn(x)).mean(dim=(2, 3)))
        return logits
