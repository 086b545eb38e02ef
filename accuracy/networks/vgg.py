"""VGG-19.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015,
configuration E. Parameter names are torchvision's.
"""

from __future__ import annotations

import torch
from torch import nn

# Output channels of each 3 x 3 convolution; 0 is a 2 x 2 max pooling.
CONFIGURATION = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512, 0)


class VGG19(nn.Module):
    """Input (batch, 3, 224, 224), normalised by ImageNet's channel statistics."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        features: list[nn.Module] = []
        in_planes = 3
        for planes in CONFIGURATION:
            if planes:
                features += [nn.Conv2d(in_planes, planes, 3, padding=1), nn.ReLU()]
                in_planes = planes
            else:
                features.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(),
            nn.Linear(4096, classes),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, classes)."""
        logits: torch.Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return logits
