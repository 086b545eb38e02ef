"""Parts of a core beside design, cell and ADC: wires, stuck cells, digital corrections. Plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from circuits.bit_line.resistances import Feed, LineResistances
from circuits.bit_line.solve import BitLineCell
from circuits.bit_line.transistor_cell import Orientation
from devicekit.common.errors import DesignError, UnitError, unknown_name
from devicekit.common.numbers import is_real
from devicekit.common.quantities import parse_quantity

Correction = Literal["drift", "column_trim", "batch_norm"]
"""What the digital side may correct after programming, see `accuracy.evaluate`."""

BIT_LINES: tuple[BitLineCell, ...] = get_args(BitLineCell)


SIZED_RESISTANCE = "sized"
"""In place of an input resistance: that of the circuit that is sized for the design."""


@dataclass(frozen=True)
class Wires:
    """The lines of a core's arrays and how they are solved.

    Resistances are relative to the least cell resistance 1/G_max where their names end in ``_hat``; in Ohm, or as text
    with a unit such as ``"1.2 Ohm"``, they are related to the cell that the core is built with.

    Attributes:
        r_p_hat: bit-line resistance between neighbouring cells; None: the design's.
        bit_line: cell model of the solution: ``"resistor"``, ``"affine"``, ``"relinearised"`` or ``"transistor"``, see
            `circuits.solve_bit_lines`.
        resistance: the bit-line resistance in Ohm instead.
        r_in_hat: resistance of the virtual ground: the input resistance of what a bit line is read with.
        input_resistance: the same in Ohm; ``"sized"``: of the circuit that is sized for the design, whose offset,
            noise and everything else are left out.
        r_s_hat: resistance between neighbouring cells of the line at the cells' other end (supply or source line).
        supply_resistance: the same in Ohm.
        feed: where that line runs and is fed: ``"readout"``, ``"far"`` or ``"rows"``, see
            `circuits.bit_line.resistances.LineResistances`. Lines along the rows are shared by the columns of an array,
            at most `CoreDesign.matrix_columns`, a column's own lines side by side.
        orientation: which end of a cell that is no resistor lies on the bit line: ``"source"``, and `r_s_hat` is of
            its supply line; or ``"drain"``, and `r_s_hat` is of its source line.

    Raises:
        DesignError: a negative resistance, one both relative and in Ohm, an unknown cell model, feed or orientation, or
            resistors with an orientation.
    """

    r_p_hat: float | None = None
    bit_line: BitLineCell = "resistor"
    resistance: float | str | None = None
    r_in_hat: float | None = None
    input_resistance: float | str | None = None
    r_s_hat: float | None = None
    supply_resistance: float | str | None = None
    feed: Feed = "readout"
    orientation: Orientation = "source"

    def __post_init__(self) -> None:
        if self.bit_line not in BIT_LINES:
            raise DesignError("Wires: " + unknown_name("bit-line model", str(self.bit_line), BIT_LINES))
        if self.feed not in get_args(Feed):
            raise DesignError("Wires: " + unknown_name("`feed`", str(self.feed), get_args(Feed)))
        if self.orientation not in get_args(Orientation):
            raise DesignError("Wires: " + unknown_name("`orientation`", str(self.orientation), get_args(Orientation)))
        if self.orientation == "drain" and self.bit_line == "resistor":
            raise DesignError(
                "Wires: a resistor has no source and drain: `orientation` needs another `bit_line`, such as 'affine'."
            )
        for relative, ohm in _RESISTANCES:
            given = getattr(self, ohm)
            if given is not None and (ohm != "input_resistance" or given != SIZED_RESISTANCE):
                try:
                    object.__setattr__(self, ohm, parse_quantity(given, "Ohm", f"`{ohm}`"))
                except UnitError as error:
                    raise DesignError(f"Wires: {error}") from None
            for field in (relative, ohm):
                value = getattr(self, field)
                if value is not None and value != SIZED_RESISTANCE and not (is_real(value) and value >= 0):
                    raise DesignError(
                        f"Wires: expected `{field}` to be none, or finite and at least 0, but got {value!r}."
                    )
            if getattr(self, relative) is not None and given is not None:
                raise DesignError(f"Wires: expected `{relative}` or `{ohm}`, but got both.")

    @property
    def in_ohm(self) -> list[str]:
        """Names of the resistances that are given in Ohm, and wait for a cell."""
        return [ohm for _, ohm in _RESISTANCES if getattr(self, ohm) is not None]

    def relative_resistance(self, g_max: float | None) -> float | None:
        """Return R_p_hat, None where it is left to the design.

        Args:
            g_max: conductance of a full cell [S]; None where the cell is not known.

        Raises:
            DesignError: a resistance in Ohm and no cell to relate it to.
        """
        return self.r_p_hat if self.resistance is None else _related("resistance", self.resistance, g_max)

    def line_resistances(self, r_p_hat: float, g_max: float | None, sized: Callable[[], float]) -> LineResistances:
        """Return the resistances of the lines, all relative.

        Args:
            r_p_hat: of the bit line.
            g_max: conductance of a full cell [S]; None where the cell is not known.
            sized: returns the input resistance of the circuit that is sized for the design [Ohm].

        Raises:
            DesignError: a resistance in Ohm and no cell to relate it to.
        """
        r_in_hat, r_s_hat, ohm = self.r_in_hat or 0.0, self.r_s_hat or 0.0, self.input_resistance
        if ohm is not None:
            own = sized() if ohm == SIZED_RESISTANCE else ohm
            r_in_hat = _related("input_resistance", own, g_max)
        if self.supply_resistance is not None:
            r_s_hat = _related("supply_resistance", self.supply_resistance, g_max)
        return LineResistances(r_p_hat, r_in_hat, r_s_hat, self.feed)

    def to_mapping(self) -> dict[str, Any]:
        """Return the wires as a core's file has them: without what is left open."""
        own = {key: value for key, value in dataclasses.asdict(self).items() if value is not None}
        if not self.r_s_hat and not self.supply_resistance:
            del own["feed"]
        if self.orientation == "source":
            del own["orientation"]
        return own


_RESISTANCES = (
    ("r_p_hat", "resistance"),
    ("r_in_hat", "input_resistance"),
    ("r_s_hat", "supply_resistance"),
)
"""Each resistance by its relative name and its name in Ohm."""


def _related(name: str, ohm: float | str, g_max: float | None) -> float:
    if g_max is None:
        raise DesignError(f"Wires: a `{name}` in Ohm is relative to a cell's conductance: give the core a cell.")
    return float(ohm) * g_max


@dataclass(frozen=True)
class Faults:
    """Cells that do not take their target.

    Attributes:
        stuck_low: fraction of cells that stay at g_min.
        stuck_high: fraction of cells that stay at G_max.

    Raises:
        DesignError: fractions that are negative or sum to more than 1.
    """

    stuck_low: float = 0.0
    stuck_high: float = 0.0

    def __post_init__(self) -> None:
        values = (self.stuck_low, self.stuck_high)
        if not all(is_real(value) and value >= 0 for value in values) or sum(values) > 1:
            raise DesignError(
                "Expected the fractions of stuck cells to be at least 0 and to sum to at most 1, but got "
                f"stuck_low={self.stuck_low!r}, stuck_high={self.stuck_high!r}."
            )

    def apply(
        self, conductances: NDArray[np.float64], g_min: float, chance: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return conductances of which some are stuck.

        Args:
            conductances: normalised, any shape.
            g_min: conductance of an idle cell.
            chance: one uniform number a cell, same shape.
        """
        low = np.where(chance < self.stuck_low, g_min, conductances)
        return np.where(chance >= 1.0 - self.stuck_high, 1.0, low)


Part = TypeVar("Part", Wires, Faults)
WiresLike = Wires | float | Mapping[str, Any]
FaultsLike = Faults | Mapping[str, Any]


def part_from_mapping(part: type[Part], values: Mapping[str, Any]) -> Part:
    """Return wires or faults from plain values.

    Args:
        part: `Wires` or `Faults`.
        values: its fields.

    Raises:
        DesignError: an unknown field, or an impossible value.
    """
    known = [field.name for field in dataclasses.fields(part)]
    for key in values:
        if key not in known:
            raise DesignError(unknown_name(f"field of {part.__name__.lower()}", str(key), known))
    return part(**values)


def as_wires(wires: WiresLike) -> Wires:
    """Return wires from wires, plain values, or a plain R_p_hat.

    Raises:
        DesignError: impossible wires, or something that is none of these.
    """
    if isinstance(wires, Wires):
        return wires
    if isinstance(wires, Mapping):
        return part_from_mapping(Wires, wires)
    if isinstance(wires, int | float) and not isinstance(wires, bool):
        return Wires(float(wires))
    raise DesignError(f"Expected `wires` to be Wires or a number, but got {type(wires).__name__}.")


def as_faults(faults: FaultsLike) -> Faults:
    """Return faults from faults or plain values.

    Raises:
        DesignError: impossible fractions, or something that is none of these.
    """
    if isinstance(faults, Faults):
        return faults
    if isinstance(faults, Mapping):
        return part_from_mapping(Faults, faults)
    raise DesignError(f"Expected `faults` to be Faults, but got {type(faults).__name__}.")


def checked_corrections(wanted: str | Sequence[str]) -> tuple[Correction, ...]:
    """Return corrections in the order given; one name alone is one correction.

    Raises:
        DesignError: an unknown name, one twice, or something that is no list of names.
    """
    known: dict[str, Correction] = {name: name for name in get_args(Correction)}
    names = (wanted,) if isinstance(wanted, str) else wanted
    if not isinstance(names, Sequence):
        raise DesignError(f"Expected `corrections` to be a list of names, but got {wanted!r}.")
    for name in names:
        if name not in known:
            raise DesignError(unknown_name("correction", str(name), known))
    return tuple(known[name] for name in names)
