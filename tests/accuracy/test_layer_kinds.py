"""Every registered kind of layer through the same checks, against the module's own output and rows gathered by hand."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from accuracy import (
    CompositeKind,
    ConversionError,
    MatrixKind,
    analog_layers,
    calibrate,
    convert,
    coverage,
    layer_kinds,
    layer_shapes,
)
from accuracy.layer_kinds import RandomInput, find_layers, kind_of, prepare_layers
from accuracy.layers.layer_state import ColumnCorrection, Mode
from accuracy.layers.modes import layer_mode
from circuits import CoreDesign
from devicekit import Cell, StateIndependent
from tests.reference.patches_reference import gather

PRECISE = CoreDesign(
    weight_bits=16, bits_per_cell=15, input_bits=16, bits_per_input_slice=None, adc_bits=None, max_rows=7
)
CELL = Cell(error=StateIndependent(0.02), i_max=1.6e-6, on_off_ratio=1e7)


def on_itself(layer: nn.Module, x: Tensor) -> Tensor:
    return layer(x, x, x)[0]


def plainly(layer: nn.Module, x: Tensor) -> Tensor:
    return layer(x)


def first(layer: nn.Module, x: Tensor) -> Tensor:
    return layer(x)[0]


def on_a_state(layer: nn.Module, x: Tensor) -> Tensor:
    return layer(x, x[:, :4])


def on_states(layer: nn.Module, x: Tensor) -> Tensor:
    return torch.cat(layer(x, (x[:, :4], x[:, 1:])), dim=-1)


def on_both_sides(layer: nn.Module, x: Tensor) -> Tensor:
    return layer(x, torch.tanh(x))


class Conv1D(nn.Module):
    """What GPT-2 is made of; weight (inputs, outputs)."""

    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(inputs, outputs)), nn.Parameter(torch.randn(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.weight).reshape(*x.shape[:-1], -1)


Conv1D.__module__ = "transformers.pytorch_utils"


pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


@dataclass(frozen=True)
class Case:
    """A layer of a kind in a small network.

    Attributes:
        make: makes it.
        shape: of its input.
        norm: a batch norm that may follow it.
        call: how the network calls it.
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    norm: Callable[[], nn.Module] = nn.Identity
    call: Callable[[nn.Module, Tensor], Tensor] = plainly

    def __str__(self) -> str:
        return str(self.make())


CASES: dict[str, list[Case]] = {
    "linear": [
        Case(lambda: nn.Linear(17, 5), (4, 17), lambda: nn.BatchNorm1d(5)),
        Case(lambda: nn.Linear(9, 4, bias=False), (2, 3, 9)),
    ],
    "convolution": [
        Case(lambda: nn.Conv1d(4, 6, 3, padding=2, padding_mode="circular"), (3, 4, 9), lambda: nn.BatchNorm1d(6)),
        Case(lambda: nn.Conv2d(4, 6, 3, stride=2, bias=False, groups=2), (2, 4, 8, 7), lambda: nn.BatchNorm2d(6)),
        Case(lambda: nn.Conv2d(5, 5, 3, groups=5, padding="same", dilation=2), (2, 5, 6, 6)),
        Case(lambda: nn.Conv3d(2, 4, 2, padding=1), (2, 2, 3, 4, 3), lambda: nn.BatchNorm3d(4)),
    ],
    "transposed convolution": [
        Case(lambda: nn.ConvTranspose1d(4, 6, 3, stride=2), (3, 4, 5), lambda: nn.BatchNorm1d(6)),
        Case(
            lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
            (2, 4, 3, 4),
            lambda: nn.BatchNorm2d(6),
        ),
        Case(lambda: nn.ConvTranspose3d(2, 4, 2, bias=False), (2, 2, 3, 2, 3), lambda: nn.BatchNorm3d(4)),
    ],
    "attention": [
        Case(lambda: nn.MultiheadAttention(8, 2, batch_first=True), (3, 5, 8), call=on_itself),
        Case(lambda: nn.MultiheadAttention(6, 3, bias=False, kdim=6, vdim=6), (4, 2, 6), call=on_itself),
    ],
    "recurrent": [
        Case(lambda: nn.RNN(5, 4, 2, nonlinearity="relu", bidirectional=True, batch_first=True), (3, 6, 5), call=first),
        Case(lambda: nn.LSTM(5, 6, 2, proj_size=3, bidirectional=True), (6, 3, 5), call=first),
        Case(lambda: nn.GRU(5, 4, bias=False, batch_first=True), (3, 6, 5), call=first),
    ],
    "recurrent cell": [
        Case(lambda: nn.RNNCell(5, 4), (3, 5), call=on_a_state),
        Case(lambda: nn.LSTMCell(5, 4), (3, 5), call=on_states),
        Case(lambda: nn.GRUCell(5, 4, bias=False), (3, 5), call=on_a_state),
    ],
    "bilinear": [Case(lambda: nn.Bilinear(5, 5, 3), (4, 5), call=on_both_sides)],
    "transposed linear of transformers": [Case(lambda: Conv1D(6, 5), (4, 3, 5))],
}  # fmt: skip
ALL = [pytest.param(kind, case, id=f"{kind} {i}") for kind, cases in CASES.items() for i, case in enumerate(cases)]


class Around(nn.Module):
    """A network of one layer, and a batch norm that is not trivial."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.layer, self.norm, self.call = case.make(), case.norm(), case.call
            for name in ("running_mean", "bias"):
                if hasattr(self.norm, name):
                    getattr(self.norm, name).data.normal_()
            for name in ("running_var", "weight"):
                if hasattr(self.norm, name):
                    getattr(self.norm, name).data.uniform_(0.5, 2.0)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.call(self.layer, x))


def example(case: Case, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(case.shape, generator=torch.Generator().manual_seed(2), dtype=dtype)


def matrices(model: nn.Module) -> list[tuple[MatrixKind, Any]]:
    """Kind and module of every matrix, composite layers rewritten."""
    found = [(layer.kind, layer.module) for layer in find_layers(prepare_layers(copy.deepcopy(model)))]
    assert all(isinstance(kind, MatrixKind) for kind, _ in found)
    return found  # type: ignore[return-value]


def test_every_kind_and_every_type_of_module_has_a_case() -> None:
    assert {kind.name for kind in layer_kinds()} == set(CASES)
    for kind in layer_kinds():
        made = {type(case.make()) for case in CASES[kind.name]}
        # A kind of a package that need not be installed knows its class by name.
        assert made == set(kind.modules) or kind.modules == (nn.Module,)


@pytest.mark.parametrize(("name", "case"), ALL)
def test_matrix_times_rows_is_the_output_of_the_module(name: str, case: Case) -> None:
    """Rows gathered number by number, in double precision; each part of the rows by itself, as on partitions."""
    for kind, module in matrices(Around(case).double().eval()):
        x = RandomInput(module)(*(kind.examples(module, RandomInput(module))[-1][0].shape))
        with torch.no_grad():
            wanted, matrix, bias = module(x), kind.matrix(module).detach(), kind.bias(module)
            torch.testing.assert_close(kind.output(module, x), wanted)
            columns = wanted.movedim(kind.output_axis, -1)
            columns = columns if bias is None else columns - bias
            operator, rows = kind.operator(module), matrix.shape[0]
            parts = [slice(i, min(i + 4, rows)) for i in range(0, rows, 4)]
            ready = operator.prepare(x)
            pieces = [operator.apply(ready, operator.kernel(matrix[part], part)) for part in parts]
        torch.testing.assert_close(torch.stack(pieces).sum(dim=0), columns)
        seen = gathered(module, x, wanted) if hasattr(module, "kernel_size") else x.reshape(1, -1, rows).numpy()
        split = np.split(matrix.numpy(), len(seen), axis=1)
        by_hand = np.concatenate([own @ part for own, part in zip(seen, split, strict=True)], axis=1)
        np.testing.assert_allclose(by_hand, columns.reshape(by_hand.shape).numpy(), rtol=0, atol=1e-12)


def gathered(module: Any, x: Tensor, output: Tensor) -> np.ndarray:
    """What the rows see, (groups, positions, rows)."""
    shape = copy.copy(module)
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
        x = nn.functional.pad(x, module._reversed_padding_repeated_twice, mode=mode)
        shape.padding = (0,) * len(module.kernel_size)
    transposed = "ConvTranspose" in type(module).__name__
    return gather(x.numpy(), shape, tuple(output.shape[2:]), transposed)


@pytest.mark.parametrize(("name", "case"), ALL)
def test_a_precise_design_with_ideal_cells_gives_the_float_output(name: str, case: Case) -> None:
    model, x = Around(case), example(case)
    converted = calibrate(convert(model, PRECISE), [(x, None)])
    for layer in analog_layers(converted):
        found = layer.require_calibration()
        # Calibration may leave a tail out; here nothing is to be lost but what rounding takes.
        found.x_min, found.x_max = 2 * found.x_min, 2 * found.x_max
    with torch.no_grad():
        wanted, ours = model(x), converted(x)
    torch.testing.assert_close(ours, wanted, rtol=0, atol=3e-4 * float(wanted.abs().max()))


@pytest.mark.parametrize(("name", "case"), ALL)
def test_batch_norm_is_folded_along_the_columns(name: str, case: Case) -> None:
    model, x = Around(case), example(case)
    converted = convert(model, PRECISE)
    assert type(converted.get_submodule("layer")) is not type(model.layer)
    assert not any("BatchNorm" in type(module).__name__ for module in converted.modules())
    with torch.no_grad(), layer_mode(analog_layers(converted), Mode.FLOAT):
        torch.testing.assert_close(converted(x), model(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "case"), ALL)
def test_shapes_are_what_hooks_and_torch_count(name: str, case: Case) -> None:
    model, x = Around(case), example(case)
    shapes = layer_shapes(model, x, batch_size=1)
    assert sum(shape.weights for shape in shapes) == sum(p.numel() for p in model.layer.parameters() if p.dim() > 1)
    if name != "bilinear":
        # An LSTM's projections have no bias; that of a bilinear layer follows the digital sum.
        has = {shape.bias for shape in shapes if ".hr_" not in shape.name}
        assert has == {any(p.dim() == 1 for p in model.layer.parameters())}
    # With gradients, so that attention takes no fused path, whose operations torch does not count.
    with FlopCounterMode(display=False) as counter:
        output = model(x)
    # Products of two activations, as in attention, are batched.
    counts = counter.get_flop_counts().get("Global", {})
    macs = sum(count for operation, count in counts.items() if "bmm" not in str(operation)) // 2
    if name == "transposed convolution":
        # Torch counts a product for each input; the array works out every output, zeros between pixels included.
        macs = macs // x[0, 0].numel() // x.shape[0] * output[0, 0].numel() * x.shape[0]
    if name == "bilinear":
        # Torch does not count it; the sum over the second input is digital.
        macs = x.shape[0] * model.layer.weight.numel()
    assert sum(shape.macs for shape in shapes) == macs
    products: dict[str, int] = {}
    converted = convert(model, PRECISE)
    for layer in analog_layers(converted):

        def count(layer: Any, arguments: tuple[Tensor, ...], result: Tensor) -> None:
            products[layer.name] = products.get(layer.name, 0) + result.numel() // layer.array.mapping.columns

        layer.register_forward_hook(count)
    with torch.no_grad(), layer_mode(analog_layers(converted), Mode.FLOAT):
        converted(x)
    assert {shape.name: shape.mvms for shape in shapes} == products
    assert {shape.name: (shape.rows, shape.columns * shape.groups) for shape in shapes} == {
        layer.name: (layer.array.mapping.rows, layer.array.mapping.columns) for layer in analog_layers(converted)
    }


@pytest.mark.parametrize(("name", "case"), ALL)
def test_state_and_copies_are_the_same_chip(name: str, case: Case) -> None:
    model, x = Around(case), example(case)
    converted = calibrate(convert(model, CoreDesign(), CELL, seed=5), [(x, None)])
    again = convert(model, CoreDesign(), CELL, seed=5)
    again.load_state_dict(converted.state_dict())
    other = convert(model, CoreDesign(), CELL, seed=6)
    other.load_state_dict(converted.state_dict())
    with torch.no_grad():
        wanted = converted(x)
        for same in (again, copy.deepcopy(converted), pickle.loads(pickle.dumps(converted))):
            assert torch.equal(same(x), wanted)
        assert not torch.equal(other(x), wanted)


@pytest.mark.parametrize(("name", "case"), ALL)
def test_a_correction_of_a_column_acts_along_the_output_axis(name: str, case: Case) -> None:
    model, x = Around(case), example(case)
    converted = calibrate(convert(model, CoreDesign()), [(x, None)])
    for layer in analog_layers(converted):
        seen: list[Tensor] = []
        hook = layer.register_forward_hook(lambda _, arguments, output, seen=seen: seen.extend((arguments[0], output)))
        columns = layer.array.mapping.columns
        with torch.no_grad():
            converted(x)
            hook.remove()
            gain = torch.ones(columns)
            gain[columns // 2] = 3.0
            layer.correction = ColumnCorrection(gain, torch.zeros(columns))
            corrected = layer(seen[0])
        layer.correction = None
        ratio = corrected / seen[1]
        changed = ratio.select(layer.kind.output_axis, columns // 2)
        torch.testing.assert_close(changed, torch.full_like(changed, 3.0))
        torch.testing.assert_close(ratio.sum(), (changed - 1).sum() + ratio.numel())


@pytest.mark.parametrize(("name", "case"), ALL)
def test_the_plain_form_is_a_module_of_the_kind_that_computes_the_same(name: str, case: Case) -> None:
    for kind, module in matrices(Around(case)):
        plain = kind.plain(module)
        assert plain is not module
        assert type(plain) is type(module)
        assert torch.equal(kind.matrix(plain), kind.matrix(module))
        x = kind.examples(module, RandomInput(module))[0][0]
        with torch.no_grad():
            # The order of sums may follow how the weight lies in memory.
            wanted = module(x)
            torch.testing.assert_close(plain(x), wanted, rtol=0, atol=1e-6 * float(wanted.abs().max()))


def subclassed(module: nn.Module, factor: float) -> nn.Module:
    """The module as a subclass with a forward of its own, whose outputs are a factor too large."""
    base = type(module)

    def forward(self: nn.Module, *arguments: Any) -> Any:
        output = base.forward(self, *arguments)
        return (output[0] * factor, output[1]) if isinstance(output, tuple) else output * factor

    module.__class__ = type("Derived", (base,), {"forward": forward})
    return module


@pytest.mark.parametrize(("name", "case"), ALL)
def test_a_subclass_that_computes_the_same_is_analog_in_accuracy_and_energy(name: str, case: Case) -> None:
    plain, derived, x = Around(case), Around(case), example(case)
    subclassed(derived.layer, 1.0)
    assert kind_of(derived.layer) is kind_of(plain.layer)
    assert layer_shapes(derived, x, 1) == layer_shapes(plain, x, 1)
    ours, wanted = (calibrate(convert(model, CoreDesign(), CELL), [(x, None)]) for model in (derived, plain))
    assert [layer.name for layer in analog_layers(ours)] == [shape.name for shape in layer_shapes(derived, x, 1)]
    with torch.no_grad():
        assert torch.equal(ours(x), wanted(x))


@pytest.mark.parametrize(("name", "case"), ALL)
def test_a_subclass_that_computes_something_else_is_analog_as_its_code_says_or_refused(name: str, case: Case) -> None:
    model, x = nn.Sequential(Around(case)), example(case)
    subclassed(model[0].layer, 1.01)
    torch_only = "mkldnn_rnn_layer|thnn|_trilinear"
    if name == "bilinear" or (type(model[0].layer).__base__ is nn.LSTM and not model[0].layer.proj_size):
        text = rf"'0\.layer[\w.]*' \(.* % of the weights, .* % of .*({torch_only}).*exclude=\['0"
        with pytest.raises(ConversionError, match=text):
            convert(model, PRECISE, example=x)
    else:
        converted = calibrate(convert(model, PRECISE, example=x), [(x, None)])
        assert coverage(converted).analog_weights == 1.0
        with torch.no_grad(), layer_mode(analog_layers(converted), Mode.FLOAT):
            torch.testing.assert_close(converted(x), model(x), rtol=1e-4, atol=1e-5)
    kept = nn.ModuleDict({"a": Around(case), "b": nn.Linear(3, 2)})
    subclassed(kept["a"].layer, 1.01)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.fx cannot trace ModuleDict")
        digital = convert(kept, CoreDesign(), exclude=["a.layer"])
    assert [layer.name for layer in analog_layers(digital)] == ["b"]
    with torch.no_grad():
        assert torch.equal(digital["a"](x), kept["a"](x))


def test_kinds_of_several_matrices_give_their_name_to_them() -> None:
    for kind in layer_kinds():
        if isinstance(kind, CompositeKind):
            case = CASES[kind.name][0]
            assert {shape.kind for shape in layer_shapes(Around(case), example(case), 1)} == {kind.name}
