"""Convolutions and transposed convolutions over one to three axes, groups included."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from torch import Tensor, nn

from accuracy.layer_kinds.examples import RandomInput
from accuracy.layer_kinds.kind import MatrixKind
from accuracy.mapping.operators import ConvolutionOperator


class ConvolutionKind(MatrixKind):
    """`torch.nn.Conv1d` to `Conv3d`: rows (input channel of a group, kernel position), columns along axis 1."""

    name = "convolution"
    modules: ClassVar[tuple[type[nn.Module], ...]] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    output_axis = 1

    def matrix(self, module: Any) -> Tensor:
        """Return the kernels, one a column."""
        weight: Tensor = module.weight
        return weight.reshape(weight.shape[0], -1).t()

    def lay_in(self, module: Any, matrix: Tensor, bias: Tensor | None) -> None:
        """Set weight and bias."""
        weight = matrix.t().reshape(module.out_channels, -1, *module.kernel_size)
        module.weight = nn.Parameter(weight.contiguous())
        module.register_parameter("bias", None if bias is None else nn.Parameter(bias))

    def operator(self, module: Any) -> ConvolutionOperator:
        """Return the convolution with the module's strides, padding and groups."""
        edges: tuple[int, ...] = ()
        padding: tuple[int, ...] = () if isinstance(module.padding, str) else tuple(module.padding)
        if isinstance(module.padding, str) or module.padding_mode != "zeros":
            edges, padding = tuple(module._reversed_padding_repeated_twice), (0,) * len(module.kernel_size)
        return ConvolutionOperator(
            module.in_channels,
            tuple(module.kernel_size),
            tuple(module.stride),
            padding,
            tuple(module.dilation),
            module.groups,
            edges=edges,
            edge_mode="constant" if module.padding_mode == "zeros" else module.padding_mode,
        )

    def label(self, module: Any) -> str:
        """Return ``"conv1d"`` to ``"conv3d"``."""
        return f"conv{len(module.kernel_size)}d"

    def examples(self, module: Any, random: RandomInput) -> list[tuple[Any, ...]]:
        """Return two sizes of image, large values and small; padding that follows the size of the image shows."""
        padding = (0,) * len(module.kernel_size) if isinstance(module.padding, str) else module.padding
        sides = [
            dilation * (kernel - 1) + 1 + stride + pad
            for kernel, stride, dilation, pad in zip(
                module.kernel_size, module.stride, module.dilation, padding, strict=True
            )
        ]
        return [
            (random(images, module.in_channels, *(side + more for side in sides), spread=100.0),)
            for images, more in ((3, 0), (2, 1))
        ]


class TransposedConvolutionKind(ConvolutionKind):
    """`torch.nn.ConvTranspose1d` to `ConvTranspose3d`: the same on an input with zeros between its pixels."""

    name = "transposed convolution"
    modules = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)

    def matrix(self, module: Any) -> Tensor:
        """Return the kernels, one a column, those of a group together."""
        weight: Tensor = module.weight
        # (channels of all groups, columns of a group, kernel) -> (channels of a group, kernel, columns of all groups)
        split = weight.reshape(module.groups, -1, *weight.shape[1:])
        axes = tuple(range(3, split.ndim))
        area = math.prod(weight.shape[2:])
        return split.permute(1, *axes, 0, 2).reshape(split.shape[1] * area, -1)

    def lay_in(self, module: Any, matrix: Tensor, bias: Tensor | None) -> None:
        """Set weight and bias."""
        kernel = tuple(module.kernel_size)
        columns = module.out_channels // module.groups
        split = matrix.reshape(-1, *kernel, module.groups, columns)
        weight = split.permute(len(kernel) + 1, 0, len(kernel) + 2, *range(1, len(kernel) + 1))
        module.weight = nn.Parameter(weight.reshape(module.in_channels, columns, *kernel).contiguous())
        module.register_parameter("bias", None if bias is None else nn.Parameter(bias))

    def operator(self, module: Any) -> ConvolutionOperator:
        """Return the transposed convolution with the module's strides, padding and groups."""
        return ConvolutionOperator(
            module.in_channels,
            tuple(module.kernel_size),
            tuple(module.stride),
            tuple(int(p) for p in module.padding),
            tuple(module.dilation),
            module.groups,
            transposed=True,
            output_padding=tuple(module.output_padding),
        )

    def label(self, module: Any) -> str:
        """Return ``"conv_transpose1d"`` to ``"conv_transpose3d"``."""
        return f"conv_transpose{len(module.kernel_size)}d"
