"""The matrices of a network and how often an inference uses each: one run on an example.

What energy needs to know of a network passes as `circuits.LayerShape` values. Layers are found and brought to their
plain form exactly as `accuracy.convert` does it, so that energy pays for what is analog. The sizes are read from the
layers that actually run (a layer called twice counts its products twice, one never called does not count), so the
network may contain any Python code between its layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from accuracy.layer_kinds import (
    FoundLayer,
    MatrixKind,
    check_patterns,
    copy_model,
    find_layers,
    kind_names,
    prepare_layers,
)
from accuracy.networks.errors import NetworkError
from circuits import LayerShape


def layer_shapes(
    model: nn.Module,
    example: torch.Tensor | Sequence[torch.Tensor],
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
        example: the input, or a sequence of inputs for several arguments; the first dimension is the batch.
        batch_size: inferences that the example holds; None takes the first dimension of the first input (say it
            for networks with the time first).
        exclude: name patterns of layers that stay digital, as for `accuracy.convert`; they are left out.

    Raises:
        NetworkError: the network does not run on the example, has no such layer, or runs a layer a number of times
            that is no multiple of the batch.
        ConversionError: a pattern that matches no layer, or a layer that computes something else than its kind and is
            not excluded.
    """
    inputs = (example,) if isinstance(example, torch.Tensor) else tuple(example)
    if batch_size is None:
        if not inputs or not isinstance(inputs[0], torch.Tensor) or not inputs[0].ndim:
            raise NetworkError("Expected `example` to be a tensor, or several, whose first dimension is the batch.")
        batch_size = inputs[0].shape[0]
    if batch_size < 1:
        raise NetworkError(f"Expected an example of at least one inference, but got {batch_size}.")
    excluded = tuple(exclude)
    prepared = prepare_layers(copy_model(model, share_weights=True), excluded)
    layers = find_layers(prepared)
    check_patterns(excluded, layers)
    found: dict[str, LayerShape] = {}

    def add(shape: LayerShape) -> None:
        known = found.get(shape.name)
        found[shape.name] = shape if known is None else replace(known, mvms=known.mvms + shape.mvms)

    _run(prepared, [layer for layer in layers if not layer.matches(excluded)], inputs, add)
    if not found:
        raise NetworkError(f"{type(model).__name__} ran without a layer that is a matrix ({kind_names()}).")
    return [_per_inference(shape, batch_size) for shape in found.values()]


def _run(
    model: nn.Module,
    layers: Iterable[FoundLayer],
    inputs: tuple[torch.Tensor, ...],
    add: Callable[[LayerShape], None],
) -> None:
    """Run the model once with a hook on every layer that is a matrix."""
    for layer in layers:
        if isinstance(layer.kind, MatrixKind):
            layer.module.register_forward_hook(_hook(layer, layer.kind, add))
    try:
        with torch.inference_mode():
            model(*inputs)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        sizes = ", ".join(str(tuple(value.shape)) for value in inputs)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NetworkError(f"{type(model).__name__} does not run on an example of shape {sizes}: {reason}") from None


def _hook(layer: FoundLayer, kind: MatrixKind, add: Callable[[LayerShape], None]) -> Callable[..., None]:
    name = layer.name or type(layer.module).__name__.lower()

    def count(module: nn.Module, arguments: tuple[Any, ...], output: torch.Tensor) -> None:
        add(kind.shape(name, module, output, layer.label))

    return count


def _per_inference(shape: LayerShape, batch_size: int) -> LayerShape:
    if shape.mvms % batch_size:
        raise NetworkError(
            f"Layer {shape.name!r} made {shape.mvms} products for an example taken as {batch_size} inferences; "
            "give `batch_size` if the batch is not the first dimension."
        )
    return replace(shape, mvms=shape.mvms // batch_size)
