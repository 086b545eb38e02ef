"""Every example that a help text shows runs as it stands, in an empty folder, without bad news."""

import json
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from devicekit import data_path
from reports.command import build_app
from reports.commands.common import examples_in


def shown_examples() -> list[str]:
    found = []
    for command in typer.main.get_command(build_app()).commands.values():
        for leaf in list(command.commands.values()) if hasattr(command, "commands") else [command]:
            found += examples_in(leaf.epilog or "")
    return found


# These take ten seconds and more.
SLOW = ("devicekit accuracy A E", "devicekit peripherals", "devicekit reproduce")


def marked(line: str) -> object:
    return pytest.param(line, marks=pytest.mark.slow) if line.startswith(SLOW) else line


@pytest.mark.parametrize("line", [marked(line) for line in shown_examples()])
def test_example(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program, *arguments = shlex.split(line.replace("{data}", str(data_path())))
    assert program == "devicekit"
    result = CliRunner().invoke(build_app(arguments[0]), arguments)
    assert result.exit_code == 0, result.output
    assert result.exception is None
    if "--json" in arguments:
        json.loads(result.stdout)
    else:
        assert result.stdout.strip()
