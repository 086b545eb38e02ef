"""A kind of layer added from outside the package goes through every room; bad ones are refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import accuracy
import energy
from accuracy import (
    ConversionError,
    analog_layers,
    calibrate,
    convert,
    evaluate,
    layer_kinds,
    layer_shapes,
    measure_activity,
)
from accuracy.calibration.corrections import apply_corrections
from accuracy.layer_kinds import registry
from circuits import CoreDesign, LayerShape
from devicekit import Cell, StateIndependent
from tests.accuracy.outside_kinds import Conv1D, Conv1DKind, LowRank, LowRankKind
from tests.accuracy.small_networks import design

CELL = Cell(error=StateIndependent(0.05), i_max=1.6e-6, on_off_ratio=1e4, read_voltage=0.1)


@pytest.fixture(autouse=True)
def _registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the registry as it was."""
    monkeypatch.setattr(registry, "_kinds", dict(registry._kinds))


def network(linear: bool = False) -> nn.Module:
    """Two layers with a batch norm between them; with `linear`, the same numbers in torch's own layers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first, second, norm = Conv1D(64, 48), Conv1D(48, 10), nn.BatchNorm1d(48)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
    layers = [first, second]
    if linear:
        layers = []
        for layer in (first, second):
            own = nn.Linear(*layer.weight.shape)
            own.weight = nn.Parameter(layer.weight.detach().t().contiguous())
            own.bias = layer.bias
            layers.append(own)
    return nn.Sequential(layers[0], norm, nn.ReLU(), layers[1]).eval()


def data() -> list[tuple[torch.Tensor, torch.Tensor]]:
    inputs = torch.randn(96, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return [(inputs, network()(inputs).argmax(dim=1))]


def test_a_layer_of_no_kind_is_known_by_its_product() -> None:
    """No kind says so: batch norm is not folded, the matrices are the same."""
    converted = convert(network(), design("A"))
    assert [(layer.name, layer.array.mapping.rows) for layer in analog_layers(converted)] == [("0", 64), ("3", 48)]
    with pytest.raises(ConversionError, match=r"no layer that can be converted \(linear, convolution, transposed"):
        convert(nn.Sequential(nn.ReLU()), design("A"))


@pytest.mark.parametrize("name", ["A", "D", "E"])
def test_a_matrix_kind_from_outside_is_worth_the_same_as_ours_in_every_room(name: str) -> None:
    accuracy.register_layer_kind(Conv1DKind)
    ours, known, batches = network(), network(linear=True), data()
    models = [calibrate(convert(model, design(name), CELL, seed=2), batches) for model in (ours, known)]
    assert [layer.relu for layer in analog_layers(models[0])] == [True, False], "batch norm folded, ReLU taken over"
    x = batches[0][0]
    found, wanted = (
        evaluate(model, batches, 3, corrections=("drift",), correction_batches=batches) for model in models
    )
    assert (found.scores == wanted.scores).all()
    assert found.baseline == 1.0
    for correction in ("drift", "column_trim", "batch_norm"):
        for model in models:
            apply_corrections(model, analog_layers(model), [correction], batches)
        with torch.no_grad():
            same = models[0](x), models[1](x)
        # Moments are those of the float networks, whose sums torch rounds in another order.
        if correction == "batch_norm":
            torch.testing.assert_close(*same)
        else:
            assert torch.equal(*same), correction
    shapes = layer_shapes(ours, x)
    assert shapes == [
        LayerShape(name="0", rows=64, columns=48, kind="transposed linear", bias=True),
        LayerShape(name="3", rows=48, columns=10, kind="transposed linear", bias=True),
    ]
    costs = [
        energy.estimate_network(layer_shapes(model, x), design(name), measure_activity(converted, batches)).totals
        for model, converted in zip((ours, known), models, strict=True)
    ]
    assert costs[0] == costs[1]
    assert costs[0]["energy_gated_uj"] > 0


def test_a_matrix_kind_from_outside_loses_what_quantisation_takes() -> None:
    accuracy.register_layer_kind(Conv1DKind)
    model, x = network(), data()[0][0]
    with torch.no_grad():
        wanted = model(x)
        errors = []
        for bits in (6, 8, 12):
            own = CoreDesign(weight_bits=bits, bits_per_cell=bits - 1, input_bits=bits, adc_bits=None)
            errors.append(float((calibrate(convert(model, own), data())(x) - wanted).std() / wanted.std()))
    assert errors[0] > 3 * errors[1] > 9 * errors[2] > 0
    assert errors[2] < 5e-3


def test_a_composite_kind_from_outside_is_its_matrices() -> None:
    accuracy.register_layer_kind(LowRankKind)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, x = nn.Sequential(nn.Linear(9, 16), LowRank(16, 3, 5)).eval(), torch.randn(32, 9)
    shapes = layer_shapes(model, x)
    assert [(s.name, s.rows, s.columns, s.kind) for s in shapes] == [
        ("0", 9, 16, "linear"), ("1.0", 16, 3, "low rank"), ("1.2", 3, 5, "low rank"),
    ]  # fmt: skip
    converted = calibrate(convert(model, design("A"), overrides={"1": design("D")}), [(x, None)])
    assert {layer.name: layer.design.name for layer in analog_layers(converted)} == {"0": "A", "1.0": "D", "1.2": "D"}
    with torch.no_grad():
        assert float((converted(x) - model(x)).abs().max()) < 0.05 * float(model(x).abs().max())
    whole = convert(model, design("A"), exclude=["1"])
    part = convert(model, design("A"), exclude=["1.2"])
    assert [[layer.name for layer in analog_layers(each)] for each in (whole, part)] == [["0"], ["0", "1.0"]]
    assert [s.name for s in layer_shapes(model, x, exclude=["1"])] == ["0"]


def test_a_kind_for_a_subclass_goes_before_that_of_its_base() -> None:
    class Scaled(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2.0 * super().forward(x)

    @accuracy.register_layer_kind
    class ScaledKind(accuracy.MatrixKind):
        name = "scaled"
        modules = (Scaled,)

        def matrix(self, module: Any) -> torch.Tensor:
            return 2.0 * module.weight.t()

        def bias(self, module: Any) -> torch.Tensor:
            return 2.0 * module.bias

        def lay_in(self, module: Any, matrix: torch.Tensor, bias: torch.Tensor | None) -> None:
            assert bias is not None
            module.weight, module.bias = nn.Parameter(matrix.t() / 2.0), nn.Parameter(bias / 2.0)

    layer, x = Scaled(4, 3), torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    converted = calibrate(convert(layer, design("A", adc_bits=None)), [(x, None)])
    with torch.no_grad():
        torch.testing.assert_close(converted(x), layer(x), rtol=0, atol=0.05)
    assert layer_kinds()[0].name == "scaled"


def test_a_kind_that_is_wrong_about_its_layers_is_refused() -> None:
    def upside_down(self: Any, module: Any) -> torch.Tensor:
        return module.weight.flip(0)

    def lay_upside_down(self: Any, module: Any, matrix: torch.Tensor, bias: torch.Tensor) -> None:
        module.weight, module.bias = nn.Parameter(matrix.flip(0)), nn.Parameter(bias)

    def halves(self: Any, module: Any) -> nn.Module:
        return nn.Linear(*module.u.shape)

    text = r"cannot be read as '.*': it computes something else"
    accuracy.register_layer_kind(type("Flipped", (Conv1DKind,), {"matrix": upside_down, "lay_in": lay_upside_down}))
    with pytest.raises(ConversionError, match=rf"Layer '0' \(Conv1D\) {text}"):
        convert(network(), design("A"))
    accuracy.register_layer_kind(type("Halves", (LowRankKind,), {"rewrite": halves}))
    with pytest.raises(ConversionError, match=rf"LowRank {text}: .* gives \(3, 2\), not \(3, 4\)"):
        layer_shapes(LowRank(6, 4, 2), torch.zeros(1, 6))


def installed(folder: Path, kind: str) -> None:
    """A package as pip leaves it, which names a kind of layer."""
    information = folder / "ours_layers-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: ours-layers\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[devicekit.layer_kinds]\nown = {kind}\n")
    registry._load_installed.cache_clear()


def test_an_installed_package_brings_its_kinds_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    installed(tmp_path, "tests.accuracy.outside_kinds:Conv1DKind")
    assert [layer.name for layer in analog_layers(convert(network(), design("A")))] == ["0", "3"]


def test_an_installed_package_with_a_broken_kind_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    installed(tmp_path, "tests.accuracy.outside_kinds:Conv1DKnd")
    with pytest.raises(ConversionError, match=r"kind 'own' of the installed package 'ours-layers' \(.*Conv1DKnd\) can"):
        layer_kinds()
    monkeypatch.undo()
    registry._load_installed.cache_clear()
    assert layer_kinds()


def test_what_is_no_kind_is_refused() -> None:
    for wrong in (Conv1D, Conv1DKind(), accuracy.MatrixKind, accuracy.LayerKind, "linear"):
        with pytest.raises(ConversionError, match="a subclass of MatrixKind or CompositeKind with all its methods"):
            accuracy.register_layer_kind(wrong)  # type: ignore[type-var, arg-type]
    with pytest.raises(ConversionError, match="`name` of Nameless to be a word"):
        accuracy.register_layer_kind(type("Nameless", (Conv1DKind,), {"name": ""}))
    with pytest.raises(ConversionError, match=r"`modules` of Bare to be a tuple of torch\.nn\.Module types"):
        accuracy.register_layer_kind(type("Bare", (Conv1DKind,), {"modules": Conv1D}))
    with pytest.raises(ConversionError, match="'linear' is registered already, by accuracy"):
        accuracy.register_layer_kind(type("Again", (Conv1DKind,), {"name": "linear"}))
    accuracy.register_layer_kind(Conv1DKind)
    assert accuracy.register_layer_kind(Conv1DKind) is Conv1DKind, "a cell of a notebook may run again"
