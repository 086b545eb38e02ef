"""Where accuracy goes: cores with their parts added one after another, from cells alone to the cores as built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from circuits import Core, NetworkCores, Wires


@dataclass(frozen=True)
class Stage:
    """A network's cores with some of their parts.

    Attributes:
        name: the part that comes to those of the stage before.
        cores: with all parts up to it.
    """

    name: str
    cores: NetworkCores


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


def stages(cores: NetworkCores) -> list[Stage]:
    """Return the stages of a network's cores: cells alone, then one part more each time, to the cores as built.

    A part is added to all cores that have it at once.

    Args:
        cores: as built.
    """
    found: list[Stage] = []
    for part in reversed(_PARTS):
        if any(map(part.there, cores.kinds)):
            found.insert(0, Stage(part.name, cores))
            cores = cores.each(_taken_off(part))
    return [Stage(CELLS, cores), *found]


def _taken_off(part: _Part) -> Callable[[Core], Core]:
    return lambda core: core.replace(**part.without(core)) if part.there(core) else core
