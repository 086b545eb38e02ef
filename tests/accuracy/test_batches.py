"""Batches as users bring them: arguments, labels, order, axis of the examples; the same numbers as plain tensors."""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from accuracy import CalibrationError, EvaluationError, EvaluationWarning, calibrate, convert, evaluate, layer_report
from accuracy.batches import MOST_TOGETHER, REUSED_MEMORY, batch_of, usual_size
from accuracy.evaluation.pairing import Order, Roll, fingerprints
from circuits import LayerShape, load_design
from devicekit import load_device

# Some of these networks are not traced, which does not matter here.
pytestmark = pytest.mark.filterwarnings("ignore::accuracy.ConversionWarning")
NOISY = load_device("sonos_40nm_iedm2022")


class Masked(nn.Module):
    """Two inputs, and an output with a field."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(16, 5)

    def forward(self, x: Tensor, mask: Tensor) -> dict[str, Tensor]:
        return {"logits": self.a(x * mask)}


class TakesMapping(nn.Module):
    """One argument that is a mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(16, 5)

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        return self.a(batch["x"] * batch["mask"]), batch["x"]


@dataclasses.dataclass
class Record:
    x: Tensor
    mask: Tensor
    labels: Tensor


Pair = collections.namedtuple("Pair", ["inputs", "target"])


def masked_data() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, mask = torch.randn(32, 16, generator=generator), (torch.rand(32, 16, generator=generator) > 0.3).float()
    return x, mask, torch.randint(0, 5, (32,), generator=generator)


FORMS = {
    "tuple": lambda x, m, y: ((x, m), y),
    "list": lambda x, m, y: [[x, m], y],
    "three parts": lambda x, m, y: (x, m, y),
    "dict": lambda x, m, y: ({"x": x, "mask": m}, y),
    "whole dict": lambda x, m, y: {"mask": m, "x": x, "labels": y},
    "user dict": lambda x, m, y: collections.UserDict(x=x, mask=m, label=y),
    "dataclass": lambda x, m, y: Record(x, m, y),
    "named tuple": lambda x, m, y: Pair((x, m), y),
    "numpy": lambda x, m, y: ((x.numpy(), m.numpy()), y.numpy()),
}


@pytest.mark.parametrize(
    ("network", "form"),
    [*((Masked, form) for form in FORMS), *((TakesMapping, form) for form in ("dict", "whole dict", "dataclass"))],
)
def test_all_forms_of_a_batch_mean_the_same(network: type[nn.Module], form: str) -> None:
    torch.manual_seed(0)
    net = network().eval()
    x, mask, y = masked_data()
    batches = [FORMS[form](x[i : i + 8], mask[i : i + 8], y[i : i + 8]) for i in range(0, 32, 8)]
    model = calibrate(convert(net, load_design("A")), batches)
    found = evaluate(model, batches, 1)
    wanted = (net.a(x * mask).argmax(dim=1) == y).double()
    np.testing.assert_array_equal(found.baseline_scores, wanted.numpy())
    assert found.images == 32
    assert np.isfinite(layer_report(model, batches)[0].snr_db)


@pytest.mark.parametrize(
    ("batches", "match"),
    [
        ([torch.rand(2, 16)], "one array of shape"),
        (torch.rand(2, 16), "iterable of"),
        ([3], "type int"),
        ([()], "empty batch"),
        ([("text", None)], "no tensor"),
        ([(torch.rand(2, 16), torch.zeros(2))], r"do not fit Masked.forward|missing a required argument"),
        ([({"x": torch.rand(2, 16), "maks": torch.rand(2, 16)}, None)], "a batch is"),
    ],
)
def test_other_forms_are_refused(batches: Any, match: str) -> None:
    model = convert(Masked().eval(), load_design("A"))
    with pytest.raises(EvaluationError, match=match):
        calibrate(model, batches)


def plain_model(cell: Any = None, design: str = "A") -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(3)
    net, x = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 5)).eval(), torch.rand(48, 16)
    y = net(x).argmax(dim=1)
    y[::5] = (y[::5] + 1) % 5
    return calibrate(convert(net, load_design(design), cell), [(x, y)]), x, y


def test_a_loader_that_shuffles_gives_the_scores_of_one_that_does_not() -> None:
    model, x, y = plain_model(NOISY)
    x[7], y[7] = x[3], y[3]  # the same example twice
    data = TensorDataset(x, y)
    generator = torch.Generator().manual_seed(0)
    shuffled = DataLoader(data, batch_size=16, shuffle=True, generator=generator)
    found, plain = evaluate(model, shuffled, 3), evaluate(model, DataLoader(data, batch_size=48), 3)
    # The first pass of the shuffled loader numbers the examples: sorted, all passes agree with the ordered ones.
    pairs = [sorted(zip(one.baseline_scores, one.ideal_scores, *one.scores, strict=True)) for one in (found, plain)]
    unnoisy = [sorted(pair[:2] for pair in each) for each in pairs]
    assert unnoisy[0] == unnoisy[1]
    assert found.mean == pytest.approx(plain.mean, abs=0.05)


def test_examples_are_numbered_by_what_they_hold() -> None:
    x = torch.rand(6, 3)
    x[4] = x[1]
    order = Order()
    order.add(fingerprints(batch_of((x, torch.arange(6)))))
    again = torch.tensor([5, 1, 0, 4, 3, 2])
    assert Roll(order).numbers(fingerprints(batch_of((x[again], again)))) == again.tolist()
    marks = fingerprints(batch_of((x, None)))
    assert marks[4] == marks[1]
    assert len(set(marks.tolist())) == 5
    same = Order()
    same.add(marks)
    assert Roll(same).numbers(marks[[4, 1, 0]]) == [1, 4, 0]


class Augmented:
    """Other inputs each time."""

    def __iter__(self) -> Any:
        return iter([(torch.rand(4, 16), torch.zeros(4, dtype=torch.long))])


class Shrinking:
    """Fewer inputs each time."""

    def __init__(self) -> None:
        self.left = 9

    def __iter__(self) -> Any:
        self.left -= 1
        return iter([(torch.ones(self.left, 16), torch.zeros(self.left, dtype=torch.long))])


@pytest.mark.parametrize("batches", [Augmented(), Shrinking()])
def test_other_examples_in_another_pass_are_refused(batches: Any) -> None:
    with pytest.raises(EvaluationError, match="other examples"):
        evaluate(plain_model()[0], batches, 1)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_images_that_are_not_finite_are_refused(value: float) -> None:
    model, x, y = plain_model()
    x[17, 3] = value
    with pytest.raises(EvaluationError, match="the first is at 17"):
        evaluate(model, list(zip(x.split(10), y.split(10), strict=True)), 1)


class Folded(nn.Module):
    """Time first; frames and images folded into one axis on the way, time kept apart by a running mean."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(12, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        time, batch = x.shape[:2]
        h = torch.relu(self.a(x.flatten(0, 1))).unflatten(0, (time, batch))
        h = torch.relu(self.b(h.cumsum(dim=0)))
        return self.head(h.transpose(0, 1).flatten(0, 1)).unflatten(0, (batch, time)).transpose(0, 1)


class Inside(nn.Module):
    """Images first outside, time first inside."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(12, 2, 16, batch_first=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x.transpose(0, 1)).transpose(0, 1)


class Steps(nn.Module):
    """A cell used once a step, images first."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.back = nn.Linear(12, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        state = torch.zeros(x.shape[0], 8)
        for step in range(x.shape[1]):
            state = torch.tanh(self.own(x[:, step]) + self.back(state))
        return state


class Keep:
    """All outputs, examples along an axis."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def reset(self) -> None:
        self.parts: list[Tensor] = []

    def update(self, outputs: Tensor, labels: Any) -> None:
        self.parts.append(outputs)

    def compute(self) -> float:
        self.all = torch.cat(self.parts, dim=self.axis)
        return 0.0


@pytest.mark.parametrize(
    ("network", "axis"),
    [
        (lambda: nn.TransformerEncoderLayer(12, 2, 16, batch_first=False), 1),
        (lambda: nn.TransformerEncoderLayer(12, 2, 16, batch_first=True), 0),
        (Folded, 1),
        (Inside, 0),
        (Steps, 0),
    ],
    ids=["time first", "batch first", "folded", "time first inside", "step by step"],
)
def test_noise_belongs_to_the_example_wherever_the_batch_axis_stands(network: Any, axis: int) -> None:
    torch.manual_seed(1)
    net = network().eval()
    x = torch.randn(6, 8, 12).movedim(1, axis) if axis == 0 else torch.randn(6, 8, 12)
    model = calibrate(convert(net, load_design("A"), NOISY), [(x.contiguous(), None)])
    found = []
    for size in (8, 2, 3, 1):
        keep = Keep(axis)
        parts = [(part.contiguous(), None) for part in x.split(size, dim=axis)]
        evaluate(model, parts, trials=1, metric=keep)
        found.append(keep.all)
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=0, atol=1e-5)
    alone = evaluate(model, [(x, None)], trials=1, seed=9, metric=(keep := Keep(axis)))
    assert alone.mean == 0.0
    assert not torch.equal(keep.all, found[0])


def test_examples_that_influence_one_another_are_said() -> None:
    class Centred(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(12, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.a(x - x.mean(dim=(0, 1)))

    x = torch.rand(5, 6, 12)
    model = calibrate(convert(Centred().eval(), load_design("A"), NOISY), [(x, None)])
    with pytest.warns(EvaluationWarning, match="depend on the others"):
        evaluate(model, [(x, None)], 1, metric=lambda outputs, _: outputs.sum(dim=(1, 2)))


def test_layers_without_current_give_their_bias_and_unused_ones_are_refused_where_they_run() -> None:
    class Zero(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.z, self.unused, self.fc = nn.Linear(16, 16), nn.Linear(16, 5), nn.Linear(16, 5)
            nn.init.zeros_(self.z.weight)

        def forward(self, x: Tensor, other: bool = False) -> Tensor:
            h = self.z(x)
            return self.unused(h) if other else self.fc(x + h)

    x = torch.randn(8, 16)
    for name in "ABCDE":
        model = convert(Zero().eval(), load_design(name), load_device("sonos_40nm_tcas2022"))
        calibrate(model, [(x, None)])
        bias = model.z.digital.bias
        with torch.inference_mode():
            torch.testing.assert_close(model.z(x), bias.expand(8, 16), rtol=0, atol=1e-7)
            with pytest.raises(CalibrationError, match=r"'unused' never ran.*exclude"):
                model.unused(x)
        assert evaluate(model, [(x, torch.zeros(8, dtype=torch.long))], 1).images == 8


@pytest.mark.parametrize(
    ("columns", "mvms", "groups"), [(10, 1, 1), (16, 1024, 1), (64, 112 * 112, 1), (1, 112 * 112, 64), (4096, 4096, 1)]
)
def test_a_usual_batch_keeps_the_largest_layer_in_memory_that_is_used_again(
    columns: int, mvms: int, groups: int
) -> None:
    small = LayerShape(name="small", rows=9, columns=1)
    layers = [small, LayerShape(name="large", rows=9, columns=columns, mvms=mvms, groups=groups)]
    size = usual_size(layers)
    outputs = torch.empty(size, columns * groups, mvms)
    assert outputs.nbytes <= REUSED_MEMORY or size == 1
    assert size == MOST_TOGETHER or outputs.nbytes + outputs[0].nbytes > REUSED_MEMORY
    assert usual_size([]) == MOST_TOGETHER
