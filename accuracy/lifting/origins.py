"""Where tensors come from, followed through every operation of a forward pass: stored numbers, or the input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_aten = torch.ops.aten
_PICKS = {_aten.index, _aten.index_select, _aten.gather, _aten.take, _aten.embedding}
_VIEWS = {_aten.clone, _aten.contiguous, _aten._to_copy, _aten._unsafe_view}


@dataclass(frozen=True)
class Origin:
    """What a tensor was made of.

    Attributes:
        sources: names of the parameters, buffers and other stored tensors that went into it.
        varies: whether the input, or chance, did as well.
        picked: whether it is stored matrices that the input picked.
    """

    sources: frozenset[str] = frozenset()
    varies: bool = False
    picked: bool = False


ACTIVATION = Origin(varies=True)
CONSTANT = Origin()


def stored_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield what a network keeps by name: parameters, buffers, and tensors among its modules' other attributes."""
    for prefix, module in model.named_modules(remove_duplicate=True):
        for held in (module._parameters, module._buffers, _other_tensors(module)):
            for name, value in held.items():
                if value is not None:
                    yield f"{prefix}.{name}" if prefix else name, value


def _other_tensors(module: nn.Module) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, value in vars(module).items():
        if (name.startswith("_") and name.endswith("_")) or name in ("_parameters", "_buffers", "_modules"):
            continue
        if isinstance(value, Tensor):
            found[name] = value
        elif isinstance(value, list | tuple):
            found |= {f"{name}.{i}": part for i, part in enumerate(value) if isinstance(part, Tensor)}
        elif isinstance(value, dict):
            found |= {f"{name}.{key}": part for key, part in value.items() if isinstance(part, Tensor)}
    return found


def storage_key(tensor: Tensor) -> int:
    """Return what identifies the memory that a tensor and its views share."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        # Sparse and other tensors without storage.
        return id(tensor)


class Follow(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows origins through whatever runs inside it.

    Args:
        stored: names and tensors that are stored.
        state: names among them that change from call to call.
        unknown: origin of tensors that neither are stored nor were made inside.
    """

    def __init__(self, stored: Iterable[tuple[str, Tensor]], state: frozenset[str], unknown: Origin):
        super().__init__()  # type: ignore[no-untyped-call]
        self._origins: dict[int, tuple[Any, Origin]] = {}
        self._unknown = unknown
        self._state = state
        for name, tensor in stored:
            if storage_key(tensor) not in self._origins:
                self.mark(tensor, Origin(frozenset([name])))

    def mark(self, tensor: Tensor, origin: Origin) -> None:
        """Say where a tensor, and everything that shares its memory, comes from."""
        try:
            alive: Any = StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
        except (NotImplementedError, RuntimeError):
            alive = tensor
        # The weak reference keeps the key from being used again, not the memory.
        self._origins[storage_key(tensor)] = (alive, origin)

    def origin(self, tensor: Tensor) -> Origin:
        """Return where a tensor comes from."""
        found = self._origins.get(storage_key(tensor))
        return self._unknown if found is None else found[1]

    def level(self, origin: Origin) -> int:
        """Return 0 for what is constant, 1 where the network's state went in beside weights, 2 for activations."""
        changing = origin.sources & self._state
        if origin.varies or (changing and changing == origin.sources):
            return 2
        return int(bool(changing))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and note where its results come from."""
        kwargs = kwargs or {}
        if func._can_decompose():
            # Only in inference mode do operations come whole that are made of others.
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        return self.operation(func, args, kwargs)

    def operation(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run one operation; a mode that does more with some comes here for the rest."""
        result = func(*args, **kwargs)
        self.follow(func, args, kwargs, result)
        return result

    def follow(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Note where the results of an operation come from."""
        inputs = [part for part in tree_leaves((args, kwargs)) if isinstance(part, Tensor)]
        outputs = [part for part in tree_leaves(result) if isinstance(part, Tensor)]
        origin = self._combined(func, inputs)
        if func._schema.is_mutable:
            written = [
                value
                for i, argument in enumerate(func._schema.arguments)
                if argument.alias_info is not None and argument.alias_info.is_write
                for value in ([args[i]] if i < len(args) else [kwargs.get(argument.name)])
            ]
            outputs += [part for part in tree_leaves(written) if isinstance(part, Tensor)]
        for output in outputs:
            if origin != self.origin(output) or storage_key(output) not in self._origins:
                self.mark(output, origin)

    def _combined(self, func: Any, inputs: list[Tensor]) -> Origin:
        if torch.Tag.nondeterministic_seeded in func.tags:
            return ACTIVATION
        parts = [self.origin(part) for part in inputs]
        if func.overloadpacket in _PICKS and parts:
            table, *indices = parts
            if inputs[0].is_floating_point() and not table.varies and any(part.varies for part in indices):
                return Origin(table.sources, varies=True, picked=inputs[0].dim() > 2)
        varying = [part for part in parts if part.varies]
        if not varying:
            sources = frozenset().union(*(part.sources for part in parts)) if parts else frozenset()
            return Origin(sources)
        if all(part.picked for part in varying):
            return Origin(frozenset().union(*(part.sources for part in parts)), varies=True, picked=True)
        return ACTIVATION
