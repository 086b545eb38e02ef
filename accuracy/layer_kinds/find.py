"""The layers of a network: which modules are matrices, after every layer has been brought to its kind's plain form."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from accuracy.errors import ConversionError
from accuracy.layer_kinds.kind import LayerKind, MatrixKind
from accuracy.layer_kinds.registry import is_built_in, kind_of
from circuits.network_values import matches
from devicekit.common.errors import unknown_name

_MARK = "rewritten_as"
"""Attribute of a module that rewriting made: the name of the composite kind."""

_NAME = "name_in_network"
"""Attribute of a layer that stands for a matrix of a module's own code: what it is called."""

_COMPRESSED = (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)

_AS_WRITTEN = "as_written"
"""Attribute of a module that is no layer, though its type is of a kind: its code multiplies in a way of its own."""


@dataclass(frozen=True, eq=False)
class FoundLayer:
    """A module that is of a kind; what is inside it belongs to it.

    Attributes:
        name: its name in the network.
        module: itself.
        kind: what it is.
        within: names of the rewritten modules that it is part of, outermost first.
    """

    name: str
    module: nn.Module
    kind: LayerKind
    within: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What patterns may call the layer: its own name, and those of modules that it is part of."""
        return (self.name, *self.within)

    def matches(self, patterns: Iterable[str]) -> bool:
        """Whether a pattern matches one of the layer's names."""
        return any(matches(self.names, pattern) for pattern in patterns)

    @property
    def label(self) -> str | None:
        """The composite kind that a matrix comes from, None for one that stood in the network itself."""
        return getattr(self.module, _MARK, None)


def is_rewritten(module: nn.Module) -> bool:
    """Whether a module was made by rewriting another."""
    return hasattr(module, _MARK)


def is_as_written(module: nn.Module) -> bool:
    """Whether a module whose type is of a kind is taken for code, and not for a layer."""
    return hasattr(module, _AS_WRITTEN)


def name_layer(layer: nn.Module, name: str, kind: str | None) -> None:
    """Call a layer that stands for a matrix of a module's own code by a name of its own.

    Args:
        layer: the layer.
        name: what it is called in the network.
        kind: what tables say it is; None for what its own kind says.
    """
    setattr(layer, _NAME, name)
    if kind is not None:
        setattr(layer, _MARK, kind)


def find_layers(model: nn.Module) -> list[FoundLayer]:
    """Return the modules of a network that are of a kind, each once under its first name, in the order of modules."""
    return list(_found(model, "", (), set()))


def _found(module: nn.Module, name: str, within: tuple[str, ...], seen: set[nn.Module]) -> Iterator[FoundLayer]:
    if module in seen:
        return
    seen.add(module)
    kind = None if hasattr(module, _AS_WRITTEN) else kind_of(module)
    name = getattr(module, _NAME, name)
    if kind is not None:
        yield FoundLayer(name, module, kind, within)
        return
    inside = (*within, name) if is_rewritten(module) and name else within
    for own, child in module.named_children():
        yield from _found(child, f"{name}.{own}" if name else own, inside, seen)


def copy_model(model: nn.Module, *, share_weights: bool = False, keep: Iterable[nn.Module] = ()) -> nn.Module:
    """Return a copy of a network in inference mode.

    Its weights take memory of their own only where one of the two networks changes them.

    Args:
        model: the network.
        share_weights: let the copy have the same parameters instead of copies of them.
        keep: modules that the copy has itself.
    """
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        copied = parameter if share_weights else _copied_on_write(parameter)
        if copied is not None:
            memo[id(parameter)] = copied
    memo |= {id(module): module for module in keep}
    for module in model.modules():
        # Weights that a hook works out are no leaves of the autograd graph, which deepcopy refuses.
        memo |= {id(v): v.detach() for v in vars(module).values() if isinstance(v, Tensor) and not v.is_leaf}
        # So it does compressed sparse tensors.
        held = [*module._buffers.values(), *vars(module).values()]
        memo |= {id(v): v.clone() for v in held if isinstance(v, Tensor) and v.layout in _COMPRESSED}
    return copy.deepcopy(model, memo).eval()


def _copied_on_write(parameter: nn.Parameter) -> nn.Parameter | None:
    """A copy that has the same memory until either is written to; None where torch cannot do that."""
    whole = type(parameter) is nn.Parameter and parameter.device.type == "cpu" and parameter.layout is torch.strided
    if not whole or parameter.untyped_storage().nbytes() != parameter.nbytes:
        return None
    try:
        return nn.Parameter(torch._lazy_clone(parameter.detach()), parameter.requires_grad)
    except (AttributeError, RuntimeError):
        # Another version of torch, or memory that is not torch's own.
        return None


def prepare_layers(model: nn.Module, exclude: Iterable[str] = ()) -> nn.Module:
    """Bring every layer to its kind's plain form, in place.

    A composite layer is rewritten; a subclass, or a layer with wrapped weights, becomes a plain one with the weights
    that it uses. One that computes something else than the kinds of this package know is taken for code
    (`is_as_written`), whose products are found by running it.

    Args:
        model: a network in inference mode.
        exclude: name patterns of layers that may stay as they are.

    Returns:
        The network; another module where it is itself such a layer.

    Raises:
        ConversionError: a layer that is not excluded computes something else than a kind from outside says, or has no
            such form.
    """
    return _prepare(model, "", (), tuple(exclude))


def _prepare(model: nn.Module, name: str, within: tuple[str, ...], exclude: tuple[str, ...]) -> nn.Module:
    new: dict[nn.Module, nn.Module] = {}
    for layer in _found(model, name, within, set()):
        excluded = layer.matches(exclude)
        if excluded and isinstance(layer.kind, MatrixKind):
            continue
        try:
            prepared = _plain_form(layer)
        except ConversionError:
            if excluded:
                continue
            if is_built_in(layer.kind) and not layer.kind.is_plain(layer.module) and not _is_lazy(layer.module):
                setattr(layer.module, _AS_WRITTEN, True)
                continue
            raise
        if not isinstance(layer.kind, MatrixKind):
            prepared = _prepare(_marked(prepared, layer), layer.name, layer.within, exclude)
        if prepared is not layer.module:
            new[layer.module] = prepared
    return replace_modules(model, new)


def _plain_form(layer: FoundLayer) -> nn.Module:
    where = f"Layer {layer.name!r} ({type(layer.module).__name__})" if layer.name else type(layer.module).__name__
    if _is_lazy(layer.module):
        raise ConversionError(f"{where} has weights without a shape: run the network once before.")
    try:
        return layer.kind.prepared(layer.module, proven=is_built_in(layer.kind))
    except Exception as error:
        # A subclass may lack anything that its base has.
        reason = str(error) if isinstance(error, ConversionError) else f"{type(error).__name__}: {error}"
        digital = f", or leave it digital with exclude=[{layer.name!r}] (--exclude {layer.name})" if layer.name else ""
        raise ConversionError(
            f"{where} cannot be read as {layer.kind.name!r}: {reason.rstrip('.')}. Register a kind for it "
            f"(accuracy.register_layer_kind){digital}."
        ) from error


def _is_lazy(module: nn.Module) -> bool:
    return any(is_lazy(parameter) for parameter in module.parameters())


def _marked(rewritten: nn.Module, layer: FoundLayer) -> nn.Module:
    before = set(layer.module.modules())
    for part in rewritten.modules():
        if part not in before:
            setattr(part, _MARK, layer.kind.name)
    return rewritten


def replace_modules(model: nn.Module, new: Mapping[nn.Module, nn.Module]) -> nn.Module:
    """Put modules in place of others under all their names.

    Args:
        model: a network, changed in place.
        new: what comes instead of each.

    Returns:
        The network; what comes instead of it where it is replaced itself.
    """
    if model in new:
        return new[model]
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if child is not None and child in new:
                setattr(parent, name, new[child])
    return model


def check_patterns(patterns: Iterable[str], layers: Iterable[FoundLayer]) -> None:
    """Refuse a name pattern that matches no layer.

    Args:
        patterns: shell-style patterns of names.
        layers: the network's layers.

    Raises:
        ConversionError: the pattern, with the nearest names.
    """
    found = list(layers)
    for pattern in patterns:
        if not any(layer.matches([pattern]) for layer in found):
            raise ConversionError(unknown_name("layer or pattern", pattern, [layer.name for layer in found]))
