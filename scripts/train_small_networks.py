"""Train the bundled networks for MNIST and Fashion-MNIST; write their weights and cards.

Run from the project's root: ``python scripts/train_small_networks.py DATA`` where DATA holds ``mnist/`` and
``fashion_mnist/`` (the usual gzip files), ``--only NAME`` for one of them; a few minutes on one core. Seeded; another
device may sum in another order, so weights repeat exactly only on the same kind of device. The last 5000 training
images are held out for validation; the test images are looked at once, after training, for the card.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import tomli_w
import torch
from safetensors.torch import save_file
from torch import nn

import accuracy.data_sets
import accuracy.networks
from accuracy import calibrate, convert
from accuracy.networks.weights import codes_metadata
from accuracy.training import Training
from accuracy.training import train as train_on_cells
from circuits import CoreDesign
from devicekit import load_device
from devicekit.common.paths import replacing

OUTPUT = Path(__file__).resolve().parent.parent / "data" / "networks"
VALIDATION, BATCH, RATE, DECAY = 5000, 100, 2e-3, 1e-2


@dataclass(frozen=True)
class Recipe:
    """How one network is trained.

    Attributes:
        network: its name.
        epochs: passes over the training images.
        shift: largest random shift of a batch [pixels].
        mirror: whether batches are mirrored at random.
        cell: device whose errors the weights carry in a second training, to few bits; empty for none.
        few_bits: that training.
        examples: training images of it.
    """

    network: str
    epochs: int
    shift: int
    mirror: bool
    cell: str = ""
    few_bits: Training | None = None
    examples: int = 0

    @property
    def words(self) -> str:
        """What the card says of the second training."""
        if not self.cell:
            return ""
        own = self.few_bits
        assert own is not None
        return (
            f"; then {own.epochs} epochs on {self.examples} images at rate {own.learning_rate} with drawn errors of "
            f"{self.cell}, {own.weight_bits}-bit weights, {own.activation_bits}-bit inputs of layers, {own.edge_bits} "
            "bits both in the first and the last"
        )


RECIPES = (
    Recipe("lenet5_mnist", 6, 2, False),
    Recipe("cnn6_fashion_mnist", 4, 1, True),
    Recipe(
        "cnn7_mnist",
        4,
        1,
        False,
        cell="reram_wan2022",
        few_bits=Training(epochs=3, learning_rate=5e-4, weight_bits=4, activation_bits=3, edge_bits=4, validation=0),
        examples=15000,
    ),
    Recipe("mlp64_mnist", 6, 0, False),
)


def augmented(images: torch.Tensor, recipe: Recipe, generator: torch.Generator) -> torch.Tensor:
    """Return images (batch, 1, 28, 28), each quarter of the batch shifted (and mirrored) in its own way."""
    parts = []
    for part in images.chunk(4):
        dy, dx, mirror = (int(torch.randint(0, n, (), generator=generator)) for n in (*(2 * recipe.shift + 1,) * 2, 2))
        padded = nn.functional.pad(part, (recipe.shift,) * 4)[:, :, dy : dy + 28, dx : dx + 28]
        parts.append(padded.flip(3) if recipe.mirror and mirror else padded)
    return torch.cat(parts)


def train(recipe: Recipe, inputs: torch.Tensor, labels: torch.Tensor, seed: int) -> nn.Module:
    """Return the trained network, in inference mode on the device of the inputs."""
    model = accuracy.networks.load(recipe.network, weights="random", seed=seed).train().to(inputs.device)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    steps = recipe.epochs * math.ceil(len(labels) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for epoch in range(recipe.epochs):
        for chosen in torch.randperm(len(labels), generator=generator).split(BATCH):
            optimiser.zero_grad()
            logits = model(augmented(inputs[chosen], recipe, generator))
            nn.functional.cross_entropy(logits, labels[chosen], label_smoothing=0.05).backward()
            optimiser.step()
            schedule.step()
        print(f"{recipe.network}: epoch {epoch + 1} of {recipe.epochs}", flush=True)
    return model.eval()


def on_cells(model: nn.Module, recipe: Recipe, inputs: torch.Tensor, labels: torch.Tensor, seed: int) -> nn.Module:
    """Return the network trained further to few bits, with weights as on cells drawn anew in every step."""
    examples = [(inputs[: recipe.examples].cpu(), labels[: recipe.examples].cpu())]
    converted = convert(model.cpu(), CoreDesign(), load_device(recipe.cell), seed=seed)
    assert recipe.few_bits is not None
    settings = recipe.few_bits.model_copy(update={"seed": seed})
    return train_on_cells(calibrate(converted, examples), examples, settings).network()


def score(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> dict[str, object]:
    """Return how many images the network gets right."""
    with torch.inference_mode():
        right = sum(
            int((model(part).argmax(1) == wanted).sum())
            for part, wanted in zip(inputs.split(500), labels.split(500), strict=True)
        )
    return {"images": len(labels), "correct": right, "accuracy": round(right / len(labels), 6)}


def main() -> None:
    """Train each, then write ``NAME.safetensors`` and ``NAME.toml``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--only", choices=[recipe.network for recipe in RECIPES])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for recipe in RECIPES:
        if arguments.only not in (None, recipe.network):
            continue
        name = accuracy.networks.data_set(recipe.network)
        data = accuracy.data_sets.load(name, arguments.data)
        inputs, labels = (tensor.to(arguments.device) for tensor in data.tensors("train"))
        model = train(recipe, inputs[:-VALIDATION], labels[:-VALIDATION], arguments.seed)
        if recipe.cell:
            model = on_cells(model, recipe, inputs, labels, arguments.seed)
            inputs, labels = inputs.cpu(), labels.cpu()
        validation = score(model, inputs[-VALIDATION:], labels[-VALIDATION:])
        model = model.cpu()
        card: dict[str, object] = {
            "name": recipe.network,
            "description": accuracy.networks.describe(recipe.network),
            "data_set": name,
            "matrix_rows": [layer.rows for layer in accuracy.layer_shapes(model, inputs[:1].cpu())],
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "made_by": "scripts/train_small_networks.py",
            "training": (
                f"seed {arguments.seed}, {recipe.epochs} epochs, batch {BATCH}, AdamW, one-cycle rate {RATE}, weight "
                f"decay {DECAY}, label smoothing 0.05, shifts of up to {recipe.shift} pixels"
                f"{', mirrored' if recipe.mirror else ''}{recipe.words}; last epoch, nothing selected; "
                f"on {arguments.device}"
            ),
            "versions": {"torch": torch.__version__.split("+")[0]},
            "train": {"images": len(labels) - VALIDATION},
            "validation": validation,
            "test": score(model, *data.test),
        }
        print(f"{recipe.network}: validation {validation}, test {card['test']}")
        with replacing(arguments.output / f"{recipe.network}.safetensors") as path:
            state = {key: value.contiguous() for key, value in model.state_dict().items()}
            save_file(state, path, metadata=codes_metadata(model) or None)
        with replacing(arguments.output / f"{recipe.network}.toml") as path:
            path.write_text(tomli_w.dumps(card))


if __name__ == "__main__":
    main()
