"""The doctor: what it finds on this machine, and shadowing made on purpose."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reports import doctor
from reports.command import build_app


def by_name(checks: list[doctor.Check]) -> dict[str, doctor.Check]:
    return {check.what: check for check in checks}


def test_everything_is_well_here() -> None:
    result = CliRunner().invoke(build_app("doctor"), ["doctor", "--json"])
    document = json.loads(result.stdout)
    found = {check["what"]: check for check in document["checks"]}
    assert result.exit_code == 0, found
    assert document["ok"] is True
    assert {"Python", "ngspice", "torch device", "C compiler", "bundled data", "network digits_cnn"} <= set(found)
    assert {f"import {name}" for name in doctor.OUR_NAMES} <= set(found)
    assert all(check["status"] in ("ok", "optional") for check in found.values())


@pytest.mark.parametrize("form", ["energy/__init__.py", "energy.py"])
def test_a_local_folder_or_file_shadows(tmp_path: Path, form: str) -> None:
    path = tmp_path / form
    path.parent.mkdir(exist_ok=True)
    path.touch()
    check = by_name(doctor.shadows(folder=tmp_path))["import energy"]
    assert check.status == "problem"
    assert check.found == str(path)
    assert "rename it" in check.cost


def test_a_folder_that_is_no_package_does_not_shadow(tmp_path: Path) -> None:
    (tmp_path / "energy").mkdir()
    assert {check.status for check in doctor.shadows(folder=tmp_path)} == {"ok"}


def test_an_earlier_folder_on_the_path_shadows(tmp_path: Path) -> None:
    (tmp_path / "first" / "reports").mkdir(parents=True)
    (tmp_path / "first" / "reports" / "__init__.py").touch()
    ours = Path(doctor.__file__).parent.parent
    checks = by_name(doctor.shadows([str(tmp_path / "first"), str(ours)], folder=tmp_path, ours=ours))
    assert checks["import reports"].status == "problem"
    assert "gets that instead of devicekit's" in checks["import reports"].cost
    assert checks["import circuits"].status == "ok"


def test_another_distribution_with_our_name_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "packages_distributions", lambda: {"energy": ["energy-tools"]})
    check = by_name(doctor.shadows(folder=tmp_path))["import energy"]
    assert check.status == "problem"
    assert "energy-tools" in check.cost


def test_missing_pieces_say_what_they_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", "/nowhere/libngspice.so")
    check = doctor.ngspice()
    assert check.status == "missing"
    assert "recorded values" in check.cost
    monkeypatch.setattr("circuits.native.find_compiler", lambda: None)
    assert "numba instead of C" in doctor.compiler().cost
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert doctor.browser().status == "optional"
    monkeypatch.setattr(doctor, "_version", lambda name: "")
    assert by_name(doctor.libraries())["scipy"].cost == "pip install scipy"


def test_a_problem_makes_the_exit_code_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "circuits.py").touch()
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(build_app("doctor"), ["doctor"])
    assert result.exit_code == 1
    assert "rename it" in result.stdout


def test_a_data_folder_feeds_networks(shared_data: Path) -> None:
    checks = by_name(doctor.data(shared_data))
    assert checks["network resnet20_cifar10"].found == "weights and 1000 test images of cifar10"
