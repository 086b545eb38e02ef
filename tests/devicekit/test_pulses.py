"""Update curves: published layouts, laws with known truth, and the files of aihwkit and CrossSim read back."""

import importlib.util
import json
import sys
import types
from dataclasses import fields, make_dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import devicekit
from devicekit import UpdateBranch, UpdateModel
from devicekit.common.errors import DeviceError, MeasurementError
from devicekit.pulses.aihwkit_presets import DEVICES, preset_fields, read_preset
from devicekit.pulses.crosssim_tables import lookup_table, read_table
from devicekit.pulses.pulse_data import ramps_of
from devicekit.pulses.pulse_fits import fit_update
from devicekit.pulses.pulse_likelihood import Layout, deviance
from devicekit.pulses.update_laws import SHAPE_PARAMETERS, UPDATE_LAWS, step_shape, step_slope
from reports.command import build_app

BUNDLED = devicekit.data_path("pulses/soft_bounds_simulated.csv")
MODELS = {
    "constant_step": UpdateModel(
        "constant_step", 10e-6, 30e-6, UpdateBranch(0.3e-6), UpdateBranch(0.25e-6), 0.5, "additive", 0.2e-6
    ),
    "soft_bounds": UpdateModel(
        "soft_bounds", 10e-6, 30e-6, UpdateBranch(0.5e-6), UpdateBranch(0.7e-6), 0.3, "multiplicative", 0.3e-6
    ),
    "linear_step": UpdateModel(
        "linear_step", 10e-6, 30e-6, UpdateBranch(0.4e-6, (0.4,)), UpdateBranch(0.5e-6, (0.6,)), 0.5, "additive", 0.2e-6
    ),
    "exponential_step": UpdateModel(
        "exponential_step", 10e-6, 30e-6, UpdateBranch(0.2e-6, (3.0, 5.0)), UpdateBranch(0.2e-6, (6.0, 6.0)), 0.4,
        "multiplicative", 0.2e-6,
    ),
}  # fmt: skip


def ramps(model: UpdateModel, seed: int, count: int = 5, pulses: int = 60, device: int = 0) -> list[tuple]:  # type: ignore[type-arg]
    rng = np.random.default_rng(seed)
    result = []
    for up in (True, False):
        start = model.g_min + (0.02 if up else 0.98) * model.range
        traces = model.ramp(np.full(count, start), pulses, up, rng)
        result += [(trace, up, device, cycle) for cycle, trace in enumerate(traces)]
    return result


@pytest.mark.parametrize("law", UPDATE_LAWS)
def test_laws_are_one_in_the_middle_and_their_slopes_are_slopes(law: str) -> None:
    shape = MODELS[law].branch(True).shape
    assert len(shape) == len(SHAPE_PARAMETERS[law])  # type: ignore[index]
    assert step_shape(law, 0.0, shape) == pytest.approx(1.0)  # type: ignore[arg-type]
    w = np.linspace(-0.95, 0.95, 39)
    rise = (step_shape(law, w + 1e-6, shape) - step_shape(law, w - 1e-6, shape)) / 2e-6  # type: ignore[arg-type]
    np.testing.assert_allclose(step_slope(law, w, shape), rise, atol=1e-6)  # type: ignore[arg-type]


def test_soft_bounds_approach_their_bounds_geometrically() -> None:
    model = replace(MODELS["soft_bounds"], pulse_noise=0.0, read_noise=0.0)
    # dG = s (G_max - G) / half the range: what is left shrinks by the same factor at every pulse.
    left = model.g_max - model.ramp(12e-6, 50, True)
    np.testing.assert_allclose(left[1:] / left[:-1], 1 - 0.5e-6 / 10e-6, rtol=1e-12)
    assert model.change(model.symmetry_point, True) == pytest.approx(-float(model.change(model.symmetry_point, False)))


def test_the_filter_is_the_likelihood_of_a_random_walk_read_with_noise() -> None:
    # Constant steps with additive noise: readings are jointly normal with a covariance that can be written down.
    step, noise, read, pulses = 0.01, 0.8, 0.02, 25
    rng = np.random.default_rng(0)
    walk = 0.1 + np.concatenate([[0.0], np.cumsum(step * (1 + noise * rng.standard_normal(pulses)))])
    y = (walk + read * rng.standard_normal(pulses + 1))[None, :]
    layout = Layout("constant_step", True, True, False)
    own = deviance(layout, np.log([[step, noise, read]]), y, np.array([True]))[0]
    n = np.arange(1, pulses + 1)
    # Given the first reading: everything after it carries its error.
    covariance = (step * noise) ** 2 * np.minimum.outer(n, n) + read**2 * (1.0 + np.eye(pulses))
    residual = y[0, 1:] - y[0, 0] - step * n
    expected = np.linalg.slogdet(covariance)[1] + residual @ np.linalg.solve(covariance, residual)
    assert own == pytest.approx(float(expected), rel=1e-9)


def truth_shapes(law: str) -> tuple[str, ...]:
    return tuple(f"{name}_{way}" for name in SHAPE_PARAMETERS[law] for way in ("up", "down"))  # type: ignore[index]


@pytest.mark.parametrize("law", UPDATE_LAWS)
def test_the_law_and_its_noises_are_found_again(law: str) -> None:
    truth = MODELS[law]
    fit = devicekit.fit_pulses(ramps_of(ramps(truth, 1), "made", "S"))
    assert law in (fit.model.law, *fit.alternatives)
    own = fit_update(fit.data, law, truth.noise_kind == "additive")  # type: ignore[arg-type]
    found = own.model.values()
    for name, value in truth.values().items():
        # Shapes of laws whose range is the measured one differ with that range; their curves are compared below.
        if own.stderr[name] > 0 and (law == "soft_bounds" or name not in truth_shapes(law)):
            assert abs(found[name] - value) < 4.5 * own.stderr[name] + 0.03 * value, name
    grid = np.linspace(13e-6, 27e-6, 30)
    for up in (True, False):
        scale = np.abs(truth.change(grid, up)).mean()
        assert np.max(np.abs(own.model.change(grid, up) - truth.change(grid, up))) < 0.25 * scale


@pytest.mark.slow
def test_devices_that_differ_are_told_from_their_errors() -> None:
    rng = np.random.default_rng(3)
    traces = []
    factors = np.exp(0.25 * rng.standard_normal(8))
    for device, factor in enumerate(factors):
        base = MODELS["soft_bounds"]
        own = replace(base, g_max=base.g_max + 2e-6 * rng.standard_normal(), up=UpdateBranch(factor * 0.5e-6),
                      down=UpdateBranch(factor * 0.7e-6))  # fmt: skip
        traces += ramps(own, 10 + device, count=3, device=device)
    fit = devicekit.fit_pulses(ramps_of(traces, "made", "S"), "soft_bounds")
    assert fit.device_variation is not None
    assert fit.device_variation.groups == 8
    assert fit.device_variation.step == pytest.approx(np.std(np.log(factors), ddof=1), rel=0.25)
    assert 0.8e-6 < fit.device_variation.g_max < 3.5e-6
    assert fit.device_variation.up_down < 0.08
    assert fit.cycle_variation is not None
    assert fit.cycle_variation.step < 0.06, "cycles of a device are alike here"
    assert len(fit.devices) == 8


def test_the_bundled_curves_are_those_of_their_script(tmp_path: Path) -> None:
    path = Path(__file__).resolve().parents[2] / "scripts" / "simulate_pulse_ramps.py"
    spec = importlib.util.spec_from_file_location("simulation", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == BUNDLED.read_text()
    data = devicekit.read_pulses(BUNDLED)
    assert data.kind == "simulated"
    assert (len(data.up), data.up.sum(), len(np.unique(data.device))) == (24, 12, 4)


def two_columns(path: Path, header: str = "") -> np.ndarray:
    """Write curves as aihwkit's example has them: up and down beside each other, no names, shares of a range."""
    model = UpdateModel("soft_bounds", -1.0, 1.0, UpdateBranch(0.02), UpdateBranch(0.02), 0.3, "multiplicative", 0.05)
    rng = np.random.default_rng(0)
    table = np.column_stack([model.ramp(-0.95, 120, True, rng), model.ramp(0.95, 120, False, rng)])
    np.savetxt(path, table, delimiter=",", fmt="%.5g", header=header, comments="")
    return table


def set_and_reset(folder: Path) -> list[np.ndarray]:
    """Write curves as CrossSim's example has them: a file each way, a column a ramp in A, empty where it has ended."""
    rng = np.random.default_rng(1)
    tables = []
    for name, up in (("set.csv", True), ("reset.csv", False)):
        model = MODELS["soft_bounds"]
        start = model.g_min + (0.05 if up else 0.95) * model.range
        table = 0.1 * model.ramp(np.full(6, start), 80, up, rng).T
        text = [[f"{value:.9g}" for value in row] for row in table]
        for row in range(70, 81):
            text[row][2] = "" if up else "0"
        lines = [",".join(f"rmp{index + 1}" for index in range(6)), *(",".join(row) for row in text)]
        (folder / name).write_text("\n".join(lines) + "\n")
        tables.append(table)
    return tables


def test_curves_as_published_with_aihwkit_are_read(tmp_path: Path) -> None:
    table = two_columns(tmp_path / "gong.csv")
    data = devicekit.read_pulses(tmp_path / "gong.csv")
    assert data.unit == ""
    assert data.up.tolist() == [True, False]
    np.testing.assert_allclose(data.conductance, table.T, rtol=1e-4, atol=1e-9)
    assert any("unit of their own" in note for note in data.notes)
    named = two_columns(tmp_path / "named.csv", "up_data,down_data")
    assert devicekit.read_pulses(tmp_path / "named.csv", units="1").up.tolist() == [True, False]
    assert named.shape == table.shape
    steps = tmp_path / "steps.csv"
    steps.write_text("up_pulse,down_pulse\n0.001,0.007\n0.002,0.006\n")
    with pytest.raises(MeasurementError, match="hold step sizes by segment of the range, not conductances"):
        devicekit.read_pulses(steps)


def test_curves_as_published_with_crosssim_are_read(tmp_path: Path) -> None:
    rising, falling = set_and_reset(tmp_path)
    data = devicekit.read_pulses(tmp_path / "set.csv", tmp_path / "reset.csv", units="A", read_voltage="0.1 V")
    assert data.unit == "S"
    assert data.up.tolist() == [True] * 6 + [False] * 6
    np.testing.assert_allclose(data.conductance[0], rising[:, 0] / 0.1, rtol=1e-8)
    np.testing.assert_allclose(data.conductance[6], falling[:, 0] / 0.1, rtol=1e-8)
    assert np.isfinite(data.conductance[2]).sum() == np.isfinite(data.conductance[8]).sum() == 70
    with pytest.raises(MeasurementError, match=r"have no unit; pass units=.*read_voltage"):
        devicekit.read_pulses(tmp_path / "set.csv")
    with pytest.raises(MeasurementError, match="currents need the voltage they were read at"):
        devicekit.read_pulses(tmp_path / "set.csv", units="A")
    devices = devicekit.read_pulses(tmp_path / "set.csv", units="A", read_voltage=0.1, columns_are="device")
    assert devices.device.tolist() == list(range(6))


def test_one_column_of_pulses_turns_where_the_conductance_turns(tmp_path: Path) -> None:
    model = MODELS["soft_bounds"]
    rng = np.random.default_rng(2)
    trace, now = [np.array([11e-6])], 11e-6
    for up in (True, False, True, False):
        part = model.ramp(now, 60, up, rng)
        now = float(part[-1])
        trace.append(part[1:])
    values = np.concatenate(trace)
    path = tmp_path / "train.csv"
    pd.DataFrame({"pulse": np.arange(len(values)), "G (uS)": 1e6 * values}).to_csv(path, index=False)
    data = devicekit.read_pulses(path)
    assert data.up.tolist() == [True, False, True, False]
    lengths = np.isfinite(data.conductance).sum(axis=1)
    assert lengths == pytest.approx([61] * 4, abs=6)
    assert any("3 changes of direction" in note for note in data.notes)


def test_directions_resistances_and_own_names(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    rows = [("LTP", n, 1e-3 / g) for n, g in enumerate(np.linspace(10e-6, 20e-6, 9))]
    rows += [("LTD", n, 1e-3 / g) for n, g in enumerate(np.linspace(20e-6, 10e-6, 9))]
    pd.DataFrame(rows, columns=["what", "number", "res"]).to_csv(path, index=False)
    data = devicekit.read_pulses(path, units="kohm", pulse="number", value="res", direction="what")
    assert data.up.tolist() == [True, False]
    np.testing.assert_allclose(data.conductance[0], np.linspace(10e-6, 20e-6, 9))
    path.write_text(path.read_text().replace("LTP", "north"))
    with pytest.raises(MeasurementError, match=r"own\.csv:2, column 'what': expected the direction of a pulse"):
        devicekit.read_pulses(path, units="kohm", pulse="number", value="res", direction="what")
    with pytest.raises(MeasurementError, match="0 columns 'nothing' for pulse"):
        devicekit.read_pulses(path, pulse="nothing")
    with pytest.raises(MeasurementError, match="expected the unit of value to be one of current or conductance"):
        devicekit.read_pulses(path, units="V", pulse="number", value="res")
    with pytest.raises(MeasurementError, match="what read_pulses returns, or the path of a file, but got a int"):
        devicekit.fit_pulses(3)  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match=r"Unknown update law 'soft'\. Did you mean"):
        devicekit.fit_pulses(BUNDLED, "soft")


@pytest.fixture
def aihwkit(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Stand-in for aihwkit's device configurations: the fields that its documentation lists, with their defaults."""
    pulsed = {"dw_min": 0.001, "dw_min_dtod": 0.3, "dw_min_std": 0.3, "up_down": 0.0, "up_down_dtod": 0.01,
              "w_max": 0.6, "w_max_dtod": 0.3, "w_min": -0.6, "w_min_dtod": 0.3}  # fmt: skip
    linear = {"gamma_up": 0.0, "gamma_down": 0.0, "gamma_up_dtod": 0.05, "gamma_down_dtod": 0.05,
              "allow_increasing": False, "mult_noise": True, "write_noise_std": 0.0}  # fmt: skip
    own = {
        "LinearStepDevice": linear,
        "SoftBoundsDevice": {"mult_noise": True, "write_noise_std": 0.0},
        "ExpStepDevice": {"A_up": 0.00081, "A_down": 0.36833, "gamma_up": 12.44625, "gamma_down": 12.78785, "a": 0.244,
                          "b": 0.2425, "write_noise_std": 0.0},
    }  # fmt: skip
    module = types.ModuleType("aihwkit.simulator.configs.devices")
    for name, more in own.items():
        setattr(module, name, make_dataclass(name, [(key, type(v), v) for key, v in {**pulsed, **more}.items()]))
    for name in ("aihwkit", "aihwkit.simulator", "aihwkit.simulator.configs"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "aihwkit.simulator.configs.devices", module)
    return module


def steps_of_aihwkit(device: object, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean change of an up and a down pulse at weights, by the equations of aihwkit's C++ core."""
    value = {field.name: getattr(device, field.name) for field in fields(device)}  # type: ignore[arg-type]
    up = (1 + min(value["up_down"], 0)) * value["dw_min"]
    down = (1 - max(value["up_down"], 0)) * value["dw_min"]
    kind = type(device).__mro__[1].__name__
    if kind == "ExpStepDevice":
        z = 2 * w / (value["w_max"] - value["w_min"]) * value["a"] + value["b"]
        return (
            up * np.maximum(1 - value["A_up"] * np.exp(value["gamma_up"] * z), 0),
            -down * np.maximum(1 - value["A_down"] * np.exp(-value["gamma_down"] * z), 0),
        )
    gammas = (1.0, 1.0) if kind == "SoftBoundsDevice" else (value["gamma_up"], value["gamma_down"])
    return up * (1 - gammas[0] * w / value["w_max"]), -down * (1 - gammas[1] * w / value["w_min"])


@pytest.mark.parametrize("law", UPDATE_LAWS)
def test_presets_do_in_aihwkit_what_the_model_does(law: str, tmp_path: Path, aihwkit: types.ModuleType) -> None:
    fit = devicekit.fit_pulses(ramps_of(ramps(MODELS[law], 4), "folder/my device-2.csv", "S"), law)
    path = fit.to_aihwkit(tmp_path / "preset.py")
    spec = importlib.util.spec_from_file_location("preset", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    device = module.MyDevice2PresetDevice()
    base = getattr(aihwkit, DEVICES[law])  # type: ignore[index]
    assert isinstance(device, base)
    # Every field that is set is one that aihwkit knows.
    assert set(preset_fields(fit)) <= {field.name for field in fields(base)}
    model = fit.model
    conductance = np.linspace(model.g_min, model.g_max, 41)
    w = 2 * (conductance - model.g_min) / model.range - 1
    for own, up in zip(steps_of_aihwkit(device, w), (True, False), strict=True):
        np.testing.assert_allclose(own * model.range / 2, model.change(conductance, up), rtol=1e-9, atol=1e-15)
    assert device.write_noise_std * device.dw_min * model.range / 2 == pytest.approx(model.read_noise)
    assert device.dw_min_std == pytest.approx(model.pulse_noise)
    # One device says nothing of variation; aihwkit's own defaults would.
    assert device.dw_min_dtod == device.w_max_dtod == device.w_min_dtod == device.up_down_dtod == 0.0
    again = read_preset(path, model.g_min, model.g_max)
    assert again.law == model.law
    assert again.noise_kind == model.noise_kind
    for name, value in model.values().items():
        assert again.values()[name] == pytest.approx(value, rel=1e-9), name


def test_a_published_preset_is_read(tmp_path: Path) -> None:
    # Values of aihwkit's ReRamESPresetDevice, fitted there to Gong et al., Nat. Commun. 9 (2018) 2102.
    path = tmp_path / "published.py"
    path.write_text(
        "from dataclasses import dataclass\nfrom aihwkit.simulator.configs.devices import ExpStepDevice\n\n\n"
        "@dataclass\nclass ReRamESPresetDevice(ExpStepDevice):\n"
        "    dw_min: float = 0.00135\n    up_down: float = 0.259359\n"
        "    w_max: float = 1.0\n    w_min: float = -1.0\n    a: float = -0.5\n    b: float = -0.5\n"
        "    gamma_up: float = 5.0\n    gamma_down: float = 5.0\n"
        "    A_up: float = -1.18445\n    A_down: float = -0.081404\n"
        "    dw_min_std: float = 5.0\n    write_noise_std: float = 75.0\n"
    )
    model = read_preset(path)
    assert model.law == "exponential_step"
    # At w = -1 an up pulse is dw_min (1 - A_up), at w = 1 a down pulse (1 - up_down) dw_min (1 - A_down exp(gamma)).
    assert model.change(-1.0, True) == pytest.approx(0.00135 * (1 + 1.18445))
    assert model.change(1.0, False) == pytest.approx(-0.00135 * (1 - 0.259359) * (1 + 0.081404 * np.exp(5)))
    assert model.read_noise == pytest.approx(75 * 0.00135)
    path.write_text("x = 1\n")
    with pytest.raises(DeviceError, match="expected one preset of"):
        read_preset(path)


@pytest.mark.parametrize("law", UPDATE_LAWS)
def test_lookup_tables_are_read_as_crosssim_reads_them(law: str, tmp_path: Path) -> None:
    data = ramps_of(ramps(MODELS[law], 5), "made", "S")
    fit = devicekit.fit_pulses(data, law)
    increasing, decreasing = fit.to_crosssim(tmp_path, points=101)
    assert (increasing.name, decreasing.name) == ("dG_increasing.txt", "dG_decreasing.txt")
    tables = []
    for path in (increasing, decreasing):
        # The calls of CrossSim's `dG_lookup` parameters.
        states = np.genfromtxt(path, delimiter=",", skip_header=1, max_rows=1)
        chance = np.genfromtxt(path, delimiter=",", skip_header=2, max_rows=1)
        matrix = np.genfromtxt(path, delimiter=",", skip_header=3)
        assert matrix.shape == (101, 101)
        assert np.ptp(np.diff(states)) < 1e-4 * np.diff(states).max(), "else it falls back to a slow interpolation"
        assert np.ptp(np.diff(chance)) < 1e-4 * np.diff(chance).max()
        assert (chance[0], chance[-1]) == (0.0, 1.0)
        tables.append((states, chance, matrix))
    np.testing.assert_array_equal(tables[0][0], tables[1][0])
    # It averages each column over its chances, and asks that rising tables rise and falling ones fall.
    for (states, chance, matrix), up in zip(tables, (True, False), strict=True):
        mean = np.diff(chance) @ matrix[:-1]
        assert (mean.mean() > 0) == up
        inside = slice(5, -5)
        scale = np.abs(fit.model.change(states, up)).max()
        assert np.max(np.abs(mean - fit.model.change(states, up))[inside]) < 0.03 * scale
        spread = np.sqrt(np.diff(chance) @ (matrix[:-1] - mean) ** 2)
        np.testing.assert_allclose(spread[inside], fit.model.noise(states, up)[inside], rtol=0.1, atol=0.01 * scale)
    again, made = read_table(increasing), lookup_table(fit.model, True, 101)
    np.testing.assert_allclose(again.change, made.change, rtol=1e-8)
    np.testing.assert_array_equal(again.conductance, made.conductance)


def test_exports_need_what_they_hold(tmp_path: Path) -> None:
    two_columns(tmp_path / "own.csv")
    fit = devicekit.fit_pulses(tmp_path / "own.csv", "soft_bounds")
    with pytest.raises(DeviceError, match="conductances in S, but the pulses were given without a unit"):
        fit.to_crosssim(tmp_path / "lut")
    with pytest.raises(DeviceError, match="name of a Python class"):
        fit.to_aihwkit(tmp_path / "preset.py", "not a name")
    assert fit.to_aihwkit(tmp_path / "preset.py", "Mine").is_file()
    rising = devicekit.fit_pulses(fit.data.where(fit.data.up), "soft_bounds")
    with pytest.raises(DeviceError, match="down pulses of this update model were not measured"):
        rising.to_aihwkit(tmp_path / "half.py")
    assert not (tmp_path / "half.py").exists()
    assert any("no down pulses were measured" in note for note in rising.notes)


def run(*arguments: str | Path) -> object:
    return CliRunner().invoke(build_app(), [str(argument) for argument in arguments], catch_exceptions=True)


def test_the_command_fits_draws_and_exports(tmp_path: Path) -> None:
    result = run("pulses", BUNDLED, "--law", "soft_bounds", "--out", tmp_path, "--aihwkit", tmp_path / "preset.py",
                 "--crosssim", tmp_path / "lut", "--json")  # fmt: skip
    assert result.exit_code == 0, result.output  # type: ignore[attr-defined]
    document = json.loads(result.stdout)  # type: ignore[attr-defined]
    assert document["law"] == "soft_bounds"
    assert document["kind"] == "simulated"
    assert document["device_variation"]["groups"] == 4
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {
        "report.txt", "parameters.csv", "laws.csv", "pulses.png", "pulses.pdf", "preset.py", "lut/dG_increasing.txt",
        "lut/dG_decreasing.txt",
    }  # fmt: skip
    text = (tmp_path / "report.txt").read_text()
    for phrase in ("12 up and 12 down ramps of 4 devices (simulated)", "Update model: soft_bounds", "Device to device",
                   "Cycle to cycle", "Pulse to pulse"):  # fmt: skip
        assert phrase in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.csv",), "nothing.csv: no such file"),
        ((BUNDLED, "--law", "soft"), "Unknown update law 'soft'"),
        ((BUNDLED, "--columns", "cells"), "Unknown meaning of columns 'cells'"),
        ((BUNDLED, "--column", "pulse"), "Expected --column to be ROLE=HEADER"),
        (
            (BUNDLED, "--unit", "V", "--column", "value=G"),
            "expected the unit of value to be one of current or conductance",
        ),
    ],
)
def test_bad_input_of_the_command_is_one_message(arguments: tuple[str, ...], message: str) -> None:
    result = run("pulses", *arguments)
    assert result.exit_code == 2  # type: ignore[attr-defined]
    assert message in " ".join(result.stderr.split())  # type: ignore[attr-defined]
    assert "Traceback" not in result.output  # type: ignore[attr-defined]


def test_cells_by_target_are_not_taken_for_update_curves(tmp_path: Path) -> None:
    """A file for `devicekit fit` has two columns as well; as two ramps it gave a fit with exit code 0."""
    rows = [f"{target},{target + step}" for target in (100, 200, 400) for step in range(-5, 6)]
    (tmp_path / "cells.csv").write_text("\n".join(["target (nA),current (nA)", *rows]))
    with pytest.raises(MeasurementError, match=r"column 'target \(nA\)' holds programmed targets.*devicekit fit"):
        devicekit.read_pulses(tmp_path / "cells.csv", read_voltage=0.1)
