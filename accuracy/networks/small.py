"""Small networks for 28 x 28 grey images: LeNet-5, convolutional ones of six and seven layers, a perceptron."""

from __future__ import annotations

import itertools

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


class CNN7(nn.Module):
    """Six 3 x 3 convolutions in three pooled pairs and a linear layer; input (batch, 1, 28, 28) in 0..1.

    The network of a 48-core resistive-memory chip on MNIST (Wan et al., Nature 608, 2022, doi
    10.1038/s41586-022-04992-8; layers as in its authors' published code): 8, 8, 16, 16, 32 and 32 channels, 23 170
    parameters, no batch norm. Its matrices have 9, 72, 72, 144, 144, 288 and 512 rows.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        channels = (1, 8, 8, 16, 16, 32, 32)
        for number, (before, after) in enumerate(itertools.pairwise(channels), start=1):
            setattr(self, f"conv{number}", nn.Conv2d(before, after, 3, padding=1))
        self.fc = nn.Linear(512, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, classes)."""
        for first in (1, 3, 5):
            x = torch.relu(getattr(self, f"conv{first}")(x))
            x = torch.relu(getattr(self, f"conv{first + 1}")(x))
            x = torch.max_pool2d(x, 2, ceil_mode=True)
        logits: torch.Tensor = self.fc(torch.flatten(x, 1))
        return logits


class BinaryInputMLP(nn.Module):
    """A perceptron 784-64-10 whose inputs are black or white; input (batch, 1, 28, 28) in 0..1, white above one half.

    The network of a NOR-flash chip (Guo et al., IEDM 2017; arXiv 1610.02091): 50 890 weights and biases. What its
    analog neurons compute is not stated in its abstract; here it is a ReLU.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 64)
        self.fc2 = nn.Linear(64, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, classes)."""
        white = (torch.flatten(x, 1) > 0.5).to(x.dtype)
        logits: torch.Tensor = self.fc2(torch.relu(self.fc1(white)))
        return logits
