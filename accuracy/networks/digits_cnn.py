"""The bundled network: a small convolutional network for 8 x 8 digits."""

from __future__ import annotations

import torch
from torch import nn


class DigitsCNN(nn.Module):
    """Three convolutions with batch norm and ReLU, and a linear classifier; input (batch, 1, 8, 8) in 0..1.

    Its matrices have 9, 225, 288 and 32 rows. 225 is above 144 and no multiple of 72, so a core of at most 144 rows
    splits it 113 + 112 and one of at most 72 rows 57 + 56 + 56 + 56: real, uneven partitions on a network that
    evaluates in a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 25, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(25)
        self.conv2 = nn.Conv2d(25, 32, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.conv3 = nn.Conv2d(32, 32, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(32)
        self.fc = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, 10)."""
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        x = torch.max_pool2d(x, 2)
        x = torch.relu(self.bn3(self.conv3(x)))
        x = x.mean(dim=(2, 3))
        logits: torch.Tensor = self.fc(x)
        return logits
