"""The operations of torch that multiply matrices: operands, multiply-accumulates, and the same with a layer instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import conv_flop_count, flop_registry

_aten = torch.ops.aten

# What is added, left and right operand, as positions among the arguments.
_MATRIX_PRODUCTS: dict[Any, tuple[int | None, int, int]] = {
    _aten.mm: (None, 0, 1),
    _aten.bmm: (None, 0, 1),
    _aten.mv: (None, 0, 1),
    _aten.dot: (None, 0, 1),
    _aten.vdot: (None, 0, 1),
    _aten.addmm: (0, 1, 2),
    _aten.addmm_: (0, 1, 2),
    _aten.addmv: (0, 1, 2),
    _aten.addmv_: (0, 1, 2),
    _aten.baddbmm: (0, 1, 2),
    _aten.baddbmm_: (0, 1, 2),
    _aten.addbmm: (0, 1, 2),
    _aten.addbmm_: (0, 1, 2),
}
# Products in forms that no layer takes over: what multiplies what, as positions among the arguments.
_OTHER_PRODUCTS: dict[Any, tuple[tuple[int, ...], tuple[int, ...]]] = {
    _aten.mkldnn_rnn_layer: ((0, 5), (1, 2)),
    _aten._trilinear: ((0, 2), (1,)),
    _aten._grouped_mm: ((0,), (1,)),
    _aten._scaled_mm: ((0,), (1,)),
    _aten._scaled_grouped_mm: ((0,), (1,)),
    _aten._int_mm: ((0,), (1,)),
    _aten._addmm_activation: ((1,), (2,)),
    _aten._weight_int8pack_mm: ((0,), (1,)),
    _aten._weight_int4pack_mm_for_cpu: ((0,), (1,)),
    _aten._dyn_quant_matmul_4bit: ((0,), (1,)),
    _aten._sparse_mm: ((0,), (1,)),
    _aten._cdist_forward: ((0,), (1,)),
    _aten._native_multi_head_attention: ((0, 1, 2), (5, 7)),
    _aten._transformer_encoder_layer_fwd: ((0,), (3, 5, 14, 16)),
    _aten._scaled_dot_product_flash_attention_for_cpu: ((0,), (1, 2)),
    _aten._scaled_dot_product_flash_attention: ((0,), (1, 2)),
    _aten._scaled_dot_product_efficient_attention: ((0,), (1, 2)),
    _aten._scaled_dot_product_cudnn_attention: ((0,), (1, 2)),
    _aten._scaled_dot_product_fused_attention_overrideable: ((0,), (1, 2)),
}
_ATTENTION = {
    _aten._scaled_dot_product_flash_attention_for_cpu,
    _aten._scaled_dot_product_flash_attention,
    _aten._scaled_dot_product_efficient_attention,
    _aten._scaled_dot_product_cudnn_attention,
    _aten._scaled_dot_product_fused_attention_overrideable,
}
# One row of the left side meets one matrix of the right.
_ROW_BY_MATRIX = {
    _aten._grouped_mm,
    _aten._scaled_mm,
    _aten._scaled_grouped_mm,
    _aten._int_mm,
    _aten._addmm_activation,
    _aten._weight_int8pack_mm,
    _aten._weight_int4pack_mm_for_cpu,
    _aten._dyn_quant_matmul_4bit,
    _aten._sparse_mm,
    _aten._cdist_forward,
}
_TORCH = ("aten", "prim", "prims", "profiler", "inductor", "_c10d_functional", "rngprims")


@dataclass(frozen=True)
class Geometry:
    """How a convolution's kernel moves, as in torch.

    Attributes:
        stride: of each axis.
        padding: zeros on both sides of each axis.
        dilation: of each axis.
        transposed: whether it is a transposed convolution.
        output_padding: of each axis, where it is.
        groups: independent groups of channels.
    """

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool
    output_padding: tuple[int, ...]
    groups: int


@dataclass(frozen=True, eq=False)
class Product:
    """One call of an operation that multiplies.

    Attributes:
        operation: torch's name of it.
        left: operands of one side; the input of a convolution.
        right: operands of the other; the kernels of a convolution.
        added: what is added to the product.
        beta: what multiplies that.
        alpha: what multiplies the product.
        geometry: of a convolution.
        liftable: whether a layer can take one side's place: the other is its input.
        sums: whether the products of a batch are added up.
        packet: torch's operation; None where nothing but the operands says how often they meet.
    """

    operation: str
    left: tuple[Tensor, ...]
    right: tuple[Tensor, ...]
    added: Tensor | None = None
    beta: float = 1.0
    alpha: float = 1.0
    geometry: Geometry | None = None
    liftable: bool = True
    sums: bool = False
    packet: Any = None

    def macs(self, output: Any) -> int:
        """Return the multiply-accumulates of the call.

        Args:
            output: what it gave.
        """
        if self.geometry is not None:
            return int(
                conv_flop_count(
                    list(self.left[0].shape),
                    list(self.right[0].shape),
                    list(output.shape),
                    transposed=self.geometry.transposed,
                )
                // 2
            )
        left, right = self.left[0], self.right[0]
        if self.liftable:
            return int(left.numel() * (right.shape[-1] if right.dim() > 1 else 1))
        if self.packet in _ATTENTION:
            # Queries meet keys; weights of as many numbers as there are keys meet values.
            values = self.right[1]
            return int(left.numel() // left.shape[-1] * right.shape[-2] * (left.shape[-1] + values.shape[-1]))
        if self.packet in _ROW_BY_MATRIX:
            return int(output.numel() * left.shape[-1])
        # A sequence's positions each meet all of the other side.
        vectors = left.numel() // max(left.shape[-1], 1) if left.dim() else 1
        return int(vectors * sum(part.numel() for part in self.right))


def product_of(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Product | None:
    """Return what an operation multiplies, None for one that is no product of matrices.

    Args:
        func: operation of torch, as `torch.utils._python_dispatch.TorchDispatchMode` sees it.
        args: its positional arguments.
        kwargs: its keyword arguments.
    """
    packet = func.overloadpacket
    found = _MATRIX_PRODUCTS.get(packet)
    if found is not None:
        added, left, right = found
        return Product(
            str(packet),
            (args[left],),
            (args[right],),
            None if added is None else args[added],
            float(kwargs.get("beta", 1.0)),
            float(kwargs.get("alpha", 1.0)),
            liftable=args[left].layout is torch.strided and args[right].layout is torch.strided,
            sums=packet in (_aten.addbmm, _aten.addbmm_),
        )
    if packet is _aten.convolution:
        stride, padding, dilation, transposed, output_padding, groups = args[3:9]
        geometry = Geometry(tuple(stride), tuple(padding), tuple(dilation), transposed, tuple(output_padding), groups)
        return Product("aten.convolution", (args[0],), (args[1],), args[2], geometry=geometry)
    if packet in _OTHER_PRODUCTS:
        left_side, right_side = (
            tuple(args[i] for i in side if i < len(args) and isinstance(args[i], Tensor))
            for side in _OTHER_PRODUCTS[packet]
        )
        if left_side and right_side:
            return Product(str(packet), left_side, right_side, liftable=False, packet=packet)
        return None
    if func.namespace not in _TORCH or packet in flop_registry:
        # Another package's operation may multiply by anything that looks like a matrix.
        tensors = [part for part in (*args, *kwargs.values()) if isinstance(part, Tensor)]
        if len(tensors) > 1:
            return Product(str(packet), tuple(tensors[:1]), tuple(tensors[1:]), liftable=False)
    return None


Layer = Callable[[Tensor], Tensor]


def with_layers(product: Product, layers: Sequence[Layer], *, matrix_left: bool) -> Tensor:
    """Return a product's result with layers in place of its stored matrix.

    Args:
        product: that can be lifted.
        layers: for a batch of matrices one each; else a single one.
        matrix_left: whether the matrix stands on the left of the product.
    """
    if product.geometry is not None:
        result = layers[0](product.left[0])
        if product.added is not None:
            result = result + product.added.reshape(-1, *[1] * (result.dim() - 2))
        return result
    matrix, other = (product.left[0], product.right[0]) if matrix_left else (product.right[0], product.left[0])
    if matrix_left and other.dim() > 1:
        other = other.transpose(-1, -2)
    vector = other.dim() == 1
    if matrix.dim() < 3 or len(layers) == 1:
        result = layers[0](other.unsqueeze(0) if vector else other)
        result = result.squeeze(0) if vector else result
    else:
        result = torch.stack([layer(part) for layer, part in zip(layers, other, strict=True)])
    if matrix.dim() == 1:
        result = result.squeeze(-1)
    elif matrix_left and not vector:
        result = result.transpose(-1, -2)
    if product.sums:
        result = result.sum(dim=0)
    if product.alpha != 1.0:
        result = product.alpha * result
    if product.added is None or product.beta == 0.0:
        return result
    return result + (product.added if product.beta == 1.0 else product.beta * product.added)


def matrices_of(product: Product, *, matrix_left: bool) -> list[Tensor]:
    """Return the stored matrices of a product as (rows, columns) on arrays, one for each of a batch.

    A batch that repeats one matrix gives it once.

    Args:
        product: that can be lifted.
        matrix_left: whether the matrix stands on the left of the product.
    """
    matrix = product.left[0] if matrix_left else product.right[0]
    if product.geometry is not None:
        return [matrix]
    if matrix.dim() == 1:
        return [matrix.unsqueeze(-1)]
    matrix = matrix.transpose(-1, -2) if matrix_left else matrix
    if matrix.dim() == 2:
        return [matrix]
    if matrix.shape[0] == 1 or matrix.stride(0) == 0:
        return [matrix[0]]
    return list(matrix.unbind(0))
