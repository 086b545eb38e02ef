"""Small networks for 28 x 28 grey images: LeNet-5 and a six-layer convolutional network."""

from __future__ import annotations

import torch
from torch import nn


class LeNet5(nn.Module):
    """LeNet-5 with ReLU and max pooling; input (batch, 1, 28, 28) in 0..1.

    LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 86(11), 1998, as the field
    trains it today: two 5 x 5 convolutions of 6 and 16 channels, three linear layers of 120, 84 and 10.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, classes)."""
        x = torch.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = torch.max_pool2d(torch.relu(self.conv2(x)), 2)
        x = torch.relu(self.fc1(torch.flatten(x, 1)))
        logits: torch.Tensor = self.fc3(torch.relu(self.fc2(x)))
        return logits


class CNN6(nn.Module):
    """Four 3 x 3 convolutions with batch norm in two pooled pairs, two linear layers; input (batch, 1, 28, 28) in 0..1.

    The six-layer kind of network that evaluators of analog arrays use on MNIST and Fashion-MNIST. Its matrices have
    9, 144, 144, 288, 1568 and 64 rows, so the first linear layer needs more rows than one core of 1152 has.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(16)
        self.conv3 = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(32)
        self.conv4 = nn.Conv2d(32, 32, 3, padding=1, bias=False)
        self.bn4 = nn.BatchNorm2d(32)
        self.fc1 = nn.Linear(32 * 49, 64)
        self.fc2 = nn.Linear(64, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, classes)."""
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.max_pool2d(torch.relu(self.bn2(self.conv2(x))), 2)
        x = torch.relu(self.bn3(self.conv3(x)))
        x = torch.max_pool2d(torch.relu(self.bn4(self.conv4(x))), 2)
        x = torch.relu(self.fc1(torch.flatten(x, 1)))
        logits: torch.Tensor = self.fc2(x)
        return logits
