"""`devicekit check`: is this file what I think it is? Reads any user file as every other command would."""

from __future__ import annotations

from typing import Annotated

import typer

from reports.commands.common import JsonOption, console, examples, print_json


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "check",
        epilog=examples(
            "devicekit check --schema core",
            "devicekit check --schema study",
        ),
    )(check)


def check(
    files: Annotated[
        list[str] | None,
        typer.Argument(help="Files of any kind: devices, cores, designs, ADCs, libraries, studies, measurements, ..."),
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="What the files are; found out from their content by default.")
    ] = None,
    schema: Annotated[
        str | None, typer.Option(help="Print the JSON schema of a kind of file instead, for an editor.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read files and say what is in them; the first fault ends with one message and exit code 2."""
    from reports.errors import StudyError
    from reports.user_files.kinds import check_file

    if schema is not None:
        from reports.user_files.schemas import schema_of

        print_json(schema_of(schema))
        return
    if not files:
        raise StudyError("Expected files to check, or --schema KIND.")
    found = [check_file(name, kind) for name in files]
    if as_json:
        print_json([own.to_dict() for own in found])
        return
    for own in found:
        console().print(f"{own.path}: {own.label}", soft_wrap=True, markup=False, highlight=False)
        for fact in own.facts:
            console().print(f"  {fact}", soft_wrap=True, markup=False, highlight=False)
