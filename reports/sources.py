"""Where the numbers of a study come from: constants of the cell and of the component library, and designs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from circuits import CoreDesign, design_notes, load_design
from devicekit import Cell, Constant, data_path
from reports.results import Values

if TYPE_CHECKING:
    from energy import Library


def cell_sources(cell: Cell) -> list[Values]:
    """Return every constant of a cell.

    Args:
        cell: the cell.
    """
    return _entries(f"cell: {cell.name}", cell.provenance)


def library_sources(library: str, cell: Cell) -> list[Values]:
    """Return every constant of a component library.

    Args:
        library: component library.
        cell: the memory cell whose constants replace the library's.
    """
    from energy import load_library

    loaded = load_library(library).with_cell(cell)
    return _entries(f"energy and area: library {loaded.name}", loaded.constants)


def _entries(room: str, constants: Mapping[str, Constant]) -> list[Values]:
    return [{"room": room, "name": name, **constant.model_dump(mode="json")} for name, constant in constants.items()]


def design_sources(designs: Iterable[tuple[str, CoreDesign]]) -> list[Values]:
    """Return where each design comes from and what of it is assumed.

    Args:
        designs: what names each design (a bundled name, or ``FILE:NAME``), and the design.
    """
    entries: list[Values] = []
    for asked, design in designs:
        notes = _notes(asked)
        assumed = list(map(str, notes.get("assumed", ())))
        note = str(notes.get("note", ""))
        source = str(notes.get("source", "given by the user"))
        if assumed:
            source += f"; filled in for want of a source: {', '.join(assumed)}"
        entries.append(
            {
                "room": "core designs",
                "name": design.name,
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


def calibration_note(designs: Sequence[CoreDesign], library: str | Library) -> str:
    """Return which of the designs a library was calibrated to, as a sentence; empty where it was to none.

    Args:
        designs: the core designs.
        library: component library.
    """
    from energy import load_library, load_published

    published = load_published()
    fitted = [design.name for design in designs if design.name in published and design == load_design(design.name)]
    if not fitted or not load_library(library).draws:
        return ""
    others = [design.name for design in designs if design.name not in fitted]
    note = (
        f"The components' values were calibrated to the published energy and area of {', '.join(fitted)}: there, "
        "agreement and narrow intervals are the calibration's, not a prediction."
    )
    return note + (f" {', '.join(others)} {'is' if len(others) == 1 else 'are'} predicted." if others else "")
