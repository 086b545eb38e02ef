"""Layers of a network on other cores than the rest: what a result says of them, and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from circuits import Core, NetworkCores
from reports.results import Interval, Values, interval_of
from reports.wire_rule import leaves_wires_open


class Layer(Protocol):
    """A layer of a network: its shape, or its analog form."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def names(self) -> tuple[str, ...]:
        """What patterns may call it."""


def without_design(core: Core) -> Values:
    """Return what a core is built of beside its design, as results hold it.

    Args:
        core: as built.
    """
    return {part: value for part, value in core.to_dict().items() if part not in ("name", "design")}


def overrides_shown(cores: NetworkCores, layers: Sequence[Layer]) -> list[Values]:
    """Return which layers lie on other cores than the rest, as results hold it.

    Args:
        cores: as built.
        layers: of the network.

    Returns:
        For each of these cores ``name``, ``layers`` (their names), ``design`` (`CoreDesign.to_dict`), ``core``
        (`Core.to_dict` without name and design) and ``wires_open``, whether line currents have still to decide on its
        wires.
    """
    on: dict[int, list[str]] = {}
    for layer in layers:
        on.setdefault(cores.kind(layer.names), []).append(layer.name)
    return [
        {
            "name": core.name,
            "layers": on[kind],
            "design": core.design.to_dict(),
            "core": without_design(core),
            "wires_open": leaves_wires_open(core),
        }
        for kind, core in enumerate(cores.kinds)
        if kind and kind in on
    ]


MOST_NAMED = 6
"""Layers that a sentence names, at most."""


def layers_named(names: Sequence[str]) -> str:
    """Return names of layers for a sentence, the first few of many.

    Args:
        names: the names.
    """
    if len(names) <= MOST_NAMED:
        return ", ".join(names)
    return f"{', '.join(names[: MOST_NAMED - 1])} and {len(names) - MOST_NAMED + 1} more"


def overrides_of(design: Values) -> list[Values]:
    """Return what a result says of layers on other cores; nothing where it says nothing.

    Args:
        design: as in `StudyResult`, or a point of a `SweepResult`.
    """
    return list(design.get("overrides") or ())


def column_of(design: Values) -> str:
    """Return which layers lie on other cores as the entry of a column, such as ``"conv1 fc: B"``.

    Args:
        design: as for `overrides_of`.
    """
    return "; ".join(f"{' '.join(own['layers'])}: {own['name']}" for own in overrides_of(design))


@dataclass(frozen=True)
class ShownEnergy:
    """The energy that accuracies stand against.

    Attributes:
        part: where it stands in a result: ``cost`` or ``network_cost``.
        field: its name there.
        unit: as it is shown.
        of: what it is of.
    """

    part: str
    field: str
    unit: str
    of: str

    def value(self, design: Values) -> float:
        """Return it.

        Args:
            design: as in `StudyResult`.
        """
        return float(design[self.part][self.field])

    def interval(self, design: Values) -> Interval:
        """Return its interval, or its value twice where it has none.

        Args:
            design: as in `StudyResult`.
        """
        return interval_of(design[self.part], self.field) or (self.value(design), self.value(design))


def shown_energy(designs: Sequence[Values]) -> ShownEnergy:
    """Return the energy that accuracies of some rows stand against.

    It is that of an operation, which compares between networks; where layers lie on several cores, the accuracy is of
    all of them, and so the energy is that of an inference.

    Args:
        designs: as in `StudyResult`.
    """
    if any(map(overrides_of, designs)):
        return ShownEnergy("network_cost", "energy_gated_uj", "µJ", "inference")
    return ShownEnergy("cost", "energy_fj_per_op", "fJ/op", "operation")


def cost_remark(designs: Sequence[Values]) -> str:
    """Return whose the costs of one core are, as a sentence; empty where each row has one core.

    Args:
        designs: as in `StudyResult`.
    """
    if not any(map(overrides_of, designs)):
        return ""
    return "Costs of one core are those of the core that names the row; those of an inference are of all its cores."
