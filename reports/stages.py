"""Where accuracy goes: a core with its parts added one after another, from its cells alone to the core as built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from circuits import Core, Wires


@dataclass(frozen=True)
class Stage:
    """A core with some of its parts.

    Attributes:
        name: the part that comes to those of the stage before.
        core: with all parts up to it.
    """

    name: str
    core: Core


@dataclass(frozen=True)
class _Part:
    """A part of a core that costs accuracy or brings it back.

    Attributes:
        name: what figures call it.
        there: whether a core has it.
        without: what to change to take it off.
    """

    name: str
    there: Callable[[Core], bool]
    without: Callable[[Core], dict[str, Any]]


_PARTS = (
    _Part("stuck cells", lambda core: core.faults is not None, lambda _: {"faults": None}),
    _Part("wires", lambda core: core.lines.any, lambda core: {"wires": Wires(0.0, core.bit_line)}),
    _Part("ADC", lambda core: any(core.adc_errors), lambda _: {"adc": None}),
    _Part("periphery", lambda core: core.peripherals is not None, lambda _: {"peripherals": None}),
    _Part("trim", lambda core: bool(core.corrections), lambda _: {"corrections": ()}),
    _Part("temperature", lambda core: core.temperature is not None, lambda _: {"temperature": None}),
    _Part("age", lambda core: bool(core.age), lambda _: {"age": None}),
)
"""In the order in which they are added to the cells."""
CELLS = "cells"


def stages(core: Core) -> list[Stage]:
    """Return a core's stages: cells alone, then one part more each time; the last is the core itself.

    Args:
        core: as built.
    """
    found: list[Stage] = []
    for part in reversed(_PARTS):
        if part.there(core):
            found.insert(0, Stage(part.name, core))
            core = core.replace(**part.without(core))
    return [Stage(CELLS, core), *found]
