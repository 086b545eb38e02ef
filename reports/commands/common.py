"""What the subcommands share, and how to write one.

A subcommand is a file `reports/commands/NAME.py` that exposes `register(app)`; the framework finds it by its file name,
which must be the name of the command. At its top level it imports nothing slow (no torch, pandas, matplotlib, plotly,
scipy; not `accuracy`), so that `devicekit --help` stays fast: import what you need inside the function. For example::

    def register(app: typer.Typer) -> None:
        app.command("energy", epilog=examples("devicekit energy A B C"))(energy)


    def energy(
        designs: DesignsArgument = None,
        as_json: JsonOption = False,
        seed: SeedOption = 0,
    ) -> None:
        '''Energy, area and latency of core designs.'''        # the help text; plain sentences
        from circuits import choose_cores                      # slow imports stand here
        from energy import estimate_core

        with progress("Estimating", as_json=as_json) as step:  # shown on a terminal only, on stderr
            rows = []
            chosen = choose_cores(designs or ["xiao2022"])
            for number, (name, design) in enumerate(chosen.items(), start=1):
                rows.append(...)
                step(number, len(chosen))                      # same signature as evaluate's `progress`
        if as_json:
            print_json({"designs": rows})                      # stdout carries this one document and nothing else
        else:
            print_table(rows, title="Cost of a core")          # rows: list of dicts; the first row gives the columns

Rules: results go to stdout, everything else to stderr. Raise a `DevicekitError` for bad input and let it fly: the
framework prints it as one message and exits with 2. Every command has `--json`, `--seed` where anything is random,
and at least one example in `examples(...)`; a test runs each of them in an empty folder, so examples may use bundled
names only (and `{data}` for the folder that `devicekit.data_path()` returns). A command with subcommands of its own
(`device list`) registers with `app.add_typer(own, name="device")` and gives every command of `own` its examples.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import typer

from devicekit.common.plain import plain

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.", show_default=False)
]
DesignsArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Designs or cores: names, FILE:NAME of your own, or a whole set or file; A to E by default."),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random; same seed, same result.")]


class Step(Protocol):
    """Called to move a progress bar."""

    def __call__(self, done: int, total: int, text: str | None = None) -> None:
        """Show that `done` of `total` is reached, with another description where `text` is given."""


def examples(*commands: str) -> str:
    """Return the epilog of a command's help: examples that run as they stand.

    Args:
        *commands: full command lines, beginning with ``devicekit``; `{data}` stands for the folder of bundled data.
    """
    heading = "Example" if len(commands) == 1 else "Examples"
    return f"{heading}:\n\n" + "\n\n".join(
        f"[bold]{command.replace('[', chr(92) + '[')}[/bold]" for command in commands
    )


def examples_in(epilog: str) -> list[str]:
    """Return the command lines that `examples` put into an epilog.

    Args:
        epilog: a command's epilog.
    """
    lines = (line.removeprefix("[bold]").removesuffix("[/bold]") for line in epilog.splitlines())
    return [line.replace("\\[", "[") for line in lines if line.startswith("devicekit ")]


def console(*, stderr: bool = False) -> Any:
    """Return a rich console; wide where the output is a file or a pipe, so that no table is cut.

    Text is printed as it stands: brackets are no markup, and control characters, which can make a terminal do things,
    are shown as a mark. Names and notes come from files of others.

    Args:
        stderr: write to stderr instead of stdout.
    """
    from rich.console import Console, RenderHook
    from rich.segment import Segment

    class Harmless(RenderHook):
        def process_renderables(self, renderables: list[Any]) -> list[Any]:
            return [Shown(renderable) for renderable in renderables]

    @dataclass
    class Shown:
        renderable: Any

        def __rich_console__(self, own: Console, options: Any) -> Iterator[Segment]:
            for segment in own.render(self.renderable, options):
                yield segment if segment.control else Segment(_harmless(segment.text), segment.style)

    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made = Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=200)
    made.push_render_hook(Harmless())
    return made


def _harmless(text: str) -> str:
    return text if text.isprintable() else "".join("\ufffd" if _controls(own) else own for own in text)


def _controls(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf") and character not in "\n\t"


def print_error(message: str) -> None:
    """Print what went wrong on stderr.

    Args:
        message: plain sentences.
    """
    from rich.text import Text

    console(stderr=True).print(Text("Error: ", style="bold red") + Text(message, style="default"), soft_wrap=True)


def print_note(message: str) -> None:
    """Print a remark on stderr: what was skipped, assumed or left out.

    Args:
        message: plain sentences.
    """
    from rich.text import Text

    console(stderr=True).print(Text("Note: ", style="yellow") + Text(message, style="default"), soft_wrap=True)


def print_answer(sentence: str) -> None:
    """Print the answer of a command on stdout, before the tables behind it.

    Args:
        sentence: plain sentences.
    """
    from rich.text import Text

    console().print(Text(sentence, style="bold"), soft_wrap=True)
    console().print()


@contextmanager
def progress(description: str, *, as_json: bool = False) -> Iterator[Step]:
    """Show a progress bar on stderr while the block runs, where stderr is a terminal and JSON is not asked for.

    Args:
        description: what is being done.
        as_json: whether the command prints JSON.

    Yields:
        A function to call with (done, total); a third argument, when given, replaces the description.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    shown = console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=shown, transient=True, disable=as_json or not shown.is_terminal) as bar:
        task = bar.add_task(description, total=None)

        def step(done: int, total: int, text: str | None = None) -> None:
            bar.update(task, completed=done, total=total, description=text or description)

        yield step


def print_table(
    rows: Sequence[Mapping[str, Any]],
    *,
    title: str | None = None,
    caption: str | None = None,
    headings: Mapping[str, str] | None = None,
    keys: int | None = None,
) -> None:
    """Print rows as a table on stdout, numbers aligned right.

    Args:
        rows: one mapping a row; the keys of the first are the columns. Strings are printed as they stand, numbers
            with four significant digits, None as a dash.
        title: printed above.
        caption: printed below.
        headings: what to print instead of a key, such as ``{"energy_fj_per_op": "Energy [fJ/op]"}``.
        keys: where the table is wider than the terminal, put columns that do not fit into further tables below, each
            of which begins with this many of the first columns, so that no number is cut; None: break long cells.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    columns = list(rows[0]) if rows else []
    names = {column: (headings or {}).get(column, column) for column in columns}
    shown = console()
    parts = [columns] if keys is None else _fitting(rows, names, keys, shown.width)
    # Beside split tables, title and caption are lines of their own: a table breaks them at its own width.
    above, below = (title, caption) if keys is None else (None, None)
    if keys is not None and title:
        shown.print(Text(title, style="italic"))
    for part in parts:
        table = Table(title=above, caption=below, box=box.SIMPLE_HEAD, title_justify="left", caption_justify="left")
        for key in part:
            numeric = all(isinstance(row.get(key), int | float) or row.get(key) is None for row in rows)
            table.add_column(Text(names[key]), justify="right" if numeric else "left")
        for row in rows:
            table.add_row(*(Text(format_value(row.get(key))) for key in part))
        shown.print(table)
    if keys is not None and caption:
        shown.print(Text(caption + "\n", style="dim italic"))


def _fitting(rows: Sequence[Mapping[str, Any]], names: Mapping[str, str], keys: int, width: int) -> list[list[str]]:
    """Return columns in groups that fit side by side, each group with the first `keys` columns before it."""
    widths = {
        key: max(len(name), *(len(format_value(row.get(key))) for row in rows)) + 3 for key, name in names.items()
    }
    first, rest = list(names)[:keys], list(names)[keys:]
    parts = [list(first)]
    for key in rest:
        # Two columns for the frame; a group holds at least one column besides the first ones.
        if len(parts[-1]) > keys and 2 + sum(widths[own] for own in [*parts[-1], key]) > width:
            parts.append(list(first))
        parts[-1].append(key)
    return parts


def format_value(value: Any) -> str:
    """Return a value as a table shows it.

    Args:
        value: text, a number, a truth value or None.
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.3e}"
    return str(value)


def print_json(document: Any) -> None:
    """Print one JSON document on stdout.

    Args:
        document: mappings, sequences, numbers, text; also numpy values, dataclasses, pydantic models, data frames and
            paths. What is not finite becomes null.
    """
    typer.echo(json.dumps(plain(document), indent=2, ensure_ascii=False))
