"""Weights as freshly programmed cells hold them, drawn for every step, with the gradient of how cells follow weights.

For the weight w, stored as the integer ``I = rint(w / step)``, a draw is

    w' = step (I + b(I) + s(I) z),     dw'/dw = 1 + b'(I) + s'(I) z

(`weight_errors`): the pathwise gradient of the expected loss E_z[L(w'(w, z))], in which errors that depend on the state
push weights to states that err less. Rounding counts as the identity. Cells with outliers, stuck cells, unit columns,
flipped columns and columns of one sign are mapped and programmed as on arrays, and their weights read back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from accuracy.layers.analog_layers import AnalogLayer
from accuracy.layers.gradients import product
from accuracy.mapping.biases import bias_codes
from accuracy.mapping.weights import full_scales
from accuracy.training.weight_errors import weight_errors
from devicekit import Cell


class HeldWeights:
    """What a layer computes with in place of its weights; put into `AnalogLayer.stand_in`.

    Args:
        layer: the layer.

    Attributes:
        matrix: the weights, shape (rows, columns); None before the layer is used.
    """

    def __init__(self, layer: AnalogLayer) -> None:
        self.layer = layer
        self.matrix: Tensor | None = None

    def weights(self) -> Tensor:
        """Return the weights of the layer's next uses, shape (rows, columns): the digital ones."""
        return self.layer.kind.matrix(self.layer.digital)

    def bias(self) -> Tensor | None:
        """Return what is added to each column: the digital biases."""
        return self.layer.kind.bias(self.layer.digital)

    def __call__(self, layer: AnalogLayer, x: Tensor) -> Tensor:
        """Return the layer's output with these weights and inputs clipped to the layer's range."""
        if self.matrix is None:
            self.matrix = self.weights()
        calibration = layer.require_calibration()
        unbatched = x.dim() < layer.least_axes
        own = x.unsqueeze(0) if unbatched else x
        clipped = own.clamp(-calibration.scale if calibration.signed else 0.0, calibration.scale)
        columns = product(layer.sized(x), clipped, self.matrix.to(own.dtype))
        bias = self.bias()
        result = layer.columns_back(columns if bias is None else columns + bias.to(columns.dtype))
        result = torch.relu(result) if layer.relu else result
        return result.squeeze(0) if unbatched else result


class Redrawn(HeldWeights):
    """Weights that go with one set of cells until the next is asked for."""

    def begin(self, sequence: np.random.SeedSequence, age: float | None) -> None:
        """Go on to other cells, drawn when the layer is used next.

        Args:
            sequence: of everything random.
            age: time after programming [s]; None: that of the layer's own cell.
        """
        self._sequence = np.random.SeedSequence(sequence.entropy, spawn_key=(*sequence.spawn_key, self.layer.key))
        self._age = age
        self.matrix = None


class DrawnWeights(Redrawn):
    """Weights that carry the errors of freshly programmed cells.

    Args:
        layer: the layer.
        error_scale: factor on the spread of its cells.
    """

    def __init__(self, layer: AnalogLayer, error_scale: float) -> None:
        super().__init__(layer)
        self._scale = error_scale
        self._key: tuple[Any, ...] | None = None
        self._held = torch.empty(0)
        self._slopes = False
        self.begin(np.random.SeedSequence(0), None)

    def begin(self, sequence: np.random.SeedSequence, age: float | None) -> None:
        """As of every set of cells; biases on the array are drawn with it."""
        super().begin(sequence, age)
        self._bias: Tensor | None = None

    def cell(self) -> Cell | None:
        """Return the cell as it is read in this draw, on a die of its own where dies differ."""
        cell = read_cell(self.layer.cell, self._scale, self._age)
        if cell is not None and cell.spatial is not None and cell.die_deviate is None:
            return cell.on_die(np.random.default_rng(self._sequence))
        return cell

    def weights(self) -> Tensor:
        """Return the weights of this draw."""
        weight = self.layer.kind.matrix(self.layer.digital)
        # Most kinds hold their matrix transposed; everything here goes along memory.
        turned = not weight.is_contiguous() and weight.t().is_contiguous()
        drawn = self._drawn(weight.t() if turned else weight, turned=turned)
        return drawn.t() if turned else drawn

    def bias(self) -> Tensor | None:
        """Return the biases, as drawn where they lie on the array; rounding and errors count as the identity."""
        bias = super().bias()
        if bias is None or not self.layer.design.bias_rows:
            return bias
        if self._bias is None:
            with torch.no_grad():
                self._bias = self._drawn_bias(bias) - bias
        return bias + self._bias

    def _drawn_bias(self, bias: Tensor) -> Tensor:
        layer, calibration = self.layer, self.layer.require_calibration()
        if needs_programming(layer):
            # The arrays hold the cells of this draw: its weights were drawn before.
            return layer.array.programmed_bias(calibration.scale).to(bias)
        step = weight_step(layer, layer.matrix())
        first = (step if step.dim() < 2 else step[0]).expand(bias.shape).cpu().double().numpy()
        values, how = bias.detach().cpu().double().numpy(), (calibration.scale, calibration.signed)
        codes, _, drive = bias_codes(values, first, layer.design, *how)
        errors = weight_errors(layer.design, self.cell())
        index = codes + errors.largest
        deviates = np.random.default_rng(self._sequence.spawn(1)[0]).standard_normal(codes.shape)
        held = (codes + errors.mean[index] + errors.spread[index] * deviates).sum(axis=0)
        return torch.from_numpy(held * first * (drive * calibration.scale)).to(bias)

    def _drawn(self, weight: Tensor, *, turned: bool) -> Tensor:
        with torch.no_grad():
            step = weight_step(self.layer, weight.t() if turned else weight)
            if turned and step.dim():
                step = step[:, None] if step.dim() == 1 else step.t()
            integers = torch.round(weight / step)
            cell = self.cell()
            table = self._table(cell, weight)
            largest = self.layer.design.weight_code.largest
            index = integers.to(torch.int32).clamp_(-largest, largest).add_(largest)
            mean, spread, mean_slope, spread_slope = (
                column.reshape(weight.shape) for column in table.index_select(0, index.reshape(-1)).unbind(1)
            )
            if needs_programming(self.layer):
                value = self._programmed(cell, integers)
                value = value.t() if turned else value
                deviates = (value / step - integers - mean) / spread
                deviates = torch.where(spread > 0, deviates, 0.0)
            else:
                generator = torch.Generator(weight.device)
                generator.manual_seed(int(self._sequence.generate_state(1, np.uint64)[0] >> np.uint64(1)))
                deviates = torch.randn(weight.shape, generator=generator, device=weight.device, dtype=weight.dtype)
                value = torch.addcmul(mean, spread, deviates).add_(integers).mul_(step)
            slope = None
            if self._slopes:
                slope = torch.addcmul(mean_slope, spread_slope, deviates).add_(1.0)
        drawn: Tensor = Drawn.apply(weight, value, slope)  # type: ignore[no-untyped-call]
        return drawn

    def _table(self, cell: Cell | None, like: Tensor) -> Tensor:
        """Mean, spread and their slopes of each integer, shape (integers, 4); worked out anew for another cell."""
        key = (self._age, None if cell is None else cell.die_deviate, self.layer.cell, like.dtype, like.device)
        if key != self._key:
            errors = weight_errors(self.layer.design, cell)
            columns = [errors.mean, errors.spread, errors.mean_slope, errors.spread_slope]
            self._held = torch.from_numpy(np.stack(columns, axis=1)).to(like.device, like.dtype)
            self._slopes = bool(errors.mean_slope.any() or errors.spread_slope.any())
            self._key = key
        return self._held

    def _programmed(self, cell: Cell | None, like: Tensor) -> Tensor:
        """Map and program the weights as on arrays; return what the cells stand for."""
        layer = self.layer
        layer.synchronize()
        layer.array.cell = cell
        layer.array.program(np.random.default_rng(self._sequence))
        return layer.array.programmed_weights().to(like)


class Drawn(torch.autograd.Function):
    """Weights as drawn, with the gradient that the digital weights have through them."""

    @staticmethod
    def forward(context: Any, weight: Tensor, value: Tensor, slope: Tensor | None) -> Tensor:
        """Return the value; the slope is its derivative with respect to the weight, None for 1."""
        context.save_for_backward(slope)
        return value

    @staticmethod
    def backward(context: Any, *gradients: Any) -> Any:
        """Return the gradient of the weight."""
        (slope,) = context.saved_tensors
        return (gradients[0] if slope is None else gradients[0] * slope), None, None


def read_cell(cell: Cell | None, error_scale: float, age: float | None) -> Cell | None:
    """Return a cell at another age and with spreads of another size.

    Args:
        cell: as it is read.
        error_scale: factor on its spread.
        age: time after programming [s]; None: as it is.
    """
    if cell is None:
        return None
    aged = cell if age is None else cell.at(time=age)
    return replace(aged, error_scale=aged.error_scale * error_scale)


def needs_programming(layer: AnalogLayer) -> bool:
    """Whether cells of a layer err in ways that are no normal error of each weight by itself."""
    design, cell = layer.design, layer.cell
    code = design.weight_code
    special = code.unit_column or code.one_sign or design.flipped_encoding
    return bool(special or layer.array.physics.faults is not None or (cell is not None and cell.tail is not None))


def weight_step(layer: AnalogLayer, weight: Tensor) -> Tensor:
    """Return the value of one weight integer, shape (), (columns,) or (rows, columns), as the mapping works it out.

    Args:
        layer: says how.
        weight: shape (rows, columns).
    """
    design = layer.design
    if design.weight_scale == "given":
        given = torch.as_tensor(np.asarray(layer.digital.weight_step, dtype=np.float64)).to(weight)
        return given.reshape(-1) if given.numel() > 1 else given.reshape(())
    if design.weight_scale == "array" or design.bias_rows:
        partitions = layer.array.mapping.partitions
        each = torch.stack([weight[rows].abs().amax(dim=0) for rows in partitions])
        scales = full_scales(each.double().cpu().numpy(), design, layer.bias_reach())
        steps = torch.from_numpy(np.where(scales > 0, scales, 1.0) / design.weight_code.largest).to(weight)
        return torch.cat([own.expand(rows.stop - rows.start, -1) for own, rows in zip(steps, partitions, strict=True)])
    largest = weight.abs().amax(dim=0) if design.weight_scale == "column" else weight.abs().max()
    return torch.where(largest > 0, largest, 1.0) / float(design.weight_code.largest)
