"""Networks of the user's own: a function in a module or a file, with or without weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import accuracy
from accuracy.networks import NetworkError

SOURCE = """
import torch

def network():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))

def nothing():
    return None
"""


def test_a_function_in_a_file_with_and_without_weights(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SOURCE)
    name = f"{tmp_path / 'mine.py'}:network"
    first, again, other = (accuracy.networks.load(name, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first[1].weight, again[1].weight)
    assert not torch.equal(first[1].weight, other[1].weight)
    assert not first.training
    save_file(other.state_dict(), tmp_path / "w.safetensors")
    assert torch.equal(accuracy.networks.load(name, tmp_path / "w.safetensors")[1].weight, other[1].weight)
    assert name in accuracy.networks.describe(name)


def test_a_function_in_a_module_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "module_of_mine.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    assert accuracy.networks.load("module_of_mine:network")(torch.zeros(1, 1, 8, 8)).shape == (1, 10)


def test_an_importable_class_without_arguments() -> None:
    model = accuracy.networks.load("accuracy.networks.digits_cnn:DigitsCNN")
    assert type(model).__name__ == "DigitsCNN"


def test_named_errors(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SOURCE)
    for name, match in (
        (f"{tmp_path / 'mine.py'}:netwrk", "Unknown function of .*mine.py 'netwrk'. Did you mean 'network'"),
        (f"{tmp_path / 'mine.py'}:nothing", "to return a torch.nn.Module, but got NoneType"),
        (f"{tmp_path / 'absent.py'}:network", "Expected a Python file at .*absent.py, but there is none"),
        ("no_such_module_here:network", "module 'no_such_module_here' of the network cannot be imported"),
        (":network", "as module:function or file.py:function, but got ':network'"),
    ):
        with pytest.raises(NetworkError, match=match):
            accuracy.networks.load(name)
    with pytest.raises(NetworkError, match=r"Say which data set .* the network 'a:b' reads"):
        accuracy.networks.data_set("a:b")
    with pytest.raises(NetworkError, match="of your own is given as module:function"):
        accuracy.networks.load("something")
