"""Whether two modules compute the same, found out on a few small inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from accuracy.errors import ConversionError


class RandomInput:
    """A source of random inputs in a module's own floating type and device; the same numbers each time.

    Args:
        module: the module that they are for.
    """

    def __init__(self, module: nn.Module) -> None:
        self._like = next((p for p in module.parameters() if p.is_floating_point()), torch.empty(0))
        self._generator = torch.Generator().manual_seed(0)

    def __call__(self, *shape: int, spread: float = 1.0) -> Tensor:
        """Return normal numbers of a shape, whose size falls from `spread` to 1 / `spread` along the first axis."""
        values = torch.randn(shape, generator=self._generator, dtype=torch.float64)
        sizes = spread ** torch.linspace(1.0, -1.0, shape[0], dtype=torch.float64)
        return (values * sizes.reshape(-1, *[1] * (len(shape) - 1))).to(self._like)


@dataclass(frozen=True, eq=False)
class Run:
    """One call of a module.

    Attributes:
        arguments: what it was given.
        outputs: the floating-point tensors that it gave, in order.
    """

    arguments: tuple[Any, ...]
    outputs: list[Tensor]

    @property
    def where(self) -> str:
        """The inputs in words, for messages."""
        shapes = [str(tuple(part.shape)) for part in self.arguments if isinstance(part, Tensor)]
        return f"on {'an input' if len(shapes) == 1 else 'inputs'} of shape {', '.join(shapes)}"


def run_examples(module: nn.Module, examples: Iterable[tuple[Any, ...]]) -> list[Run]:
    """Return what a module gives for some arguments.

    Args:
        module: any module, in inference mode.
        examples: positional arguments of each call.

    Raises:
        ConversionError: it does not run.
    """
    return [_run(module, arguments) for arguments in examples]


def require_same(seen: Iterable[Run], plain: Callable[..., Any]) -> None:
    """Refuse a module whose outputs are not those of a plain one.

    Values differ where they are off by more than the square root of the resolution of their type, relative to the
    largest value in their place along the first axis.

    Args:
        seen: what the module gave.
        plain: a module or function that computes what it should.

    Raises:
        ConversionError: an output differs; the message says how.
    """
    for run in seen:
        wanted = _run(plain, run.arguments).outputs
        if [part.shape for part in run.outputs] != [part.shape for part in wanted]:
            own, expected = (" and ".join(str(tuple(part.shape)) for part in parts) for parts in (run.outputs, wanted))
            raise ConversionError(f"it computes something else: {run.where} it gives {own}, not {expected}")
        for found, other in zip(run.outputs, wanted, strict=True):
            error = _relative_difference(found, other)
            if not error <= torch.finfo(other.dtype).eps ** 0.5:
                raise ConversionError(
                    f"it computes something else: {run.where} its output is off by {error:.2g} times the largest value"
                )


def _run(module: Callable[..., Any], arguments: tuple[Any, ...]) -> Run:
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            return Run(arguments, _tensors(module(*arguments)))
    except Exception as error:
        # A module may raise anything on inputs that it was not made for.
        where = Run(arguments, []).where
        raise ConversionError(f"{where} it does not run ({type(error).__name__}: {error})") from None


def _relative_difference(found: Tensor, wanted: Tensor) -> float:
    if wanted.numel() == 0:
        return 0.0
    own, other = (part.reshape(part.shape[0] if part.dim() else 1, -1).to(torch.float64) for part in (found, wanted))
    largest = other.abs().amax(dim=1).clamp(min=1e-300)
    return float(((own - other).abs().amax(dim=1) / largest).max())


def _tensors(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs] if outputs.is_floating_point() else []
    parts = outputs.values() if isinstance(outputs, dict) else outputs if isinstance(outputs, tuple | list) else ()
    return [tensor for part in parts for tensor in _tensors(part)]
