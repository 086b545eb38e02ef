"""`devicekit doctor`: what this machine can run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reports.commands.common import JsonOption, console, examples, print_json, progress

_MARKS = {"ok": ("✓", "green"), "missing": ("✗", "bold red"), "problem": ("!", "bold yellow"), "optional": ("–", "dim")}


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("doctor", epilog=examples("devicekit doctor", "devicekit doctor --json"))(doctor)


def doctor(
    data: Annotated[
        Path | None, typer.Option(help="Folder with data sets and network weights, to see which networks it can feed.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is installed, what is missing and what each missing piece costs.

    Exits with 1 when something needed is missing or something else answers to one of devicekit's import names.
    """
    from reports.doctor import run_all

    with progress("Looking around", as_json=as_json) as step:
        checks = run_all(data, step)
    bad = [check for check in checks if check.status in ("missing", "problem")]
    if as_json:
        print_json({"ok": not bad, "checks": checks})
    else:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, show_header=True, pad_edge=False)
        for heading in ("", "What", "Found", "If absent, what it costs"):
            table.add_column(heading, overflow="fold")
        for check in checks:
            mark, style = _MARKS[check.status]
            table.add_row(Text(mark, style=style), Text(check.what), Text(check.found), Text(check.cost))
        console().print(table)
        done = "Everything needed is here." if not bad else f"{len(bad)} of {len(checks)} checks need attention."
        console().print(Text(done, style="bold"))
    if bad:
        raise typer.Exit(1)
