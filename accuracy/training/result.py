"""What a training gave: the network, the course of its losses, and the original with the trained weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from accuracy.training.settings import Training
from accuracy.training.write_back import trained_original
from devicekit.common.plain import PlainValues, plain_dict


@dataclass(frozen=True)
class Epoch(PlainValues):
    """Losses after one epoch.

    Attributes:
        number: of the epoch; 0 is the network as it was.
        training_loss: mean over its steps, with their cells; None before the first.
        validation_loss: on the cells of the validation; None without validation examples.
    """

    number: int
    training_loss: float | None
    validation_loss: float | None


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """A trained network.

    Attributes:
        model: the converted network, trained, programmed and calibrated.
        settings: how it was trained.
        history: losses, epoch by epoch, before training first.
        best_epoch: whose weights the network has; 0 where training made nothing better.
        stopped_early: whether it ended because the validation loss no longer fell.
    """

    model: nn.Module
    settings: Training
    history: tuple[Epoch, ...]
    best_epoch: int
    stopped_early: bool
    original: nn.Module | None

    def network(self) -> nn.Module:
        """Return the original network with the trained weights, batch norms and all.

        Raises:
            TrainingError: layers that conversion rewrote, whose weights have no place in the original.
        """
        return trained_original(self.original, self.model)

    def to_dict(self) -> dict[str, Any]:
        """Return settings and course as plain values."""
        return plain_dict(
            {
                "settings": self.settings,
                "history": self.history,
                "best_epoch": self.best_epoch,
                "stopped_early": self.stopped_early,
            }
        )
