"""What layers compute while a network is trained: floats, drawn weights, or programmed arrays; set for a while."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase

import numpy as np
from torch import nn

from accuracy.layers.analog_layers import AnalogLayer
from accuracy.layers.layer_state import Mode
from accuracy.layers.modes import layer_mode
from accuracy.training.drawn_weights import DrawnWeights, read_cell
from accuracy.training.errors import TrainingError
from accuracy.training.quantisers import QuantisedWeights, require_bits, require_drawable
from accuracy.training.settings import Training
from devicekit.common.errors import unknown_name


class Forward:
    """The forward pass of a training.

    Args:
        layers: the analog layers of the network.
        settings: which are noisy, and how.

    Attributes:
        chosen: layers that the settings name.

    Raises:
        TrainingError: a pattern that matches no layer, or an age of ideal cells.
    """

    def __init__(self, layers: Sequence[AnalogLayer], settings: Training) -> None:
        names = [layer.name for layer in layers]
        for pattern in settings.layers:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise TrainingError(unknown_name("layer or pattern", pattern, names))
        self._all, self._settings = list(layers), settings
        self.chosen = [layer for layer in layers if any(fnmatchcase(layer.name, own) for own in settings.layers)]
        self._noisy = [] if settings.noise == "none" else self.chosen
        if settings.age is not None and any(layer.cell is None for layer in self._noisy):
            raise TrainingError("Ideal cells do not age: leave out `age`, or give the core a cell.")
        drawn = self._noisy if settings.noise == "weights" and settings.weight_bits is None else []
        self._drawn = {layer: DrawnWeights(layer, settings.error_scale) for layer in drawn}
        self._quantised: dict[AnalogLayer, QuantisedWeights] = {}
        if settings.weight_bits is not None:
            for layer in layers:
                bits = _bits(settings, at_edge=layer in (layers[0], layers[-1]))
                require_bits(layer, *bits)
                if layer in self._noisy:
                    require_drawable(layer)
            for layer in layers:
                bits = _bits(settings, at_edge=layer in (layers[0], layers[-1]))
                pact = settings.activation_quantiser == "pact"
                noise = settings.error_scale if layer in self._noisy else None
                self._quantised[layer] = QuantisedWeights(layer, *bits, pact=pact, error_scale=noise)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Let the layers compute so, and set them back; the arrays hold the present weights afterwards."""
        digital = [layer for layer in self._all if self._settings.noise != "arrays" or layer not in self._noisy]
        with layer_mode(self._all, Mode.ANALOG), layer_mode(digital, Mode.FLOAT):
            for layer, weights in (*self._drawn.items(), *self._quantised.items()):
                layer.stand_in = weights
            try:
                yield
            finally:
                for layer in self._all:
                    layer.stand_in = None
                    layer.synchronize()

    def begin(self, *key: int) -> None:
        """Go on to the cells that a key stands for: those of a step and draw, or of a validation.

        Args:
            *key: the same key gives the same cells.
        """
        settings = self._settings
        sequence = np.random.SeedSequence(settings.seed, spawn_key=(7002, *key))
        age = None
        if settings.age is not None:
            ends = np.log1p(settings.age)
            age = float(np.expm1(np.random.default_rng(sequence).uniform(*ends)))
        for weights in self._drawn.values():
            weights.begin(sequence, age)
        for quantised in self._quantised.values():
            quantised.keep_positive()
            quantised.begin(sequence, age)
        if settings.noise == "arrays":
            for layer in self._noisy:
                layer.synchronize()
                layer.array.cell = read_cell(layer.cell, settings.error_scale, age)
                own = np.random.SeedSequence(settings.seed, spawn_key=(7002, *key, layer.key))
                layer.array.program(np.random.default_rng(own))

    def learned_steps(self) -> list[nn.Parameter]:
        """Return the steps of quantisers that are learned."""
        return [step for quantised in self._quantised.values() for step in quantised.steps()]

    def export(self) -> None:
        """Give layers that were trained to a few bits their integers, and designs that hold them."""
        for quantised in self._quantised.values():
            quantised.export()

    def close(self) -> None:
        """Leave nothing of the training on the layers."""
        for quantised in self._quantised.values():
            quantised.remove_steps()


def _bits(settings: Training, *, at_edge: bool) -> tuple[int | None, int | None]:
    """Bits of the weights and inputs of a layer."""
    weights, inputs = settings.weight_bits, settings.activation_bits
    if not at_edge:
        return weights, inputs
    return (
        None if weights is None else settings.edge_bits,
        None if inputs is None else settings.edge_bits,
    )
