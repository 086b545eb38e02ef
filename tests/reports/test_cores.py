"""Cores as built through studies and commands: one file, the same core in accuracy, in costs and on the page."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

import accuracy
from circuits import Adc, AdcKind, Core, Faults, load_core, register_adc_kind
from devicekit import Constant
from energy import estimate_core
from reports.command import build_app
from reports.errors import StudyError
from reports.results import StudyResult
from reports.run import compute, document
from reports.study import Study

SONOS = "sonos_40nm_tcas2022"
DAY = 86400.0
SMALL = {"images": 20, "calibration_images": 20, "trials": 2}
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def command(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(arguments[0]), list(arguments))


@pytest.fixture
def cores(tmp_path: Path) -> Path:
    """Two cores in a file, one with everything of its own, one open."""
    full = Core("A", SONOS, Adc("sar", enob=6.5, energy="2 pJ", area="500 um2", source="our chip"), "sonos_40nm",
                1e-6, ["column_trim"], Faults(0.001), age=DAY, name="full")  # fmt: skip
    table = (full.save(tmp_path / "full.toml")).read_text()
    path = tmp_path / "cores.toml"
    path.write_text(f'{table}\n[cores.open]\nsource = "our notes"\ndesign = "D"\nadc = "flash"\n')
    return path


def test_a_study_takes_cores_as_they_are_built(cores: Path, tmp_path: Path) -> None:
    full, still_open = load_core(f"{cores}:full"), load_core(f"{cores}:open")
    study = Study(designs=("A",), cores=(str(cores),), device="sonos_40nm_iedm2022", **SMALL)
    result = compute(study, tmp_path / "out")
    assert [design["name"] for design in result.designs] == ["A", "full", "open"]
    plain, own, other = (design["core"] for design in result.designs)
    assert [core["cell"]["name"] for core in (plain, own, other)] == [
        "sonos_40nm_iedm2022",
        SONOS,
        "sonos_40nm_iedm2022",
    ]
    assert (own["age_s"], own["corrections"], own["peripherals"]) == (DAY, ["column_trim"], "sonos_40nm")
    assert own == {part: value for part, value in full.to_dict().items() if part not in ("name", "design")}
    assert (other["adc"], plain["adc"]) == ({"kind": "flash"}, {"kind": "ramp"})
    # Costs and accuracy are those of the core as it stands.
    assert result.designs[1]["cost"]["energy_fj_per_op"] == estimate_core(full).energy_fj_per_op
    filled = still_open.replace(cell="sonos_40nm_iedm2022")
    assert result.designs[2]["cost"]["area_mm2"] == estimate_core(filled).area_mm2
    digits = accuracy.data_sets.load("digits")
    training, test = digits.batches("calibration", 100, 20), digits.batches("test", 100, 20)
    model = accuracy.calibrate(accuracy.convert(accuracy.networks.load("digits_cnn"), full), training)
    found = accuracy.evaluate(model, test, 2, correction_batches=training)
    assert result.designs[1]["accuracy"]["per_trial"] == list(found.per_trial)
    rooms = {entry["room"] for entry in result.provenance}
    assert {"cell: sonos_40nm_iedm2022", f"cell: {SONOS}", "ADC: sar"} <= rooms
    assert any(entry["name"] == "open" and entry["source"] == "our notes" for entry in result.provenance)
    assert "full, open are predicted" in result.cost_note
    table = document(result)["table"]
    assert [row["adc"] for row in table] == ["ramp", "sar", "flash"]
    assert StudyResult.from_dict(json.loads(json.dumps(document(result)))).designs[1]["core"] == own


def test_a_core_that_changes_is_evaluated_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reports import network_step

    evaluated: list[str] = []
    real = network_step.evaluate_afresh

    def counted(study, network, core, *rest):
        evaluated.append(core.name)
        return real(study, network, core, *rest)

    monkeypatch.setattr(network_step, "evaluate_afresh", counted)
    core = Core("A", SONOS, name="mine")
    path = core.save(tmp_path / "core.toml")
    study = Study(cores=(f"{path}:mine",), **SMALL)
    for changed in (core, core, core.replace(adc={"kind": "sar", "enob": 7.9}), core.replace(corrections="drift")):
        changed.save(path)
        compute(study, tmp_path / "out")
    assert evaluated == ["mine"] * 3


def test_cores_with_cells_of_their_own_need_no_other(tmp_path: Path) -> None:
    path = Core("A", "sonos_40nm_iedm2022", age=DAY, name="mine").save(tmp_path / "core.toml")
    result = compute(Study(cores=(f"{path}:mine",), **SMALL), tmp_path / "out")
    assert (result.device["name"], result.device["time_s"]) == ("sonos_40nm_iedm2022", 0.0)
    assert result.device["origin"] == "Taken as it stands from the core's file."
    assert result.device["label"] == "SONOS"


def test_study_files_hold_cores(cores: Path, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text('cores = ["cores.toml:full", "cores.toml"]\n')
    study = Study.load(tmp_path / "study.toml")
    assert study.designs == ()
    assert study.cores == (f"{cores}:full", str(cores))
    assert Study.load(study.save(tmp_path / "again" / "study.toml")) == study
    assert Study(cores=("A",), designs=("B",)).designs == ("B",)
    assert Study().designs == ("A", "B", "C", "D", "E")
    with pytest.raises(StudyError, match="design 'A' is asked for more than once"):
        Study.make({"designs": ["A"], "cores": ["A"]})
    with pytest.raises(StudyError, match="`designs`: expected at least 1 item, here or in `cores`"):
        Study.make({"designs": [], "cores": []})


# -- commands ---------------------------------------------------------------------------------------------------------


def test_commands_take_a_core_by_file_and_name(cores: Path, tmp_path: Path) -> None:
    name = f"{cores}:full"
    full = load_core(name)
    row = json.loads(command("energy", name, "--json").stdout)["designs"][0]
    assert row["energy_fj_per_op"] == pytest.approx(estimate_core(full).energy_fj_per_op, rel=1e-12)
    assert (row["design"], row["adc"]) == ("full", "sar")
    few = ("--images", "20", "--calibration-images", "20", "--trials", "2", "--json")
    (found,) = json.loads(command("accuracy", name, *few).stdout)["designs"]
    assert (found["design"], found["device"], found["core"]["corrections"]) == (name, SONOS, ["column_trim"])
    digits = accuracy.data_sets.load("digits")
    training, test = digits.batches("calibration", 100, 20), digits.batches("test", 100, 20)
    model = accuracy.calibrate(accuracy.convert(accuracy.networks.load("digits_cnn"), full), training)
    assert found["per_trial"] == list(accuracy.evaluate(model, test, 2, correction_batches=training).per_trial)
    done = command("report", name, *few, "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.stderr
    (entry,) = json.loads(done.stdout)["designs"]
    assert entry["accuracy"]["per_trial"] == found["per_trial"]
    assert entry["cost"]["energy_fj_per_op"] == row["energy_fj_per_op"]
    page = (tmp_path / "out" / "index.html").read_text()
    for shown in ("sar, ENOB 6.5, own energy, area", "column trim", "1 day", "0.1 % off"):
        assert shown in page


def test_options_fill_in_what_a_core_leaves_open(cores: Path) -> None:
    few = ("--images", "10", "--calibration-images", "10", "--trials", "1", "--json")
    options = ("--device", "sonos_40nm_iedm2022", "--age", "1 day", "--peripherals", "sonos_40nm", "--r-p-hat", "1e-6")
    (found,) = json.loads(command("accuracy", f"{cores}:open", *options, "--correct", "drift", *few).stdout)["designs"]
    core = found["core"]
    assert (core["cell"]["name"], core["age_s"], core["adc"]) == ("sonos_40nm_iedm2022", DAY, {"kind": "flash"})
    assert core["wires"] == {"r_p_hat": 1e-6, "bit_line": "resistor"}
    (found,) = json.loads(command("accuracy", f"{cores}:open", "--device", "ideal", *few).stdout)["designs"]
    assert (found["device"], found["core"]["cell"]) == ("ideal", None)
    (found,) = json.loads(command("accuracy", "A", "--adc", "sar", *few).stdout)["designs"]
    assert (found["device"], found["core"]["adc"]) == (SONOS, {"kind": "sar"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("energy", "--device", SONOS), "--device is given beside the core 'full', which has its own"),
        (("energy", "--adc", "ramp"), "--adc is given beside the core 'full', which has its own"),
        (("accuracy", "--device", SONOS), "--device is given beside the core 'full', which has its own"),
        (("accuracy", "--device", "ideal"), "--device is given beside the core 'full', which has its own"),
        (("accuracy", "--age", "1 day"), "--age is given beside the core 'full', which has its own"),
        (("accuracy", "--adc", "sar"), "--adc is given beside the core 'full', which has its own"),
        (("accuracy", "--peripherals", "sonos_40nm"), "--peripherals is given beside the core 'full', which"),
        (("accuracy", "--r-p-hat", "1e-6"), "--r-p-hat or another of the wires is given beside the core 'full', which"),
        (
            ("accuracy", "--bit-line", "affine"),
            "--r-p-hat or another of the wires is given beside the core 'full', which",
        ),
    ],
)
def test_what_stands_in_the_file_and_in_an_option_is_refused(
    arguments: tuple[str, ...], message: str, cores: Path
) -> None:
    name, *options = arguments
    result = command(name, f"{cores}:full", *options)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("accuracy", "A", "--adc", "sarr"), "Unknown ADC 'sarr'. Did you mean 'sar'"),
        (("accuracy", "A", "--bit-line", "resister"), "Unknown bit-line model 'resister'"),
        (("accuracy", "A", "--device", "ideal", "--age", "1 day"), "Ideal cells neither age nor feel heat"),
        (("accuracy", "{cores}:fool"), "Unknown core or design 'fool'. Did you mean 'full'"),
        (("energy", "{cores}:fool"), "Unknown core or design 'fool'. Did you mean 'full'"),
        (("report", "{cores}:fool"), "Unknown core or design 'fool'. Did you mean 'full'"),
    ],
)
def test_bad_names_are_one_message(arguments: tuple[str, ...], message: str, cores: Path, tmp_path: Path) -> None:
    result = command(*(argument.format(cores=cores) for argument in arguments))
    assert result.exit_code == 2, result.output
    assert message in result.stderr


def test_the_example_file_holds_what_it_says() -> None:
    trimmed, sar = (load_core(f"{EXAMPLES / 'your_cores.toml'}:{name}") for name in ("trimmed", "sar"))
    assert (trimmed.age, trimmed.temperature, trimmed.corrections) == (DAY, 310.0, ("column_trim",))
    assert (sar.design.max_rows, sar.adc.label, sar.adc.bits) == (576, "our_sar", 8)
    cost = estimate_core(sar)
    assert cost.value("conversion_s") == pytest.approx(50e-9)
    assert cost.value("sar_adc.joules") == pytest.approx(sar.design.conversions_per_mvm * 0.9e-12)


# -- a kind of ADC that no part of the package knows -----------------------------------------------------------------


@pytest.mark.usefixtures("own_registry")
def test_a_kind_of_adc_from_outside_goes_through_everything(tmp_path: Path) -> None:
    """One class with its numbers: converted, priced, in a command and in a study."""

    @register_adc_kind
    class Cyclic(AdcKind):
        name, label, cycles = "cyclic", "cyclic ADC", "bits + 2"
        cycle_time = Constant(value=2e-9, unit="s", kind="assumed", source="our notes")

        @classmethod
        def noise_lsb(cls, bits: int) -> float:
            return 2.0

        @classmethod
        def thresholds_lsb(cls, bits: int) -> np.ndarray:
            return np.arange(2**bits - 1) + 0.5 + 2 * np.sin(np.arange(2**bits - 1))

    path = Core("A", SONOS, "cyclic", name="piped").save(tmp_path / "core.toml")
    assert 'adc = "cyclic"' in path.read_text()
    core = load_core(path)
    network, digits = accuracy.networks.load("digits_cnn"), accuracy.data_sets.load("digits")
    training, test = digits.batches("calibration", 100, 20), digits.batches("test", 100, 20)

    def trials(built: Core) -> list[float]:
        model = accuracy.calibrate(accuracy.convert(network, built), training)
        found = accuracy.evaluate(model, test, 2, metric=lambda out, labels: out[:, 0].double())
        return list(found.scores.ravel())

    assert trials(core) != trials(core.replace(adc="ramp"))
    cost = estimate_core(core)
    assert cost.value("conversion_s") == pytest.approx(20e-9)
    row = json.loads(command("energy", f"{path}:piped", "--json").stdout)["designs"][0]
    assert (row["adc"], row["energy_fj_per_op"]) == ("cyclic", pytest.approx(cost.energy_fj_per_op, rel=1e-12))
    shown = command("energy", "A", "--adc", "cyclic", "--table", "breakdown", "--format", "csv").stdout
    assert "Cyclic ADC" in shown
    result = compute(Study(designs=("A",), cores=(f"{path}:piped",), **SMALL), tmp_path / "out")
    assert result.designs[1]["core"]["adc"] == {"kind": "cyclic"}
    assert result.designs[1]["cost"]["energy_fj_per_op"] == cost.energy_fj_per_op
