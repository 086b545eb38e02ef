"""Cores from whatever a caller has: a core, a design, a name, several names, or a part given by itself."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from circuits.core import AdcLike, CellLike, Core, PeripheralsLike, core_of, load_core
from circuits.core_files import core_tables
from circuits.core_parts import FaultsLike, WiresLike
from circuits.design_files import bundled_sets
from circuits.designs import CoreDesign
from devicekit.common.errors import DesignError


def load_cores(name_or_path: str | Path) -> dict[str, Core]:
    """Return every core of a file, or of a bundled set of designs, by name.

    Args:
        name_or_path: the path of a core or design file, or the name of a bundled set.

    Raises:
        DevicekitError: as for `load_core`.
    """
    return {name: core_of(table) for name, table in core_tables(name_or_path).items()}


def choose_cores(names: Iterable[str]) -> dict[str, Core]:
    """Return cores by what names each of them, as commands and studies take them.

    Args:
        names: bundled designs, ``FILE:NAME``, a bundled set (``"xiao2022"``) or a whole file (its path, which ends in
            .toml); a set stands for the names of its designs, a file for ``FILE:NAME`` of each of its cores.

    Raises:
        DevicekitError: as for `load_core`.
    """
    chosen: dict[str, Core] = {}
    for name in names:
        if name in bundled_sets():
            chosen |= load_cores(name)
        elif name.endswith(".toml"):
            chosen |= {f"{name}:{own}": core for own, core in load_cores(name).items()}
        else:
            chosen[name] = load_core(name)
    return chosen


def as_core(
    core: Core | CoreDesign | str | Path,
    *,
    cell: CellLike | None = None,
    adc: AdcLike | None = None,
    peripherals: PeripheralsLike | None = None,
    wires: WiresLike | None = None,
    faults: FaultsLike | None = None,
) -> Core:
    """Return a core ready for use from a core, a design or a name, with what it leaves open filled in.

    Args:
        core: a core, a design, or a name as for `load_core`.
        cell: fills in the cell, and so on for the others; None fills in nothing.
        adc: the ADC.
        peripherals: the peripherals.
        wires: the wires.
        faults: the faults.

    Raises:
        DesignError: something that is no core, design or name; a part given that the core has already; an age,
            temperature or resistance in Ohm without a cell.
        DevicekitError: as for `Core` and `load_core`.
    """
    parts = {"cell": cell, "adc": adc, "peripherals": peripherals, "wires": wires, "faults": faults}
    given: dict[str, Any] = {key: value for key, value in parts.items() if value is not None}
    if isinstance(core, CoreDesign):
        made = Core(core, **given)
    else:
        made = load_core(core) if isinstance(core, str | Path) else core
        if not isinstance(made, Core):
            raise DesignError(f"Expected a core, a design or a name, but got {type(core).__name__}.")
        taken = [key for key in given if getattr(made, key) is not None]
        if taken:
            raise given_twice(taken[0], made)
        made = made.replace(**given) if given else made
    made.require_cell()
    return made


def given_twice(part: str, core: Core) -> DesignError:
    """Return the error of a part that is given beside a core which has that part.

    Args:
        part: such as ``"cell"``.
        core: the core.
    """
    return DesignError(f"`{part}` is given beside the core {core.name!r}, which has its own: leave one of them out.")
