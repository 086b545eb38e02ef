"""Where a number came from: its formula, the counts and constants in it, and the source of each.

An explanation is printed so that the number can be computed again from the text alone. The line that begins with ``=``
is Python: arithmetic with the functions of `energy.expressions` over the names printed below it, or a call of a public
function. Where a number is a quantile, its formula holds for arrays over the draws that the text names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from devicekit.common.errors import unknown_name
from devicekit.common.provenance import Constant
from energy.errors import EnergyError
from energy.expressions import Array
from energy.formulas import Formulas

Value = float | tuple[float, ...]
"""A number, or one number a slice (or layer)."""


@dataclass(frozen=True)
class Draws:
    """Draws of constants, over which a quantile is taken.

    Attributes:
        recipe: Python that makes them: arrays (draws,) [SI] by the constants' names.
        count: how many.
        together: constants drawn from their joint distribution.
        alone: constants drawn each from its own interval.
    """

    recipe: str
    count: int
    together: tuple[str, ...]
    alone: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """One number and what it is made of.

    Attributes:
        name: the quantity; within one explanation the same name is the same number.
        value: its value, or one value a slice.
        unit: its unit.
        meaning: one line.
        formula: the expression; None for a constant or a given count.
        inputs: explanations of what the formula reads.
        draws: where the formula is over draws of the constants that its inputs rest on.
    """

    name: str
    value: Value
    unit: str
    meaning: str
    formula: str | None = None
    inputs: tuple[Explanation, ...] = field(default=(), repr=False)
    draws: Draws | None = None

    def text(self, depth: int = 1) -> str:
        """Return the explanation for reading.

        Args:
            depth: how many levels of formulas to print; 1 is the number's own formula and what it reads.
        """
        blocks = []
        shown: set[str] = set()
        level: Sequence[Explanation] = [self]
        for _ in range(max(depth, 1)):
            following: list[Explanation] = []
            for explained in level:
                if explained.name in shown:
                    continue
                shown.add(explained.name)
                blocks.append(explained._block())
                following.extend(entry for entry in explained.inputs if entry.formula is not None)
            level = following
        return "\n".join(blocks)

    def _block(self) -> str:
        lines = [f"{self.name} = {shown_value(self.value)}{' ' + self.unit if self.unit else ''}"]
        lines.append(f"    {self.meaning}")
        if self.formula is not None:
            lines.append(f"    = {self.formula}")
        if self.draws is not None:
            lines += self._draw_lines(self.draws)
        for entry in self.inputs:
            unit = f" {entry.unit}" if entry.unit else ""
            lines.append(f"    {entry.name} = {shown_value(entry.value)}{unit}: {entry.meaning}")
        return "\n".join(lines)

    def _draw_lines(self, draws: Draws) -> list[str]:
        read = {leaf.name for leaf in self.leaves()}
        lines = [f"    over {draws.count} draws, `{draws.recipe}`"]
        for names, how in ((draws.together, "drawn together"), (draws.alone, "drawn each from its interval")):
            own = [name for name in names if name in read]
            if own:
                lines.append(f"    {how}: {', '.join(own)}")
        return lines

    def parts(self) -> Iterator[Explanation]:
        """Yield everything the number rests on, itself included, each once."""
        seen: set[str] = set()
        open_ = [self]
        while open_:
            explained = open_.pop()
            if explained.name not in seen:
                seen.add(explained.name)
                yield explained
                open_.extend(reversed(explained.inputs))

    def leaves(self) -> Iterator[Explanation]:
        """Yield the constants and given counts that the number rests on, each once."""
        return (explained for explained in self.parts() if explained.formula is None)

    def part(self, name: str) -> Explanation | None:
        """Return the number of a name among those this one rests on; None where there is none."""
        return next((explained for explained in self.parts() if explained.name == name), None)


def shown_value(value: float | Sequence[float]) -> str:
    """Return a value with every digit it takes to compute with it again, or a list of such."""
    if isinstance(value, Sequence):
        return "[" + ", ".join(shown_value(entry) for entry in value) + "]"
    return repr(float(value)).removesuffix(".0")


def provenance(constant: Constant) -> str:
    """Return a constant's value in its own unit, kind, interval and source as one line."""
    unit = f" {constant.unit}" if constant.unit else ""
    interval = ""
    if constant.interval is not None:
        interval = f", 95 % interval {constant.interval[0]:.4g}..{constant.interval[1]:.4g}{unit}"
    return f"{constant.value:.7g}{unit}, {constant.kind}{interval}; {constant.source}"


Leaf = Callable[[str, Value], Explanation]


def explain_quantity(
    name: str, formulas: Formulas, values: Mapping[str, Array], leaf: Leaf, index: int = 0
) -> Explanation:
    """Return the explanation of one quantity of one design.

    Args:
        name: the quantity.
        formulas: the formulas that were evaluated.
        values: every quantity, (designs, 1, slices).
        leaf: explains what no formula gives, by name and value.
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
            else:
                made[own] = leaf(own, value)
        return made[own]

    if name not in values:
        raise EnergyError(unknown_name("quantity", name, values))
    return build(name)


_NAME = re.compile(r"(?<![\w.'\"])[A-Za-z_]\w*(?:\.\w+)*")


def renamed(explained: Explanation, name_of: Callable[[str], str]) -> Explanation:
    """Return an explanation whose quantities have other names, in its formulas as well.

    Args:
        explained: the explanation.
        name_of: the new name for each name.
    """
    made: dict[str, Explanation] = {}

    def build(entry: Explanation) -> Explanation:
        if entry.name not in made:
            formula = entry.formula
            if formula is not None:
                names = {read.name: name_of(read.name) for read in entry.inputs}
                formula = _NAME.sub(lambda match: names.get(match[0], match[0]), formula)
            made[entry.name] = replace(
                entry, name=name_of(entry.name), formula=formula, inputs=tuple(build(read) for read in entry.inputs)
            )
        return made[entry.name]

    return build(explained)


def prefixed(explained: Explanation, prefix: str, shared: Callable[[str], bool]) -> Explanation:
    """Return an explanation whose quantities bear a prefix, so that it may stand beside another core's.

    Args:
        explained: the explanation.
        prefix: such as ``"core."``.
        shared: whether a name stays as it is: that of a constant, which all cores share.
    """
    return renamed(explained, lambda name: name if shared(name) else prefix + name)


def quantile(name: str, central: Explanation, value: float, level: float, draws: Draws) -> Explanation:
    """Return the explanation of one end of an interval.

    Args:
        name: the end, such as ``energy_fj_per_op_low``.
        central: the quantity.
        value: the end's value.
        level: which quantile it is, 0..1.
        draws: what it is taken over.
    """
    meaning = f"{100 * level:g} % quantile of {central.name} over draws of its constants"
    formula = f"numpy.quantile({central.name}, {level:g})"
    return Explanation(name, value, central.unit, meaning, formula, (central,), draws)


def interval_end(name: str) -> tuple[str, float | None]:
    """Return the quantity of which a name is an end of the interval, and which quantile; None for a plain name."""
    for ending, level in (("_low", 0.025), ("_high", 0.975)):
        if name.endswith(ending):
            return name.removesuffix(ending), level
    return name, None
