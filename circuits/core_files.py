"""Core files: which table of which file a name means, as plain values. `circuits.core` makes cores of them.

A core file has one table ``[cores.NAME]`` a core. Designs, bundled or in a file, are cores as well: of that design and
nothing else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuits.design_files import design_fields, load_design, none_of, read_designs_file
from circuits.designs import CoreDesign, design_from_mapping
from devicekit.common.errors import DesignError, unknown_name
from devicekit.common.paths import exists, is_file

KEYS = ("design", "cell", "adc", "peripherals", "wires", "corrections", "faults", "age", "temperature", "compensation")
"""What a core's table may hold beside fields of its design."""
_NOTES = ("source", "note")
_PATHS = ("cell", "adc", "peripherals")
_FIELDS = tuple(field.name for field in dataclasses.fields(CoreDesign) if field.name != "name")


@dataclass(frozen=True)
class CoreTable:
    """One core as its file has it.

    Attributes:
        name: what tables call it.
        values: by the names of `KEYS`; the design as a mapping of all its fields that are given.
        where: file and table, for messages.
    """

    name: str
    values: Mapping[str, Any]
    where: str


def find_core(name_or_path: str | Path) -> CoreTable:
    """Return the core that a name means.

    Args:
        name_or_path: a bundled design's name; the path of a core or design file, a colon, and a name in it; or the path
            of a file with one core only.

    Raises:
        DesignError: no such name or file (with the nearest names), or a file that is none of these.
    """
    text = str(name_or_path)
    path, colon, own = text.rpartition(":")
    if is_file(text):
        tables = core_tables(text)
        if len(tables) != 1:
            raise DesignError(f"{text}: expected FILE:NAME, for the file has several cores: {', '.join(tables)}.")
        return next(iter(tables.values()))
    if colon and path:
        tables = core_tables(path)
        if own not in tables:
            raise DesignError(f"{path}: " + unknown_name("core or design", own, tables))
        return tables[own]
    return CoreTable(text, {"design": load_design(text).to_mapping()}, text)


def core_tables(name_or_path: str | Path) -> dict[str, CoreTable]:
    """Return the cores of a file, or of a bundled set of designs, by name: cores first, then designs.

    Args:
        name_or_path: the path of a TOML file, or the name of a bundled set.

    Raises:
        DesignError: no such file or set, no TOML, a key that no core has, or nothing in it.
    """
    content, path = read_designs_file(name_or_path)
    designs = design_fields(content, path) if "designs" in content else {}
    found: dict[str, CoreTable] = {}
    cores = content.get("cores", {})
    if not isinstance(cores, dict):
        raise DesignError(f"{path}: expected [cores.NAME] tables, but got {cores!r:.100}.")
    for name, values in cores.items():
        where = f"{path}: [cores.{name}]"
        if not isinstance(values, dict):
            raise DesignError(f"{where}: expected a table, but got {values!r:.100}.")
        found[name] = CoreTable(name, _resolved(values, name, designs, path.resolve().parent, where), where)
    for name, fields in designs.items():
        found.setdefault(name, CoreTable(name, {"design": {"name": name, **fields}}, str(path)))
    if not found:
        raise DesignError(f"{path}: expected a table [cores.NAME] or [designs.NAME], but found none.")
    return found


def _resolved(
    values: Mapping[str, Any], name: str, designs: Mapping[str, Mapping[str, Any]], folder: Path, where: str
) -> dict[str, Any]:
    """Return a core's table with its design as fields and paths taken from the file's folder."""
    for key in values:
        if key not in (*KEYS, *_FIELDS, *_NOTES):
            raise DesignError(f"{where}: " + unknown_name("key", key, (*KEYS, *_FIELDS)))
    base = values.get("design")
    inline = {key: none_of(value) for key, value in values.items() if key in _FIELDS}
    if base is None and not inline:
        raise DesignError(f"{where}: expected `design`, a design's name, or fields of a design, but got neither.")
    result = {key: value for key, value in values.items() if key in KEYS}
    if isinstance(base, dict):
        fields = {key: none_of(value) for key, value in base.items()} | inline
    elif isinstance(base, str):
        # A design of the same file comes before a bundled one of that name.
        fields = _design(base, designs, folder, where).changed(inline)
    elif base is None:
        fields = inline
    else:
        raise DesignError(f"{where}: expected `design` to be a name or a table, but got {base!r}.")
    result["design"] = {**fields, "name": name}
    for key in _PATHS:
        if isinstance(result.get(key), str):
            result[key] = beside(result[key], folder)
    return result


def _design(name: str, designs: Mapping[str, Mapping[str, Any]], folder: Path, where: str) -> CoreDesign:
    try:
        if name in designs:
            return design_from_mapping({"name": name, **designs[name]})
        return load_design(part_beside(name, folder))
    except DesignError as error:
        raise DesignError(f"{where}: `design`: {error}") from None


def beside(name: str, folder: Path) -> str:
    """Return an existing path relative to a folder as a full path; a name of something bundled is left as it stands."""
    return str((folder / name).resolve()) if exists(folder / name) else name


def part_beside(name: str, folder: Path) -> str:
    """Return ``FILE:NAME`` with the file's full path; anything else is left as it stands."""
    path, colon, own = name.rpartition(":")
    return f"{beside(path, folder)}:{own}" if colon and path else beside(name, folder)
