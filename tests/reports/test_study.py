"""Study files: what is read is what was written, and every fault is one message."""

from pathlib import Path

import pytest

from reports.cache import ResultCache
from reports.errors import StudyError
from reports.study import Study


def test_a_saved_study_is_the_same_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = Study(designs=("A", "E"), trials=3, seed=7, title="Two cores")
    study.save("study.toml")
    assert Study.load("study.toml") == study


def test_paths_are_taken_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("cells.csv", "designs.toml", "net.safetensors"):
        (tmp_path / "deep" / name).touch()
    (tmp_path / "deep" / "study.toml").write_text(
        'designs = ["A", "designs.toml:mine"]\nmeasurements = "cells.csv"\nweights = "net.safetensors"\n'
    )
    monkeypatch.chdir(tmp_path)
    study = Study.load("deep/study.toml")
    assert study.measurements == str(tmp_path / "deep" / "cells.csv")
    assert study.designs == ("A", f"{tmp_path / 'deep' / 'designs.toml'}:mine")
    assert study.weights == tmp_path / "deep" / "net.safetensors"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trails = 3", r"Unknown key 'trails'\. Did you mean 'trials'"),
        ("trials = 1", r"`trials`: Input should be greater than or equal to 2, but got 1"),
        ('trials = "many"', r"`trials`: .*integer.*but got 'many'"),
        ("designs = []", r"`designs`: .*at least 1 item"),
        ('designs = ["A", "A"]', r"`designs`: design 'A' is asked for more than once"),
        ("images = 0", r"`images`: .*greater than or equal to 1, but got 0"),
        ("trials = ", r"not a TOML file"),
    ],
)
def test_faults_in_a_study_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "study.toml"
    path.write_text(text)
    with pytest.raises(StudyError, match=message) as raised:
        Study.load(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_no_such_study(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="there is no such file"):
        Study.load(tmp_path / "study.toml")


def test_results_are_found_for_the_same_inputs_only(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "cache")
    assert cache.get("A", {"seed": 0}) is None
    cache.put("A", {"seed": 0, "trials": 3}, {"mean": 0.9})
    assert cache.get("A", {"trials": 3, "seed": 0}) == {"mean": 0.9}
    assert cache.get("A", {"trials": 3, "seed": 1}) is None
    assert cache.get("B", {"trials": 3, "seed": 0}) is None


def test_a_damaged_result_is_made_again(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path)
    cache.put("A", {}, {"mean": 0.9})
    next(tmp_path.glob("A-*.json")).write_text('{"mean": 0.')
    assert cache.get("A", {}) is None


def test_paths_below_the_project_are_relative_in_a_saved_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    (project / "mine").mkdir(parents=True)
    monkeypatch.chdir(project)
    for name in ("mine/cell.toml", "net.py", "lib.toml"):
        Path(name).write_text("")
    far = tmp_path / "far.toml"
    far.write_text("")
    study = Study(
        network="net.py:tiny",
        data_set="digits",
        library="borrow:lib.toml",
        vary={"device": ["mine/cell.toml", str(far)]},
    )
    saved = study.save(Path("out/run/study.toml"))
    text = saved.read_text()
    assert 'network = "../../net.py:tiny"' in text
    assert 'library = "borrow:../../lib.toml"' in text
    assert '"../../mine/cell.toml"' in text
    assert str(far) in text
    # The whole project moved: the study reads as before, from its new place.
    moved = tmp_path / "moved"
    project.rename(moved)
    monkeypatch.chdir(tmp_path)
    found = Study.load(moved / "out/run/study.toml")
    assert found.network == f"{moved / 'net.py'}:tiny"
    assert found.vary["device"] == (str(moved / "mine/cell.toml"), str(far))
