"""Conversion: batch norm folded exactly, everything else kept, and clear refusals."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import random
import warnings

import pytest
import torch
from torch import nn

from accuracy import ConversionError, ConversionWarning, MappingError, analog_layers, calibrate, convert, layer_shapes
from accuracy.errors import InputError
from accuracy.layer_kinds.attention import ProjectedAttention
from accuracy.layers import tracing
from accuracy.layers.convert import with_sum
from accuracy.layers.layer_state import Mode
from accuracy.layers.modes import layer_mode
from circuits import load_peripherals
from circuits.peripherals.model import PeripheralModel
from devicekit import DesignError
from tests.accuracy.small_networks import design, small_data, small_network


def float_output(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad(), layer_mode(analog_layers(model), Mode.FLOAT):
        return model(x)


def fine_output(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Output of a network on so fine a design that quantisation does not show."""
    fine = design("A", weight_bits=16, bits_per_cell=15, input_bits=16, adc_bits=None, bits_per_input_slice=None)
    converted = convert(model, fine)
    calibrate(converted, [(x, None)])
    with torch.no_grad():
        return converted(x)


def test_folding_leaves_the_float_network_as_it_was() -> None:
    model, x = small_network(), small_data()[0][0]
    converted = convert(model, design("A"))
    with torch.no_grad():
        torch.testing.assert_close(float_output(converted, x), model(x), rtol=1e-5, atol=1e-5)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in converted.modules())
    assert [layer.name for layer in analog_layers(converted)] == ["conv1", "conv2", "fc"]
    assert [layer.relu for layer in analog_layers(converted)] == [True, False, False], (
        "only where nothing is in between"
    )


def test_the_given_model_is_left_alone() -> None:
    model = small_network()
    before = copy.deepcopy(model.state_dict())
    convert(model, design("E"))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert isinstance(model.bn1, nn.BatchNorm2d)


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ([nn.Conv1d(4, 6, 3, padding=1), nn.BatchNorm1d(6)], (5, 4, 9)),
        ([nn.Conv3d(2, 4, 2, stride=2), nn.BatchNorm3d(4), nn.ReLU()], (3, 2, 4, 4, 4)),
        (
            [nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), nn.BatchNorm2d(6)],
            (3, 4, 5, 5),
        ),
        ([nn.Conv2d(6, 6, 3, groups=6, padding="same", dilation=2), nn.ReLU()], (3, 6, 7, 7)),
        ([nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), nn.Tanh()], (3, 4, 6, 6)),
        ([nn.Linear(7, 5), nn.BatchNorm1d(5), nn.ReLU()], (6, 7)),
        ([nn.Linear(7, 5, bias=False)], (2, 3, 7)),
    ],
    ids=["1d", "3d", "transposed grouped", "depthwise same", "reflect", "linear", "linear on sequences"],
)
def test_every_kind_of_layer_equals_its_float_form_when_quantised_finely(
    layers: list[nn.Module], shape: tuple[int, ...]
) -> None:
    generator = torch.Generator().manual_seed(3)
    model = nn.Sequential(*layers).eval()
    for module in model.modules():
        if hasattr(module, "running_var"):
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            module.running_mean.normal_(generator=generator)
    x = torch.randn(shape, generator=generator)
    with torch.no_grad():
        wanted = model(x)
    # Nothing but the tails beyond the 12-bit-optimal input range is lost; the range holds all of a small sample.
    torch.testing.assert_close(fine_output(model, x), wanted, rtol=0, atol=2e-3 * float(wanted.abs().max()))


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("mask", ["none", "causal", "padding", "heads"])
def test_projected_attention_is_multi_head_attention(batch_first: bool, mask: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        original = nn.MultiheadAttention(8, 2, batch_first=batch_first).eval()
        x = torch.randn(3, 4, 8)
    images, steps = (3, 4) if batch_first else (4, 3)
    options: dict[str, torch.Tensor] = {}
    if mask == "causal":
        options["attn_mask"] = torch.triu(torch.ones(steps, steps, dtype=torch.bool), 1)
    if mask == "heads":
        options["attn_mask"] = torch.linspace(-1, 1, images * 2 * steps * steps).reshape(images * 2, steps, steps)
    if mask == "padding":
        options["key_padding_mask"] = torch.zeros(images, steps, dtype=torch.bool)
        options["key_padding_mask"][0, -1] = True
    with torch.no_grad():
        wanted, wanted_weights = original(x, x, x, **options)
        found, weights = ProjectedAttention(original)(x, x, x, **options)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(weights, wanted_weights)


def test_transformer_layers_are_converted_with_their_projections() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()
        x = torch.randn(4, 5, 16)
    converted = convert(nn.Sequential(layer), design("A"))
    names = [analog.name.rpartition(".")[2] for analog in analog_layers(converted)]
    assert names == ["q_proj", "k_proj", "v_proj", "out_proj", "linear1", "linear2"]
    calibrate(converted, [(x, None)])
    with torch.no_grad():
        wanted, found = layer(x), converted(x)
    assert 0 < float((found - wanted).abs().max()) < 0.1


def test_attention_with_extra_rows_is_refused() -> None:
    with pytest.raises(ConversionError, match="add_bias_kv"):
        convert(nn.Sequential(nn.MultiheadAttention(8, 2, add_bias_kv=True)), design("A"))


def test_overrides_and_exclusions_go_by_name() -> None:
    converted = convert(small_network(), design("A"), overrides={"conv?": design("E")}, exclude=["fc"])
    assert {layer.name: layer.design.name for layer in analog_layers(converted)} == {"conv1": "E", "conv2": "E"}
    assert isinstance(converted.fc, nn.Linear)


def test_a_pattern_that_matches_nothing_is_named_with_the_nearest_layers() -> None:
    with pytest.raises(ConversionError, match=r"'conv_1'.*Did you mean 'conv1'"):
        convert(small_network(), design("A"), exclude=["conv_1"])
    with pytest.raises(ConversionError, match="Every layer that runs is excluded"):
        convert(small_network(), design("A"), exclude=["*"])


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.fc(x)) if x.sum() > 0 else x[:, :2]


def test_what_fx_cannot_trace_is_converted_layer_by_layer_with_a_warning() -> None:
    model = Branching().eval()
    with pytest.warns(ConversionWarning, match=r"cannot trace Branching .*batch norm stays digital"):
        converted = convert(model, design("A"))
    assert [layer.name for layer in analog_layers(converted)] == ["fc"]
    x = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(float_output(converted, x), model(x))


def test_a_layer_called_twice_keeps_its_batch_norms_digital() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(self.conv(self.conv(x)))

    model, x = Shared().eval(), torch.rand(2, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    converted = convert(model, design("A"))
    assert any(isinstance(module, nn.BatchNorm2d) for module in converted.modules())
    with torch.no_grad():
        torch.testing.assert_close(float_output(converted, x), model(x))


def test_a_single_layer_is_a_model_too() -> None:
    assert len(analog_layers(convert(nn.Linear(3, 2), design("A")))) == 1


def test_models_that_cannot_be_converted_are_refused() -> None:
    with pytest.raises(ConversionError, match="Sequential has no layer that can be converted"):
        convert(nn.Sequential(nn.ReLU()), design("A"))
    with pytest.raises(ConversionError, match="analog layers already"):
        convert(convert(small_network(), design("A")), design("A"))


def test_weights_that_are_not_finite_are_found_by_layer_row_and_column() -> None:
    model = small_network()
    with torch.no_grad():
        model.fc.weight[2, 5] = torch.nan
    with pytest.raises(
        MappingError, match=r"Layer 'fc': .*1 of 32 values are not; the first is nan at row 5, column 2"
    ):
        convert(model, design("A"))


def test_mixed_columns_are_refused_for_column_sign_unless_projected() -> None:
    forms = design("A", negative_weights="column_sign")
    with pytest.raises(MappingError, match=r"Layer 'conv1'.*project_signs=True"):
        convert(small_network(), forms)
    converted = convert(small_network(), forms, project_signs=True)
    integers = analog_layers(converted)[0].array.mapping.integers()
    assert ((integers >= 0).all(axis=0) | (integers <= 0).all(axis=0)).all()


def test_the_quantisers_own_step_maps_integers_unchanged() -> None:
    layer = nn.Linear(3, 2, bias=False)
    integers = torch.tensor([[3.0, -7.0, 0.0], [1.0, 5.0, -2.0]])
    step = torch.tensor([0.25, 0.5])
    with torch.no_grad():
        layer.weight.copy_(integers * step[:, None])
    given = design("A", weight_bits=4, bits_per_cell=3, weight_scale="given")
    with pytest.raises(MappingError, match="pass `weight_step`"):
        convert(layer, given)
    layer.weight_step = step
    mapping = analog_layers(convert(layer, given))[0].array.mapping
    assert (mapping.integers() == integers.t().numpy()).all()
    layer.weight_step = step / 2
    with pytest.raises(MappingError, match="becomes 14, but 4-bit weights reach 7"):
        convert(layer, given)
    layer.weight_step = -step
    with pytest.raises(MappingError, match="one positive number or 2"):
        convert(layer, given)


def test_peripherals_need_adcs() -> None:
    with pytest.raises(DesignError, match="Core 'A': Peripherals act on an ADC's range"):
        convert(small_network(), design("A", adc_bits=None), peripherals=PeripheralModel.ideal())


def test_unknown_bit_line_models_are_named() -> None:
    with pytest.raises(DesignError, match=r"Unknown bit-line model 'resister'\. Did you mean 'resistor'"):
        convert(small_network(), design("A"), bit_line="resister")  # type: ignore[arg-type]


def test_recorded_peripherals_are_accepted() -> None:
    assert callable(load_peripherals)
    assert convert(small_network(), design("A"), peripherals=PeripheralModel.ideal())


def wrapped(kind: str) -> nn.Module:
    """A linear layer whose weight is worked out from others."""
    layer = nn.Linear(6, 4)
    if kind.endswith("parametrisation"):
        return getattr(nn.utils.parametrizations, kind.split()[0])(layer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return getattr(nn.utils, kind.split()[0])(layer)


@pytest.mark.parametrize(
    "kind",
    ["weight_norm parametrisation", "spectral_norm parametrisation", "weight_norm hook", "spectral_norm hook"],
)
def test_wrapped_weights_go_to_the_arrays_as_the_forward_pass_uses_them(kind: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(wrapped(kind), nn.BatchNorm1d(4)).eval()
        model[1].running_var.uniform_(0.5, 2.0)
        x = torch.randn(8, 6)
    with torch.no_grad():
        # As by a training step or loaded weights: what stands in `weight` of a hook is out of date.
        for name, parameter in model[0].named_parameters():
            if name != "bias":
                parameter *= 1.7
    converted = convert(model, design("A"))
    assert (
        [layer.name for layer in analog_layers(converted)] == [shape.name for shape in layer_shapes(model, x)] == ["0"]
    )
    with torch.no_grad():
        torch.testing.assert_close(float_output(converted, x), model(x))
    torch.testing.assert_close(fine_output(model, x), model(x), rtol=0, atol=5e-3)


def test_what_a_hook_does_to_the_output_stays_digital() -> None:
    seen: list[tuple[int, ...]] = []
    layer, x = nn.Linear(3, 2), torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    layer.register_forward_hook(lambda module, arguments, output: seen.append(tuple(output.shape)))
    assert len(analog_layers(convert(layer, design("A")))) == 1
    layer.register_forward_hook(lambda module, arguments, output: output + 1.0)
    converted = convert(layer, design("A"))
    assert [analog.array.mapping.rows for analog in analog_layers(converted)] == [3]
    with torch.no_grad():
        torch.testing.assert_close(float_output(converted, x), layer(x))
        torch.testing.assert_close(fine_output(layer, x), layer(x), rtol=0, atol=2e-3)


def test_layers_without_a_shape_yet_are_refused() -> None:
    model = nn.Sequential(nn.LazyLinear(3))
    with pytest.raises(ConversionError, match=r"Layer '0' \(LazyLinear\) has weights without a shape: run the network"):
        convert(model, design("A"))
    with pytest.raises(ConversionError, match="run the network once before"):
        layer_shapes(model, torch.zeros(2, 4))
    model(torch.zeros(2, 4))
    assert len(analog_layers(convert(model, design("A")))) == 1


def test_a_layer_under_two_names_is_one_analog_layer_under_both() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(4, 4)
            self.b = self.a

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 1e9 else self.b(self.a(x))

    converted = convert(Tied(), design("A"))
    assert converted.a is converted.b
    assert [layer.name for layer in analog_layers(converted)] == ["a"]


def test_a_batch_norm_over_positions_is_not_taken_for_one_over_columns() -> None:
    """After a linear layer on sequences, batch norm acts on the positions; their number may be that of the columns."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, x = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).eval(), torch.randn(3, 4, 5)
        model[1].running_var.uniform_(0.5, 2.0)
    converted = calibrate(convert(model, design("A")), [(x[:, 0], None)])
    assert not any(isinstance(module, nn.BatchNorm1d) for module in converted.modules())
    with pytest.raises(ConversionError, match=r"Layer '0': .* runs on \(3, 4, 5\), .*--exclude 0"):
        converted(x)
    with torch.no_grad():
        torch.testing.assert_close(float_output(converted, x[:, 0]), model(x[:, 0]))
    for kept in (calibrate(convert(model, design("A")), [(x, None)]), convert(model, design("A"), example=x)):
        assert any(isinstance(module, nn.BatchNorm1d) for module in kept.modules())
        assert [layer.name for layer in analog_layers(kept)] == ["0", "2"]
        with torch.no_grad():
            torch.testing.assert_close(float_output(kept, x), model(x))
    digital = convert(model, design("A"), exclude=["0"])
    with torch.no_grad():
        torch.testing.assert_close(float_output(digital, x), model(x))


def test_attention_may_be_excluded_as_a_whole_or_in_part() -> None:
    model = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)).eval()
    x = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(0))
    for exclude, names in (
        ("0.self_attn", ["0.linear1", "0.linear2"]),
        ("*.?_proj", ["0.self_attn.out_proj", "0.linear1", "0.linear2"]),
    ):
        converted = convert(model, design("A"), exclude=[exclude])
        assert [layer.name for layer in analog_layers(converted)] == names
        assert [shape.name for shape in layer_shapes(model, x, exclude=[exclude])] == names
        with torch.no_grad():
            torch.testing.assert_close(float_output(converted, x), model(x))
    with pytest.raises(ConversionError, match=r"Unknown layer or pattern '0\.self_atn'"):
        layer_shapes(model, x, exclude=["0.self_atn"])
    rows = nn.Sequential(nn.MultiheadAttention(8, 2, add_bias_kv=True), nn.Linear(8, 2))
    assert isinstance(convert(rows, design("A"), exclude=["0"]).get_submodule("0"), nn.MultiheadAttention)


def _negated(module: nn.Module, inputs: object, outputs: torch.Tensor) -> torch.Tensor:
    return -outputs


@pytest.mark.parametrize("how", ["a function in its place", "a hook after it", "a hook before it"])
def test_a_relu_that_computes_something_else_is_not_taken_over(how: str) -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    if how == "a function in its place":
        model[1].forward = torch.neg  # type: ignore[method-assign]
    elif how == "a hook after it":
        model[1].register_forward_hook(_negated)
    else:
        model[1].register_forward_pre_hook(lambda module, inputs: (-inputs[0],))
    inputs = torch.rand(5, 6)
    with torch.inference_mode():
        torch.testing.assert_close(fine_output(model, inputs), model(inputs), atol=1e-3, rtol=0.0)


class Residual(nn.Module):
    """A block whose two paths meet in a sum, written in one of the usual ways."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.first, self.conv1 = nn.Conv2d(3, 9, 3, padding=1), nn.Conv2d(9, 9, 3, padding=1)
        self.conv2 = nn.Conv2d(9, 9, 3, padding=1)
        self.shortcut, self.norm, self.relu = nn.Conv2d(9, 9, 1), nn.BatchNorm2d(9), nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        out = self.norm(self.conv2(torch.relu(self.conv1(x))))
        if self.how == "in place":
            out += x
            return self.relu(out)
        if self.how == "into the shortcut":
            x += out
            return self.relu(x)
        if self.how == "projected":
            return self.relu(torch.add(self.shortcut(x), out))
        if self.how == "without a ReLU":
            return x + out
        if self.how == "read twice":
            return torch.relu(out + x) * out
        if self.how == "changed in between":
            out = self.conv2(x)
            x.mul_(0.5)
            return torch.relu(out + x)
        if self.how == "of one output":
            return torch.relu(out + out.mean(dim=1, keepdim=True))
        return torch.relu(out + x)


@pytest.mark.parametrize(
    ("how", "taken"),
    [
        ("plain", 1),
        ("in place", 1),
        ("into the shortcut", 1),
        ("projected", 1),
        ("without a ReLU", 1),
        ("read twice", 0),
        ("changed in between", 0),
        ("of one output", 0),
    ],
)
def test_sums_are_taken_over_where_nothing_else_sees_the_layer(how: str, taken: int) -> None:
    """The network computes the same bits as with a hook on its layers, which see their own outputs then."""
    torch.manual_seed(0)
    model, x = Residual(how).eval(), torch.randn(4, 3, 8, 8)
    model.norm.running_mean.normal_()
    converted = calibrate(convert(model, design("A"), "sonos_40nm_tcas2022"), [(x, None)])
    nodes = [node for node in converted.graph.nodes if node.target is with_sum]  # type: ignore[attr-defined, union-attr]
    assert len(nodes) == taken
    with torch.inference_mode():
        found, wide = converted(x), converted(torch.cat([x, torch.full_like(x[:1], torch.inf)]))
        torch.testing.assert_close(float_output(converted, x.clone()), model(x.clone()), rtol=1e-4, atol=1e-5)
        seen: dict[str, torch.Tensor] = {}
        for layer in analog_layers(converted):
            layer.register_forward_hook(lambda layer, _, output: seen.update({layer.name: output.clone()}))
        assert torch.equal(converted(x), found)
        assert seen.keys() >= {"first", "conv2"}
        again = converted(torch.cat([x, torch.full_like(x[:1], torch.inf)]))
    torch.testing.assert_close(wide, again, rtol=0.0, atol=0.0, equal_nan=True)
    if how != "of one output":
        # Means over channels depend on the order of memory.
        assert torch.equal(wide[:4], found)
    if how == "changed in between":
        # torch refuses gradients of what is changed in place.
        return
    inputs = x.clone().requires_grad_()
    converted(inputs).sum().backward()
    assert inputs.grad is not None
    assert float(inputs.grad.abs().sum()) > 0


def test_what_is_put_in_a_layers_place_is_asked() -> None:
    torch.manual_seed(0)
    model, x = Residual("plain").eval(), torch.randn(4, 3, 8, 8)
    converted = calibrate(convert(model, design("A"), "sonos_40nm_tcas2022"), [(x, None)])
    with torch.inference_mode():
        (whole,) = (layer for layer in analog_layers(converted) if layer.name == "conv2")
        before, real = converted(x), whole.forward
        whole.forward = lambda inputs: 2 * real(inputs)
        doubled = converted(x)
        assert not torch.equal(doubled, before)
        del whole.forward
        assert torch.equal(converted(x), before)
        converted.conv2 = Doubled(whole)
        assert torch.equal(converted(x), doubled)


class Doubled(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * self.layer(x)


def test_a_sum_taken_over_goes_through_files() -> None:
    torch.manual_seed(0)
    model, x = Residual("plain").eval(), torch.randn(4, 3, 8, 8)
    converted = calibrate(convert(model, design("A"), "sonos_40nm_tcas2022"), [(x, None)])
    copied = pickle.loads(pickle.dumps(converted))
    with torch.inference_mode():
        assert torch.equal(copied(x), converted(x))
        assert torch.equal(copy.deepcopy(converted)(x), converted(x))


def test_a_layer_called_again_sees_whatever_changed_in_between() -> None:
    """Calls that are like the last one skip look-ups: each change that matters must be seen all the same."""
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Conv2d(3, 9, 3), nn.ReLU(), nn.Conv2d(9, 5, 3)).eval(), torch.rand(4, 3, 8, 8)
    converted = calibrate(convert(model, design("A"), "sonos_40nm_tcas2022"), [(x, None)])
    first, last = analog_layers(converted)
    array = last.array

    def output() -> torch.Tensor:
        with torch.inference_mode():
            once = converted(x)
            assert torch.equal(converted(x), once)
            # What a copy gives, which remembers no call.
            assert torch.equal(copy.deepcopy(converted)(x), once)
        return once

    before, seen = output(), array.inputs_seen
    assert last._last_call is not None
    assert output().equal(before)
    assert array.inputs_seen == seen + 2 * 4 * 9 * 6 * 6
    last.program(5)
    programmed = output()
    assert not programmed.equal(before)
    cells = array.cells
    array.idealise()
    assert not output().equal(programmed)
    array.take_cells(cells)
    assert output().equal(programmed)
    calibration = last.calibration
    assert calibration is not None
    last.set_calibration(dataclasses.replace(calibration, ranges=((-9.0, 9.0),)))
    assert not output().equal(programmed)
    last.set_calibration(calibration)
    assert output().equal(programmed)
    with torch.no_grad():
        last.digital.bias.add_(1.0)
    torch.testing.assert_close(output(), programmed + 1.0)
    with torch.no_grad():
        last.digital.bias.sub_(1.0)
        last.digital.weight.mul_(0.5)
    with pytest.raises(ConversionError, match="weights changed"), torch.inference_mode():
        converted(x)
    with torch.no_grad():
        last.digital.weight.mul_(2.0)
    torch.testing.assert_close(output(), programmed)
    with layer_mode([first, last], Mode.FLOAT), torch.inference_mode():
        torch.testing.assert_close(converted(x), model(x))
    inputs = x.clone().requires_grad_()
    converted(inputs).sum().backward()
    assert inputs.grad is not None
    infinite = x.clone()
    infinite[0, 0, 0, 0] = torch.inf
    with torch.inference_mode():
        assert not torch.isfinite(converted(infinite)).all()
        torch.testing.assert_close(converted(infinite)[1:], output()[1:])
        with pytest.raises(InputError, match="3 channels"):
            converted(x[:, :2])
        assert converted(x[:2]).equal(output()[:2])
        assert converted(x.to(memory_format=torch.channels_last)).equal(output())


def test_what_another_thread_draws_does_not_keep_a_network_from_being_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of a cluster have threads of their own, which draw random numbers now and then."""
    traced_once, calls = tracing._graph, []

    def interrupted(*arguments: object) -> object:
        calls.append(random.random() if not calls else 0.0)
        return traced_once(*arguments)  # type: ignore[arg-type]

    wanted = [layer.bias is not None for layer in analog_layers(convert(small_network(), design("A")))]
    monkeypatch.setattr(tracing, "_graph", interrupted)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConversionWarning)
        found = analog_layers(convert(small_network(), design("A")))
    assert len(calls) == 2
    assert [layer.bias is not None for layer in found] == wanted
