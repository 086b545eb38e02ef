"""Design files: the bundled sets, and a user's own TOML file in the same form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from circuits.designs import CoreDesign, design_from_mapping
from devicekit.common.errors import DesignError, unknown_name
from devicekit.common.foreign import read_toml
from devicekit.common.paths import data_path, is_file


def bundled_sets() -> dict[str, Path]:
    """Return the files of the bundled sets of designs by name."""
    return {path.stem: path for path in sorted(data_path("designs").glob("*.toml"))}


def load_designs(name_or_path: str | Path) -> dict[str, CoreDesign]:
    """Return the designs of a bundled set or of a file.

    A design file has an optional table ``[defaults]`` and one table ``[designs.NAME]`` a design, with the fields of
    `CoreDesign`; every other top-level key is documentation (``source``, ``assumed``) and is ignored here, see
    `design_notes`.

    Args:
        name_or_path: ``"xiao2022"``, ``"accelerators"``, or the path of a TOML file.

    Returns:
        Designs by name, in the order of the file.

    Raises:
        DesignError: no such set or file, no TOML, an unknown key, or an impossible design.
    """
    content, path = read_designs_file(name_or_path)
    result = {}
    for name, fields in design_fields(content, path).items():
        try:
            result[name] = design_from_mapping({"name": name, **fields})
        except DesignError as error:
            raise DesignError(f"{path}: {error}") from None
    return result


def design_fields(content: Mapping[str, Any], path: Path) -> dict[str, dict[str, Any]]:
    """Return the fields of each design of a file by name, defaults included, unchecked.

    Args:
        content: the file as read.
        path: for messages.

    Raises:
        DesignError: no designs, or something else than tables.
    """
    designs = content.get("designs")
    if not isinstance(designs, dict) or not designs:
        raise DesignError(f"{path}: expected a table [designs.NAME] for each design, but found none.")
    defaults = content.get("defaults", {})
    if not isinstance(defaults, dict):
        raise DesignError(f"{path}: expected [defaults] to be a table, but got {defaults!r:.80}.")
    result = {}
    for name, values in designs.items():
        if not isinstance(values, dict):
            raise DesignError(f"{path}: expected [designs.{name}] to be a table, but got {values!r}.")
        both = {**defaults, **values}
        result[name] = {key: none_of(value) for key, value in both.items() if key not in NOTES}
    return result


NOTES = ("source", "assumed", "full_precision_published", "note")
"""Keys of a file that say where its designs come from, and no field of one."""


def design_notes(name_or_path: str | Path) -> dict[str, dict[str, Any]]:
    """Return what a file says about each design and core beside its fields: source, assumed fields, notes.

    Args:
        name_or_path: as for `load_designs`.

    Raises:
        DesignError: as for `load_designs`.
    """
    content, _ = read_designs_file(name_or_path)
    shared = {key: content[key] for key in NOTES if key in content}
    return {
        name: {**shared, **{key: values[key] for key in NOTES if key in values}}
        for table in ("designs", "cores")
        for name, values in content.get(table, {}).items()
    }


def load_design(name: str) -> CoreDesign:
    """Return one design by name: from a bundled set (``"A"``, ``"isaac2016"``) or as ``FILE:NAME``.

    Args:
        name: a bundled design's name, or the path of a design file, a colon, and a name in it.

    Raises:
        DesignError: unknown name (with the nearest ones) or a bad file.
    """
    path, colon, own = name.rpartition(":")
    if colon and path:
        designs = load_designs(path)
        if own not in designs:
            raise DesignError(f"{path}: " + unknown_name("design", own, designs))
        return designs[own]
    known: dict[str, CoreDesign] = {}
    for bundle in bundled_sets():
        known |= load_designs(bundle)
    if name not in known:
        raise DesignError(unknown_name("design", name, known) + " A design of your own is given as FILE:NAME.")
    return known[name]


def read_designs_file(name_or_path: str | Path) -> tuple[dict[str, Any], Path]:
    """Return the content of a bundled set or a file, and its path.

    Raises:
        DesignError: no such set or file, or no TOML.
    """
    bundled = bundled_sets()
    path = bundled.get(str(name_or_path), Path(name_or_path))
    if not is_file(path):
        raise DesignError(unknown_name("design set or file", str(name_or_path), bundled))
    return read_toml(path, DesignError), path


def none_of(value: Any) -> Any:
    """TOML has no null: the text "none" stands for it."""
    return None if value == "none" else value
