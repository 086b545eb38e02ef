"""The base class of error models: a law sigma(I) with named parameters, their units, bounds and form in a file.

A subclass is a frozen dataclass that states its `name`, the law (`sigma`) and starting values for a fit (`guess`); each
field says in its metadata what it is (`parameter`). Everything else (checks, units of current, the number of
parameters, fits, draws, device files) follows from that.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devicekit.common.errors import DeviceError, unknown_name
from devicekit.common.numbers import is_real
from devicekit.common.quantities import parse_quantity

Currents = NDArray[np.float64]
Guess = Callable[[ArrayLike, ArrayLike, float], "ErrorModel"]
"""Starting values of a fit from target [A], sigma [A] and i_max [A]."""

_POWERS = {"A": 1, "": 0, "1/A": -1, "A^2": 2, "1/A^2": -2, "V": 0, "K": 0, "s": 0}


@dataclass(frozen=True)
class Domain:
    """Unit and range of one parameter.

    Attributes:
        unit: ``"A"``, an empty text for a pure number, or another unit that `parse_quantity` knows.
        minimum: lowest value, in `unit`.
        maximum: highest value, in `unit`.
        above_minimum: whether the lowest value itself is excluded.
        power: power of the ampere in `unit`: what the value is multiplied by when the unit of current changes.
    """

    unit: str = "A"
    minimum: float = 0.0
    maximum: float = math.inf
    above_minimum: bool = False
    power: int = 1

    def holds(self, value: object) -> bool:
        """Return whether a value is a finite real number in the range."""
        if not is_real(value):
            return False
        low = value > self.minimum if self.above_minimum else value >= self.minimum
        return bool(low and value <= self.maximum)

    @property
    def positive(self) -> bool:
        """Whether no value is below 0; uncertainty then is drawn on the logarithm."""
        return self.minimum >= 0

    def __str__(self) -> str:
        if self.minimum == -math.inf:
            low = ""
        else:
            low = f" above {self.minimum:g}" if self.above_minimum else f" of at least {self.minimum:g}"
        high = "" if self.maximum == math.inf else f"{' and' if low else ' of'} at most {self.maximum:g}"
        return f"a finite number{low}{high}" + (f" {self.unit}" if self.unit not in ("", "A") else "")


def parameter(
    unit: str = "A",
    *,
    minimum: float = 0.0,
    maximum: float = math.inf,
    above_minimum: bool = False,
    power: int | None = None,
) -> dict[str, Domain]:
    """Return the metadata of a dataclass field that is a parameter of an error model.

    ``i_sat: float = field(metadata=parameter("A", above_minimum=True))``; a field without metadata is a current of at
    least 0.

    Args:
        unit: ``"A"``, ``""`` for a pure number, ``"1/A"``, or any other unit.
        minimum: lowest value; fits and draws stay above it. ``-math.inf``: none.
        maximum: highest value. Only pure numbers can have limits other than 0 and none: laws are fitted in units of the
            full scale.
        above_minimum: whether the lowest value itself is excluded.
        power: power of the ampere in `unit`; None: known for the units named above, and for V, K and s.

    Raises:
        DeviceError: a unit whose power of the ampere is neither known nor given, or an impossible range.
    """
    if power is None and unit not in _POWERS:
        raise DeviceError(
            f"The unit {unit!r} of a parameter needs `power`, the power of the ampere in it; known without: "
            + ", ".join(map(repr, _POWERS))
            + "."
        )
    own = _POWERS[unit] if power is None else power
    limited = minimum not in (0.0, -math.inf) or maximum != math.inf
    if not minimum < maximum or (own and limited):
        raise DeviceError(
            "Expected `minimum` of a parameter below its `maximum`, and both to be 0 or infinite where the unit holds"
            f" amperes, but got {minimum!r} and {maximum!r} for {unit!r}."
        )
    return {"domain": Domain(unit, minimum, maximum, above_minimum, own)}


@dataclass(frozen=True)
class ErrorModel(ABC):
    """Spread of the cell current over cells, sigma(I) [A], as a law with named parameters."""

    name: ClassVar[str]
    """What device files, reports and `fit_device(model=...)` call the law."""
    saturated: ClassVar[bool] = False
    """Whether the model passes through every state, `values()` being the spreads of the states in rising order: the
    reference that laws are judged by."""

    def __post_init__(self) -> None:
        for each in fields(self):
            domain, value = _domain(each), getattr(self, each.name)
            require(domain.holds(value), type(self).__name__, each.name, str(domain), value)

    @abstractmethod
    def sigma(self, target: ArrayLike, i_max: float) -> Currents:
        """Return the spread [A] at the programmed currents `target` [A], same shape; i_max is the full scale [A]."""

    @classmethod
    @abstractmethod
    def guess(cls, target: ArrayLike, sigma: ArrayLike, i_max: float) -> Self:
        """Return starting values for a fit from one spread [A] for each programmed current [A]."""

    @classmethod
    def forms(cls) -> dict[str, Guess]:
        """Return what is fitted and compared, by name, each with its starting values; most laws have one form.

        A law whose starting values fix the number of parameters (a floor or none, few knots or many) has several.
        """
        return {cls.name: cls.guess}

    def values(self) -> dict[str, float]:
        """Return the free parameters by name, in SI units and in a fixed order."""
        return {each.name: float(getattr(self, each.name)) for each in fields(self)}

    def with_values(self, values: Mapping[str, float]) -> Self:
        """Return the same law with other parameter values.

        Args:
            values: all or some of the names of `values()`.
        """
        return replace(self, **values)

    def domain(self, parameter: str) -> Domain:
        """Return unit and range of a parameter of `values()`."""
        return _domain(type(self).__dataclass_fields__[parameter])

    def unit(self, parameter: str) -> str:
        """Return the unit of a parameter of `values()`: ``"A"``, an empty text for a pure number, or another."""
        return self.domain(parameter).unit

    def scaled(self, factor: float) -> Self:
        """Return the same law for currents in a unit `factor` times smaller: I becomes factor * I."""
        return self.with_values(
            {
                name: value * factor**power
                for name, value in self.values().items()
                if (power := self.domain(name).power) != 0
            }
        )

    def to_table(self) -> dict[str, Any]:
        """Return the arguments as a device file states them: numbers, or text with a unit; without what is default."""
        table: dict[str, Any] = {}
        for each in fields(self):
            value, unit = getattr(self, each.name), _domain(each).unit
            if value is None or value == each.default:
                continue
            numbers = [float(number) for number in (value if isinstance(value, tuple) else (value,))]
            stated = [f"{number!r} {unit}" if unit else number for number in numbers]
            table[each.name] = stated if isinstance(value, tuple) else stated[0]
        return table

    @classmethod
    def from_table(cls, table: Mapping[str, Any], place: str) -> Self:
        """Return the model that a table of arguments describes, as `to_table` writes it.

        Args:
            table: numbers in SI units, or text with a unit, or lists of them, by argument.
            place: where they stand, for errors.

        Raises:
            DevicekitError: an unknown, missing or impossible argument; the message names it.
        """
        known = {each.name: each for each in fields(cls)}
        arguments: dict[str, Any] = {}
        for name, value in table.items():
            if name not in known:
                raise DeviceError(f"{place}.parameters: " + unknown_name("parameter", name, known))
            unit, where = _domain(known[name]).unit or "dimensionless", f"{place}.{name}"
            several = isinstance(value, list | tuple)
            numbers = tuple(parse_quantity(item, unit, where) for item in (value if several else (value,)))
            arguments[name] = numbers if several else numbers[0]
        needed = {name for name, each in known.items() if each.default is MISSING}
        if missing := sorted(needed - arguments.keys()):
            raise DeviceError(f"{place}.parameters: {cls.name} also needs {', '.join(missing)}.")
        return cls(**arguments)


def _domain(each: Field[Any]) -> Domain:
    domain: Domain = each.metadata.get("domain", Domain())
    return domain


def require(condition: bool, model: str, argument: str, requirement: str, received: object) -> None:
    """Refuse an argument of an error model, or another part of a cell, by name."""
    if not condition:
        raise DeviceError(f"{model}: expected `{argument}` to be {requirement}, but got {received!r}.")


def finite_numbers(values: Sequence[float]) -> Currents | None:
    """Return finite numbers as an array, or None for anything else."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return array if array.ndim == 1 and bool(np.all(np.isfinite(array))) else None


def sorted_states(target: ArrayLike, sigma: ArrayLike) -> tuple[Currents, Currents]:
    """Return targets in rising order with their spreads, spreads of 0 lifted to 1e-9 of the largest."""
    targets, sigmas = np.asarray(target, dtype=np.float64), np.asarray(sigma, dtype=np.float64)
    order = np.argsort(targets)
    return targets[order], np.maximum(sigmas[order], 1e-9 * max(float(np.max(sigmas)), 1e-300))
