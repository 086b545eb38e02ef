"""The user's own data sets: functions, files and arrays, as the command reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from accuracy.data_sets import DataSetError, find, own

X, Y = torch.arange(24.0).reshape(12, 2), torch.arange(12)

CODE = """
import torch
from torch.utils.data import DataLoader, TensorDataset
X, Y = torch.arange(24.0).reshape(12, 2), torch.arange(12)

def pairs():
    return (X, Y), (X[:5], Y[:5])

def mapping():
    return {"train": TensorDataset(X, Y), "test": ({"x": X.numpy(), "m": X.numpy()}, Y.numpy())}

def ready():
    return {"calibration": [(X, None)], "test": DataLoader(TensorDataset(X, Y), batch_size=5)}

def one_part():
    return {"test": (X, Y)}

def arrays():
    return X, Y

def lengths():
    return (X, Y[:3]), (X, Y)
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "mydata.py"
    path.write_text(CODE)
    return str(path)


def seen(batches: Any) -> list[int]:
    return [int(label) for _, labels in batches for label in labels]


def test_functions_of_a_file_give_parts_in_batches(file: str) -> None:
    data = find(f"{file}:pairs")
    assert (data.name, data.size("calibration"), data.size("test")) == ("pairs", 12, 5)
    batches = data.batches("test", 2)
    assert [len(x) for x, _ in batches] == [2, 2, 1]
    assert seen(batches) == seen(batches) == list(range(5))
    assert seen(data.batches("calibration", 5, 7)) == list(range(7))
    data = find(f"{file}:mapping")
    assert seen(data.batches("calibration", 5, 7)) == list(range(7))
    inputs, labels = next(iter(data.batches("test", 4)))
    assert set(inputs) == {"x", "m"}
    assert torch.equal(inputs["x"], X[:4])
    assert torch.equal(labels, Y[:4])
    assert data.fingerprint("test") != data.fingerprint("calibration")
    data = find(f"{file}:ready")
    assert [len(x) for x, _ in data.batches("test")] == [5, 5, 2]
    assert seen(data.batches("test", 100, 6)) == list(range(10)), "whole batches"
    assert data.size("test") == 12


def test_arrays_of_an_npz_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, x_train=X.numpy().astype(float), y_train=Y.numpy(), x_test=X.numpy()[:3], y_test=Y.numpy()[:3])
    data = find(str(path))
    inputs, labels = next(iter(data.batches("calibration", 100)))
    assert inputs.dtype == torch.float32
    assert torch.equal(inputs, X)
    assert torch.equal(labels, Y)
    assert data.size("test") == 3


@pytest.mark.parametrize(
    ("function", "match"),
    [
        ("one_part", "calibration"),
        ("arrays", "returned|return"),
        ("lengths", "first axis"),
        ("lenghts", "Did you mean 'lengths'"),
    ],
)
def test_other_functions_are_refused(file: str, function: str, match: str) -> None:
    with pytest.raises(DataSetError, match=match):
        find(f"{file}:{function}").batches("calibration")


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    with pytest.raises(DataSetError, match="cannot read"):
        find(str(path))
    path.write_bytes(b"not an archive")
    with pytest.raises(DataSetError, match="cannot read"):
        find(str(path))
    np.savez(path, x=X.numpy())
    with pytest.raises(DataSetError, match="expected arrays 'calibration_inputs'"):
        find(str(path))
    np.savez(path, x_train=X.numpy().astype(np.uint8), y_train=Y, x_test=X, y_test=Y)
    with pytest.raises(DataSetError, match="bytes 0 to 255"):
        find(str(path))
    np.savez(path, x_train=np.array([{}]), y_train=Y, x_test=X, y_test=Y)
    with pytest.raises(DataSetError, match="cannot read"):
        find(str(path))
    with pytest.raises(DataSetError, match="Data of your own"):
        find("no_such")
    with pytest.raises(DataSetError, match="one-shot"):
        own.OwnData("x", "", {"test": iter([])}).batches("test")
    loader = DataLoader(TensorDataset(X, Y), batch_size=5)
    with pytest.raises(DataSetError, match="at least 1"):
        own.OwnData("x", "", {"test": loader}).batches("test", 0)
