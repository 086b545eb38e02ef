"""Layers on other cores in a study: the numbers as by hand, kept apart from those without, and said on the page."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import energy
from accuracy import analog_layers, calibrate, convert, evaluate, layer_shapes
from circuits import Activity, Core, NetworkCores, PeripheralGrid, Wires, load_core, load_design
from devicekit import DesignError, load_device
from reports.built_cores import built, what_is_in, with_overrides
from reports.cache import ResultCache
from reports.command import main
from reports.errors import StudyError
from reports.evaluation_key import evaluation_inputs
from reports.figures import accuracy_against_energy
from reports.network_step import converted, evaluate_design, load_network, training_batches
from reports.page import command_line, render
from reports.prose import summary
from reports.results import StudyResult
from reports.run import compute
from reports.stages import stages
from reports.store.store import Store
from reports.study import Study
from reports.sweeps.points import points_of
from reports.sweeps.sweep import sweep
from reports.sweeps.tasks import accuracy_inputs, cost_inputs, screen_inputs
from reports.table import caption, joint_rows
from reports.wire_rule import leaves_wires_open, wire_cost, wired

DEVICE = "sonos_40nm_tcas2022"
CELL = load_device(DEVICE)
FEW: dict[str, Any] = {
    "designs": ("A",), "device": DEVICE, "images": 40, "calibration_images": 30, "trials": 2, "batch_size": 20,
    "stage_trials": 0,
}  # fmt: skip
BARE: dict[str, Any] = {**FEW, "peripherals": "ideal", "r_p_hat": 0.0}


def cores_of(study: Study, design: str = "A") -> NetworkCores:
    others = {pattern: load_core(name) for pattern, name in study.overrides.items()}
    return with_overrides(study, built(study, Core(design), CELL), others)


def test_accuracy_in_a_study_is_that_of_the_converted_network(tmp_path: Path) -> None:
    study = Study(**BARE, overrides={"conv1": "B", "fc": "E"})
    network = load_network(study)
    found = evaluate_design(study, network, cores_of(study), ResultCache(tmp_path), lambda *_: None)
    overrides = {"conv1": load_design("B"), "fc": load_design("E")}
    model = calibrate(
        convert(network.model, "A", CELL, seed=study.seed, overrides=overrides), training_batches(study, network)
    )
    assert [layer.design.name for layer in analog_layers(model)] == ["B", "A", "A", "E"]
    wanted = evaluate(model, network.data.batches("test", 20, 40), 2, study.seed)
    assert found["accuracy"]["per_trial"] == wanted.per_trial.tolist()
    assert found["accuracy"]["ideal"] == wanted.ideal
    # Each layer's activity has the slices of its own core.
    sizes = {name: len(own["mean_conductance"]) for name, own in found["activities"].items()}
    assert sizes == {"conv1": 8, "conv2": 1, "conv3": 1, "fc": 4}
    plain = evaluate_design(Study(**BARE), network, cores_of(Study(**BARE)), ResultCache(tmp_path), lambda *_: None)
    apart = [
        own["name"] for own, other in zip(found["layer_reports"], plain["layer_reports"], strict=True) if own != other
    ]
    assert {"conv1", "fc"} <= set(apart), "the cache holds the results of both"


class OwnMatrix(nn.Module):
    """A matrix that is a parameter, beside an attention and a recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(16, 2, batch_first=True)
        self.remember = nn.LSTM(16, 16, batch_first=True)
        self.mix = nn.Parameter(torch.randn(16, 16))
        self.head = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.remember(self.attend(x, x, x)[0])[0] @ self.mix
        y: torch.Tensor = self.head(x[:, -1])
        return y


@pytest.mark.parametrize("pattern", ["attend", "*.q_proj", "remember", "mix*", "head", "*e*", "*"])
def test_accuracy_and_energy_mean_the_same_layers(pattern: str) -> None:
    torch.manual_seed(0)
    model, example = OwnMatrix().eval(), torch.randn(2, 5, 16)
    converted = convert(model, "A", overrides={pattern: "B"}, example=example)
    cost = energy.estimate_network(layer_shapes(model, example), "A", overrides={pattern: "B"})
    on = {layer.name: cost.labels[kind] for layer, kind in zip(cost.layers, cost.on, strict=True)}
    assert {layer.name: layer.core.name for layer in analog_layers(converted)} == on
    assert "B" in on.values()


def test_no_result_with_overrides_is_taken_for_one_without() -> None:
    studies = [
        Study(**BARE, overrides=overrides)
        for overrides in ({}, {"conv1": "B"}, {"conv1": "C"}, {"conv?": "B"}, {"conv1": "B", "*": "C"},
                          {"*": "C", "conv1": "B"}, {"fc": "B"})
    ]  # fmt: skip
    network = load_network(studies[0])
    for inputs_of in (evaluation_inputs, accuracy_inputs, screen_inputs):
        found = [json.dumps(inputs_of(own, "same", cores_of(own)), sort_keys=True) for own in studies]
        assert len(set(found)) == len(studies), inputs_of
    costs = [json.dumps(cost_inputs(own, network, cores_of(own), {}), sort_keys=True) for own in studies]
    assert len(set(costs)) == len(studies)
    # A core whose wires are left open is not one without wires.
    open_wires, none = (
        evaluation_inputs(own, "same", cores_of(own))
        for own in (Study(**FEW, overrides={"fc": "B"}), Study(**FEW, overrides={"fc": "B"}, r_p_hat=0.0))
    )
    assert open_wires["overrides"] != none["overrides"]


def test_periphery_and_wires_follow_from_the_design_and_cells_from_the_chip() -> None:
    study = Study(**FEW, overrides={"conv1": "B", "fc": "E"}, age="1 day", error_scale=0.5)
    cores = cores_of(study)
    for name, design in (("conv1", "B"), ("fc", "E")):
        own = cores.overrides[name]
        assert own == built(study, Core(design), CELL), "as in a row of its own"
        assert isinstance(own.peripherals, PeripheralGrid)
        assert own.peripherals.name.endswith(f"sized for {design}")
        assert own.to_mapping()["cell"] == cores.core.to_mapping()["cell"]
    chip = Core("A", cell="sonos_40nm_iedm2022", age="2 days", adc="sar", corrections=("drift",))
    plain = with_overrides(study, built(study, chip, CELL), {"fc": Core("B")}).overrides["fc"]
    assert (plain.cell.name, plain.age, plain.adc) == ("sonos_40nm_iedm2022", 2 * 86400.0, chip.adc)
    assert plain.cell.error_scale == 0.5
    assert plain.corrections == ("drift",)
    # Nothing is recorded for such a core, but its trimmed neighbour has the whole chip trimmed.
    foreign = Core(load_design("A").replace(name="short", bits_per_cell=3))
    trimmed = with_overrides(Study(**FEW), built(Study(**FEW), foreign, CELL), {"fc": Core("B")})
    assert trimmed.core.corrections == trimmed.overrides["fc"].corrections == ("column_trim",)
    assert trimmed.core.peripherals is None
    with pytest.raises(DesignError, match="Corrections are made for the whole network"):
        with_overrides(study, built(study, Core("A"), CELL), {"fc": Core("B", corrections=("drift",))})
    unquantised = Core(load_design("A").replace(name="raw", input_bits=None, adc_bits=None))
    with pytest.raises(DesignError, match="'A' and 'raw' both to quantise their inputs or neither"):
        with_overrides(study, built(study, Core("A"), CELL), {"fc": unquantised})


def test_a_stage_takes_its_part_off_every_core() -> None:
    study = Study(**FEW, overrides={"fc": "B"}, r_p_hat=1e-5, age="1 day")
    found = stages(cores_of(study))
    assert [stage.name for stage in found] == ["cells", "wires", "periphery", "trim", "age"]
    assert found[-1].cores == cores_of(study)
    for core in found[0].cores.kinds:
        assert (core.peripherals, core.corrections, core.age, core.lines.any) == (None, (), 0, False)
    for before, after in itertools.pairwise(found):
        assert all(own != other for own, other in zip(before.cores.kinds, after.cores.kinds, strict=True))
    # A part that only some layers have is a stage as well.
    own = NetworkCores(Core("A", cell=CELL), {"fc": Core("B", cell=CELL, wires=1e-5)})
    assert [stage.name for stage in stages(own)] == ["cells", "wires"]


def test_line_currents_of_all_layers_decide_on_the_wires_of_those_that_leave_them_open() -> None:
    study = Study(**{**FEW, "peripherals": "ideal"}, overrides={"conv?": "B"})
    network, cores = load_network(study), cores_of(study)
    training = training_batches(study, network)
    found = wire_cost(converted(study, network, cores), cores, training)
    assert found is not None
    said = NetworkCores(cores.core, {"conv?": cores.overrides["conv?"].replace(wires=Wires(0.0))})
    alone = wire_cost(converted(study, network, said), said, training)
    assert alone is not None
    assert alone.layer == "fc", "the one layer that is still asked about"
    assert found.error_lsb >= alone.error_lsb
    put_on = wired(said, type(found)(1e-5, 1.0, "fc", True))
    assert put_on.core.design.r_p_hat == 1e-5
    assert put_on.overrides["conv?"].design.r_p_hat == 0.0
    assert not any(map(leaves_wires_open, put_on.kinds))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def plain(folder: Path) -> StudyResult:
    return compute(Study(**BARE), folder)


def test_a_report_with_overrides_says_so_and_pays_for_them(folder: Path, plain: StudyResult) -> None:
    study = Study(**BARE, overrides={"conv1": "B", "conv*": "C"})
    result = compute(study, folder)
    (design,) = result.designs
    assert [(own["name"], own["layers"]) for own in design["overrides"]] == [
        ("B", ["conv1"]),
        ("C", ["conv2", "conv3"]),
    ]
    network = load_network(study)
    evaluation = evaluate_design(study, network, cores_of(study), ResultCache(folder / ".cache"), lambda *_: None)
    activities = {name: Activity(**own) for name, own in evaluation["activities"].items()}
    wanted = energy.estimate_network(
        network.layers, Core("A", cell=CELL), activities, overrides={"conv1": "B", "conv*": "C"}
    )
    assert design["network_cost"]["energy_gated_uj"] == wanted.value("energy_gated_uj")
    assert design["network_cost"]["cores_by_kind"] == wanted.cores_by_kind
    # One core's columns are those of the core that names the row.
    assert design["cost"] == energy.estimate_core(Core("A", cell=CELL)).to_dict()
    (row,) = joint_rows(result)
    assert (row["overrides"], row["network_placed_on"]) == ("conv1: B; conv2 conv3: C", "1 A, 1 B, 2 C")
    assert row["in_accuracy"].endswith("; conv1 on B; conv2, conv3 on C")
    assert "conv1 on B; conv2, conv3 on C" in caption(result)
    page = render(result)
    assert page.count("conv1 on B; conv2, conv3 on C") >= 1
    assert "layers on other cores" in page
    assert "--override conv1=B --override &#39;conv*=C&#39;" in page or "--override conv1=B" in command_line(
        result.settings
    )
    # What the mixture reaches stands against what the mixture costs.
    figure = accuracy_against_energy(result)
    assert figure.layout["xaxis"]["title"]["text"] == "energy of an inference [µJ]"
    assert {x for trace in figure.data for x in trace["x"]} == {wanted.value("energy_gated_uj")}
    assert accuracy_against_energy(plain).layout["xaxis"]["title"]["text"] == "energy [fJ/op]"
    assert "Costs of one core are those of the core that names the row" in caption(result)
    assert "Costs of one core are those" not in caption(plain)
    twice = replace(result, designs=[design, {**design, "name": "Z"}])
    assert summary(twice)[1].startswith("An inference costs from ")
    names = {entry["name"] for entry in result.provenance if entry["room"] == "core designs"}
    assert names == {"A", "B", "C"}
    assert plain.designs[0]["layer_reports"] != design["layer_reports"]
    assert plain.designs[0]["overrides"] == []
    assert "overrides" not in joint_rows(plain)[0]


def test_a_core_of_its_own_row_changes_nothing(folder: Path, plain: StudyResult) -> None:
    assert compute(Study(**BARE, overrides={"conv1": "A"}), folder).designs == plain.designs


def test_what_sets_another_core_apart_is_said() -> None:
    main = Core("A", cell=CELL, peripherals="sized", wires=1e-5)
    cores = ((Core("B", cell=CELL, wires=1e-5), 2), (Core("C", cell=CELL, peripherals="sized", wires=1e-5), 9))
    others = [
        {"name": own.name, "layers": [f"layer{n}" for n in range(count)], "core": own.to_dict()} for own, count in cores
    ]
    text = what_is_in(main.to_dict(), "A", others)
    assert "; layer0, layer1 on B (no periphery); " in text
    assert text.endswith("layer0, layer1, layer2, layer3, layer4 and 4 more on C")


def test_points_of_a_sweep_have_overrides_in_accuracy_costs_and_store(tmp_path: Path) -> None:
    vary = {"adc_bits": (6, 8), "peripherals": ("ideal",), "r_p_hat": (0.0,), "age": ("1 day",)}
    study = Study(**FEW, overrides={"conv2": "C"}, vary=vary, accuracy="all")
    for point in points_of(study):
        assert point.cores is not None
        other = point.cores.overrides["conv2"]
        assert (other.age, other.peripherals, other.design.adc_bits) == (86400.0, None, 8)
        assert not any(map(leaves_wires_open, point.cores.kinds))
    with Store(tmp_path / "store.sqlite") as store:
        mixed = sweep(study, store, workers=1)
        plain = sweep(study.model_copy(update={"overrides": {}}), store, workers=1)
    for number in (0, 1):
        own, other = mixed.points[number], plain.points[number]
        assert own["status"] == other["status"] == "done"
        assert own["overrides"][0]["layers"] == ["conv2"]
        assert own["network_cost"]["cores_by_kind"]["C"] == 1
        assert own["layer_reports"][1] != other["layer_reports"][1]
        assert own["network_cost"]["energy_gated_uj"] > other["network_cost"]["energy_gated_uj"]
        assert own["cost"] == other["cost"]
        assert np.all(mixed.draws[number]["area_mm2"] > plain.draws[number]["area_mm2"])
    assert [row["overrides"] for row in mixed.rows] == ["conv2: C", "conv2: C"]
    assert "overrides" not in plain.rows[0]


def test_overrides_keep_their_order_and_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    (project / "mine.toml").write_text('[cores.wide]\ndesign = "A"\nmax_rows = 576\n')
    (project / "study.toml").write_text(
        'designs = ["A"]\n[overrides]\n"z.*" = "B"\n"a.0.conv" = "mine.toml:wide"\nfc = "mine.toml"\n'
    )
    monkeypatch.chdir(tmp_path)
    study = Study.load(project / "study.toml")
    assert list(study.overrides.items()) == [
        ("z.*", "B"), ("a.0.conv", f"{project / 'mine.toml'}:wide"), ("fc", f"{project / 'mine.toml'}"),
    ]  # fmt: skip
    assert Study.load(study.save(tmp_path / "out" / "study.toml")) == study
    assert '"../project/mine.toml:wide"' in (tmp_path / "out" / "study.toml").read_text()
    # A store sorts the keys of what it keeps.
    again = Study.make(json.loads(json.dumps(study.model_dump(mode="json"), sort_keys=True)))
    assert list(again.overrides.items()) == list(study.overrides.items())
    assert "--override 'z.*=B' --override" in command_line(study.model_dump(mode="json"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"conv9": "B"}, r"Unknown layer on arrays, or pattern 'conv9'\. Did you mean 'conv[123]'"),
        ({"conv1": "AA"}, "Unknown design 'AA'"),
        ({"conv1": ""}, "expected names of cores by patterns"),
        ({"layer1": {"0": "B"}}, r"stands in quotes, such as \"layer1\.0\" = 'B'"),
        ({"conv1": 3}, "overrides"),
    ],
)
def test_impossible_overrides_get_one_error(tmp_path: Path, overrides: Any, message: str) -> None:
    with pytest.raises((StudyError, DesignError), match=message):
        compute(Study.make({**BARE, "overrides": overrides}), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_layer_that_stays_digital_has_no_other_core() -> None:
    with pytest.raises(StudyError, match="Unknown layer on arrays, or pattern 'fc'"):
        load_network(Study(**BARE, exclude=("fc",), overrides={"fc": "B"}))


def test_the_command_has_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    few = ["--device", DEVICE, "--images", "40", "--calibration-images", "30", "--trials", "2", "--stage-trials", "0",
           "--peripherals", "ideal", "--r-p-hat", "0"]  # fmt: skip
    with pytest.raises(SystemExit) as stopped:
        main(["report", "A", *few, "--override", "conv1=B", "--json"])
    assert stopped.value.code in (0, None)
    document = json.loads(capsys.readouterr().out)
    assert document["table"][0]["overrides"] == "conv1: B"
    assert document["settings"]["overrides"] == [["conv1", "B"]]
    assert Study.load(tmp_path / "out/report/study.toml").overrides == {"conv1": "B"}
    for options, message in (
        (["--override", "conv9=B"], "--override: Unknown layer on arrays"),
        (["--override", "conv1=BB"], "Unknown design 'BB'"),
        (["--override", "conv1"], "PATTERN=DESIGN"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["report", "A", *few, *options])
        assert stopped.value.code == 2
        error = capsys.readouterr().err
        assert message in error
        assert "Traceback" not in error
