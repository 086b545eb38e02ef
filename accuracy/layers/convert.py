"""From a trained network to the same network on analog arrays: batch norm folded, matrices mapped, the rest kept."""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

import torch
from torch import fx, nn
from torch.nn import functional as F

from accuracy.arrays.physics import Faults, Physics, checked_bit_line
from accuracy.errors import ConversionError, ConversionWarning
from accuracy.layers.analog_layers import AnalogLayer, analog_layer
from accuracy.layers.attention import ProjectedAttention, project_attention
from circuits import CoreDesign
from circuits.bit_line.solve import BitLineCell
from circuits.peripherals.model import PeripheralModel
from devicekit import Cell
from devicekit.common.errors import unknown_name

CONVERTIBLE = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def convert(
    model: nn.Module,
    design: CoreDesign,
    cell: Cell | None = None,
    seed: int = 0,
    peripherals: PeripheralModel | None = None,
    bit_line: BitLineCell = "resistor",
    *,
    faults: Faults | None = None,
    overrides: Mapping[str, CoreDesign] | None = None,
    exclude: Iterable[str] = (),
    project_signs: bool = False,
) -> nn.Module:
    """Return a copy of a network with its linear and convolutional layers on analog arrays.

    Batch norm that follows a converted layer is folded into it; biases, activations and everything else stay digital
    and as they were. The model given is left alone.

    Args:
        model: any module; one that `torch.fx` cannot trace is converted module by module, with a warning that batch
            norm is not folded.
        design: core design of every layer.
        cell: memory cell; None for ideal cells.
        seed: programming errors are drawn from it.
        peripherals: what stands between columns and codes (`circuits.load_peripherals`); None for ideal columns.
        bit_line: cell model of the bit-line solution, for designs with a bit-line resistance.
        faults: stuck cells; None for none.
        overrides: another design for layers whose name matches a pattern (``"layer1.*"``); the first match holds.
        exclude: name patterns of layers that stay digital.
        project_signs: for column-sign designs, set the minority sign of each column to zero instead of refusing.

    Returns:
        The converted network, in inference mode, programmed, not calibrated.

    Raises:
        ConversionError: nothing to convert, or a pattern that matches no layer.
        MappingError: weights that do not suit the design.
    """
    if analog_layers(model):
        raise ConversionError("The model has analog layers already; convert the original network.")
    folded = _folded_copy(model)
    physics = Physics(checked_bit_line(bit_line), peripherals, faults)
    names = [name for name, module in folded.named_modules() if type(module) in CONVERTIBLE]
    if not names:
        raise ConversionError(
            f"{type(model).__name__} has no layer that can be converted (linear, convolution, transposed convolution, "
            "attention)."
        )
    chosen = _designs_by_layer(names, design, overrides or {}, tuple(exclude))
    for key, (name, own) in enumerate(chosen.items()):
        if own is None:
            continue
        if peripherals is not None and own.adc_bits is None:
            raise ConversionError(
                f"Layer {name!r}: peripherals act on an ADC's range, but design {own.name!r} has no ADC."
            )
        layer = analog_layer(
            name, folded.get_submodule(name), own, cell, key, physics=physics, project_signs=project_signs
        )
        layer.program(seed)
        if name == "":
            return layer.eval()
        _set_submodule(folded, name, layer)
    if isinstance(folded, fx.GraphModule):
        _take_over_relus(folded)
    return folded.eval()


def analog_layers(model: nn.Module) -> list[AnalogLayer]:
    """Return the analog layers of a model, each once, in the order of their names."""
    return [module for module in model.modules() if isinstance(module, AnalogLayer)]


def _designs_by_layer(
    names: list[str], design: CoreDesign, overrides: Mapping[str, CoreDesign], exclude: tuple[str, ...]
) -> dict[str, CoreDesign | None]:
    for pattern in (*overrides, *exclude):
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConversionError(unknown_name("layer or pattern", pattern, names))
    result: dict[str, CoreDesign | None] = {}
    for name in names:
        own = next((value for pattern, value in overrides.items() if fnmatchcase(name, pattern)), design)
        result[name] = None if any(fnmatchcase(name, pattern) for pattern in exclude) else own
    if all(value is None for value in result.values()):
        raise ConversionError("Every layer is excluded: nothing is left to convert.")
    return result


def _set_submodule(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, module)


def _folded_copy(model: nn.Module) -> nn.Module:
    copied = copy.deepcopy(model).eval()
    if type(copied) is nn.MultiheadAttention:
        return ProjectedAttention(copied).eval()
    project_attention(copied)
    if type(copied) in CONVERTIBLE:
        return copied
    try:
        traced = fx.GraphModule(copied, _Tracer().trace(copied), type(copied).__name__)
    except Exception as error:
        # fx raises many unrelated types, depending on what the model's code does with its proxies.
        warnings.warn(
            f"torch.fx cannot trace {type(model).__name__} ({type(error).__name__}: {error}); its layers are replaced "
            "one by one and batch norm stays digital.",
            ConversionWarning,
            stacklevel=3,
        )
        return copied
    for node in traced.graph.nodes:
        # Annotations that are strings (`from __future__ import annotations`) would keep the module from being pickled.
        node.type = None if isinstance(node.type, str) else node.type
    _fold_batch_norms(traced)
    return traced


class _Tracer(fx.Tracer):
    """Keeps attention whole: its code depends on shapes, and nothing in it is folded."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, ProjectedAttention) or super().is_leaf_module(m, module_qualified_name)


def _fold_batch_norms(traced: fx.GraphModule) -> None:
    """Fold every batch norm whose only input is a convertible layer used once."""
    modules = dict(traced.named_modules())
    calls = Counter(node.target for node in traced.graph.nodes if node.op == "call_module")
    for node in list(traced.graph.nodes):
        if node.op != "call_module" or not isinstance(modules[node.target], _NORMS):
            continue
        before = node.args[0]
        if before.op != "call_module" or len(before.users) > 1 or calls[before.target] > 1:
            continue
        layer, norm = modules[before.target], modules[node.target]
        if not isinstance(layer, CONVERTIBLE) or norm.running_mean is None:
            continue
        if norm.num_features != _columns(layer):
            continue
        _fold_into(layer, norm)
        node.replace_all_uses_with(before)
        traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.graph.lint()
    traced.recompile()


def _columns(layer: nn.Module) -> int:
    columns = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
    assert isinstance(columns, int)
    return columns


def _fold_into(layer: nn.Module, norm: nn.Module) -> None:
    """Multiply a layer's columns by gamma / sqrt(var + eps) and move its bias accordingly, in place."""
    mean, variance = _buffer(norm.running_mean), _buffer(norm.running_var)
    assert isinstance(norm.eps, float)
    scale = torch.rsqrt(variance + norm.eps)
    if norm.weight is not None:
        scale = scale * _buffer(norm.weight)
    weight, bias = _buffer(layer.weight), None if layer.bias is None else _buffer(layer.bias)
    if isinstance(layer, _TRANSPOSED):
        # (channels of all groups, columns of a group, kernel)
        grouped = weight.reshape(layer.groups, -1, *weight.shape[1:])
        folded = grouped * scale.reshape(layer.groups, 1, -1, *[1] * (weight.dim() - 2))
        folded = folded.reshape(weight.shape)
    else:
        folded = weight * scale.reshape(-1, *[1] * (weight.dim() - 1))
    moved = ((0.0 if bias is None else bias) - mean) * scale
    if norm.bias is not None:
        moved = moved + _buffer(norm.bias)
    kind = layer.weight.dtype
    assert isinstance(kind, torch.dtype)
    layer.weight = nn.Parameter(folded.to(kind))
    layer.bias = nn.Parameter(moved.to(kind))


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


def _is_relu(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return type(modules[str(node.target)]) is nn.ReLU
    if node.op == "call_method":
        return node.target in ("relu", "relu_")
    return node.op == "call_function" and node.target in (torch.relu, torch.relu_, F.relu, F.relu_)


def model_device(model: nn.Module) -> torch.device:
    """Return the device of a model's parameters, the CPU where it has none."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
