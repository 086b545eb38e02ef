"""The page of a sweep in a real browser: no errors, nothing fetched, and it answers to what the reader does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports import Study, SweepResult
from reports.sweeps.page import render_sweep

SIZES, BITS = (72, 144, 288, 576, 1152), (5, 6, 7, 8)


def made(times: int = 1) -> SweepResult:
    """Return a run of 20 points a time whose energy rises, and whose loss falls, with the ADC's bits."""
    generator = np.random.default_rng(0)
    points, draws = [], {}
    for number in range(20 * times):
        rows, bits = SIZES[number // 4 % 5], BITS[number % 4]
        loss, energy, area = 0.08 * 2.0 ** (5 - bits), 0.1 * bits * 1152 / rows * (1 + number // 20), 0.9 + 100 / rows
        points.append({
            "name": f"A max_rows={rows} adc_bits={bits} <&> {number // 20}", "core": "A", "network": "digits_cnn",
            "varied": {"max_rows": rows, "adc_bits": bits}, "status": "done", "reason": "",
            "accuracy": {"loss": loss, "mean": 0.97 - loss}, "cost": {"area_mm2": area / 4},
            "network_cost": {"energy_gated_uj": energy, "area_mm2": area, "latency_us": 10.0 * bits, "cores": 4},
        })  # fmt: skip
        draws[number] = {
            "loss": loss + 0.002 * generator.standard_normal(128),
            "energy_gated_uj": energy * np.exp(0.05 * generator.standard_normal(128)),
            "area_mm2": np.full(128, area),
            "latency_us": np.full(128, 10.0 * bits),
        }
    points.append({**points[0], "name": "impossible one", "status": "impossible", "reason": "too <small>",
                   "accuracy": None, "cost": None, "network_cost": None})  # fmt: skip
    study = Study(
        vary={"max_rows": SIZES, "adc_bits": BITS}, constraints=("loss <= 3 points", "network_area <= 1.3 mm2")
    )
    return SweepResult("made up", study.model_dump(mode="json"), points, draws)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from reports.sweeps import selection

    monkeypatch.setattr(selection, "decisive_constant", lambda *_: ("adc.energy", 0.61))
    path = tmp_path / "index.html"
    path.write_text(render_sweep(made()), encoding="utf-8")
    return path


def test_the_page_answers(page: Path, open_page: Callable[[Path], Any]) -> None:
    opened = open_page(page)
    assert opened.errors == []
    assert opened.requests == []
    count = "return document.querySelectorAll('#table tbody tr').length"
    assert opened.run(count) == 20
    assert opened.run("return document.querySelectorAll('#front circle').length") == 20
    # 3 points of loss need 7 bits, 1.3 mm2 at least 288 rows: 2 x 3 designs.
    assert opened.run("return document.querySelectorAll('#table tr.in').length") == 6
    assert "6 of 20 points" in opened.run("return document.getElementById('answer').textContent")
    assert "Build A max_rows=1152 adc_bits=7" in opened.run("return document.getElementById('answer').textContent")
    assert "Build A max_rows=1152 adc_bits=7 <&> 0" in opened.run("return document.querySelector('.first').textContent")
    # Sort by energy, both ways.
    energies = "return [...document.querySelectorAll('#table tbody tr')].map(r => parseFloat(r.cells[4].textContent))"
    opened.run("document.querySelector('[data-key=network_energy] button').click()")
    assert opened.run(energies) == sorted(opened.run(energies))
    opened.run("document.querySelector('[data-key=network_energy] button').click()")
    assert opened.run(energies) == sorted(opened.run(energies), reverse=True)
    assert opened.run("return document.querySelector('[data-key=network_energy]').ariaSort") == "descending"
    # Filter, and a budget.
    fill = "const box = document.getElementById(arguments[0]); box.value = arguments[1]; "
    opened.run(fill + "box.dispatchEvent(new Event('input'))", "filter", "adc_bits=8")
    assert opened.run(count) == 5
    opened.run(fill + "box.dispatchEvent(new Event('input'))", "filter", "")
    slider = "const box = document.querySelector('[data-number=loss]'); box.value = box.max; "
    opened.run(slider + "box.dispatchEvent(new Event('input'))")
    assert "12 of 20 points" in opened.run("return document.getElementById('answer').textContent")
    # A point chosen in the front is the row that is marked.
    opened.run("document.querySelector('#front circle').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    assert opened.run("return document.querySelectorAll('#table tr.chosen').length") == 1
    assert opened.run("return document.querySelectorAll('#front circle.chosen').length") == 1
    opened.run("document.getElementById('theme').click()")
    opened.run("document.getElementById('theme').click()")
    assert opened.run("return document.documentElement.dataset.theme") == "dark"


def test_the_page_on_a_telephone(page: Path, open_page: Callable[[Path], Any]) -> None:
    opened = open_page(page)
    opened.resize(390)
    assert opened.run("return document.documentElement.scrollWidth") <= 390
    assert opened.run("return getComputedStyle(document.querySelector('.hint')).display") == "block"


def test_many_points_are_a_light_page(tmp_path: Path, open_page: Callable[[Path], Any], monkeypatch: Any) -> None:
    from reports.sweeps import selection

    monkeypatch.setattr(selection, "decisive_constant", lambda *_: None)
    path = tmp_path / "index.html"
    path.write_text(render_sweep(made(25)), encoding="utf-8")
    assert path.stat().st_size < 2e6
    opened = open_page(path)
    assert opened.errors == []
    assert opened.run("return document.querySelectorAll('#table tbody tr').length") == 500
