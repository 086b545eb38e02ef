"""Recurrent layers as linear ones: torch's own output to rounding, in every option."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_sequence

from accuracy import ConversionError, analog_layers, calibrate, convert, coverage
from accuracy.layer_kinds.recurrent import ProjectedCell, ProjectedRecurrent
from circuits import CoreDesign
from tests.accuracy.small_networks import design

PRECISE = CoreDesign(weight_bits=16, bits_per_cell=15, input_bits=16, bits_per_input_slice=None, adc_bits=None)
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

OPTIONS: list[tuple[type[nn.RNNBase], dict[str, Any]]] = [
    (kind, {"num_layers": layers, "bidirectional": both, "batch_first": first, "bias": bias, **more})
    for layers, both, first, bias in itertools.product((1, 3), (False, True), (False, True), (False, True))
    for kind, more in (
        (nn.RNN, {}),
        (nn.RNN, {"nonlinearity": "relu"}),
        (nn.LSTM, {}),
        (nn.LSTM, {"proj_size": 3}),
        (nn.GRU, {}),
    )
]


def calls(layer: Any, generator: torch.Generator) -> list[tuple[Any, ...]]:
    """Batched, single and packed sequences, with and without a first state."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def state(*batch: int) -> Any:
        count = layer.num_layers * (2 if layer.bidirectional else 1)
        hidden = normal(count, *batch, layer.proj_size or layer.hidden_size)
        return (hidden, normal(count, *batch, layer.hidden_size)) if layer.mode == "LSTM" else hidden

    x = normal(*((4, 6) if layer.batch_first else (6, 4)), layer.input_size)
    single = normal(6, layer.input_size)
    found: list[tuple[Any, ...]] = [(x,), (x, state(4)), (single,), (single, state())]
    for lengths, ordered in (((3, 6, 1, 4), False), ((6, 4, 4, 2), True)):
        parts = pad_sequence([normal(length, layer.input_size) for length in lengths], layer.batch_first)
        packed = pack_padded_sequence(parts, torch.tensor(lengths), layer.batch_first, enforce_sorted=ordered)
        found += [(packed,), (packed, state(4))]
    return found


@pytest.mark.parametrize(("kind", "options"), OPTIONS)
def test_the_layer_written_out_is_torchs(kind: Any, options: dict[str, Any]) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = kind(5, 7, **options).double().eval()
    written = ProjectedRecurrent(layer)
    for arguments in calls(layer, torch.Generator().manual_seed(1)):
        with torch.no_grad():
            wanted, found = layer(*arguments), written(*arguments)
        assert type(found[0]) is type(wanted[0])
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
@pytest.mark.parametrize("bias", [True, False])
def test_the_cell_written_out_is_torchs(kind: Any, bias: bool) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        cell, x, h, c = kind(5, 7, bias=bias).double().eval(), *(torch.randn(3, n).double() for n in (5, 7, 7))
    written = ProjectedCell(cell)
    state: Any = (h, c) if kind is nn.LSTMCell else h
    one: Any = (h[0], c[0]) if kind is nn.LSTMCell else h[0]
    with torch.no_grad():
        for arguments in ((x,), (x, state), (x[0],), (x[0], one)):
            torch.testing.assert_close(written(*arguments), cell(*arguments), rtol=1e-12, atol=1e-12)


class Reader(nn.Module):
    """Reads sequences of several lengths."""

    def __init__(self, kind: type[nn.RNNBase], **options: Any) -> None:
        super().__init__()
        self.rnn = kind(5, 7, bidirectional=True, batch_first=True, **options)  # type: ignore[call-arg, arg-type]
        self.head = nn.Linear(2 * (options.get("proj_size") or 7), 3)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        self.rnn.flatten_parameters()
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        outputs = self.rnn(packed)[0]
        assert isinstance(outputs, PackedSequence)
        return self.head(outputs.data)


@pytest.mark.parametrize(("kind", "options"), [(nn.RNN, {}), (nn.LSTM, {}), (nn.LSTM, {"proj_size": 3}), (nn.GRU, {})])
def test_a_precise_design_gives_torchs_output_on_packed_sequences(kind: Any, options: dict[str, Any]) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, x, lengths = Reader(kind, **options).eval(), torch.randn(4, 6, 5), torch.tensor([3, 6, 1, 4])
    converted = calibrate(convert(model, PRECISE), [((x, lengths), None)])
    for layer in analog_layers(converted):
        found = layer.require_calibration()
        found.x_min, found.x_max = 2 * found.x_min, 2 * found.x_max
    with torch.no_grad():
        wanted = model(x, lengths)
        torch.testing.assert_close(converted(x, lengths), wanted, rtol=0, atol=1e-3 * float(wanted.abs().max()))
    covered = coverage(converted)
    assert covered.analog_weights == covered.analog_macs == 1.0
    assert len(covered.matrices) == (7 if options else 5)


def test_shapes_that_do_not_fit_are_refused() -> None:
    converted = convert(nn.Sequential(nn.GRU(5, 7)), design("A"))
    written = converted.get_submodule("0")
    for arguments, text in (
        ((torch.zeros(6, 4, 4),), "Expected inputs of 5 features, but got 4"),
        ((torch.zeros(6, 4, 5), torch.zeros(1, 1, 7)), r"Expected a state of shape \(1, 4, 7\), but got \(1, 1, 7\)"),
        ((torch.zeros(6, 4, 4, 5),), "2 or 3 dimensions"),
    ):
        with pytest.raises(ConversionError, match=text):
            written(*arguments)
