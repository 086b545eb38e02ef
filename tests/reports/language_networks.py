"""Small networks and data as users of language models bring them, named by file and function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WORDS = 11
LENGTH = 6


def _walk(count: int, seed: int) -> Tensor:
    """Sequences in which each token is mostly the one before plus 1 or 2, so that there is something to learn."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randint(1, 3, (count, LENGTH + 1), generator=generator)
    steps[:, ::3] = torch.randint(0, WORDS, steps[:, ::3].shape, generator=generator)
    return steps.cumsum(dim=1) % WORDS


def tokens() -> dict[str, Any]:
    """Inputs, and as labels the token after each."""
    parts = {"calibration": _walk(80, 0), "test": _walk(20, 1)}
    return {name: (walk[:, :-1].contiguous(), walk[:, 1:].contiguous()) for name, walk in parts.items()}


def _trained(model: nn.Module) -> nn.Module:
    inputs, labels = tokens()["calibration"]
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(25):
        optimiser.zero_grad()
        F.cross_entropy(model(inputs).flatten(0, 1), labels.flatten()).backward()
        optimiser.step()
    return model


class Recurrent(nn.Module):
    """Look-up, LSTM and head."""

    def __init__(self, batch_first: bool = True) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, 8)
        self.lstm = nn.LSTM(8, 12, batch_first=batch_first)
        self.head = nn.Linear(12, WORDS)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.lstm(self.embed(tokens))[0])


def lstm() -> nn.Module:
    return _trained(Recurrent())


class Conv1D(nn.Module):
    """A linear layer whose weight is (inputs, outputs), as GPT-2's is."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.1 * torch.randn(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.weight).reshape(*x.shape[:-1], -1)


class Gpt(nn.Module):
    """One block of a GPT-2 with two heads, causal attention written out, the head tied to no look-up."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(WORDS, width), nn.Embedding(LENGTH, width)
        self.ln_1, self.ln_2, self.ln_f = (nn.LayerNorm(width) for _ in range(3))
        self.c_attn, self.c_proj = Conv1D(width, 3 * width), Conv1D(width, width)
        self.c_fc, self.mlp_proj = Conv1D(width, 2 * width), Conv1D(2 * width, width)
        self.lm_head = nn.Linear(width, WORDS, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        count, length, width = x.shape
        parts = self.c_attn(self.ln_1(x)).reshape(count, length, 3, 2, width // 2).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind()
        scores = query @ key.transpose(-1, -2) / (width // 2) ** 0.5
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        mixed = scores.masked_fill(later, float("-inf")).softmax(dim=-1) @ value
        x = x + self.c_proj(mixed.transpose(1, 2).reshape(count, length, width))
        return self.lm_head(self.ln_f(x + self.mlp_proj(F.gelu(self.c_fc(self.ln_2(x))))))


def gpt() -> nn.Module:
    return _trained(Gpt())


# Batches as a tokenizer gives them, with padding, to a network that returns an object.
@dataclass
class Output:
    """What a sequence-to-sequence network returns."""

    logits: Tensor
    encoder_last_hidden_state: Tensor
    loss: Tensor | None = None


class Seq2Seq(nn.Module):
    """Encoder and decoder with a mask over padding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, 8)
        self.encoder, self.decoder = nn.Linear(8, 8), nn.GRU(8, 8, batch_first=True)
        self.head = nn.Linear(8, WORDS)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor) -> Output:
        mask = attention_mask.unsqueeze(-1).float()
        hidden = torch.tanh(self.encoder(self.embed(input_ids))) * mask
        mean = hidden.sum(dim=1) / mask.sum(dim=1)
        return Output(self.head(self.decoder(self.embed(decoder_input_ids), mean.unsqueeze(0))[0]), hidden)


def padded() -> dict[str, Any]:
    """Dictionaries of a loader; labels of padding are -100, and one sequence is nothing but padding at its end."""
    made = {}
    for name, walk in (("train", _walk(16, 2)), ("test", _walk(14, 3))):
        lengths = 2 + torch.arange(len(walk)) % (LENGTH - 1)
        mask = (torch.arange(LENGTH) < lengths.unsqueeze(1)).long()
        labels = torch.where(mask.bool(), walk[:, 1:], -100)
        rows = {
            "input_ids": walk[:, :-1] * mask,
            "attention_mask": mask,
            "decoder_input_ids": walk[:, :-1] * mask,
            "labels": labels,
        }
        made[name] = [
            {key: value[start : start + 5] for key, value in rows.items()} for start in range(0, len(walk), 5)
        ]
    return made


# Two inputs, one logit.
class Pair(nn.Module):
    """Whether two vectors lie on the same side, as one logit."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(5, 16), nn.Linear(5, 16), nn.Linear(16, 1)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(one) - self.second(other))).squeeze(-1)


def pairs() -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(4)
    model = _pair()
    parts = []
    for count in (40, 30):
        one, other = torch.randn(2, count, 5, generator=generator)
        with torch.no_grad():
            parts.append(((one, other), (model(one, other) > 0).long()))
    return parts[0], parts[1]


def _pair() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return Pair()


def pair() -> nn.Module:
    return _pair()


def regression() -> tuple[Any, Any]:
    """The same pairs with the logit itself, and a constant more."""
    model, (train, test) = _pair(), pairs()
    with torch.no_grad():
        return tuple(((inputs, model(*inputs) + 0.5)) for inputs, _ in (train, test))  # type: ignore[return-value]


# The time first.
def time_first() -> nn.Module:
    return Recurrent(batch_first=False)


def tokens_time_first() -> dict[str, Any]:
    return {
        part: [(inputs[i : i + 8].t().contiguous(), labels[i : i + 8].t().contiguous()) for i in range(0, 16, 8)]
        for part, (inputs, labels) in tokens().items()
    }


def unlabelled() -> dict[str, Any]:
    return {part: [(inputs, None)] for part, (inputs, _) in tokens().items()}


# Metrics of the user's own.
def last_token(outputs: Tensor, labels: Tensor) -> Tensor:
    """Error of the last token alone."""
    return (outputs[:, -1].argmax(dim=-1) != labels[:, -1]).float()


last_token.higher_is_better = False  # type: ignore[attr-defined]
last_token.share = True  # type: ignore[attr-defined]
last_token.label = "error of the last token"  # type: ignore[attr-defined]


class Largest:
    """Largest logit over all data: a metric without a score for each example."""

    higher_is_better = False
    unit = "nat"

    def reset(self) -> None:
        self.value = 0.0

    def update(self, outputs: Tensor, labels: Tensor) -> None:
        self.value = max(self.value, float(outputs.max()))

    def compute(self) -> float:
        return self.value


def broken(outputs: Tensor, labels: Tensor) -> Tensor:
    raise ValueError("no idea")
