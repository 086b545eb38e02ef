"""Which of a network's matrices are on arrays, as a table with shares of weights and multiply-accumulates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Matrix:
    """One row of a coverage.

    Attributes:
        name: of the layer, of the matrix in a module's code, or of the module that multiplies activations.
        kind: what it is.
        weights: stored numbers of the matrix.
        macs: multiply-accumulates of one inference.
        analog: whether it is on arrays.
        reason: why it is not; empty where it is.
    """

    name: str
    kind: str
    weights: int
    macs: float
    analog: bool
    reason: str = ""


@dataclass(frozen=True)
class Coverage:
    """Which matrices of a network are on arrays.

    Attributes:
        matrices: one entry a matrix.
    """

    matrices: tuple[Matrix, ...]

    @property
    def table(self) -> pd.DataFrame:
        """One row a matrix: name, kind, weights, macs, analog, reason."""
        columns = list(Matrix.__dataclass_fields__)
        return pd.DataFrame([[getattr(row, name) for name in columns] for row in self.matrices], columns=columns)

    @property
    def analog_macs(self) -> float:
        """Fraction of the multiply-accumulates that arrays do, products of two activations among the rest."""
        return _share((row.macs, row.analog) for row in self.matrices)

    @property
    def analog_weights(self) -> float:
        """Fraction of the stored matrices' numbers that are on arrays, look-up tables among the rest."""
        return _share((row.weights, row.analog) for row in self.matrices)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "analog_weights": self.analog_weights,
            "analog_macs": self.analog_macs,
            "matrices": [dict(vars(row)) for row in self.matrices],
        }

    def summary(self) -> str:
        """Return one sentence: what is analog, and what is not and why."""
        text = (
            f"{100 * self.analog_macs:.4g} % of the multiply-accumulates and {100 * self.analog_weights:.4g} % of the "
            "weights are on arrays"
        )
        digital: dict[str, list[str]] = {}
        for row in self.matrices:
            if not row.analog:
                digital.setdefault(row.reason.partition(":")[0], []).append(row.name)
        rest = "; ".join(f"{reason}: {', '.join(names)}" for reason, names in digital.items())
        return f"{text}. Digital: {rest}." if rest else f"{text}."


def _share(parts: Iterable[tuple[float, bool]]) -> float:
    known = list(parts)
    whole = sum(value for value, _ in known)
    return sum(value for value, analog in known if analog) / whole if whole else 0.0
