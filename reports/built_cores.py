"""Cores of a study as they are built: what a core leaves open, the study fills in; and what is in a result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from circuits import Core, as_core
from devicekit import Cell
from reports.design_lines import built_of
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
    converts = core.design.adc_bits is not None
    wanted: dict[str, Any] = {
        "age": study.age,
        "temperature": study.temperature,
        "wires": wires_of(study) or None,
        "adc": study.adc if converts else None,
        "peripherals": study.peripherals if converts else None,
        "corrections": study.corrections or None,
    }
    changes = {part: value for part, value in wanted.items() if value is not None and not getattr(core, part)}
    return filled.replace(**changes) if changes else filled


def wires_of(study: Study) -> dict[str, Any]:
    """Return what a study says of the wires, as values of `circuits.Wires`.

    Args:
        study: the study.
    """
    names = ("r_p_hat", *WIRE_AXES)
    return {name: getattr(study, name) for name in names if getattr(study, name) is not None}


_PARTS = {
    "cells": "cells",
    "age of the cells": "age",
    "temperature of the read": "temperature",
    "ADC": "errors of the ADC",
    "peripherals": "periphery",
    "corrections": "trim",
    "stuck cells": "stuck cells",
}


def what_is_in(core: Values) -> str:
    """Return what acts on the accuracy of a core and what is left out, as a few words.

    Args:
        core: `Core.to_dict`, without its name and design or with them.
    """
    shown = built_of(core)
    wires = core["wires"]
    names = {"r_p_hat": "R_p_hat", "r_in_hat": "virtual ground R_in_hat", "r_s_hat": "supply R_s_hat"}
    resistances = [f"{name} {wires[key]:g}" for key, name in names.items() if wires.get(key)]
    shown["wires"] = ", ".join(resistances) or "none"
    adc = core["adc"]
    shown["ADC"] = shown["ADC"] if adc is not None and set(adc) & _ERRORS else "none"
    labels = {**_PARTS, "wires": "wires"}
    there = [f"{label} ({shown[key]})" for key, label in labels.items() if shown[key] not in ("none", "ideal")]
    missing = [label for key, label in labels.items() if shown[key] in ("none", "ideal") and key in _ALWAYS_NAMED]
    return f"{', '.join(there) or 'quantisation only'}; left out: {', '.join(missing) or 'nothing'}"


_ERRORS = {"enob", "noise_lsb", "inl_lsb", "dnl_lsb", "thresholds_lsb", "circuit"}
_ALWAYS_NAMED = ("cells", "age of the cells", "peripherals", "corrections", "wires")
"""Parts whose absence is named."""


def own_parts(designs: Sequence[Values]) -> list[str]:
    """Return what is in each row of a table, empty where all rows are alike and its caption says it once.

    Args:
        designs: as in `StudyResult`.
    """
    words = [what_is_in(design["core"]) for design in designs]
    return words if len(set(words)) > 1 else ["" for _ in words]


def caption_of_parts(designs: list[Values]) -> str:
    """Return what acts on the results of a table: one sentence where all rows are alike, else one a design.

    Args:
        designs: as in `StudyResult`.
    """
    words = {design["name"]: what_is_in(design["core"]) for design in designs}
    if len(set(words.values())) == 1:
        return f"In every row: {next(iter(words.values()))}."
    return " ".join(f"In {name}: {own}." for name, own in words.items())
