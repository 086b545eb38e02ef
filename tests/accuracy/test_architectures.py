"""Public architectures with random weights on precise arrays: the same as the float network, or refused by name."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import nn

from accuracy.layers.analog_layers import AnalogLayer
from tests.accuracy import architectures
from tests.accuracy.architectures import ARCHITECTURES, PAGE, Architecture, recorded, row_of, with_table

CLOSE = 1e-4
ROWS = {row.name: row for row in recorded()}


def test_every_architecture_is_recorded_and_shown() -> None:
    assert list(ROWS) == [architecture.name for architecture in ARCHITECTURES]
    page = PAGE.read_text(encoding="utf-8")
    assert with_table(page, recorded()) == page, "run python -m scripts.record_architectures"


def test_what_the_page_says_of_the_table() -> None:
    rows = [row for row in ROWS.values() if not row.refused]
    assert len(rows) >= 25
    assert all(row.arrays < CLOSE for row in rows)
    # Networks whose rounded weights alone move the outputs further are named, with the reason.
    beyond = [row.name for row in rows if row.whole >= CLOSE]
    text = PAGE.read_text(encoding="utf-8").partition("<!--")[0]
    assert [name for name in ROWS if f"`{name}`" in text and not ROWS[name].refused] == beyond
    assert all(row.arrays < 0.5 * row.rounding for row in rows if row.whole >= CLOSE)
    assert f"{len(rows)} architectures" in text


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda own: own.name)
def test_arrays_compute_what_the_float_network_computes(architecture: Architecture) -> None:
    for package in {architecture.package, "torch" if architecture.package == "transformers" else "torchvision"}:
        if find_spec(package) is None:
            pytest.skip(f"no {package}: pip install 'devicekit[architectures]'")
    found, known = row_of(architecture), ROWS[architecture.name]
    assert found.refused == known.refused
    if found.refused:
        return
    assert found.arrays < CLOSE
    assert found.whole < max(CLOSE, 2 * known.whole)
    assert (found.weights, found.analog_macs) == pytest.approx((known.weights, known.analog_macs), rel=1e-3)


def test_a_difference_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights three ten thousandths too large are found, which arrays are not to blame for otherwise."""

    def network() -> nn.Module:
        return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))

    small = Architecture("small", "torch", "linear", network, lambda: torch.randn(5, 8))
    found = row_of(small)
    assert (found.weights, found.analog_macs) == (8 * 16 + 16 * 4, 1.0)
    assert found.arrays < 1e-6 < found.rounding < CLOSE
    rounded = architectures.with_rounded_weights

    def wrong(layer: AnalogLayer) -> Any:
        found = rounded(layer)
        return lambda own, x: 1.0003 * found(own, x)

    monkeypatch.setattr(architectures, "with_rounded_weights", wrong)
    assert row_of(small).arrays > CLOSE
