"""Device files: every bundled device pinned, every cell written and read back the same, every fault named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import devicekit
from devicekit.cells.device_files import read_device_file
from devicekit.cells.device_writing import save_device
from devicekit.cells.mean_shifts import TableShift
from devicekit.cells.subthreshold import MeasuredTemperature
from devicekit.common.errors import DeviceError

DAY = 86400.0
PINNED = {
    # name: (I_max [A], on/off, sigma at 0.1, 0.5 and 1 of I_max [A]), from the published formulas by hand
    "sonos_40nm_tcas2022": (1.6e-6, 1e7, (10.3111e-9, 30.8219e-9, 37.6333e-9)),
    "sonos_40nm_iedm2022": (1.6e-6, 1e7, (11.8618e-9, 19.6739e-9, 19.8844e-9)),
    "pcm_joshi2020": (2.5e-6, 100.0, (46.4856e-9, 95.5277e-9, 106.5423e-9)),
    "reram_milo2021": (22.5e-6, 4.5, (432.6971e-9, 375.7784e-9, 273.3246e-9)),
    "reram_wan2022": (3.926e-6, 39.26, (181.4452e-9, 237.8136e-9, 168.0641e-9)),
}


def test_every_bundled_device_is_pinned_and_has_its_sources() -> None:
    assert set(devicekit.device_names()) == set(PINNED)
    for name in PINNED:
        content, path = read_device_file(name)
        assert path.stem == content.name == name
        assert content.notes, "a device says what it does not claim"
        for constant in devicekit.load_device(name).provenance.values():
            assert constant.source


@pytest.mark.parametrize("name", list(PINNED))
def test_bundled_devices_at_fixed_points(name: str) -> None:
    i_max, ratio, sigmas = PINNED[name]
    cell = devicekit.load_device(name)
    assert cell.i_max == pytest.approx(i_max, rel=1e-9)
    assert cell.on_off_ratio == ratio
    assert cell.read_voltage == 0.1
    assert cell.sigma(np.array([0.1, 0.5, 1.0]) * i_max) == pytest.approx(sigmas, rel=1e-4)
    if not name.startswith("sonos"):
        assert cell.provenance["read_voltage"].kind == "assumed"
        assert cell.provenance["i_max"].kind == "assumed"


def test_published_formulas_in_their_own_units() -> None:
    for name, low, high, formula in (
        ("pcm_joshi2020", 0, 25, lambda g: -0.00178767 * g**2 + 0.07585724 * g + 0.28638599),
        ("reram_milo2021", 50, 225, lambda g: -0.009107 * g + 4.782321),
        ("reram_wan2022", 0, 39.26, lambda g: 1.536e-4 * g**3 - 1.167e-2 * g**2 + 0.2374 * g + 1.053),
    ):
        conductance = np.linspace(low, high, 7)
        sigma = devicekit.load_device(name).sigma(conductance * 1e-6 * 0.1) / 0.1 * 1e6
        np.testing.assert_allclose(sigma, formula(conductance), rtol=1e-9)


def everything() -> devicekit.Cell:
    """Return a cell that uses every part of the file format."""
    error = devicekit.SaturatingExponential(40e-9, 500e-9, floor=1e-9)
    covariance = np.diag([1e-18, 4e-16, 1e-20])
    shift = TableShift((1e-7, 1e-6), (1.01e-7, 0.99e-6), (1e-9, 2e-9))
    points = (
        devicekit.RetentionPoint(DAY, None, devicekit.Spline((1e-8, 5e-7, 1e-6), (1e-9, 2e-8, 3e-8))),
        devicekit.RetentionPoint(2 * DAY, shift, devicekit.Polynomial((1.0, 0.1), 1e-9, (0.0, 2e-6))),
        devicekit.RetentionPoint(3 * DAY, shift, devicekit.Table((1e-8, 1e-6), (1e-9, 3e-8))),
    )
    return devicekit.Cell(
        name="all",
        technology="test",
        error=error,
        covariance=covariance,
        i_max=1.6e-6,
        on_off_ratio=1e5,
        read_voltage=0.2,
        mean_error=shift,
        retention=devicekit.Retention(points, "log", 0.8, 398.15, start=0.5),
        retention_covariance={DAY: np.diag([1e-20, 1e-18, 1e-18])},
        read_noise=devicekit.PowerLaw(5e-9, 0.6),
        read_noise_covariance=np.diag([1e-20, 1e-3]),
        temperature_law=MeasuredTemperature((300.0, 350.0), (1e-7, 1e-6), ((1.0, 1.0), (1.5, 1.2)), 300.0),
        spatial=devicekit.Spatial(0.1, 0.05),
        provenance={"i_max": devicekit.Constant(value=1.6e-6, unit="A", kind="measured", source="here")},
    )


@pytest.mark.parametrize("name", ["all", *PINNED])
def test_a_cell_comes_back_from_its_file(name: str, tmp_path: Path) -> None:
    cell = everything() if name == "all" else devicekit.load_device(name)
    path = save_device(cell, tmp_path / "cell.toml", "a cell", ["a note"], {"model": "x"})
    again = devicekit.load_device(path)
    target = np.linspace(0, 1.2 * cell.i_max, 60)
    latest = 0.0 if cell.retention is None else cell.retention.measured_until
    for time in (time for time in (0.0, 0.5, 0.7 * DAY, 1.3 * DAY, 2.7 * DAY) if time <= latest):
        for part in ("mean", "sigma"):
            np.testing.assert_allclose(
                getattr(again.at(time=time), part)(target), getattr(cell.at(time=time), part)(target), rtol=1e-12
            )
    np.testing.assert_array_equal(again.read_sigma(target), cell.read_sigma(target))
    for field in ("name", "technology", "i_max", "on_off_ratio", "read_voltage", "spatial"):
        assert getattr(again, field) == pytest.approx(getattr(cell, field)) if field == "i_max" else True
    assert again.provenance["i_max"].kind == cell.provenance["i_max"].kind
    assert again.has_uncertainty == cell.has_uncertainty
    if cell.temperature_law is not None:
        np.testing.assert_allclose(again.at(temperature=320.0).mean(target), cell.at(temperature=320.0).mean(target))
    if name == "all":
        assert again.retention is not None
        assert again.retention.activation_energy == 0.8
        assert again.retention.temperature == 398.15
        assert again.spatial == cell.spatial
        np.testing.assert_array_equal(again.covariance, cell.covariance)
        assert again.draw(4).error == cell.draw(4).error
        assert again.draw(4).at(time=DAY).sigma(5e-7) == cell.draw(4).at(time=DAY).sigma(5e-7)
    twice = save_device(again, tmp_path / "again.toml", "a cell", ["a note"], {"model": "x"})
    assert twice.read_text() == path.read_text() or name in PINNED


def test_only_programmed_cells_are_saved(tmp_path: Path) -> None:
    cell = devicekit.load_device("sonos_40nm_tcas2022")
    with pytest.raises(DeviceError, match="was moved in time"):
        save_device(cell.at(time=DAY), tmp_path / "cell.toml", "later")
    assert not list(tmp_path.iterdir())
    infinite = devicekit.Cell(error=devicekit.StateIndependent(0.05), i_max=1e-6)
    assert devicekit.load_device(save_device(infinite, tmp_path / "cell.toml", "x")).on_off_ratio == 1e12


def test_uncertainty_of_a_fit_flows_into_draws(tmp_path: Path) -> None:
    fit = devicekit.fit_device(
        devicekit.read_measurements(devicekit.data_path("measurements/sonos_40nm_tcas2022_resampled.csv"))
    )
    cell = devicekit.load_device(fit.save(tmp_path / "fitted.toml"))
    drawn = np.array([float(cell.draw(seed).sigma(0.8e-6)) for seed in range(800)])
    assert drawn.std() == pytest.approx(float(fit.fit.sigma_stderr(0.8e-6)), rel=0.15)
    assert cell.provenance["error.s_max"].interval is not None
    assert "resampled from published statistics" in cell.provenance["error.s_max"].source


def bundled_text(folder: Path, change: tuple[str, str]) -> Path:
    text = devicekit.data_path("devices/sonos_40nm_tcas2022.toml").read_text()
    assert change[0] in text
    path = folder / "mine.toml"
    path.write_text(text.replace(*change, 1))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ('model = "saturating_exponential"', 'model = "saturating"'),
            r"error\.model: Unknown error model 'saturating'",
        ),
        (('s_max = "39.5656 nA"', 's_mx = "39.5656 nA"'), r"Unknown parameter 's_mx'. Did you mean 's_max'"),
        (('s_max = "39.5656 nA"\n', ""), r"saturating_exponential also needs s_max"),
        (('s_max = "39.5656 nA"', 's_max = "39.5656 nV"'), r"Expected error\.s_max to be a quantity in A"),
        (('s_max = "39.5656 nA"', 's_max = "39,5656 nA"'), r"a comma is no decimal point here; write '39\.5656'"),
        (('s_max = "39.5656 nA"', 's_max = "39.5656 uA"'), r"spread by \[error\] is 37\.63 uA, more than 10 times"),
        (('s_max = "39.5656 nA"', "s_max = inf"), r"finite"),
        (
            ("value = 1.6\n", "value = 1.6e-6\n"),
            r"the highest target of the mean currents is 1\.585 uA, more than 1000 times",
        ),
        (('s_max = "39.5656 nA"', 's_max = "-1 nA"'), r"SaturatingExponential: expected `s_max`"),
        (("value = 1.6\n", ""), r"i_max\.value: Field required"),
        (("value = 1.6\n", "value = -1.6\n"), r"expected `i_max` to be a finite current"),
        (('kind = "published"', 'kind = "guessed"'), r"i_max\.kind: Input should be"),
        (('technology = "sonos_40nm"', 'tecnology = "x"'), r"technology: Field required.*2 faults"),
        (('format = "devicekit-cell-1"', 'format = "devicekit-cell-9"'), r"format: Input should be 'devicekit-cell-1'"),
        (('time = "1 day"', 'time = "1 nA"'), r"Expected retention\.points\.0\.time to be a quantity in s"),
        (("[retention]", "[retention"), r"not a TOML file"),
    ],
)
def test_faulty_files_name_the_file_and_the_field(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=rf"mine\.toml: .*{message}|mine\.toml: {message}"):
        devicekit.load_device(bundled_text(tmp_path, change))


def test_covariances_must_fit_their_model(tmp_path: Path) -> None:
    change = ("[error.parameters]", "covariance = [[1.0, 0.0]]\n\n[error.parameters]")
    with pytest.raises(DeviceError, match=r"expected a symmetric 2 x 2 matrix, got shape \(1, 2\)"):
        devicekit.load_device(bundled_text(tmp_path, change))


def test_unknown_devices_are_answered_with_the_nearest() -> None:
    with pytest.raises(DeviceError, match=r"Unknown device 'sonos_40nm_tcas'. Did you mean 'sonos_40nm_tcas2022'"):
        devicekit.load_device("sonos_40nm_tcas")


def test_changed_cells_keep_the_rest() -> None:
    cell = devicekit.load_device("sonos_40nm_iedm2022")
    quiet = replace(cell, read_noise=None)
    assert quiet.read_sigma(1e-6) == 0.0
    assert quiet.sigma(1e-6) == cell.sigma(1e-6)


def test_the_file_shown_in_the_documentation_is_a_device(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "devices.md").read_text()
    toml = next(part.split("```")[0] for part in text.split("```toml\n") if part.startswith("format"))
    (tmp_path / "mine.toml").write_text(toml)
    cell = devicekit.load_device(tmp_path / "mine.toml")
    assert cell.at(time=DAY).mean(50e-9) == pytest.approx(52e-9)
    assert cell.sigma(1e-5) == pytest.approx(40e-9)
    for name in devicekit.device_names():
        assert f"`{name}`" in text
