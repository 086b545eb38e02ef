"""Messages of the Python API as the command says them: `bootstrap` becomes --bootstrap, units="nA" becomes --unit nA.

The API names an argument in backticks or as ``name=value``; what a command calls it follows from its own options. A
command module whose options have other names than the arguments they are passed on to says so in a function
`api_arguments`.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

_VALUE = r"""(?P<value>"[^"]*"|'[^']*'|\{[^}]*\}|\[[^\]]*\]|[^\s,;)]*[^\s,;).])"""


def option_names(command: Any) -> dict[str, str]:
    """Return the option (or the name of the argument) for each parameter of a command and of its subcommands.

    Args:
        command: a click command or group.
    """
    names: dict[str, str] = {}
    for parameter in getattr(command, "params", ()):
        long = [option for option in parameter.opts if option.startswith("--")]
        names[parameter.name] = long[0] if long else parameter.name.upper()
    for own in getattr(command, "commands", {}).values():
        names |= option_names(own)
    return names


def api_arguments(name: str) -> Mapping[str, str]:
    """Return the options of a command for arguments of the API that its own parameters do not share the name of.

    Args:
        name: the command, whose module was imported to register it.
    """
    own: Callable[[], Mapping[str, str]] | None
    own = getattr(sys.modules.get(f"reports.commands.{name}"), "api_arguments", None)
    return {} if own is None else own()


def in_options(message: str, options: Mapping[str, str]) -> str:
    """Return a message of the API with its arguments as options; a study or design file keeps its own keys.

    Args:
        message: plain sentences with arguments in backticks or as ``name=value``.
        options: option by argument; one that ends in ``=``, such as ``--column die=``, takes the value right after it.
    """
    if not options:
        return message
    known = "|".join(map(re.escape, sorted(options, key=len, reverse=True)))
    message = re.sub(
        rf"(?<![\w.`-])(?P<name>{known})={_VALUE}",
        lambda found: _given(options[found["name"]], found["value"]),
        message,
    )
    if re.match(r"\S+\.toml: (`|Design )", message):
        return message
    return re.sub(rf"`(?P<name>{known})`", lambda found: options[found["name"]].removesuffix("="), message)


def _given(option: str, value: str) -> str:
    """Return an option with the value that a Python expression stands for."""
    try:
        meant = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        meant = value
    if isinstance(meant, bool):
        return option if meant else option.replace("--", "--no-", 1)
    if isinstance(meant, dict):
        return " ".join(_given(option, repr(f"{key}={_text(each)}")) for key, each in meant.items())
    text = _text(meant)
    text = f'"{text}"' if " " in text else text
    return option + text if option.endswith("=") else f"{option} {text}"


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
