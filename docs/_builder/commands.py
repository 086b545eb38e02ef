"""The page of every command, made from what `--help` shows."""

from __future__ import annotations

import re
from typing import Any

FOLDER = "reference/commands"
# A default in words, at the end of a help text.
_DEFAULT = re.compile(r"\s*\\?\[default: ([^\]]*)\]")
# What a value is, by the first of these that its type's name holds.
_KINDS = {"path": "PATH", "int": "N", "float": "X"}


def pages() -> dict[str, str]:
    """Return the Markdown of the page of every command, by its path."""
    commands = _commands()
    made = {f"{FOLDER}/{name}.md": _page(name, command) for name, command in commands.items()}
    made[f"{FOLDER}/index.md"] = _index(commands)
    return made


def nav() -> list[object]:
    """Return the navigation of the commands."""
    return [f"{FOLDER}/index.md", *({name: f"{FOLDER}/{name}.md"} for name in _commands())]


def _commands() -> dict[str, Any]:
    import typer

    from reports.command import build_app

    app: Any = typer.main.get_command(build_app())
    return dict(sorted(app.commands.items()))


def _index(commands: dict[str, Any]) -> str:
    rows = [f"| [`devicekit {name}`]({name}.md) | {_first(command)} |" for name, command in commands.items()]
    return f"""# Commands

Every `devicekit COMMAND --help` ends with examples that run as they stand. Every command takes `--json` (one document
on stdout, nothing else there) and, where anything is random, `--seed`. Exit codes: 0 done; 2 bad input, with one
message on stderr; 130 interrupted.

| command | does |
| --- | --- |
{chr(10).join(rows)}
"""


def _page(name: str, command: Any) -> str:
    lines = [f"# devicekit {name}", ""]
    inner = getattr(command, "commands", None)
    if inner is None:
        return "\n".join([*lines, *_body(f"devicekit {name}", command)])
    lines += [_plain(command.help or ""), ""]
    for own, leaf in inner.items():
        lines += [f"## {own}", "", *_body(f"devicekit {name} {own}", leaf)]
    return "\n".join(lines)


def _body(path: str, command: Any) -> list[str]:
    from reports.commands.common import examples_in

    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not getattr(p, "hidden", False)]
    usage = " ".join([path, "[OPTIONS]", *(_usage(own) for own in arguments)])
    lines = [_plain(command.help or ""), "", "```console", f"$ {usage}", "```", ""]
    if arguments:
        lines += ["| argument | meaning |", "| --- | --- |"]
        lines += [f"| `{_usage(own)}` | {_cell(own.help or '')} |" for own in arguments]
        lines += [""]
    lines += ["| option | default | meaning |", "| --- | --- | --- |"]
    lines += [f"| {_names(own)} | {_default(own)} | {_cell(_DEFAULT.sub('', own.help or ''))} |" for own in options]
    shown = examples_in(command.epilog or "")
    if shown:
        lines += ["", "Examples:", "", "```sh", *shown, "```"]
    if any("{data}" in line for line in shown):
        lines += ["", "`{data}` stands for the folder of bundled files, which `devicekit doctor` names."]
    return [*lines, ""]


def _usage(argument: Any) -> str:
    name = (argument.metavar or argument.name or "").strip("{}[].").upper()
    text = f"{name}{' ...' if argument.nargs == -1 else ''}"
    return text if argument.required else f"[{text}]"


def _names(option: Any) -> str:
    # typer keeps an option's type in one of two places, by its version.
    described = getattr(option, "type_descriptor", None)
    own = str(getattr(described, "annotation", "") if described else getattr(option.type, "name", "")).lower()
    kind = next((word for part, word in _KINDS.items() if part in own), "TEXT")
    kind = "" if option.is_flag else f" {option.metavar or kind}"
    return ", ".join(f"`{name}{kind}`" for name in (*option.opts, *option.secondary_opts))


def _default(option: Any) -> str:
    value = option.default
    told = _DEFAULT.search(option.help or "")
    if told:
        return _cell(told[1])
    if value is None or callable(value) or value in ((), [], "") or type(value).__name__ in ("Sentinel", "_UnsetType"):
        return ""
    if option.is_flag:
        return f"`{option.opts[0]}`" if value and option.secondary_opts else ""
    return f"`{value}`"


def _first(command: Any) -> str:
    return _cell(_plain(command.help or "").split("\n\n")[0])


def _plain(text: str) -> str:
    """Return help without the marks of rich."""
    return (
        re.sub(r"\[/?(bold|italic|dim|cyan|red|green|yellow)\]", "", text).replace("\\[", "[").replace("\f", "").strip()
    )


def _cell(text: str) -> str:
    return " ".join(_plain(text).split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
