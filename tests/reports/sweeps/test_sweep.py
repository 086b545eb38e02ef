"""Studies of many points: the numbers of one design at a time, nothing evaluated twice, the rest completed."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import reports
from circuits import Core, load_design
from devicekit import load_device
from energy import estimate_core, estimate_network
from reports import Store, Study, StudyError, network_step, sweep
from reports.command import build_app
from reports.run import compute
from reports.sweeps import tasks, workers
from reports.sweeps.networks import network_of
from reports.sweeps.points import points_of
from reports.sweeps.probe import forecast
from reports.sweeps.tasks import Outcome, run_task
from reports.wire_rule import leaves_wires_open

DEVICE = "sonos_40nm_tcas2022"
COSTS = Study(designs=("A",), device=DEVICE, vary={"max_rows": "288,1152", "adc_bits": "6,8"}, accuracy="none")
SMALL: dict[str, Any] = {"device": DEVICE, "trials": 2, "images": 40, "calibration_images": 40}


def command(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(arguments[0]), list(arguments))


def forbidden(*_: object, **__: object) -> Any:
    raise AssertionError("evaluated again")


def test_points_are_every_combination_of_what_varies() -> None:
    study = Study(
        designs=("A", "E"), peripherals="ideal",
        vary={"adc_bits": "6..8", "age": ["0 s", "1 day"], "adc": ["ramp", "sar"], "r_p_hat": [0, 1e-6],
              "bit_line": ["affine"], "network": ["digits_cnn", {"network": "mine", "data_set": "digits"}]},
    )  # fmt: skip
    points = points_of(study)
    assert len(points) == len({point.name for point in points}) == 2 * 3 * 2 * 2 * 2 * 2
    last = points[-1]
    assert last.name == "E adc_bits=8 age=1 day adc=sar r_p_hat=1e-06 bit_line=affine network=mine"
    assert last.cores is not None
    core = last.cores.core
    assert (core.age, core.adc_in_use.kind, core.bit_line) == (86400.0, "sar", "affine")
    assert (core.design.adc_bits, core.design.r_p_hat) == (8, 1e-6)
    assert (last.study.network, last.study.data_set, last.study.vary) == ("mine", "digits", {})
    assert points[0].cores.core == Core(
        load_design("A").replace(adc_bits=6), cell=points[0].cores.core.cell, adc="ramp",  # type: ignore[union-attr]
        wires={"r_p_hat": 0.0, "bit_line": "affine"}, age="0 s", name=points[0].name,
    )  # fmt: skip


def test_wires_vary_one_by_one_over_what_the_study_says() -> None:
    study = Study(
        designs=("A",), device=DEVICE, r_p_hat=1e-6, bit_line="affine",
        vary={"r_in_hat": [0, 8e-3], "feed": ["far", "rows"], "r_s_hat": [1e-6]},
    )  # fmt: skip
    points = points_of(study)
    cores = [point.cores and point.cores.core for point in points]
    assert {(core.lines.r_in_hat, core.lines.feed) for core in cores if core} == {
        (0.0, "far"), (0.0, "rows"), (8e-3, "far"), (8e-3, "rows"),
    }  # fmt: skip
    assert {(core.lines.r_p_hat, core.lines.r_s_hat, core.bit_line) for core in cores if core} == {
        (1e-6, 1e-6, "affine")
    }


def test_what_is_varied_to_nothing_is_nothing() -> None:
    """None is a value of an axis: neither a default nor the rule on line currents fills it in."""
    vary = {"peripherals": ["none", "ideal", "sized"], "corrections": ["none", "column_trim"], "r_p_hat": [0, 1e-6]}
    found = {}
    for point in points_of(Study(designs=("A",), device=DEVICE, vary=vary)):
        core = point.cores and point.cores.core
        assert core is not None
        found[tuple(map(str, point.varied.values()))] = core
        assert (core.peripherals is not None) == (point.varied["peripherals"] == "sized")
        assert core.corrections == (("column_trim",) if point.varied["corrections"] else ())
        assert core.design.r_p_hat == point.varied["r_p_hat"]
        assert not leaves_wires_open(core)
    assert len(found) == 12
    # Where nothing is varied, both defaults hold.
    (usual,) = points_of(Study(designs=("A",), device=DEVICE))
    assert usual.cores is not None
    assert usual.cores.core.peripherals is not None
    assert leaves_wires_open(usual.cores.core)


def test_an_impossible_combination_is_named_and_a_value_that_never_fits_is_refused() -> None:
    points = points_of(Study(designs=("A",), vary={"weight_bits": "4,8", "bits_per_cell": "3,7"}))
    assert [point.cores is None for point in points] == [False, True, False, False]
    assert "at most 3" in points[1].reason
    with pytest.raises(StudyError, match="`bits_per_cell` = 9 is possible in no point"):
        points_of(Study(designs=("A",), vary={"bits_per_cell": "3,9"}))
    with pytest.raises(reports.StudyError, match="has its own cell"):
        points_of(Study(cores=("examples/your_cores.toml:trimmed",), vary={"device": [DEVICE]}))


def test_costs_are_those_of_single_estimates_and_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = sweep(COSTS, tmp_path / "s.sqlite", workers=1)
    layers, cell = network_of(COSTS).layers, load_device(DEVICE)
    for row, (rows, bits) in zip(result.rows, ((288, 6), (288, 8), (1152, 6), (1152, 8)), strict=True):
        design = load_design("A").replace(max_rows=rows, adc_bits=bits)
        whole = estimate_network(layers, design, cell=cell)
        assert row["status"] == "done"
        assert row["network_area_mm2"] == whole.value("area_mm2")
        assert row["network_energy_uj"] == whole.value("energy_gated_uj")
        assert (row["network_energy_uj_low"], row["network_energy_uj_high"]) == whole.interval_of("energy_gated_uj")
        assert row["energy_fj_per_op"] == estimate_core(design, cell=cell).energy_fj_per_op
        assert row["loss_points"] is None
    drawn = np.array([result.draws[number]["energy_gated_uj"] for number in range(4)])
    np.testing.assert_allclose(np.quantile(drawn[0], 0.025), result.rows[0]["network_energy_uj_low"], rtol=1e-6)
    # Constants are drawn together: a costlier component is costlier in both designs.
    assert np.corrcoef(drawn)[0, 1] > 0.5
    monkeypatch.setattr(workers, "run_task", forbidden)
    assert sweep(COSTS, tmp_path / "s.sqlite", workers=1).to_dict() == result.to_dict()
    # Another study takes what the two have in common.
    wider = COSTS.model_copy(update={"vary": {"adc_bits": (8,), "max_rows": (1152,)}})
    assert (
        sweep(wider, tmp_path / "s.sqlite", workers=1).rows[0]["network_area_mm2"] == result.rows[3]["network_area_mm2"]
    )
    with Store(tmp_path / "s.sqlite") as store:
        assert len(store.runs()) == 2


def test_accuracy_is_that_of_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Study(designs=("A", "D"), **SMALL)
    result = sweep(study, tmp_path / "s.sqlite", workers=1)
    report = compute(study, tmp_path / "report")
    for point, design in zip(result.points, report.designs, strict=True):
        assert point["accuracy"] == design["accuracy"]
        costs = {key: value for key, value in design["network_cost"].items() if key != "design"}
        assert point["network_cost"] == costs
    low, high = result.points[0]["accuracy"]["loss_interval"]
    assert low <= np.mean(result.draws[0]["loss"]) <= high
    monkeypatch.setattr(network_step, "evaluate_afresh", forbidden)
    monkeypatch.setattr(tasks, "evaluate_afresh", forbidden)
    assert sweep(study, tmp_path / "s.sqlite", workers=1).to_dict() == result.to_dict()


def test_only_affordable_points_are_tried(tmp_path: Path) -> None:
    study = Study(
        designs=("A", "E"), constraints=("network_area <= 3 mm2", "loss <= 5 %"), accuracy="affordable", **SMALL
    )
    result = sweep(study, tmp_path / "s.sqlite", workers=1)
    assert [point["status"] for point in result.points] == ["done", "unaffordable"]
    assert result.points[1]["reason"] == "not network_area <= 3 mm2"
    assert [row["loss_points"] is None for row in result.rows] == [False, True]
    assert all(row["network_area_mm2"] for row in result.rows)


def test_one_that_fails_is_named_and_the_rest_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(task: Any) -> Outcome:
        return Outcome(None, "the user's code: no such thing") if "adc_bits=6" in task.cores.name else run_task(task)

    monkeypatch.setattr(workers, "run_task", failing)
    result = sweep(COSTS, tmp_path / "s.sqlite", workers=1)
    assert [point["status"] for point in result.points] == ["failed", "done"] * 2
    assert result.points[0]["reason"] == "the user's code: no such thing"
    monkeypatch.undo()
    # It is tried again.
    assert {point["status"] for point in sweep(COSTS, tmp_path / "s.sqlite", workers=1).points} == {"done"}


def test_whatever_a_task_raises_is_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    point = points_of(COSTS)[0]
    assert point.cores is not None
    task = tasks.Task("cost", {}, point.study, point.cores, "another network")
    assert "are not those that this run began with" in run_task(task).reason


def test_a_forecast_counts_and_validates(tmp_path: Path) -> None:
    study = Study(designs=("A",), vary={"weight_bits": "4,8", "bits_per_cell": "3,7"}, **SMALL)
    found = forecast(study)
    assert (found.points, found.accuracies, found.costs, found.known) == (4, 3, 3, 0)
    assert [name for name, _ in found.impossible] == ["A weight_bits=4 bits_per_cell=7"]
    assert found.seconds > 0
    with pytest.raises(reports.StudyError, match="run it with devicekit sweep"):
        reports.run_study(study, tmp_path)


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    vary = ("--vary", "max_rows=288,1152", "--vary", "adc_bits=6,8", "--accuracy", "none")
    done = command("sweep", "A", *vary, "--device", DEVICE, "--workers", "1", "--name", "mine", "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert len(document["table"]) == 4
    rows = list(csv.DictReader(Path("out/sweeps/mine/table.csv").read_text().splitlines()))
    assert [float(row["network_area_mm2"]) for row in rows] == [row["network_area_mm2"] for row in document["table"]]
    assert Study.load("out/sweeps/mine/study.toml").vary == COSTS.vary
    other = command("sweep", "C", *vary, "--device", DEVICE, "--workers", "1", "--name", "mine")
    assert other.exit_code == 2
    assert "another study" in other.output
    listed = json.loads(command("results", "--json").stdout)
    assert [run["name"] for run in listed["runs"]] == ["mine"]
    kept = json.loads(command("results", "mine", "--where", "adc_bits == 6", "--columns", "design", "--json").stdout)
    assert kept["table"] == [{"design": "A max_rows=288 adc_bits=6"}, {"design": "A max_rows=1152 adc_bits=6"}]
    assert command("results", "mine", "--export", "t.parquet").exit_code == 0
    assert command("results", "none").exit_code == 2
    assert command("results", "mine", "--where", "adc = 6").exit_code == 2
    assert command("results", "mine").exit_code == 0
    assert command("results", "mine", "--remove").exit_code == 0
    assert "no runs yet" in command("results").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--vary", "adc_bits"), "--vary as NAME=VALUES"),
        (("--vary", "adc_bit=6"), "Did you mean 'adc_bits'"),
        (("--vary", "adc_bits=6", "--vary", "adc_bits=7"), "stands twice"),
        (("--vary", "device=sonos_40nm"), "sonos_40nm_tcas2022"),
        (("--constraint", "loss <= 1 mm2"), "points or per cent"),
        (("--network", "digits_cn"), "Did you mean 'digits_cnn'"),
        (("--accuracy", "some"), "accuracy"),
        (("--name", "a/b"), "usable as a file's name"),
    ],
)
def test_faults_of_the_command(arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("sweep", "A", *arguments, "--workers", "1")
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
    assert not (tmp_path / "out").exists()


def test_a_network_that_changed_in_the_session_is_evaluated_again(tmp_path: Path) -> None:
    """Kept results are those of a network, not of its name."""
    file = tmp_path / "mine.py"
    study = Study(
        designs=("A",), network=f"{file}:network", data_set="digits", device=DEVICE, peripherals="ideal",
        trials=2, images=100, calibration_images=20,
    )  # fmt: skip
    found = []
    for seed in (0, 1, 0):
        file.write_text(
            "import torch\n\n\ndef network():\n"
            f"    torch.manual_seed({seed})\n"
            "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)).eval()\n"
        )
        found.append(sweep(study, tmp_path / "s.sqlite", name=f"run{len(found)}", workers=1).points[0])
    assert [point["status"] for point in found] == ["done"] * 3
    first, second, again = (point["accuracy"] for point in found)
    assert first["baseline"] != second["baseline"]
    assert again == first
