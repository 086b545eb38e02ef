"""Whether a converted network, its analog layers in float mode, computes what the original computes."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from accuracy.batches import Batch
from accuracy.errors import ConversionError
from accuracy.layers.analog_layers import FOLDED_NORM, AnalogLayer

_KEPT = 4096
"""Values of each module's output that are kept for comparison."""


def require_same_outputs(original: nn.Module, converted: nn.Module, batch: Batch, outputs: Any) -> None:
    """Refuse a converted network whose float outputs are not the original's but for rounding.

    Outputs differ where the root of their mean squared difference is more than the square root of the resolution of
    their type, relative to that of the original's outputs.

    Args:
        original: the network before conversion, whose state may move on.
        converted: after, in float mode, whose state may move on.
        batch: what both are run on.
        outputs: what the converted one has given for it.

    Raises:
        ConversionError: they differ; the message names the first module whose outputs do.
    """
    with _samples(original) as wanted:
        expected = batch.run(original)
    error = difference(outputs, expected)
    if error is None or error <= tolerance(expected):
        return
    with _samples(converted) as found:
        batch.run(converted)
    raise ConversionError(
        f"The converted network in float mode is off from the original by {error:.2g} times the outputs; "
        f"{_first(wanted, found, converted)}. Leave what differs digital with exclude=[...], or report the layer."
    )


def tolerance(outputs: Any) -> float:
    """Return the relative difference that rounding may make."""
    kinds = [part.dtype for part in _tensors(outputs) if part.is_floating_point()]
    return max((torch.finfo(kind).eps ** 0.5 for kind in kinds), default=0.0)


def difference(found: Any, wanted: Any) -> float | None:
    """Return how far two outputs are apart, relative to the second; None where they hold no numbers.

    Args:
        found: tensors in any nesting.
        wanted: the same.
    """
    own, other = _tensors(found), _tensors(wanted)
    if [part.shape for part in own] != [part.shape for part in other]:
        return math.inf
    worst: float | None = None
    for one, two in zip(own, other, strict=True):
        if two.is_floating_point():
            worst = max(worst or 0.0, _apart(one.to(two.device, torch.float64), two.to(torch.float64)))
    return worst


def _apart(one: Tensor, two: Tensor) -> float:
    # Where both are infinite, or no number, they agree.
    same = (one == two) | (one.isnan() & two.isnan())
    one, two = one.masked_fill(same, 0.0), two.masked_fill(same & ~two.isfinite(), 0.0)
    two_all = two
    apart = float((one - two.masked_fill(same, 0.0)).norm())
    size = float(two_all.norm())
    return 0.0 if apart == 0.0 else apart / size if size else math.inf


def _tensors(outputs: Any) -> list[Tensor]:
    found = []
    for part in tree_leaves(outputs):
        if isinstance(part, Tensor):
            found.append(part)
        elif hasattr(part, "__dict__"):
            # Outputs as objects: their own tensors.
            found += [value for value in vars(part).values() if isinstance(value, Tensor)]
    return found


Samples = dict[str, list[list[Tensor]]]


@contextmanager
def _samples(model: nn.Module) -> Iterator[Samples]:
    """Keep some values of every module's outputs, by name and call; in the order in which modules end.

    Chance goes on as before, and what the network warns of is not said again.
    """
    kept: Samples = defaultdict(list)

    def keep(name: str) -> Any:
        def hook(module: nn.Module, arguments: Any, output: Any) -> None:
            parts = [part for part in _tensors(output) if part.is_floating_point() and not part.is_nested]
            kept[name].append([part.reshape(-1)[:: max(1, part.numel() // _KEPT)].clone() for part in parts])

        return hook

    handles = []
    inside: set[nn.Module] = set()
    for name, module in model.named_modules():
        if module not in inside and name:
            handles.append(module.register_forward_hook(keep(name)))
        if isinstance(module, AnalogLayer):
            inside.update(module.modules())
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield kept
    finally:
        for handle in handles:
            handle.remove()


def _first(wanted: Samples, found: Samples, converted: nn.Module) -> str:
    """Which module differs first, in words."""
    modules, before = dict(converted.named_modules()), ""
    for name in wanted:
        if name not in found:
            continue
        calls = _like(wanted, name, modules[name])
        for number, (own, other) in enumerate(zip(found[name], calls, strict=False), 1):
            error = difference(own, other)
            if error is not None and error > tolerance(other):
                which = f" in its call {number}" if len(calls) > 1 else ""
                return f"the first module that differs is {name!r}{which}, by {error:.2g}"
        if len(found[name]) != len(calls):
            return f"module {name!r} runs {len(found[name])} times instead of {len(calls)}"
        before = name
    return f"what differs stands in the network's own code, after {before!r}" if before else "no module runs by itself"


def _like(wanted: Samples, name: str, module: nn.Module) -> list[list[Tensor]]:
    """What the original gives for a converted module: after the batch norm and ReLU that it took over."""
    if not isinstance(module, AnalogLayer):
        return wanted[name]
    calls = wanted[getattr(module.digital, FOLDED_NORM, name)]
    return [[torch.relu(part) for part in parts] for parts in calls] if module.relu else calls
