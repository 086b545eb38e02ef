"""The command `devicekit`: finds the subcommands, and turns what goes wrong into one message and an exit code.

Exit codes: 0 done; 2 something the user gave cannot be used (one message on stderr, no traceback); 130 interrupted.
Anything else that escapes is a bug and keeps its traceback (exit code 1).
"""

from __future__ import annotations

import errno
import importlib
import os
import pkgutil
import sys
import warnings
from contextvars import ContextVar
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import reports.commands
from devicekit.common.errors import DevicekitError, shortened
from devicekit.common.foreign import LONGEST_REASON, describe
from devicekit.common.paths import NO_SPACE
from reports.commands.common import print_error, print_note
from reports.option_names import api_arguments, in_options, option_names

_HELP = """From measured memory-cell currents to one table of accuracy, energy, area and latency.

Start with [bold]devicekit report[/bold]; [bold]devicekit doctor[/bold] says what this machine can run.
"""


def subcommand_names() -> list[str]:
    """Return the names of the subcommands that are there, in alphabetical order."""
    found = pkgutil.iter_modules(reports.commands.__path__)
    return sorted(module.name for module in found if module.name != "common" and not module.name.startswith("_"))


class _OneMessage(TyperGroup):
    """A group whose commands end with one message instead of a traceback when the user's input is at fault."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen subcommand.

        Args:
            ctx: the command's context.

        Raises:
            typer.Exit: with the exit codes of this module.
        """
        _running.set(ctx)
        try:
            return super().invoke(ctx)
        except DevicekitError as error:
            print_error(_in_options(str(error)))
            raise typer.Exit(2) from error
        except OSError as error:
            # A path the user gave: absent, a folder, not writable, a full disk. A closed pipe is typer's to handle.
            if error.errno == errno.EPIPE or error.filename is None:
                raise
            print_error(shortened(f"{error.filename}: {error.strerror}.", LONGEST_REASON))
            raise typer.Exit(2) from error
        except (MemoryError, RuntimeError) as error:
            # torch says it by a plain RuntimeError.
            if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
                raise
            why = shortened(describe(error), LONGEST_REASON)
            print_error(f"There is not enough memory for what was asked for: {why}.")
            raise typer.Exit(2) from error
        except KeyboardInterrupt:
            print_error("Interrupted.")
            raise typer.Exit(130) from None


_running: ContextVar[Any] = ContextVar("running", default=None)
"""Context of the command that runs."""


def _in_options(message: str) -> str:
    """Return a message of the API with its arguments as options of the command that runs."""
    context = _running.get()
    name = None if context is None else context.invoked_subcommand
    if name is None:
        return message
    return in_options(message, {**option_names(context.command.get_command(context, name)), **api_arguments(name)})


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"devicekit {version('devicekit')}")
        raise typer.Exit


def build_app(only: str | None = None) -> typer.Typer:
    """Return the command with its subcommands.

    Args:
        only: import this one subcommand's module; all of them otherwise.
    """
    app = typer.Typer(
        name="devicekit",
        cls=_OneMessage,
        help=_HELP,
        no_args_is_help=True,
        rich_markup_mode="rich",
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def _root(
        _version: Annotated[
            bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
        ] = False,
    ) -> None:
        pass

    for name in subcommand_names() if only is None else [only]:
        importlib.import_module(f"reports.commands.{name}").register(app)
    return app


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    text = _in_options(str(message))
    print_note(text if issubclass(category, UserWarning) else f"{category.__name__}: {text}")


def main(arguments: list[str] | None = None) -> None:
    """Run the command; the entry point `devicekit`.

    Only the subcommand that is asked for is imported, so that one does not wait for another's libraries.

    Args:
        arguments: what follows the command's name; from the command line by default.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    asked = arguments[0] if arguments else None
    warnings.showwarning = _show_warning
    try:
        try:
            build_app(asked if asked in subcommand_names() else None)(args=arguments, prog_name="devicekit")
        finally:
            # Here, not when the program has ended: a full disk behind stdout is then no longer ours to name.
            sys.stdout.flush()
    except OSError as error:
        if error.filename is not None or error.errno not in NO_SPACE:
            raise
        # What could not be written must not be tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print_error(f"The output cannot be written: {error.strerror}.")
        raise SystemExit(2) from None
