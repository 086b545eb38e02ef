"""`devicekit new`: a commented beginning of a file of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reports.commands.common import JsonOption, console, examples, print_json


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "new",
        epilog=examples(
            "devicekit new core my_core --out out/mine",
            "devicekit new study --out out/mine",
        ),
    )(new)


def new(
    kind: Annotated[str, typer.Argument(help="device, core, adc, library, study, training or network.")],
    name: Annotated[str, typer.Argument(help="Name of the file, without its ending. [default: my_KIND]")] = "",
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Write a commented template of a file of one's own, ready to run as it stands; nothing is overwritten."""
    from reports.user_files.templates import new_file

    path = new_file(kind, name, out)
    if as_json:
        print_json({"file": str(path), "kind": kind})
        return
    console().print(f"Wrote {path}. Its first lines say how to use it.", soft_wrap=True)
