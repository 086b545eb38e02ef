"""What a report says it knows: kinds of provenance, counts of cells, measured levels, readable shares."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import devicekit
from devicekit.cells.measured_levels import cell_levels
from devicekit.common.engineering import long_duration, percent
from devicekit.common.provenance import kind_named

BUNDLED = devicekit.data_path("measurements/sonos_40nm_tcas2022_resampled.csv")


def made(folder: Path, comments: str = "", lowest: float = 100.0) -> devicekit.Measurements:
    target = np.repeat(np.linspace(lowest, 1600, 8), 50)
    table = pd.DataFrame({"target (nA)": target, "current (nA)": np.random.default_rng(0).normal(1.03 * target, 20.0)})
    path = folder / "made.csv"
    path.write_text(comments + table.to_csv(index=False))
    return devicekit.read_measurements(path)


def test_constants_beside_resampled_cells_are_not_measured() -> None:
    fit = devicekit.fit_device(BUNDLED)
    assert fit.measurements.kind.startswith("resampled")
    assert {fit.cell.provenance[name].kind for name in ("i_max", "on_off_ratio")} == {"resampled"}
    assert fit.cell.provenance["error.s_max"].kind == "fitted"
    assert "resampled" in fit.cell.provenance["error.s_max"].source


def test_what_the_user_says_is_no_measurement(tmp_path: Path) -> None:
    fit = devicekit.fit_device(made(tmp_path, "# on_off_ratio = 1e4\n"), i_max="1.6 uA")
    provenance = fit.cell.provenance
    assert (provenance["i_max"].kind, provenance["i_max"].source) == ("assumed", "given by the user")
    stated = provenance["on_off_ratio"]
    assert (stated.kind, stated.source) == ("measured", "stated in made.csv")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("measured", "measured"),
        ("resampled from published statistics", "resampled"),
        ("Simulated, ngspice", "simulated"),
        ("a guess", "assumed"),
        ("", "assumed"),
    ],
)
def test_a_kind_is_the_first_word_that_is_one(text: str, kind: str) -> None:
    assert kind_named(text) == kind


def test_levels_begin_at_the_lowest_measured_state(tmp_path: Path) -> None:
    fit = devicekit.fit_device(made(tmp_path, "# on_off_ratio = 1e7\n# i_max = 1.6 uA\n"))
    assert fit.cell.measured_range == pytest.approx((1e-7, 1.6e-6))
    assert fit.levels(1e-3)[0] == pytest.approx(1e-7)
    assert fit.levels(1e-3)[-1] <= 1.6e-6
    again = devicekit.load_device(fit.save(tmp_path / "cell.toml"))
    assert again.measured_range == pytest.approx(fit.cell.measured_range)
    np.testing.assert_allclose(cell_levels(again, 1e-3), fit.levels(1e-3))
    # Without the range of a measurement a cell is taken at its word, from its smallest current on.
    bundled = devicekit.load_device("sonos_40nm_iedm2022")
    assert cell_levels(bundled, 1e-3)[0] == pytest.approx(bundled.i_min)


def test_shares_are_never_rows_of_digits(tmp_path: Path) -> None:
    text = devicekit.fit_device(made(tmp_path, "# i_max = 1.6 uA\n", lowest=0.0)).summary()
    assert "means differ from their targets" in text
    assert not re.search(r"\d{7,}\.?\d* ?%", text)
    assert [percent(share) for share in (0.0317, 1.2e-4, -0.5, 3.4, 1e300, float("nan"))] == [
        "3.2 %", "0.012 %", "-50 %", "340 %", "1e+300 times", "no share"
    ]  # fmt: skip


def test_long_times_have_the_unit_a_person_would_use() -> None:
    assert [long_duration(t) for t in (90.0, 7200.0, 50 * 86400.0, 10 * 365.25 * 86400.0)] == [
        "1.5 min", "2 h", "50 days", "10 years"
    ]  # fmt: skip


def test_cells_read_at_three_times_are_no_more_cells(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    target = np.repeat(np.linspace(100, 1600, 8), 150)
    parts = [
        pd.DataFrame({"target (nA)": target, "time (s)": time, "current (nA)": rng.normal(target, 20.0)})
        for time in (0.0, 100.0, 1e4)
    ]
    path = tmp_path / "times.csv"
    path.write_text(pd.concat(parts).to_csv(index=False))
    measurements = devicekit.read_measurements(path)
    assert (measurements.cells, measurements.rows) == (1200, 3600)
    assert "1200 cells" in measurements.describe().splitlines()[0]
    assert devicekit.fit_device(measurements).table["n"].sum() == 1200
