"""Where the numbers of a study come from: constants of the cell and of the component library, and designs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from circuits import Core, CoreDesign, design_notes, load_design
from circuits.adc import COSTS
from circuits.adc_kinds import DEFAULT_KIND
from devicekit import Cell, Constant, data_path
from devicekit.cells.compensation import compensation_constants
from reports.results import Values

if TYPE_CHECKING:
    from energy import Library


def core_sources(cores: Sequence[Core]) -> list[Values]:
    """Return every constant of the cells and ADCs of some cores, each cell and ADC once.

    Args:
        cores: the cores.
    """
    entries: list[Values] = []
    cells = {core.cell.name: core.cell for core in cores if core.cell is not None}
    for name, cell in cells.items():
        entries += _entries(f"cell: {name}", cell.provenance)
    if any(core.compensation is not None and core.compensation.fraction for core in cores):
        entries += _entries("temperature of the read", compensation_constants())
    for core in cores:
        adc, room = core.adc_in_use, f"ADC: {core.adc_in_use.label}"
        given = {field: adc.cost(field) for field in COSTS}
        constants = {field: constant for field, constant in given.items() if constant is not None}
        if constants and all(entry["room"] != room for entry in entries):
            entries += _entries(room, constants)
    return entries


def library_sources(library: str, cells: Sequence[Cell]) -> list[Values]:
    """Return every constant of a component library, once for each technology that reads it.

    Args:
        library: component library.
        cells: memory cells, of which the first of each technology replaces the library's constants of a cell.
    """
    from energy import load_library

    entries: list[Values] = []
    first = {cell.technology: cell for cell in reversed(cells)}
    for technology in dict.fromkeys(cell.technology for cell in cells):
        loaded = load_library(library).with_cell(first[technology])
        room = f"energy and area: library {loaded.name}"
        if loaded.borrowed:
            room += f", borrowed for cells of {technology or 'no named technology'}"
        entries += _entries(room, loaded.constants)
    return entries


def _entries(room: str, constants: Mapping[str, Constant]) -> list[Values]:
    return [{"room": room, "name": name, **constant.model_dump(mode="json")} for name, constant in constants.items()]


def design_sources(cores: Iterable[tuple[str, Core]]) -> list[Values]:
    """Return where each core comes from and what of it is assumed.

    Args:
        cores: what names each core (a bundled design, or ``FILE:NAME``), and the core.
    """
    entries: list[Values] = []
    for asked, core in cores:
        notes = _notes(asked)
        assumed = list(map(str, notes.get("assumed", ())))
        note = str(notes.get("note", ""))
        source = str(notes.get("source", "given by the user"))
        if assumed:
            source += f"; filled in for want of a source: {', '.join(assumed)}"
        entries.append(
            {
                "room": "core designs",
                "name": core.name,
                "value": None,
                "unit": "",
                "kind": "published" if "source" in notes and not assumed else "assumed",
                "source": f"{note[:1].upper()}{note[1:]}. {source}" if note else source,
                "interval": None,
            }
        )
    return entries


def _notes(asked: str) -> dict[str, Any]:
    path, colon, own = asked.rpartition(":")
    if colon and path:
        return design_notes(path)[own]
    for bundle in sorted(data_path("designs").glob("*.toml")):
        notes = design_notes(bundle.stem)
        if asked in notes:
            return notes[asked]
    return {}


def borrowed_note(designs: Iterable[Values]) -> str:
    """Return which costs rest on a borrowed periphery, as a sentence; empty where none does.

    Args:
        designs: each with its ``name``, the ``cost`` of its core and perhaps the ``network_cost``, as in `StudyResult`.
    """
    lent = {
        design["name"]: design["cost"].get("periphery_borrowed_from")
        or design.get("network_cost", {}).get("periphery_borrowed_from", "")
        for design in designs
    }
    names = [name for name, library in lent.items() if library]
    if not names:
        return ""
    libraries = " and ".join(sorted({library for library in lent.values() if library}))
    which = "" if len(names) == len(lent) else f" of {', '.join(names)}"
    return (
        f"Energy, area and latency{which} rest on a periphery borrowed from {libraries}, a library for cells of "
        "another technology: read current, read voltage and on/off ratio are the cell's own, the other constants of "
        "its circuits are assumed."
    )


def calibration_note(cores: Sequence[Core | CoreDesign], library: str | Library) -> str:
    """Return which of the cores a library was calibrated to, as a sentence; empty where it was to none.

    Args:
        cores: the cores; one with another ADC than the calibrated one, or with aged or hot cells, is predicted.
        library: component library.
    """
    from energy import load_library, load_published

    published, built = load_published(), [Core(core) if isinstance(core, CoreDesign) else core for core in cores]
    loaded = load_library(library)
    fitted = [
        core.name for core in built if core.name in published and _as_published(core) and not _borrows(core, loaded)
    ]
    if not fitted or not loaded.draws or loaded.borrowed:
        return ""
    others = [core.name for core in built if core.name not in fitted]
    note = (
        f"The components' values were calibrated to the published energy and area of {', '.join(fitted)}: there, "
        "agreement and narrow intervals are the calibration's, not a prediction."
    )
    return note + (f" {', '.join(others)} {'is' if len(others) == 1 else 'are'} predicted." if others else "")


def _borrows(core: Core, library: Library) -> bool:
    return core.cell is not None and core.cell.technology != library.technology


def _as_published(core: Core) -> bool:
    fresh = core.cell is None or core.cell.is_fresh
    wires = {"r_p_hat": load_design(core.name).r_p_hat}  # they cost nothing
    usual_adc = core.adc_in_use.kind == DEFAULT_KIND and not core.adc_in_use.has_costs
    return usual_adc and fresh and core.design.replace(**wires) == load_design(core.name)
