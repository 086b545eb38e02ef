"""Networks whose matrices stand in code of their own, in as many forms as torch has for a product."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Written(nn.Module):
    """A module whose forward is a function of itself and the input; its weights are parameters ``w0``, ``w1`` ..."""

    def __init__(self, code: Callable[[Any, Tensor], Tensor], *shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.code = code
        for index, shape in enumerate(shapes):
            self.register_parameter(f"w{index}", nn.Parameter(torch.randn(shape) / shape[-1] ** 0.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.code(self, x)


class Listed(nn.Module):
    """Weights in a list, used in a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.ws = nn.ParameterList([nn.Parameter(torch.randn(8, 8) / 3) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        for w in self.ws:
            x = torch.tanh(x @ w)
        return x


class Buffered(nn.Module):
    """A fixed random projection."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("projection", torch.randn(8, 5))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.projection


class Experts(nn.Module):
    """Stacked experts; each vector goes to the one that the router likes best."""

    def __init__(self, experts: int = 4) -> None:
        super().__init__()
        self.router = nn.Linear(8, experts)
        self.up, self.down = (
            nn.Parameter(torch.randn(experts, 8, 12) / 3),
            nn.Parameter(torch.randn(experts, 12, 8) / 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        gates = self.router(x).softmax(-1)
        best, chosen = gates.max(-1)
        output = torch.zeros_like(x)
        for expert in range(self.up.shape[0]):
            rows = (chosen == expert).nonzero().squeeze(-1)
            if rows.numel():
                hidden = torch.relu(x[rows] @ self.up[expert])
                output.index_add_(0, rows, (hidden @ self.down[expert]) * best[rows, None])
        return output


class Adapted(nn.Linear):
    """A low-rank update merged into the weight in every forward pass."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.a, self.b = nn.Parameter(torch.randn(2, inputs)), nn.Parameter(torch.randn(outputs, 2) / 4)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight + 0.5 * self.b @ self.a, self.bias)


class Same(nn.Conv2d):
    """Padding that follows the size of the image."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (1, 1, 1, 1)), self.weight, self.bias, self.stride)


class StraightThrough(torch.autograd.Function):
    """A product with rounded weights."""

    @staticmethod
    def forward(context: Any, x: Tensor, w: Tensor) -> Tensor:
        return x @ (torch.round(w * 8) / 8)


class Branching(nn.Module):
    """Code that looks at its values."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.fc = nn.Parameter(torch.randn(8, 8)), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        if float(x.abs().sum()) > 1e9:
            return self.fc(x)
        return self.fc(F.linear(x, self.w))


class OwnRecurrence(nn.Module):
    """A recurrent cell written with functions."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.u = nn.Parameter(torch.randn(6, 8) / 3), nn.Parameter(torch.randn(6, 6) / 3)
        self.b = nn.Parameter(torch.randn(6))

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(x.shape[0], 6)
        for t in range(x.shape[1]):
            h = torch.tanh(F.linear(x[:, t], self.w, self.b) + F.linear(h, self.u))
        return h


class Called(nn.Module):
    """Weights of a layer used by another's code."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = F.linear(x, self.qkv.weight, self.qkv.bias).chunk(3, -1)
        return self.out(F.scaled_dot_product_attention(q, k, v))


@dataclass(frozen=True)
class Case:
    """A network with code of its own.

    Attributes:
        make: makes it.
        shape: of its input.
        matrices: (rows, columns) of the arrays' matrices by name.
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    matrices: dict[str, tuple[int, int]] = field(default_factory=dict)


def own(
    code: Callable[[Any, Tensor], Tensor],
    weights: list[tuple[int, ...]],
    shape: tuple[int, ...],
    matrices: dict[str, tuple[int, int]],
) -> Case:
    """A network that is one function of its weights and the input."""
    return Case(lambda: Written(code, *weights), shape, matrices)


def _vmapped(m: Any, x: Tensor) -> Tensor:
    return torch.vmap(lambda row: m.w0 @ row)(x)


CASES: dict[str, Case] = {
    "linear": own(lambda m, x: F.linear(x, m.w0), [(5, 8)], (4, 8), {"w0": (8, 5)}),
    "linear on sequences": own(lambda m, x: F.linear(x, m.w0), [(5, 8)], (4, 3, 8), {"w0": (8, 5)}),
    "matmul": own(lambda m, x: x @ m.w0, [(8, 5)], (4, 3, 8), {"w0": (8, 5)}),
    "matrix on the left": own(lambda m, x: (m.w0 @ x.t()).t(), [(5, 8)], (4, 8), {"w0": (8, 5)}),
    "matrix on the left of a batch": own(lambda m, x: m.w0 @ x, [(5, 8)], (4, 8, 3), {"w0": (8, 5)}),
    "addmm": own(lambda m, x: torch.addmm(m.w1, x, m.w0, beta=0.5, alpha=2.0), [(8, 5), (5,)], (4, 8), {"w0": (8, 5)}),
    "baddbmm": own(
        lambda m, x: torch.baddbmm(m.w1, x, m.w0),
        [(4, 8, 5), (4, 1, 5)],
        (4, 3, 8),
        {f"w0.{i}": (8, 5) for i in range(4)},
    ),
    "einsum": own(lambda m, x: torch.einsum("bi,io->bo", x, m.w0), [(8, 5)], (4, 8), {"w0": (8, 5)}),
    "einsum in the other order": own(
        lambda m, x: torch.einsum("io,bli->blo", m.w0, x), [(8, 5)], (4, 3, 8), {"w0": (8, 5)}
    ),
    "einsum with heads": own(
        lambda m, x: torch.einsum("bld,hde->bhle", x, m.w0), [(2, 8, 5)], (4, 3, 8), {"w0": (8, 10)}
    ),
    "tensordot": own(lambda m, x: torch.tensordot(x, m.w0, dims=([1], [1])), [(5, 8)], (4, 8, 3), {"w0": (8, 5)}),
    "one column": own(lambda m, x: x @ m.w0, [(8,)], (4, 3, 8), {"w0": (8, 1)}),
    "matrix per position": own(
        lambda m, x: torch.einsum("bld,lde->ble", x, m.w0),
        [(3, 8, 5)],
        (4, 3, 8),
        {f"w0.{i}": (8, 5) for i in range(3)},
    ),
    "conv2d": own(
        lambda m, x: F.conv2d(x, m.w0, m.w1, stride=2, padding=1), [(6, 3, 3, 3), (6,)], (2, 3, 7, 7), {"w0": (27, 6)}
    ),
    "conv1d, grouped and dilated": own(
        lambda m, x: F.conv1d(x, m.w0, groups=2, dilation=2), [(6, 2, 3)], (2, 4, 9), {"w0": (6, 6)}
    ),
    "transposed convolution": own(
        lambda m, x: F.conv_transpose2d(x, m.w0, stride=2, output_padding=1),
        [(3, 6, 3, 3)],
        (2, 3, 4, 4),
        {"w0": (27, 6)},
    ),
    "computed weight": own(
        lambda m, x: F.linear(x, m.w0 * torch.sigmoid(m.w1)), [(5, 8), (5, 1)], (4, 8), {"w0": (8, 5)}
    ),
    "weight and its transpose": own(
        lambda m, x: torch.relu(x @ m.w0) @ m.w0.t(), [(8, 5)], (4, 8), {"w0": (8, 5), "w0#2": (5, 8)}
    ),
    "vmap": Case(lambda: Written(_vmapped, (5, 8)), (4, 8), {"w0": (8, 5)}),
    "list of weights": Case(Listed, (4, 8), {f"ws.{i}": (8, 8) for i in range(3)}),
    "buffer": Case(Buffered, (4, 8), {"projection": (8, 5)}),
    "stacked experts": Case(
        Experts,
        (64, 8),
        {"router": (8, 4)} | {f"up.{i}": (8, 12) for i in range(4)} | {f"down.{i}": (12, 8) for i in range(4)},
    ),
    "merged low-rank update": Case(
        lambda: nn.Sequential(Adapted(8, 5), nn.ReLU(), nn.Linear(5, 3)), (4, 8), {"0": (8, 5), "2": (5, 3)}
    ),
    "padding by size": Case(lambda: nn.Sequential(Same(3, 6, 3), nn.ReLU()), (2, 3, 5, 5), {"0": (27, 6)}),
    "autograd function": own(lambda m, x: StraightThrough.apply(x, m.w0), [(8, 5)], (4, 8), {"w0": (8, 5)}),
    "branching": Case(Branching, (4, 8), {"w": (8, 8), "fc": (8, 3)}),
    "recurrence in code": Case(OwnRecurrence, (4, 6, 8), {"w": (8, 6), "u": (6, 6)}),
    "weights of a layer in other code": Case(Called, (4, 3, 8), {"qkv.weight": (8, 24), "out": (8, 4)}),
}
