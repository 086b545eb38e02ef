"""Mixed precision: products of a training in fewer bits, where weights, loss and optimiser keep theirs."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from accuracy.batches import model_device
from accuracy.training.errors import TrainingError


class Precision:
    """What a forward pass computes in.

    Args:
        model: the network.
        name: ``"float32"`` (everything as it is) or ``"bfloat16"``.

    Raises:
        TrainingError: a device that has no such products, or a network that is not of 32 bits, whose products torch
            would leave as they are.
    """

    def __init__(self, model: nn.Module, name: str) -> None:
        self._mixed, self._device = name == "bfloat16", model_device(model).type
        if not self._mixed:
            return
        kinds = {parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()}
        if kinds - {torch.float32}:
            found = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
            raise TrainingError(
                f"`precision` 'bfloat16' is for networks of float32, but this one has {found}: leave it out."
            )
        there = torch.amp.is_autocast_available(self._device)
        if not there or (self._device == "cuda" and not torch.cuda.is_bf16_supported()):
            raise TrainingError(f"The device {self._device!r} has no products in bfloat16: leave `precision` out.")

    def context(self) -> AbstractContextManager[Any]:
        """Return what a forward pass runs in."""
        return torch.autocast(self._device, torch.bfloat16) if self._mixed else nullcontext()

    def widened(self, outputs: Any) -> Any:
        """Return outputs in 32 bits, in whatever form they come, for the loss."""
        if not self._mixed:
            return outputs
        return torch.utils._pytree.tree_map_only(Tensor, _widened, outputs)


def _widened(values: Tensor) -> Tensor:
    return values.float() if values.dtype == torch.bfloat16 else values
