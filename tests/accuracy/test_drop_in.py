"""Analog layers stand in for their digital ones: shapes, types, attributes, values that are not finite, weights."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import accuracy
from accuracy import ConversionError, InputError, analog_layers, calibrate, convert, evaluate, layer_shapes
from accuracy.calibration.calibrate import ideal_cells, layer_mode
from accuracy.layers.layer_state import Mode
from circuits import load_design
from devicekit import load_device

DESIGNS = "ABCDE"
PRECISE = load_design("A").replace(weight_bits=16, bits_per_cell=15, adc_bits=None, input_bits=16)


def analog(net: nn.Module, x: Tensor, design: Any = "A", cell: Any = None) -> nn.Module:
    chosen = load_design(design) if isinstance(design, str) else design
    return calibrate(convert(net.eval(), chosen, cell), [(x, None)])


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 5)).eval()


def relative(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).double().norm() / wanted.double().norm())


@pytest.mark.parametrize("design", DESIGNS)
def test_inputs_that_do_not_fit_are_refused(design: str) -> None:
    linear = analog(nn.Sequential(nn.Linear(64, 4)), torch.rand(8, 64), design)
    conv = analog(nn.Sequential(nn.Conv2d(3, 4, 3)), torch.rand(2, 3, 8, 8), design)
    with torch.inference_mode():
        for width in (1, 15, 63, 65, 128):
            with pytest.raises(InputError, match=f"64 features along the last axis, but got shape \\(8, {width}\\)"):
                linear(torch.rand(8, width))
        for shape in ((2, 2, 8, 8), (2, 4, 8, 8), (3, 8), (1, 2, 3, 8, 8)):
            with pytest.raises(InputError, match="3 channels"):
                conv(torch.rand(shape))
        for wrong in (
            torch.zeros(8, 64, dtype=torch.long),
            torch.rand(8, 64) > 0.5,
            torch.rand(8, 64).to_sparse(),
            None,
        ):
            with pytest.raises(InputError, match="dense floating-point"):
                linear(wrong)
        with pytest.raises(InputError, match="output_size"):
            analog_layers(linear)[0](torch.rand(8, 64), [8])


@pytest.mark.parametrize("design", DESIGNS)
def test_values_that_are_not_finite_propagate_as_in_torch(design: str) -> None:
    torch.manual_seed(0)
    for net, x in (
        (mlp(), torch.rand(12, 16)),
        (nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 1)).eval(), torch.rand(3, 3, 7, 7)),
        (nn.Sequential(nn.ConvTranspose1d(3, 4, 3, stride=2)).eval(), torch.rand(3, 3, 9)),
    ):
        model = analog(net, x, design)
        with torch.inference_mode():
            clean = model(x)
            for value in (torch.nan, torch.inf, -torch.inf):
                bad = x.clone()
                bad[1].flatten()[4] = value
                found, wanted = model(bad), net(bad)
                gone = ~torch.isfinite(wanted)
                assert torch.equal(~torch.isfinite(found), gone)
                torch.testing.assert_close(found[gone], wanted[gone], equal_nan=True)
                torch.testing.assert_close(found[0], clean[0], rtol=0, atol=1e-5)


def test_large_finite_inputs_stay_numbers() -> None:
    model = analog(nn.Sequential(nn.Linear(16, 4)), torch.rand(8, 16))
    with torch.inference_mode():
        assert bool(torch.isfinite(model(torch.full((8, 16), 3e38))).all())


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("design", ["A", "E"])
def test_half_precision_in_and_out(kind: torch.dtype, design: str) -> None:
    net, x = mlp().to(kind), torch.randn(64, 16).to(kind)
    model = analog(net, x, design)
    with torch.inference_mode():
        found = model(x)
        assert found.dtype == kind
        assert relative(found, net(x)) < 0.06
        single = analog(copy.deepcopy(net).float(), x.float(), design)
        assert relative(found, single(x.float())) < 0.02
    assert evaluate(model, [(x, net(x).argmax(dim=1))], 1).baseline == 1.0
    assert accuracy.measure_activity(model, [(x, None)])


@pytest.mark.parametrize("design", DESIGNS)
def test_unbatched_empty_strided_and_deep_inputs(design: str) -> None:
    torch.manual_seed(0)
    linear = analog(nn.Sequential(nn.Linear(16, 5)), torch.rand(8, 16), design)
    conv = analog(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1)), torch.rand(2, 3, 8, 8), design)
    x, picture = torch.rand(8, 16), torch.rand(2, 3, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(linear(x[0]), linear(x)[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(conv(picture[0]), conv(picture)[0], rtol=0, atol=1e-5)
        assert linear(x[:0]).shape == (0, 5)
        assert linear(x.reshape(2, 4, 16)[:, :0]).shape == (2, 0, 5)
        assert conv(picture[:0]).shape == (0, 4, 8, 8)
        torch.testing.assert_close(linear(x.t().contiguous().t()), linear(x), rtol=0, atol=1e-5)
        torch.testing.assert_close(linear(x[:1].expand(8, 16)), linear(x[:1]).expand(8, 5), rtol=0, atol=1e-5)
        torch.testing.assert_close(linear(x.reshape(2, 2, 2, 16)), linear(x).reshape(2, 2, 2, 5), rtol=0, atol=1e-5)
        last = picture.to(memory_format=torch.channels_last)
        torch.testing.assert_close(conv(last), conv(picture), rtol=0, atol=1e-5)
        torch.testing.assert_close(conv(picture.transpose(2, 3)), conv(picture.transpose(2, 3).contiguous()))


def test_the_output_size_of_transposed_convolutions() -> None:
    class Up(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.up(x, output_size=[x.shape[2] * 2, x.shape[3] * 2])

    net, x = Up().eval(), torch.rand(2, 3, 5, 6)
    model = analog(net, x, PRECISE)
    with torch.inference_mode():
        assert relative(model(x), net(x)) < 1e-3
        assert analog_layers(model)[0](x).shape == (2, 4, 9, 11), "the next call is not touched"


def test_attributes_of_the_digital_layer() -> None:
    class Looks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.c = nn.Linear(16, 5), nn.Conv1d(1, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = x.to(self.a.weight.dtype).to(self.a.weight.device)
            return self.a(x) + self.c(x[:, None]).mean() + self.a.bias.sum()

    model = analog(Looks(), torch.rand(8, 16))
    linear, conv = analog_layers(model)
    assert (linear.in_features, linear.out_features, linear.weight.shape) == (16, 5, (5, 16))
    assert (conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride) == (1, 2, (3,), (1,))
    assert linear.weight is linear.digital.weight
    with pytest.raises(AttributeError):
        _ = linear.no_such_thing


def test_copies_keep_hooks_and_weights() -> None:
    x = torch.rand(8, 16)
    model = analog(mlp(), x, "A", load_device("sonos_40nm_tcas2022"))
    calls: list[str] = []
    analog_layers(model)[0].register_forward_hook(lambda *_: calls.append("hook"))
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(analog_layers(model)[1]))]
    with torch.inference_mode():
        torch.testing.assert_close(copies[0](x), model(x), rtol=0, atol=0)
        hidden = torch.rand(8, 32)
        torch.testing.assert_close(copies[1](hidden), analog_layers(model)[1](hidden), rtol=0, atol=0)
    assert calls == ["hook", "hook"]


@pytest.mark.filterwarnings("ignore::accuracy.ConversionWarning")
@pytest.mark.parametrize("exclude", [(), ("self_attn*",)])
def test_the_fused_transformer_layer_does_not_go_around_the_arrays(exclude: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    net, x = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval(), torch.rand(3, 5, 16)
    model = calibrate(convert(net, load_design("A").replace(adc_bits=3), exclude=exclude), [(x, None)])
    seen: list[Tensor] = []
    for layer in analog_layers(model):
        layer.register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.inference_mode():
        assert relative(model(x), net(x)) > 1e-3, "three bits show"
    assert len(seen) == len(analog_layers(model)) >= 2


@pytest.mark.filterwarnings("ignore::accuracy.ConversionWarning")
@pytest.mark.parametrize("exclude", [(), ("*self_attn*",)])
def test_an_encoder_with_padding_runs_on_arrays(exclude: tuple[str, ...]) -> None:
    """Torch turns padded sequences into nested tensors for its fused kernel, which arrays cannot read."""

    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
            self.encoder, self.head = nn.TransformerEncoder(layer, 2), nn.Linear(16, 3)

        def forward(self, src: Tensor, mask: Tensor) -> Tensor:
            return self.head(self.encoder(src, src_key_padding_mask=mask)[:, 0])

    torch.manual_seed(0)
    net, x = Pooled().eval(), torch.rand(3, 5, 16)
    mask = torch.zeros(3, 5, dtype=torch.bool)
    mask[0, 3:] = True
    model = calibrate(convert(net, load_design("A"), exclude=exclude), [((x, mask), None)])
    seen: list[Tensor] = []
    for layer in analog_layers(model):
        layer.register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.no_grad():
        assert relative(model(x, mask), net(x, mask)) < 0.1
    assert len(seen) == len(analog_layers(model)) >= 5


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_and_compiled_models_are_refused_in_words() -> None:
    scripted = torch.jit.trace(mlp(), torch.rand(2, 16))
    with pytest.raises(ConversionError, match="scripted or traced"):
        convert(scripted, load_design("A"))
    with pytest.raises(ConversionError, match="_orig_mod"):
        convert(torch.compile(mlp()), load_design("A"))


def test_a_single_layer_has_one_name() -> None:
    net, x = nn.Linear(16, 5).eval(), torch.rand(8, 16)
    model = analog(net, x)
    assert analog_layers(model)[0].name == layer_shapes(net, x)[0].name == "linear"
    assert accuracy.calibration_report(model)[0]["layer"] == "linear"


# -- weights ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("design", ["A", "D", "E"])
def test_loaded_weights_reach_the_arrays(design: str) -> None:
    x, cell = torch.randn(64, 16), load_device("sonos_40nm_tcas2022")
    one = mlp()
    torch.manual_seed(7)
    two = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 5)).eval()
    first, second = (calibrate(convert(net, load_design(design), cell, seed=3), [(x, None)]) for net in (one, two))
    assert "matched" in str(first.load_state_dict(second.state_dict()))
    with torch.inference_mode():
        assert torch.equal(first(x), second(x)), "the same seed, the same chips"
        with ideal_cells(analog_layers(first)):
            assert relative(first(x), two(x)) < 0.1
    y = two(x).argmax(dim=1)
    assert evaluate(first, [(x, y)], 1).ideal == evaluate(second, [(x, y)], 1).ideal > 0.8
    partial = {key: value for key, value in one.state_dict().items() if key.startswith("2.")}
    renamed = {key.replace("2.", "2.digital."): value for key, value in partial.items()}
    before = analog_layers(first)[0].array
    first.load_state_dict(renamed, strict=False)
    assert analog_layers(first)[0].array is before, "what did not change is not mapped again"
    torch.testing.assert_close(analog_layers(first)[1].digital.weight, one[2].weight)
    assert not analog_layers(first)[1].is_stale(thoroughly=True)


@pytest.mark.parametrize("change", ["optimiser", "in place", "replaced", "data"])
def test_changed_weights_are_refused_until_they_are_mapped_again(change: str) -> None:
    x = torch.randn(64, 16)
    model = analog(mlp(), x, "A", load_device("sonos_40nm_tcas2022"))
    layer = analog_layers(model)[0]
    weight = layer.digital.weight
    with torch.inference_mode():
        model(x)
    if change == "optimiser":
        optimiser = torch.optim.SGD(layer.digital.parameters(), lr=0.1)
        weight.grad = torch.randn_like(weight)
        layer.digital.bias.grad = torch.zeros_like(layer.digital.bias)
        optimiser.step()
    elif change == "in place":
        with torch.no_grad():
            weight.mul_(torch.rand_like(weight))
    elif change == "replaced":
        layer.digital.weight = nn.Parameter(torch.randn_like(weight))
    else:
        weight.data.copy_(torch.randn_like(weight))
    with torch.inference_mode():
        if change != "data":  # which torch does not count
            with pytest.raises(ConversionError, match="synchronize"):
                model(x)
        assert accuracy.synchronize(model) is model
        array = layer.array
        assert accuracy.synchronize(model) is model
        assert layer.array is array, "nothing changed since"
        calibrate(model, [(x, None)])
        with layer_mode(analog_layers(model), Mode.FLOAT):
            wanted = model(x)
        with ideal_cells(analog_layers(model)):
            assert relative(model(x), wanted) < 0.1
    with torch.no_grad():
        weight = layer.digital.weight
        weight.data.mul_(1.5)
    assert layer.is_stale(thoroughly=True)
    evaluate(model, [(x, torch.zeros(64, dtype=torch.long))], 1)
    assert not layer.is_stale(thoroughly=True), "evaluation maps them again"


# -- random shapes ------------------------------------------------------------------------------------------------


@st.composite
def layers_and_inputs(draw: st.DrawFn) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(draw(st.integers(0, 1000)))
    small = st.integers(1, 5)
    if draw(st.booleans()):
        rows, columns = draw(st.integers(1, 40)), draw(st.integers(1, 20))
        net: nn.Module = nn.Linear(rows, columns, bias=draw(st.booleans()))
        shape = (*draw(st.lists(small, max_size=3)), rows)
    else:
        axes, groups = draw(st.integers(1, 3)), draw(st.sampled_from([1, 1, 2, 3]))
        channels, columns = groups * draw(small), groups * draw(small)
        kernel, stride, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
        kinds: dict[tuple[int, bool], type[nn.Module]] = {
            (1, False): nn.Conv1d,
            (2, False): nn.Conv2d,
            (3, False): nn.Conv3d,
            (1, True): nn.ConvTranspose1d,
            (2, True): nn.ConvTranspose2d,
            (3, True): nn.ConvTranspose3d,
        }
        made = kinds[axes, draw(st.booleans())]
        padding = draw(st.integers(0, 1))
        net = made(
            channels, columns, kernel, stride, padding, groups=groups, dilation=dilation, bias=draw(st.booleans())
        )
        least = dilation * (kernel - 1) + 1 + 2
        sides = [least + draw(st.integers(0, 4)) for _ in range(axes)]
        shape = (*([draw(small)] if draw(st.booleans()) else []), channels, *sides)
    x = torch.randn(shape) if draw(st.booleans()) else torch.rand(shape)
    if draw(st.booleans()) and x.dim() > 1:
        x = x.transpose(0, 1).contiguous().transpose(0, 1)
    if draw(st.booleans()):
        x = torch.stack([x, x], dim=-1)[..., 0]
    return net.eval(), x


def against_torch(net: nn.Module, x: Tensor, design: str) -> None:
    """Eight-bit designs agree with torch within their resolution; layout of the input changes nothing."""
    model = calibrate(convert(net, load_design(design)), [(x, None)])
    with torch.inference_mode():
        found, wanted = model(x), net(x)
        assert found.shape == wanted.shape
        assert found.dtype == wanted.dtype
        scale = float(wanted.abs().max()) + 1e-6
        # Ranges hold the inner 99.98 % of currents, so single outputs may be clipped.
        assert float((found - wanted).norm()) < 0.25 * float(wanted.norm()) + 0.02 * wanted.numel() ** 0.5
        torch.testing.assert_close(model(x.contiguous()), found, rtol=0, atol=1e-4 * scale)


FUZZ = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}


@settings(max_examples=25, derandomize=True, **FUZZ)
@given(layers_and_inputs(), st.sampled_from("ABCDE"))
def test_random_layers_and_shapes_agree_with_torch(layer: tuple[nn.Module, Tensor], design: str) -> None:
    against_torch(*layer, design)


@pytest.mark.slow
@settings(max_examples=1500, **FUZZ)
@given(layers_and_inputs(), st.sampled_from("ABCDE"))
def test_many_random_layers_and_shapes_agree_with_torch(layer: tuple[nn.Module, Tensor], design: str) -> None:
    against_torch(*layer, design)
