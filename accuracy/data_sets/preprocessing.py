"""From stored pixels to what a network was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Scale:
    """Channels first, then (pixel / divisor - mean) / std for each channel.

    Attributes:
        divisor: what the largest pixel value is divided by to become 1 (255; 16 for digits; 1 to leave pixels).
        mean: subtracted, one value a channel (or one for all).
        std: divided by, one value a channel (or one for all).
        reverse: blue first (BGR), as Caffe's networks want.
    """

    divisor: float = 255.0
    mean: Sequence[float] = (0.0,)
    std: Sequence[float] = (1.0,)
    reverse: bool = False

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return float32 (batch, channels, height, width) of uint8 (batch, height, width, channels)."""
        channels = pixels.permute(0, 3, 1, 2)
        scaled = (channels.flip(1) if self.reverse else channels).to(torch.float32) / self.divisor
        mean = torch.tensor(self.mean).reshape(1, -1, 1, 1)
        std = torch.tensor(self.std).reshape(1, -1, 1, 1)
        return ((scaled - mean) / std).contiguous()


# The statistics of ImageNet's training images that most published networks normalise with, CIFAR-10 ResNets included.
IMAGENET = Scale(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
# Pixels as they are, 0..255.
RAW = Scale(divisor=1.0)
# -1..1: MobileNets and Inception.
SIGNED = Scale(divisor=1.0, mean=(127.5,), std=(127.5,))
# Blue, green, red, less the means of ImageNet: networks from Caffe.
CAFFE = Scale(divisor=1.0, mean=(104.0, 117.0, 123.0), reverse=True)
