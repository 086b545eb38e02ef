"""Every C kernel on random shapes, for a process in which an access out of bounds or an undefined operation is fatal.

Run by test_sanitized_kernels.py. Shapes are random and small, so that edges (one row, one column, odd numbers, empty
batches, strides, groups, padding) come often; values are compared with plain torch or with Kirchhoff's laws.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import torch

import accuracy
import circuits
import devicekit

CELL = devicekit.load_device("sonos_40nm_tcas2022")
DESIGNS = circuits.load_designs("xiao2022")


def bit_lines(rng: np.random.Generator) -> None:
    rows, columns, batch = int(rng.integers(1, 70)), int(rng.integers(1, 40)), int(rng.integers(0, 9))
    cells = rng.random((rows, columns)) ** 3
    active = rng.random((batch, rows)) < rng.random()
    r = float(10 ** rng.uniform(-9, 0)) if rng.random() < 0.9 else 0.0
    ground = float(10 ** rng.uniform(-6, 2)) if rng.random() < 0.5 else 0.0
    for dtype in (np.float32, np.float64):
        for cell in ("resistor", "affine", "relinearised"):
            got = circuits.solve_bit_lines(cells.astype(dtype), active, r, cell, r_in_hat=ground)
            assert got.shape == (batch, columns)
            assert np.isfinite(got).all()
            if cell == "resistor":
                straight = active.astype(float) @ cells
                assert (got <= straight * (1 + 1e-5) + 1e-9).all()
        digits = rng.integers(0, 256, (batch, rows)).astype(np.uint8)
        summed = circuits.solve_bit_serial(cells.astype(dtype), digits, r, 8, 2.0 ** np.arange(8), r_in_hat=ground)
        assert summed.shape == (batch, columns)


def matrices(rng: np.random.Generator) -> None:
    rows, columns, batch = int(rng.integers(1, 200)), int(rng.integers(1, 50)), int(rng.integers(1, 9))
    weight, signed = rng.normal(size=(rows, columns)), bool(rng.integers(2))
    design = DESIGNS[str(rng.choice(list(DESIGNS)))]
    if rng.random() < 0.3:
        design = design.replace(r_p_hat=1e-4)
    matrix = accuracy.AnalogMatrix(weight, design, CELL, adc_range="full", seed=1)
    x = torch.from_numpy(rng.uniform(-1 if signed else 0, 1, (batch, rows)))
    for dtype in (torch.float64, torch.float32):
        assert torch.isfinite(matrix.matmul(x.to(dtype), signed=signed)).all()


def networks(rng: np.random.Generator) -> None:
    torch.manual_seed(int(rng.integers(2**31)))
    groups = int(rng.choice([1, 1, 2, 3]))
    inner, outer = groups * int(rng.integers(1, 6)), groups * int(rng.integers(1, 6))
    kernel, stride = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    padding, dilation = int(rng.integers(0, kernel)), int(rng.integers(1, 3))
    side = int(rng.integers(dilation * (kernel - 1) + 1, 14))
    layer = torch.nn.Conv2d(inner, outer, kernel, stride, padding, dilation, groups)
    network = torch.nn.Sequential(layer, torch.nn.BatchNorm2d(outer), torch.nn.ReLU()).eval()
    design = DESIGNS[str(rng.choice(list(DESIGNS)))]
    x = torch.rand(int(rng.integers(1, 5)), inner, side, int(rng.integers(dilation * (kernel - 1) + 1, 14)))
    core = circuits.Core(design, cell=CELL)
    if design.name in "ABCDE" and rng.integers(2):
        core = core.replace(peripherals="sized")
    model = accuracy.calibrate(accuracy.convert(network, core), [(x, torch.zeros(len(x)).long())])
    with torch.no_grad():
        assert model(x).shape == network(x).shape
        assert torch.isfinite(model(x)).all()


class Residual(torch.nn.Module):
    """A convolution whose kernel adds the other path of a block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = (torch.nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.second(torch.relu(self.first(x))) + x)


def residuals(rng: np.random.Generator) -> None:
    torch.manual_seed(int(rng.integers(2**31)))
    channels, side = int(rng.integers(1, 40)), int(rng.integers(1, 12))
    x = torch.rand(int(rng.integers(1, 5)), channels, side, int(rng.integers(1, 12)))
    design = DESIGNS[str(rng.choice(["A", "B", "C", "D", "E"]))]
    model = accuracy.convert(Residual(channels).eval(), design, CELL)
    accuracy.calibrate(model, [(x, torch.zeros(len(x)).long())])
    with torch.inference_mode():
        for _ in range(2):
            assert model(x).shape == x.shape
            assert torch.isfinite(model(x)).all()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for number in range(int(sys.argv[1])):
        torch.set_num_threads(1 + number % 3)
        for check in (bit_lines, matrices, networks, residuals):
            check(np.random.default_rng([number, len(check.__name__)]))
    # A package's kernels are compiled together: those that ran are those that are loaded.
    maps = Path("/proc/self/maps").read_text().split()
    libraries = {Path(word).stem.rpartition("-")[0] for word in maps if "/devicekit/" in word and word.endswith(".so")}
    print("done", *sorted(libraries))
