"""Recorded peripherals by name or file: a characterisation at one current, or a circuit sized for a design."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from circuits.designs import CoreDesign
from circuits.peripherals.grid import PeripheralGrid
from circuits.peripherals.model import PeripheralError, PeripheralModel, variant_name
from devicekit.common.errors import DesignError, unknown_name
from devicekit.common.paths import data_path, is_file

Peripherals = PeripheralModel | PeripheralGrid
SIZED = "sized"
"""Name under which a design finds the circuits that are sized for it."""
_GRID_ENDING = ".grid.json"


def peripheral_names() -> list[str]:
    """Return the names of the characterisations at one current that come with the project."""
    return sorted(path.name.removesuffix(".model.json") for path in data_path("peripherals").glob("*.model.json"))


def sized_names() -> list[str]:
    """Return the names of the designs that circuits were sized and recorded for."""
    return sorted(path.name.removesuffix(_GRID_ENDING) for path in data_path("peripherals").glob(f"*{_GRID_ENDING}"))


def load_peripherals(
    name_or_path: str | Path, design: CoreDesign | None = None, *, signed_inputs: bool = False
) -> Peripherals:
    """Return recorded peripherals: bundled ones by name, or those of a file.

    Args:
        name_or_path: one of `peripheral_names`; ``"sized"``, the circuits sized for the design or for the recorded one
            that is nearest to it; or the path of a JSON file written by ``save`` of a model or a grid.
        design: where given with a bundled name, the variant recorded for its use is taken: for an unsigned range and
            for a conversion after every input bit, see `variant_name`. A file is taken as it is.
        signed_inputs: whether the design's inputs carry signs, which makes every range symmetric.

    Raises:
        PeripheralError: no such name or file, no JSON, a field missing, unknown or out of its range; or ``"sized"``
            without a design, or for one whose use was not recorded.
    """
    if str(name_or_path) == SIZED:
        return _sized(design, signed_inputs)
    names = peripheral_names()
    if design is not None:
        fitting = variant_name(
            str(name_or_path),
            unsigned=not design.symmetric_adc(signed_inputs=signed_inputs),
            one_bit=design.input_accumulation == "digital",
        )
        name_or_path = fitting if fitting in names else name_or_path
    bundled = str(name_or_path) in names
    path = data_path(f"peripherals/{name_or_path}.model.json") if bundled else Path(name_or_path)
    if not is_file(path):
        raise PeripheralError(unknown_name("peripheral model or file", str(name_or_path), [*names, SIZED]))
    try:
        content = json.loads(path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise PeripheralError(f"{path}: not a text file: {error}.") from None
    except json.JSONDecodeError as error:
        raise PeripheralError(f"{path}: Invalid JSON: {error}.") from None
    return peripherals_from_mapping(content, str(path))


def peripherals_from_mapping(content: Any, where: str) -> Peripherals:
    """Return a model or a grid from plain values, by what their `format` says.

    Raises:
        PeripheralError: neither.
    """
    if isinstance(content, dict) and str(content.get("format", "")).startswith("devicekit-peripheral-grid"):
        return PeripheralGrid.from_mapping(content, where)
    return PeripheralModel.from_mapping(content, where)


def sized_input_resistance(design: CoreDesign) -> float:
    """Return the input resistance of the circuit that is sized for a design [Ohm].

    Args:
        design: the design.

    Raises:
        PeripheralError: no circuit is recorded for a design like it.
    """
    return _sized(design, signed_inputs=False).input_resistance_ohm


def _sized(design: CoreDesign | None, signed_inputs: bool) -> PeripheralGrid:
    if design is None:
        raise PeripheralError("Expected a design, whose sized peripherals are asked for, but got none.")
    zero = 0.5 if design.symmetric_adc(signed_inputs=signed_inputs) else 0.0
    bits = 1 if design.input_accumulation == "digital" else design.input_bits
    fitting = [grid for grid in map(_recorded, sized_names()) if grid.zero == zero and grid.input_bits == bits]
    if not fitting:
        kind = "one sign" if zero == 0 else "both signs"
        raise PeripheralError(
            f"No sized peripherals are recorded for a design like {design.name!r}: currents of {kind}, {bits} input "
            f"bits before a conversion. `devicekit peripherals --size {design.name}` simulates them (needs ngspice)."
        )

    def apart(grid: PeripheralGrid) -> tuple[bool, float]:
        rows, cell_bits = grid.sizing["rows"], grid.sizing["cell_bits"]
        return grid.design != design.name, abs(math.log(rows / design.rows_per_array)) + abs(
            cell_bits - design.cell_bits
        )

    return min(fitting, key=apart)


def _recorded(name: str) -> PeripheralGrid:
    path = data_path(f"peripherals/{name}{_GRID_ENDING}")
    return PeripheralGrid.from_mapping(json.loads(path.read_text("utf-8")), str(path))


def as_peripherals(peripherals: Peripherals | str | Path, design: CoreDesign | None = None) -> Peripherals:
    """Return peripherals from themselves, or from a name or path as for `load_peripherals`.

    Args:
        peripherals: the peripherals, or their name.
        design: whose use decides the variant of a bundled name.

    Raises:
        PeripheralError: as for `load_peripherals`.
        DesignError: something that is none of these.
    """
    if isinstance(peripherals, Peripherals):
        return peripherals
    if isinstance(peripherals, str | Path):
        return load_peripherals(peripherals, design)
    raise DesignError(f"Expected peripherals, their name or their file, but got {type(peripherals).__name__}.")
