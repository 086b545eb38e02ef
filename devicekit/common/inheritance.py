"""TOML files that name another one with ``base`` and hold only what differs from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devicekit.common.errors import DevicekitError, unknown_name
from devicekit.common.foreign import read_toml
from devicekit.common.paths import is_file


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
    return _read(Path(path), error, bundled, what, ())


def _read(
    path: Path, error: type[DevicekitError], bundled: Mapping[str, Path], what: str, before: tuple[Path, ...]
) -> dict[str, Any]:
    content = read_toml(path, error)
    if "base" not in content:
        return content
    base = content.pop("base")
    chain = (*before, path.resolve())
    below = _found(base, path, error, bundled, what)
    if below.resolve() in chain:
        shown = " -> ".join(each.name for each in (*chain, below))
        raise error(f"{path}: `base`: the files name each other in a circle: {shown}.")
    inherited = _read(below, error, bundled, what, chain)
    return laid_over({key: value for key, value in inherited.items() if key != "name"}, content)


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
