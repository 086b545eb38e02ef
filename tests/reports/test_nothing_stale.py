"""A run into a folder of an earlier one shows what a run into an empty folder shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from accuracy import data_sets, networks
from accuracy.data_sets.preprocessing import Scale
from reports import cache
from reports.cache import code_hash
from reports.run import compute
from reports.study import Study

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(64, 32)
        self.act = nn.ReLU()
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x.flatten(1))))


def net():
    model = Net()
    return model
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the network with ReLU, trained for a moment on the digits."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "net.py").write_text(NET)
    model = networks.load(f"{folder / 'net.py'}:net").train()
    inputs, labels = data_sets.load("digits").calibration
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(40):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), labels).backward()
        optimiser.step()
    save_file(model.state_dict(), folder / "weights.safetensors")
    return folder / "weights.safetensors"


def accuracies(study: Study, folder: Path) -> Any:
    """Return all that the network's part of a study shows."""
    result = compute(study, folder)
    return [design["accuracy"] for design in result.designs]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("nn.ReLU()", "nn.Sigmoid()"),
        ("self.act(self.fc1(x.flatten(1)))", "self.act(-self.fc1(x.flatten(1)))"),
        ("return model", "model.act.forward = torch.neg\n    return model"),
    ],
)
def test_an_edited_network(tmp_path: Path, weights: Path, old: str, new: str) -> None:
    study = Study(
        network=f"{tmp_path / 'net.py'}:net", weights=weights, data_set="digits", designs=("A",), trials=2, images=200,
        calibration_images=50,
    )  # fmt: skip
    (tmp_path / "net.py").write_text(NET)
    first = accuracies(study, tmp_path / "out")
    assert first[0]["baseline"] > 0.8
    (tmp_path / "net.py").write_text(NET.replace(old, new))
    second = accuracies(study, tmp_path / "out")
    assert second == accuracies(study, tmp_path / "other")
    assert second[0]["mean"] != first[0]["mean"]


def test_another_data_set_of_the_same_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = data_sets.load("digits")
    raw = data_sets.DataSet("digits_raw", "", digits.classes, Scale(divisor=160.0), digits.readers)
    monkeypatch.setitem(data_sets._BUNDLED, "digits_raw", lambda: raw)
    study = Study(designs=("A",), trials=2, images=200, calibration_images=50)
    changed = study.model_copy(update={"data_set": "digits_raw"})
    first = accuracies(study, tmp_path / "out")
    second = accuracies(changed, tmp_path / "out")
    assert second == accuracies(changed, tmp_path / "other")
    assert second != first


def test_every_source_of_ours_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "a_room_of_ours"
    (package / "inner").mkdir(parents=True)
    for name in ("__init__.py", "inner/kernel.c", "inner/kernel.h", "inner/note.txt"):
        (package / name).write_text("// 1\n" if "kernel" in name else "")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(cache, "ROOMS", ("a_room_of_ours",))

    def now() -> str:
        code_hash.cache_clear()
        return code_hash()

    first = now()
    (package / "inner" / "note.txt").write_text("2")
    assert now() == first
    for name in ("__init__.py", "inner/kernel.c", "inner/kernel.h"):
        before = now()
        (package / name).write_text("// 2\n" if "kernel" in name else "x = 2\n")
        assert now() != before
    code_hash.cache_clear()
