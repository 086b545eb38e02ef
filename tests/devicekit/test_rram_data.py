"""Real measured RRAM arrays (Levy, MIT licence): committed extracts always, the whole arrays where they are given."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

import devicekit

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def extraction() -> ModuleType:
    spec = importlib.util.spec_from_file_location("extraction", ROOT / "scripts" / "extract_rram_measurements.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bundled(name: str) -> devicekit.Measurements:
    return devicekit.read_measurements(devicekit.data_path(f"measurements/{name}.csv"))


def test_extracts_carry_their_licence_and_source() -> None:
    licence = devicekit.data_path("measurements/RRAM_LICENSE.txt").read_text()
    assert "MIT License" in licence
    assert "Copyright (c) 2021 Akash Levy" in licence
    for name in (
        "rram_b_relaxation_extract",
        "rram_c_relaxation_extract",
        "rram_a_bake_extract",
        "rram_b_bake_extract",
    ):
        found = bundled(name)
        assert found.kind == "measured"
        assert "RRAM_LICENSE.txt" in found.metadata["source"]
        assert found.metadata["read_voltage_kind"].startswith("assumed")


@pytest.mark.parametrize("technology", ["b", "c"])
def test_relaxation_grows_with_time(technology: str) -> None:
    fit = devicekit.fit_device(bundled(f"rram_{technology}_relaxation_extract"))
    cell = fit.cell
    assert cell.retention is not None
    assert cell.retention.time_axis == "log"
    assert cell.retention.times[0] == 0.01
    target = np.linspace(0.2, 0.9, 20) * cell.i_max
    spread = [float(np.mean(cell.at(time=time).sigma(target))) for time in cell.retention.times]
    assert spread[0] < spread[2] < spread[-1]
    assert fit.model in ("spline", "fine_spline", "table"), "the spread rises and falls with conductance"
    assert any("gathered in ranges" in note for note in fit.notes)


def test_cells_above_full_scale_are_counted_and_said() -> None:
    fit = devicekit.fit_device(bundled("rram_c_relaxation_extract"))
    above = int((bundled("rram_c_relaxation_extract").columns["target"] > 4e-6).sum())
    said = [note for note in fit.notes if "above i_max" in note]
    left = [note for note in fit.notes if "were left out" in note]
    assert len(said) == 1
    assert len(left) == 1
    assert 0 < int(said[0].split()[0]) <= above
    assert fit.table["target"].max() > fit.cell.i_max


def test_bake_of_technology_a_is_activated_and_b_is_not() -> None:
    a = devicekit.fit_device(bundled("rram_a_bake_extract")).bake
    b = devicekit.fit_device(bundled("rram_b_bake_extract")).bake
    assert a is not None
    assert b is not None
    assert a.activation_energy > 3 * a.stderr
    assert 0.2 < a.activation_energy < 0.8
    assert b.activation_energy < 0.2
    assert a.change[-1] / a.change[0] > 4
    assert b.change[-1] / b.change[0] < 1.5


def test_read_noise_is_below_the_error_that_confusion_counts_show() -> None:
    _, noise = devicekit.fit_read_noise(bundled("rram_a_read_noise_extract"))
    fit = devicekit.fit_device(bundled("rram_a_confusion_1s"))
    total = np.interp(noise["mean"], fit.table["target"], fit.table["sigma"])
    assert (noise["sigma"] < 0.5 * total).all()
    assert (noise["dof"] < 400).all(), "successive reads are correlated"
    assert fit.measurements.is_histogram
    assert fit.table["sigma"].iloc[1:-1].between(0.01 * fit.cell.i_max, 0.05 * fit.cell.i_max).all()


def whole(folder: Path, table: pd.DataFrame, extraction: ModuleType, technology: str) -> devicekit.Measurements:
    extraction.write(table, folder / "whole.csv", technology, "whole")
    return devicekit.read_measurements(folder / "whole.csv")


@pytest.mark.parametrize(
    ("technology", "time", "percent"),
    [
        ("b", 1.0, (2.9, 6.2, 1.7, 0.6)),
        ("b", 10_000.0, (5.4, 9.2, 2.4, 0.9)),
        ("c", 1.0, (5.9, 6.2, 5.6, 3.5)),
        ("c", 100_000.0, (7.9, 10.2, 9.9, 9.1)),
    ],
)
def test_whole_arrays_show_the_stated_relaxation(
    technology: str, time: float, percent: tuple[float, ...], extraction: ModuleType, shared_data: Path, tmp_path: Path
) -> None:
    table = extraction.relaxation(shared_data / "device_rram", technology)
    fit = devicekit.fit_device(whole(tmp_path, table[table["time (s)"] == time], extraction, technology))
    rows = fit.table.set_index((fit.table["target"] / fit.cell.i_max * 32).astype(int))
    found = 100 * rows.loc[[4, 12, 20, 28], "sigma"].to_numpy() / fit.cell.i_max
    assert found == pytest.approx(percent, abs=0.051)


def test_confusion_counts_agree_with_relaxed_cells(extraction: ModuleType, shared_data: Path, tmp_path: Path) -> None:
    """Counts by level are a coarse histogram of the same cells: their spread is that of the cells, plus the level."""
    folder = shared_data / "device_rram"
    table = extraction.relaxation(folder, "b")
    cells = devicekit.fit_device(whole(tmp_path, table[table["time (s)"] == 1.0], extraction, "b"), states=16)
    counts = devicekit.fit_device(whole(tmp_path, extraction.confusion(folder, "b", "1"), extraction, "b"))
    inner = slice(3, 13)
    level = cells.cell.i_max / 16
    expected = np.hypot(cells.table["sigma"].to_numpy()[:16][inner], level / np.sqrt(12))
    found = counts.table["sigma"].to_numpy()[inner]
    assert np.median(found / expected) == pytest.approx(1.0, abs=0.25)


def test_committed_extracts_are_what_the_script_makes(
    extraction: ModuleType, shared_data: Path, tmp_path: Path
) -> None:
    extraction.main(shared_data / "device_rram", tmp_path, whole=False)
    for path in sorted(tmp_path.iterdir()):
        assert path.read_text() == devicekit.data_path(f"measurements/{path.name}").read_text(), path.name
