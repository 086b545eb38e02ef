"""`devicekit check`, `devicekit new` and the schemas: every shipped file, every template, and what is wrong."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from devicekit import DevicekitError, data_path
from reports.command import build_app
from reports.errors import StudyError
from reports.user_files.kinds import KINDS, check_file
from reports.user_files.schemas import SCHEMAS, schema_of
from reports.user_files.templates import TEMPLATES, new_file

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = {
    "device": sorted(data_path("devices").glob("*.toml")),
    "designs": [*sorted(data_path("designs").glob("*.toml")), ROOT / "examples/your_designs.toml"],
    "core": [ROOT / "examples/your_cores.toml"],
    "adc": [*sorted(data_path("adcs").glob("*.toml")), ROOT / "examples/your_adc.toml"],
    "library": [data_path("components/sonos_40nm.toml")],
    "study": [ROOT / "examples/your_study.toml"],
    "parameters": sorted(data_path("peripherals").glob("*.toml")),
    "peripherals": sorted(data_path("peripherals").glob("*.json")),
}
FILES = [(kind, path) for kind, paths in SHIPPED.items() for path in paths]


def command(*arguments: str) -> Any:
    return CliRunner().invoke(build_app(arguments[0]), list(arguments))


@pytest.mark.parametrize(("kind", "path"), FILES, ids=lambda own: own if isinstance(own, str) else own.name)
def test_shipped_files_are_recognised_and_without_fault(kind: str, path: Path) -> None:
    found = check_file(path)
    assert found.kind == kind
    assert found.facts


@pytest.mark.parametrize("kind", list(TEMPLATES))
def test_what_is_begun_is_without_fault(kind: str, tmp_path: Path) -> None:
    path = new_file(kind, "mine", tmp_path)
    text = path.read_text()
    assert "NAME" not in re.sub(r"FILE:NAME|\[designs\.NAME\]", "", text)
    if kind == "network":
        assert check_file(f"{path}:make_network").kind == "network"
        assert "200 training and 200 test" in check_file(f"{path}:make_data").facts[0]
        return
    assert check_file(path).kind == kind
    with pytest.raises(StudyError, match="is there already"):
        new_file(kind, "mine", tmp_path)
    assert path.read_text() == text


def test_a_network_that_is_begun_runs(tmp_path: Path) -> None:
    path = new_file("network", "mine", tmp_path)
    own = ("--network", f"{path}:make_network", "--data-set", f"{path}:make_data")
    found = command("accuracy", "A", *own, "--trials", "2", "--json")
    assert found.exit_code == 0, found.stderr
    # The sign of the first input decides, in the network and in the labels.
    assert json.loads(found.stdout)["designs"][0]["baseline"] == 1.0


WITH_SCHEMA = [own for own in FILES if own[0] in SCHEMAS]


@pytest.mark.parametrize(("kind", "path"), WITH_SCHEMA, ids=lambda own: own if isinstance(own, str) else own.name)
def test_shipped_files_fit_their_schema(kind: str, path: Path) -> None:
    content = json.loads(path.read_text()) if path.suffix == ".json" else tomllib.loads(path.read_text())
    validator = jsonschema.Draft202012Validator(schema_of(kind))
    assert [f"{list(error.path)}: {error.message[:200]}" for error in validator.iter_errors(content)] == []


@pytest.mark.parametrize("kind", [kind for kind in TEMPLATES if kind in SCHEMAS])
def test_templates_fit_their_schema_and_a_misspelt_key_does_not(kind: str, tmp_path: Path) -> None:
    content = tomllib.loads(new_file(kind, "mine", tmp_path).read_text())
    validator = jsonschema.Draft202012Validator(schema_of(kind))
    assert [error.message for error in validator.iter_errors(content)] == []
    content["misspelt"] = 1
    assert any("misspelt" in error.message for error in validator.iter_errors(content))


def test_a_field_of_a_design_is_described_for_an_editor() -> None:
    fields = schema_of("designs")["properties"]["designs"]["additionalProperties"]["properties"]
    assert "differential" in fields["negative_weights"]["examples"]
    assert fields["max_rows"]["type"] == "integer"
    assert all(own.get("description") for name, own in fields.items() if name not in ("note", "source"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.toml", "colour = 1\n", "not recognised with 'colour'"),
        ("x.toml", "a = [\n", "x.toml"),
        ("x.json", "{", "no JSON"),
        ("x.bin", "", "not recognised"),
        ("x.toml", '[designs.a]\nmax_rows = "many"\n', "max_rows"),
        ("x.toml", 'title = "t"\ntrials = 0\n', "trials"),
    ],
)
def test_what_is_wrong_is_said_once(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DevicekitError, match=re.escape(message)):
        check_file(path)
    found = command("check", str(path))
    assert found.exit_code == 2
    assert found.stderr.count("Error:") == 1


def test_unknown_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="device"):
        new_file("devise", "mine", tmp_path)
    with pytest.raises(StudyError, match="letters"):
        new_file("core", "a b", tmp_path)
    with pytest.raises(DevicekitError):
        new_file("core", "../x", tmp_path)
    with pytest.raises(StudyError, match="library"):
        check_file(ROOT / "examples/your_adc.toml", "libary")
    with pytest.raises(StudyError, match="no such file"):
        check_file(tmp_path / "missing.toml")
    assert list(tmp_path.iterdir()) == []
    assert set(SCHEMAS) <= set(KINDS)
