"""Files of the user's own as networks: classes, helpers beside them, other processes, and what goes wrong in them."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import accuracy
from accuracy.batches import Batch
from accuracy.networks import NetworkError
from accuracy.own_code import loaded_files
from circuits import load_design
from devicekit import load_device

CLASSES = """
from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import torch
from torch import nn


class Kind(Enum):
    RELU = "relu"


class Size(NamedTuple):
    inputs: int
    outputs: int


@dataclass
class Settings:
    size: Size
    kind: Kind = Kind.RELU
    more: list[int] = field(default_factory=list)


class Block(nn.Module):
    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.fc = nn.Linear(*settings.size)

    def forward(self, x):
        return torch.relu(self.fc(x.flatten(1)))


def make_network():
    return Block(pickle.loads(pickle.dumps(Settings(Size(64, 10)))))


if __name__ == "__main__":
    raise SystemExit("run as a script")
"""


@pytest.fixture(autouse=True)
def _as_found(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if not name.startswith(("torch", "devicekit_own_")):
            del sys.modules[name]


def write(folder: Path, **files: str) -> None:
    """Write files; two underscores stand for a folder."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_classes_of_the_file_are_found_again(tmp_path: Path) -> None:
    write(tmp_path, mymodels=CLASSES)
    model = accuracy.networks.load(f"{tmp_path / 'mymodels.py'}:make_network")
    again = pickle.loads(pickle.dumps(model))
    assert again.settings == model.settings
    assert type(again) is type(model)
    inputs = torch.rand(3, 1, 8, 8)
    assert torch.equal(again(inputs), model(inputs))
    # A second look at an unchanged file gives the same classes, so that models from before stay usable.
    assert type(accuracy.networks.load(f"{tmp_path / 'mymodels.py'}:make_network")) is type(model)


def test_an_edited_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    for kind in ("ReLU", "SELU"):
        path.write_text(f"from torch import nn\n\ndef net():\n    return nn.Sequential(nn.{kind}())\n")
        assert type(accuracy.networks.load(f"{path}:net")[0]).__name__ == kind


@pytest.mark.parametrize("form", ["file", "module"])
def test_trials_in_other_processes_know_the_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    write(tmp_path, mymodels_elsewhere=CLASSES)
    monkeypatch.chdir(tmp_path)
    name = "mymodels_elsewhere.py:make_network" if form == "file" else "mymodels_elsewhere:make_network"
    model = accuracy.convert(accuracy.networks.load(name), load_design("A"), load_device("sonos_40nm_tcas2022"))
    digits = accuracy.data_sets.load("digits")
    accuracy.calibrate(model, digits.batches("calibration", 100, 100))
    one, two = (
        accuracy.evaluate(model, digits.batches("test", 100, 100), trials=2, workers=workers) for workers in (1, 2)
    )
    np.testing.assert_array_equal(one.per_trial, two.per_trial)


@pytest.mark.parametrize("name", ["random", "torch", "json", "numpy", "devicekit", "my models", "net.v2", "class"])
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text(CLASSES)
    model = accuracy.networks.load(f"{tmp_path / name}.py:make_network")
    assert model(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
    assert type(pickle.loads(pickle.dumps(model))) is type(model)
    import json
    import random

    assert hasattr(json, "dumps")
    assert hasattr(random, "Random")


RELATIVE = """
from {place} import size

def net():
    import torch
    from {place} import size as later
    assert later is size
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, size()))
"""
HELPER = "def size():\n    return 10\n"


@pytest.mark.parametrize(
    ("files", "main"),
    [
        ({"net": RELATIVE.format(place="sizes_helper"), "sizes_helper": HELPER}, "net.py"),
        ({"net": RELATIVE.format(place=".sizes_helper"), "sizes_helper": HELPER}, "net.py"),
        (
            {"zoo/__init__": "", "zoo/nets/__init__": "", "zoo/nets/net": RELATIVE.format(place="..common.sizes"),
             "zoo/common/__init__": "", "zoo/common/sizes": HELPER},
            "zoo/nets/net.py",
        ),
        (
            {"zoo_b/__init__": "", "zoo_b/net": RELATIVE.format(place="zoo_b.sizes"), "zoo_b/sizes": HELPER},
            "zoo_b/net.py",
        ),
        (
            {"zoo_c/__init__": RELATIVE.format(place=".sizes"), "zoo_c/sizes": HELPER},
            "zoo_c/__init__.py",
        ),
    ],
    ids=["beside", "beside, relative", "package, relative", "package, absolute", "package itself"],
)  # fmt: skip
def test_helpers_beside_the_file(tmp_path: Path, files: dict[str, str], main: str) -> None:
    for name, text in files.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert accuracy.networks.load(f"{tmp_path / main}:net")[1].out_features == 10


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("def net():\n    return 1 / 0\n", 2, "ZeroDivisionError: division by zero"),
        ("def net(size):\n    return None\n", None, "TypeError: .*missing 1 required positional argument: 'size'"),
        ("import no_such_module_anywhere\n", 1, "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("from .no_such_helper import f\n", 1, "ModuleNotFoundError: No module named 'devicekit_own_.*no_such_helper'"),
        ("x = 1\ndef net(:\n    pass\n", 2, "SyntaxError: invalid syntax"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit: 3"),
        ("def net():\n    raise SystemExit\n", 2, "SystemExit"),
        (
            "def net():\n    return helper()\ndef helper():\n    raise ValueError('a\\nb' * 400)\n",
            4,
            "ValueError: a .*ba b",
        ),
        ("def net():\n    net()\n", 2, "RecursionError"),
        ("import torch\ndef net():\n    return torch.nn.Linear(-1, 'a')\n", 3, "TypeError"),
        ("\0", None, "source code string cannot contain null bytes"),
    ],
)
def test_what_the_users_code_raises_is_one_message_with_its_place(
    tmp_path: Path, text: str, line: int | None, said: str
) -> None:
    path = tmp_path / "faulty.py"
    path.write_text(text)
    before = loaded_files()
    with pytest.raises(NetworkError, match=said) as caught:
        accuracy.networks.load(f"{path}:net")
    assert len(str(caught.value)) <= 1000
    if line is not None:
        assert f"faulty.py:{line}: " in str(caught.value)
        if "def net()" not in text:
            assert loaded_files() == before


def test_a_file_that_cannot_be_loaded_leaves_the_former_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(CLASSES)
    model = accuracy.networks.load(f"{path}:make_network")
    path.write_text("1 / 0\n")
    with pytest.raises(NetworkError, match=r"mine.py:1: ZeroDivisionError"):
        accuracy.networks.load(f"{path}:make_network")
    assert type(pickle.loads(pickle.dumps(model))) is type(model)


def test_a_network_that_cannot_run_on_the_images(tmp_path: Path) -> None:
    path = tmp_path / "wide.py"
    path.write_text(
        "from torch import nn\n\nclass Wide(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.fc = nn.Linear(3072, 10)\n    def forward(self, x):\n        return self.fc(x.flatten(1))\n"
    )
    name = f"{path}:Wide"
    model = accuracy.networks.load(name)
    with pytest.raises(NetworkError, match=r"cannot run on inputs of shape \(2, 1, 8, 8\): .*wide.py:8: RuntimeError"):
        accuracy.networks.try_out(name, model, Batch((torch.zeros(2, 1, 8, 8),), {}))
    own = accuracy.networks.load("resnet20_cifar10", "random")
    with pytest.raises(NetworkError, match="'resnet20_cifar10' cannot run on inputs of shape"):
        accuracy.networks.try_out("resnet20_cifar10", own, Batch((torch.zeros(2, 1, 8, 8),), {}))
