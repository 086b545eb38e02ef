"""How a layer's inputs meet the rows of an array: a matrix product, or a convolution that never unrolls its input.

An operator turns the physical columns of one partition, a matrix (rows, columns), into a kernel of its own layout
once, and then applies it to inputs. Results always carry the columns last, so that what follows (ADC, digital
sums) is the same for every layer. Rows of a convolution are ordered (input channel, kernel position).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Kernel:
    """The physical columns of one partition, ready to be applied.

    Attributes:
        weight: in the operator's layout.
        channels: input channels that the partition's rows belong to.
        columns: number of physical columns.
    """

    weight: Tensor
    channels: slice
    columns: int


def channels_of(rows: slice, area: int) -> slice:
    """Return the input channels that some rows belong to, with so many rows a channel."""
    return slice(rows.start // area, -(-rows.stop // area))


@dataclass(frozen=True)
class Geometry:
    """Where the rows of a plane convolution lie in its images; a matrix product is a convolution of single pixels.

    Attributes:
        taps: kernel positions along y and x.
        stride: as in torch.
        padding: as in torch.
        dilation: as in torch.
    """

    taps: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    @property
    def area(self) -> int:
        """Kernel positions."""
        return self.taps[0] * self.taps[1]

    def out_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the output positions along both axes, as in torch."""
        sizes = zip((height, width), self.taps, self.stride, self.padding, self.dilation, strict=True)
        y, x = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sizes)
        return y, x

    def tap_offsets(self, width: int) -> NDArray[np.int64]:
        """Return where the taps lie, in pixels after the first one, in padded images of a width."""
        (ky, kx), (dy, dx) = self.taps, self.dilation
        return np.array([y * dy * width + x * dx for y in range(ky) for x in range(kx)], np.int64)


class Operator(Protocol):
    """Applies partitions of a layer's matrix to the layer's input."""

    @property
    def groups(self) -> int:
        """Independent matrices of the layer; columns are split evenly among them."""
        ...

    @property
    def area(self) -> int:
        """Rows of one input channel."""
        ...

    @property
    def geometry(self) -> Geometry | None:
        """Geometry of a matrix product, or of an ungrouped two-dimensional convolution; None for other layers."""
        ...

    def kernel(self, matrix: Tensor, rows: slice) -> Kernel:
        """Lay out the columns of the partition `rows`; `matrix` has shape (rows of the partition, columns)."""
        ...

    def apply(self, x: Tensor, kernel: Kernel) -> Tensor:
        """Return column sums, shape (..., columns)."""
        ...

    def ordered(self, x: Tensor) -> Tensor:
        """Return the input dense, in the memory order that `apply` is fastest on."""
        ...

    def prepare(self, x: Tensor) -> Tensor:
        """Return the input with whatever padding `apply` does not do itself."""
        ...

    def positions(self, x: Tensor) -> int:
        """Return about how many output positions one image has."""
        ...


class MatrixOperator:
    """``x @ matrix`` with inputs (..., rows)."""

    groups = 1
    area = 1
    geometry: Geometry | None = Geometry()

    def ordered(self, x: Tensor) -> Tensor:
        """Return the input dense, rows innermost."""
        return x.contiguous()

    def prepare(self, x: Tensor) -> Tensor:
        """Return the input unchanged."""
        return x

    def positions(self, x: Tensor) -> int:
        """Return the vectors of one image."""
        return x[:1].numel() // x.shape[-1]

    def kernel(self, matrix: Tensor, rows: slice) -> Kernel:
        """Keep the matrix as it is."""
        return Kernel(matrix.contiguous(), rows, matrix.shape[1])

    def apply(self, x: Tensor, kernel: Kernel) -> Tensor:
        """Multiply the partition's part of the input."""
        return x[..., kernel.channels] @ kernel.weight


@dataclass(frozen=True)
class ConvolutionOperator:
    """A convolution over one to three axes, or its transpose.

    Attributes:
        in_channels: channels of the input, of all groups.
        kernel_size: extent of the kernel along each axis.
        stride: as in torch.
        padding: zeros added on both sides of each axis.
        dilation: as in torch.
        groups: independent groups of channels.
        transposed: whether it is a transposed convolution.
        output_padding: as in torch, for transposed convolutions.
        edges: padding that `prepare` adds, in the order of `torch.nn.functional.pad`; empty for none.
        edge_mode: how `prepare` pads: ``"constant"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
    """

    in_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    transposed: bool = False
    output_padding: tuple[int, ...] = ()
    edges: tuple[int, ...] = ()
    edge_mode: str = "constant"

    @property
    def dimensions(self) -> int:
        """Number of axes that the kernel moves along."""
        return len(self.kernel_size)

    @property
    def geometry(self) -> Geometry | None:
        """Geometry of an ungrouped two-dimensional convolution; None for others."""
        if len(self.kernel_size) != 2 or self.groups != 1 or self.transposed:
            return None
        pairs = (self.kernel_size, self.stride, self.padding, self.dilation)
        return Geometry(*((y, x) for y, x in pairs))

    @property
    def area(self) -> int:
        """Positions of the kernel, the rows of one input channel."""
        return math.prod(self.kernel_size)

    def ordered(self, x: Tensor) -> Tensor:
        """Return the input dense; channels last for two-dimensional convolutions."""
        return self._ordered(x)

    def prepare(self, x: Tensor) -> Tensor:
        """Pad what torch's convolution cannot pad itself."""
        if any(self.edges):
            x = F.pad(x, self.edges, mode=self.edge_mode)
        return self._ordered(x)

    def positions(self, x: Tensor) -> int:
        """Return output positions, edges aside."""
        positions = 1
        for extent, stride in zip(x.shape[2:], self.stride, strict=True):
            positions *= extent * stride if self.transposed else -(-extent // stride)
        return positions

    def kernel(self, matrix: Tensor, rows: slice) -> Kernel:
        """Lay out a partition as a convolution kernel over the channels its rows touch.

        Rows of a channel that belong to another partition hold zeros, which add exactly nothing.
        """
        area, columns = self.area, matrix.shape[1]
        channels = channels_of(rows, area)
        full = matrix.new_zeros(((channels.stop - channels.start) * area, columns))
        full[rows.start - channels.start * area : rows.stop - channels.start * area] = matrix
        weight = full.reshape(-1, *self.kernel_size, columns)
        if self.groups > 1:
            return Kernel(self._grouped(weight), channels, columns)
        channel_axes = tuple(range(1, 1 + self.dimensions))
        order = (0, 1 + self.dimensions, *channel_axes) if self.transposed else (1 + self.dimensions, 0, *channel_axes)
        return Kernel(self._ordered(weight.permute(order)), channels, columns)

    def _ordered(self, weight: Tensor) -> Tensor:
        if self.dimensions == 2:
            return weight.contiguous(memory_format=torch.channels_last)
        return weight.contiguous()

    def _grouped(self, weight: Tensor) -> Tensor:
        """Kernel of a grouped convolution from (channels of a group, ..., columns); columns are group-major."""
        channels, columns, groups = weight.shape[0], weight.shape[-1], self.groups
        if self.transposed:
            # torch wants (channels of all groups, columns of a group, ...).
            split = weight.reshape(channels, *self.kernel_size, groups, columns // groups)
            axes = tuple(range(1, 1 + self.dimensions))
            split = split.permute(1 + self.dimensions, 0, 2 + self.dimensions, *axes)
            return self._ordered(split.reshape(groups * channels, columns // groups, *self.kernel_size))
        return self._ordered(weight.permute(1 + self.dimensions, 0, *range(1, 1 + self.dimensions)))

    def _channels(self, x: Tensor, channels: slice) -> Tensor:
        per_group = self.in_channels // self.groups
        if channels.stop - channels.start == per_group:
            return x
        if self.groups == 1:
            return x[:, channels]
        split = x.reshape(x.shape[0], self.groups, per_group, *x.shape[2:])[:, :, channels]
        return split.reshape(x.shape[0], -1, *x.shape[2:])

    def apply(self, x: Tensor, kernel: Kernel) -> Tensor:
        """Convolve the partition's channels; a view with the columns moved last is returned."""
        part = self._channels(x, kernel.channels)
        if self.transposed:
            result = _TRANSPOSED[self.dimensions](
                part, kernel.weight, None, self.stride, self.padding, self.output_padding, self.groups, self.dilation
            )
        else:
            result = _DIRECT[self.dimensions](
                part, kernel.weight, None, self.stride, self.padding, self.dilation, self.groups
            )
        return result.movedim(1, -1)


_DIRECT: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED: dict[int, Callable[..., Tensor]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: F.conv_transpose3d,
}
