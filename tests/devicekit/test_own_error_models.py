"""Error models from outside the package: fitted, chosen, saved, loaded, drawn and plotted like those of devicekit."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

import devicekit
from devicekit.cells import error_registry
from devicekit.common.entry_points import load_entry_points
from devicekit.common.errors import DeviceError
from devicekit.fits.model_choice import compare_models, fit_candidates

I_MAX = 1.6e-6
TARGETS = np.linspace(1 / 24, 1, 24) * I_MAX
DOF = np.full(24, 399.0)

# A model as an installed package would have it; the same text is imported here and by the command in its own process.
SOURCE = '''
from dataclasses import dataclass, field
from math import inf
from typing import ClassVar

import numpy as np

import devicekit


@dataclass(frozen=True)
class LogQuadratic(devicekit.ErrorModel):
    """ln(sigma / s_full) = slope x + curvature x**2 with x = ln(I / I_max): a power law whose exponent drifts."""

    s_full: float
    slope: float = field(metadata=devicekit.parameter("", minimum=0.0, maximum=3.0))
    curvature: float = field(metadata=devicekit.parameter("", minimum=-inf))
    name: ClassVar[str] = "log_quadratic"

    def sigma(self, target, i_max):
        x = np.log(np.maximum(np.asarray(target, dtype=float) / i_max, 1e-9))
        return self.s_full * np.exp(self.slope * x + self.curvature * x**2)

    @classmethod
    def guess(cls, target, sigma, i_max):
        x = np.log(np.maximum(np.asarray(target) / i_max, 1e-9))
        curvature, slope, offset = np.polyfit(x, np.log(sigma), 2) if len(x) > 2 else (0.0, 0.5, np.log(np.mean(sigma)))
        return cls(float(np.exp(offset)), float(np.clip(slope, 0.0, 3.0)), float(curvature))
'''


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what a test registers from the other tests."""
    devicekit.error_models()
    for name in ("_models", "_forms"):
        monkeypatch.setattr(error_registry, name, dict(getattr(error_registry, name)))


@pytest.fixture
def outside(registry: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[devicekit.ErrorModel]]:
    """Return the registered class of a module that lies outside the package."""
    (tmp_path / "lab_models.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lab_models", raising=False)
    import lab_models  # type: ignore[import-not-found]

    yield devicekit.register_error_model(lab_models.LogQuadratic)
    del sys.modules["lab_models"]


def cells(law: devicekit.ErrorModel, path: Path, seed: int = 0, each: int = 400) -> Path:
    """Write normal cells whose spread follows a law."""
    target = np.repeat(TARGETS, each)
    value = np.random.default_rng(seed).normal(target, law.sigma(target, I_MAX))
    pd.DataFrame({"target (A)": target, "current (A)": value}).to_csv(path, index=False)
    return path


def test_a_registered_model_is_chosen_saved_loaded_drawn_and_plotted(
    outside: type[devicekit.ErrorModel], tmp_path: Path
) -> None:
    truth = {"s_full": 40e-9, "slope": 0.3, "curvature": -0.2}
    fit = devicekit.fit_device(cells(outside(**truth), tmp_path / "cells.csv"), bootstrap=30, i_max=I_MAX)
    assert fit.model == "log_quadratic"
    assert fit.comparison.loc["log_quadratic", "parameters"] == 3
    assert fit.comparison["delta_bic"].iloc[1] > 2
    assert compare_models(fit.fits, "aicc").index[0] == "log_quadratic"
    for name, value in truth.items():
        assert abs(fit.parameters[name].value - value) < 3 * fit.parameters[name].stderr
        assert fit.bootstrap is not None
        assert fit.bootstrap[name].std() == pytest.approx(fit.parameters[name].stderr, rel=0.4)
    assert [parameter.unit for parameter in fit.parameters.values()] == ["A", "", ""]
    assert "Error model: log_quadratic" in fit.summary()
    labels = [line.get_label() for line in fit.plot()[1]["sigma"].lines]
    assert "log quadratic" in labels

    written = fit.write(tmp_path / "out")
    again = devicekit.load_device(written["cell"])
    assert type(again.error) is outside
    assert again.error == fit.cell.error
    np.testing.assert_array_equal(again.program(TARGETS, 3), fit.cell.program(TARGETS, 3))
    assert again.provenance["error.slope"].unit == "1"
    assert again.provenance["error.slope"].kind == "fitted"

    draws = [again.draw(seed).error.values() for seed in range(1500)]
    drawn = np.array([list(values.values()) for values in draws])
    assert fit.fit.covariance.shape == (3, 3)
    np.testing.assert_allclose(drawn.std(axis=0), np.sqrt(np.diag(fit.fit.covariance)), rtol=0.1)
    sigma = np.array([float(outside(**values).sigma(0.2e-6, I_MAX)) for values in draws])
    assert sigma.std() == pytest.approx(float(fit.fit.sigma_stderr(0.2e-6)), rel=0.1)


def test_a_model_is_asked_for_by_name_or_class_and_serves_as_read_noise(
    outside: type[devicekit.ErrorModel], tmp_path: Path
) -> None:
    path = cells(devicekit.SaturatingExponential(40e-9, 500e-9), tmp_path / "cells.csv", each=60)
    by_name = devicekit.fit_device(str(path), "log_quadratic")
    by_class = devicekit.fit_device(path, outside, candidates=["power_law", devicekit.SaturatingExponential])
    assert by_name.model == by_class.model == "log_quadratic"
    assert by_name.cell.error == by_class.cell.error
    assert set(by_class.fits) == {"power_law", "saturating_exponential", "log_quadratic"}
    assert set(devicekit.fit_device(path, candidates="power_law").fits) == {"power_law"}
    cell = devicekit.Cell(
        error=devicekit.StateProportional(0.05),
        i_max=I_MAX,
        read_noise=outside(4e-9, 0.3, 0.0),
        retention=devicekit.Retention((devicekit.RetentionPoint(100.0, None, outside(50e-9, 0.4, -0.1)),)),
    )
    again = devicekit.load_device(devicekit.save_device(cell, tmp_path / "cell.toml"))
    np.testing.assert_array_equal(again.read_sigma(TARGETS), cell.read_sigma(TARGETS))
    np.testing.assert_array_equal(again.at(time="100 s").sigma(TARGETS), cell.at(time=100.0).sigma(TARGETS))


def test_a_law_with_as_many_parameters_as_states_is_no_candidate(outside: type[devicekit.ErrorModel]) -> None:
    for states, expected in ((3, False), (4, True)):
        at = np.linspace(0.2, 1.0, states) * I_MAX
        fits = fit_candidates(at, outside(40e-9, 0.3, -0.1).sigma(at, I_MAX), np.full(states, 50.0), I_MAX)
        assert ("log_quadratic" in fits) is expected
        assert "table" in fits


def test_a_parameter_per_ampere_keeps_its_unit_through_fit_and_file(registry: None, tmp_path: Path) -> None:
    @devicekit.register_error_model
    @dataclass(frozen=True)
    class Lorentzian(devicekit.ErrorModel):
        """sigma = s_max sqrt(1 - 1 / (1 + (rate I)**2))."""

        s_max: float
        rate: float = field(metadata=devicekit.parameter("1/A", above_minimum=True))
        name: ClassVar[str] = "lorentzian"

        def sigma(self, target, i_max):  # type: ignore[no-untyped-def]
            x = self.rate * np.asarray(target, dtype=float)
            return self.s_max * x / np.sqrt(1.0 + x**2)

        @classmethod
        def guess(cls, target, sigma, i_max):  # type: ignore[no-untyped-def]
            return cls(float(np.max(sigma)), 3.0 / i_max)

    truth = Lorentzian(40e-9, 2.5e6)
    assert truth.scaled(1e9).values() == pytest.approx({"s_max": 40.0, "rate": 2.5e-3})
    fit = devicekit.fit_device(cells(truth, tmp_path / "cells.csv", seed=1))
    assert fit.model == "lorentzian"
    assert fit.parameters["rate"].unit == "1/A"
    for name, value in truth.values().items():
        assert abs(fit.parameters[name].value - value) < 3 * fit.parameters[name].stderr
    assert devicekit.load_device(fit.save(tmp_path / "cell.toml")).error == fit.cell.error
    text = (tmp_path / "cell.toml").read_text()
    written = tmp_path / "per_na.toml"
    written.write_text(text.replace(f'rate = "{fit.parameters["rate"].value!r} 1/A"', 'rate = "0.0025 1/nA"'))
    assert devicekit.load_device(written).error.values()["rate"] == pytest.approx(2.5e6)


def law(**changes: object) -> type[devicekit.ErrorModel]:
    """Return a dataclass of an error model with some parts exchanged, not registered."""
    parts: dict[str, object] = {
        "__annotations__": {"s_full": float, "exponent": float},
        "exponent": field(metadata=devicekit.parameter("")),
        "name": "mine",
        "sigma": lambda self, target, i_max: self.s_full * (np.asarray(target) / i_max) ** self.exponent,
        "guess": classmethod(lambda cls, target, sigma, i_max: cls(float(np.max(sigma)), 0.5)),
        **changes,
    }
    return dataclass(frozen=True)(
        type("Mine", (devicekit.ErrorModel,), {key: part for key, part in parts.items() if part is not None})
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: "power_law", "to be a subclass of devicekit.ErrorModel, but got 'power_law'"),
        (lambda: devicekit.PowerLaw(1e-9, 0.5), "to be a subclass of devicekit.ErrorModel, but got PowerLaw"),
        (lambda: law(guess=None), "Mine does not define guess"),
        (lambda: law(name="power law"), "expected `name` to be a text of letters, digits and underscores"),
        (lambda: law(name="fine_spline"), "the name 'fine_spline' is that of devicekit.cells.error_models.Spline"),
        (lambda: law(forms=classmethod(lambda cls: {"other": cls.guess})), r"expected `forms\(\)` to hold .* 'mine'"),
        (lambda: law(exponent=field(metadata=devicekit.parameter("A"))), r"unit of current; .* exponent \[A\]"),
        (lambda: law(sigma=lambda self, target, i_max: 5e-9 + 0.1 * np.asarray(target)), "depends on the unit of curr"),
        (lambda: law(sigma=lambda self, target, i_max: self.s_full), "expected sigma.* to have the currents' shape"),
        (lambda: law(guess=classmethod(lambda cls, *_: devicekit.PowerLaw(1e-9, 0.5))), "starting values to be a Mine"),
        (lambda: law(guess=classmethod(lambda cls, *_: 1 / 0)), "fails on 24 states .*: ZeroDivisionError"),
        (lambda: law(to_table=lambda self: {"s_full": 1e-9, "exponent": 0.5}), r"from_table\(to_table\(\)\)"),
    ],
)
def test_what_cannot_be_an_error_model_is_refused(registry: None, make: object, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        devicekit.register_error_model(make())  # type: ignore[operator]
    assert "mine" not in devicekit.error_models()


def test_a_model_defined_again_takes_the_place_of_its_former_self(registry: None) -> None:
    first, second = law(), law()
    assert devicekit.register_error_model(first) is first
    devicekit.register_error_model(second)
    assert devicekit.error_models()["mine"] is second


def test_models_that_are_not_known_by_name_are_told_how(registry: None, tmp_path: Path) -> None:
    cell = devicekit.Cell(error=law()(40e-9, 0.5), i_max=I_MAX)
    assert cell.sigma(I_MAX) == pytest.approx(40e-9)
    with pytest.raises(DeviceError, match=r"Unknown error model 'mine'.*devicekit.register_error_model"):
        devicekit.save_device(cell, tmp_path / "cell.toml")
    assert not list(tmp_path.iterdir())
    path = cells(devicekit.PowerLaw(40e-9, 0.5), tmp_path / "cells.csv", each=20)
    with pytest.raises(DeviceError, match=r"error model Mine is not known by name yet.*register_error_model"):
        devicekit.fit_device(path, law())
    with pytest.raises(DeviceError, match="Expected an error model's name or class, but got 3"):
        devicekit.fit_device(path, 3)  # type: ignore[arg-type]
    devicekit.register_error_model(law())
    with pytest.raises(DeviceError, match="would not find its error model Mine again"):
        devicekit.save_device(cell, tmp_path / "cell.toml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"unit": "S"}, "'S' of a parameter needs `power`"),
        ({"minimum": 1.0, "maximum": 0.0, "unit": ""}, "below its `maximum`"),
        ({"maximum": 1e-6}, "0 or infinite where the unit holds amperes"),
    ],
)
def test_impossible_parameters_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        devicekit.parameter(**arguments)


def test_limits_of_parameters_hold_in_models_fits_and_draws(outside: type[devicekit.ErrorModel]) -> None:
    with pytest.raises(
        DeviceError, match=r"expected `slope` to be a finite number of at least 0 and at most 3, but got 4"
    ):
        outside(1e-9, 4.0, 0.0)
    with pytest.raises(DeviceError, match="expected `curvature` to be a finite number, but got nan"):
        outside(1e-9, 1.0, math.nan)
    steep, target = outside(40e-9, 3.0, 0.3), np.linspace(0.3, 1.0, 24) * I_MAX
    # A spread whose slope is 4 is fitted best at the limit of 3.
    fits = fit_candidates(target, steep.sigma(target, I_MAX) * target / I_MAX, DOF, I_MAX, [outside])
    slope = fits["log_quadratic"].parameters["slope"].value
    assert slope == pytest.approx(3.0, abs=1e-3)
    assert slope <= 3.0
    cell = devicekit.Cell(error=steep, i_max=I_MAX, covariance=np.diag([1e-18, 0.04, 0.01]))
    drawn = np.array([cell.draw(seed).error.values()["slope"] for seed in range(200)])
    assert drawn.max() == 3.0
    assert drawn.min() > 2.0


def installed(folder: Path, value: str = "lab_models:LogQuadratic") -> Path:
    """Lay a package with an error model into a folder, as an installer would."""
    (folder / "lab_models.py").write_text(SOURCE)
    facts = folder / "lab_models-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-models\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[devicekit.error_models]\nlog_quadratic = {value}\n")
    return folder


def test_the_command_fits_with_the_model_of_an_installed_package(
    outside: type[devicekit.ErrorModel], tmp_path: Path
) -> None:
    path = cells(outside(40e-9, 0.15, -0.2), tmp_path / "cells.csv")
    packages = tmp_path / "packages"
    packages.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed(packages)), *sys.path])}

    def run(*arguments: str) -> dict:
        command = [sys.executable, "-c", "from reports.command import main; main()", *arguments, "--json"]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
        return dict(json.loads(done.stdout))

    fitted = run("fit", str(path), "--no-figures", "--out", "out", "--name", "lab")
    assert fitted["model"] == "log_quadratic"
    shown = run("device", "show", fitted["files"]["cell"])
    assert shown["states"][-1]["sigma_a"] == pytest.approx(fitted["parameters"]["s_full"]["value"], rel=0.05)


def test_a_package_that_cannot_be_used_is_left_out_and_named(
    registry: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(installed(tmp_path, "lab_models:Absent"))
    with pytest.warns(devicekit.ExtensionWarning, match="'log_quadratic' of the package 'lab-models'.*Absent"):
        assert load_entry_points(error_registry.GROUP, devicekit.register_error_model) == []
    assert "log_quadratic" not in devicekit.error_models()


def test_the_model_shown_in_the_documentation_can_be_registered(registry: None, tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "devices.md").read_text()
    shown = next(part.split("```")[0] for part in text.split("```python\n")[1:] if "register_error_model" in part)
    before = set(devicekit.error_models())
    exec(compile(shown, "devices.md", "exec"), {"__name__": "shown"})
    (new,) = set(devicekit.error_models()) - before
    assert f'"{new}"' in shown
