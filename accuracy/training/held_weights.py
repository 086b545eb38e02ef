"""What is done to weights after a step of the optimiser: limits by layer, and a moving average over steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from accuracy.layers.analog_layers import AnalogLayer
from accuracy.training.errors import TrainingError


class WeightLimits:
    """Weights within so many root mean squares of their layer.

    The scale of a layer is set by its largest weight, and a cell's error falls relative to its current the more the
    current is, so that weights without far outliers err less.

    Args:
        layers: whose weights are limited.
        factor: the limit at last, in root mean squares.

    Raises:
        TrainingError: a layer whose weights are not a parameter as they are.
    """

    def __init__(self, layers: Sequence[AnalogLayer], factor: float) -> None:
        self._held: list[tuple[nn.Parameter, float]] = []
        self._factor = factor
        for layer in layers:
            bias, matrix = layer.kind.bias(layer.digital), layer.matrix()
            own = [one for one in layer.digital.parameters() if one is not bias and one.numel() == matrix.numel()]
            if len(own) != 1:
                raise TrainingError(
                    f"`weight_clip` cannot limit the weights of the layer {layer.name!r}, which are no parameter of "
                    "its own; name the others with `layers`."
                )
            self._held.append((own[0], float(own[0].detach().abs().max() / _size(own[0]))))

    def apply(self, done: float) -> None:
        """Clip the weights.

        Args:
            done: share of all steps that are done; limits come down in the first half.
        """
        along = min(2.0 * done, 1.0)
        with torch.no_grad():
            for weight, first in self._held:
                factor = self._factor + max(first - self._factor, 0.0) * (1.0 - along)
                limit = factor * _size(weight)
                weight.clamp_(-limit, limit)


def _size(weight: Tensor) -> Tensor:
    """Root mean square, shape ()."""
    return weight.detach().square().mean().sqrt().clamp_(min=torch.finfo(weight.dtype).tiny)


class MovingAverage:
    """A moving average of parameters over steps.

    Args:
        parameters: averaged ones.
        share: of the past, at last.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], share: float) -> None:
        self._parameters, self._share = list(parameters), share
        self.values = [parameter.detach().clone() for parameter in parameters]

    def add(self, step: int) -> None:
        """Take in the parameters after a step.

        Args:
            step: how many were taken.
        """
        # The start is not to weigh on the average for long.
        share = min(self._share, (1.0 + step) / (10.0 + step))
        for value, parameter in zip(self.values, self._parameters, strict=True):
            value.lerp_(parameter.detach(), 1.0 - share)

    @contextmanager
    def used(self) -> Iterator[None]:
        """Let the parameters be their averages for a while."""
        before = [parameter.detach().clone() for parameter in self._parameters]
        self._set(self.values)
        try:
            yield
        finally:
            self._set(before)

    def _set(self, values: Sequence[Tensor]) -> None:
        with torch.no_grad():
            for parameter, value in zip(self._parameters, values, strict=True):
                parameter.copy_(value)
