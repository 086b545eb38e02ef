"""Where a number came from: its formula, the counts and constants in it, and the source of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from devicekit.errors import unknown_name
from devicekit.provenance import Constant
from energy.errors import EnergyError
from energy.expressions import Array
from energy.formulas import Formulas

DIGITS = 12
"""Significant digits of the values in an explanation, enough to compute the number again."""


@dataclass(frozen=True)
class Explanation:
    """One number and what it is made of.

    Attributes:
        name: the quantity.
        value: its value, or one value a slice.
        unit: its unit.
        meaning: one line.
        formula: the expression; None for a constant or a given count.
        inputs: explanations of what the formula reads.
    """

    name: str
    value: float | tuple[float, ...]
    unit: str
    meaning: str
    formula: str | None = None
    inputs: tuple[Explanation, ...] = field(default=(), repr=False)

    def text(self, depth: int = 1) -> str:
        """Return the explanation for reading.

        Args:
            depth: how many levels of formulas to print; 1 is the number's own formula and what it reads.
        """
        blocks = []
        # By identity: the parts of a network's cores bear the same names in different values.
        shown: set[int] = set()
        level: Sequence[Explanation] = [self]
        for _ in range(max(depth, 1)):
            following: list[Explanation] = []
            for explained in level:
                if id(explained) in shown:
                    continue
                shown.add(id(explained))
                blocks.append(explained._block())
                following.extend(entry for entry in explained.inputs if entry.formula is not None)
            level = following
        return "\n".join(blocks)

    def _block(self) -> str:
        lines = [f"{self.name} = {shown_value(self.value)}{' ' + self.unit if self.unit else ''}"]
        lines.append(f"    {self.meaning}")
        if self.formula is not None:
            lines.append(f"    = {self.formula}")
        for entry in self.inputs:
            unit = f" {entry.unit}" if entry.unit else ""
            lines.append(f"    {entry.name} = {shown_value(entry.value)}{unit}: {entry.meaning}")
        return "\n".join(lines)

    def leaves(self) -> Iterator[Explanation]:
        """Yield the constants and given counts that the number rests on, each once."""
        seen: set[int] = set()
        open_ = [self]
        while open_:
            explained = open_.pop(0)
            if id(explained) in seen:
                continue
            seen.add(id(explained))
            if explained.formula is None:
                yield explained
            open_.extend(explained.inputs)


def shown_value(value: float | Sequence[float]) -> str:
    """Return a value, or a list of values, with `DIGITS` significant digits."""
    if isinstance(value, Sequence):
        return "[" + ", ".join(shown_value(entry) for entry in value) + "]"
    return f"{value:.{DIGITS}g}"


def provenance(constant: Constant) -> str:
    """Return a constant's value in its own unit, kind, interval and source as one line."""
    unit = f" {constant.unit}" if constant.unit else ""
    interval = ""
    if constant.interval is not None:
        interval = f", 95 % interval {constant.interval[0]:.4g}..{constant.interval[1]:.4g}{unit}"
    return f"{constant.value:.7g}{unit}, {constant.kind}{interval}; {constant.source}"


def explain_quantity(
    name: str,
    formulas: Formulas,
    values: Mapping[str, Array],
    constants: Mapping[str, Constant],
    units: Mapping[str, str],
    given: Mapping[str, str],
    index: int = 0,
) -> Explanation:
    """Return the explanation of one quantity of one design.

    Args:
        name: the quantity.
        formulas: the formulas that were evaluated.
        values: every quantity, (designs, 1, slices).
        constants: provenance of the constants by name.
        units: SI units of the constants.
        given: meaning of what was given, by name.
        index: which design.

    Raises:
        EnergyError: an unknown name.
    """
    made: dict[str, Explanation] = {}

    def build(own: str) -> Explanation:
        if own not in made:
            array = values[own]
            row = np.ravel(array[min(index, array.shape[0] - 1)])
            value = float(row[0]) if row.size == 1 else tuple(float(entry) for entry in row)
            if own in formulas.by_name:
                formula = formulas.by_name[own]
                inputs = tuple(build(read) for read in formula.expression.names)
                made[own] = Explanation(own, value, formula.unit, formula.meaning, formula.text, inputs)
            elif own in constants:
                made[own] = Explanation(own, value, units[own], provenance(constants[own]))
            else:
                made[own] = Explanation(own, value, "", given[own])
        return made[own]

    if name not in values:
        raise EnergyError(unknown_name("quantity", name, values))
    return build(name)


@dataclass(frozen=True)
class IntervalExplanation:
    """One end of an interval.

    Attributes:
        name: the end, such as ``energy_fj_per_op_low``.
        value: its value.
        level: which quantile it is.
        draws: number of draws.
        seed: their seed.
        central: the explanation of the quantity itself.
        joint: constants drawn together.
        alone: constants drawn from their own intervals.
    """

    name: str
    value: float
    level: float
    draws: int
    seed: int
    central: Explanation
    joint: tuple[str, ...]
    alone: tuple[str, ...]

    def text(self, depth: int = 1) -> str:
        """Return the explanation for reading.

        Args:
            depth: how many levels of formulas of the quantity itself to print.
        """
        read = [leaf.name for leaf in self.central.leaves()]
        unit = f" {self.central.unit}" if self.central.unit else ""
        lines = [
            f"{self.name} = {shown_value(self.value)}{unit}",
            f"    {100 * self.level:g} % quantile of {self.central.name} over {self.draws} draws of its constants, "
            f"seed {self.seed}",
        ]
        for names, what in (
            (self.joint, "drawn together (calibrated)"),
            (self.alone, "drawn from their own intervals"),
        ):
            # The default activity is drawn with its statistics, which no formula names.
            active = any(name in ("mean_conductance", "input_activity") for name in read)
            # A network's totals end at its layers, which rest on all that a core rests on.
            layers = any(name.startswith("layers.") for name in read)
            own = [name for name in names if name in read or layers or (active and name.startswith("activity."))]
            if own:
                lines.append(f"    {what}: {', '.join(own)}")
        return "\n".join(lines) + "\n" + self.central.text(depth)
