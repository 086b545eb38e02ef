"""What a study may ask: ranges, budgets, and the study file that holds them."""

from pathlib import Path
from typing import Any

import pytest

from reports.errors import StudyError
from reports.run import run_study
from reports.studies.budgets import QUANTITIES, constraint_of
from reports.studies.ranges import text_of, values_of
from reports.study import Study
from reports.sweeps.points import points_of


@pytest.mark.parametrize(
    ("entry", "values"),
    [
        ("6..9", (6, 7, 8, 9)),
        ("144..1152*2", (144, 288, 576, 1152)),
        ("0..1:0.25", (0.0, 0.25, 0.5, 0.75, 1.0)),
        ("0..0.3:0.1", (0.0, 0.1, 0.2, 0.3)),
        ("1e-7..1e-5*10", (1e-7, 1e-6, 1e-5)),
        ("144,288 , 576", (144, 288, 576)),
        ("6..7,none", (6, 7, None)),
        ("true,false", (True, False)),
        ("1 day,2 days", ("1 day", "2 days")),
        ("8,[8,8,7,6]", (8, (8, 8, 7, 6))),
        ([6, "8..9", [8, 7]], (6, 8, 9, (8, 7))),
        ("5..5", (5,)),
        (300, (300,)),
        ("0,false", (0, False)),
    ],
)
def test_values(entry: Any, values: tuple[Any, ...]) -> None:
    found = values_of(entry)
    assert found == values
    assert [type(one) for one in found] == [type(other) for other in values]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("9..6", "has no end"),
        ("1..9:0", "has no end"),
        ("0..8*2", "has no end"),
        ("1..1e9", "more than 10000 values"),
        ("6,6", "the value 6 stands twice"),
        ("", "at least one value"),
        ("[8,", "expected a list"),
    ],
)
def test_faults_of_values(entry: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        values_of(entry)


def test_names_of_values() -> None:
    assert [text_of(value) for value in (None, True, 1e-6, (8, 7), "1 day", {"network": "mine"})] == [
        "none", "true", "1e-06", "8+7", "1 day", "mine",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "limit", "at_most"),
    [
        ("loss <= 1 point", 0.01, True),
        ("loss<=0.5 %", 0.005, True),
        ("loss <= 0.02", 0.02, True),
        ("accuracy >= 90 percent", 0.9, False),
        ("network_area <= 1 mm2", 1.0, True),
        ("network_area <= 500000 um^2", 0.5, True),
        ("network_energy < 1 uJ", 1.0, True),
        ("network_energy < 250 nJ", 0.25, True),
        ("network_latency <= 0.1 ms", 100.0, True),
        ("energy <= 0.1 pJ/op", 100.0, True),
        ("area <= 1", 1.0, True),
        ("tops_per_w >= 100 TOPS/W", 100.0, False),
        ("network_cores <= 12", 12.0, True),
    ],
)
def test_constraints(text: str, limit: float, at_most: bool) -> None:
    found = constraint_of(text)
    assert found.limit == pytest.approx(limit)
    assert found.at_most is at_most
    assert found.holds(limit)
    assert not found.holds(limit * (1.01 if at_most else 0.99))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("los <= 1 point", "Did you mean 'loss'"),
        ("loss 1 point", "expected NAME <= VALUE UNIT"),
        ("loss <= 1 mm2", "number of points or per cent"),
        ("network_area <= 1 pJ", "m\\^2"),
        ("tops_per_w >= 3 J", "a number of TOPS/W"),
    ],
)
def test_faults_of_constraints(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        constraint_of(text)


def test_quantities_are_where_results_have_them() -> None:
    from circuits import LayerShape
    from energy import estimate_core, estimate_network

    core, layers = "A", [LayerShape(name="fc", rows=64, columns=10)]
    results = {
        "cost": estimate_core(core).to_dict(),
        "network_cost": estimate_network(layers, core).to_dict(),
        "accuracy": {"loss": 0.0, "mean": 1.0},
    }
    for own in QUANTITIES.values():
        assert isinstance(results[own.part][own.field], int | float), own.name


def test_a_study_with_ranges_is_saved_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cells.toml").touch()
    vary = {"adc_bits": "6..8,none", "device": ["cells.toml", "sonos_40nm_tcas2022"], "age": ["0 s", "1 day"]}
    study = Study(designs=("A",), vary=vary, constraints=("loss <= 1 point",), objectives=("loss", "network_area"))
    study.save("deep/study.toml")
    again = Study.load("deep/study.toml")
    assert again.vary["device"] == (str(tmp_path / "cells.toml"), "sonos_40nm_tcas2022")
    assert again.model_copy(update={"vary": study.vary}) == study
    assert {**again.vary, "device": None} == {**study.vary, "device": None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[vary]\nmax_row = [144]", "`vary`: Unknown quantity to vary 'max_row'. Did you mean 'max_rows'"),
        ('[vary]\nadc_bits = "9..6"', "`vary`: adc_bits: the range '9..6' has no end"),
        ('constraints = ["loss < 1 mm2"]', "`constraints`: expected 'loss'"),
        ('objectives = ["los"]', "`objectives`: Unknown quantity 'los'"),
        ("objectives = []", "`objectives`: expected at least one"),
        ('accuracy = "some"', "`accuracy`:"),
        ("[vary]\nadc_bits = [{ network = 3 }]", "a table stands for a network only"),
    ],
)
def test_faults_in_a_study_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "study.toml"
    path.write_text(text)
    with pytest.raises(StudyError) as raised:
        Study.load(path)
    assert message in str(raised.value)
    assert str(raised.value).startswith(str(path))


def test_what_the_study_says_of_cores_reaches_every_point() -> None:
    from reports.sweeps.points import points_of

    study = Study.make({"designs": ["A"], "vary": {"adc_bits": [7, 8]}, "age": "1 day", "corrections": ["column_trim"],
                        "r_p_hat": 1e-5, "device": "sonos_40nm_iedm2022"}, "options")  # fmt: skip
    cores = [point.cores.core for point in points_of(study)]
    assert [core.design.adc_bits for core in cores] == [7, 8]
    assert {(core.age, core.corrections, core.wires.r_p_hat) for core in cores} == {(86400.0, ("column_trim",), 1e-5)}


def test_what_only_the_other_command_does_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="`trained` puts two networks side by side"):
        points_of(Study(trained=tmp_path))
    for own in ({"accuracy": "screen"}, {"accuracy": "none"}, {"accuracy": "halving", "search": 5}):
        with pytest.raises(StudyError, match=r"run it with devicekit sweep"):
            run_study(Study.make(own), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_metric_without_points_is_refused() -> None:
    from reports.sweeps.points import points_of

    study = Study.make({"designs": ["A"], "vary": {"adc_bits": [7, 8]}, "metric": "perplexity"}, "options")
    with pytest.raises(StudyError, match=r"counts in percent and points.*not .perplexity."):
        points_of(study)
