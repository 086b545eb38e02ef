"""The cores that a network lies on: one for most of its layers, and others for layers by name.

Accuracy and energy take them alike, so that a layer is converted on the core that it is paid for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from circuits.core import AdcLike, CellLike, Core, PeripheralsLike, load_core
from circuits.core_choice import as_core
from circuits.core_parts import FaultsLike, WiresLike
from circuits.designs import CoreDesign
from circuits.network_values import matches
from devicekit.common.errors import DesignError

CoreLike = Core | CoreDesign | str | Path


@dataclass(frozen=True)
class NetworkCores:
    """The core of most layers of a network, and those of some by the pattern of their names.

    Corrections are made for the whole network: a core of some layers that says nothing of them has those of the core of
    the others.

    Attributes:
        core: of every layer that no pattern matches; it names the whole.
        overrides: of layers whose name matches a shell-style pattern (``"layer1.*"``); the first match holds.

    Raises:
        DesignError: an empty pattern, something that is no core, or a core with corrections of its own.
    """

    core: Core
    overrides: Mapping[str, Core] = field(default_factory=dict)

    def __post_init__(self) -> None:
        others = {}
        for pattern, other in self.overrides.items():
            if not (isinstance(pattern, str) and pattern):
                raise DesignError(f"Expected a name pattern of layers, but got {pattern!r}.")
            if not isinstance(other, Core):
                raise DesignError(f"Expected a core for layers {pattern!r}, but got {type(other).__name__}.")
            if other.corrections not in ((), self.core.corrections):
                raise DesignError(
                    f"Corrections are made for the whole network, but the core {other.name!r} of some layers has "
                    f"{other.corrections} and the core {self.core.name!r} of the others {self.core.corrections}."
                )
            same = other.corrections == self.core.corrections
            others[pattern] = other if same else other.replace(corrections=self.core.corrections)
        object.__setattr__(self, "overrides", others)

    @property
    def name(self) -> str:
        """What tables call them: the name of the core of most layers."""
        return self.core.name

    @cached_property
    def kinds(self) -> tuple[Core, ...]:
        """The different cores, that of most layers first."""
        found = [self.core]
        for other in self.overrides.values():
            if other not in found:
                found.append(other)
        return tuple(found)

    @cached_property
    def _kinds_by_pattern(self) -> dict[str, int]:
        return {pattern: self.kinds.index(other) for pattern, other in self.overrides.items()}

    def kind(self, names: Iterable[str]) -> int:
        """Return the place among `kinds` of a layer's core.

        Args:
            names: of the layer, and of what it is part of (`LayerShape.names`).
        """
        called = tuple(names)
        return next((kind for pattern, kind in self._kinds_by_pattern.items() if matches(called, pattern)), 0)

    def of(self, names: Iterable[str]) -> Core:
        """Return the core of a layer.

        Args:
            names: as for `kind`.
        """
        return self.kinds[self.kind(names)]

    def unmatched(self, layers: Iterable[Iterable[str]]) -> list[str]:
        """Return the patterns that match none of some layers.

        Args:
            layers: names of each, as for `kind`.
        """
        called = [tuple(names) for names in layers]
        return [pattern for pattern in self.overrides if not any(matches(names, pattern) for names in called)]

    def each(self, change: Callable[[Core], Core]) -> NetworkCores:
        """Return the cores with every one of them changed.

        Args:
            change: gives a core for a core.
        """
        return NetworkCores(change(self.core), {pattern: change(own) for pattern, own in self.overrides.items()})


def network_cores(
    core: CoreLike | NetworkCores,
    overrides: Mapping[str, CoreLike] | None = None,
    *,
    cell: CellLike | None = None,
    adc: AdcLike | None = None,
    peripherals: PeripheralsLike | None = None,
    wires: WiresLike | None = None,
    faults: FaultsLike | None = None,
) -> NetworkCores:
    """Return the cores of a network ready for use, with what each leaves open filled in.

    Args:
        core: of most layers: as built, a design or a name; or all of them, as they are to stay.
        overrides: of layers by the pattern of their names. What such a core leaves open is that of the others; the
            resistance of its bit lines is its design's.
        cell: fills in the cell of `core`, and so on for the others; None fills in nothing.
        adc: the ADC.
        peripherals: the peripherals; a name is looked up for each design's own use.
        wires: the wires.
        faults: the faults.

    Raises:
        DesignError: something beside cores that stand already; as for `NetworkCores` and `as_core`.
        DevicekitError: as for `Core` and `load_core`.
    """
    parts = {"cell": cell, "adc": adc, "peripherals": peripherals, "wires": wires, "faults": faults}
    if isinstance(core, NetworkCores):
        given = [name for name, value in {**parts, "overrides": overrides or None}.items() if value is not None]
        if given:
            raise DesignError(f"`{given[0]}` is given beside the cores of {core.name!r}, which are as built.")
        for own in core.kinds:
            own.require_cell()
        return core
    main = as_core(core, cell=cell, adc=adc, peripherals=peripherals, wires=wires, faults=faults)
    others = {
        pattern: filled_from(main, other, peripherals=peripherals) for pattern, other in (overrides or {}).items()
    }
    return NetworkCores(main, others)


def filled_from(main: Core, other: CoreLike, *, peripherals: PeripheralsLike | None = None) -> Core:
    """Return the core of some layers with what it leaves open as in the core of the others.

    Args:
        main: the core of the others.
        other: the core.
        peripherals: those that `main` was given, where that was by name: a name means another circuit for another use.

    Raises:
        DesignError: no core, design or name, or parts that do not go together.
    """
    own = Core(other) if isinstance(other, CoreDesign) else load_core(other) if isinstance(other, str | Path) else other
    missing: dict[str, Any] = {"cell": main.cell, "faults": main.faults}
    if main.wires is not None:
        missing["wires"] = dataclasses.replace(main.wires, r_p_hat=None, resistance=None)
    if isinstance(own, Core) and own.design.adc_bits is not None:
        missing |= {"adc": main.adc, "peripherals": main.peripherals if peripherals is None else peripherals}
    return as_core(own, **{part: value for part, value in missing.items() if getattr(own, part, None) is None})
