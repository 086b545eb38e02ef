"""The state of a training in a file, whole or not at all, from which it goes on to the same weights, bit for bit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from accuracy.training.errors import TrainingError
from accuracy.training.settings import Training
from devicekit.common.foreign import reading
from devicekit.common.paths import is_file, replacing

_FORMAT = "devicekit-training-1"


def start_mark(model: nn.Module, settings: Training, loss: str, steps: int) -> str:
    """Return what tells a training from another one: its start, settings, loss and number of steps.

    Args:
        model: before training.
        settings: of the training.
        loss: its name.
        steps: in an epoch.
    """
    digest = hashlib.sha256(json.dumps([settings.model_dump(), loss, steps, torch.__version__]).encode())
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        if isinstance(value, Tensor):
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()


def save_checkpoint(path: Path, mark: str, state: dict[str, Any]) -> None:
    """Write the state of a training."""
    with replacing(path) as temporary:
        torch.save({"format": _FORMAT, "mark": mark, **state}, temporary)


def read_checkpoint(path: Path, mark: str) -> dict[str, Any] | None:
    """Return the state of the same training; None where there is no file.

    Raises:
        TrainingError: no readable checkpoint, or one of another training.
    """
    if not is_file(path):
        return None
    with reading(path, TrainingError, "a checkpoint of a training"):
        state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise TrainingError(f"{path}: expected a checkpoint of a training.")
    if state["mark"] != mark:
        raise TrainingError(
            f"{path} is the checkpoint of another training (other settings, weights, ranges, data or version of "
            "torch): remove it, or choose another place."
        )
    return state
