"""Named metrics against torch on the float network, refusals of what cannot be ranked, and intervals of the loss."""

from __future__ import annotations

import functools
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

from accuracy import Accuracy, EvaluationError, TopK, calibrate, convert, evaluate
from accuracy.batches import batch_of
from accuracy.evaluation.intervals import loss_interval
from accuracy.evaluation.measures import measure_of, named_metric
from accuracy.evaluation.metrics import score_batch
from accuracy.layers.batch_layout import BatchLayout
from accuracy.outputs import logits_of
from circuits import load_design

Labels = Any


def scored(metric: Any, outputs: Any, labels: Labels, inputs: Tensor | None = None, axis: int = 0) -> tuple[Any, Any]:
    x = torch.zeros(outputs.shape if isinstance(outputs, Tensor) else (4, 1)) if inputs is None else inputs
    layout = BatchLayout(axis, axis)
    return score_batch(named_metric(metric), outputs, labels, batch_of((x, labels)), layout)


def test_top_k_of_sequences_and_maps_is_the_share_of_places() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(4, 7, 10), torch.randint(0, 10, (4, 7))
    labels[0, 4:] = -100
    hits = (logits.argmax(dim=-1) == labels).double()
    values, weights = scored("top1", logits, labels)
    assert weights.tolist() == [4, 7, 7, 7]
    assert values[0] == pytest.approx(float(hits[0, :4].mean()))
    assert values[1:] == pytest.approx(hits[1:].mean(dim=1).numpy())
    transposed, _ = scored("top1", logits.transpose(1, 2), labels)
    np.testing.assert_array_equal(transposed, values)
    first, _ = scored("top1", logits.transpose(0, 1), labels.t(), torch.zeros(7, 4), axis=1)
    np.testing.assert_array_equal(first, values)
    maps, target = torch.randn(3, 5, 6, 8), torch.randint(0, 5, (3, 6, 8))
    target[:, 0] = 255
    dense, counted = scored(TopK(1, ignore_index=255), maps, target)
    own = (maps.argmax(dim=1) == target)[:, 1:].double().mean(dim=(1, 2))
    assert dense == pytest.approx(own.numpy())
    assert counted.tolist() == [40, 40, 40]
    best = torch.randn(2, 7, 10).topk(5).indices
    assert scored("top5", F.one_hot(best[..., 4], 10) * 1.0, best[..., 4])[0].tolist() == [1.0, 1.0]


def test_labels_may_be_one_hot_or_a_column() -> None:
    logits, labels = torch.randn(6, 5), torch.tensor([0, 1, 2, 3, 4, 0])
    wanted, _ = scored("top1", logits, labels)
    for same in (F.one_hot(labels, 5), F.one_hot(labels, 5).float(), labels[:, None], labels.double(), labels.tolist()):
        np.testing.assert_array_equal(scored("top1", logits, same)[0], wanted)


@pytest.mark.parametrize(
    ("metric", "outputs", "labels", "match"),
    [
        ("top1", torch.rand(4, 1), torch.zeros(4).long(), "cannot be ranked: use metric='binary'"),
        ("top1", torch.rand(4), torch.zeros(4).long(), "cannot be ranked"),
        ("top5", torch.rand(4, 6, 1), torch.zeros(4, 6).long(), "cannot be ranked"),
        ("top1", torch.rand(4, 3), torch.tensor([0, 1, 2, 3]), "from 0 to 2.*found 3"),
        ("top1", torch.rand(4, 3), torch.tensor([0, -1, 2, 2]), "from 0 to 2.*found -1"),
        ("top1", torch.rand(4, 3), torch.tensor([0.0, 1.7, 2, 2]), "whole numbers"),
        ("top1", torch.rand(4, 3), torch.tensor([0.0, torch.nan, 2, 2]), "whole numbers"),
        ("top1", torch.rand(4, 3), torch.zeros(3).long(), "one label for each"),
        ("top1", torch.rand(4, 3), torch.tensor([[1, 1, 0]] * 4), "multi_label"),
        ("top1", torch.rand(4, 3, 3), torch.zeros(4, 3).long(), "class_axis"),
        ("top1", torch.rand(4, 7, 10), torch.zeros(4, 6).long(), "do not fit outputs"),
        ("top1", torch.rand(4, 3), None, "hold none"),
        ("top1", torch.rand(4, 3), ["cat"] * 4, "tensor of numbers"),
        ("binary", torch.rand(4, 1), torch.tensor([0, 1, 2, 0]), "to be 0 or 1"),
        ("binary", torch.rand(4, 2), torch.tensor([0, 1, 1, 0]), "one label for each output"),
        ("mse", torch.rand(4, 2), torch.rand(4), "one number for each output"),
        ("perplexity", torch.rand(4, 5), torch.zeros(4, 2).long(), "sequences, tokens, vocabulary"),
    ],
)
def test_what_cannot_be_scored_is_refused(metric: str, outputs: Tensor, labels: Labels, match: str) -> None:
    with pytest.raises(EvaluationError, match=match):
        scored(metric, outputs, labels)


def test_thresholds() -> None:
    logits = torch.tensor([[2.0], [-1.0], [0.3], [torch.nan]])
    labels = torch.tensor([1, 0, 0, 0])
    assert scored("binary", logits, labels)[0].tolist() == [1.0, 1.0, 0.0, 0.0]
    assert scored("binary_probability", torch.sigmoid(logits), labels)[0].tolist() == [1.0, 1.0, 0.0, 0.0]
    several = torch.tensor([[3.0, -2.0, 1.0], [1.0, 1.0, 1.0]])
    assert scored("multi_label", several, torch.tensor([[1, 0, 0], [1, 1, 1]]))[0] == pytest.approx([2 / 3, 1.0])


def test_cross_entropy_and_perplexity_are_those_of_torch() -> None:
    torch.manual_seed(0)
    logits, tokens = torch.randn(3, 6, 9), torch.randint(0, 9, (3, 6))
    tokens[1, 3:] = -100
    values, weights = scored("cross_entropy", logits, tokens)
    wanted = F.cross_entropy(logits.flatten(0, 1).double(), tokens.flatten())
    assert np.average(values, weights=weights) == pytest.approx(float(wanted))
    same, _ = scored("perplexity", logits, tokens, torch.zeros(3, 6))
    np.testing.assert_allclose(same, values)
    # Labels that are the inputs are wanted one token later, as transformers has it.
    inputs = torch.where(tokens < 0, 0, tokens)
    moved, counted = scored("perplexity", logits, tokens, inputs)
    later = F.cross_entropy(logits[:, :-1].flatten(0, 1).double(), tokens[:, 1:].flatten())
    assert np.average(moved, weights=counted) == pytest.approx(float(later))
    assert counted.tolist() == [5, 2, 5]


def test_a_network_without_a_guess_has_the_perplexity_of_its_vocabulary() -> None:
    class Uniform(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Embedding(11, 8), nn.Linear(8, 11)
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)

        def forward(self, input_ids: Tensor) -> Any:
            return SimpleNamespace(logits=self.head(self.embed(input_ids)), past=None)

    tokens = torch.randint(0, 11, (6, 5))
    batches = [{"input_ids": tokens[:4], "labels": tokens[:4]}, {"input_ids": tokens[4:], "labels": tokens[4:]}]
    model = calibrate(convert(Uniform().eval(), load_design("A")), batches)
    found = evaluate(model, batches, 2, metric="perplexity")
    assert found.baseline == pytest.approx(11.0)
    assert found.mean == pytest.approx(11.0)
    assert found.exponential
    assert not found.higher_is_better
    assert found.weights is not None
    assert found.weights.tolist() == [4.0] * 6


class Lower:
    """A metric of errors in the style of torchmetrics."""

    higher_is_better = False

    def reset(self) -> None:
        self.total = self.seen = 0.0

    def update(self, outputs: Tensor, labels: Tensor) -> None:
        self.total += float(((outputs - labels) ** 2).sum())
        self.seen += labels.numel()

    def compute(self) -> float:
        return self.total / self.seen


@pytest.mark.parametrize(
    "metric",
    ["mse", Lower(), functools.partial(F.mse_loss, reduction="none"), nn.MSELoss(reduction="none"), "own"],
    ids=["name", "object", "partial", "module", "argument"],
)
def test_getting_worse_is_a_positive_loss_where_lower_is_better(metric: Any) -> None:
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1), nn.Flatten(0)).eval(), torch.randn(64, 16)
    y = net(x).detach()
    model = calibrate(convert(net, load_design("A").replace(adc_bits=4)), [(x, y)])
    better = False if metric == "own" else None
    own = (lambda outputs, labels: (outputs - labels) ** 2) if metric == "own" else metric
    found = evaluate(model, [(x, y)], 2, metric=own, higher_is_better=better)
    assert found.baseline == pytest.approx(0.0, abs=1e-12)
    assert found.loss == pytest.approx(found.mean)
    assert found.loss > 0
    assert found.quantisation_loss > 0
    if found.scores is not None:
        low, high = found.loss_interval()
        assert 0 < low < found.loss < high


def test_which_metrics_are_better_lower() -> None:
    for lower in (F.cross_entropy, F.nll_loss, functools.partial(F.l1_loss, reduction="none"), nn.BCELoss(), "mse"):
        assert not measure_of(lower).higher_is_better
    for higher in ("top1", "binary", lambda outputs, labels: outputs):
        assert measure_of(higher).higher_is_better
    with pytest.raises(EvaluationError, match="Expected `metric`"):
        measure_of(3)  # type: ignore[arg-type]


def test_logits_are_found_in_what_networks_return() -> None:
    x, hidden = torch.rand(4, 3), torch.rand(4, 8)
    for outputs in (
        x,
        (x, hidden),
        [x, (hidden,)],
        (torch.tensor(0.3), x),
        {"loss": torch.tensor(1.0), "logits": x, "hidden": hidden},
        {"out": x, "aux": hidden},
        {"scores": x},
        SimpleNamespace(logits=x, hidden_states=(hidden,)),
    ):
        assert logits_of(outputs) is x
    for outputs in ({"a": x, "b": hidden}, SimpleNamespace(a=x, b=hidden), "text", ((x, x), x)):
        with pytest.raises(EvaluationError, match="no logits were found"):
            logits_of(outputs)


def zero_one(worse: int, better: int, images: int, trials: int = 1) -> tuple[Any, Any]:
    baseline, scores = np.ones(images), np.ones((trials, images))
    scores[:, :worse] = 0.0
    baseline[worse : worse + better] = 0.0
    return baseline, scores


@pytest.mark.parametrize("images", [1, 3, 20, 500])
def test_no_difference_seen_is_an_interval_of_jeffreys_not_of_zero_width(images: int) -> None:
    baseline, scores = zero_one(0, 0, images)
    low, high = loss_interval(baseline, scores, np.ones(images), 0.95, 20000, 0)
    assert low < 0 < high
    # The difference of two shares with the posteriors Beta(1/2, images + 1/2), together Dirichlet.
    share = stats.beta(0.5, images + 0.5).ppf([0.95, 0.9875])
    assert share[0] * 0.9 < high < share[1] * 1.05
    assert low == pytest.approx(-high, rel=0.1)


def test_one_trial_intervals_cover_the_true_loss_on_few_images() -> None:
    """Coverage by simulation at a nominal 95 %: the plain bootstrap has 40 % in the first case."""
    rng = np.random.default_rng(0)
    for images, worse, better in ((20, 0.03, 0.01), (50, 0.05, 0.02), (200, 0.01, 0.0), (30, 0.3, 0.05)):
        hits, runs = 0, 150
        for seed in range(runs):
            draw = rng.random(images)
            baseline, scores = np.where(draw > 1 - better, 0.0, 1.0), np.where(draw < worse, 0.0, 1.0)[None]
            low, high = loss_interval(baseline, scores, np.ones(images), 0.95, 400, seed)
            hits += low <= worse - better <= high
        assert hits / runs > 0.89, (images, worse, better, hits / runs)


def test_intervals_of_weighted_scores_and_perplexity() -> None:
    rng = np.random.default_rng(0)
    baseline = rng.normal(2.0, 0.3, 300)
    scores = baseline[None] + rng.normal(0.1, 0.05, (4, 300))
    weights = rng.integers(5, 60, 300).astype(float)
    found = Accuracy(
        np.array([math.exp(np.average(row, weights=weights)) for row in scores]),
        math.exp(np.average(baseline, weights=weights)),
        1.0,
        scores,
        baseline,
        baseline,
        {},
        weights=weights,
        higher_is_better=False,
        exponential=True,
    )
    low, high = found.loss_interval()
    assert low < found.loss < high
    # The spread of a product: perplexity times the spread of the mean difference, and its share of the baseline's.
    assert high - low < 0.35 * found.loss
    with pytest.raises(EvaluationError, match="at least 2"):
        loss_interval(baseline[:1], scores[:, :1], weights[:1], 0.95, 100, 0)
