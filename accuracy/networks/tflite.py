"""Quantised TensorFlow Lite classifiers, stored as NumPy archives: weights, scales and the graph of operations.

An archive holds for convolution k ``Lkkk.weight`` (out, height, width, in; depthwise 1, height, width, channels),
``.weight_scale`` and ``.weight_zero_point`` (one, or one an output channel), ``.bias`` int32 and ``.bias_scale``, and
``graph_json``: the operations in order with tensor numbers, padding, stride, activation, and the scale and zero point
of every tensor. A real weight is ``scale * (q - zero_point)``. Outputs have a background class first, which is dropped.

Two things are made of it: a plain floating-point module with the real weights (`lay_in`), whose layers carry the
quantiser's step as `weight_step` so that integers can be mapped to cells unchanged, and the network as the phone runs
it, with activations rounded to 8 bits (`QuantisedGraph`), the digital reference.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from accuracy.layer_kinds import find_layers
from accuracy.networks.errors import NetworkError
from devicekit.common.foreign import numpy_archive

BACKGROUND = 1


@dataclass(frozen=True)
class Layer:
    """One convolution of the graph.

    Attributes:
        weight: real weights, float32 (out, in of a group, height, width).
        bias: real biases, float32 (out,).
        step: value of one weight integer, float32 (1,) or (out,).
        operation: its entry in the graph.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    step: torch.Tensor
    operation: dict[str, Any]


@dataclass(frozen=True)
class Archive:
    """A quantised network.

    Attributes:
        path: where it was read.
        operations: the graph's operations in order.
        source: the graph's input tensor: number, scale, zero point, dtype.
        layers: convolutions in order.
    """

    path: Path
    operations: tuple[dict[str, Any], ...]
    source: dict[str, Any]
    layers: tuple[Layer, ...]


def read(path: Path) -> Archive:
    """Return a quantised network from its archive.

    Raises:
        NetworkError: no archive, no graph, or a layer's arrays are missing.
    """
    what = "a quantised network archive with `graph_json`"
    with numpy_archive(path, NetworkError, what) as archive:
        graph = json.loads(str(archive["graph_json"]))
        layers = tuple(_layer(archive, operation) for operation in graph["ops"] if operation.get("weight"))
    return Archive(path, tuple(graph["ops"]), graph["input"], layers)


def _layer(archive: Any, operation: dict[str, Any]) -> Layer:
    name = operation["weight"]
    stored = archive[f"{name}.weight"]
    scale, zero = archive[f"{name}.weight_scale"], archive[f"{name}.weight_zero_point"]
    axis = 3 if operation["op"] == "DEPTHWISE_CONV_2D" else 0
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    # int32 differences and float32 scales: one rounding a weight, so weight / scale gives the integer back.
    weight = (stored.astype(np.int32) - zero.reshape(shape)).astype(np.float32) * scale.reshape(shape)
    order = (3, 0, 1, 2) if axis == 3 else (0, 3, 1, 2)
    bias = archive[f"{name}.bias"].astype(np.float64) * archive[f"{name}.bias_scale"].astype(np.float64)
    return Layer(
        weight=torch.from_numpy(np.ascontiguousarray(weight.transpose(order))),
        bias=torch.from_numpy(bias.astype(np.float32)),
        step=torch.from_numpy(scale.astype(np.float32)),
        operation=operation,
    )


def lay_in_file(model: nn.Module, path: Path) -> None:
    """Copy real weights and biases of an archive into a module, in place; see `lay_in`.

    Raises:
        NetworkError: as for `read` and `lay_in`.
    """
    lay_in(model, read(path))


def lay_in(model: nn.Module, archive: Archive) -> None:
    """Copy real weights and biases into the convolutions and linear layers of a module, in order of definition.

    Each layer gets a buffer `weight_step`, the value of one weight integer, (1,) or (out,), which is no part of the
    state dict. The background class is dropped from the last layer.

    Args:
        model: changed in place; batch norms folded away, layers in the order of the graph.
        archive: the quantised network.

    Raises:
        NetworkError: another number of layers, or a layer of another shape or stride.
    """
    layers: list[Any] = [layer.module for layer in find_layers(model)]
    if len(layers) != len(archive.layers):
        raise NetworkError(
            f"{archive.path}: weights do not fit {type(model).__name__}: it has {len(layers)} layers, the file "
            f"{len(archive.layers)}."
        )
    for index, (module, stored) in enumerate(zip(layers, archive.layers, strict=True)):
        weight, bias, step = stored.weight, stored.bias, stored.step
        if index == len(layers) - 1:
            weight, bias, step = weight[BACKGROUND:], bias[BACKGROUND:], step[BACKGROUND:] if len(step) > 1 else step
        if module.weight.dim() == 2:
            weight = weight.flatten(1)
        stride = list(getattr(module, "stride", stored.operation["stride"]))
        fits = weight.shape == module.weight.shape and stride == stored.operation["stride"]
        if not fits or module.bias is None:
            raise NetworkError(
                f"{archive.path}: weights do not fit {type(model).__name__}: layer {index} of the file is "
                f"{tuple(weight.shape)}, but {tuple(module.weight.shape)} is expected."
            )
        with torch.no_grad():
            module.weight.copy_(weight)
            module.bias.copy_(bias)
        module.register_buffer("weight_step", step.clone(), persistent=False)


class QuantisedGraph(nn.Module):
    """The graph operation by operation, every tensor rounded to its 8-bit code: what the phone computes.

    Rounding is to the nearest code, ties to even; sums are exact (the integer arithmetic of TensorFlow Lite differs by
    its own rounding of intermediate multipliers). With `activations` off, the same graph in floating point.

    Input (batch, 3, side, side), pixels scaled to -1..1; output logits (batch, 1000).
    """

    def __init__(self, archive: Archive, activations: bool = True) -> None:
        super().__init__()
        self.archive = archive
        self.activations = activations
        for index, layer in enumerate(archive.layers):
            self.register_buffer(f"weight_{index}", layer.weight)
            self.register_buffer(f"bias_{index}", layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, classes), the background class dropped."""
        tensors = {self.archive.source["id"]: self._rounded(x, self.archive.source)}
        layer = 0
        for operation in self.archive.operations:
            inputs = [tensors[tensor["id"]] for tensor in operation["inputs"]]
            kind = operation["op"]
            if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
                weight, bias = getattr(self, f"weight_{layer}"), getattr(self, f"bias_{layer}")
                groups = inputs[0].shape[1] if kind == "DEPTHWISE_CONV_2D" else 1
                out = _convolution(inputs[0], weight, bias, operation, groups)
                layer += 1
            elif kind == "ADD":
                out = inputs[0] + inputs[1]
            elif kind in ("AVERAGE_POOL_2D", "MEAN"):
                out = inputs[0].mean(dim=(2, 3), keepdim=True)
            elif kind in ("SQUEEZE", "RESHAPE"):
                out = torch.flatten(inputs[0], 1)
            elif kind == "QUANTIZE":
                out = inputs[0]
            elif kind == "SOFTMAX":
                break
            else:
                raise NetworkError(f"{self.archive.path}: operation {kind!r} is not known.")
            target = operation["outputs"][0]
            tensors[target["id"]] = self._rounded(out, target)
        return inputs[0][:, BACKGROUND:]

    def _rounded(self, x: torch.Tensor, tensor: dict[str, Any]) -> torch.Tensor:
        if not self.activations:
            return x
        scale, zero = float(tensor["scale"][0]), int(tensor["zero_point"][0])
        low, high = (0, 255) if tensor["dtype"] == "uint8" else (-128, 127)
        return torch.fake_quantize_per_tensor_affine(x, scale, zero, low, high)


def _convolution(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, operation: dict[str, Any], groups: int
) -> torch.Tensor:
    stride = operation["stride"]
    if operation["padding"] == "SAME":
        padding: list[int] = []
        for side, kernel, step in zip(reversed(x.shape[2:]), reversed(weight.shape[2:]), reversed(stride), strict=True):
            total = max((-(-side // step) - 1) * step + kernel - side, 0)
            padding += [total // 2, total - total // 2]
        x = functional.pad(x, padding)
    out = functional.conv2d(x, weight, bias, stride=stride, groups=groups)
    if operation["act"] == "relu":
        return functional.relu(out)
    return functional.relu6(out) if operation["act"] == "relu6" else out
