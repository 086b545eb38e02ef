"""Fronts, probabilities and recommendations on made-up results whose answers are known."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from reports import Study, SweepResult
from reports.sweeps import selection
from reports.sweeps.front import front_probability, on_front
from reports.sweeps.selection import decisive_constant, select

DRAWS = 512


def test_the_front_is_what_no_point_beats() -> None:
    generator = np.random.default_rng(0)
    costs = np.round(generator.random((60, 3)), 1)
    beaten = [any((other <= own).all() and (other < own).any() for other in costs) for own in costs]
    np.testing.assert_array_equal(on_front(costs), np.logical_not(beaten))
    assert on_front(np.ones((3, 2))).all()


def test_the_probability_of_the_front_is_that_of_the_normal_law() -> None:
    """Of two points with one objective each N(m, s), the first is best with the probability of their difference."""
    generator = np.random.default_rng(1)
    draws = np.stack([generator.normal(0.0, 1.0, 20_000), generator.normal(0.5, 1.0, 20_000)])[:, None, :]
    expected = stats.norm.cdf(0.5 / np.sqrt(2.0))
    found = front_probability(draws)
    assert found[0] == pytest.approx(expected, abs=0.01)
    assert found.sum() == pytest.approx(1.0)
    # What moves both together does not blur which is better.
    common = 10.0 * generator.normal(size=20_000)
    np.testing.assert_array_equal(front_probability(draws + common), found)


def made(losses: dict[str, float], energies: dict[str, float], **study: Any) -> SweepResult:
    """Return a run with normal draws: loss of a standard deviation of 0.2 points, energies of 10 % in common."""
    generator = np.random.default_rng(2)
    common = generator.standard_normal(DRAWS)
    points, draws = [], {}
    for number, name in enumerate(losses):
        energy, loss = energies[name], losses[name]
        points.append({
            "name": name, "core": "A", "varied": {}, "network": "digits_cnn", "status": "done", "reason": "",
            "accuracy": {"loss": loss, "mean": 0.97 - loss}, "cost": None,
            "network_cost": {"energy_gated_uj": energy, "area_mm2": 1.0, "latency_us": 2.0, "cores": 4},
        })  # fmt: skip
        draws[number] = {
            "loss": loss + 0.002 * generator.standard_normal(DRAWS),
            "energy_gated_uj": energy * np.exp(0.1 * common),
            "area_mm2": np.full(DRAWS, 1.0),
            "latency_us": np.full(DRAWS, 2.0),
        }
    return SweepResult("made up", Study(**study).model_dump(mode="json"), points, draws)


def test_the_cheapest_that_is_sure_is_recommended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "decisive_constant", lambda *_: ("adc.energy", 0.61))
    result = made(
        {"cheap": 0.02, "edge": 0.01, "sure": 0.005, "dear": 0.004},
        {"cheap": 1.0, "edge": 2.0, "sure": 3.0, "dear": 4.0},
        constraints=("loss <= 1 point", "network_area <= 1 mm2"),
    )
    found = select(result)
    (choice,) = found.choices
    assert choice.name == "sure"
    assert found.meets[0] == pytest.approx(0.0, abs=0.01)
    assert found.meets[1] == pytest.approx(0.5, abs=0.07)
    assert found.meets[2] == pytest.approx(stats.norm.cdf(2.5), abs=0.02)
    # Loss and energy rise against each other: each is on the front but for the noise of the losses.
    assert found.on_front == [True] * 4
    assert found.front[0] == 1.0
    assert found.front[3] == pytest.approx(stats.norm.cdf(1 / (2 * np.sqrt(2))), abs=0.07)
    text = " ".join(choice.sentences)
    assert "Build sure: the least network energy of the 2 points that keep to" in text
    assert "network area 1.00 mm2" in text
    assert "on 4 cores" in text
    assert "Next comes dear, 33 % above; it is the better one in 0 % of the draws" in text
    assert "adc.energy, which alone explains 61 %" in text


def test_where_none_is_sure_the_nearest_is_named() -> None:
    result = made({"a": 0.05, "b": 0.012}, {"a": 1.0, "b": 2.0}, constraints=("loss <= 1 point",))
    (choice,) = select(result).choices
    assert choice.point is None
    assert "No point keeps to all constraints" in choice.sentences[0]
    assert "b comes nearest" in choice.sentences[0]


def test_the_decisive_constant_is_the_one_that_moves_the_ratio() -> None:
    from energy import estimate_core
    from energy.uncertainty import draw_constants

    result = made({"a": 0.0}, {"a": 1.0}, designs=("A",), device="sonos_40nm_tcas2022")
    drawn = draw_constants(estimate_core("A", cell="sonos_40nm_tcas2022").library, DRAWS, 0)
    name = next(name for name, values in drawn.items() if values.std() > 0)
    noise = np.random.default_rng(3).standard_normal(DRAWS)
    scaled = (drawn[name] - drawn[name].mean()) / drawn[name].std()
    found = decisive_constant(result, 0, 0, np.ones(DRAWS), np.exp(0.03 * scaled + 0.01 * noise))
    assert found is not None
    assert found[1] == pytest.approx(0.9, abs=0.05)
    assert np.corrcoef(drawn[found[0]], drawn[name])[0, 1] ** 2 > 0.85
    assert decisive_constant(result, 0, 0, np.ones(DRAWS), np.ones(DRAWS)) is None
