"""Train the bundled digits network; write its weights and the card beside them.

Run from the project's root: ``python scripts/train_digits_cnn.py`` (about a minute on one core). Seeded and
single-threaded: the same version of torch on the same kind of processor gives the same weights.
The test images are looked at once, after training, for the card; nothing is chosen by them.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import tomli_w
import torch
from safetensors.torch import save_file
from torch import nn

import accuracy.data_sets
import accuracy.networks
from devicekit.common.paths import replacing

OUTPUT = Path(__file__).resolve().parent.parent / "data" / "networks"
EPOCHS, BATCH, RATE, DECAY, SMOOTHING = 60, 50, 2e-3, 1e-3, 0.05


def shifted(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Return images (batch, 1, 8, 8) moved as a batch by up to one pixel each way, zeros entering."""
    dy, dx = (int(step) for step in rng.integers(-1, 2, 2))
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    return padded[:, :, 1 + dy : 9 + dy, 1 + dx : 9 + dx]


def train(seed: int) -> nn.Module:
    """Return the trained network, in inference mode."""
    model = accuracy.networks.load("digits_cnn", weights="random", seed=seed).train()
    inputs, labels = accuracy.data_sets.load("digits").tensors("train")
    rng = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    steps = EPOCHS * math.ceil(len(labels) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for _ in range(EPOCHS):
        for chosen in torch.from_numpy(rng.permutation(len(labels))).split(BATCH):
            optimiser.zero_grad()
            logits = model(shifted(inputs[chosen], rng))
            nn.functional.cross_entropy(logits, labels[chosen], label_smoothing=SMOOTHING).backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def correct(model: nn.Module, part: str) -> tuple[int, int]:
    """Return how many images of a part the network gets right, and of how many."""
    inputs, labels = accuracy.data_sets.load("digits").tensors(part)
    with torch.inference_mode():
        return int((model(inputs).argmax(1) == labels).sum()), len(labels)


def main() -> None:
    """Train, then write ``digits_cnn.safetensors`` and ``digits_cnn.toml``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = train(arguments.seed)
    card: dict[str, object] = {
        "name": "digits_cnn",
        "description": "three 3 x 3 convolutions with batch norm (25, 32, 32 channels) and a linear classifier",
        "data_set": "digits",
        "matrix_rows": [9, 225, 288, 32],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "made_by": "scripts/train_digits_cnn.py",
        "training": (
            f"seed {arguments.seed}, {EPOCHS} epochs, batch {BATCH}, AdamW, one-cycle rate {RATE}, weight decay "
            f"{DECAY}, label smoothing {SMOOTHING}, shifts of up to one pixel; last epoch, nothing selected"
        ),
        "versions": {"torch": torch.__version__.split("+")[0]},
    }
    for part in ("train", "validation", "test"):
        right, images = correct(model, part)
        card[part] = {"images": images, "correct": right, "accuracy": round(right / images, 6)}
        print(f"{part}: {right}/{images} = {100 * right / images:.2f} %")
    with replacing(arguments.output / "digits_cnn.safetensors") as path:
        save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    with replacing(arguments.output / "digits_cnn.toml") as path:
        path.write_text(tomli_w.dumps(card))


if __name__ == "__main__":
    main()
