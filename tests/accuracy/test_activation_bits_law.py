"""Published law 6: networks trained for 4-bit activations are more resilient than with 8 bits. Here it does not show.

Xiao et al., IEEE Circuits and Systems Magazine 22(4), 2022, found it on ResNet-50, 50 layers deep, whose 4-bit training
took all of ImageNet; the errors that few activation bits keep from growing are those that many layers pass on. The
bundled network has four layers. What is pinned is that its 4-bit form is neither better nor worse by much, so that
nobody reads the law into it.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from accuracy import analog_layers, calibrate, convert, data_sets, evaluate, networks
from circuits import CoreDesign
from devicekit import Cell, StateIndependent, StateProportional

pytestmark = pytest.mark.slow


class StraightRound(torch.autograd.Function):
    """Rounds, and passes gradients as if it did not."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.round(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class Levels(nn.Module):
    """A rectifier with 2^bits levels from 0 to a top."""

    def __init__(self, bits: int, top: float) -> None:
        super().__init__()
        self.steps, self.top = 2**bits - 1, top

    def forward(self, x: Tensor) -> Tensor:
        scaled = torch.clamp(x / self.top, 0.0, 1.0) * self.steps
        rounded = StraightRound.apply(scaled) if self.training else torch.round(scaled)
        return rounded / self.steps * self.top


class QuantisedDigits(nn.Module):
    """The bundled network, batch norm folded, with so many levels before every matrix."""

    def __init__(self, bits: int, clip: float, x: Tensor) -> None:
        super().__init__()
        folded = convert(networks.load("digits_cnn"), CoreDesign())
        self.conv1, self.conv2, self.conv3, self.fc = (layer.digital for layer in analog_layers(folded))
        first = torch.relu(self.conv1(x))
        second = torch.relu(self.conv2(first))
        third = torch.relu(self.conv3(F.max_pool2d(second, 2)))
        tops = [1.0, *(clip * float(v.max()) for v in (first, second, third, third.mean(dim=(2, 3))))]
        self.levels = nn.ModuleList(Levels(bits, top) for top in tops)

    def forward(self, x: Tensor) -> Tensor:
        x = self.levels[1](self.conv1(self.levels[0](x)))
        x = F.max_pool2d(self.levels[2](self.conv2(x)), 2)
        x = self.levels[3](self.conv3(x)).mean(dim=(2, 3))
        return self.fc(self.levels[4](x))


def trained(bits: int, clip: float) -> nn.Module:
    """Ten epochs for its levels, from the bundled weights."""
    x, labels = data_sets.load("digits").tensors("train")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        with torch.no_grad():
            network = QuantisedDigits(bits, clip, x)
        network.requires_grad_(True).train()
        optimiser = torch.optim.Adam(network.parameters(), 1e-3)
        for _ in range(10):
            for chosen in torch.randperm(len(x)).split(50):
                optimiser.zero_grad()
                F.cross_entropy(network(x[chosen]), labels[chosen], label_smoothing=0.05).backward()
                optimiser.step()
    return network.eval()


def test_four_activation_bits_make_four_layers_no_more_resilient() -> None:
    data = data_sets.load("digits")
    training, test = list(data.batches("calibration", 100)), list(data.batches("test", 100))
    forms = {8: trained(8, 1.0), 4: trained(4, 0.6)}
    for error in (StateIndependent(0.1), StateProportional(0.2)):
        found = {}
        for bits, network in forms.items():
            design = CoreDesign(input_bits=bits, adc_bits=None)
            model = convert(network, design, Cell(error=error, i_max=1.6e-6, on_off_ratio=1e7))
            found[bits] = evaluate(calibrate(model, training), test, trials=10)
            assert found[bits].ideal > 0.97
        print(f"{error}: " + ", ".join(f"{bits} bits {one.mean:.3f} +- {one.std:.3f}" for bits, one in found.items()))
        assert found[4].device_loss == pytest.approx(found[8].device_loss, abs=0.06)
