"""Cores of a study as they are built: what a core leaves open, the study fills in; and what is in a result."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from circuits import Core, NetworkCores, PeripheralError, PeripheralGrid, as_core, load_peripherals
from circuits.peripherals.load import Peripherals
from devicekit import Cell, DesignError
from devicekit.cells.compensation import as_compensation
from reports.design_lines import built_of
from reports.layer_cores import layers_named, overrides_of
from reports.results import Values
from reports.studies.axes import WIRE_AXES
from reports.study import Study


def built(study: Study, core: Core, cell: Cell) -> Core:
    """Return a core with what it leaves open filled in: the study's cell, age, temperature, wires, periphery, trim.

    Args:
        study: the study.
        core: as its name gives it; what it has itself stays.
        cell: the cell of the study.

    Raises:
        DevicekitError: a part that is unknown or impossible.
    """
    filled = core if core.cell else as_core(core, cell=cell)
    if study.error_scale != 1.0 and filled.cell is not None:
        filled = filled.replace(cell=dataclasses.replace(filled.cell, error_scale=study.error_scale))
    converts = core.design.adc_bits is not None
    wanted: dict[str, Any] = {
        "age": study.age,
        "temperature": study.temperature,
        "compensation": None if study.compensation is None else as_compensation(study.compensation),
        "wires": wires_of(study) or None,
        "adc": study.adc if converts else None,
        "peripherals": _peripherals(study, core, filled.cell),
        "corrections": study.corrections,
    }
    changes = {part: value for part, value in wanted.items() if value and not getattr(core, part)}
    if study.corrections is None and changes.get("peripherals") and not core.corrections:
        changes["corrections"] = ("column_trim",)
    return filled.replace(**changes) if changes else filled


def with_overrides(study: Study, core: Core, overrides: Mapping[str, Core]) -> NetworkCores:
    """Return the cores of a network, those of some layers with what they leave open filled in.

    One chip has one kind of cells and of ADC: those of `core`, where a core of some layers has none of its own. What
    follows from a design, periphery and wires, is the study's. Corrections are those of the whole network.

    Args:
        study: the study.
        core: of most layers, as built.
        overrides: cores of some layers as their names give them, by pattern.

    Raises:
        DesignError: parts that do not go together; corrections, or inputs that are not quantised, of some layers alone.
        DevicekitError: a part that is unknown or impossible.
    """
    others: dict[str, Core] = {}
    for pattern, other in overrides.items():
        adc = core.adc if other.design.adc_bits is not None else None
        chip: dict[str, Any] = {"cell": core.cell, "adc": adc, "faults": core.faults}
        left_open = as_core(other, **{part: value for part, value in chip.items() if getattr(other, part) is None})
        assert left_open.cell is not None
        if (other.design.input_bits is None) != (core.design.input_bits is None):
            raise DesignError(
                f"Expected the cores {core.name!r} and {other.name!r} both to quantise their inputs or neither, for "
                "activity and line currents of a network are measured bit by bit."
            )
        others[pattern] = built(study, left_open, left_open.cell)
    silent = [pattern for pattern, other in overrides.items() if not other.corrections]
    trimmed = [others[pattern].corrections for pattern in silent if others[pattern].corrections]
    if trimmed and not core.corrections:
        core = core.replace(corrections=trimmed[0])
    for pattern in silent:
        others[pattern] = others[pattern].replace(corrections=core.corrections)
    return NetworkCores(core, others)


def wires_of(study: Study) -> dict[str, Any]:
    """Return what a study says of the wires, as values of `circuits.Wires`.

    Args:
        study: the study.
    """
    names = ("r_p_hat", *WIRE_AXES)
    return {name: getattr(study, name) for name in names if getattr(study, name) is not None}


IDEAL = "ideal"
"""Name of peripherals without errors."""


def _peripherals(study: Study, core: Core, cell: Cell | None) -> Peripherals | str | None:
    """Return what stands between the columns of a core and its codes where it leaves that open."""
    if core.design.adc_bits is None or study.peripherals == IDEAL:
        return None
    if study.peripherals is not None:
        return study.peripherals
    return None if _grounded(study, core) else _sized(core, cell)


def _grounded(study: Study, core: Core) -> bool:
    """Whether wires bring the resistance of the virtual ground, which is part of sized peripherals."""
    own = wires_of(study) if core.wires is None else dataclasses.asdict(core.wires)
    return any(own.get(name) for name in ("r_in_hat", "input_resistance"))


_FARTHEST_ROWS = 4.0
"""Rows of a core over those of the design that circuits were sized for, or the other way round, at most."""


def _sized(core: Core, cell: Cell | None) -> Peripherals | None:
    """Return the circuits sized for a design or for one much like it; None where none such are recorded."""
    try:
        grid = load_peripherals("sized", core.design)
    except PeripheralError:
        return None
    assert isinstance(grid, PeripheralGrid)
    if cell is None or not grid.name.startswith(f"{cell.technology} "):
        return None
    apart = grid.sizing["rows"] / core.design.rows_per_array
    alike = grid.sizing["cell_bits"] == core.design.cell_bits and 1 / _FARTHEST_ROWS <= apart <= _FARTHEST_ROWS
    return grid if alike else None


def without_periphery(study: Study, rows: Sequence[NetworkCores]) -> list[str]:
    """Return remarks on cores whose columns are ideal because no circuits are recorded for them.

    Args:
        study: the study.
        rows: the cores of each row, as built.
    """
    if study.peripherals is not None:
        return []
    cores = list({core.name: core for row in rows for core in row.kinds}.values())
    open_ones = [core for core in cores if core.peripherals is None and core.design.adc_bits is not None]
    grounded = [core.name for core in open_ones if _grounded(study, core)]
    names = [core.name for core in open_ones if core.name not in grounded]
    remarks = []
    if grounded:
        remarks.append(
            f"{', '.join(grounded)}: the resistance of the virtual ground stands among the wires, so that no sized "
            "peripherals, which have it as well, are behind the columns."
        )
    if not names:
        return remarks
    return [
        *remarks,
        f"No sized peripherals are recorded for cores such as {', '.join(names)} with these cells, so that their "
        "columns are ideal here: "
        "devicekit peripherals --size DESIGN simulates some, and --peripherals takes its file.",
    ]


_PARTS = {
    "cells": "cells",
    "age of the cells": "age",
    "temperature of the read": "temperature",
    "ADC": "errors of the ADC",
    "peripherals": "periphery",
    "corrections": "trim",
    "stuck cells": "stuck cells",
}


def what_is_in(core: Values, name: str = "", others: Sequence[Values] = ()) -> str:
    """Return what acts on the accuracy of a core and what is left out, as a few words.

    Args:
        core: `Core.to_dict`, without its name and design or with them.
        name: of its design.
        others: cores of some layers, see `overrides_shown`.
    """
    there, missing = _parts_of(core, name)
    return "; ".join([_worded(there, missing), *_others_worded(others, there, missing)])


def layers_elsewhere(design: Values) -> str:
    """Return which layers lie on another core than the row's, and what sets it apart beside its design.

    Args:
        design: as in `StudyResult`.

    Returns:
        Such as ``"conv1 on B (no peripherals)"``; empty where all layers lie on one core.
    """
    return "; ".join(_others_worded(overrides_of(design), *_parts_of(design["core"], design["name"])))


def _others_worded(others: Sequence[Values], there: Sequence[str], missing: Sequence[str]) -> list[str]:
    """Return a few words about each core of some layers, and how it differs from the core of the rest."""
    texts = []
    for own in others:
        own_there, own_missing = _parts_of(own["core"], own["name"])
        apart = [part for part in own_there if part not in there]
        apart += [f"no {part}" for part in own_missing if part not in missing]
        text = f"{layers_named(own['layers'])} on {own['name']}"
        texts.append(f"{text} ({', '.join(apart)})" if apart else text)
    return texts


def _parts_of(core: Values, name: str) -> tuple[list[str], list[str]]:
    """Return what acts on the accuracy of a core, and the names of what is left out."""
    shown = built_of(core, name)
    wires = core["wires"]
    names = {"r_p_hat": "R_p_hat", "r_in_hat": "virtual ground R_in_hat", "r_s_hat": "supply R_s_hat"}
    resistances = [f"{name} {wires[key]:g}" for key, name in names.items() if wires.get(key)]
    shown["wires"] = ", ".join(resistances) or "none"
    adc = core["adc"]
    shown["ADC"] = shown["ADC"] if adc is not None and set(adc) & _ERRORS else "none"
    labels = {**_PARTS, "wires": "wires"}
    there = [f"{label} ({shown[key]})" for key, label in labels.items() if shown[key] not in ("none", "ideal")]
    return there, [label for key, label in labels.items() if shown[key] in ("none", "ideal") and key in _ALWAYS_NAMED]


def _worded(there: Sequence[str], missing: Sequence[str]) -> str:
    return f"{', '.join(there) or 'quantisation only'}; left out: {', '.join(missing) or 'nothing'}"


_ERRORS = {"enob", "noise_lsb", "inl_lsb", "dnl_lsb", "thresholds_lsb", "circuit"}
_ALWAYS_NAMED = ("cells", "age of the cells", "peripherals", "corrections", "wires")
"""Parts whose absence is named."""


def _apart(designs: Sequence[Values]) -> tuple[list[str], list[str], list[str]]:
    """Return what is in every row of a table, what is left out of every row, and what sets each row apart."""
    parts = [_parts_of(design["core"], design["name"]) for design in designs]
    there, missing = ([own for own in parts[0][side] if all(own in other[side] for other in parts)] for side in (0, 1))
    rows = []
    for design, (own_there, own_missing) in zip(designs, parts, strict=True):
        more = [own for own in own_there if own not in there]
        more += [f"no {own}" for own in own_missing if own not in missing]
        rows.append(", ".join([*more, *filter(None, [layers_elsewhere(design)])]))
    return there, missing, rows


def own_parts(designs: Sequence[Values]) -> list[str]:
    """Return what sets each row of a table apart, empty where all rows are alike; its caption says the rest once.

    Args:
        designs: as in `StudyResult`.
    """
    return _apart(designs)[2]


def caption_of_parts(designs: Sequence[Values]) -> str:
    """Return what acts on the results of a table: what all rows share once, and what sets some apart.

    Args:
        designs: as in `StudyResult`.
    """
    there, missing, rows = _apart(designs)
    alike: dict[str, list[str]] = {}
    for design, own in zip(designs, rows, strict=True):
        if own:
            alike.setdefault(own, []).append(design["name"])
    if not alike:
        return f"In every row: {_worded(there, missing)}."
    shared = f"In every row: {', '.join(there)}" if there else "In every row: quantisation"
    shared += f"; left out of all: {', '.join(missing)}." if missing else "."
    return " ".join([shared, *(f"In {', '.join(names)}: {own}." for own, names in alike.items())])


def shared_parts(designs: Sequence[Values]) -> str:
    """Return the parts that act on the accuracy of every core of a table beside its cells, for a sentence about them.

    Args:
        designs: as in `StudyResult`.

    Returns:
        Such as ``", wires, periphery and trim"``; empty for cells alone.
    """
    shown = [{**built_of(design["core"]), "wires": design["core"]["wires"]["r_p_hat"] or "none"} for design in designs]
    named = {"wires": "wires", "peripherals": "periphery", "corrections": "trim", "age of the cells": "age"}
    there = [word for key, word in named.items() if all(own[key] != "none" for own in shown)]
    if not there:
        return ""
    return f" and {there[0]}" if len(there) == 1 else f", {', '.join(there[:-1])} and {there[-1]}"


_COSTLY_POINTS = 0.05


def costly_periphery(designs: Sequence[Values], rows: Sequence[NetworkCores]) -> list[str]:
    """Return remarks on cores whose sized periphery costs more than five points of a share although it is trimmed.

    Args:
        designs: as in `StudyResult`.
        rows: the cores of each, as built.
    """
    remarks = []
    for design, cores in zip(designs, rows, strict=True):
        cells = {own["name"]: own["accuracy"]["mean"] for own in design["stages"]}
        sized = [(core, core.peripherals) for core in cores.kinds if isinstance(core.peripherals, PeripheralGrid)]
        if not sized or "cells" not in cells:
            continue
        lost = cells["cells"] - design["accuracy"]["mean"]
        if lost > _COSTLY_POINTS and "column_trim" in cores.core.corrections:
            core, grid = max(sized, key=lambda own: _conversions_a_result(own[0]))
            each = _conversions_a_result(core)
            noise, variation = (grid.sizing[name] for name in ("noise_lsb", "variation_lsb"))
            whose, where = ("its cores", f" on {core.name}") if len(cores.kinds) > 1 else ("it", "")
            remarks.append(
                f"{cores.name}: the circuits sized for {whose} cost {100 * lost:.0f} points although trimmed. A result"
                f"{where} adds up {each:.0f} conversion{'s' if each > 1 else ''}, each with {noise:.2g} ADC steps of "
                f"noise and {variation:.2g} of variation at the middle of its ranges, more at the small ones. Fewer "
                "conversions a result (longer arrays, inputs accumulated before the ADC), or two lines subtracted, "
                "would help."
            )
    return remarks


def _conversions_a_result(core: Core) -> float:
    return core.design.conversions_per_mvm / core.design.matrix_columns
