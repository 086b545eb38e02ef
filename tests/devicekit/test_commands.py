"""`devicekit fit` and `devicekit device`, as a person runs them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

import devicekit
from reports.command import build_app

BUNDLED = str(devicekit.data_path("measurements/sonos_40nm_tcas2022_resampled.csv"))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(), list(arguments), catch_exceptions=True)


def test_fit_prints_the_report_and_writes_what_a_person_needs(tmp_path: Path) -> None:
    result = run("fit", BUNDLED, "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "Error model: saturating_exponential" in result.output
    assert "resampled from published statistics" in result.output
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {
        "sonos_40nm_tcas2022_resampled.toml",
        "report.txt",
        "states.csv",
        "models.csv",
        "figures.png",
        "figures.pdf",
    }
    cell = devicekit.load_device(tmp_path / "sonos_40nm_tcas2022_resampled.toml")
    assert cell.has_uncertainty
    states = pd.read_csv(tmp_path / "states.csv")
    assert {"target_a", "mean_a", "sigma_a", "threshold_sigma_v", "time_s", "n"} <= set(states.columns)
    assert pd.read_csv(tmp_path / "models.csv")["verdict"].iloc[0] == "chosen"
    assert (tmp_path / "report.txt").read_text().strip() in result.output.replace("\r", "")


def test_fit_as_json_is_one_document(tmp_path: Path) -> None:
    result = run(
        "fit", BUNDLED, "--out", str(tmp_path), "--json", "--model", "power_law", "--name", "mine", "--no-figures"
    )
    document = json.loads(result.stdout)
    assert document["device"] == "mine"
    assert document["model"] == "power_law"
    assert document["kind"] == "resampled from published statistics"
    assert document["parameters"]["exponent"]["stderr"] > 0
    assert len(document["states"]) == 16
    assert Path(document["files"]["cell"]).is_file()


def test_columns_and_units_from_the_command_line(tmp_path: Path) -> None:
    table = pd.read_csv(BUNDLED, comment="#", names=["a", "b"], header=0).assign(chip=1)
    table.to_csv(tmp_path / "own.csv", index=False)
    result = run(
        "fit", str(tmp_path / "own.csv"), "--target", "a", "--value", "b", "--column", "die=chip", "--unit", "nA",
        "--i-max", "1.6uA", "--on-off-ratio", "1e7", "--out", str(tmp_path / "out"), "--json", "--no-figures",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["model"] == "saturating_exponential"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fit", "nothing.csv"), r"nothing.csv: no such file"),
        (("fit", BUNDLED, "--model", "satexp"), "Unknown error model 'satexp'"),
        (("fit", BUNDLED, "--criterion", "hqic"), "Unknown criterion 'hqic'"),
        (("fit", BUNDLED, "--estimator", "huber"), "Unknown estimator 'huber'"),
        (("fit", BUNDLED, "--column", "die"), "Expected --column to be ROLE=HEADER"),
        (("fit", BUNDLED, "--column", "dye=x"), "Unknown column role 'dye'. Did you mean 'die'"),
        (("device", "show", "sonos"), "Unknown device 'sonos'"),
        (("device", "compare", "pcm_joshi2020"), "Expected two or more devices"),
        (("device", "show", "pcm_joshi2020", "--time", "1 nA"), "Expected --time to be a quantity in s"),
        (("device", "show", "pcm_joshi2020", "--temperature", "85degC"), "so --temperature cannot be set"),
        (("device", "compare", "pcm_joshi2020", "reram_wan2022", "--time=-1"), "expected --time to be a finite time"),
        (("fit", BUNDLED, "--bootstrap", "1"), "Expected --bootstrap to be at least 2 replicates, but got 1"),
        (("fit", BUNDLED, "--i-max", "1.6V"), "Expected --i-max to be a quantity in A"),
        (("fit", BUNDLED, "--states", "0"), "expected --states to be at least 1"),
        (("fit", BUNDLED, "--read-voltage=-1V"), "expected --read-voltage to be above 0 V"),
    ],
)
def test_bad_input_is_one_of_our_errors(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


def test_messages_of_a_file_speak_of_options(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1.0, 1.0, 2.0, 2.0], "b": [1.1, 0.9, 2.1, 1.9]})
    for columns, message in (
        (("a", "b"), "--target ... and --value ..."),
        (("target", "current"), "--unit nA"),
        (("target (uS)", "G (uS)"), '--read-voltage "0.1 V"'),
    ):
        table.set_axis(list(columns), axis=1).to_csv(tmp_path / "own.csv", index=False)
        result = run("fit", str(tmp_path / "own.csv"))
        assert result.exit_code == 2
        assert message in " ".join(result.stderr.split())
        assert not re.search(r"(units|target|value|read_voltage)=|`", result.stderr), result.stderr
    # The same fault in Python is said in Python.
    with pytest.raises(devicekit.MeasurementError, match=r'read_voltage="0\.1 V"'):
        devicekit.fit_device(tmp_path / "own.csv")


def test_a_wrong_unit_is_noted_with_its_option() -> None:
    command = [sys.executable, "-c", "from reports.command import main; main()"]
    done = subprocess.run(
        [*command, "device", "show", "sonos_40nm_tcas2022", "--temperature", "25"], capture_output=True, text=True
    )
    assert "--temperature is 25 K, which is -248 degC" in " ".join(done.stderr.split())
    assert run("device", "show", "sonos_40nm_tcas2022", "--temperature", "85degC").exit_code == 0


def test_devices_are_listed_shown_and_compared() -> None:
    listed = json.loads(run("device", "list", "--json").stdout)["devices"]
    assert [row["name"] for row in listed] == devicekit.device_names()
    shown = json.loads(run("device", "show", "sonos_40nm_iedm2022", "--time", "2days", "--json").stdout)
    cell = devicekit.load_device("sonos_40nm_iedm2022").at(time=2 * 86400.0)
    assert shown["states"][3]["sigma_a"] == pytest.approx(float(cell.sigma(0.8e-6)))
    assert shown["provenance"]["error.s_max"]["kind"] == "published"
    both = run("device", "compare", "sonos_40nm_tcas2022", "pcm_joshi2020", "--json")
    rows = json.loads(both.stdout)["sigma_percent_of_i_max"]
    assert rows[-1]["pcm_joshi2020"] == pytest.approx(4.2617, abs=1e-3)
    for arguments in (
        ("device", "list"),
        ("device", "show", "pcm_joshi2020"),
        ("device", "compare", "reram_milo2021", "reram_wan2022"),
    ):
        result = run(*arguments)
        assert result.exit_code == 0, result.output
        assert "reram_wan2022" in result.output or "pcm_joshi2020" in result.output
