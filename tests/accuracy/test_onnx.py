"""Networks from ONNX files: the same numbers as the network exported, every stored matrix analog, or refused."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from accuracy import NetworkError, calibrate, convert, coverage, networks
from accuracy.networks import onnx_file
from reports.command import main
from reports.study import Study
from tests.accuracy.small_networks import design

# onnx2torch slices by lists.
pytestmark = pytest.mark.filterwarnings("ignore:Using a non-tuple sequence for multidimensional indexing:UserWarning")
DRAW = np.random.default_rng(0)


@pytest.fixture
def onnx() -> Any:
    try:
        onnx_file._package("onnx2torch")
    except NetworkError as error:
        pytest.skip(f"no onnx2torch: {error}")
    return onnx_file._package("onnx")


def numbers(*shape: int) -> np.ndarray[Any, Any]:
    return DRAW.normal(size=shape).astype(np.float32)


def written(onnx: Any, path: Path, nodes: list[Any], x: list[Any], y: list[Any], stored: dict[str, Any]) -> Path:
    """An ONNX file with one input x and one output y of the given axes."""
    helper = onnx.helper
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, "made", [helper.make_tensor_value_info("x", kind, x)], [helper.make_tensor_value_info("y", kind, y)],
        [onnx.numpy_helper.from_array(values, name) for name, values in stored.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def exported(model: nn.Module, x: Tensor, path: Path, opset: int = 17) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (x,), path, dynamo=False, opset_version=opset, input_names=["x"], dynamic_axes={"x": {0: "n"}}
        )
    return path


@pytest.mark.slow
def test_products_with_stored_matrices_are_layers_of_their_nodes(onnx: Any, tmp_path: Path) -> None:
    """Also where the matrix is written transposed, or as a copy; in numpy the same is two lines."""
    node = onnx.helper.make_node
    w1, w2, w3, b = numbers(6, 8), numbers(5, 8), numbers(3, 5), numbers(8)
    nodes = [
        node("MatMul", ["x", "w1"], ["h1"], name="first"),
        node("Add", ["h1", "b"], ["h2"]),
        node("Relu", ["h2"], ["h3"]),
        node("Transpose", ["w2"], ["w2t"], perm=[1, 0]),
        node("MatMul", ["h3", "w2t"], ["h4"], name="block.second"),
        node("Identity", ["w3"], ["w3c"]),
        node("Gemm", ["h4", "w3c"], ["y"], name="third", transB=1, alpha=0.5),
    ]
    path = written(onnx, tmp_path / "made.onnx", nodes, ["n", 6], ["n", 3], {"w1": w1, "w2": w2, "w3": w3, "b": b})
    model, x = networks.load(str(path)), numbers(4, 6)
    wanted = 0.5 * (np.maximum(x @ w1 + b, 0) @ w2.T) @ w3.T
    with torch.no_grad():
        np.testing.assert_allclose(model(torch.from_numpy(x)).numpy(), wanted, rtol=1e-5, atol=1e-6)
    converted = calibrate(convert(model, design("A")), [(torch.from_numpy(x), None)])
    table = coverage(converted).table
    assert table["analog"].all()
    assert dict(zip(table["name"], table["weights"], strict=True)) == {"first": 48, "block/second": 40, "third": 15}


@pytest.mark.slow
def test_other_products_with_stored_numbers_are_lifted(onnx: Any, tmp_path: Path) -> None:
    node = onnx.helper.make_node
    left, stack = numbers(3, 4), numbers(2, 6, 5)
    nodes = [node("MatMul", ["left", "x"], ["h"]), node("MatMul", ["h", "stack"], ["y"])]
    path = written(onnx, tmp_path / "made.onnx", nodes, [2, 4, 6], [2, 3, 5], {"left": left, "stack": stack})
    model, x = networks.load(str(path)), numbers(2, 4, 6)
    converted = calibrate(convert(model, design("A")), [(torch.from_numpy(x), None)])
    table = coverage(converted).table
    assert table["analog"].all()
    assert sorted(table["weights"]) == [12, 30, 30]


class Attending(nn.Module):
    """Look-up, an attention block and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 11)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(self.embed(x)))


@pytest.mark.slow
@pytest.mark.parametrize("opset", [14, 18, 20])
@pytest.mark.parametrize("name", ["digits_cnn", "resnet20_cifar10", "mobilenet_v2", "attending"])
def test_an_exported_network_is_the_same_network(name: str, opset: int, onnx: Any, tmp_path: Path) -> None:
    shapes = {"digits_cnn": (1, 8, 8), "resnet20_cifar10": (3, 32, 32), "mobilenet_v2": (3, 64, 64)}
    if name == "attending":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            original, x = Attending().eval(), torch.randint(0, 11, (3, 5))
    else:
        original = networks.load(name, None if name == "digits_cnn" else "random")
        x = torch.rand(3, *shapes[name], generator=torch.Generator().manual_seed(0))
    model = networks.load(str(exported(original, x[:1], tmp_path / "network.onnx", opset)))
    with torch.no_grad():
        torch.testing.assert_close(model(x), original(x), rtol=1e-4, atol=1e-5)
    converted = calibrate(convert(model, design("A")), [(x, None)])
    own = coverage(calibrate(convert(original, design("A")), [(x, None)]))
    found = coverage(converted)
    assert found.analog_macs == pytest.approx(own.analog_macs)
    assert found.analog_weights == pytest.approx(own.analog_weights)
    if name == "attending":
        # Exporters write the projections of queries, keys and values as one matrix.
        assert sorted(found.table["weights"][found.table["analog"]]) == [64, 88, 128, 128, 192]
    else:
        assert sorted(found.table["weights"]) == sorted(own.table["weights"])


@pytest.mark.slow
def test_from_one_command(onnx: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = exported(networks.load("digits_cnn"), torch.rand(1, 1, 8, 8), tmp_path / "mine.onnx")
    words = ["accuracy", "A", "--data-set", "digits", "--device", "ideal", "--trials", "1", "--images", "100", "--json"]
    found = []
    for name in (str(path), "digits_cnn"):
        with pytest.raises(SystemExit) as stopped:
            main([*words, "--network", name])
        assert stopped.value.code in (0, None)
        found.append(json.loads(capsys.readouterr().out))
    ours, own = (document["designs"][0] for document in found)
    assert ours["baseline"] == own["baseline"]
    assert ours["mean"] == pytest.approx(own["mean"], abs=0.02), "codes may round the other way"
    assert found[0]["coverage"]["analog_weights"] == 1.0


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(x)[0]


@pytest.mark.slow
def test_what_cannot_be_read_is_refused_by_name(onnx: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NetworkError, match=r"does not read these operators of the network: LSTM\."):
        networks.load(str(exported(Recurrent().eval(), torch.rand(3, 1, 4), tmp_path / "lstm.onnx")))
    whole = exported(networks.load("digits_cnn"), torch.rand(1, 1, 8, 8), tmp_path / "whole.onnx").read_bytes()
    for number, text in enumerate((whole[: len(whole) // 2], b"", b"no network", whole[:200] + whole[300:])):
        (tmp_path / f"{number}.onnx").write_bytes(text)
        with pytest.raises(NetworkError, match=rf"{number}\.onnx"):
            networks.load(str(tmp_path / f"{number}.onnx"))
    # A translation that computes something else is found out.
    layers = onnx_file._linear

    def doubled(model: Any) -> Any:
        found = layers(model)
        with torch.no_grad():
            next(found.parameters()).mul_(2)
        return found

    monkeypatch.setattr(onnx_file, "_linear", doubled)
    with pytest.raises(NetworkError, match=r"output '.*' is off from ONNX's reference evaluator by"):
        networks.load(str(tmp_path / "whole.onnx"))


def test_files_that_are_not_there_and_weights_beside_one_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NetworkError, match=r"Expected an ONNX file at .*none\.onnx, but there is none"):
        networks.load(str(tmp_path / "none.onnx"))
    with pytest.raises(NetworkError, match=r"holds its own weights; leave `weights`"):
        networks.load("mine.onnx", "random")
    with pytest.raises(NetworkError, match=r"Say which data set \(--data-set\) the network 'mine\.onnx' reads"):
        networks.data_set("mine.onnx")
    (tmp_path / "mine.onnx").touch()
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(NetworkError, match=r"read by the package onnx2torch: pip install 'devicekit\[onnx\]'"):
        networks.load(str(tmp_path / "mine.onnx"))


def test_a_study_finds_its_onnx_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "mine.onnx").touch()
    (tmp_path / "study.toml").write_text('network = "mine.onnx"\ndata_set = "digits"\n')
    found = Study.load(tmp_path / "study.toml")
    assert found.network == str(tmp_path.resolve() / "mine.onnx")
    assert found.network_name == "mine"
