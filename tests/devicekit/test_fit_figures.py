"""Figures of a device fit: panels alone and together, drawn from what was measured."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from typer.testing import CliRunner

import devicekit
from devicekit.common.errors import DeviceError
from devicekit.fits.fit_panels import PANELS, available
from reports.command import build_app

RETENTION = devicekit.data_path("measurements/sonos_40nm_tcas2022_retention_resampled.csv")


@pytest.fixture(scope="module")
def retained() -> devicekit.DeviceFit:
    return devicekit.fit_device(RETENTION)


def made(folder: Path, cells: int = 80, comments: str = "", header: str = "current (nA)") -> devicekit.Measurements:
    target = np.repeat(np.linspace(100, 1600, 8), cells)
    value = np.random.default_rng(0).normal(target, 20.0)
    path = folder / "made.csv"
    path.write_text(comments + pd.DataFrame({"target (nA)": target, header: value}).to_csv(index=False))
    return devicekit.read_measurements(path)


def test_every_panel_that_has_something_to_show_is_on_the_page(retained: devicekit.DeviceFit) -> None:
    _, axes = retained.plot()
    assert list(axes) == [name for name in axes if name in PANELS]
    assert set(axes) == set(available(retained)) >= {"probability", "retention", "spread_time", "threshold"}


@pytest.mark.parametrize("panel", sorted(PANELS))
def test_panels_stand_alone_at_the_width_of_a_column(retained: devicekit.DeviceFit, panel: str) -> None:
    if panel not in available(retained):
        with pytest.raises(DeviceError, match=f"The panel '{panel}' has nothing to show"):
            retained.plot(panel)
        return
    figure, axis = retained.plot(panel, "85mm")
    assert figure.get_size_inches()[0] * 25.4 == pytest.approx(85.0)
    assert axis.get_title(loc="left") == ""
    assert axis.get_xlabel() or panel == "comparison"
    figure.draw_without_rendering()


def test_faulty_panels_are_refused(retained: devicekit.DeviceFit, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"Unknown panel 'sigmas'\. Did you mean 'sigma'"):
        retained.plot("sigmas")
    with pytest.raises(DeviceError, match="between 20 mm and 1 m"):
        retained.plot("sigma", 5.0)
    with pytest.raises(DeviceError, match="nothing to show"):
        retained.write(tmp_path / "out", panels=["bakes"])
    assert not (tmp_path / "out").exists()


def test_no_bar_is_cut(tmp_path: Path) -> None:
    # One bin far above the others: rounding that piles cells up, and a histogram with a narrow bin.
    target = np.repeat([200.0, 800.0], 60)
    value = 40 * np.rint(np.random.default_rng(1).normal(target, 15.0) / 40)
    path = tmp_path / "rounded.csv"
    path.write_text(pd.DataFrame({"target (nA)": target, "current (nA)": value}).to_csv(index=False))
    for measurements in (devicekit.read_measurements(path), made(tmp_path, 9)):
        _, axis = devicekit.fit_device(measurements).plot("histograms")
        tallest = max(bar.get_height() for bar in axis.patches)
        assert tallest <= axis.get_ylim()[1]
        ends = [
            edge for bar in axis.patches if bar.get_height() for edge in (bar.get_x(), bar.get_x() + bar.get_width())
        ]
        assert axis.get_xlim()[0] <= min(ends)
        assert max(ends) <= axis.get_xlim()[1]


def test_cells_far_out_are_counted_instead_of_squeezing_the_others(tmp_path: Path) -> None:
    found = made(tmp_path)
    found.columns["value"][3] = 5.0
    with pytest.warns(devicekit.UnitWarning, match="The tail of outlier cells reaches 5"):
        fit = devicekit.fit_device(found)
    _, axis = fit.plot("histograms")
    assert [text.get_text() for text in axis.texts] == ["1 cells outside"]
    assert axis.get_xlim()[1] < 3000


def test_normal_paper_has_the_quantiles_of_ranks(tmp_path: Path) -> None:
    fit = devicekit.fit_device(made(tmp_path))
    _, axis = fit.plot("probability")
    line = axis.lines[0]
    sample = np.sort(fit.measurements.columns["value"][:80])
    np.testing.assert_allclose(line.get_ydata(), stats.norm.ppf((np.arange(80) + 0.5) / 80))
    np.testing.assert_allclose(line.get_xdata(), (sample - sample.mean()) / sample.std(ddof=1), rtol=1e-9)


def test_the_retention_panel_has_the_measured_changes_and_a_band_that_widens(retained: devicekit.DeviceFit) -> None:
    _, axis = retained.plot("retention")
    assert axis.get_xscale() == "log"
    own, last = retained.table, retained.later[-1].states.table
    change = 100 * (last["mean"].iloc[0] / own["mean"].iloc[0] - 1)
    points = axis.containers[0].lines[0]
    assert points.get_ydata()[-1] == pytest.approx(change)
    assert points.get_xdata()[-1] == pytest.approx(5 * 86400.0)
    band = axis.collections[-1]
    assert band is not None
    law = next(iter(retained.retention_laws.values())).law
    widths = [float(np.ptp([float(end) for end in law.mean_ratio_interval(5e-8, t)])) for t in (1e5, 1e6, 1e7)]
    assert widths[0] < widths[1] < widths[2]


@pytest.mark.parametrize(
    ("comments", "header", "there"),
    [
        ("", "current (nA)", True),
        ("# technology = sonos_40nm\n", "current (nA)", True),
        ("# technology = my_rram\n", "current (nA)", False),
        ("# technology = PCM 90 nm\n", "current (nA)", False),
        ("# read_voltage = 0.1 V\n", "conductance (nS)", False),
    ],
)
def test_only_transistors_have_a_threshold(tmp_path: Path, comments: str, header: str, there: bool) -> None:
    measurements = made(tmp_path, comments=comments, header=header)
    if "conductance" in header:
        columns = dict(measurements.columns)
        columns["target"] = columns["target"] * 0.1
        measurements = devicekit.Measurements(
            measurements.place, columns, metadata=measurements.metadata, read_voltage=0.1
        )
    fit = devicekit.fit_device(measurements)
    assert ("threshold" in fit.plot()[1]) is there
    assert ("V_T" in fit.summary()) is there


def test_panels_from_the_command_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        build_app(), ["fit", str(RETENTION), "--out", str(tmp_path), "--panel", "sigma", "--panel", "retention",
                      "--width", "60mm"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    files = {path.name for path in tmp_path.iterdir()}
    assert {"sigma.png", "sigma.pdf", "retention.png", "retention.pdf"} <= files
    assert "figures.png" not in files
    wrong = CliRunner().invoke(build_app(), ["fit", str(RETENTION), "--out", str(tmp_path / "no"), "--panel", "sigam"])
    assert wrong.exit_code == 2
    assert "Did you mean 'sigma'" in wrong.stderr
    assert not (tmp_path / "no").exists()
