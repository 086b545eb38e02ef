"""The chain on real input: small studies, run through the public function and the command."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from typer.testing import CliRunner, Result

import reports
from accuracy.networks import NetworkError
from circuits import choose_cores, load_design
from devicekit import DesignError, DeviceError, MeasurementError, load_device
from reports import network_step
from reports.cell_step import cell_of, find_measurements
from reports.command import build_app
from reports.page import render
from reports.results import StudyResult
from reports.run import compute
from reports.sources import calibration_note
from reports.study import Study

SMALL = Study(designs=("A", "D"), trials=2, images=60, calibration_images=40)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reports.run_study(SMALL, tmp_path_factory.mktemp("study") / "out").parent


def command(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(arguments[0]), list(arguments))


def test_a_study_writes_a_page_and_what_stands_behind_it(written: Path) -> None:
    assert {path.name for path in written.iterdir()} == {
        "index.html", "table.csv", "results.json", "study.toml", ".cache",
    }  # fmt: skip
    assert Study.load(written / "study.toml") == SMALL
    rows = list(csv.DictReader((written / "table.csv").read_text().splitlines()))
    document = json.loads((written / "results.json").read_text())
    assert [row["design"] for row in rows] == ["A", "D"]
    for row, entry in zip(rows, document["table"], strict=True):
        for key, value in entry.items():
            assert row[key] == ("" if value is None else str(value))


def test_the_page_of_a_real_study_opens_offline(written: Path, open_page: Callable[[Path], Any]) -> None:
    opened = open_page(written / "index.html")
    assert opened.errors == []
    assert opened.requests == []
    assert opened.run("return document.querySelectorAll('#joint tbody tr').length") == 2
    empty = "return [...document.querySelectorAll('.plot')].filter(p => !p._fullData?.length).map(p => p.id)"
    assert opened.run(empty) == []


def test_numbers_agree_across_the_chain(written: Path) -> None:
    from energy import estimate_core

    document = json.loads((written / "results.json").read_text())
    cell = cell_of(SMALL).cell
    for entry, row in zip(document["designs"], document["table"], strict=True):
        accuracy = entry["accuracy"]
        assert accuracy["mean"] == pytest.approx(np.mean(accuracy["per_trial"]))
        assert accuracy["std"] == pytest.approx(np.std(accuracy["per_trial"], ddof=1))
        assert accuracy["loss"] == pytest.approx(accuracy["baseline"] - accuracy["mean"])
        assert row["accuracy_device_percent"] == pytest.approx(100 * accuracy["mean"])
        cost = estimate_core(load_design(entry["name"]), cell=cell)
        assert row["energy_fj_per_op"] == pytest.approx(cost.energy_fj_per_op)
        assert row["tops_per_w"] == pytest.approx(1e3 / row["energy_fj_per_op"], rel=1e-6)
        shares = entry["cost"]["breakdown"]
        assert sum(share["energy_fj_per_op"] for share in shares) == pytest.approx(cost.energy_fj_per_op)
        assert sum(share["area_mm2"] for share in shares) == pytest.approx(cost.area_mm2)


def test_the_bit_line_is_confirmed(written: Path) -> None:
    check = json.loads((written / "results.json").read_text())["spice"]
    assert check["cells"] == 64
    assert check["relative_difference"] < 1e-8


def test_an_inference_is_the_sum_of_its_layers(written: Path) -> None:
    for design in json.loads((written / "results.json").read_text())["designs"]:
        cost = design["network_cost"]
        assert [layer["layer"] for layer in cost["layers"]] == ["conv1", "conv2", "conv3", "fc"]
        assert sum(layer["energy_gated_nj"] for layer in cost["layers"]) == pytest.approx(1e3 * cost["energy_gated_uj"])
        assert cost["energy_gated_uj"] < cost["energy_ungated_uj"]
        assert cost["utilised_tops_per_w"] < cost["peak_tops_per_w"]
        assert cost["energy_gated_uj_low"] < cost["energy_gated_uj"] < cost["energy_gated_uj_high"]
        assert {own["name"] for own in design["layer_reports"]} == {"conv1", "conv2", "conv3", "fc"}
        low, high = design["accuracy"]["loss_interval"]
        assert low <= design["accuracy"]["loss"] <= high


def test_a_network_of_your_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n\n\n"
        "def tiny():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 10))\n"
    )
    monkeypatch.chdir(tmp_path)
    study = SMALL.model_copy(update={"network": "mine.py:tiny", "data_set": "digits", "designs": ("A",)})
    result = compute(study, tmp_path / "out")
    assert result.network["name"] == "tiny"
    assert [layer["rows"] for layer in result.network["layers"]] == [64, 20]
    with pytest.raises(reports.StudyError, match=r"images that the network 'mine\.py:tiny' reads"):
        compute(study.model_copy(update={"data_set": None}), tmp_path / "out")
    study.save("deep/study.toml")
    assert Study.load("deep/study.toml").network == f"{tmp_path / 'mine.py'}:tiny"


def test_layers_of_your_own_and_layers_that_stay_digital(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from accuracy.layer_kinds import registry

    monkeypatch.setattr(registry, "_kinds", dict(registry._kinds))
    (tmp_path / "mine.py").write_text(
        "import accuracy\nfrom torch import nn\nfrom tests.accuracy.outside_kinds import Conv1D, Conv1DKind\n\n"
        "accuracy.register_layer_kind(Conv1DKind)\n\n\n"
        "def tiny():\n    return nn.Sequential(nn.Flatten(), Conv1D(64, 20), nn.ReLU(), nn.Linear(20, 10))\n"
    )
    monkeypatch.chdir(tmp_path)
    study = SMALL.model_copy(update={"network": "mine.py:tiny", "data_set": "digits", "designs": ("A",)})
    for exclude, rows in (((), [64, 20]), (("3",), [64])):
        result = compute(study.model_copy(update={"exclude": exclude}), tmp_path / "out")
        assert [layer["rows"] for layer in result.network["layers"]] == rows
        (design,) = result.designs
        names = ["1", "3"][: len(rows)]
        assert [own["name"] for own in design["layer_reports"]] == names
        assert [layer["layer"] for layer in design["network_cost"]["layers"]] == names


def test_better_models_of_a_line_are_closer_on_every_line(written: Path) -> None:
    entries = json.loads((written / "results.json").read_text())["wires"]
    assert {entry["rows"] for entry in entries} == {1152}
    assert entries[0]["designs"] == ["A", "D"]
    by_place: dict[float, dict[str, float]] = {}
    for entry in entries:
        by_place.setdefault(entry["r_p_hat"], {})[entry["model"]] = abs(entry["line_error"])
    for errors in by_place.values():
        assert errors["ideal"] > errors["resistor"] > errors["affine"] > errors["relinearised"]
    assert by_place[1e-5]["resistor"] == pytest.approx(0.10, abs=0.02)


def test_what_was_calibrated_is_not_called_a_prediction(written: Path) -> None:
    note = json.loads((written / "results.json").read_text())["cost_note"]
    assert "calibrated to the published energy and area of A, D" in note
    assert note in (written / "index.html").read_text().replace("&#39;", "'")
    own = load_design("A").replace(max_rows=576)
    assert calibration_note([own], "sonos_40nm") == ""
    assert calibration_note([load_design("A"), load_design("B")], "sonos_40nm").endswith("B is predicted.")


def test_the_recorded_peripherals_are_shown(written: Path) -> None:
    summary = json.loads((written / "results.json").read_text())["peripherals"]
    assert len(summary["inl_lsb"]) == 2 ** summary["adc_bits"]
    assert summary["kind"] == "simulated"


def test_every_constant_has_a_kind_and_a_source(written: Path) -> None:
    entries = json.loads((written / "results.json").read_text())["provenance"]
    kinds = {"measured", "published", "fitted", "simulated", "resampled", "assumed"}
    assert all(entry["kind"] in kinds and entry["source"].strip() for entry in entries)
    assert {entry["room"].split(":")[0] for entry in entries} == {"cell", "energy and area", "core designs"}


def test_a_second_run_takes_the_kept_accuracies(written: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("evaluated again")

    before = json.loads((written / "results.json").read_text())
    monkeypatch.setattr(network_step, "evaluate_afresh", forbidden)
    again = compute(SMALL, written)
    assert [design["accuracy"]["mean"] for design in again.designs] == [
        d["accuracy"]["mean"] for d in before["designs"]
    ]
    with pytest.raises(AssertionError, match="evaluated again"):
        compute(SMALL.model_copy(update={"seed": 1}), written)


def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated = []
    real = network_step.evaluate_afresh

    def interrupted(study: Study, network: Any, core: Any, *rest: Any) -> Any:
        if core.name == "D" and "D" not in evaluated:
            evaluated.append("D")
            raise KeyboardInterrupt
        evaluated.append(core.name)
        return real(study, network, core, *rest)

    monkeypatch.setattr(network_step, "evaluate_afresh", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reports.run_study(SMALL, tmp_path)
    assert not (tmp_path / "index.html").exists()
    assert reports.run_study(SMALL, tmp_path).exists()
    assert evaluated == ["A", "D", "D"]


def test_an_interrupted_evaluation_goes_on_with_its_next_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from accuracy.evaluation import trials

    study = SMALL.model_copy(update={"designs": ("A",), "trials": 3, "stage_trials": 0})
    real, run = trials.run_trial, []

    def stops(*args: Any) -> Any:
        if len(run) == 2:
            raise KeyboardInterrupt
        run.append(args[-1])
        return real(*args)

    monkeypatch.setattr(trials, "run_trial", stops)
    with pytest.raises(KeyboardInterrupt):
        compute(study, tmp_path / "stopped")
    monkeypatch.setattr(trials, "run_trial", lambda *args: (run.append(args[-1]), real(*args))[1])
    resumed = compute(study, tmp_path / "stopped")
    assert run == [0, 1, 2]
    # More trials later cost no more than those.
    more = compute(study.model_copy(update={"trials": 4}), tmp_path / "stopped")
    assert run == [0, 1, 2, 3]
    whole = compute(study, tmp_path / "whole")
    assert resumed.designs[0]["accuracy"] == whole.designs[0]["accuracy"]
    assert more.designs[0]["accuracy"]["per_trial"][:3] == whole.designs[0]["accuracy"]["per_trial"]


@pytest.mark.slow
def test_same_seed_same_result(written: Path, tmp_path: Path) -> None:
    first = json.loads((written / "results.json").read_text())["designs"]
    other = compute(SMALL.model_copy(update={"designs": ("A",), "batch_size": 7}), tmp_path)
    assert other.designs[0]["accuracy"]["per_trial"] == first[0]["accuracy"]["per_trial"]


def test_progress_counts_up_to_the_whole(written: Path) -> None:
    heard: list[tuple[int, int]] = []
    compute(SMALL, written, lambda done, total, text=None: heard.append((done, total)))
    assert heard == sorted(heard)
    assert heard[-1] == (heard[0][1], heard[0][1])


class TestCell:
    def test_the_reference_fit_returns_the_published_parameters(self) -> None:
        fit = cell_of(Study()).fit
        assert fit is not None
        assert fit["round_trip"]
        assert fit["model"] == "saturating_exponential"
        assert len(fit["states"]) == 16
        assert {state["n"] for state in fit["states"]} == {64}
        for name, parameter in fit["parameters"].items():
            assert abs(parameter["value"] - fit["published"][name]) < 2 * parameter["stderr"]

    def test_the_fitted_cell_goes_on(self) -> None:
        found = cell_of(Study())
        assert found.fit is not None
        assert found.cell.sigma(8e-7) == pytest.approx(
            np.interp(8e-7, found.fit["curve"]["current_a"], found.fit["curve"]["sigma_a"]), rel=1e-3
        )
        assert found.cell.technology == "sonos_40nm"
        assert found.device["label"] == "SONOS"

    def test_a_device_stands_as_it_is(self) -> None:
        found = cell_of(Study(device="sonos_40nm_tcas2022"))
        assert found.cell.sigma(8e-7) == load_device("sonos_40nm_tcas2022").sigma(8e-7)
        assert found.fit is not None, "its measurements are bundled, so the page shows what it rests on"
        assert cell_of(Study(device="sonos_40nm_iedm2022")).fit is None

    def test_measurements_of_your_own(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        path = tmp_path / "mine.csv"
        lines = ["target (uA),current (uA)"]
        for target in np.linspace(0.1, 2.0, 12):
            lines += [f"{target:.6f},{value:.6f}" for value in rng.normal(target, 0.03 * target, 50)]
        path.write_text("\n".join(lines))
        found = cell_of(Study(measurements=str(path), device="sonos_40nm_tcas2022"))
        assert found.fit is not None
        assert not found.fit["round_trip"]
        assert found.fit["kind"] == "measured"
        assert found.cell.technology == "sonos_40nm"
        assert found.cell.sigma(1e-6) == pytest.approx(0.03e-6, rel=0.1)

    def test_unknown_measurements(self) -> None:
        with pytest.raises(MeasurementError, match="Did you mean 'sonos_40nm_tcas2022_resampled'"):
            find_measurements("sonos_40nm_tcas2022")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"designs": ("A", "issac2016")}, DesignError, "Did you mean 'isaac2016'"),
        ({"device": "sonos"}, DeviceError, "Unknown device 'sonos'"),
        ({"network": "digits_cn"}, NetworkError, "Did you mean 'digits_cnn'"),
    ],
)
def test_names_are_checked_before_anything_slow(
    changes: dict[str, Any], error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.run.confirm_bit_line", lambda: pytest.fail("went on"))
    with pytest.raises(error, match=message):
        compute(SMALL.model_copy(update=changes), tmp_path)


def design_file(folder: Path, **changes: object) -> str:
    fields = {"negative_weights": "differential", "weight_bits": 8, "bits_per_cell": 7, "max_rows": 64, "adc_bits": 8}
    path = folder / "designs.toml"
    path.write_text(tomli_w.dumps({"designs": {"mine": fields | changes}}))
    return f"{path}:mine"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bits_per_cell": 0}, "`bits_per_cell`"),
        ({"max_rows": 0}, "`max_rows`"),
        ({"adc_bits": -1}, "`adc_bits`"),
        ({"max_row": 64}, "Did you mean 'max_rows'"),
    ],
)
def test_an_impossible_design_is_one_message(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    result = command("report", design_file(tmp_path, **changes), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["Z9"], "Unknown design 'Z9'"),
        (["A", "--library", ""], "Unknown"),
        (["A", "--network", "resnet20_cifar10"], "give the folder that holds its files as --data"),
        (["--device", "sonos_40"], "Unknown device 'sonos_40'"),
        (["--network", "resnet20"], "or 'resnet20_cifar10'?"),
        (["--network", "resnet20_cifar10"], "give the folder"),
        (["--library", "sonos"], "Unknown"),
        (["--study", "nowhere.toml"], "there is no such file"),
    ],
)
def test_unknown_names_are_one_message(tmp_path: Path, options: list[str], message: str) -> None:
    result = command("report", *options, "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.startswith("Error: ")


def test_a_malformed_measurement_file_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    path.write_text("target (nA),current (nA)\n100,99\n100,abc\n")
    result = command("report", "--measurements", str(path), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "cells.csv" in result.stderr
    assert "3" in result.stderr, "the line is named"


def test_the_command_with_a_design_of_your_own(tmp_path: Path) -> None:
    own = design_file(tmp_path)
    options = [
        "A",
        own,
        "--trials",
        "2",
        "--images",
        "40",
        "--calibration-images",
        "40",
        "--out",
        str(tmp_path / "out"),
    ]
    result = command("report", *options, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert [row["design"] for row in document["table"]] == ["A", "mine"]
    assert document["table"][1]["partitions"] == 18
    assert Path(document["page"]).is_file()
    # The study that was written gives the same table again, and options on the command line go before it.
    again = command("report", "--study", str(tmp_path / "out" / "study.toml"), "--out", str(tmp_path / "out"), "--json")
    assert json.loads(again.stdout)["table"] == document["table"]
    shorter = command(
        "report", "--study", str(tmp_path / "out" / "study.toml"), "A", "--images", "20",
        "--out", str(tmp_path / "other"), "--json",
    )  # fmt: skip
    settings = json.loads(shorter.stdout)["settings"]
    assert settings["designs"] == ["A"]
    assert settings["images"] == 20
    assert settings["trials"] == 2


def test_designs_as_everywhere_and_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A set, a file, a name, and the option that used to name them."""
    asked: list[tuple[str, ...]] = []

    def stop(study: Study, *_: object) -> None:
        asked.append(study.designs)
        raise reports.StudyError("stopped here")

    monkeypatch.setattr("reports.run.compute", stop)
    command("report", "A", "accelerators")
    noted = command("report", "A", "--designs", "B", "--designs", "C")
    assert asked == [("A", "accelerators"), ("A", "B", "C")]
    assert "devicekit report A B" in noted.stderr


def test_sets_and_files_stand_for_their_designs(tmp_path: Path) -> None:
    design_file(tmp_path)
    path = str(tmp_path / "designs.toml")
    chosen = choose_cores(["B", "xiao2022", path])
    assert list(chosen) == ["B", "A", "C", "D", "E", f"{path}:mine"]
    assert chosen["A"].design == load_design("A")
    with pytest.raises(DesignError, match="Unknown design 'xiao2023'"):
        choose_cores(["xiao2023"])
    (tmp_path / "study.toml").write_text('designs = ["designs.toml"]\n')
    assert Study.load(tmp_path / "study.toml").designs == (path,)


@pytest.mark.slow
def test_the_table_in_the_terminal(tmp_path: Path) -> None:
    result = command(
        "report",
        "A",
        "--trials",
        "2",
        "--images",
        "20",
        "--calibration-images",
        "40",
        "--out",
        str(tmp_path),
    )
    assert result.exit_code == 0, result.stderr
    assert "Energy [fJ/op]" in result.stdout
    assert "training images" in result.stdout
    assert str(tmp_path / "index.html") in result.stdout


def keys(values: Any, path: str = "") -> set[str]:
    """Every key of nested mappings, entries of lists taken together."""
    if isinstance(values, dict):
        return {f"{path}.{key}" for key in values} | {
            k for key, own in values.items() for k in keys(own, f"{path}.{key}")
        }
    if isinstance(values, list):
        return {key for entry in values for key in keys(entry, f"{path}[]")}
    return set()


def test_the_made_up_result_has_nothing_that_a_real_one_lacks(written: Path, made_up: StudyResult) -> None:
    """So what the page reads of the made-up one is there in every run."""
    from reports.run import document

    real = keys(json.loads((written / "results.json").read_text()))
    assert keys(document(made_up)) <= real


def test_the_page_can_be_made_again_from_the_json(written: Path) -> None:
    result = StudyResult.from_dict(json.loads((written / "results.json").read_text()))
    again, first = render(result), (written / "index.html").read_text()
    made = re.search(r" on \d+ \w+ \d+, [\d:]+ UTC", first)
    assert made is not None
    assert again == first.replace(made[0], "")


def test_the_json_is_described(written: Path) -> None:
    """Every key of the first levels of results.json stands in the documentation."""
    document = json.loads((written / "results.json").read_text())
    text = (Path(__file__).resolve().parents[2] / "docs" / "report.md").read_text()
    section = text[text.index("## results.json") :]
    named = {*document, *document["designs"][0], *document["fit"], *document["device"], *document["network"]}
    assert {key for key in named if f"`{key}`" not in section} == set()
