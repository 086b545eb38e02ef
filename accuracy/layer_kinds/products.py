"""Other layers of torch and of language models that hold a matrix in a form of their own."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from accuracy.layer_kinds.examples import RandomInput
from accuracy.layer_kinds.kind import CompositeKind
from accuracy.layer_kinds.linear import plain_linear


class ProjectedBilinear(nn.Module):
    """What `torch.nn.Bilinear` computes: a matrix on the first input, whose outputs meet the second one digitally.

    Args:
        original: the layer it stands for.
    """

    def __init__(self, original: nn.Bilinear):
        super().__init__()
        self.in1_features, self.in2_features = original.in1_features, original.in2_features
        self.out_features, self.bias = original.out_features, original.bias
        # (outputs, first, second): a column for each pair of output and second input.
        columns = original.weight.permute(0, 2, 1).reshape(-1, original.in1_features)
        self.first = plain_linear(columns, None)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """Return ``input1^T A input2 + b`` for every output."""
        pairs = self.first(input1).unflatten(-1, (self.out_features, self.in2_features))
        output: Tensor = (pairs * input2.unsqueeze(-2)).sum(dim=-1)
        return output if self.bias is None else output + self.bias


class BilinearKind(CompositeKind):
    """`torch.nn.Bilinear`: the first input's features are the rows, pairs of output and second feature the columns."""

    name = "bilinear"
    modules = (nn.Bilinear,)

    def rewrite(self, module: nn.Module) -> nn.Module:
        """Return the layer with its matrix as a linear layer."""
        assert isinstance(module, nn.Bilinear)
        return ProjectedBilinear(module)

    def examples(self, module: nn.Module, random: RandomInput) -> list[tuple[Any, ...]]:
        """Return three pairs of vectors, and pairs in sequences."""
        assert isinstance(module, nn.Bilinear)
        sizes = (module.in1_features, module.in2_features)
        return [tuple(random(3, size) for size in sizes), tuple(random(2, 2, size) for size in sizes)]


class Conv1DKind(CompositeKind):
    """`transformers.pytorch_utils.Conv1D`, the linear layer of GPT-2 with its weight as (rows, columns)."""

    name = "transposed linear of transformers"
    modules = (nn.Module,)

    def matches(self, module: nn.Module) -> bool:
        """Whether a module is that class or derived from it; the package need not be installed."""
        return any(
            kind.__name__ == "Conv1D" and kind.__module__ == "transformers.pytorch_utils"
            for kind in type(module).__mro__
        )

    def is_plain(self, module: nn.Module) -> bool:
        """Return False: the class is another package's, so that its layers are always run."""
        return False

    def rewrite(self, module: Any) -> nn.Module:
        """Return a linear layer."""
        return plain_linear(module.weight.t(), module.bias)

    def examples(self, module: Any, random: RandomInput) -> list[tuple[Any, ...]]:
        """Return vectors alone and in sequences."""
        rows = module.weight.shape[0]
        return [(random(4, rows, spread=100.0),), (random(2, 3, rows, spread=100.0),)]
