"""Objectives and constraints of a study: which number of a result they speak of, in which unit, which way is better."""

from __future__ import annotations

import re
from dataclasses import dataclass

from devicekit.common.errors import UnitError, unknown_name
from devicekit.common.quantities import parse_quantity


@dataclass(frozen=True)
class Quantity:
    """A number that a study may limit or minimise.

    Attributes:
        name: what a study calls it.
        part: where it stands in a point's results: ``accuracy``, ``cost`` (of one core) or ``network_cost``.
        field: its name there.
        label: its name on the page.
        unit: the unit it stands in there; of shares, points or per cent.
        scale: what a number of that unit is multiplied with for the result's own number (shares are fractions).
        si_unit: SI unit that texts with a unit are read in; empty where only `unit` may stand behind a number.
        si: value of one `unit` in it.
        more_is_better: whether larger values are better.
    """

    name: str
    part: str
    field: str
    label: str
    unit: str
    scale: float = 1.0
    si_unit: str = ""
    si: float = 1.0
    more_is_better: bool = False


QUANTITIES = {
    own.name: own
    for own in (
        Quantity("loss", "accuracy", "loss", "Loss", "points", 0.01),
        Quantity("accuracy", "accuracy", "mean", "Accuracy", "%", 0.01, more_is_better=True),
        Quantity("network_energy", "network_cost", "energy_gated_uj", "Network energy", "uJ", 1.0, "J", 1e-6),
        Quantity("network_area", "network_cost", "area_mm2", "Network area", "mm2", 1.0, "m^2", 1e-6),
        Quantity("network_latency", "network_cost", "latency_us", "Network latency", "us", 1.0, "s", 1e-6),
        Quantity("network_cores", "network_cost", "cores", "Cores", ""),
        Quantity("energy", "cost", "energy_fj_per_op", "Core energy", "fJ/op", 1.0, "J", 1e-15),
        Quantity("area", "cost", "area_mm2", "Core area", "mm2", 1.0, "m^2", 1e-6),
        Quantity("latency", "cost", "latency_ns", "Core latency", "ns", 1.0, "s", 1e-9),
        Quantity("tops_per_w", "cost", "tops_per_w", "Efficiency", "TOPS/W", more_is_better=True),
    )
}
"""What objectives and constraints may speak of."""

OBJECTIVES = ("loss", "network_energy", "network_area", "network_latency")
"""Objectives of a study that names none."""

_FORM = re.compile(r"\s*(\w+)\s*(<=|>=|<|>)\s*(.+?)\s*")
_SHARES = {"point": 0.01, "points": 0.01, "%": 0.01, "percent": 0.01}
_AREA = re.compile(r"\b(mm|um|cm|m)\s*(2|²)")


@dataclass(frozen=True)
class Constraint:
    """A limit of one number.

    Attributes:
        quantity: the number.
        at_most: whether it must not be above the limit; else not below.
        limit: in the unit of the result's own number (shares as fractions).
        text: as the user wrote it.
    """

    quantity: Quantity
    at_most: bool
    limit: float
    text: str

    def holds(self, value: float) -> bool:
        """Return whether a value keeps to the limit.

        Args:
            value: the result's own number.
        """
        return value <= self.limit if self.at_most else value >= self.limit


def quantity_of(name: str) -> Quantity:
    """Return the quantity of that name.

    Raises:
        ValueError: unknown; the message names the nearest.
    """
    if name not in QUANTITIES:
        raise ValueError(unknown_name("quantity", name, QUANTITIES))
    return QUANTITIES[name]


def constraint_of(text: str) -> Constraint:
    """Return a constraint from its text, such as ``"loss <= 1 point"`` or ``"network_area <= 1 mm2"``.

    Args:
        text: NAME, ``<=`` or ``>=``, a number with its unit.

    Raises:
        ValueError: another form, an unknown name, or a unit that does not fit.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"expected NAME <= VALUE UNIT, such as 'loss <= 1 point', but got {text!r}")
    name, sign, amount = found.groups()
    own = quantity_of(name)
    return Constraint(own, sign.startswith("<"), _limit(own, amount), text)


def _limit(own: Quantity, amount: str) -> float:
    number, _, unit = amount.partition(" ")
    unit = unit.strip()
    try:
        plain: float | None = float(number)
    except ValueError:
        plain = None
    if own.part == "accuracy":
        # A metric that is no share (a loss, a perplexity) is limited in its own numbers.
        if plain is None or (unit and unit not in _SHARES):
            raise ValueError(
                f"expected {own.name!r} as a number of points or per cent, such as '1 point', but got {amount!r}"
            )
        return plain * _SHARES.get(unit, 1.0)
    if plain is not None and unit in (own.unit, ""):
        return plain * own.scale
    if not own.si_unit:
        raise ValueError(
            f"expected {own.name!r} as a number{f' of {own.unit}' if own.unit else ''}, but got {amount!r}"
        )
    try:
        text = _AREA.sub(r"\1^2", amount.removesuffix("/op"))
        return parse_quantity(text, own.si_unit, f"the limit of {own.name!r}") / own.si
    except UnitError as error:
        raise ValueError(str(error)) from None
