"""Inception-v3.

Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016. Parameter names are
torchvision's; its auxiliary classifier serves training only and is left out (its weights are ignored on loading), as is
its input transform: the data set normalises.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

Size = int | tuple[int, int]


class BasicConv2d(nn.Module):
    """Convolution, batch norm with eps 1e-3, ReLU."""

    def __init__(self, in_planes: int, planes: int, kernel: Size, stride: int = 1, padding: Size = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_planes, planes, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(planes, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, planes, height, width)."""
        return torch.relu(self.bn(self.conv(x)))


class InceptionA(nn.Module):
    """Branches of 1 x 1, 5 x 5, two 3 x 3, and pooling."""

    def __init__(self, planes: int, pool: int) -> None:
        super().__init__()
        self.branch1x1 = BasicConv2d(planes, 64, 1)
        self.branch5x5_1 = BasicConv2d(planes, 48, 1)
        self.branch5x5_2 = BasicConv2d(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = BasicConv2d(planes, 64, 1)
        self.branch3x3dbl_2 = BasicConv2d(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3, padding=1)
        self.branch_pool = BasicConv2d(planes, pool, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, 224 + pool, height, width)."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        pooled = self.branch_pool(functional.avg_pool2d(x, 3, stride=1, padding=1))
        return torch.cat([self.branch1x1(x), self.branch5x5_2(self.branch5x5_1(x)), double, pooled], 1)


class InceptionB(nn.Module):
    """Halves the image: 3 x 3, two 3 x 3, and pooling."""

    def __init__(self, planes: int) -> None:
        super().__init__()
        self.branch3x3 = BasicConv2d(planes, 384, 3, stride=2)
        self.branch3x3dbl_1 = BasicConv2d(planes, 64, 1)
        self.branch3x3dbl_2 = BasicConv2d(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, 480 + planes, height / 2, width / 2)."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, functional.max_pool2d(x, 3, stride=2)], 1)


class InceptionC(nn.Module):
    """7 x 7 convolutions as pairs of 1 x 7 and 7 x 1."""

    def __init__(self, planes: int, inner: int) -> None:
        super().__init__()
        across, down = (0, 3), (3, 0)
        self.branch1x1 = BasicConv2d(planes, 192, 1)
        self.branch7x7_1 = BasicConv2d(planes, inner, 1)
        self.branch7x7_2 = BasicConv2d(inner, inner, (1, 7), padding=across)
        self.branch7x7_3 = BasicConv2d(inner, 192, (7, 1), padding=down)
        self.branch7x7dbl_1 = BasicConv2d(planes, inner, 1)
        self.branch7x7dbl_2 = BasicConv2d(inner, inner, (7, 1), padding=down)
        self.branch7x7dbl_3 = BasicConv2d(inner, inner, (1, 7), padding=across)
        self.branch7x7dbl_4 = BasicConv2d(inner, inner, (7, 1), padding=down)
        self.branch7x7dbl_5 = BasicConv2d(inner, 192, (1, 7), padding=across)
        self.branch_pool = BasicConv2d(planes, 192, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, 768, height, width)."""
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        pooled = self.branch_pool(functional.avg_pool2d(x, 3, stride=1, padding=1))
        return torch.cat([self.branch1x1(x), single, double, pooled], 1)


class InceptionD(nn.Module):
    """Halves the image: 3 x 3, 7 x 7 then 3 x 3, and pooling."""

    def __init__(self, planes: int) -> None:
        super().__init__()
        self.branch3x3_1 = BasicConv2d(planes, 192, 1)
        self.branch3x3_2 = BasicConv2d(192, 320, 3, stride=2)
        self.branch7x7x3_1 = BasicConv2d(planes, 192, 1)
        self.branch7x7x3_2 = BasicConv2d(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = BasicConv2d(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = BasicConv2d(192, 192, 3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, 512 + planes, height / 2, width / 2)."""
        long = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), long, functional.max_pool2d(x, 3, stride=2)], 1)


class InceptionE(nn.Module):
    """Branches that end in 1 x 3 and 3 x 1 side by side."""

    def __init__(self, planes: int) -> None:
        super().__init__()
        across, down = (0, 1), (1, 0)
        self.branch1x1 = BasicConv2d(planes, 320, 1)
        self.branch3x3_1 = BasicConv2d(planes, 384, 1)
        self.branch3x3_2a = BasicConv2d(384, 384, (1, 3), padding=across)
        self.branch3x3_2b = BasicConv2d(384, 384, (3, 1), padding=down)
        self.branch3x3dbl_1 = BasicConv2d(planes, 448, 1)
        self.branch3x3dbl_2 = BasicConv2d(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = BasicConv2d(384, 384, (1, 3), padding=across)
        self.branch3x3dbl_3b = BasicConv2d(384, 384, (3, 1), padding=down)
        self.branch_pool = BasicConv2d(planes, 192, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, 2048, height, width)."""
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = self.branch_pool(functional.avg_pool2d(x, 3, stride=1, padding=1))
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch3x3_2a(single),
                self.branch3x3_2b(single),
                self.branch3x3dbl_3a(double),
                self.branch3x3dbl_3b(double),
                pooled,
            ],
            1,
        )


class InceptionV3(nn.Module):
    """Input (batch, 3, 299, 299), pixels scaled to -1..1."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = BasicConv2d(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = BasicConv2d(32, 32, 3)
        self.Conv2d_2b_3x3 = BasicConv2d(32, 64, 3, padding=1)
        self.maxpool1 = nn.MaxPool2d(3, stride=2)
        self.Conv2d_3b_1x1 = BasicConv2d(64, 80, 1)
        self.Conv2d_4a_3x3 = BasicConv2d(80, 192, 3)
        self.maxpool2 = nn.MaxPool2d(3, stride=2)
        self.Mixed_5b = InceptionA(192, 32)
        self.Mixed_5c = InceptionA(256, 64)
        self.Mixed_5d = InceptionA(288, 64)
        self.Mixed_6a = InceptionB(288)
        self.Mixed_6b = InceptionC(768, 128)
        self.Mixed_6c = InceptionC(768, 160)
        self.Mixed_6d = InceptionC(768, 160)
        self.Mixed_6e = InceptionC(768, 192)
        self.Mixed_7a = InceptionD(768)
        self.Mixed_7b = InceptionE(1280)
        self.Mixed_7c = InceptionE(2048)
        self.dropout = nn.Dropout()
        self.fc = nn.Linear(2048, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, classes)."""
        x = self.maxpool1(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = self.maxpool2(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        logits: torch.Tensor = self.fc(self.dropout(x.mean(dim=(2, 3))))
        return logits
