"""Knowledge distillation: the digital network as it was shows its trained copy what to answer.

Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", arXiv 1503.02531: with q and p the softmax of
the logits of teacher and student, each divided by the temperature T, the term is ``T^2 sum q log(q / p)``. Regressions
take the mean squared difference of outputs, binary outputs the cross entropy with the teacher's probability.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from accuracy.batches import Batch
from accuracy.layer_kinds import copy_model
from accuracy.layers.convert import analog_layers
from accuracy.layers.layer_state import Mode
from accuracy.training.errors import TrainingError
from accuracy.training.losses import SOFT, Loss


class Teacher:
    """A converted network before its training, computed digitally.

    Args:
        model: the network.
        loss: of the training, by name.
        temperature: of the logits.

    Raises:
        TrainingError: a loss without a name, whose outputs nobody knows how to compare.
    """

    def __init__(self, model: nn.Module, loss: Loss | str, temperature: float) -> None:
        if not isinstance(loss, str):
            raise TrainingError(
                f"`distillation` compares outputs as the loss does, one of {', '.join(SOFT)}; leave it out with a "
                "loss of your own."
            )
        self._model, self._term, self._temperature = copy_model(model).requires_grad_(False), SOFT[loss], temperature
        for layer in analog_layers(self._model):
            layer.mode = Mode.FLOAT

    def outputs(self, batch: Batch) -> Any:
        """Return what the teacher gives for a batch."""
        with torch.no_grad():
            return batch.run(self._model)

    def loss(self, batch: Batch, outputs: Any, targets: Any) -> Tensor:
        """Return how far outputs are from the teacher's, shape ().

        Args:
            batch: of examples.
            outputs: of the network that is trained.
            targets: of the teacher, from `outputs`.
        """
        return self._term(outputs, targets, batch.labels, self._temperature)
