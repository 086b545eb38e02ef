"""Recurrent layers with their matrices as linear layers: one on the inputs, one on the state, for each layer and way.

Gates, products of gates with states and the recurrence itself stay digital.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from accuracy.errors import ConversionError
from accuracy.layer_kinds.examples import RandomInput
from accuracy.layer_kinds.kind import CompositeKind
from accuracy.layer_kinds.linear import plain_linear

State = Tensor | tuple[Tensor, Tensor]


def next_state(mode: str, of_input: Tensor, of_state: Tensor, state: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Return hidden state and memory after one step, before any projection.

    Args:
        mode: ``"LSTM"``, ``"GRU"``, ``"RNN_TANH"`` or ``"RNN_RELU"``, with the equations of torch's documentation.
        of_input: what the matrix of inputs gives, shape (batch, gates * hidden).
        of_state: what the matrix of the state gives, the same shape.
        state: hidden state before, shape (batch, hidden).
        memory: an LSTM's cell state before, shape (batch, hidden); returned unchanged by the others.
    """
    if mode == "LSTM":
        entering, kept, new, shown = (of_input + of_state).chunk(4, dim=-1)
        memory = torch.sigmoid(kept) * memory + torch.sigmoid(entering) * torch.tanh(new)
        return torch.sigmoid(shown) * torch.tanh(memory), memory
    if mode == "GRU":
        (reset, update, new), (reset_h, update_h, new_h) = of_input.chunk(3, dim=-1), of_state.chunk(3, dim=-1)
        new = torch.tanh(new + torch.sigmoid(reset + reset_h) * new_h)
        kept = torch.sigmoid(update + update_h)
        return (1.0 - kept) * new + kept * state, memory
    total = of_input + of_state
    return (torch.tanh(total) if mode == "RNN_TANH" else torch.relu(total)), memory


class ProjectedRecurrent(nn.Module):
    """What `torch.nn.LSTM`, `GRU` or `RNN` computes in inference mode, with layers ``ih_l0``, ``hh_l0`` and so on.

    Layers are called as torch names their weights: ``ih_l1_reverse`` is the second layer's matrix of inputs in the
    backward direction; ``hr_l0`` projects an LSTM's hidden state. A packed sequence is run padded, so that every step
    of the longest sequence drives the arrays for all sequences; what lies behind the end of one does not count.

    Args:
        original: the layer it stands for.
    """

    def __init__(self, original: nn.RNNBase):
        super().__init__()
        self.mode, self.bias, self.dropout = original.mode, original.bias, original.dropout
        self.input_size, self.hidden_size, self.proj_size = (
            original.input_size, original.hidden_size, original.proj_size,
        )  # fmt: skip
        self.num_layers, self.bidirectional = original.num_layers, original.bidirectional
        self.batch_first = original.batch_first
        for end in self._ends():
            for part in ("ih", "hh", "hr") if self.proj_size else ("ih", "hh"):
                bias = getattr(original, f"bias_{part}{end}") if original.bias and part != "hr" else None
                self.add_module(part + end, plain_linear(getattr(original, f"weight_{part}{end}"), bias))

    def _ends(self) -> list[str]:
        """What the names of weights end in, in the order of states."""
        ways = ("", "_reverse") if self.bidirectional else ("",)
        return [f"_l{layer}{way}" for layer in range(self.num_layers) for way in ways]

    def flatten_parameters(self) -> None:
        """Do nothing: there is no fused kernel to lay weights out for."""

    def forward(self, input: Tensor | PackedSequence, hx: State | None = None) -> tuple[Any, State]:
        """Return (outputs, last state), as the original does.

        Raises:
            ConversionError: inputs or states of another shape than the layer's.
        """
        if isinstance(input, PackedSequence):
            x, lengths = pad_packed_sequence(input, batch_first=True)
            single = False
        else:
            x, lengths, single = input, None, input.dim() == 2
            if x.dim() not in (2, 3):
                raise ConversionError(f"Expected an input of 2 or 3 dimensions, but got shape {tuple(x.shape)}.")
            x = x.unsqueeze(0) if single else x if self.batch_first else x.transpose(0, 1)
        if x.shape[-1] != self.input_size:
            raise ConversionError(
                f"Expected inputs of {self.input_size} features, but got {x.shape[-1]} in shape {tuple(x.shape)}."
            )
        states, memories = self._begin(x, hx, single)
        last: list[tuple[Tensor, Tensor]] = []
        ways = 2 if self.bidirectional else 1
        ends = self._ends()
        for layer in range(self.num_layers):
            outputs = []
            for way in range(ways):
                index = layer * ways + way
                steps, state, memory = self._run(ends[index], x, states[index], memories[index], lengths, way == 1)
                outputs.append(steps)
                last.append((state, memory))
            x = torch.cat(outputs, dim=-1)
        state, memory = (torch.stack(parts) for parts in zip(*last, strict=True))
        if single:
            state, memory = state.squeeze(1), memory.squeeze(1)
        shown: Any = _packed(x, input) if isinstance(input, PackedSequence) else x
        if lengths is None:
            shown = x.squeeze(0) if single else x if self.batch_first else x.transpose(0, 1)
        return shown, (state, memory) if self.mode == "LSTM" else state

    def _begin(self, x: Tensor, hx: State | None, single: bool) -> tuple[Tensor, Tensor]:
        """Return the first hidden state and memory of every layer, shape (layers, batch, size) each."""
        count = self.num_layers * (2 if self.bidirectional else 1)
        given = (None, None) if hx is None else tuple(hx) if self.mode == "LSTM" else (hx, None)
        found = []
        for value, size in zip(given, (self.proj_size or self.hidden_size, self.hidden_size), strict=True):
            shape = (count, x.shape[0], size)
            if value is None:
                found.append(x.new_zeros(shape))
                continue
            value = value.unsqueeze(1) if single and value.dim() == 2 else value
            if tuple(value.shape) != shape:
                raise ConversionError(f"Expected a state of shape {shape}, but got {tuple(value.shape)}.")
            found.append(value)
        return found[0], found[1]

    def _run(
        self, end: str, x: Tensor, state: Tensor, memory: Tensor, lengths: Tensor | None, backward: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return outputs of one layer in one direction, shape (batch, steps, size), and its last state and memory."""
        of_inputs, project = getattr(self, f"ih{end}")(x), getattr(self, f"hr{end}", None)
        of_state = getattr(self, f"hh{end}")
        steps = range(x.shape[1])
        outputs: list[Tensor] = [state] * len(steps)
        for step in reversed(steps) if backward else steps:
            new, kept = next_state(self.mode, of_inputs[:, step], of_state(state), state, memory)
            new = new if project is None else project(new)
            if lengths is not None:
                runs = (step < lengths).to(x.device).unsqueeze(1)
                state, memory = torch.where(runs, new, state), torch.where(runs, kept, memory)
                outputs[step] = torch.where(runs, new, torch.zeros_like(new))
            else:
                state, memory, outputs[step] = new, kept, new
        return torch.stack(outputs, dim=1), state, memory


def _packed(x: Tensor, like: PackedSequence) -> PackedSequence:
    """Outputs (batch, steps, size) packed as the inputs were."""
    rows = x if like.sorted_indices is None else x[like.sorted_indices]
    data = torch.cat([rows[:count, step] for step, count in enumerate(like.batch_sizes.tolist())])
    return PackedSequence(data, like.batch_sizes, like.sorted_indices, like.unsorted_indices)


class ProjectedCell(nn.Module):
    """What `torch.nn.LSTMCell`, `GRUCell` or `RNNCell` computes, with layers ``ih`` and ``hh``.

    Args:
        original: the cell it stands for.
    """

    def __init__(self, original: nn.RNNCellBase):
        super().__init__()
        self.input_size, self.hidden_size, self.bias = original.input_size, original.hidden_size, original.bias
        self.mode = {nn.LSTMCell: "LSTM", nn.GRUCell: "GRU", nn.RNNCell: "RNN"}[
            next(kind for kind in (nn.LSTMCell, nn.GRUCell, nn.RNNCell) if isinstance(original, kind))
        ]
        if isinstance(original, nn.RNNCell):
            self.nonlinearity = original.nonlinearity
            self.mode = f"RNN_{original.nonlinearity.upper()}"
        self.ih = plain_linear(original.weight_ih, original.bias_ih)
        self.hh = plain_linear(original.weight_hh, original.bias_hh)

    def forward(self, input: Tensor, hx: State | None = None) -> State:
        """Return the next state, as the original does.

        Raises:
            ConversionError: inputs or states of another shape than the cell's.
        """
        single = input.dim() == 1
        x = input.unsqueeze(0) if single else input
        if x.dim() != 2 or x.shape[1] != self.input_size:
            raise ConversionError(f"Expected inputs of {self.input_size} features, but got shape {tuple(x.shape)}.")
        shape = (x.shape[0], self.hidden_size)
        if hx is None:
            state = memory = x.new_zeros(shape)
        else:
            given = hx if isinstance(hx, tuple | list) else (hx, hx)
            state, memory = (part.unsqueeze(0) if single else part for part in given)
            for part in (state, memory):
                if tuple(part.shape) != shape:
                    raise ConversionError(f"Expected a state of shape {shape}, but got {tuple(part.shape)}.")
        state, memory = next_state(self.mode, self.ih(x), self.hh(state), state, memory)
        if single:
            state, memory = state.squeeze(0), memory.squeeze(0)
        return (state, memory) if self.mode == "LSTM" else state


class RecurrentKind(CompositeKind):
    """`torch.nn.RNN`, `LSTM` and `GRU`: for each layer and direction a matrix of inputs and one of the state."""

    name = "recurrent"
    modules = (nn.RNN, nn.LSTM, nn.GRU)

    def rewrite(self, module: nn.Module) -> nn.Module:
        """Return the layer with its matrices as linear layers."""
        assert isinstance(module, nn.RNNBase)
        return ProjectedRecurrent(module)

    def examples(self, module: nn.Module, random: RandomInput) -> list[tuple[Any, ...]]:
        """Return a batch of two sequences, alone and with a first state."""
        assert isinstance(module, nn.RNNBase)
        layers = module.num_layers * (2 if module.bidirectional else 1)
        state: Any = random(layers, 2, module.proj_size or module.hidden_size)
        if module.mode == "LSTM":
            state = (state, random(layers, 2, module.hidden_size))
        x = random(*((2, 3) if module.batch_first else (3, 2)), module.input_size)
        return [(x,), (x, state)]


class RecurrentCellKind(CompositeKind):
    """`torch.nn.RNNCell`, `LSTMCell` and `GRUCell`: a matrix of inputs and one of the state."""

    name = "recurrent cell"
    modules = (nn.RNNCell, nn.LSTMCell, nn.GRUCell)

    def rewrite(self, module: nn.Module) -> nn.Module:
        """Return the cell with its matrices as linear layers."""
        assert isinstance(module, nn.RNNCellBase)
        return ProjectedCell(module)

    def examples(self, module: nn.Module, random: RandomInput) -> list[tuple[Any, ...]]:
        """Return two inputs, alone and with a state."""
        assert isinstance(module, nn.RNNCellBase)
        x, state = random(2, module.input_size), random(2, module.hidden_size)
        second: Any = (state, random(2, module.hidden_size)) if isinstance(module, nn.LSTMCell) else state
        return [(x,), (x, second)]
