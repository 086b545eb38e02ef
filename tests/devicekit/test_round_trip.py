"""The reference device, resampled from its published statistics and fitted again."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import devicekit
from devicekit.fits.model_fits import fit_model

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = {"s_max": 39.5656e-9, "i_sat": 1e-9 / 0.00188704}


@pytest.fixture(scope="module")
def resampling() -> ModuleType:
    spec = importlib.util.spec_from_file_location("resampling", ROOT / "scripts" / "resample_sonos_measurements.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bundled() -> devicekit.Measurements:
    return devicekit.read_measurements(devicekit.data_path("measurements/sonos_40nm_tcas2022_resampled.csv"))


def test_bundled_measurements_say_that_they_are_resampled(bundled: devicekit.Measurements) -> None:
    assert bundled.kind == "resampled from published statistics"
    assert "resampled from published statistics" in bundled.describe()
    assert bundled.rows == 16 * 64
    assert np.unique(bundled.columns["target"], return_counts=True)[1].tolist() == [64] * 16


def test_the_script_writes_the_bundled_files(resampling: ModuleType, tmp_path: Path) -> None:
    resampling.main(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    for path in tmp_path.iterdir():
        assert path.read_text() == devicekit.data_path(f"measurements/{path.name}").read_text()


def test_retention_comes_back_from_the_followed_cells() -> None:
    fit = devicekit.fit_device(
        devicekit.read_measurements(devicekit.data_path("measurements/sonos_40nm_tcas2022_retention_resampled.csv"))
    )
    published = devicekit.load_device("sonos_40nm_tcas2022")
    assert fit.model == "saturating_exponential"
    assert fit.cell.retention is not None
    assert fit.cell.retention.times == (0.0, 86400.0, 172800.0, 432000.0)
    target = fit.table["target"].to_numpy()
    for later in fit.later:
        then = published.at(time=later.time)
        rows = later.states.table
        assert np.all(np.abs(rows["mean"] - then.mean(target)) < 4 * rows["mean_stderr"])
        assert np.all(
            np.abs(later.fit.model.sigma(target, 1.6e-6) - then.sigma(target)) < 3 * later.fit.sigma_stderr(target)
        )


def test_fit_of_seed_0_lies_within_two_standard_errors(bundled: devicekit.Measurements) -> None:
    fit = devicekit.fit_device(bundled)
    assert fit.model == "saturating_exponential"
    for name, truth in PUBLISHED.items():
        assert abs(fit.parameters[name].value - truth) < 2 * fit.parameters[name].stderr
        assert fit.parameters[name].unit == "A"
    assert fit.fit.goodness > 0.01
    assert fit.cell.i_max == 1.6e-6
    assert fit.cell.on_off_ratio == 1e7


def test_pulls_over_200_other_seeds_are_standard(resampling: ModuleType) -> None:
    pulls = []
    for seed in range(1, 201):
        targets, currents = resampling.resample(seed)
        fit = fit_model(
            "saturating_exponential", targets[:, 0], currents.std(axis=1, ddof=1), np.full(16, 63.0), 1.6e-6
        )
        pulls.append(
            [(fit.parameters[name].value - truth) / fit.parameters[name].stderr for name, truth in PUBLISHED.items()]
        )
    mean, spread = np.mean(pulls, axis=0), np.std(pulls, axis=0)
    assert np.all(np.abs(mean) < 0.2), mean
    assert np.all((spread > 0.85) & (spread < 1.15)), spread
