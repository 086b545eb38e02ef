"""Library files: reading, overriding, refusing, and writing a calibrated one back."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from circuits import load_design
from devicekit.common.errors import DevicekitError, UnitError, unknown_name
from devicekit.common.file_sets import replacing_together
from devicekit.common.foreign import read_toml
from devicekit.common.inheritance import base_files
from devicekit.common.paths import checked_file_name, data_path, is_file
from devicekit.common.provenance import Constant
from energy.errors import EnergyError
from energy.expressions import Array
from energy.library import (
    BORROW,
    CELL_UNITS,
    GROUPS,
    OF_NO_TECHNOLOGY,
    OF_THE_CELL,
    Action,
    Component,
    Library,
    checked_constant,
    si_factor,
)
from energy.node_scaling import SCALINGS, scale_factor
from energy.structural_error import anchors

_PROVENANCE_KEYS = ("value", "unit", "kind", "source", "interval")
_CONSTANT_KEYS = (*_PROVENANCE_KEYS, "node_scaling")
_TOP = ("name", "technology", "node_nm", "vdd", "description", "draws", "calibrated", "components", *GROUPS)
_NONE_GIVEN = {
    "value": 0.0,
    "kind": "assumed",
    "source": "not listed in the library: the published totals contain it or it is negligible",
    "node_scaling": "none",
}


_NO_ERROR = {"kind": "assumed", "source": "not given: intervals hold the constants' uncertainty alone"}
_DISCREPANCY = {"energy": 1.0, "area": 1.0, "energy_scale": 0.0, "area_scale": 0.0, "octaves": 1.0}
"""Structural error of a library that says nothing of it: none."""


def library_names() -> list[str]:
    """Return the names of the bundled libraries."""
    stems = (path.stem for path in data_path("components").glob("*.toml"))
    return sorted(stem for stem in stems if stem != "node_scaling" and not stem.endswith("_priors"))


def load_library(name_or_path: str | Path | Library) -> Library:
    """Return a component library.

    A file of one's own either is complete or names the library it changes with ``base``, a bundled one such as
    ``"sonos_40nm"`` or another file of its folder; then it holds only what it adds or overrides, in the same form. With
    another ``node_nm`` or ``vdd`` than its base, what it does not give itself is scaled where the base says how
    (``node_scaling``), and refused where it does not.

    A library that lends its periphery (``"borrow:sonos_40nm"``) serves cells of any technology: each constant that a
    cell of another one takes over is marked as borrowed, see `Library.borrowed_for`.

    Args:
        name_or_path: a bundled library's name, a path, either behind ``"borrow:"``, or a library, which is returned as
            it is.

    Raises:
        EnergyError: no such library or file, no TOML, an unknown key or unit, a negative or infinite number, a node
            without scaling data, a formula outside the grammar, or one that reads a quantity nobody defines.
    """
    if isinstance(name_or_path, Library):
        return name_or_path
    text = str(name_or_path)
    if text.startswith(BORROW):
        return replace(load_library(text.removeprefix(BORROW)), lends=True, recipe=f"energy.load_library({text!r})")
    names = library_names()
    path = data_path(f"components/{name_or_path}.toml") if str(name_or_path) in names else Path(name_or_path)
    if not is_file(path):
        raise EnergyError(unknown_name("component library or file", str(name_or_path), names))
    bundled = {name: data_path(f"components/{name}.toml") for name in names}
    files = base_files(path, EnergyError, bundled, "component library", lambda file: _base_in(file, _modified(file)))
    modified = tuple((file, _modified(file)) for file in files)
    return _load(modified, f"energy.load_library({str(name_or_path)!r})")


def _modified(path: Path) -> int:
    return path.stat().st_mtime_ns


@lru_cache(maxsize=64)
def _base_in(path: Path, _modified: int) -> Any:
    """Return the base that a file names; None for none."""
    return _parsed(path).get("base")


@lru_cache(maxsize=16)
def _load(files: tuple[tuple[Path, int], ...], recipe: str) -> Library:
    """Return the library of a file; behind it stand its base and the bases of that, each with its time."""
    path = files[0][0]
    content = _parsed(path)
    content.pop("base", None)
    if len(files) == 1:
        library = _library(content, path, None, content, recipe)
    else:
        below = _whole([file for file, _ in files[1:]])
        for key in ("draws", "calibrated"):
            below.pop(key, None)
        _check_names(content, below, path)
        base = _load(files[1:], f"energy.load_library({str(files[1][0])!r})")
        library = _library(_merged(below, content), path, base, content, recipe)
    try:
        library.formulas  # noqa: B018  # a formula that cannot work is found here, at the boundary
        return _anchored(library, content.get("calibrated"))
    except DevicekitError as error:
        raise EnergyError(f"{path}: {error}") from None


def _anchored(library: Library, names: Any) -> Library:
    """Return the library with the designs that its file says it was calibrated to.

    Raises:
        EnergyError: no list of names.
        DesignError: an unknown design.
    """
    if names is None:
        return library
    if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
        raise EnergyError(f"expected `calibrated` to be a list of designs, but got {names!r}.")
    return replace(library, anchors=anchors(library, [load_design(name) for name in names]))


def _parsed(path: Path) -> dict[str, Any]:
    return read_toml(path, EnergyError)


def _whole(files: list[Path]) -> dict[str, Any]:
    """Return what a file and its bases hold together."""
    content: dict[str, Any] = {}
    for file in reversed(files):
        own = _parsed(file)
        own.pop("base", None)
        content = _merged(content, own)
    return content


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `own` over `base`; a number is replaced with its unit, source and interval, never in part."""
    merged = dict(base)
    for key, value in own.items():
        below = merged.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            if "value" in value or "each" in value:
                below = {k: v for k, v in below.items() if k not in (*_CONSTANT_KEYS, "each")}
            merged[key] = _merged(below, value)
        else:
            merged[key] = value
    return merged


def _check_names(own: Mapping[str, Any], base: Mapping[str, Any], where: Path) -> None:
    """Refuse a component or action that the base does not have and that is not whole either: a misspelt name.

    Raises:
        EnergyError: it says the nearest names.
    """

    def check(given: Any, below: Mapping[str, Any], what: str, wanted: str) -> None:
        for name, values in (given if isinstance(given, dict) else {}).items():
            if isinstance(values, dict) and name not in below and wanted not in values:
                raise EnergyError(f"{where}: {unknown_name(what, name, below)} A new {what} needs `{wanted}`.")

    components = own.get("components", {})
    check(components, base["components"], "component", "instances")
    for name, values in (components if isinstance(components, dict) else {}).items():
        if name in base["components"] and isinstance(values, dict):
            check(values.get("actions", {}), base["components"][name].get("actions", {}), "action", "count")


class _Reader:
    """Collects the constants of a library file while its components are read."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.constants: dict[str, Constant] = {}
        self.si: dict[str, float] = {}
        self.si_units: dict[str, str] = {}
        self.scalings: dict[str, str] = {}

    def add(self, name: str, values: Mapping[str, Any], si_unit: str) -> None:
        constant = checked_constant({k: values[k] for k in _PROVENANCE_KEYS if k in values}, name, self.where)
        if (constant.unit == "") != (si_unit == ""):
            wanted = f"a unit of {si_unit}" if si_unit else 'no unit ("")'
            raise EnergyError(f"{self.where}: expected `{name}` to have {wanted}, but got {constant.unit!r}.")
        try:
            factor = si_factor(constant.unit, si_unit, name)
        except UnitError as error:
            raise EnergyError(f"{self.where}: {error}") from None
        scaling = values.get("node_scaling", "none" if si_unit == "" else "")
        if scaling not in (*SCALINGS, ""):
            raise EnergyError(f"{self.where}: `{name}`: " + unknown_name("node_scaling", str(scaling), SCALINGS))
        self.constants[name] = constant
        self.si[name] = constant.value * factor
        self.si_units[name] = si_unit
        self.scalings[name] = scaling

    def table(self, values: Any, name: str, known: tuple[str, ...] | None = None) -> dict[str, Any]:
        if not isinstance(values, dict):
            raise EnergyError(f"{self.where}: expected [{name}] to be a table, but got {values!r}.")
        for key in values:
            if known is not None and key not in known:
                raise EnergyError(f"{self.where}: [{name}]: " + unknown_name("key", key, known))
        return values

    def text(self, values: Mapping[str, Any], key: str, name: str) -> str:
        if not isinstance(values.get(key), str):
            raise EnergyError(f"{self.where}: expected [{name}] to have a text `{key}`, but got {values.get(key)!r}.")
        return str(values[key])

    def number(self, values: Mapping[str, Any], key: str) -> float:
        value = values.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
            raise EnergyError(f"{self.where}: expected `{key}` to be a number above 0, but got {value!r}.")
        return float(value)

    def action(self, values: Any, name: str) -> Action:
        self.table(values, name, (*_CONSTANT_KEYS, "label", "count", "each", "scale"))
        each = self.text(values, "each", name) if "each" in values else None
        if each is None:
            self.add(f"{name}.energy", values, "J")
        scale = self.text(values, "scale", name) if "scale" in values else None
        return Action(self.text(values, "count", name), str(values.get("label", name)), each, scale)

    def component(self, values: Any, name: str) -> Component:
        self.table(values, f"components.{name}")
        area = self.table(values.get("area", {}), f"{name}.area", (*_CONSTANT_KEYS, "each", "scale"))
        area_each = self.text(area, "each", f"{name}.area") if "each" in area else None
        if area_each is None:
            self.add(f"{name}.area", area or _NONE_GIVEN | {"unit": "um2"}, "m^2")
        leakage = self.table(values.get("leakage", _NONE_GIVEN | {"unit": "nW"}), f"{name}.leakage", _CONSTANT_KEYS)
        self.add(f"{name}.leakage", leakage, "W")
        for key in values:
            if key not in ("label", "instances", "area", "leakage", "actions"):
                self.add(f"{name}.{key}", self.table(values[key], f"{name}.{key}", _CONSTANT_KEYS), "")
        actions = {
            key: self.action(value, f"{name}.{key}")
            for key, value in self.table(values.get("actions", {}), f"{name}.actions").items()
        }
        scale = self.text(area, "scale", f"{name}.area") if "scale" in area else None
        instances = self.text(values, "instances", f"components.{name}")
        return Component(str(values.get("label", name)), instances, actions, area_each, scale)


def _library(
    content: Mapping[str, Any], path: Path, base: Library | None, own: Mapping[str, Any], recipe: str
) -> Library:
    reader = _Reader(path)
    reader.table(content, "top level", _TOP)
    for group, unit in GROUPS.items():
        for key, values in reader.table(content.get(group, {}), group).items():
            own_unit = unit if unit is not None else CELL_UNITS.get(key)
            if own_unit is None:
                raise EnergyError(f"{path}: [{group}]: " + unknown_name("key", key, CELL_UNITS))
            reader.add(f"{group}.{key}", reader.table(values, f"{group}.{key}", _CONSTANT_KEYS), own_unit)
    for key, neutral in _DISCREPANCY.items():
        if f"discrepancy.{key}" not in reader.constants:
            reader.add(f"discrepancy.{key}", _NO_ERROR | {"value": neutral, "unit": ""}, "")
    components = {
        name: reader.component(values, name)
        for name, values in reader.table(content.get("components", {}), "components").items()
    }
    if not components:
        raise EnergyError(f"{path}: expected a table [components.NAME] for each component, but found none.")
    for key, meaning in (("node_nm", "technology node [nm]"), ("vdd", "digital supply [V]")):
        value = {"value": reader.number(content, key), "unit": "", "kind": "assumed"}
        reader.add(f"process.{key}", value | {"source": f"{key} of {path.name}: {meaning}"}, "")
    given = _given(own) if base is not None else set(reader.constants)
    technology = reader.text(content, "technology", "top level")
    if base is not None:
        _scale(reader, base, given)
        if technology != base.technology:
            _borrow(reader, base, given)
    draws: dict[str, Array] = {}
    if "draws" in content:
        draws = _read_draws(path.parent / reader.text(content, "draws", "top level"), reader)
    elif base is not None:
        draws = {
            name: draw * (reader.si[name] / base.si[name] if base.si[name] else 1.0)
            for name, draw in base.draws.items()
            if name not in given and name in reader.si
        }
    return Library(
        name=checked_file_name(reader.text(content, "name", "top level"), f"{path}: `name`", EnergyError),
        technology=technology,
        description=str(content.get("description", "")),
        constants=reader.constants,
        si=reader.si,
        si_units=reader.si_units,
        components=components,
        draws=draws,
        borrowed=_borrowed_from(base, technology),
        anchors=base.anchors if base is not None and _costs_as(reader, base, own) else {},
        recipe=recipe,
    )


def _borrow(reader: _Reader, base: Library, given: set[str]) -> None:
    """Mark what a library of another technology takes over from its base, constant by constant.

    Raises:
        EnergyError: the cell's own currents are not given, which no other technology lends.
    """
    missing = [name for name in OF_THE_CELL if name not in given]
    if missing:
        raise EnergyError(
            f"{reader.where}: `technology` is another one than that of the base {base.name!r} ({base.technology}): the "
            f"periphery may be borrowed, the cell may not. Give {', '.join(missing)}."
        )
    for name in reader.constants.keys() & base.constants.keys() - given:
        if name.partition(".")[0] not in OF_NO_TECHNOLOGY:
            constant = reader.constants[name]
            source = f"borrowed from {base.name}, for cells of {base.technology}: {constant.source}"
            reader.constants[name] = constant.model_copy(update={"kind": "assumed", "source": source})


def _borrowed_from(base: Library | None, technology: str) -> str:
    """Return the library from which a library of another technology has its periphery; empty where it is its own."""
    if base is None:
        return ""
    return base.borrowed or ("" if technology == base.technology else base.name)


def _costs_as(reader: _Reader, base: Library, own: Mapping[str, Any]) -> bool:
    """Return whether cores cost what they did with the base: a file changed no more than cell, times or survey."""
    process = ("process.node_nm", "process.vdd")
    return not {"components", "structure", "digital", "activity", "technology"} & set(own) and all(
        reader.si[name] == base.si[name] for name in process
    )


def _given(own: Mapping[str, Any]) -> set[str]:
    """Return the names of the constants that a file gives itself."""
    names = set()

    def walk(values: Mapping[str, Any], path: tuple[str, ...]) -> None:
        if "value" in values:
            parts = [part for part in path if part not in ("components", "actions")]
            names.add(".".join([*parts, "energy"] if "actions" in path else parts))
        for key, value in values.items():
            if isinstance(value, dict):
                walk(value, (*path, key))

    walk(own, ())
    return names


def _scale(reader: _Reader, base: Library, given: set[str]) -> None:
    """Scale what the file does not give itself to the file's node and supply, or refuse."""
    nodes = base.si["process.node_nm"], reader.si["process.node_nm"]
    supplies = base.si["process.vdd"], reader.si["process.vdd"]
    if nodes[0] == nodes[1] and supplies[0] == supplies[1]:
        return
    unknown = [name for name in reader.constants if name not in given and not reader.scalings[name]]
    if nodes[0] != nodes[1] and unknown:
        shown = ", ".join(unknown[:6]) + (f" and {len(unknown) - 6} more" if len(unknown) > 6 else "")
        raise EnergyError(
            f"{reader.where}: no scaling data from {nodes[0]:g} nm to {nodes[1]:g} nm for {shown}. "
            "Give their values at that node in the file; only static digital circuits are scaled."
        )
    for name, constant in reader.constants.items():
        if name in given or reader.scalings[name] in ("", "none"):
            continue
        factor = scale_factor(reader.scalings[name], *nodes, *supplies)
        interval = constant.interval
        reader.constants[name] = constant.model_copy(
            update={
                "value": constant.value * factor,
                "interval": None if interval is None else (interval[0] * factor, interval[1] * factor),
                "source": f"{constant.source}; scaled from {nodes[0]:g} nm, {supplies[0]:g} V to {nodes[1]:g} nm, "
                f"{supplies[1]:g} V (Stillmaker & Baas 2017)",
            }
        )
        reader.si[name] *= factor


# -- draws and saving -------------------------------------------------------------------------------------------------


def _read_draws(path: Path, reader: _Reader) -> dict[str, Array]:
    """Read joint draws: a CSV file with a column a constant, in the units of the library file."""
    if not is_file(path):
        raise EnergyError(f"{reader.where}: `draws`: no such file {path.name!r} beside it.")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(line for line in file if not line.startswith("#")))
    names = rows[0] if rows else []
    for name in names:
        if name not in reader.constants:
            raise EnergyError(f"{path}: " + unknown_name("constant", name, reader.constants))
    try:
        table = np.array(rows[1:], dtype=np.float64)
    except ValueError:
        raise EnergyError(f"{path}: expected numbers in {len(names)} columns.") from None
    if table.ndim != 2 or table.shape[0] < 2 or not np.all(np.isfinite(table)) or np.any(table < 0):
        raise EnergyError(f"{path}: expected at least two rows of finite numbers of at least 0.")
    return {
        name: column * si_factor(reader.constants[name].unit, reader.si_units[name], name)
        for name, column in zip(names, table.T, strict=True)
    }


def save_fitted(library: Library, directory: Path) -> Path:
    """Write a calibrated library and its joint draws, with the library's bundled file as the template.

    Args:
        library: a library whose fitted constants have draws.
        directory: folder to write to.

    Returns:
        Path of the library file.
    """
    text = data_path(f"components/{library.name}.toml").read_text(encoding="utf-8")
    own_units = {}
    for name in library.draws:
        constant = library.constants[name]
        own_units[name] = si_factor(constant.unit, library.si_units[name], name)
        assert constant.interval is not None
        entry = {
            "value": f"{constant.value:.7g}",
            "kind": f'"{constant.kind}"',
            "source": f'"{constant.source}"',
            "interval": f"[{constant.interval[0]:.4g}, {constant.interval[1]:.4g}]",
        }
        text = _replace_constant(text, _table_of(library, name), entry)
    names = list(library.draws)
    with replacing_together(directory) as together:
        with (together / f"{library.name}_draws.csv").open("w", encoding="utf-8") as file:
            file.write("# Joint draws of the fitted constants, in the units of the library file: energy.calibrate\n")
            file.write(",".join(names) + "\n")
            for row in zip(*(library.draws[name] / own_units[name] for name in names), strict=True):
                file.write(",".join(f"{value:.7g}" for value in row) + "\n")
        (together / f"{library.name}.toml").write_text(text, encoding="utf-8")
    return directory / f"{library.name}.toml"


def _table_of(library: Library, name: str) -> str:
    """Return the TOML table in which a constant stands."""
    head, _, rest = name.partition(".")
    if head not in library.components:
        return name
    action, _, last = rest.rpartition(".")
    return f"components.{head}.actions.{action}" if last == "energy" else f"components.{name}"


def _replace_constant(text: str, table: str, entry: Mapping[str, str]) -> str:
    """Replace the lines of one table's constant; the interval's line is added where it is missing."""
    start = text.index(f"[{table}]\n")
    end = text.find("\n[", start)
    end = len(text) if end < 0 else end
    block = text[start:end]
    for key, value in entry.items():
        line = f"{key} = {value}"
        replaced, times = re.subn(rf"(?m)^{key} = .*$", line.replace("\\", r"\\"), block)
        block = replaced if times else block.rstrip("\n") + f"\n{line}\n"
    return text[:start] + block + text[end:]
