"""Every script of the gallery runs as it stands and writes what it says."""

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
WRITES = {
    "fit_your_cells": ["cells.csv", "fit.png", "my_cell.toml"],
    "update_curves": ["update.png", "preset.py", "lut/dG_increasing.txt", "lut/dG_decreasing.txt"],
    "pick_a_core": [],
    "bit_line": ["bit_line.png"],
    "your_network": [],
    "your_core": ["sar.toml"],
    "your_study": ["your_study/index.html", "your_study/table.csv"],
}


def test_every_script_has_its_test_and_its_line() -> None:
    scripts = {path.stem for path in EXAMPLES.glob("*.py")}
    assert scripts == set(WRITES)
    table = (EXAMPLES / "README.md").read_text()
    assert all(f"`{name}.py`" in table for name in scripts)


# Those that evaluate networks take ten seconds and more.
SLOW = ("your_core", "your_network", "your_study")


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in WRITES])
def test_script(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    monkeypatch.setattr(sys, "argv", [f"{name}.py", str(tmp_path)])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert capsys.readouterr().out.strip()
    for written in WRITES[name]:
        assert (tmp_path / written).stat().st_size > 0, written


def test_the_study_of_presets_is_every_preset_on_three_cells() -> None:
    from circuits import load_designs
    from reports import Study
    from reports.sweeps.points import points_of

    study = Study.load(EXAMPLES / "presets.toml")
    points = points_of(study)
    presets = {**load_designs("xiao2022"), **load_designs("accelerators")}
    with_adcs = {name for name, design in presets.items() if design.adc_bits is not None}
    assert {point.asked for point in points} == with_adcs
    assert len(points) == 3 * 2 * len(with_adcs) == 114
    assert all(point.cores is not None and point.cores.core.cell is not None for point in points)
    assert {point.study.library for point in points} == {"borrow:sonos_40nm"}
    assert "`presets.toml`" in (EXAMPLES / "README.md").read_text()
