"""Trained weights back in the network they came from, so that its own code, and its weight file, have them.

A batch norm that was folded into a layer keeps its statistics: the layer's weights are divided by its scale s and its
shift takes the rest, ``W = W' / s``, ``beta = b' - (b - mean) s``. Channels that it all but closed (s near 0), and
norms without parameters of their own, become the identity, and the layer takes the folded weights as they are.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from accuracy.layer_kinds import OwnCodes, copy_model, kind_of
from accuracy.layers.analog_layers import FOLDED_NORM, AnalogLayer
from accuracy.layers.conversion import conversion_of
from accuracy.layers.convert import analog_layers
from accuracy.training.errors import TrainingError

CLOSED = 1e-3
"""Scale of a batch norm's channel, relative to its largest, below which the channel counts as closed."""


def original_of(model: nn.Module) -> nn.Module | None:
    """Return the network that a converted one was made of, None where that is not known."""
    conversion = conversion_of(model)
    return None if conversion is None else conversion.template()


def trained_original(original: nn.Module | None, model: nn.Module) -> nn.Module:
    """Return a copy of an original network with the weights of its converted, trained form.

    Args:
        original: as it was converted.
        model: the converted network.

    Raises:
        TrainingError: layers that conversion rewrote, or an original that is not known.
    """
    if original is None:
        raise TrainingError(
            "The network was not converted as a whole in this process, so the original to write weights into is not "
            "known; the converted network has them."
        )
    network = copy_model(original)
    layers = analog_layers(model)
    done: set[str] = set()
    with torch.no_grad():
        for layer in layers:
            name, target = _target(network, layer)
            prefix = f"{name}." if name else ""
            done |= {prefix + own for own in target.state_dict()}
            matrix, bias = layer.matrix().double(), layer.kind.bias(layer.digital)
            bias = None if bias is None else bias.detach().double()
            norm_name = getattr(layer.digital, FOLDED_NORM, None)
            if norm_name is not None:
                done |= {f"{norm_name}.{own}" for own in network.get_submodule(norm_name).state_dict()}
                matrix, bias = _unfolded(matrix, bias, layer.kind.bias(target), network.get_submodule(norm_name))
            like = layer.kind.matrix(target)
            OwnCodes.of(layer.digital).say(target)
            layer.kind.lay_in(target, matrix.to(like), None if bias is None else bias.to(like))
        held = model.state_dict()
        missing = []
        for name, value in network.state_dict().items():
            if name in done:
                continue
            if name not in held or held[name].shape != value.shape:
                missing.append(name)
                continue
            value.copy_(held[name])
    if missing:
        raise TrainingError(
            f"Conversion rewrote parts of the network ({', '.join(missing[:3])}), whose trained weights have no place "
            "in the original; the converted network has them."
        )
    return network


def _target(network: nn.Module, layer: AnalogLayer) -> tuple[str, nn.Module]:
    """Name and module of a layer in the original."""
    modules: dict[str, nn.Module] = dict(network.named_modules())
    name = layer.name if layer.name in modules else ""
    target = modules[name]
    if kind_of(target) is not layer.kind or not layer.kind.is_plain(target):
        raise TrainingError(
            f"Conversion made the layer {layer.name!r} of other code of the network, so that its trained weights have "
            "no place in the original; the converted network has them."
        )
    return name, target


def _unfolded(matrix: Tensor, bias: Tensor | None, own: Tensor | None, norm: Any) -> tuple[Tensor, Tensor | None]:
    """Take a batch norm out of a layer that holds it; return the layer's matrix and bias, and set the norm."""
    shift = torch.zeros(matrix.shape[1], dtype=torch.float64) if bias is None else bias
    before = torch.zeros_like(shift) if own is None else own.double()
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    scale = torch.rsqrt(variance + norm.eps)
    if norm.weight is None:
        closed = torch.ones_like(scale, dtype=torch.bool)
    else:
        scale = scale * norm.weight.double()
        closed = scale.abs() < CLOSED * scale.abs().max()
        norm.weight[closed] = 1.0
    norm.running_var[closed] = 1.0 - norm.eps
    scale = torch.where(closed, 1.0, scale)
    mean = torch.where(closed, 0.0, mean)
    if norm.weight is None:
        norm.running_mean.copy_(before - shift)
    else:
        norm.running_mean.copy_(mean)
        norm.bias.copy_(shift - (before - mean) * scale)
    return matrix / scale, None if own is None else before
