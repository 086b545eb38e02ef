"""What a network computes: the hash changes with anything that changes the outputs, and with nothing else."""

from __future__ import annotations

import copy
import subprocess
import sys
import types
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import accuracy
from accuracy import data_sets
from accuracy.data_sets.preprocessing import IMAGENET, RAW
from reports.evaluation_key import network_fingerprint
from reports.fingerprint import fingerprint

OWN = Path(accuracy.__file__).parent.parent


def module_of(text: str, name: str = "made_here") -> types.ModuleType:
    """Return a module made of a text without a file, as in a notebook."""
    module = types.ModuleType(name)
    exec(text, vars(module))
    return module


BASE = """
import math
SCALE = 2.0
def helper(x):
    return x * SCALE
def outer(x):
    return helper(x) + math.pi
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SCALE = 2.0", "SCALE = 2.5"),
        ("x * SCALE", "x + SCALE"),
        ("math.pi", "math.e"),
        ("helper(x) +", "helper(-x) +"),
    ],
)
def test_code_without_a_file_counts_by_what_it_reaches(old: str, new: str) -> None:
    first, again, other = (module_of(text) for text in (BASE, BASE, BASE.replace(old, new)))
    assert fingerprint(first.outer) == fingerprint(again.outer)
    assert fingerprint(first.outer) != fingerprint(other.outer)


def test_what_a_function_does_not_reach_does_not_count() -> None:
    more = BASE.replace("import math", "# a comment\n\nimport math") + "\ndef another(x):\n    return 7\n"
    assert fingerprint(module_of(BASE).outer) == fingerprint(module_of(more).outer)


def _closure(value: float) -> Callable[[float], float]:
    return lambda x: x * value


class _Slotted:
    __slots__ = ("value",)

    def __init__(self, value: float) -> None:
        self.value = value


class _Callable:
    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, x: float) -> float:
        return x * self.value

    def twice(self, x: float) -> float:
        return 2 * x * self.value


def _scaled(x: float, by: float) -> float:
    return x * by


def _hooked(value: float) -> nn.Module:
    layer = nn.Linear(2, 2)
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    layer.register_forward_hook(partial(_hook, value))
    return layer


def _hook(value: float, module: nn.Module, inputs: Any, outputs: torch.Tensor) -> torch.Tensor:
    return outputs * value


class _Buffered(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(value), persistent=False)


class _Attribute(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.scale = value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale


def _loop(value: float) -> list[Any]:
    found: list[Any] = [value]
    found.append(found)
    return found


@pytest.mark.parametrize(
    "make",
    [
        _closure, _Slotted, _Callable, _hooked, _Buffered, _Attribute, _loop,
        lambda value: partial(_scaled, by=value),
        lambda value: _Callable(value).twice,
        lambda value: {"a": {value, 1.5, "x"}},
        lambda value: np.array([value, {"a": 1}], dtype=object),
        lambda value: torch.tensor([value], dtype=torch.bfloat16),
        lambda value: torch.tensor(value).to_sparse(),
        lambda value: nn.Sequential(nn.LeakyReLU(value)),
        lambda value: torch.fx.symbolic_trace(nn.Sequential(nn.Hardtanh(-value, value))),
        lambda value: lru_cache(maxsize=None)(_closure(value)),
        lambda value: torch.nn.utils.parametrize.register_parametrization(_hooked(1.0), "weight", _Attribute(value)),
    ],
)  # fmt: skip
def test_every_way_to_hold_a_value(make: Callable[[float], Any]) -> None:
    first, again, other = (fingerprint(make(value)) for value in (2.0, 2.0, 3.0))
    assert first == again
    assert first != other


PROGRAM = """
import sys
from accuracy import data_sets, networks
from reports.evaluation_key import network_fingerprint
print(network_fingerprint(networks.load(sys.argv[1]), data_sets.load("digits")))
"""


def fresh_process(name: str, threads: int = 1) -> str:
    """Return the hash of a network as a process of its own finds it."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, name], capture_output=True, text=True, check=True, cwd=OWN,
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": str(threads)},
    )  # fmt: skip
    return done.stdout.strip()


NETWORK = """
import torch
from torch import nn

from helpers.activation import squash

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        import lazy
        return lazy.finish(squash(self.fc(x.flatten(1))))

def net():
    torch.manual_seed(3)
    return Net()
"""


def test_the_same_in_every_process_until_a_helper_is_edited(tmp_path: Path) -> None:
    (tmp_path / "helpers").mkdir()
    (tmp_path / "helpers" / "__init__.py").write_text("")
    activation, lazy = tmp_path / "helpers" / "activation.py", tmp_path / "lazy.py"
    activation.write_text(
        "import torch\n\nSLOPE = {'x': 1.0}\n\ndef squash(x):\n    return torch.relu(SLOPE['x'] * x)\n"
    )
    # It differs on no test image, so that the outputs do not tell.
    lazy.write_text("def finish(x):\n    return x if x.abs().max() < 1e6 else 0 * x\n")
    (tmp_path / "net.py").write_text(NETWORK)
    name = f"{tmp_path / 'net.py'}:net"
    first = fresh_process(name)
    # The second time the helpers come from compiled files.
    assert fresh_process(name, threads=2) == first
    lazy.write_text("def finish(x):\n    return x if x.abs().max() < 1e6 else 2 * x + 1\n")
    second = fresh_process(name)
    assert second != first
    activation.write_text(activation.read_text().replace("1.0", "1.25"))
    assert fresh_process(name) not in (first, second)


def test_the_outputs_tell_what_code_cannot(tmp_path: Path) -> None:
    # A file that the network reads when it runs stands for a compiled extension: no source shows it.
    gain = tmp_path / "gain.txt"

    class Reads(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :10] * float(gain.read_text())

    digits = data_sets.load("digits")
    gain.write_text("1.0")
    first, again = network_fingerprint(Reads(), digits), network_fingerprint(Reads(), digits)
    gain.write_text("1.000001")
    assert first == again
    assert network_fingerprint(Reads(), digits) != first


def test_a_network_that_takes_float32_only() -> None:
    class Strict(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.dtype != torch.float32:
                raise TypeError("float32 only")
            return x.flatten(1)[:, :10]

    digits = data_sets.load("digits")
    assert network_fingerprint(Strict(), digits) == network_fingerprint(copy.deepcopy(Strict()), digits)


def test_the_same_pixels_otherwise_labelled_or_preprocessed_are_other_data() -> None:
    digits = data_sets.load("digits")

    def data(**changes: Any) -> data_sets.DataSet:
        fields = {"name": "digits", "description": "", "classes": digits.classes, "preprocess": digits.preprocess,
                  "readers": digits.readers} | changes  # fmt: skip
        return data_sets.DataSet(**fields)

    def relabelled() -> data_sets.Images:
        images = digits.images("test")
        labels = images.labels.copy()
        labels[-1] = (labels[-1] + 1) % 10
        return data_sets.Images(images.pixels, labels)

    model = accuracy.networks.load("digits_cnn")
    found = [
        network_fingerprint(model, data(**changes))
        for changes in (
            {}, {"description": "other words"}, {"name": "other"}, {"preprocess": RAW},
            {"classes": digits.classes[::-1]}, {"readers": {**digits.readers, "test": relabelled}},
        )
    ]  # fmt: skip
    assert found[0] == found[1]
    assert len(set(found)) == 5
    assert fingerprint(IMAGENET) != fingerprint(RAW)


def _chain(length: int, end: int) -> list[object]:
    chain: list[object] = [end]
    for _ in range(length):
        chain = [chain]
    return chain


class _Member:
    """One of a set that it knows itself."""

    def __init__(self, club: set[object], value: int) -> None:
        self.club, self.value = club, value
        club.add(self)


def _club(*values: int) -> set[object]:
    club: set[object] = set()
    for value in values:
        _Member(club, value)
    return club


def test_deep_objects_and_sets_that_lead_back_to_themselves_are_told_apart() -> None:
    assert fingerprint(_chain(5000, 1)) == fingerprint(_chain(5000, 1)) != fingerprint(_chain(5000, 2))
    assert fingerprint(_club(1, 2, 3)) == fingerprint(_club(3, 1, 2)) != fingerprint(_club(1, 2, 4))
