"""The framework of the command: discovery, messages, exit codes, output for machines."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from devicekit import Constant, DesignError
from devicekit.common.plain import plain
from reports.command import build_app, subcommand_names
from reports.commands.common import examples, examples_in, format_value, print_json, print_table


def command_that(raises: BaseException) -> typer.Typer:
    app = build_app()

    @app.command("fail")
    def fail() -> None:
        raise raises

    return app


def run(*arguments: str, raises: BaseException | None = None):
    app = build_app() if raises is None else command_that(raises)
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (
            DesignError("Expected `max_rows` of at least 1, but got 0."),
            2,
            "Expected `max_rows` of at least 1, but got 0.",
        ),
        (FileNotFoundError(2, "No such file or directory", "cells.csv"), 2, "cells.csv: No such file or directory."),
        (KeyboardInterrupt(), 130, "Interrupted."),
    ],
)
def test_failures_end_with_one_message(raised: BaseException, code: int, message: str) -> None:
    result = run("fail", raises=raised)
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr == f"Error: {message}\n"


def test_a_bug_keeps_its_traceback() -> None:
    result = run("fail", raises=ZeroDivisionError("a bug"))
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


def test_unknown_subcommand_is_a_usage_error() -> None:
    result = run("reprot")
    assert result.exit_code == 2
    assert "No such command" in result.stderr


def test_every_file_is_a_subcommand_and_every_command_has_help_and_an_example() -> None:
    app = typer.main.get_command(build_app())
    assert sorted(app.commands) == subcommand_names()
    leaves = []
    for command in app.commands.values():
        leaves += list(command.commands.values()) if hasattr(command, "commands") else [command]
    for leaf in leaves:
        assert leaf.help, leaf.name
        assert examples_in(leaf.epilog or ""), f"{leaf.name} shows no example"
        assert any("--json" in parameter.opts for parameter in leaf.params), f"{leaf.name} has no --json"


def test_help_is_fast_because_it_imports_nothing_slow() -> None:
    code = (
        "import sys, reports.command as c\nc.build_app()\n"
        "slow = {'torch', 'pandas', 'plotly', 'matplotlib', 'numba'} & set(sys.modules)\n"
        "assert not slow, slow"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_version() -> None:
    from importlib.metadata import version

    assert run("--version").stdout == f"devicekit {version('devicekit')}\n"


def test_examples_are_found_again() -> None:
    assert examples_in(examples("devicekit energy A", "devicekit fit a[1].csv")) == [
        "devicekit energy A",
        "devicekit fit a[1].csv",
    ]


@dataclass
class Pair:
    left: float
    right: tuple[int, ...]


def test_json_holds_what_the_rooms_return(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(
        {
            "pair": Pair(float("nan"), (1, 2)),
            "array": np.arange(3),
            "scalar": np.float64(0.5),
            "table": pd.DataFrame({"a": [1, 2]}),
            "constant": Constant(value=1.0, unit="pJ", kind="assumed", source="here"),
            "path": Path("x") / "y",
        }
    )
    document = json.loads(capsys.readouterr().out)
    assert document["pair"] == {"left": None, "right": [1, 2]}
    assert document["array"] == [0, 1, 2]
    assert document["scalar"] == 0.5
    assert document["table"] == [{"a": 1}, {"a": 2}]
    assert document["constant"]["unit"] == "pJ"
    assert document["path"] == "x/y"


def test_json_refuses_what_it_cannot_hold() -> None:
    with pytest.raises(TypeError, match="A value of type object has no JSON form"):
        plain(object())


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (True, "yes"), (8.4321, "8.432"), (1e-9, "1.000e-09"), (0.0, "0"), ("A", "A"), (7, "7")],
)
def test_values_in_tables(value: object, text: str) -> None:
    assert format_value(value) == text


def test_tables_are_not_cut_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([{f"column_{i}": "x" * 12 for i in range(9)}])
    assert capsys.readouterr().out.count("x" * 12) == 9


def test_layers_that_stay_digital_cost_no_core() -> None:
    result = run("energy", "A", "--network", "digits_cnn", "--exclude", "conv*", "--json")
    assert result.exit_code == 0, result.output
    assert [layer["layer"] for layer in json.loads(result.stdout)["layers"]] == ["fc"]
    refused = run("energy", "A", "--network", "digits_cnn", "--exclude", "conv9")
    assert refused.exit_code == 2
    assert "Unknown layer or pattern 'conv9'. Did you mean 'conv" in refused.stderr
    assert "--exclude names layers of a network: give --network" in run("energy", "A", "--exclude", "fc").stderr
