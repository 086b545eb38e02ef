"""MobileNet-v1.

Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision applications",
arXiv 1704.04861, table 1. No framework's names are usual in PyTorch; here ``features.0`` is the first convolution,
``features.{i}.depthwise`` and ``.pointwise`` the separable ones, ``classifier`` the last layer.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from accuracy.networks.blocks import ConvNormAct

# Output channels at width 1, stride of the depthwise convolution.
BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip


class MobileNetV1(nn.Module):
    """Depthwise-separable convolutions; input (batch, 3, side, side), the side a multiple of 32."""

    def __init__(self, classes: int = 1000, *, width: float = 1.0, folded: bool = False, same: bool = True) -> None:
        """Build the network.

        Args:
            classes: outputs.
            width: multiplies every number of channels.
            folded: batch norm is already in the weights.
            same: TensorFlow's SAME padding.
        """
        super().__init__()
        planes = int(32 * width)
        features: list[nn.Module] = [ConvNormAct(3, planes, 3, 2, folded=folded, same=same, eps=1e-3)]
        for full, stride in BLOCKS:
            out_planes = int(full * width)
            depthwise = ConvNormAct(planes, planes, 3, stride, groups=planes, folded=folded, same=same, eps=1e-3)
            pointwise = ConvNormAct(planes, out_planes, 1, folded=folded, eps=1e-3)
            features.append(nn.Sequential(OrderedDict(depthwise=depthwise, pointwise=pointwise)))
            planes = out_planes
        self.features = nn.Sequential(*features)
        self.classifier = nn.Linear(planes, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, classes)."""
        logits: torch.Tensor = self.classifier(self.features(x).mean(dim=(2, 3)))
        return logits
