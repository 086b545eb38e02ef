"""The designs' part of a study: where each one comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from circuits import CoreDesign, design_notes
from devicekit import data_path
from reports.results import Provenance


def design_sources(asked: Sequence[str], designs: Sequence[CoreDesign]) -> list[Provenance]:
    """Return where each design comes from and what of it is assumed.

    Args:
        asked: names as the user gave them: bundled ones, or ``FILE:NAME``.
        designs: the designs, in the same order.
    """
    entries = []
    for name, design in zip(asked, designs, strict=True):
        notes = _notes(name)
        assumed = list(map(str, notes.get("assumed", ())))
        note = str(notes.get("note", ""))
        source = str(notes.get("source", "given by the user"))
        if assumed:
            source += f"; filled in for want of a source: {', '.join(assumed)}"
        entries.append(
            Provenance(
                room="core designs",
                name=design.name,
                value="",
                unit="",
                kind="published" if "source" in notes and not assumed else "assumed",
                source=f"{note[:1].upper()}{note[1:]}. {source}" if note else source,
            )
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
