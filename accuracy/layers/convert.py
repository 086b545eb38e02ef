"""From a trained network to the same network on analog arrays: batch norm folded, matrices mapped, the rest kept."""

from __future__ import annotations

import operator
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from accuracy.batches import Batch, batch_of, model_device
from accuracy.errors import ConversionError, ConversionWarning
from accuracy.layer_kinds import (
    FoundLayer,
    LayerKind,
    MatrixKind,
    find_layers,
    is_rewritten,
    kind_names,
    kind_of,
    replace_modules,
)
from accuracy.layers.analog_layers import FOLDED_NORM, AnalogLayer, analog_layer, with_own_bits
from accuracy.layers.conversion import Conversion, Recipe, remember
from accuracy.layers.plan import Plan, check_names, plan
from accuracy.layers.tracing import traced
from accuracy.lifting import is_lifted_owner
from circuits import Core, CoreDesign, Faults, NetworkCores, Wires, network_cores
from circuits.bit_line.solve import BitLineCell
from circuits.core import AdcLike, CellLike, PeripheralsLike

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def convert(
    model: nn.Module,
    design: Core | CoreDesign | str | NetworkCores,
    cell: CellLike | None = None,
    seed: int = 0,
    peripherals: PeripheralsLike | None = None,
    bit_line: BitLineCell | None = None,
    *,
    adc: AdcLike | None = None,
    example: Any = None,
    faults: Faults | None = None,
    overrides: Mapping[str, Core | CoreDesign | str] | None = None,
    exclude: Iterable[str] = (),
    project_signs: bool = False,
) -> nn.Module:
    """Return a copy of a network with every stored matrix on analog arrays.

    Layers that are matrices (`accuracy.layer_kinds`) become analog ones. So do matrices that a module's own code
    multiplies by (``F.linear``, ``x @ w``, ``einsum`` ...): they are found by running `example`, without one by running
    such modules on small inputs of their own, and in any case on the first calibration batch, where `calibrate` settles
    what is analog, refuses by name what would stay digital, and compares the result with the original. Batch norm that
    follows a converted layer is folded into it; biases, activations and everything else stay digital and as they were.
    The model given is left alone; its weights are kept, for the float baseline.

    Args:
        model: any module; where `torch.fx` cannot follow its code, layers are replaced one by one, with a warning that
            batch norm is not folded.
        design: the core of every layer: as built, a design, or a name (``"A"``, ``"FILE:NAME"``); or the cores of all
            layers (`circuits.NetworkCores`), as they are.
        cell: memory cell, or its name; None for the core's own, ideal cells where it has none. This and the next few
            fill in what the core leaves open, and are refused beside a part of its own.
        seed: programming errors are drawn from it.
        peripherals: what stands between columns and codes, or its name (see `circuits.load_peripherals`); ideal columns
            where neither this nor the core has them.
        bit_line: cell model of the bit-line solution, for designs with a bit-line resistance; resistors by default.
        adc: the ADC, its kind, or its file; ideal by default.
        example: inputs to find matrices in code with: a tensor, a tuple of positional or a dict of keyword arguments.
        faults: stuck cells; none by default.
        overrides: another core for layers whose name matches a pattern (``"layer1.*"``); the first match holds. What it
            leaves open is that of the others (`circuits.network_cores`).
        exclude: name patterns of layers and matrices that stay digital; a layer of several matrices (attention) may be
            named as a whole.
        project_signs: for column-sign designs, set the minority sign of each column to zero instead of refusing.

    Returns:
        The converted network, in inference mode, programmed, not calibrated.

    Raises:
        ConversionError: nothing to convert, a pattern that matches no layer, or a stored matrix that no layer can take
            over and that is not excluded.
        MappingError: weights that do not suit the design.
        DesignError: no core, design or name; a part beside one of the core's own; parts that do not go together.
        NetworkError: the network does not run on the example.
    """
    wires = None if bit_line is None else Wires(bit_line=bit_line)
    cores = network_cores(design, overrides, cell=cell, adc=adc, peripherals=peripherals, wires=wires, faults=faults)
    if analog_layers(model):
        raise ConversionError("The model has analog layers already; convert the original network.")
    recipe = Recipe(cores, seed, tuple(exclude), project_signs)
    batch = None if example is None else batch_of((example, None), model_device(model))
    converted = build(model, recipe, batch)
    remember(converted, Conversion(model, recipe))
    return converted


def build(model: nn.Module, recipe: Recipe, batch: Batch | None) -> nn.Module:
    """Return a copy of a network on analog arrays.

    Args:
        model: the original network.
        recipe: how it is converted.
        batch: an example of its inputs.

    Raises:
        ConversionError: see `convert`.
    """
    _require_eager(model)
    planned = plan(model, recipe.exclude, batch)
    if not planned.open and not any(isinstance(layer.kind, MatrixKind) for layer in planned.layers):
        raise ConversionError(f"{type(model).__name__} has no layer that can be converted ({kind_names()}).")
    check_names(planned, (*recipe.cores.overrides, *recipe.exclude))
    network, of_vectors = _folded(planned, recipe.exclude)
    new: dict[nn.Module, nn.Module] = {}
    layers = [layer for layer in find_layers(network) if layer.name not in planned.unused]
    for key, layer in enumerate(layer for layer in layers if isinstance(layer.kind, MatrixKind)):
        if layer.matches(recipe.exclude):
            continue
        own = with_own_bits(recipe.cores.of(layer.names), layer.module)
        analog = analog_layer(layer.name, layer.module, own, key, project_signs=recipe.project_signs)
        analog.within, analog.vectors_only = layer.within, layer.name in of_vectors
        analog.program(recipe.seed)
        new[layer.module] = analog
    if not new and not planned.open:
        raise ConversionError("Every layer that runs is excluded: nothing is left to convert.")
    converted = replace_modules(network, new)
    if isinstance(converted, fx.GraphModule):
        _take_over_relus(converted)
        _take_over_sums(converted)
    _leave_fused_paths(converted)
    return converted.eval()


def _require_eager(model: nn.Module) -> None:
    """Refuse models whose layers can no longer be replaced.

    Raises:
        ConversionError: a scripted, traced or compiled model.
    """
    for name, module in model.named_modules():
        where = f"The module {name!r}" if name else "The model"
        if isinstance(module, torch.jit.ScriptModule):
            raise ConversionError(
                f"{where} is scripted or traced (torch.jit): convert the Python module it was made of."
            )
        if "_orig_mod" in module._modules:
            raise ConversionError(
                f"{where} is compiled (torch.compile): convert its `_orig_mod`. Analog layers run eagerly; compile "
                "what is between them, if anything."
            )


def _leave_fused_paths(model: nn.Module) -> None:
    """Keep transformer layers from the fused kernel that reads the weights of their layers and goes around arrays."""
    for module in model.modules():
        if isinstance(module, nn.TransformerEncoderLayer):
            # The layer calls its activation itself; this only says whether the fused kernel knows it.
            module.activation_relu_or_gelu = 0
        elif isinstance(module, nn.TransformerEncoder):
            # Nested tensors, which only the fused kernel reads.
            module.use_nested_tensor = False


def analog_layers(model: nn.Module) -> list[AnalogLayer]:
    """Return the analog layers of a model, each once, in the order of their names."""
    return [module for module in model.modules() if isinstance(module, AnalogLayer)]


def _folded(planned: Plan, exclude: tuple[str, ...]) -> tuple[nn.Module, set[str]]:
    """Return a network with batch norms folded where its code can be traced, and the layers folded for vectors only."""
    model = planned.model
    if _is_whole(model) or not any(isinstance(module, (*_NORMS, nn.ReLU)) for module in model.modules()):
        return model, set()
    try:
        graph = traced(model, _is_whole)
    except ConversionError as reason:
        if any(isinstance(module, _NORMS) for module in model.modules()):
            warnings.warn(
                f"torch.fx cannot trace {type(model).__name__} ({reason}); its layers are replaced one by one and "
                "batch norm stays digital.",
                ConversionWarning,
                stacklevel=4,
            )
        return model, set()
    for node in graph.graph.nodes:
        # Annotations that are strings (`from __future__ import annotations`) would keep the module from being pickled.
        node.type = None if isinstance(node.type, str) else node.type
    return graph, _fold_batch_norms(graph, exclude, _sequences(planned))


def _sequences(planned: Plan) -> set[str]:
    """Names of the layers that took other inputs than single vectors in the example."""
    if planned.look is None:
        return set()
    return {name for name, calls in planned.look.layers.items() if any(axes != 2 for axes, _ in calls)}


def _is_whole(module: nn.Module) -> bool:
    """Whether tracing keeps a module in one piece: layers, and what was rewritten, whose code may depend on shapes."""
    return is_rewritten(module) or is_lifted_owner(module) or kind_of(module) is not None


def _fold_batch_norms(traced: fx.GraphModule, exclude: tuple[str, ...], sequences: set[str]) -> set[str]:
    """Fold every batch norm whose only input is a layer used once; return the layers that then take only vectors."""
    modules, layers = dict(traced.named_modules()), {layer.module: layer for layer in find_layers(traced)}
    calls = Counter(node.target for node in traced.graph.nodes if node.op == "call_module")
    of_vectors: set[str] = set()
    for node in list(traced.graph.nodes):
        if node.op != "call_module" or type(modules[node.target]) not in _NORMS:
            continue
        before, norm = node.args[0], modules[node.target]
        if before.op != "call_module" or len(before.users) > 1 or calls[before.target] > 1:
            continue
        layer = layers.get(modules[before.target])
        if layer is None or norm.running_mean is None:
            continue
        # Sequences have their columns along the last axis, batch norm acts on axis 1.
        if not _on_norm_axis(layer.kind) and layer.name in sequences:
            continue
        if not _fold_into(layer, norm, exclude):
            continue
        if not _on_norm_axis(layer.kind):
            of_vectors.add(layer.name)
        setattr(layer.module, FOLDED_NORM, str(node.target))
        node.replace_all_uses_with(before)
        traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.graph.lint()
    traced.recompile()
    return of_vectors


def _on_norm_axis(kind: LayerKind) -> bool:
    """Whether a layer's columns always lie along axis 1, which batch norm acts on."""
    return isinstance(kind, MatrixKind) and kind.output_axis == 1


def _fold_into(layer: FoundLayer, norm: nn.Module, exclude: tuple[str, ...]) -> bool:
    """Multiply a layer's columns by gamma / sqrt(var + eps) and move its bias accordingly, in place, where that can be.

    Columns along a last axis are those of batch norm only where that is axis 1. On arrays such a layer sees to it that
    it is; a digital one does not.
    """
    kind, module = layer.kind, layer.module
    if not isinstance(kind, MatrixKind) or not kind.is_plain(module):
        return False
    if not _on_norm_axis(kind) and layer.matches(exclude):
        return False
    matrix, bias = kind.matrix(module), kind.bias(module)
    if norm.num_features != matrix.shape[1]:
        return False
    mean, variance = _buffer(norm.running_mean), _buffer(norm.running_var)
    assert isinstance(norm.eps, float)
    scale = torch.rsqrt(variance + norm.eps)
    if norm.weight is not None:
        scale = scale * _buffer(norm.weight)
    moved = ((0.0 if bias is None else _buffer(bias)) - mean) * scale
    if norm.bias is not None:
        moved = moved + _buffer(norm.bias)
    kind.lay_in(module, (_buffer(matrix) * scale).to(matrix.dtype), moved.to(matrix.dtype))
    return True


def _buffer(value: object) -> torch.Tensor:
    """A parameter or buffer in double precision, so that folding rounds once."""
    assert isinstance(value, torch.Tensor)
    return value.detach().to(torch.float64)


def _take_over_relus(traced: fx.GraphModule) -> None:
    """Let an analog layer whose output only a ReLU reads apply it in its own last pass over memory."""
    modules = dict(traced.named_modules())
    calls = Counter(node.target for node in traced.graph.nodes if node.op == "call_module")
    for node in list(traced.graph.nodes):
        if node.op != "call_module" or calls[node.target] > 1 or len(node.users) != 1:
            continue
        layer, after = modules[node.target], next(iter(node.users))
        if isinstance(layer, AnalogLayer) and _is_relu(after, modules):
            layer.relu = True
            after.replace_all_uses_with(node)
            traced.graph.erase_node(after)
    traced.recompile()


_SUMS: tuple[object, ...] = (operator.add, torch.add)


def with_sum(layer: nn.Module, x: Tensor, other: Tensor, relu: bool) -> Tensor:
    """Return a layer's output plus another tensor, with or without a ReLU, also of what was put in a layer's place.

    Args:
        layer: an analog layer, or any module.
        x: its input.
        other: what is added.
        relu: whether negative sums become 0.
    """
    if isinstance(layer, AnalogLayer):
        return layer.with_sum(x, other, relu)
    total: Tensor = layer(x) + other
    return torch.relu(total) if relu else total


_PURE: tuple[object, ...] = (operator.getitem, getattr, F.pad, F.avg_pool2d, with_sum)
_PURE_MODULES = (AnalogLayer, *_NORMS, nn.Identity, nn.AvgPool2d, nn.MaxPool2d, nn.Conv2d, nn.Linear)
"""What may stand between a layer and the sum that takes its output: code that changes no tensor in place."""


def _take_over_sums(traced: fx.GraphModule) -> None:
    """Let an analog layer whose output only a sum reads add the other path in its own pass (`AnalogLayer.with_sum`)."""
    modules, graph = dict(traced.named_modules()), traced.graph
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    for node in list(graph.nodes):
        if not (node.op == "call_function" and node.target in _SUMS and len(node.args) == 2 and not node.kwargs):
            continue
        if not all(isinstance(part, fx.Node) for part in node.args):
            continue
        one, other = sorted(node.args, key=list(graph.nodes).index, reverse=True)
        for layer, added in ((one, other), (other, one)):
            if layer.op != "call_module" or calls[layer.target] > 1 or set(layer.users) != {node} or layer is added:
                continue
            if not isinstance(modules[layer.target], AnalogLayer) or len(layer.args) != 1 or layer.kwargs:
                continue
            if not _changes_nothing(layer, node, modules):
                continue
            after = next(iter(node.users)) if len(node.users) == 1 else None
            relu = after is not None and _is_relu(after, modules)
            with graph.inserting_before(node):
                whole = graph.get_attr(layer.target)
                total = graph.call_function(with_sum, (whole, layer.args[0], added, relu))
            for old in (after, node) if relu else (node,):
                assert old is not None
                old.replace_all_uses_with(total)
                graph.erase_node(old)
            graph.erase_node(layer)
            break
    traced.recompile()


def _changes_nothing(first: fx.Node, last: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Whether nothing between two nodes changes a tensor, so that the first may as well run when the last does."""
    node = first.next
    while node is not last:
        pure = node.op == "get_attr" or (node.op == "call_function" and node.target in _PURE)
        pure |= node.op == "call_module" and isinstance(modules[str(node.target)], _PURE_MODULES)
        if not pure:
            return False
        node = node.next
    return True


def _is_relu(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    if node.op == "call_module":
        module = modules[str(node.target)]
        # With a hook, or a function in place of its own, it computes something else.
        hooked = module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module)
        return type(module) is nn.ReLU and not hooked
    if node.op == "call_method":
        return node.target in ("relu", "relu_")
    return node.op == "call_function" and node.target in (torch.relu, torch.relu_, F.relu, F.relu_)
