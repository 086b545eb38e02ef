"""ResNet-50 v1.5 for 224 x 224 images.

He et al., "Deep residual learning for image recognition", CVPR 2016, with the stride of a bottleneck in its 3 x 3
convolution (version 1.5, as the field trains it since). Parameter names are torchvision's.
"""

from __future__ import annotations

import torch
from torch import nn

EXPANSION = 4


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions with batch norm, and a shortcut, projected where the shape changes."""

    def __init__(self, in_planes: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * EXPANSION, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * EXPANSION)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_planes != planes * EXPANSION:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_planes, planes * EXPANSION, 1, stride=stride, bias=False),
                nn.BatchNorm2d(planes * EXPANSION),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, 4 planes, height / stride, width / stride)."""
        out = torch.relu(self.bn1(self.conv1(x)))
        out = torch.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        if self.downsample is not None:
            x = self.downsample(x)
        return torch.relu(out + x)


class ResNet50(nn.Module):
    """Stages of 3, 4, 6 and 3 bottlenecks; input (batch, 3, 224, 224), normalised by ImageNet's channel statistics."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(64, 64, 1, 3)
        self.layer2 = _stage(256, 128, 2, 4)
        self.layer3 = _stage(512, 256, 2, 6)
        self.layer4 = _stage(1024, 512, 2, 3)
        self.fc = nn.Linear(2048, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, classes)."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: torch.Tensor = self.fc(x.mean(dim=(2, 3)))
        return logits


def _stage(in_planes: int, planes: int, stride: int, blocks: int) -> nn.Sequential:
    first = Bottleneck(in_planes, planes, stride)
    return nn.Sequential(first, *(Bottleneck(planes * EXPANSION, planes, 1) for _ in range(blocks - 1)))
