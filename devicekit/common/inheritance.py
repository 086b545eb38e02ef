"""TOML files that name another one with ``base`` and hold only what differs from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from devicekit.common.errors import DevicekitError, unknown_name
from devicekit.common.foreign import read_toml
from devicekit.common.paths import is_file

BaseOf = Callable[[Path], Any]


def read_inheriting(
    path: str | Path, error: type[DevicekitError], bundled: Mapping[str, Path], what: str
) -> dict[str, Any]:
    """Return the content of a TOML file laid over that of its ``base``, and of the base's base.

    Tables are laid over each other key by key; a number is replaced with its unit, source and interval, never in part:
    a table that has a ``value``. The name is the file's own.

    Args:
        path: the file.
        error: the room's own error.
        bundled: path of every bundled file by name.
        what: what a base is, for the message, such as ``"ADC file"``.

    Raises:
        DevicekitError: of type `error`: as for `read_toml`; a base that is no text, neither a bundled name nor a file
            in the folder of the file that names it, or that comes back to a file before it.
    """
    content: dict[str, Any] = {}
    for file in reversed(base_files(path, error, bundled, what)):
        own = read_toml(file, error)
        own.pop("base", None)
        content.pop("name", None)
        content = laid_over(content, own)
    return content


def base_files(
    path: str | Path, error: type[DevicekitError], bundled: Mapping[str, Path], what: str, known: BaseOf | None = None
) -> list[Path]:
    """Return a file, its base, the base's base and so on.

    Args:
        path: the file.
        error: the room's own error.
        bundled: path of every bundled file by name.
        what: what a base is, for the message.
        known: gives the base that a file names, None for none; None reads the file.

    Raises:
        DevicekitError: as for `read_inheriting`.
    """
    files = [Path(path)]
    while True:
        base = read_toml(files[-1], error).get("base") if known is None else known(files[-1])
        if base is None:
            return files
        below = _found(base, files[-1], error, bundled, what)
        if below.resolve() in [file.resolve() for file in files]:
            shown = " -> ".join(file.name for file in (*files, below))
            raise error(f"{files[-1]}: `base`: the files name each other in a circle: {shown}.")
        files.append(below)


def _found(base: Any, path: Path, error: type[DevicekitError], bundled: Mapping[str, Path], what: str) -> Path:
    """Return the path of a base."""
    if not isinstance(base, str):
        raise error(f"{path}: expected `base` to be a name ({what}), but got {base!r:.100}.")
    if base in bundled:
        return bundled[base]
    folder = path.resolve().parent
    try:
        below = (folder / base).resolve()
        outside = not below.is_relative_to(folder)
    except (OSError, ValueError, RuntimeError):
        outside, below = False, folder
    if outside:
        raise error(f"{path}: expected `base` to be a bundled name or a file in its own folder, but got {base!r:.200}.")
    if not is_file(below):
        raise error(f"{path}: `base`: {unknown_name(what, base, bundled)}")
    return below


def laid_over(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return `own` laid over `base`; a table with a ``value`` is replaced, never in part."""
    merged = dict(base)
    for key, value in own.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping) and "value" not in value:
            merged[key] = laid_over(below, value)
        else:
            merged[key] = value
    return merged
