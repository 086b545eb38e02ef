"""Files as public repositories and instruments write them (EXPECTED.md beside them): read right or refused clearly."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import devicekit
from devicekit.common.errors import MeasurementError
from reports.command import build_app

STATES = {0: 2, 100: 8, 200: 12, 400: 18, 600: 20, 800: 22}
"""Targets and spreads [nA] that the files were made with, 40 cells each."""


@pytest.fixture(scope="module")
def cases() -> Path:
    folder = Path(__file__).resolve().parents[3] / "shared" / "cases" / "measurements"
    if not folder.is_dir():
        pytest.skip("no shared data: foreign measurement files are looked for in ../shared/cases/measurements")
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(build_app("fit"), ["fit", *map(str, arguments)], catch_exceptions=True)


def spread(found: devicekit.Measurements, target: float) -> tuple[int, float, float]:
    """Return cells, mean and spread [nA] of a state at the last time."""
    columns = found.columns
    own = np.isclose(columns["target"], target * 1e-9, atol=5e-12)
    if "time" in columns:
        own &= columns["time"] == columns["time"].max()
    value = columns["value"][own] * 1e9
    return len(value), float(value.mean()), float(value.std(ddof=1))


READ_RIGHT: list[tuple[str, dict[str, object]]] = [
    ("german_semicolon.csv", {"target": "Soll (nA)", "value": "Strom (nA)"}),
    ("german_semicolon.csv", {}),
    ("german_thousands.csv", {"decimal": ","}),
    ("headerless_two_columns.csv", {"header": False, "target": 1, "value": 2, "units": "nA"}),
    ("keithley4200.xls", {}),
    ("keithley_overflow.csv", {}),
    ("one_sheet_per_state.xlsx", {}),
    ("pass_flag.csv", {"only": "success=1"}),
    ("quantum_units.csv", {}),
    ("resistance_kohm.csv", {}),
    ("state_index.csv", {"levels": "0, 100, 200, 400, 600, 800 nA"}),
    ("states_in_rows_units.csv", {}),
    ("two_line_header.csv", {}),
    ("compliance_clipped.csv", {}),
]


@pytest.mark.parametrize(("name", "options"), READ_RIGHT)
def test_the_six_states_are_read(cases: Path, name: str, options: dict[str, object]) -> None:
    found = devicekit.read_measurements(cases / name, **options)  # type: ignore[arg-type]
    targets = [0, 100, 200, 400, 600, 800]
    if name in ("german_thousands.csv", "headerless_two_columns.csv", "resistance_kohm.csv"):
        targets = targets[1:]
    assert np.unique(found.columns["target"]) * 1e9 == pytest.approx(targets, abs=5e-3)
    for target in targets:
        count, mean, sigma = spread(found, target)
        assert count in range(36, 41)
        assert mean == pytest.approx(target, abs=4 * STATES[target] / np.sqrt(count))
        if not (name == "compliance_clipped.csv" and target == 800):
            assert sigma == pytest.approx(STATES[target], rel=4 / np.sqrt(2 * count))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("state_index.csv",), "look like numbers of states"),
        (("headerless_two_columns.csv", "--unit", "nA"), r"no header line.*--no-header"),
        (("temp_header_T.csv",), "can be a temperature or a time"),
        (("idvg_states.mdm",), r"bias 'VG' takes 3 values.*--only"),
        (("german_thousands.csv",), r"can be \d+ .*--decimal"),
        (("pulse_ramp.csv",), "update curves"),
        (("one_file_100nA.csv",), r"cannot tell which columns.*--each .target=100 nA"),
        (("erased_sonos_like.lib",), "a SPICE netlist"),
        (("two_terminal_memristor.lib",), "a SPICE netlist"),
    ],
)
def test_what_is_ambiguous_is_asked_for(
    cases: Path, arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(cases / arguments[0], *arguments[1:], "--no-figures")
    assert result.exit_code == 2
    assert re.search(message, " ".join(result.stderr.split())), result.stderr
    assert not list(tmp_path.iterdir())


def test_overflow_marks_are_missing_and_counted(cases: Path) -> None:
    found = devicekit.read_measurements(cases / "keithley_overflow.csv")
    assert found.rows == 239
    assert spread(found, 400)[2] == pytest.approx(16.9, abs=1.0)
    assert any("1 of 240 rows have a mark of overflow" in text for text in found.warnings)


def test_a_flag_of_failed_cells_is_a_warning_by_name(cases: Path) -> None:
    found = devicekit.read_measurements(cases / "pass_flag.csv")
    assert [(item.kind, item.name) for item in found.unused] == [("column", "'success'")]
    assert found.unused[0].explains is not None
    assert found.unused[0].explains > 0.3
    assert any("'success' is not used, but explains" in text for text in found.warnings)


@pytest.mark.parametrize(
    ("name", "options", "hours"),
    [
        ("retention_hours_word.csv", {}, [0, 1, 24]),
        ("retention_hours_word.csv", {"time": "hours"}, [0, 1, 24]),
        ("retention_unix_time.csv", {}, [0, 1, 24]),
        ("retention_log_time.csv", {}, None),
        ("retention_log_time.csv", {"time": "log10 time (s)"}, None),
    ],
)
def test_times_are_times_since_programming(
    cases: Path, name: str, options: dict[str, str], hours: list[float] | None
) -> None:
    found = devicekit.read_measurements(cases / name, **options)  # type: ignore[arg-type]
    expected = [1.0, 100.0, 1e4] if hours is None else 3600 * np.array(hours)
    assert np.unique(found.columns["time"]) == pytest.approx(expected)
    assert spread(found, 400)[1] == pytest.approx(379.9, abs=0.05)
    assert (found.cells, found.rows) == (200, 600)
    assert devicekit.fit_device(found).read_noise is None


def test_one_bias_of_a_sweep(cases: Path) -> None:
    found = devicekit.read_measurements(cases / "idvg_states.mdm", only={"VG": 1})
    assert spread(found, 400) == (11, pytest.approx(400.0, abs=0.05), pytest.approx(3.32, abs=0.05))


def test_sheets_and_files_are_dies_and_states(cases: Path) -> None:
    dies = devicekit.read_measurements(cases / "one_sheet_per_die.xlsx")
    assert dies.rows == 720
    assert np.bincount(dies.columns["die"].astype(int)).tolist() == [240, 240, 240]
    files = devicekit.read_measurements([cases / f"one_file_{level}nA.csv" for level in (100, 200, 400)])
    assert [spread(files, level)[0] for level in (100, 200, 400)] == [11, 11, 11]
    patterned = devicekit.read_measurements(
        [cases / f"one_file_{level}nA.csv" for level in (100, 200, 400)], pattern="one_file_{target}nA.csv"
    )
    assert patterned.columns["target"].tolist() == files.columns["target"].tolist()
    folder = devicekit.read_measurements(cases, pattern="one_file_{target}nA.csv")
    assert sorted(folder.columns["value"]) == sorted(files.columns["value"])
    assert any(item.kind == "file" and item.name == "'pass_flag.csv'" for item in folder.unused)


def test_mangled_columns_are_more_cells(cases: Path) -> None:
    found = devicekit.read_measurements(cases / "wide_pandas_mangled.csv")
    assert [spread(found, level)[0] for level in (100, 400)] == [40, 40]


def test_cells_and_dies_keep_their_names(cases: Path) -> None:
    cycled = devicekit.read_measurements(cases / "cycle_and_cell.csv")
    assert (cycled.cells, cycled.rows) == (60, 600)
    assert np.unique(cycled.columns["cycle"]).size == 10
    dies = devicekit.read_measurements(cases / "die_x_die_y.csv")
    assert dies.columns["die"].max() == 15
    fit = devicekit.fit_device(dies)
    assert fit.components is not None
    # 15 nA between dies and 5 nA inside: 90 % of the variance.
    assert fit.components.die == pytest.approx(0.9, abs=0.06)


def test_values_at_the_stated_limit_are_said(cases: Path) -> None:
    found = devicekit.read_measurements(cases / "compliance_clipped.csv")
    assert found.upper_limit == pytest.approx(800e-9)
    assert any("compliance of 800 nA" in text for text in found.warnings)


def test_windows_have_a_middle_and_a_share_inside(cases: Path) -> None:
    found = devicekit.read_measurements(cases / "target_window.csv")
    assert (found.windows["target"] * 1e9).tolist() == pytest.approx([100, 200, 400, 800])
    assert found.windows["cells"].tolist() == [30] * 4
    low, high = found.columns["target_low"], found.columns["target_high"]
    inside = (found.columns["value"] >= low) & (found.columns["value"] <= high)
    assert found.windows["inside"].mean() == pytest.approx(inside.mean())
    assert "cells end inside" in found.describe()


def test_a_state_of_one_cell_is_named_and_the_others_fitted(cases: Path) -> None:
    fit = devicekit.fit_device(devicekit.read_measurements(cases / "unequal_counts.csv"))
    assert len(fit.table) == 5
    assert any("single cell" in note or "one cell" in note for note in fit.notes)


def test_json_carries_the_account(cases: Path, tmp_path: Path) -> None:
    result = run(cases / "pass_flag.csv", "--out", tmp_path / "out", "--no-figures", "--json")
    document = json.loads(result.stdout)
    columns = document["understood"]["columns"]
    assert columns[1] == {
        "column": "current (nA)", "role": "value", "unit": "nA", "unit_from": "header", "rows": 240,
    }  # fmt: skip
    assert document["understood"]["unused"][0]["name"] == "'success'"
    assert document["warnings"]


def test_units_that_need_more_are_refused_without_it(cases: Path, tmp_path: Path) -> None:
    text = (cases / "resistance_kohm.csv").read_text().replace("# read_voltage = 0.1 V\n", "")
    (tmp_path / "bare.csv").write_text(text)
    with pytest.raises(MeasurementError, match=r"resistances \(kOhm\) need the voltage.*read_voltage"):
        devicekit.read_measurements(tmp_path / "bare.csv")
    given = devicekit.read_measurements(tmp_path / "bare.csv", read_voltage="100 mV")
    assert spread(given, 100)[1] == pytest.approx(100, abs=4)
