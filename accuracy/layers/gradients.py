"""Gradients of analog layers: the arrays compute forward, the float layer at the programmed weights computes backward.

The straight-through estimator: rounding of inputs, weights and codes, saturation of ADCs and the bit line count as the
identity, so that the gradient is that of ``clip(x) W + bias`` with W the weights that the programmed cells stand for.
Where nothing is rounded it is the derivative of what the arrays compute, but for the way in which cells follow their
targets. Source: Bengio, Leonard, Courville, "Estimating or propagating gradients through stochastic neurons",
arXiv 1308.3432.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from accuracy.layer_kinds import MatrixKind
from accuracy.mapping.operators import Operator


class StraightThrough(torch.autograd.Function):
    """Outputs of arrays as they are, with the gradient of the float layer at other weights than its own.

    ``apply(outputs, x, matrix, bias, programmed, limits, operator, kind, relu)``; see `forward`.
    """

    @staticmethod
    def forward(
        context: Any,
        outputs: Tensor,
        x: Tensor,
        matrix: Tensor,
        bias: Tensor | None,
        programmed: Tensor,
        limits: tuple[float, float],
        operator: Operator,
        kind: MatrixKind,
        relu: bool,
    ) -> Tensor:
        """Return the outputs.

        Args:
            context: of autograd.
            outputs: what the arrays gave.
            x: the layer's input, batched.
            matrix: the digital layer's weights, shape (rows, columns), which get the gradient.
            bias: the digital biases, likewise.
            programmed: the weights that the gradient is taken at, shape (rows, columns).
            limits: lowest and highest input that is not clipped.
            operator: how inputs meet rows.
            kind: says where the columns lie.
            relu: whether outputs below 0 were set to 0.
        """
        context.save_for_backward(x, programmed, outputs if relu else None)
        context.how = limits, operator, kind.output_axis, bias is not None
        return outputs.view_as(outputs)

    @staticmethod
    def backward(context: Any, *gradients: Any) -> Any:
        """Return the gradients with respect to input, matrix and bias."""
        (gradient,) = gradients
        x, programmed, rectified = context.saved_tensors
        limits, operator, axis, has_bias = context.how
        if rectified is not None:
            gradient = gradient * (rectified > 0)
        gradient = gradient.to(programmed.dtype)
        wanted = context.needs_input_grad[1:3]
        with torch.enable_grad():
            inputs = [x.detach().to(programmed.dtype), programmed.detach()]
            inputs = [part.requires_grad_(needed) for part, needed in zip(inputs, wanted, strict=True)]
            found: tuple[Tensor, ...] = ()
            if any(wanted):
                columns = product(operator, inputs[0].clamp(*limits), inputs[1]).movedim(-1, axis)
                found = torch.autograd.grad(columns, [part for part in inputs if part.requires_grad], gradient)
        for_x = found[0] if wanted[0] else None
        for_matrix = found[-1] if wanted[1] else None
        for_bias = None
        if has_bias and context.needs_input_grad[3]:
            for_bias = gradient.movedim(axis, -1).flatten(0, -2).sum(dim=0)
        for_x = None if for_x is None else for_x.to(x.dtype)
        return None, for_x, for_matrix, for_bias, None, None, None, None, None


def product(operator: Operator, x: Tensor, matrix: Tensor) -> Tensor:
    """Return what an operator makes of a batched input and a whole matrix (rows, columns), columns last."""
    return operator.apply(operator.prepare(x), operator.kernel(matrix, slice(0, matrix.shape[0])))
