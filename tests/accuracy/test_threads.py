"""A whole evaluation over several threads: the same numbers for any number of them, whoever calls, after a fork too."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from accuracy import analog_layers, calibrate, convert
from accuracy.arrays.patches import windows
from accuracy.calibration.calibrate import calibration_report
from accuracy.kernels import elementwise
from accuracy.kernels.histograms import Histogram
from accuracy.layers.programming import program_layers
from accuracy.mapping.operators import Geometry
from circuits import CoreDesign, load_designs

needs_c = pytest.mark.skipif(not elementwise.available(), reason="no compiler: the C kernels are not there")


def designs() -> dict[str, CoreDesign]:
    published = load_designs("xiao2022")
    return {name: published[name] for name in "ABCDE"} | {"wires": published["A"].replace(r_p_hat=1e-4)}


@cache
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 20, 3, padding=1), nn.ReLU(), nn.Conv2d(20, 9, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(225, 10)
    ).eval()


def images() -> torch.Tensor:
    return torch.rand(24, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def converted() -> dict[str, nn.Module]:
    """The network on all designs, calibrated."""
    data = [(images(), torch.zeros(24))]
    return {
        name: calibrate(convert(network(), design, "sonos_40nm_tcas2022", seed=2), data)
        for name, design in designs().items()
    }


def outputs(models: dict[str, nn.Module]) -> dict[str, tuple[bytes, str]]:
    """What they give, and their ranges."""
    with torch.no_grad():
        return {
            name: (model(images()).numpy().tobytes(), repr(calibration_report(model))) for name, model in models.items()
        }


@pytest.fixture
def set_threads() -> Iterator[object]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@needs_c
def test_no_number_of_threads_changes_a_network(set_threads) -> None:  # type: ignore[no-untyped-def]
    found = []
    for count in (1, 2, 3):
        set_threads(count)
        found.append(outputs(converted()))
    assert found[0] == found[1] == found[2]


@needs_c
def test_networks_in_several_threads_at_once(set_threads) -> None:  # type: ignore[no-untyped-def]
    set_threads(2)
    models = converted()
    expected, copies = outputs(models), [copy.deepcopy(models) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        assert all(found == expected for found in pool.map(outputs, copies))


FORKED = """
import importlib.util, os, sys
import torch
torch.set_num_threads(2)
torch.rand(1000, 1000) @ torch.rand(1000, 1000)
# By path: packages that are installed may bring a package `tests`.
spec = importlib.util.spec_from_file_location("threads", "tests/accuracy/test_threads.py")
threads = importlib.util.module_from_spec(spec)
sys.modules["threads"] = threads
spec.loader.exec_module(threads)
converted, outputs = threads.converted, threads.outputs
expected = outputs(converted())
child = os.fork()
if child == 0:
    torch.set_num_threads(1)  # torch's own threads do not survive a fork
    one = outputs(converted())
    torch.get_num_threads = lambda: 2
    os._exit(0 if one == outputs(converted()) == expected else 1)
assert os.waitpid(child, 0)[1] == 0
assert outputs(converted()) == expected
print("done")
"""


@needs_c
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_networks_in_a_forked_process() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", FORKED],
        env=environment,
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-2000:]


def test_no_number_of_threads_changes_programmed_cells(set_threads) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(3)
    wide = nn.Sequential(nn.Linear(300, 200), nn.ReLU(), nn.Linear(200, 300), nn.ReLU(), nn.Linear(300, 9)).eval()
    layers = analog_layers(convert(wide, "A", "sonos_40nm_tcas2022", seed=2))
    found = []
    for count in (1, 2, 3):
        set_threads(count)
        program_layers(layers, 5, 7, draw_cell=True)
        found.append([layer.array.conductances.tobytes() for layer in layers])
    assert found[0] == found[1] == found[2]
    layers[0].program(5, 7, draw_cell=True)
    assert layers[0].array.conductances.tobytes() == found[0][0]


@needs_c
def test_histograms_and_windows_are_those_of_one_thread(set_threads) -> None:  # type: ignore[no-untyped-def]
    values = torch.randn(3, 700_000, generator=torch.Generator().manual_seed(2))
    x = np.random.default_rng(3).integers(0, 256, (9, 20, 23, 22)).astype(np.uint8)
    found = []
    for count in (1, 2, 3):
        set_threads(count)
        histogram = Histogram()
        for side in ("positive", "negative", "magnitude"):
            histogram.add(values, side)
        rows = windows(Geometry((3, 3), (2, 1), (1, 0)), x, slice(4, 150))
        found.append((histogram.counts, histogram.largest, histogram.zeros, rows))
    assert found[0][0].sum() + found[0][2] == 3 * values.numel()
    for other in found[1:]:
        assert all(np.array_equal(one, two) for one, two in zip(found[0], other, strict=True))
