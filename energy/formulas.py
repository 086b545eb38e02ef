"""A set of named formulas that refer to each other, evaluated once in order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from energy.errors import EnergyError
from energy.expressions import Array, Environment, Expression, expression


@dataclass(frozen=True)
class Formula:
    """A named quantity and how it follows from others.

    Attributes:
        name: what other formulas and tables call it.
        unit: SI unit of the value; ``""`` for a count or ratio.
        text: the expression.
        meaning: one line for the reader.
        signed: whether the quantity may be negative; counts, areas, energies and times may not.
        unbounded: whether it may be infinite, as the resolution of inputs that are not quantised is.
    """

    name: str
    unit: str
    text: str
    meaning: str
    signed: bool = False
    unbounded: bool = False

    @property
    def expression(self) -> Expression:
        """The compiled expression."""
        return expression(self.text)


class Formulas:
    """Formulas by name, sorted so that each comes after what it reads.

    Args:
        formulas: the formulas; a later one of the same name is refused.
        given: names that the caller's environment will hold.

    Raises:
        EnergyError: a name defined twice, read but never defined, or defined through itself.
    """

    def __init__(self, formulas: Iterable[Formula], given: Iterable[str]) -> None:
        self.given = frozenset(given)
        own: dict[str, Formula] = {}
        for formula in formulas:
            if formula.name in own or formula.name in self.given:
                raise EnergyError(f"The quantity {formula.name!r} is defined twice.")
            own[formula.name] = formula
        self.by_name = own
        self.order = self._sorted(own)

    def _sorted(self, own: Mapping[str, Formula]) -> tuple[Formula, ...]:
        done: dict[str, Formula] = {}
        open_: list[str] = []

        def visit(name: str, reader: str) -> None:
            if name in done or name in self.given:
                return
            if name not in own:
                raise EnergyError(f"The formula of {reader!r} reads {name!r}, which no count or constant defines.")
            if name in open_:
                raise EnergyError(f"The quantity {name!r} is defined through itself: {' -> '.join([*open_, name])}.")
            open_.append(name)
            for read in own[name].expression.names:
                visit(read, name)
            open_.pop()
            done[name] = own[name]

        for name in own:
            visit(name, name)
        return tuple(done.values())

    def evaluate(self, given: Environment) -> dict[str, Array]:
        """Return every quantity, the given ones included.

        Args:
            given: arrays by name, broadcastable to (designs, draws, slices); must hold all of ``self.given``.

        Raises:
            EnergyError: a value that is not finite, or negative where the quantity cannot be.
        """
        values = dict(given)
        for formula in self.order:
            values[formula.name] = value = formula.expression.evaluate(values)
            lowest, highest = (float(value.min()), float(value.max())) if value.size else (0.0, 0.0)
            if math.isnan(lowest) or (math.isinf(highest) and not formula.unbounded):
                raise EnergyError(f"The quantity {formula.name!r} = {formula.text!r:.200} is not finite.")
            if lowest < 0 and not formula.signed:
                raise EnergyError(
                    f"The quantity {formula.name!r} = {formula.text!r:.200} is {lowest:.6g}; expected at least 0 of "
                    f"{formula.meaning or 'it'}."
                )
        return values


def needed(formulas: Formulas, results: Iterable[str]) -> tuple[Formulas, frozenset[str]]:
    """Return the formulas that some results need, and every name among them and their inputs.

    Args:
        formulas: all formulas.
        results: names of the results.
    """
    names: set[str] = set()
    open_ = list(results)
    while open_:
        name = open_.pop()
        if name in names:
            continue
        names.add(name)
        if name in formulas.by_name:
            open_.extend(formulas.by_name[name].expression.names)
    own = [formulas.by_name[name] for name in names if name in formulas.by_name]
    return Formulas(own, names & formulas.given), frozenset(names)
