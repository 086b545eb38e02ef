"""Products of a layer's inputs with what flows back to its outputs, image by image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from accuracy.layers.gradients import product
from accuracy.mapping.operators import ConvolutionOperator, MatrixOperator, Operator


def image_products(operator: Operator, x: Tensor, g: Tensor) -> Tensor:
    """Return ``G_ij = sum_p x_ip g_jp`` of each image: the derivative of ``sum g y`` by the matrix of ``y = x W``.

    Args:
        operator: how inputs meet rows.
        x: inputs of the layer, images first.
        g: one number for each output, shape (images, ..., columns); columns last.

    Returns:
        Shape (images, rows, columns).
    """
    if isinstance(operator, MatrixOperator):
        flat_x, flat_g = (part.reshape(part.shape[0], -1, part.shape[-1]) for part in (x, g))
        return flat_x.transpose(1, 2) @ flat_g
    assert isinstance(operator, ConvolutionOperator)
    if operator.dimensions == 2 and operator.groups == 1 and not operator.transposed:
        padded = operator.prepare(x).contiguous()
        rows = F.unfold(padded, operator.kernel_size, operator.dilation, operator.padding, operator.stride)
        return rows @ g.reshape(g.shape[0], -1, g.shape[-1])
    return torch.stack([_by_autograd(operator, x[image : image + 1], g[image : image + 1]) for image in range(len(x))])


def _by_autograd(operator: Operator, x: Tensor, g: Tensor) -> Tensor:
    with torch.enable_grad():
        matrix = torch.zeros(rows_of(operator, x), g.shape[-1], dtype=x.dtype, device=x.device, requires_grad=True)
        (found,) = torch.autograd.grad(product(operator, x.detach(), matrix), matrix, g)
    return found


def rows_of(operator: Operator, x: Tensor) -> int:
    """Return the rows of the matrix that inputs meet."""
    if isinstance(operator, ConvolutionOperator):
        return operator.in_channels // operator.groups * operator.area
    return x.shape[-1]
