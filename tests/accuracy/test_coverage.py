"""Nothing silent: every stored matrix is analog with the right value, listed, or refused by name."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from accuracy import (
    CalibrationError,
    ConversionError,
    NetworkError,
    analog_layers,
    calibrate,
    convert,
    coverage,
    evaluate,
    layer_shapes,
)
from accuracy.layers.layer_state import Mode
from accuracy.layers.modes import layer_mode
from circuits import CoreDesign
from tests.accuracy.code_networks import CASES, Case, Experts, Written
from tests.accuracy.small_networks import design, small_data, small_network

PRECISE = CoreDesign(weight_bits=16, bits_per_cell=15, input_bits=16, bits_per_input_slice=None, adc_bits=None)


def made(case: Case) -> tuple[nn.Module, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return case.make().eval(), torch.randn(case.shape)


def precise(model: nn.Module, x: Any, **options: Any) -> nn.Module:
    """The network on a design that rounds hardly at all, with ranges that hold everything."""
    converted = calibrate(convert(model, PRECISE, **options), [(x, None)])
    for layer in analog_layers(converted):
        found = layer.require_calibration()
        found.x_min, found.x_max = 2 * found.x_min, 2 * found.x_max
    return converted


def float_output(model: nn.Module, *x: Tensor) -> Any:
    with torch.no_grad(), layer_mode(analog_layers(model), Mode.FLOAT):
        return model(*x)


@pytest.mark.parametrize("given", [True, False], ids=["example", "calibration batch"])
@pytest.mark.parametrize("name", CASES)
def test_matrices_in_code_are_analog_with_the_right_value(name: str, given: bool) -> None:
    model, x = made(CASES[name])
    if name == "one column" and not given:
        with pytest.raises(ConversionError, match="Written has no layer that can be converted"):
            convert(model, PRECISE)
        return
    with torch.no_grad():
        wanted = model(x)
    converted = precise(model, x, **({"example": x} if given else {}))
    found = {layer.name: (layer.array.mapping.rows, layer.array.mapping.columns) for layer in analog_layers(converted)}
    assert found == CASES[name].matrices
    torch.testing.assert_close(float_output(converted, x), wanted, rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(converted(x), wanted, rtol=0, atol=1e-3 * float(wanted.abs().max()))
    covered = coverage(converted)
    assert covered.analog_weights == 1.0
    assert set(covered.table["name"][covered.table["analog"]]) == set(CASES[name].matrices)
    shapes = layer_shapes(model, x, 1)
    assert {shape.name: (shape.rows, shape.columns * shape.groups) for shape in shapes} == found
    macs = covered.table.set_index("name")["macs"]
    assert {s.name: s.macs for s in shapes} == {s.name: round(macs[s.name] * x.shape[0]) for s in shapes}


@pytest.mark.parametrize("name", ["matmul", "stacked experts", "merged low-rank update", "conv2d"])
def test_copies_and_files_of_a_network_with_matrices_in_code_are_the_same_chip(name: str) -> None:
    model, x = made(CASES[name])
    converted = calibrate(convert(model, design("A")), [(x, None)])
    copies = [copy.deepcopy(converted)]
    if name not in ("matmul", "conv2d"):
        copies.append(pickle.loads(pickle.dumps(converted)))
    with torch.no_grad():
        wanted = converted(x)
        assert not torch.equal(wanted, model(x))
        for same in copies:
            assert torch.equal(same(x), wanted)


def test_a_matrix_in_code_may_stay_digital_by_name() -> None:
    model, x = made(CASES["stacked experts"])
    converted = calibrate(convert(model, design("A"), exclude=["up.*"]), [(x, None)])
    assert [layer.name for layer in analog_layers(converted)] == ["router", *(f"down.{i}" for i in range(4))]
    table = coverage(converted).table.set_index("name")
    assert (table.loc[[f"up.{i}" for i in range(4)], "reason"] == "excluded").all()
    assert next(s.name for s in layer_shapes(model, x, exclude=["up.*"])) == "router"
    assert not any(shape.name.startswith("up") for shape in layer_shapes(model, x, exclude=["up.*"]))
    with pytest.raises(ConversionError, match="Unknown layer or pattern 'upp"):
        convert(model, design("A"), example=x, exclude=["upp.*"])


class Picked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head, self.experts = nn.Linear(8, 4), nn.Parameter(torch.randn(4, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return torch.bmm(x[:, None], self.experts[self.head(x).argmax(-1)]).squeeze(1)


def test_what_cannot_be_analog_is_refused_by_name_with_its_share() -> None:
    model, x = Picked().eval(), torch.randn(6, 8)
    text = (
        r"1 stored matrix would stay digital: 'experts' \(.* % of the weights, 66.7 % of the multiply-accumulates\): "
        r"the input picks it out of a stack.*exclude=\['experts'\] \(--exclude experts\)"
    )
    for refused in (
        lambda: convert(model, design("A"), example=x),
        lambda: calibrate(convert(model, design("A")), [(x, None)]),
        lambda: layer_shapes(model, x),
        lambda: coverage(model, x),
    ):
        with pytest.raises(ConversionError, match=text):
            refused()
    converted = calibrate(convert(model, design("A"), exclude=["experts"]), [(x, None)])
    covered = coverage(converted)
    assert covered.analog_macs == pytest.approx(1 / 3)
    assert "Digital: excluded: experts." in covered.summary()


def test_a_product_written_out_by_hand_is_refused_by_name_and_a_scale_is_not() -> None:
    def by_hand(m: Any, x: Tensor) -> Tensor:
        return F.linear((x.unsqueeze(-1) * m.w0).sum(1), m.w1)

    def scaled(m: Any, x: Tensor) -> Tensor:
        return (F.linear(x * m.w0, m.w1)).sum(1)

    text = r"'w0' \(.* % of the weights, 72.7 % of the multi.*written out as multiplication and sum.*exclude=\['w0'\]"
    model, x = Written(by_hand, (8, 5), (3, 5)).eval(), torch.randn(4, 8)
    with pytest.raises(ConversionError, match=text):
        convert(model, design("A"), example=x)
    converted = calibrate(convert(model, design("A"), exclude=["w0"]), [(x, None)])
    assert [layer.name for layer in analog_layers(converted)] == ["w1"]
    assert coverage(converted).analog_macs == pytest.approx(15 / 55)
    positions = Written(scaled, (6, 8), (3, 8)).eval()
    assert [layer.name for layer in analog_layers(precise(positions, torch.randn(4, 6, 8)))] == ["w1"]


def test_a_network_that_calls_a_layer_with_other_weights_is_refused() -> None:
    class Rescaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.scale = nn.Linear(8, 5), nn.Parameter(torch.tensor(2.0))

        def forward(self, x: Tensor) -> Tensor:
            weights = {"weight": self.fc.weight * self.scale, "bias": self.fc.bias}
            return torch.func.functional_call(self.fc, weights, (x,))

    x = torch.randn(4, 8)
    with pytest.raises(NetworkError, match="Rescaled does not run on an example"):
        calibrate(convert(Rescaled().eval(), design("A")), [(x, None)])


def test_a_matrix_that_only_a_later_batch_uses_is_refused_there() -> None:
    class Sometimes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.w = nn.Linear(8, 8), nn.Parameter(torch.randn(8, 8))

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x @ self.w) if float(x.sum()) > 0 else self.fc(x)

    model, x = Sometimes().eval(), torch.rand(4, 8)
    converted = calibrate(convert(model, design("A"), example=-x), [(-x, None)])
    assert [layer.name for layer in analog_layers(converted)] == ["fc"]
    with torch.no_grad():
        converted(-x)
        with pytest.raises(ConversionError, match="the network multiplies by a matrix from w that is on no array"):
            converted(x)


def test_products_of_activations_and_look_ups_are_listed() -> None:
    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.attention = nn.Embedding(11, 8), nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, tokens: Tensor) -> Tensor:
            x = self.table(tokens)
            return self.attention(x, x, x)[0]

    tokens = torch.randint(0, 11, (3, 5))
    converted = calibrate(convert(Attending().eval(), design("A")), [(tokens, None)])
    table = coverage(converted).table.set_index("name")
    assert list(table.index) == [*(f"attention.{part}_proj" for part in ("q", "k", "v", "out")), "table", "attention"]
    assert table.loc["table", ["kind", "weights", "macs", "analog"]].tolist() == ["embedding", 88, 0.0, False]
    # Queries meet keys, weights meet values: 2 * 5 * 5 * 8 products a sequence.
    assert table.loc["attention", "macs"] == 2 * 5 * 5 * 8
    assert coverage(converted).analog_macs == pytest.approx(4 * 5 * 64 / (4 * 5 * 64 + 400))
    assert coverage(converted).to_dict()["matrices"][-1]["reason"].startswith("product of two activations")


def _by_rows(m: Any, x: Tensor) -> Tensor:
    return torch.stack([(x * m.w0[i]).sum(-1) for i in range(8)], dim=-1)


def _cosine(m: Any, x: Tensor) -> Tensor:
    return F.cosine_similarity(x[:, None], m.w0, dim=-1)


def _complex(m: Any, x: Tensor) -> Tensor:
    return (x.to(torch.cfloat) @ torch.view_as_complex(m.w1).t()).abs()


@pytest.mark.parametrize(
    ("code", "name", "reason"),
    [
        (_by_rows, "w0", "a product written out as multiplication and sum"),
        (_cosine, "w0", "a product written out as multiplication and sum"),
        (_complex, "w1", "its product is of torch.complex64 numbers, and arrays take floating-point ones"),
    ],
)
def test_products_that_no_layer_takes_over_are_refused(code: Any, name: str, reason: str) -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w0, self.w1 = nn.Parameter(torch.randn(8, 5)), nn.Parameter(torch.randn(8, 5, 2))
            self.head = nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(code(self, x))

    model, x = Network().eval(), torch.randn(4, 5)
    with torch.no_grad():
        wanted = model(x)
    for refused in (
        lambda: convert(model, PRECISE, example=x),
        lambda: calibrate(convert(model, PRECISE), [(x, None)]),
    ):
        with pytest.raises(ConversionError, match=rf"'{name}' \(.*: {reason}\. Say so with exclude=\['{name}'\]"):
            refused()
    converted = precise(model, x, exclude=[name])
    assert [layer.name for layer in analog_layers(converted)] == ["head"]
    with torch.no_grad():
        torch.testing.assert_close(converted(x), wanted, rtol=0, atol=1e-3 * float(wanted.abs().max()))


def test_scaling_by_rows_of_a_matrix_is_no_product() -> None:
    """What is added up afterwards are places, along which the scale is the same."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scales, self.head = nn.Parameter(torch.rand(2, 5)), nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head((x * self.scales[1]).mean(dim=1))

    converted = calibrate(convert(Scaled().eval(), PRECISE), [(torch.randn(4, 6, 5), None)])
    assert coverage(converted).analog_macs == 1.0


def test_a_sparse_matrix_is_refused_by_name() -> None:
    class Graph(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(6, 4)
            self.register_buffer("adjacency", torch.eye(7).to_sparse_csr())

        def forward(self, x: Tensor) -> Tensor:
            return self.adjacency @ self.a(x)

    with warnings.catch_warnings():
        # Torch says that sparse tensors are in beta state.
        warnings.simplefilter("ignore")
        model, x = Graph().eval(), torch.randn(7, 6)
    with pytest.raises(ConversionError, match=r"'adjacency' .*: aten\.mm is no product of a layer"):
        convert(model, design("A"), example=x)
    converted = calibrate(convert(model, design("A"), exclude=["adjacency"]), [(x, None)])
    assert [layer.name for layer in analog_layers(converted)] == ["a"]


def test_tables_are_listed_however_their_rows_are_picked() -> None:
    class Tables(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.places, self.indexed = (
                nn.Embedding(11, 8),
                nn.Embedding(5, 8),
                nn.Parameter(torch.ones(11, 8)),
            )
            self.head = nn.Linear(8, 4)

        def forward(self, tokens: Tensor) -> Tensor:
            x = self.words(tokens) + self.places(torch.arange(tokens.shape[1])) + self.indexed[tokens]
            return self.head(x)

    tokens = torch.randint(0, 11, (3, 5))
    converted = calibrate(convert(Tables().eval(), design("A")), [(tokens, None)])
    table = coverage(converted).table.set_index("name")
    assert table["weights"].to_dict() == {"head": 32, "words": 88, "places": 40, "indexed": 88}
    assert (table["reason"].str.startswith("look-up") == (table.index != "head")).all()
    assert coverage(converted).analog_weights == pytest.approx(32 / 248)


@pytest.mark.parametrize("batch_first", [True, False])
def test_products_are_counted_for_one_inference_wherever_the_batch_stands(batch_first: bool) -> None:
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(6, 8, batch_first=batch_first), nn.Linear(8, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.lstm(x)[0])

    x = torch.randn(*((7, 5) if batch_first else (5, 7)), 6)
    converted = calibrate(convert(Tagger().eval(), design("A")), [(x, None)])
    macs = coverage(converted).table.set_index("name")["macs"]
    assert macs.to_dict() == {"lstm.ih_l0": 5 * 6 * 32, "lstm.hh_l0": 5 * 8 * 32, "head": 5 * 8 * 4}


@pytest.mark.parametrize(("heads", "masked"), [(4, False), (4, True), (2, False)])
def test_fused_attention_counts_what_it_multiplies(heads: int, masked: bool) -> None:
    """Queries meet keys, weights meet values, in every one of four heads; keys and values may be shared by heads."""

    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.kv = nn.Linear(32, 4 * 8), nn.Linear(32, 2 * heads * 8)

        def forward(self, x: Tensor) -> Tensor:
            q = self.q(x).unflatten(-1, (4, 8)).transpose(1, 2)
            k, v = self.kv(x).unflatten(-1, (2, heads, 8)).permute(2, 0, 3, 1, 4)
            mask = torch.ones(5, 5, dtype=torch.bool).tril() if masked else None
            return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=heads < 4)

    table = coverage(Attending().eval(), torch.randn(3, 5, 32)).table
    assert table["macs"][~table["analog"]].tolist() == [4 * 5 * 5 * (8 + 8)]


def test_coverage_needs_a_run() -> None:
    model, x = small_network(), small_data()[0][0]
    with pytest.raises(CalibrationError, match=r"give `example`, or run accuracy\.calibrate first"):
        coverage(convert(model, design("A")))
    before = coverage(model, x, exclude=["fc"])
    converted = convert(model, design("A"), exclude=["fc"])
    assert before == coverage(converted, x) == coverage(calibrate(converted, small_data()))
    assert before.analog_weights == pytest.approx(1 - 32 / (27 * 8 + 72 * 8 + 32))


# -- what torch.fx would freeze -------------------------------------------------------------------------------------


class Conditional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm, self.b, self.fc = nn.Linear(16, 16), nn.BatchNorm1d(16), nn.Linear(16, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor, cond: Tensor | None = None) -> Tensor:
        h = self.norm(self.a(x))
        if cond is not None:
            h = self.b(torch.relu(h))
        return self.fc(torch.relu(h))


class Noisy(Conditional):
    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return self.fc(torch.relu(self.norm(self.a(x))) + torch.randn(16))


class Stateful(Conditional):
    def __init__(self) -> None:
        super().__init__()
        self.state = torch.zeros(1, 16)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        self.state = 0.5 * self.state + torch.relu(self.norm(self.a(x))).mean(0, keepdim=True)
        return self.fc(self.state.expand(x.shape[0], -1))


class Asking(Conditional):
    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return self.fc(torch.relu(self.norm(self.a(x)))) if isinstance(x, Tensor) else x


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Conditional, "its argument 'cond' may be left out"),
        (Noisy, "its code draws random numbers"),
        (Stateful, "its code changes 'state' of a module"),
        (Asking, "its code asks for the type of a tensor"),
    ],
)
def test_what_fx_would_freeze_is_converted_layer_by_layer(kind: type[nn.Module], reason: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, x = kind().eval(), torch.randn(64, 16)
        model.norm.running_var.uniform_(0.5, 2.0)
    with pytest.warns(UserWarning, match=rf"cannot trace {kind.__name__} \({reason}\).*batch norm stays digital"):
        converted = convert(model, design("A"), exclude=["b"])
    calibrate(converted, [(x, None)])
    for _ in range(2):
        if kind is Stateful:
            converted.state = model.state.clone()
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(1)
            wanted = model(x)
            torch.manual_seed(1)
            found = float_output(converted, x)
        torch.testing.assert_close(found, wanted)
    if kind is Conditional:
        with torch.no_grad():
            torch.testing.assert_close(float_output(converted, x, x), model(x, x))
            labels = model(x).argmax(1)
        assert evaluate(converted, [(x, labels)], trials=1).baseline == 1.0


def test_calibration_leaves_the_state_of_a_network_to_calibration() -> None:
    model, x = Stateful().eval(), torch.randn(64, 16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converted = calibrate(convert(model, design("A", adc_bits=None), exclude=["b"]), [(x, None)])
    # One streaming pass, as there are no ADCs, and none of the runs that look at the network.
    with torch.no_grad():
        expected = torch.relu(model.norm(model.a(x))).mean(0, keepdim=True)
    torch.testing.assert_close(converted.state, expected)
    assert float(model.state.abs().sum()) == 0.0


# -- equivalence ----------------------------------------------------------------------------------------------------


def test_a_converted_network_that_computes_something_else_is_refused_naming_the_first_module() -> None:
    model, x = small_network(), small_data()
    converted = convert(model, design("A"))
    with torch.no_grad():
        dict(converted.named_modules())["conv2"].digital.bias.data += 0.1
    with pytest.raises(ConversionError, match=r"off from the original by .* the first module that differs is 'conv2'"):
        calibrate(converted, x)


def test_the_baseline_is_the_original_networks() -> None:
    model, batches = small_network(), small_data()
    converted = calibrate(convert(model, design("A")), batches)
    found = evaluate(converted, batches, trials=1)
    assert found.baseline == 1.0
    seen: list[int] = []
    # What runs for the baseline is a copy that shares the original's weights, and none of its hooks' closures.
    handle = model.fc.register_forward_hook(lambda *_: seen.append(1))
    evaluate(converted, batches, trials=1)
    handle.remove()
    assert not seen
    shared = {p.data_ptr() for p in model.parameters()}
    original = converted.meta["conversion"].original(converted)
    assert {p.data_ptr() for p in original.parameters()} == shared


def test_written_modules_of_the_cases_stay_what_they_are() -> None:
    """The owner of a matrix keeps its type, so that code which asks for it goes on."""
    model, x = made(CASES["stacked experts"])
    converted = calibrate(convert(nn.Sequential(model), design("A")), [(x, None)])
    assert isinstance(converted.get_submodule("0"), Experts)
    assert isinstance(precise(*made(CASES["vmap"])), Written)


def test_functional_dropout_and_pads_do_not_confuse_the_search() -> None:
    model = Written(lambda m, x: F.dropout(F.pad(x, (0, 1)), 0.5, m.training) @ m.w0, (9, 5)).eval()
    x = torch.randn(4, 8)
    torch.testing.assert_close(float_output(precise(model, x), x), model(x).detach())
