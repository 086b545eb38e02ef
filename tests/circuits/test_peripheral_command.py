"""`devicekit peripherals` on a fresh terminal: tables, files, JSON, and what happens without ngspice."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

import circuits
from circuits.spice.simulator import spice_missing
from devicekit import DevicekitError
from reports.command import build_app
from reports.page import peripheral_rows


def run(*arguments):
    return CliRunner().invoke(build_app("peripherals"), ["peripherals", *map(str, arguments)])


def test_the_recorded_model_is_shown_without_ngspice(monkeypatch):
    monkeypatch.setattr("circuits.spice.simulator.spice_missing", lambda: "ngspice was not found.")
    result = run()
    assert result.exit_code == 0
    assert "recorded earlier" in result.stderr
    assert "comparator" in result.stdout
    assert json.loads(run("--recorded", "--json").stdout)["model"]["name"] == "sonos_40nm"
    single = json.loads(run("--unsigned", "--input-bits", 1, "--json").stdout)["model"]
    assert (single["name"], single["zero"]) == ("sonos_40nm_one_bit_unsigned", 0.0)


def test_page_and_command_name_both_scatters_of_random_patterns():
    """What the bits' weights explain, and what they leave: two figures, far apart, each under its own name."""
    model = circuits.load_peripherals("sonos_40nm")
    assert model.pattern_scatter_lsb == model.figures["pattern_scatter_lsb"].value > 10 * model.pattern_lsb
    rows = dict(peripheral_rows(model.to_dict()))
    figures = {label: float(value.removesuffix(" LSB")) for label, value in rows.items() if value.endswith(" LSB")}
    binary, weighted = "bits in powers of two", "bits as the circuit weighs them"
    assert figures[f"random bit patterns, {binary}, rms"] == pytest.approx(model.pattern_scatter_lsb, rel=0.05)
    assert figures[f"random bit patterns, {weighted}, rms"] == pytest.approx(model.pattern_lsb, rel=0.05)
    shown = " ".join(run("--recorded").stdout.split())
    assert binary in shown
    assert weighted in shown


def test_what_needs_ngspice_says_so(monkeypatch):
    monkeypatch.setattr("circuits.spice.simulator.spice_missing", lambda: "ngspice was not found.")
    result = run("--corner", "slow")
    assert result.exit_code == 2
    assert "ngspice was not found" in result.stderr


def test_a_run_writes_model_and_figures(ngspice, tmp_path):
    result = run("--behavioural", "--columns", 2, "--patterns", 10, "--out", tmp_path / "new", "--json")
    assert result.exit_code == 0, result.output
    model = circuits.load_peripherals(tmp_path / "new" / "sonos_40nm.model.json")
    assert json.loads(result.stdout)["model"]["gain"] == model.gain
    assert model.energy == {}
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "sonos_40nm.model.json",
        "peripherals.png",
        "peripherals.svg",
        "transfer.csv",
        "adc.csv",
        "patterns.csv",
        "columns.csv",
    }
    transfer = pd.read_csv(tmp_path / "new" / "transfer.csv")
    late = transfer.reading_codes - transfer.ideal_codes
    middle = transfer.level.abs() < 0.01
    assert late[middle].to_numpy() == pytest.approx(model.offset_lsb, abs=0.6)
    assert len(pd.read_csv(tmp_path / "new" / "columns.csv")) == 2


def test_another_use_is_run(ngspice):
    result = run("--behavioural", "--columns", 0, "--patterns", 10, "--unsigned", "--input-bits", 1, "--json")
    assert result.exit_code == 0, result.output
    model = json.loads(result.stdout)["model"]
    assert (model["zero"], model["bit_weights"]) == (0.0, None)
    assert "integrator_memory" not in model["figures"], "one bit has none before it"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no_such",), "Unknown parameter set or file 'no_such'"),
        (("--recorded", "no_such"), "Unknown peripheral model or file 'no_such'"),
        (("--sweep", "--corner", "slow"), "--sweep without --temperature and --corner"),
    ],
)
def test_bad_requests(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_an_adc_s_figures_are_shown(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('base = "sar_40nm"\nname = "ours"\n[circuit]\ncapacitor_mismatch = 0.03\n')
    found = json.loads(run("--adc", own, "--columns", 20, "--json").stdout)
    wanted = circuits.adc_figures(circuits.load_adc(own), 8, converters=20).to_dict()
    assert found["figures"] == pytest.approx(wanted)
    assert (found["adc"]["name"], found["spice"]) == ("ours", None)
    shown = " ".join(run("--adc", "flash", "--bits", 6).stdout.split())
    assert "flash ADC, 6 bits" in shown
    assert "monotonic ADCs 100 %" in shown
    assert json.loads(run("--adc", "flash", "--bits", 6, "--json").stdout)["figures"]["enob_mean"] == pytest.approx(
        6, abs=1e-3
    )


@pytest.mark.skipif(bool(spice_missing()), reason="ngspice or PySpice is absent")
def test_an_adc_s_codes_in_ngspice_are_shown(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('kind = "sar"\nbits = 5\n[circuit]\ncapacitor_mismatch = 0.05\n')
    spice = json.loads(run("--adc", own, "--confirm", "--json").stdout)["spice"]
    assert (spice["same_code"], spice["largest_difference_lsb"]) == (spice["conversions"], 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--bits", 8), "--bits and --confirm with --adc"),
        (("--confirm",), "--bits and --confirm with --adc"),
        (("--adc", "sarr"), "Unknown ADC 'sarr'. Did you mean 'sar'"),
        (("--adc", "sar_40nm", "--bits", 6), "is of 8 bits"),
        (("--adc", "flash_40nm", "--confirm"), "netlists of SAR and ramp ADCs"),
    ],
)
def test_what_no_adc_takes_is_refused(arguments, message):
    result = run(*arguments)
    assert isinstance(result.exception, DevicekitError) or result.exit_code == 2
    assert message in " ".join(f"{result.exception} {result.stderr}".split())
