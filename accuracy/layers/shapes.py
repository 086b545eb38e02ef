"""The matrices of a network and how often an inference uses each: one run on an example.

What energy needs to know of a network passes as `circuits.LayerShape` values. Layers are found and brought to their
plain form exactly as `accuracy.convert` does it, so that energy pays for what is analog. The sizes are read from the
layers that actually run (a layer called twice counts its products twice, one never called does not count), so the
network may contain any Python code between its layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from accuracy.batches import batch_of, model_device
from accuracy.layer_kinds import MatrixKind, kind_names
from accuracy.layers.plan import check_names, plan, run_look
from accuracy.networks.errors import NetworkError
from circuits import LayerShape


def layer_shapes(
    model: nn.Module,
    example: torch.Tensor | Sequence[Any] | Mapping[str, Any],
    batch_size: int | None = None,
    *,
    exclude: Iterable[str] = (),
) -> list[LayerShape]:
    """Return the matrix of every layer that runs, in the order of first use.

    Convolutions (groups and depthwise as that many independent matrices) have kernel area times input channels of a
    group as rows and output positions as products; a transposed convolution is the same on its input with zeros
    between the pixels (so its multiplications with those zeros are counted). A linear layer makes one product for
    each vector it is given. An attention layer is its four projections, ``NAME.q_proj``, ``k_proj``, ``v_proj`` and
    ``out_proj``; the products of queries with keys and values have no stored matrix and stay digital.

    Args:
        model: any module of floating-point layers; a copy of it that shares its weights runs once, in inference mode.
        example: the input, a sequence of positional arguments or a mapping of keyword arguments; the first dimension
            of the first tensor is the batch.
        batch_size: inferences that the example holds; None takes the first dimension of the first input (say it
            for networks with the time first).
        exclude: name patterns of layers that stay digital, as for `accuracy.convert`; they are left out.

    Raises:
        NetworkError: the network does not run on the example, has no such layer, or runs every layer a number of times
            that is no multiple of the batch.
        EvaluationError: an example without a tensor.
        ConversionError: a pattern that matches no layer, or a stored matrix that no layer can take over and that is not
            excluded.
    """
    batch = batch_of((example, None), model_device(model))
    if batch_size is None:
        batch_size = batch.examples()
    if batch_size < 1:
        raise NetworkError(f"Expected an example of at least one inference, but got {batch_size}.")
    excluded = tuple(exclude)
    planned = plan(model, excluded, batch, share_weights=True)
    layers = planned.layers
    check_names(planned, excluded)
    look = run_look(planned.model, batch, (layer.module for layer in layers))
    paths = {module: path for path, module in planned.model.named_modules()}
    by_path = {paths[layer.module]: layer for layer in layers if not layer.matches(excluded)}
    found: dict[str, LayerShape] = {}
    for path, calls in look.layers.items():
        layer = by_path.get(path)
        if layer is None or not isinstance(layer.kind, MatrixKind):
            continue
        name = layer.name or type(layer.module).__name__.lower()
        for _, output in calls:
            shape = replace(layer.kind.shape(name, layer.module, output, layer.label), within=layer.within)
            found[name] = shape if name not in found else replace(shape, mvms=shape.mvms + found[name].mvms)
    if not found:
        raise NetworkError(f"{type(model).__name__} ran without a layer that is a matrix ({kind_names()}).")
    return _per_inference(list(found.values()), batch_size)


def _per_inference(shapes: list[LayerShape], batch_size: int) -> list[LayerShape]:
    """Return shapes with the products of one inference; the rounded mean, at least 1, where inputs choose the layer."""
    odd = [shape for shape in shapes if shape.mvms % batch_size]
    if len(odd) == len(shapes):
        raise NetworkError(
            f"Layer {odd[0].name!r} made {odd[0].mvms} products for an example taken as {batch_size} inferences; "
            "give `batch_size` if the batch is not the first dimension."
        )
    return [replace(shape, mvms=max(round(shape.mvms / batch_size), 1)) for shape in shapes]
