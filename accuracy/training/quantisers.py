"""Quantisers with learned steps, for training networks to a few bits (quantisation-aware training).

A value v becomes ``step rint(clip(v / step, -n, p))``, with n = p = 2^(b-1) - 1 for weights and signed inputs, as
arrays hold and apply them, and n = 0, p = 2^b - 1 for unsigned inputs. Backward, rounding counts as the identity and
what is clipped has no gradient. The step has that of one of

- learned step size quantisation (LSQ; Esser et al., ICLR 2020, arXiv 1902.08153, eq. 3 and section 2.2):
  ``rint(v / step) - v / step`` where v is not clipped, else -n or p; times 1 / sqrt(N p), N the values that share it
  (the weights, or the inputs of one example);
- parametrised clipping activation (PACT; Choi et al. 2018, arXiv 1805.06085, eq. 3), for inputs: the clipping level
  ``alpha = p step`` has the gradient 1 where v is at least alpha, else 0. Signed inputs, which the publication has
  not, are clipped on both sides, with -1 below -alpha.

Differences from LSQ as published: weights have 2^b - 1 levels about 0 instead of 2^b, since the form of a stored weight
is symmetric. Steps start at the published ``2 <|v|> / sqrt(p)`` only where that clips the largest weight; else at the
one that holds it, for few epochs of fine-tuning would leave conductances unused. Those of inputs start at the
calibrated range.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from accuracy.layer_kinds import OwnCodes
from accuracy.layers.analog_layers import AnalogLayer, with_own_bits
from accuracy.layers.gradients import product
from accuracy.training.drawn_weights import Redrawn, needs_programming, read_cell
from accuracy.training.errors import TrainingError
from accuracy.training.weight_errors import weight_errors
from circuits import Core, CoreDesign

WEIGHT_STEP, INPUT_STEP = "learned_weight_step", "learned_input_step"
"""Names of the parameters of an `AnalogLayer` while it is trained to a few bits."""


class LearnedStep(torch.autograd.Function):
    """``step rint(clip(v / step, -n, p))`` with the gradients of LSQ."""

    @staticmethod
    def forward(context: Any, values: Tensor, step: Tensor, low: int, high: int, share: int) -> Tensor:
        """Return quantised values.

        Args:
            context: of autograd.
            values: any shape.
            step: shape ().
            low: n, at least 0.
            high: p.
            share: N, how many values the gradient of the step is scaled by.
        """
        context.save_for_backward(values, step)
        context.how = low, high, share
        return torch.round((values / step).clamp(-low, high)) * step

    @staticmethod
    def backward(context: Any, *gradients: Any) -> Any:
        """Return the gradients of values and step."""
        (gradient,) = gradients
        values, step = context.saved_tensors
        low, high, share = context.how
        ratio = values / step
        inside = (ratio > -low) & (ratio < high)
        of_step = torch.where(inside, torch.round(ratio) - ratio, ratio.clamp(-low, high))
        return gradient * inside, (gradient * of_step).sum() / math.sqrt(share * high), None, None, None


class LearnedClip(torch.autograd.Function):
    """The same with the gradient of PACT: the step follows the clipping level ``alpha = p step``."""

    @staticmethod
    def forward(context: Any, values: Tensor, step: Tensor, low: int, high: int) -> Tensor:
        """Return quantised values; see `LearnedStep.forward`."""
        context.save_for_backward(values, step)
        context.how = low, high
        return torch.round((values / step).clamp(-low, high)) * step

    @staticmethod
    def backward(context: Any, *gradients: Any) -> Any:
        """Return the gradients of values and step, the latter p times that of alpha."""
        (gradient,) = gradients
        values, step = context.saved_tensors
        low, high = context.how
        above = values >= high * step
        below = values <= -low * step
        inside = ~above & ~below
        # Below 0, where unsigned inputs are cut off, nothing follows alpha.
        sign = above.to(values.dtype) - (below.to(values.dtype) if low else 0.0)
        return gradient * inside, (gradient * sign).sum() * high, None, None


def first_step(values: Tensor, high: int) -> Tensor:
    """Return the step to start with, shape (): ``2 <|v|> / sqrt(p)``, or less, so that integers reach p."""
    magnitudes = values.detach().abs()
    largest = magnitudes.max() / high
    return torch.where(largest > 0, torch.minimum(2.0 * magnitudes.mean() / math.sqrt(high), largest), 1.0 / high)


class QuantisedWeights(Redrawn):
    """A layer whose weights and inputs are quantised with learned steps; put into `AnalogLayer.stand_in`.

    Args:
        layer: the layer; it gets the steps as parameters.
        weight_bits: bits of a weight, sign included; None leaves weights as they are.
        input_bits: bits of an input, its sign included where it has one; None leaves inputs as they are, clipped to
            their range.
        pact: whether the steps of inputs follow PACT instead of LSQ.
        error_scale: factor on the spread of the cells whose errors weights carry; None for none. An error has no
            gradient of its own here: it moves in steps, as integers do.
    """

    def __init__(
        self,
        layer: AnalogLayer,
        weight_bits: int | None,
        input_bits: int | None,
        *,
        pact: bool,
        error_scale: float | None = None,
    ) -> None:
        super().__init__(layer)
        self._error_scale = error_scale
        self.begin(np.random.SeedSequence(0), None)
        self.weight_bits, self.input_bits, self._pact = weight_bits, input_bits, pact
        calibration = layer.require_calibration()
        self.signed = calibration.signed
        matrix = layer.matrix()
        self.weight_high = 0 if weight_bits is None else 2 ** (weight_bits - 1) - 1
        self.input_high = 0 if input_bits is None else 2 ** (input_bits - self.signed) - 1
        if weight_bits is not None:
            layer.register_parameter(WEIGHT_STEP, nn.Parameter(first_step(matrix, self.weight_high)))
        if input_bits is not None:
            # The calibrated range is where the clipping level starts.
            step = torch.full((), calibration.scale / self.input_high, dtype=matrix.dtype, device=matrix.device)
            layer.register_parameter(INPUT_STEP, nn.Parameter(step))

    def held_weights(self) -> Tensor:
        """Return the quantised weights of this draw, as cells hold them, shape (rows, columns)."""
        if self.matrix is None:
            weights = self.weights()
            self.matrix = weights if self._error_scale is None else weights + self._errors(weights.detach())
        return self.matrix

    def _errors(self, weights: Tensor) -> Tensor:
        layer, step = self.layer, getattr(self.layer, WEIGHT_STEP).detach()
        cell = read_cell(layer.cell, self._error_scale or 0.0, self._age)
        if cell is not None and cell.spatial is not None and cell.die_deviate is None:
            cell = cell.on_die(np.random.default_rng(self._sequence))
        found = weight_errors(few_bit_design(layer.design, self.weight_bits), cell)
        index = torch.round(weights / step).long() + found.largest
        mean, spread = (torch.from_numpy(table).to(weights)[index] for table in (found.mean, found.spread))
        generator = torch.Generator(weights.device)
        generator.manual_seed(int(self._sequence.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        # Along memory that does not depend on how a kind lays out its matrix.
        deviates = torch.randn(tuple(weights.shape), generator=generator, device=weights.device, dtype=weights.dtype)
        errors: Tensor = (mean + spread * deviates) * step
        return errors

    def weights(self) -> Tensor:
        """Return the quantised weights, shape (rows, columns)."""
        weight = super().weights()
        if self.weight_bits is None:
            return weight
        step = getattr(self.layer, WEIGHT_STEP)
        high = self.weight_high
        result: Tensor = LearnedStep.apply(weight, step, high, high, weight.numel())  # type: ignore[no-untyped-call]
        return result

    def inputs(self, x: Tensor) -> Tensor:
        """Return the quantised inputs of a batch."""
        if self.input_bits is None:
            scale = self.layer.require_calibration().scale
            return x.clamp(-scale if self.signed else 0.0, scale)
        step, high = getattr(self.layer, INPUT_STEP).to(x.dtype), self.input_high
        low = high if self.signed else 0
        if self._pact:
            clipped: Tensor = LearnedClip.apply(x, step, low, high)  # type: ignore[no-untyped-call]
            return clipped
        share = max(x[0].numel(), 1)
        result: Tensor = LearnedStep.apply(x, step, low, high, share)  # type: ignore[no-untyped-call]
        return result

    def __call__(self, layer: AnalogLayer, x: Tensor) -> Tensor:
        """Return the layer's output."""
        unbatched = x.dim() < layer.least_axes
        own = self.inputs(x.unsqueeze(0) if unbatched else x)
        columns = product(layer.sized(x), own, self.held_weights().to(own.dtype))
        bias = self.bias()
        result = layer.columns_back(columns if bias is None else columns + bias.to(columns.dtype))
        result = torch.relu(result) if layer.relu else result
        return result.squeeze(0) if unbatched else result

    def steps(self) -> list[nn.Parameter]:
        """Return the learned steps."""
        own = (self.layer._parameters.get(name) for name in (WEIGHT_STEP, INPUT_STEP))
        return [step for step in own if step is not None]

    def keep_positive(self) -> None:
        """Hold steps above 0 after a step of the optimiser: at least a thousandth of what fits the values."""
        with torch.no_grad():
            if self.weight_bits is not None:
                largest = self.layer.matrix().abs().max()
                getattr(self.layer, WEIGHT_STEP).clamp_(min=float(largest) / self.weight_high * 1e-3 or 1e-12)
            if self.input_bits is not None:
                scale = self.layer.require_calibration().scale
                getattr(self.layer, INPUT_STEP).clamp_(min=scale / self.input_high * 1e-3)

    def export(self) -> None:
        """Give the digital layer its quantised weights and codes, and the arrays a design that follows them.

        Raises:
            DesignError: the design is impossible with so few bits.
        """
        self.keep_positive()
        layer, codes = self.layer, OwnCodes()
        if self.weight_bits is not None:
            with torch.no_grad():
                weights = self.weights().clone()
                # In place, as an optimiser does it: the network is known to have other weights than its original.
                layer.kind.matrix(layer.digital).copy_(weights)
                if not torch.equal(layer.matrix(), weights):
                    bias = layer.kind.bias(layer.digital)
                    layer.kind.lay_in(layer.digital, weights, None if bias is None else bias.clone())
            codes = OwnCodes(weight_step=float(getattr(layer, WEIGHT_STEP).detach()), weight_bits=self.weight_bits)
        if self.input_bits is not None:
            step = float(getattr(layer, INPUT_STEP).detach())
            codes = replace(codes, input_step=step, input_bits=self.input_bits, input_clips=True)
        codes.say(layer.digital)
        layer.follow_own_codes()

    def remove_steps(self) -> None:
        """Take the steps off the layer."""
        for name in (WEIGHT_STEP, INPUT_STEP):
            self.layer._parameters.pop(name, None)


def few_bit_design(design: CoreDesign, weight_bits: int | None) -> CoreDesign:
    """Return the design that a layer gets when it follows weights of so many bits."""
    codes = nn.Module()
    OwnCodes(weight_bits=weight_bits).say(codes)
    given = design.replace(weight_scale="given", scale_columns=None)
    return with_own_bits(Core(given), codes).design


def require_drawable(layer: AnalogLayer) -> None:
    """Refuse layers whose errors have to be programmed, which is not done beside learned steps.

    Args:
        layer: a layer that is to be noisy.

    Raises:
        TrainingError: outliers, stuck cells, unit or flipped columns, columns of one sign, or biases on the array.
    """
    if needs_programming(layer) or layer.design.bias_rows:
        raise TrainingError(
            f"Layer {layer.name!r}: `weight_bits` with noise = 'weights' draws normal errors of each weight; outliers, "
            "stuck cells, unit or flipped columns, columns of one sign and bias rows are not of that form. Take noise "
            "= 'none'."
        )


def require_bits(layer: AnalogLayer, weight_bits: int | None, input_bits: int | None) -> None:
    """Refuse bits that a layer's design cannot hold.

    Args:
        layer: the layer.
        weight_bits: bits of a weight, sign included.
        input_bits: bits of an input.

    Raises:
        TrainingError: more bits than the design has, or inputs that its arrays do not quantise.
    """
    design = layer.design
    if weight_bits is not None and weight_bits > design.weight_bits:
        raise TrainingError(
            f"Layer {layer.name!r}: its weights would have {weight_bits} bits, but design {design.name!r} has "
            f"`weight_bits` {design.weight_bits}."
        )
    if input_bits is None:
        return
    held = min(design.input_bits or 0, design.accumulator_bits or 16)
    if input_bits > held:
        raise TrainingError(
            f"Layer {layer.name!r}: its inputs would have {input_bits} bits, but the arrays of design {design.name!r} "
            + (f"resolve {held}." if held else "do not quantise them (`input_bits` is none).")
        )
