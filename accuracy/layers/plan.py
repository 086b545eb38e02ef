"""A network brought to the form that conversion and the list of layers start from: every stored matrix a layer.

Layers come to their kind's plain form. Matrices that a module's own code multiplies by become layers as well, seen by
running the network on an example, or, without one, modules by themselves on small inputs that suit their weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from accuracy.batches import Batch
from accuracy.errors import ConversionError
from accuracy.layer_kinds import (
    FoundLayer,
    LayerKind,
    MatrixKind,
    RandomInput,
    check_patterns,
    copy_model,
    find_layers,
    is_as_written,
    kind_of,
    prepare_layers,
    replace_modules,
)
from accuracy.layer_kinds.examples import require_same, run_examples
from accuracy.lifting import Look, hold, is_lifted_owner, lift, look_at, storage_key, stored_tensors
from accuracy.networks.errors import NetworkError


@dataclass(frozen=True, eq=False)
class Plan:
    """A network whose stored matrices are layers.

    Attributes:
        model: the network.
        look: what it did on the example before its own matrices became layers; None without an example.
        unused: names of layers whose weights another module's code uses, and which do not run themselves.
        left: names of matrices in code that were excluded.
        open: whether stored matrices may come to light once the network runs.
    """

    model: nn.Module
    look: Look | None
    unused: frozenset[str]
    left: frozenset[str]
    open: bool = False

    @property
    def layers(self) -> list[FoundLayer]:
        """The layers, those aside that only hold weights for others."""
        return [layer for layer in find_layers(self.model) if layer.name not in self.unused]

    def excluded(self, exclude: Iterable[str]) -> list[FoundLayer]:
        """Return the layers that patterns leave digital."""
        patterns = tuple(exclude)
        return [layer for layer in self.layers if layer.matches(patterns)]


def plan(
    model: nn.Module, exclude: Iterable[str] = (), batch: Batch | None = None, *, share_weights: bool = False
) -> Plan:
    """Return a copy of a network with a layer for every stored matrix that is not excluded.

    Args:
        model: any module.
        exclude: name patterns of layers and matrices that may stay digital.
        batch: an example of its inputs.
        share_weights: let the copy have the same parameters.

    Raises:
        ConversionError: a stored matrix that no layer can take over and that is not excluded.
        NetworkError: the network does not run on the example.
    """
    patterns = tuple(exclude)
    prepared = prepare_layers(copy_model(model, share_weights=share_weights), patterns)
    layers = find_layers(prepared)
    if batch is None:
        left = _lift_by_themselves(prepared, patterns)
        return Plan(prepared, None, frozenset(), left, open=bool(_outside_layers(prepared)))
    look = run_look(prepared, batch, (layer.module for layer in layers))
    prepared = _settle(prepared, look, layers, patterns)
    users = {storage_key(use.matrix) for use in look.uses}
    unused = frozenset(
        layer.name
        for layer in layers
        if layer.name not in look.layers and any(storage_key(p) in users for p in layer.module.parameters())
    )
    left = frozenset(use.name for use in look.uses if matches(use.name, patterns))
    return Plan(prepared, look, unused, left)


def run_look(model: nn.Module, batch: Batch, whole: Iterable[nn.Module], keep: Iterable[nn.Module] = ()) -> Look:
    """Return what a network does with matrices on an example; its state stays as it is.

    Args:
        model: in inference mode.
        batch: the example.
        whole: its layers.
        keep: modules that need no copy to keep their state.

    Raises:
        NetworkError: it does not run.
        EvaluationError: the batch does not fit its arguments.
    """
    names = {module: name for name, module in model.named_modules()}
    copied = copy_model(model, share_weights=True, keep=keep)
    modules = dict(copied.named_modules())
    try:
        return look_at(copied, batch.run, batch.tensors, [modules[names[layer]] for layer in whole])
    except (RuntimeError, TypeError, ValueError, LookupError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        sizes = ", ".join(str(tuple(tensor.shape)) for tensor in batch.tensors)
        raise NetworkError(f"{type(model).__name__} does not run on an example of shape {sizes}: {reason}") from error


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of some shell-style patterns matches a name."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _settle(model: nn.Module, look: Look, layers: list[FoundLayer], patterns: tuple[str, ...]) -> nn.Module:
    """Make layers of the matrices that were seen in code; refuse those that cannot be.

    Raises:
        ConversionError: such a matrix is not excluded.
    """
    refuse_digital(look, layers, patterns)
    lift(model, look.uses, [use.name for use in look.uses if matches(use.name, patterns)], look.state)
    for name in sorted(look.untouched):
        owner = _runs(model, name.rpartition(".")[0])
        if owner is not None and not (is_lifted_owner(owner[1]) or kind_of(owner[1]) is not None):
            hold(owner[1], owner[0], look.state)
    return _simplified(model)


def _runs(model: nn.Module, name: str) -> tuple[str, nn.Module] | None:
    """The module of a name, or the one around it where it is a mere container."""
    while True:
        module = model.get_submodule(name) if name else model
        if not isinstance(module, nn.ParameterList | nn.ParameterDict | nn.ModuleList | nn.ModuleDict):
            return name, module
        if not name:
            return None
        name = name.rpartition(".")[0]


def refuse_digital(look: Look, layers: Iterable[FoundLayer], patterns: tuple[str, ...]) -> None:
    """Refuse a network with a matrix in its code that no layer can take over.

    Args:
        look: a run.
        layers: the network's layers.
        patterns: names that may stay digital.

    Raises:
        ConversionError: their names, shares and reasons.
    """
    stuck = [use for use in look.uses if use.problem and not matches(use.name, patterns)]
    if not stuck:
        return
    weights = sum(_weights(layer.module) for layer in layers) + sum(use.matrix.numel() for use in look.uses)
    macs = sum(use.macs for use in look.uses) + sum(look.inside.values()) + sum(look.activations.values())
    lines = [
        f"{use.name!r} ({100 * use.matrix.numel() / max(weights, 1):.3g} % of the weights, "
        f"{100 * use.macs / max(macs, 1):.3g} % of the multiply-accumulates): {use.problem}"
        for use in stuck
    ]
    names = sorted({use.name for use in stuck})
    raise ConversionError(
        f"{len(stuck)} stored {'matrix' if len(stuck) == 1 else 'matrices'} would stay digital: {'; '.join(lines)}. "
        f"Say so with exclude={names!r} ({' '.join(f'--exclude {name}' for name in names)})."
    )


def _weights(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.dim() > 1)


def _outside_layers(model: nn.Module) -> list[str]:
    """Names of stored matrices that belong to no layer and have none, tables aside."""
    inside = {storage_key(p) for layer in find_layers(model) for p in layer.module.parameters()}
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)}
    return [
        name
        for name, value in stored_tensors(model)
        if (value.is_floating_point() or value.is_complex()) and sum(extent > 1 for extent in value.shape) > 1
        if storage_key(value) not in inside and id(value) not in tables
    ]


def _lift_by_themselves(model: nn.Module, patterns: tuple[str, ...]) -> frozenset[str]:
    """Find the matrices of modules' own code without an example of the network's input; return those left digital."""
    left: set[str] = set()
    whole = [layer.module for layer in find_layers(model)]
    inside = {part for layer in whole for part in layer.modules()}
    for name, module in list(model.named_modules()):
        if module in inside or not _own_matrices(module):
            continue
        for example in _guesses(module):
            twin = copy_model(module, share_weights=True)
            parts, own = dict(module.named_modules()), dict(twin.named_modules())
            batch = Batch(example, {})
            try:
                look = look_at(
                    twin, batch.run, batch.tensors, [own[n] for n, part in parts.items() if part in set(whole)], name
                )
            except Exception:
                # A guess need not suit the module.
                continue
            if look.uses and not look.untouched and not any(use.problem for use in look.uses):
                excluded = [use.name for use in look.uses if matches(use.name, patterns)]
                lift(model, look.uses, excluded, look.state)
                left.update(excluded)
                break
    replaced = _simplified(model)
    assert replaced is model or is_as_written(model)
    return frozenset(left)


def _own_matrices(module: nn.Module) -> list[Tensor]:
    if isinstance(module, nn.Embedding | nn.EmbeddingBag | nn.ParameterList | nn.ParameterDict):
        return []
    return [p for p in module._parameters.values() if p is not None and sum(extent > 1 for extent in p.shape) > 1]


def _guesses(module: nn.Module) -> Iterator[tuple[Any, ...]]:
    """Inputs that may suit a module: its kind's examples, or vectors as long as a side of a weight."""
    kind = kind_of(module)
    random = RandomInput(module)
    if kind is not None:
        yield from kind.examples(module, random)
        return
    sizes = dict.fromkeys(extent for weight in _own_matrices(module) for extent in weight.shape if extent > 1)
    for size in sizes:
        for shape in ((2, 3, size), (2, size), (2, size, 9, 9), (2, size, 9)):
            yield (random(*shape),)


def _simplified(model: nn.Module) -> nn.Module:
    """Put a plain layer in place of a module whose code is one after all, with the weight that it works out."""
    new: dict[nn.Module, nn.Module] = {}
    for module in model.modules():
        kind: LayerKind | None = kind_of(module) if is_as_written(module) else None
        held = module._modules.get("lifted_matrices")
        if not isinstance(kind, MatrixKind) or held is None or len(held._modules) != 1:
            continue
        layer: Any = held.get_submodule("0")
        if kind_of(layer) is not kind:
            continue
        try:
            seen = run_examples(module, kind.examples(module, RandomInput(module)))
            plain = kind.plain(module)
            kind.lay_in(plain, kind.matrix(layer).detach().clone(), kind.bias(plain))
            require_same(seen, plain)
        except Exception:
            # Its code does more than one product: it stays, and its product goes to the layer.
            continue
        del plain.as_written
        new[module] = plain
    with torch.no_grad():
        return replace_modules(model, new)


def check_names(planned: Plan, patterns: Iterable[str]) -> None:
    """Refuse a name pattern that matches neither a layer nor a stored matrix.

    Args:
        planned: the network.
        patterns: shell-style patterns of names.

    Raises:
        ConversionError: the pattern, with the nearest names.
    """
    layers = planned.layers
    other = set(planned.left)
    if planned.look is None:
        # What the code of modules multiplies by is known only once the network has run.
        for name in _outside_layers(planned.model):
            other |= {name, name.removesuffix(".weight"), f"{name}.0"}
    unmatched = [pattern for pattern in patterns if not any(matches(name, [pattern]) for name in other)]
    check_patterns(unmatched, layers)
