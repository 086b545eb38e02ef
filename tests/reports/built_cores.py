"""What a study says of a core beside its design, for made-up results."""

from __future__ import annotations

from typing import Any

from circuits import Core, CoreDesign, as_core


def core_of(core: Core | CoreDesign) -> dict[str, Any]:
    """Return the entry ``core`` of a study's result; a design alone has the usual cells."""
    built = as_core(core, cell="sonos_40nm_tcas2022" if isinstance(core, CoreDesign) else None)
    return {part: value for part, value in built.to_dict().items() if part not in ("name", "design")}
