"""Linear layers: the inputs of a vector are the rows."""

from __future__ import annotations

from torch import Tensor, nn

from accuracy.layer_kinds.kind import MatrixKind


class LinearKind(MatrixKind):
    """`torch.nn.Linear`: weight (columns, rows), columns along the last axis."""

    name = "linear"
    modules = (nn.Linear,)

    def matrix(self, module: nn.Module) -> Tensor:
        """Return the weight transposed."""
        weight = module.weight
        assert isinstance(weight, Tensor)
        return weight.t()

    def lay_in(self, module: nn.Module, matrix: Tensor, bias: Tensor | None) -> None:
        """Set weight and bias."""
        module.weight = nn.Parameter(matrix.t().contiguous())
        module.register_parameter("bias", None if bias is None else nn.Parameter(bias))
