"""Residual networks for 32 x 32 images: ResNet-20, 32, 44 and 56.

He et al., "Deep residual learning for image recognition", CVPR 2016, section 4.2, with parameter-free shortcuts
(option A). Parameter names are those of the public weights: conv1, bn1, layer{1,2,3}.{i}.conv{1,2}/bn{1,2}, linear.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut without parameters.

    Where the block halves the image and doubles the channels, the shortcut takes every second pixel and pads the
    new channels with zeros, half before and half after (option A).
    """

    def __init__(self, in_planes: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.stride = stride
        self.extra_planes = planes - in_planes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, planes, height / stride, width / stride)."""
        out = torch.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.stride != 1 or self.extra_planes:
            half = self.extra_planes // 2
            x = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, self.extra_planes - half))
        return torch.relu(out + x)


class CifarResNet(nn.Module):
    """ResNet of depth 6 n + 2 for images (batch, 3, 32, 32), normalised with ImageNet's channel statistics."""

    def __init__(self, blocks: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, 1, blocks)
        self.layer2 = _stage(16, 32, 2, blocks)
        self.layer3 = _stage(32, 64, 2, blocks)
        self.linear = nn.Linear(64, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, classes)."""
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: torch.Tensor = self.linear(x.mean(dim=(2, 3)))
        return logits


def _stage(in_planes: int, planes: int, stride: int, blocks: int) -> nn.Sequential:
    first = BasicBlock(in_planes, planes, stride)
    return nn.Sequential(first, *(BasicBlock(planes, planes, 1) for _ in range(blocks - 1)))
