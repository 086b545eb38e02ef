"""Layer shapes by tracing: a network counted by hand, published totals, every kind of layer, the named errors."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import accuracy
from accuracy import EvaluationError, NetworkError, layer_shapes
from circuits import LayerShape


def test_digits_network_counted_by_hand() -> None:
    model = accuracy.networks.load("digits_cnn")
    assert layer_shapes(model, torch.zeros(3, 1, 8, 8)) == [
        LayerShape(name="conv1", rows=9, columns=25, mvms=64, kind="conv2d"),
        LayerShape(name="conv2", rows=225, columns=32, mvms=64, kind="conv2d"),
        LayerShape(name="conv3", rows=288, columns=32, mvms=16, kind="conv2d"),
        LayerShape(name="fc", rows=32, columns=10, mvms=1, kind="linear", bias=True),
    ]


def test_resnet50_v1_5_has_the_published_weights_and_operations() -> None:
    model = accuracy.networks.load("resnet50_v1_5", "random")
    shapes = layer_shapes(model, torch.zeros(1, 3, 224, 224))
    assert sum(parameter.numel() for parameter in model.parameters()) == 25_557_032  # torchvision's count
    assert len(shapes) == 54
    assert sum(shape.weights for shape in shapes) == 25_502_912
    assert sum(shape.macs for shape in shapes) == 4_089_184_256  # 4.09 G, torchvision's table of weights
    # v1.5: the 3 x 3 convolution takes the stride, so the 1 x 1 before it still runs at full size.
    mvms = {shape.name: shape.mvms for shape in shapes}
    assert (mvms["layer2.0.conv1"], mvms["layer2.0.conv2"]) == (56 * 56, 28 * 28)


@settings(deadline=None)
@given(
    dimensions=st.integers(1, 3),
    transposed=st.booleans(),
    groups=st.sampled_from([1, 2, 6]),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
    batch=st.integers(1, 3),
)
def test_every_convolution_counts_its_own_output(
    dimensions: int, transposed: bool, groups: int, kernel: int, stride: int, batch: int
) -> None:
    kinds = {
        (1, False): nn.Conv1d, (2, False): nn.Conv2d, (3, False): nn.Conv3d,
        (1, True): nn.ConvTranspose1d, (2, True): nn.ConvTranspose2d, (3, True): nn.ConvTranspose3d,
    }  # fmt: skip
    layer = kinds[dimensions, transposed](6, 12, kernel, stride=stride, groups=groups, bias=False)
    example = torch.zeros(batch, 6, *(5,) * dimensions)
    (shape,) = layer_shapes(layer, example)
    output = layer(example)
    assert shape.weights == layer.weight.numel()
    assert shape.mvms == output[0, 0].numel()
    assert shape.groups == groups
    assert shape.rows == 6 // groups * kernel**dimensions
    assert shape.kind == f"conv{'_transpose' if transposed else ''}{dimensions}d"
    assert not shape.bias


def test_attention_is_four_projections_whatever_path_torch_takes() -> None:
    fused = torch.backends.mha.get_fastpath_enabled()
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2)
    shapes = layer_shapes(encoder, torch.zeros(3, 5, 16))
    assert [shape.name.removeprefix("layers.0.") for shape in shapes[:6]] == [
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "linear1", "linear2",
    ]  # fmt: skip
    assert {shape.mvms for shape in shapes} == {5}
    stored = sum(p.numel() for name, p in encoder.named_parameters() if p.ndim == 2)
    assert sum(shape.weights for shape in shapes) == stored
    assert torch.backends.mha.get_fastpath_enabled() is fused


def test_cross_attention_with_other_widths_and_keywords() -> None:
    class Cross(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, kdim=6, vdim=4, bias=False)

        def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
            return self.attention(query, value=value, key=key)[0]

    example = (torch.zeros(3, 2, 8), torch.zeros(7, 2, 6), torch.zeros(7, 2, 4))
    shapes = layer_shapes(Cross(), example, batch_size=2)
    assert [(s.rows, s.columns, s.mvms, s.bias) for s in shapes] == [
        (8, 8, 3, False), (6, 8, 7, False), (4, 8, 7, False), (8, 8, 3, False),
    ]  # fmt: skip


def test_shared_layers_add_up_and_unused_ones_do_not_count() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared = nn.Linear(4, 4)
            self.unused = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.shared(self.shared(x))

    assert layer_shapes(Twice(), torch.zeros(2, 4)) == [
        LayerShape(name="shared", rows=4, columns=4, mvms=2, kind="linear", bias=True)
    ]


def test_the_model_is_left_as_it_was() -> None:
    model = accuracy.networks.load("digits_cnn").train()
    model.bn2.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    layer_shapes(model, torch.ones(2, 1, 8, 8))
    assert model.bn1.training
    assert not model.bn2.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_named_errors() -> None:
    model = accuracy.networks.load("digits_cnn")
    with pytest.raises(NetworkError, match=r"DigitsCNN does not run on an example of shape \(2, 3, 8, 8\): "):
        layer_shapes(model, torch.zeros(2, 3, 8, 8))
    assert not any(module._forward_hooks for module in model.modules())
    with pytest.raises(NetworkError, match=r"ran without a layer that is a matrix \(linear, convolution"):
        layer_shapes(nn.ReLU(), torch.zeros(2, 3))
    with pytest.raises(NetworkError, match="'linear' made 6 products for an example taken as 4 inferences"):
        layer_shapes(nn.Linear(4, 2), torch.zeros(6, 4), batch_size=4)
    with pytest.raises(NetworkError, match="at least one inference, but got 0"):
        layer_shapes(model, torch.zeros(0, 1, 8, 8))
    with pytest.raises(EvaluationError, match="holds no tensor"):
        layer_shapes(model, ())
