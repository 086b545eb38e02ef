"""Multi-head attention with its four projections as linear layers, so that they can sit on analog arrays.

Products of queries with keys and values have no stored matrix and stay digital.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from accuracy.errors import ConversionError
from accuracy.layer_kinds.examples import RandomInput
from accuracy.layer_kinds.kind import CompositeKind
from accuracy.layer_kinds.linear import plain_linear


class ProjectedAttention(nn.Module):
    """What `torch.nn.MultiheadAttention` computes in inference mode, with layers q_proj, k_proj, v_proj, out_proj.

    Args:
        original: the attention it stands for.

    Raises:
        ConversionError: added bias rows or zero attention, which have no linear layer.
    """

    # Transformer layers look at these before they take a fused path that would go around the projections.
    in_proj_bias = None
    _qkv_same_embed_dim = False

    def __init__(self, original: nn.MultiheadAttention):
        super().__init__()
        if original.bias_k is not None or original.bias_v is not None or original.add_zero_attn:
            raise ConversionError("Attention with add_bias_kv or add_zero_attn cannot be converted.")
        self.embed_dim, self.num_heads = original.embed_dim, original.num_heads
        self.batch_first, self.head_dim = original.batch_first, original.head_dim
        if original.in_proj_weight is not None:
            weights = original.in_proj_weight.chunk(3)
        else:
            weights = (original.q_proj_weight, original.k_proj_weight, original.v_proj_weight)
        biases = (None,) * 3 if original.in_proj_bias is None else original.in_proj_bias.chunk(3)
        self.q_proj, self.k_proj, self.v_proj = (plain_linear(w, b) for w, b in zip(weights, biases, strict=True))
        self.out_proj: nn.Module = plain_linear(original.out_proj.weight, original.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return (output, attention weights or None), as `torch.nn.MultiheadAttention` does.

        Raises:
            ConversionError: a causal hint without its mask.
        """
        if is_causal and attn_mask is None:
            raise ConversionError("is_causal is a hint about attn_mask: give the mask as well.")
        single = query.dim() == 2
        batch_axis = 0 if self.batch_first else 1
        if single:
            query, key, value = (part.unsqueeze(batch_axis) for part in (query, key, value))
            key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        if not self.batch_first:
            # Projections count images along the first axis.
            query, key, value = (part.transpose(0, 1) for part in (query, key, value))
        q, k, v = (
            torch.unflatten(layer(part), -1, (self.num_heads, -1)).transpose(1, 2)
            for layer, part in ((self.q_proj, query), (self.k_proj, key), (self.v_proj, value))
        )
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.head_dim)
        if attn_mask is not None:
            mask = _additive(attn_mask, scores)
            scores = scores + (mask.reshape(scores.shape) if mask.dim() == 3 else mask)
        if key_padding_mask is not None:
            scores = scores + _additive(key_padding_mask, scores)[:, None, None, :]
        weights = F.softmax(scores, dim=-1)
        output: Tensor = self.out_proj((weights @ v).transpose(1, 2).flatten(-2))
        if not self.batch_first:
            output = output.transpose(0, 1)
        shown = (weights.mean(dim=1) if average_attn_weights else weights) if need_weights else None
        if single:
            output = output.squeeze(batch_axis)
            shown = None if shown is None else shown.squeeze(0)
        return output, shown


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    """A mask as numbers to add: True, where boolean, hides."""
    if mask.dtype == torch.bool:
        return torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask, -math.inf)
    return mask.to(like.dtype)


class AttentionKind(CompositeKind):
    """`torch.nn.MultiheadAttention`: four projections, q_proj, k_proj, v_proj and out_proj."""

    name = "attention"
    modules = (nn.MultiheadAttention,)

    def rewrite(self, module: nn.Module) -> nn.Module:
        """Return the attention with its projections as linear layers.

        Raises:
            ConversionError: it adds rows to keys and values, which no projection makes.
        """
        assert isinstance(module, nn.MultiheadAttention)
        return ProjectedAttention(module)

    def examples(self, module: nn.Module, random: RandomInput) -> list[tuple[Any, ...]]:
        """Return three queries on four keys and values, of two sequences."""
        assert isinstance(module, nn.MultiheadAttention)
        query, key, value = (
            random(*((2, length) if module.batch_first else (length, 2)), width)
            for length, width in ((3, module.embed_dim), (4, module.kdim), (4, module.vdim))
        )
        return [(query, key, value)]
