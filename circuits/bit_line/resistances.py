"""Resistances around the cells of an array, all over the least cell resistance 1/G_max: plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from circuits.designs import LARGEST_R_P_HAT
from circuits.errors import CircuitError
from devicekit.common.errors import unknown_name
from devicekit.common.plain import PlainValues

Feed = Literal["readout", "far", "rows"]
"""Where the line at the cells' other end is fed, see `LineResistances`."""


@dataclass(frozen=True)
class LineResistances(PlainValues):
    """Resistances of an array's lines over the least cell resistance.

    A cell lies between its bit line and the line at its other end: the supply line, held at V_D, or the source line,
    held at ground, whichever end of the cell the bit line takes.

    Attributes:
        r_p_hat: of the bit line, between neighbouring cells, and once more from the last cell to the readout.
        r_in_hat: of the virtual ground: input resistance of what a bit line is read with, in series with its end.
        r_s_hat: of the line at the cells' other end, between neighbouring cells, and once more from its first or last
            cell to where it is fed.
        feed: where that line runs and is fed: ``"readout"``, along the bit line, from the readout's end; ``"far"``,
            along the bit line, from the other end; ``"rows"``, along the row, one line for all columns, from the side
            of column 0.

    Raises:
        CircuitError: a resistance that is no finite number of at least 0, or beyond that of an open line; an unknown
            feed.
    """

    r_p_hat: float = 0.0
    r_in_hat: float = 0.0
    r_s_hat: float = 0.0
    feed: Feed = "readout"

    def __post_init__(self) -> None:
        for name in ("r_p_hat", "r_in_hat", "r_s_hat"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
                raise CircuitError(f"Expected `{name}` to be a number of at least 0, but got {value!r}.")
            if not (math.isfinite(value) and value >= 0):
                raise CircuitError(f"Expected `{name}` to be finite and at least 0, but got {value!r}.")
            object.__setattr__(self, name, float(value))
        if self.feed not in get_args(Feed):
            raise CircuitError(unknown_name("`feed`", str(self.feed), get_args(Feed)))

    @property
    def any(self) -> bool:
        """Whether there is any resistance."""
        return self.r_p_hat > 0 or self.r_in_hat > 0 or self.r_s_hat > 0

    def check_cells(self, most: float) -> None:
        """Refuse resistances beyond those of open lines.

        Args:
            most: largest conductance.

        Raises:
            CircuitError: a resistance, times that conductance where it is above 1, beyond `LARGEST_R_P_HAT`.
        """
        for name in ("r_p_hat", "r_in_hat", "r_s_hat"):
            value = getattr(self, name)
            if value * max(1.0, most) > LARGEST_R_P_HAT:
                raise CircuitError(
                    f"Expected `{name}`, times the largest conductance where that is above 1, to be at most "
                    f"{LARGEST_R_P_HAT:g}, the wire of an open line, but got {value!r}."
                )
