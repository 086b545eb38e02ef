"""The graph of a network where torch.fx sees all that its code does, and the reason where it does not.

fx runs a network's code once with stand-ins for tensors. What the code decides by itself is frozen then: whether an
optional argument was given, what an object is, random numbers, state. Such a network is refused here by reason.
"""

from __future__ import annotations

import inspect
import random
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from accuracy.errors import ConversionError
from accuracy.layer_kinds import copy_model

_OWN_CODE = ("torch", "inspect", "typing", "functools", "collections", "copy", "accuracy")
"""Packages whose code is known to do the same with stand-ins as with tensors."""


_ATTEMPTS = 5
"""A network that draws random numbers does so each time; another thread of a cluster's worker only now and then."""


class _Doubt(ConversionError):
    """What fx would freeze."""


class _Watched(fx.Proxy):
    """A stand-in for a tensor that notices when code asks what it is."""

    def _asked(self) -> type:
        if sys._getframe(1).f_globals.get("__name__", "").partition(".")[0] not in _OWN_CODE:
            raise _Doubt("its code asks for the type of a tensor")
        return _Watched

    # `isinstance` asks for it where the type itself does not answer.
    __class__ = property(_asked)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and not hasattr(Tensor, name):
            raise _Doubt(f"its code asks a tensor for {name!r}")
        return super().__getattr__(name)


class _Tracer(fx.Tracer):
    # A graph that is loaded from a file makes its tracer anew, without arguments.
    whole: Callable[[nn.Module], bool] | None = None

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return (self.whole is not None and self.whole(m)) or super().is_leaf_module(m, module_qualified_name)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Watched(node, self)


def traced(model: nn.Module, whole: Callable[[nn.Module], bool]) -> fx.GraphModule:
    """Return a network as a graph that does what its code does, whatever the input.

    Args:
        model: in inference mode; its modules are shared.
        whole: says of a module whether it stays in one piece.

    Raises:
        ConversionError: its code cannot be traced, or would be frozen by it; the message is the reason.
    """
    optional = [
        name
        for name, parameter in inspect.signature(model.forward).parameters.items()
        if parameter.default is not parameter.empty
        or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    ]
    if optional:
        raise ConversionError(f"its argument {optional[0]!r} may be left out")
    for _ in range(_ATTEMPTS):
        # Code that keeps state would keep stand-ins.
        trial = copy_model(model, share_weights=True)
        before = _attributes(trial)
        chance = _state_of_chance()
        graph = _graph(trial, whole)
        if _state_of_chance() == chance:
            break
    else:
        raise ConversionError("its code draws random numbers")
    after = _attributes(trial)
    changed = [key for key in after if key not in before or after[key] is not before[key]]
    if changed or len(after) != len(before):
        name = changed[0][1] if changed else "an attribute"
        raise ConversionError(f"its code changes {name!r} of a module")
    constants = [
        node.target for node in graph.nodes if node.op == "get_attr" and "_tensor_constant" in str(node.target)
    ]
    if constants or any(_is_state(trial, node) for node in graph.nodes):
        raise ConversionError("its code uses a tensor that is no parameter or buffer")
    return fx.GraphModule(model, graph, type(model).__name__)


def _graph(model: nn.Module, whole: Callable[[nn.Module], bool]) -> fx.Graph:
    tracer = _Tracer()
    tracer.whole = whole
    try:
        return tracer.trace(model)
    except _Doubt as doubt:
        raise ConversionError(str(doubt)) from None
    except Exception as error:
        # fx raises many unrelated types, depending on what the model's code does with its stand-ins.
        raise ConversionError(f"{type(error).__name__}: {error}") from error


def _is_state(model: nn.Module, node: fx.Node) -> bool:
    """Whether a node reads a tensor that is neither parameter nor buffer."""
    if node.op != "get_attr":
        return False
    owner, _, name = str(node.target).rpartition(".")
    module = model.get_submodule(owner) if owner else model
    return name not in module._parameters and name not in module._buffers and isinstance(getattr(module, name), Tensor)


def _attributes(model: nn.Module) -> dict[tuple[str, str], Any]:
    return {
        (prefix, name): value
        for prefix, module in model.named_modules()
        for held in (vars(module), module._buffers)
        for name, value in held.items()
        if name not in ("_parameters", "_buffers", "_modules")
    }


def _state_of_chance() -> tuple[Any, ...]:
    legacy = np.random.get_state()  # noqa: NPY002 - what a network's code may draw from
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), str(legacy)
