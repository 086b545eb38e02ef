"""Component libraries: data files in which every number has a value, unit, kind, source and interval."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from devicekit.errors import UnitError, unknown_name
from devicekit.paths import data_path
from devicekit.provenance import Constant
from devicekit.quantities import unit_factor
from energy.core_formulas import COUNTS, FIELDS, RESULTS, SURVEY, TIMES
from energy.errors import EnergyError
from energy.expressions import Array
from energy.formulas import Formula, Formulas

GROUPS = {"cell": None, "timing": "s", "activity": "", "structure": "", "digital": "J", "survey": ""}
"""Tables of constants outside components, with the SI unit of their entries (None: each has its own)."""

_CELL_UNITS = {
    "i_max": "A",
    "read_voltage": "V",
    "off_on_ratio": "",
    "write_energy": "J",
    "write_time": "s",
}
_CONSTANT_KEYS = ("value", "unit", "kind", "source", "interval")


@dataclass(frozen=True)
class Action:
    """Something a component does, and what it costs each time.

    Attributes:
        count: formula of how often an MVM makes it do so.
        label: one line for the reader.
        each: formula of the energy [J] of one, where it follows from other constants; else a constant of the
            library named ``COMPONENT.ACTION.energy`` gives it.
        scale: formula that multiplies the energy.
    """

    count: str
    label: str
    each: str | None = None
    scale: str | None = None


@dataclass(frozen=True)
class Component:
    """One kind of circuit in a core.

    Attributes:
        label: what tables call it.
        instances: formula of how many a core has.
        actions: what it does, by name.
        area_each: formula of one instance's area [m2] where it is no constant.
        area_scale: formula that multiplies the area.
    """

    label: str
    instances: str
    actions: Mapping[str, Action]
    area_each: str | None = None
    area_scale: str | None = None


@dataclass(frozen=True)
class Library:
    """Components and constants of one technology.

    Attributes:
        name: name of the library.
        technology: the cell technology it is for.
        node_nm: technology node [nm].
        description: one line.
        constants: every number with its provenance, by dotted name, in its own unit.
        si: the same numbers in SI units.
        si_units: SI unit of each.
        components: by name.
        draws: draws of constants [SI] from their joint distribution, each of shape (draws,); a constant that is
            not in it is drawn from its own interval.
    """

    name: str
    technology: str
    node_nm: float
    description: str
    constants: Mapping[str, Constant]
    si: Mapping[str, float]
    si_units: Mapping[str, str]
    components: Mapping[str, Component]
    draws: Mapping[str, Array] = field(default_factory=dict, repr=False)

    @cached_property
    def formulas(self) -> Formulas:
        """Every quantity of a core as formulas of its design and of these constants."""
        return Formulas((*COUNTS, *component_formulas(self.components), *TIMES, *SURVEY, *RESULTS), (*FIELDS, *self.si))

    def si_interval(self, name: str) -> tuple[float, float] | None:
        """Return the 95 % interval of a constant [SI], None where it has none."""
        constant = self.constants[name]
        if constant.interval is None:
            return None
        factor = self.si[name] / constant.value if constant.value else 1.0
        return constant.interval[0] * factor, constant.interval[1] * factor

    def with_values(self, values: Mapping[str, float], *, source: str, kind: str = "assumed") -> Library:
        """Return the library with some constants replaced by exact SI values.

        Args:
            values: SI values by name.
            source: where they come from.
            kind: their kind.

        Raises:
            EnergyError: an unknown name or a negative or infinite value.
        """
        constants, si = dict(self.constants), dict(self.si)
        for name, value in values.items():
            if name not in constants:
                raise EnergyError(unknown_name("constant", name, constants))
            constants[name] = _constant(
                {"value": value, "unit": self.si_units[name], "kind": kind, "source": source}, name, "values"
            )
            si[name] = float(value)
        draws = {name: draw for name, draw in self.draws.items() if name not in values}
        return replace(self, constants=constants, si=si, draws=draws)

    def with_cell(self, cell: Any) -> Library:
        """Return the library with the read current and voltage of a cell.

        Args:
            cell: the cell, of which ``technology``, ``i_max``, ``read_voltage`` and ``on_off_ratio`` are read.

        Raises:
            EnergyError: the cell is of another technology than the library.
        """
        if cell.technology != self.technology:
            own = f"of technology {cell.technology!r}" if cell.technology else "of no named technology"
            raise EnergyError(
                f"The cell {cell.name!r} is {own}, but the component library {self.name!r} "
                f"is for {self.technology!r}: energy of one technology must not stand beside accuracy of another. "
                "Give a library of the cell's technology, or name the cell's technology if it is this one."
            )
        values = {
            "cell.i_max": float(cell.i_max),
            "cell.read_voltage": float(cell.read_voltage),
            "cell.off_on_ratio": 1 / float(cell.on_off_ratio),
        }
        changed = {name: value for name, value in values.items() if not np.isclose(value, self.si[name], rtol=1e-12)}
        return self.with_values(changed, source=f"the cell {cell.name}", kind="measured") if changed else self


def component_formulas(components: Mapping[str, Component]) -> list[Formula]:
    """Return the formulas of count, energy, area and leakage of each component, and of their sums."""
    formulas = []
    for name, component in components.items():
        label = component.label
        formulas.append(Formula(f"{name}.instances", "", f"total({component.instances})", f"{label}: instances"))
        for action, what in component.actions.items():
            own = f"{name}.{action}"
            meaning = f"{label}: {what.label}"
            formulas.append(Formula(f"{own}.count", "", f"total({what.count})", meaning + ", count"))
            joules = _product(f"{own}.count", what.count, f"{own}.energy", what.each, what.scale)
            formulas.append(Formula(f"{own}.joules", "J", joules, meaning + ", energy"))
        energies = " + ".join(f"{name}.{action}.joules" for action in component.actions) or "0 * operations"
        formulas.append(Formula(f"{name}.joules", "J", energies, f"{label}: energy of one MVM"))
        area = _product(
            f"{name}.instances", component.instances, f"{name}.area", component.area_each, component.area_scale
        )
        formulas.append(Formula(f"{name}.square_metres", "m^2", area, f"{label}: area"))
        formulas.append(Formula(f"{name}.watts", "W", f"{name}.instances * {name}.leakage", f"{label}: idle power"))
    for result, part, unit, meaning in (
        ("energy_j_per_mvm", "joules", "J", "energy of one MVM"),
        ("area_m2", "square_metres", "m^2", "area of the core"),
        ("leakage_w", "watts", "W", "power while idle"),
    ):
        formulas.append(Formula(result, unit, " + ".join(f"{name}.{part}" for name in components), meaning))
    return formulas


def _product(count: str, count_text: str, constant: str, each: str | None, scale: str | None) -> str:
    """Return ``count * constant``; a price that may differ between slices multiplies before the slices are summed."""
    product = f"{count} * {constant}" if each is None else f"total(({count_text}) * ({each}))"
    return f"{product} * ({scale})" if scale else product


# -- reading ----------------------------------------------------------------------------------------------------------


def library_names() -> list[str]:
    """Return the names of the bundled libraries."""
    return sorted(path.stem for path in data_path("components").glob("*.toml") if not path.stem.endswith("_priors"))


def load_library(name_or_path: str | Path | Library) -> Library:
    """Return a component library.

    A file of one's own either is complete or names the library it changes with ``base = "sonos_40nm"``; then it holds
    only what it adds or overrides, in the same form.

    Args:
        name_or_path: a bundled library's name, a path, or a library, which is returned as it is.

    Raises:
        EnergyError: no such library or file, no TOML, an unknown key or unit, a negative or infinite number, a formula
            outside the grammar, or one that reads a quantity nobody defines.
    """
    if isinstance(name_or_path, Library):
        return name_or_path
    names = library_names()
    path = data_path(f"components/{name_or_path}.toml") if str(name_or_path) in names else Path(name_or_path)
    if not path.is_file():
        raise EnergyError(unknown_name("component library or file", str(name_or_path), names))
    return _load(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _load(path: Path, _modified: int) -> Library:
    content = _read(path)
    library = _library(content, path)
    library.formulas  # noqa: B018  # a formula that cannot work is found here, at the boundary
    return library


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EnergyError(f"{path}: not a TOML file: {error}.") from error
    base = content.pop("base", None)
    if base is None:
        return content
    if base not in library_names():
        raise EnergyError(f"{path}: `base`: " + unknown_name("component library", str(base), library_names()))
    return _merged(_read(data_path(f"components/{base}.toml")), content)


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


def _constant(values: Mapping[str, Any], name: str, where: object) -> Constant:
    try:
        constant = Constant(**values)
    except (ValidationError, TypeError) as error:
        reason = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        place = ".".join([name, *map(str, reason["loc"])])
        raise EnergyError(f"{where}: `{place}`: {reason['msg']}, but got {dict(values)!r}.") from None
    low = constant.value if constant.interval is None else min(constant.value, constant.interval[0])
    if low < 0 and not name.startswith("survey."):
        raise EnergyError(f"{where}: expected `{name}` to be at least 0, but got {low:g} {constant.unit}.")
    return constant


class _Reader:
    """Collects the constants of a library file while its components are read."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.constants: dict[str, Constant] = {}
        self.si: dict[str, float] = {}
        self.si_units: dict[str, str] = {}

    def add(self, name: str, values: Mapping[str, Any], si_unit: str) -> None:
        constant = _constant({key: values[key] for key in _CONSTANT_KEYS if key in values}, name, self.where)
        if (constant.unit == "") != (si_unit == ""):
            wanted = f"a unit of {si_unit}" if si_unit else 'no unit ("")'
            raise EnergyError(f"{self.where}: expected `{name}` to have {wanted}, but got {constant.unit!r}.")
        try:
            factor = unit_factor(re.sub(r"([a-zA-Z])2$", r"\1^2", constant.unit), si_unit, name) if si_unit else 1.0
        except UnitError as error:
            raise EnergyError(f"{self.where}: {error}") from None
        self.constants[name] = constant
        self.si[name] = constant.value * factor
        self.si_units[name] = si_unit

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
        self.add(f"{name}.leakage", values.get("leakage", _NONE_GIVEN | {"unit": "nW"}), "W")
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


_NONE_GIVEN = {
    "value": 0.0,
    "kind": "assumed",
    "source": "not listed in the library: the published totals contain it or it is negligible",
}
_TOP = ("name", "technology", "node_nm", "description", "components", *GROUPS)


def _library(content: Mapping[str, Any], path: Path) -> Library:
    reader = _Reader(path)
    reader.table(content, "top level", _TOP)
    for group, unit in GROUPS.items():
        for key, values in reader.table(content.get(group, {}), group).items():
            own_unit = unit if unit is not None else _CELL_UNITS.get(key)
            if own_unit is None:
                raise EnergyError(f"{path}: [{group}]: " + unknown_name("key", key, _CELL_UNITS))
            reader.add(f"{group}.{key}", reader.table(values, f"{group}.{key}", _CONSTANT_KEYS), own_unit)
    components = {
        name: reader.component(values, name)
        for name, values in reader.table(content.get("components", {}), "components").items()
    }
    if not components:
        raise EnergyError(f"{path}: expected a table [components.NAME] for each component, but found none.")
    return Library(
        name=reader.text(content, "name", "top level"),
        technology=reader.text(content, "technology", "top level"),
        node_nm=float(content.get("node_nm", 0)),
        description=str(content.get("description", "")),
        constants=reader.constants,
        si=reader.si,
        si_units=reader.si_units,
        components=components,
    )
