"""A PyTorch network of your own on analog cores: convert, calibrate, evaluate, and what an inference costs."""

import torch
from torch import nn

import accuracy
import devicekit
from circuits import load_design
from energy import estimate_network


def make_network() -> nn.Module:
    """Return a small network for 8 x 8 digits; any module that torch can trace will do."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 10)
    )


torch.manual_seed(0)
digits = accuracy.data_sets.load("digits")
inputs, labels = digits.tensors("train")
network = make_network()
optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
for _ in range(60):
    optimiser.zero_grad()
    nn.functional.cross_entropy(network(inputs), labels).backward()
    optimiser.step()
network.eval()

cell = devicekit.load_device("sonos_40nm_tcas2022")
training, test = digits.batches("calibration", limit=200), digits.batches("test")
shapes = accuracy.layer_shapes(network, inputs[:1])
for name in ("A", "C", "D"):
    design = load_design(name)
    analog = accuracy.calibrate(accuracy.convert(network, design, cell, seed=0), training)
    found = accuracy.evaluate(analog, test, trials=5, seed=0)
    cost = estimate_network(shapes, design, cell=cell)
    print(
        f"design {name}: float {found.baseline:.1%}, ideal cells {found.ideal:.1%}, "
        f"SONOS {found.mean:.1%} +- {found.std:.1%}; "
        f"an inference takes {1e3 * cost.value('energy_gated_uj'):.0f} nJ and {cost.value('latency_us'):.1f} us "
        f"on {cost.value('cores'):.0f} cores"
    )
