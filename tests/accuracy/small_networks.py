"""Small networks, data and designs that the tests of the evaluator share."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from circuits import CoreDesign, load_design


class SmallNet(nn.Module):
    """Two convolutions with batch norm, a residual sum and a classifier; input (batch, 3, 6, 6)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = torch.relu(x + self.bn2(self.conv2(x)))
        return self.fc(x.mean(dim=(2, 3)))


def small_network(seed: int = 0) -> SmallNet:
    """A network with batch norms that are not trivial."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SmallNet()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0.0, 0.3)
                module.running_var.uniform_(0.5, 2.0)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0.0, 0.3)
        model.eval()
        # Logits centred and spread, so that all four classes occur and decisions are close.
        with torch.no_grad():
            logits = model(torch.rand(256, 3, 6, 6))
            model.fc.weight /= logits.std(dim=0)[:, None]
            model.fc.bias.copy_((model.fc.bias - logits.mean(dim=0)) / logits.std(dim=0))
    return model


@functools.cache
def _labelled(images: int, seed: int) -> tuple[Tensor, Tensor]:
    inputs = torch.rand(images, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return inputs, small_network()(inputs).argmax(dim=1)


def small_data(images: int = 96, batch: int = 32, seed: int = 1) -> list[tuple[Tensor, Tensor]]:
    """Batches whose labels are what the small network says, so that its float accuracy is 1."""
    inputs, labels = _labelled(images, seed)
    return list(zip(inputs.split(batch), labels.split(batch), strict=True))


def design(name: str, **changes: object) -> CoreDesign:
    """A reference design, changed."""
    return load_design(name).replace(**changes) if changes else load_design(name)
