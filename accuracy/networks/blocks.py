"""The block most image networks repeat: convolution, batch norm, activation, with either framework's padding."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional


class ConvNormAct(nn.Sequential):
    """A convolution ``0``, its batch norm ``1`` and its activation ``2``, with those names (torchvision's).

    Padding of a strided convolution: torchvision pads both sides alike; TensorFlow's SAME pads ``kernel - stride``
    in all where the stride divides the image, the odd pixel at the bottom and right.

    Attributes:
        padding: zeros (left, right, top, bottom) added before the convolution; zeros where it pads itself.
    """

    def __init__(
        self,
        in_planes: int,
        planes: int,
        kernel: int,
        stride: int = 1,
        *,
        groups: int = 1,
        activation: Callable[[], nn.Module] = nn.ReLU6,
        folded: bool = False,
        same: bool = False,
        eps: float = 1e-5,
    ) -> None:
        """Build the block.

        Args:
            in_planes: input channels.
            planes: output channels.
            kernel: side of the kernel, odd.
            stride: of the convolution.
            groups: of the convolution.
            activation: makes the activation; `nn.Identity` for none.
            folded: batch norm is already in the weights: a bias, and no norm.
            same: TensorFlow's SAME padding, for images whose side the stride divides.
            eps: of the batch norm.
        """
        before, after = _padding(kernel, stride, same)
        alike = before == after
        super().__init__(
            nn.Conv2d(in_planes, planes, kernel, stride, before if alike else 0, groups=groups, bias=folded),
            nn.Identity() if folded else nn.BatchNorm2d(planes, eps=eps),
            activation(),
        )
        self.padding = (0, 0, 0, 0) if alike else (before, after, before, after)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, planes, height / stride, width / stride)."""
        if any(self.padding):
            x = functional.pad(x, self.padding)
        for layer in self:
            x = layer(x)
        return x


def _padding(kernel: int, stride: int, same: bool) -> tuple[int, int]:
    """Zeros before and after each side of the image."""
    if not same or stride == 1:
        return kernel // 2, kernel // 2
    total = max(kernel - stride, 0)
    return total // 2, total - total // 2
