"""Training images turned and moved, so that few of them serve for many epochs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from accuracy.batches import Batch
from accuracy.training.errors import TrainingError
from accuracy.training.settings import Training


def augmented(batch: Batch, settings: Training, step: int) -> Batch:
    """Return a batch whose images are turned and moved as the settings say, by what seed and step fix.

    Args:
        batch: of images (images, channels, height, width).
        settings: `mirror` and `shift`.
        step: number of the step.

    Raises:
        TrainingError: inputs that are no images.
    """
    if not (settings.mirror or settings.shift):
        return batch
    if len(batch.tensors) != 1 or batch.main.dim() != 4:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in batch.tensors)
        raise TrainingError(
            "`mirror` and `shift` are for images (images, channels, height, width), but the inputs have shape "
            f"{shapes}."
        )
    draw = np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=(7005, step)))
    return batch.mapped(lambda images: _moved(_turned(images, draw, settings), draw, settings.shift))


def _turned(images: Tensor, draw: np.random.Generator, settings: Training) -> Tensor:
    if not settings.mirror:
        return images
    turned = torch.from_numpy(draw.random(len(images)) < 0.5).to(images.device)
    return torch.where(turned[:, None, None, None], images.flip(-1), images)


def _moved(images: Tensor, draw: np.random.Generator, shift: int) -> Tensor:
    if not shift:
        return images
    height, width = images.shape[-2:]
    wide = functional.pad(images, (shift,) * 4, mode="replicate")
    places = draw.integers(0, 2 * shift + 1, (len(images), 2)).tolist()
    return torch.stack(
        [image[:, top : top + height, left : left + width] for image, (top, left) in zip(wide, places, strict=True)]
    )
