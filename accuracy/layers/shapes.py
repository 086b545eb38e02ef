"""The matrices of a network and how often an inference uses each: one traced run on an example.

What energy needs to know of a network passes as `circuits.LayerShape` values. The sizes are read from the layers that
actually run (a layer called twice counts its products twice, one never called does not count), so the network may
contain any Python code between its layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from accuracy.networks.errors import NetworkError
from circuits import LayerShape

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
_Transposed = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d


def layer_shapes(
    model: nn.Module, example: torch.Tensor | Sequence[torch.Tensor], batch_size: int | None = None
) -> list[LayerShape]:
    """Return the matrix of every layer that runs, in the order of first use.

    Convolutions (groups and depthwise as that many independent matrices) have kernel area times input channels of a
    group as rows and output positions as products; a transposed convolution is the same on its input with zeros
    between the pixels (so its multiplications with those zeros are counted). A linear layer makes one product for
    each vector it is given. An attention layer is its four projections, ``NAME.q_proj``, ``k_proj``, ``v_proj`` and
    ``out_proj``; the products of queries with keys and values have no stored matrix and stay digital.

    Args:
        model: any module of floating-point layers; it runs once, in inference mode, and is left as it was.
        example: the input, or a sequence of inputs for several arguments; the first dimension is the batch.
        batch_size: inferences that the example holds; None takes the first dimension of the first input (say it
            for networks with the time first).

    Raises:
        NetworkError: the network does not run on the example, has no such layer, or runs a layer a number of times
            that is no multiple of the batch.
    """
    inputs = (example,) if isinstance(example, torch.Tensor) else tuple(example)
    if batch_size is None:
        if not inputs or not isinstance(inputs[0], torch.Tensor) or not inputs[0].ndim:
            raise NetworkError("Expected `example` to be a tensor, or several, whose first dimension is the batch.")
        batch_size = inputs[0].shape[0]
    if batch_size < 1:
        raise NetworkError(f"Expected an example of at least one inference, but got {batch_size}.")
    found: dict[str, LayerShape] = {}

    def add(shape: LayerShape) -> None:
        known = found.get(shape.name)
        found[shape.name] = shape if known is None else replace(known, mvms=known.mvms + shape.mvms)

    _run(model, inputs, add)
    if not found:
        raise NetworkError(f"{type(model).__name__} ran without a convolution, linear or attention layer.")
    return [_per_inference(shape, batch_size) for shape in found.values()]


def _run(model: nn.Module, inputs: tuple[torch.Tensor, ...], add: Callable[[LayerShape], None]) -> None:
    """Run the model once with a hook on every layer that has a matrix."""
    training = {module: module.training for module in model.modules()}
    # Attention has a fused path in inference mode that does not go through its layers.
    fused = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as undo:
        for name, module in model.named_modules():
            hook = _hook(name or type(module).__name__.lower(), module, add)
            if hook is not None:
                undo.callback(module.register_forward_hook(hook, with_kwargs=True).remove)
        undo.callback(lambda: [module.train(mode) for module, mode in training.items()])
        undo.callback(torch.backends.mha.set_fastpath_enabled, fused)
        torch.backends.mha.set_fastpath_enabled(False)
        model.eval()
        try:
            with torch.inference_mode():
                model(*inputs)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            sizes = ", ".join(str(tuple(value.shape)) for value in inputs)
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise NetworkError(
                f"{type(model).__name__} does not run on an example of shape {sizes}: {reason}"
            ) from None


_Hook = Callable[[nn.Module, tuple[Any, ...], dict[str, Any], Any], None]


def _hook(name: str, module: nn.Module, add: Callable[[LayerShape], None]) -> _Hook | None:
    if isinstance(module, CONVOLUTIONS + TRANSPOSED):
        convolution: _Convolution | _Transposed = module
        return lambda _, args, kwargs, out: add(_convolution(name, convolution, out))
    if isinstance(module, nn.Linear):
        linear = module
        return lambda _, args, kwargs, out: add(
            LayerShape(
                name=name,
                rows=linear.in_features,
                columns=linear.out_features,
                mvms=out.numel() // linear.out_features,
                kind="linear",
                bias=linear.bias is not None,
            )
        )
    if isinstance(module, nn.MultiheadAttention):
        attention = module

        def add_projections(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
            for shape in _projections(name, attention, args, kwargs):
                add(shape)

        return add_projections
    return None


def _convolution(name: str, layer: _Convolution | _Transposed, out: torch.Tensor) -> LayerShape:
    area = 1
    for size in layer.kernel_size:
        area *= size
    return LayerShape(
        name=name,
        rows=area * layer.in_channels // layer.groups,
        columns=layer.out_channels // layer.groups,
        mvms=out.numel() // layer.out_channels,
        groups=layer.groups,
        kind=("conv_transpose" if isinstance(layer, TRANSPOSED) else "conv") + f"{len(layer.kernel_size)}d",
        bias=layer.bias is not None,
    )


def _projections(
    name: str, layer: nn.MultiheadAttention, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> list[LayerShape]:
    query, key, value = (
        kwargs[word] if word in kwargs else args[i] for i, word in enumerate(("query", "key", "value"))
    )
    width, bias = layer.embed_dim, layer.in_proj_bias is not None
    return [
        LayerShape(
            name=f"{name}.{part}",
            rows=rows,
            columns=width,
            mvms=vectors.numel() // vectors.shape[-1],
            kind="attention",
            bias=bias,
        )
        for part, rows, vectors in (
            ("q_proj", width, query),
            ("k_proj", layer.kdim, key),
            ("v_proj", layer.vdim, value),
            ("out_proj", width, query),
        )
    ]


def _per_inference(shape: LayerShape, batch_size: int) -> LayerShape:
    if shape.mvms % batch_size:
        raise NetworkError(
            f"Layer {shape.name!r} made {shape.mvms} products for an example taken as {batch_size} inferences; "
            "give `batch_size` if the batch is not the first dimension."
        )
    return replace(shape, mvms=shape.mvms // batch_size)
