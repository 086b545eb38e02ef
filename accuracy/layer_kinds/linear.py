"""Linear layers: the inputs of a vector are the rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from accuracy.layer_kinds.kind import MatrixKind


def as_numbers(weight: Any) -> Tensor:
    """Return a weight as an ordinary tensor, where it is one of a quantisation package's own types."""
    assert isinstance(weight, Tensor)
    if type(weight) in (Tensor, nn.Parameter) or not hasattr(type(weight), "__torch_dispatch__"):
        return weight
    return weight.dequantize()


class LinearKind(MatrixKind):
    """`torch.nn.Linear`: weight (columns, rows), columns along the last axis."""

    name = "linear"
    modules = (nn.Linear,)

    def matrix(self, module: nn.Module) -> Tensor:
        """Return the weight transposed; a quantised one as the numbers that it stands for."""
        return as_numbers(module.weight).t()

    def lay_in(self, module: nn.Module, matrix: Tensor, bias: Tensor | None) -> None:
        """Set weight and bias."""
        module.weight = nn.Parameter(matrix.t().contiguous())
        module.register_parameter("bias", None if bias is None else nn.Parameter(bias))


def plain_linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """Return a linear layer in inference mode with some weights.

    Args:
        weight: shape (columns, rows), as `torch.nn.Linear` keeps it. The layer has the same memory, but for a part of a
            larger tensor, all of which would go with it wherever it is sent or saved.
        bias: shape (columns,), or None; copied.
    """
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    held = weight.detach()
    if held.untyped_storage().nbytes() > held.nbytes:
        held = held.clone(memory_format=torch.contiguous_format)
    layer.weight = nn.Parameter(held)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone())
    return layer.eval()
