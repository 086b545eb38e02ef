"""Messages of the API in the words of the command."""

import pytest
import typer

from devicekit.measurements.column_roles import ALIASES
from reports.command import build_app, subcommand_names
from reports.option_names import api_arguments, in_options, option_names

OPTIONS = {
    "bootstrap": "--bootstrap",
    "figures": "--figures",
    "measurements": "FILE",
    "target": "--target",
    "time": "--column time=",
    "units": "--unit",
}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Expected `bootstrap` to be at least 2, but got 1.", "Expected --bootstrap to be at least 2, but got 1."),
        ('no unit; pass units="nA".', "no unit; pass --unit nA."),
        ("pass units={'temperature': 'K', 'time': 'h'}.", "pass --unit temperature=K --unit time=h."),
        (
            'say which with target="..." and time="t ret (h)";',
            'say which with --target ... and --column time="t ret (h)";',
        ),
        ("leave them out with figures=False, or", "leave them out with --no-figures, or"),
        ("units=nA.", "--unit nA."),
        ("Expected `measurements` to be a path", "Expected FILE to be a path"),
        ("study.toml: `bootstrap`: expected more.", None),
        ("cells.csv: `bootstrap`: expected more.", "cells.csv: --bootstrap: expected more."),
        # What is no argument of the command stays as it is.
        ("Expected `states`, x.units=3, subunits=4, '# time = 1 s', `bootstrapped`", None),
    ],
)
def test_arguments_become_options(message: str, expected: str | None) -> None:
    assert in_options(message, OPTIONS) == (message if expected is None else expected)
    assert in_options(message, {}) == message


def test_every_option_of_every_command_is_known_by_its_parameter() -> None:
    app = typer.main.get_command(build_app())
    for name in subcommand_names():
        command = app.commands[name]  # type: ignore[attr-defined]
        names = option_names(command)
        leaves = list(getattr(command, "commands", {"": command}).values())
        for leaf in leaves:
            for parameter in leaf.params:
                assert names[parameter.name] in [*parameter.opts, parameter.name.upper()]
        # What the API calls otherwise points to options that exist.
        for argument, option in api_arguments(name).items():
            assert argument not in names or names[argument] != option
            assert option.split()[0] in names.values(), (name, argument, option)


def test_fit_speaks_of_columns_by_role() -> None:
    command = typer.main.get_command(build_app("fit")).commands["fit"]  # type: ignore[attr-defined]
    options = api_arguments("fit")
    assert option_names(command)["units"] == "--unit"
    assert set(ALIASES) - set(options) == {"target", "value"}
