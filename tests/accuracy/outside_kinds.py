"""Layers that the package does not know, and kinds for them, as a user writes them in a program of his own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from accuracy import CompositeKind, MatrixKind, RandomInput


class Conv1D(nn.Module):
    """The linear layer of GPT-2: ``y = x W + b`` with W (inputs, outputs)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(inputs, outputs) / 8), nn.Parameter(torch.randn(outputs) / 8)

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.weight).reshape(*x.shape[:-1], -1)


class Conv1DKind(MatrixKind):
    """Its weight lies as on the array."""

    name = "transposed linear"
    modules = (Conv1D,)

    def matrix(self, module: Any) -> Tensor:
        return module.weight

    def lay_in(self, module: Any, matrix: Tensor, bias: Tensor | None) -> None:
        assert bias is not None
        module.weight, module.bias = nn.Parameter(matrix), nn.Parameter(bias)


class LowRank(nn.Module):
    """``y = tanh(x U) V`` with two matrices of its own."""

    def __init__(self, inputs: int, rank: int, outputs: int) -> None:
        super().__init__()
        self.u, self.v = nn.Parameter(torch.randn(inputs, rank) / 4), nn.Parameter(torch.randn(rank, outputs) / 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.u) @ self.v


class LowRankKind(CompositeKind):
    """Two linear layers with the tanh between them."""

    name = "low rank"
    modules = (LowRank,)

    def rewrite(self, module: Any) -> nn.Module:
        first, second = (nn.Linear(*part.shape, bias=False) for part in (module.u, module.v))
        first.weight, second.weight = (nn.Parameter(part.detach().t().contiguous()) for part in (module.u, module.v))
        return nn.Sequential(first, nn.Tanh(), second)

    def examples(self, module: Any, random: RandomInput) -> list[tuple[Any, ...]]:
        return [(random(3, module.u.shape[0]),)]
