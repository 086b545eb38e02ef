"""Measurements of cells in SI units, with the account of what was understood of their file and what was not used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from devicekit.common.engineering import engineering
from devicekit.measurements.column_roles import ColumnRole
from devicekit.measurements.raw_tables import Unused

CONDITIONS = ("time", "temperature", "bake_temperature")
"""What a measurement may have been repeated at, beside the target."""
_CELL = ("target", "bake_temperature", "wafer", "die")
"""What tells programmed cells apart, beside their own column; cells of other bakes are other cells."""


@dataclass(frozen=True, eq=False)
class Measurements:
    """Cell currents (or histograms of them) by programmed target, in SI units.

    Attributes:
        place: the file they came from.
        columns: arrays by role, all of one length: ``target`` and ``value`` [A], or ``target``, ``bin_low``,
            ``bin_high`` [A] and ``count`` for histograms; where the file has them ``time`` [s], ``temperature`` and
            ``bake_temperature`` [K], the window that cells were written into, ``target_low`` and ``target_high`` [A],
            and the codes ``cycle`` (programmed again), ``read`` (read again), ``cell``, ``die`` and ``wafer``.
        roles: what each column of the file was taken for, and in which unit.
        notes: what was assumed and what was left out, with counts.
        metadata: what the file says about itself (``kind``, ``source``, ...).
        read_voltage: voltage conductances were turned into currents with [V]; None for currents without one.
        unused: columns, sheets, files and rows that were not read, each with the reason.
        warnings: what may make a fit wrong, each with the option that settles it.
        lower_limit: currents at it are known only to be as small (a limit of the instrument) [A]; None: no such limit.
        upper_limit: currents at it are known only to be as large (a compliance) [A]; None: no such limit.
        bins_are_cut: whether cells outside the listed bins were not counted; else an unlisted bin is an empty one.
        names: the file's own labels by role, in the order of their codes.
    """

    place: str
    columns: Mapping[str, NDArray[np.float64]]
    roles: tuple[ColumnRole, ...] = ()
    notes: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    read_voltage: float | None = None
    unused: tuple[Unused, ...] = ()
    warnings: tuple[str, ...] = ()
    lower_limit: float | None = None
    upper_limit: float | None = None
    bins_are_cut: bool = False
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_histogram(self) -> bool:
        """Whether rows are bins with counts instead of cells."""
        return "count" in self.columns

    @property
    def rows(self) -> int:
        """Reads of cells, or bins of histograms."""
        return len(self.columns["target"])

    @property
    def cells(self) -> int:
        """Cells that were programmed: read again, later, hotter or after another cycle they are still the same ones.

        Without a column of cells, as many as were looked at most under one condition.
        """
        if "cell" in self.columns and not self.is_histogram:
            return len(np.unique(self._codes((*_CELL, "cell"))))
        weight = self.columns.get("count", np.ones(self.rows))
        group, looks = self._codes(_CELL), self._codes(("time", "temperature", "read", "cycle"))
        table = np.zeros((int(group.max()) + 1, int(looks.max()) + 1))
        np.add.at(table, (group, looks), weight)
        return round(float(table.max(axis=1).sum()))

    @property
    def kind(self) -> str:
        """How the numbers were obtained, as the file says; measured where it says nothing."""
        return self.metadata.get("kind", "measured")

    @property
    def condition_count(self) -> int:
        """Number of combinations of time and temperatures that were measured."""
        return len(np.unique(self._codes(CONDITIONS)))

    @property
    def windows(self) -> pd.DataFrame:
        """Targets that were windows: ``target``, ``low``, ``high`` [A], ``cells``, ``inside`` (share of them)."""
        columns = self.columns
        if "target_low" not in columns or self.is_histogram:
            return pd.DataFrame(columns=["target", "low", "high", "cells", "inside"])
        inside = (columns["value"] >= columns["target_low"]) & (columns["value"] <= columns["target_high"])
        table = pd.DataFrame(
            {
                "target": columns["target"],
                "low": columns["target_low"],
                "high": columns["target_high"],
                "inside": inside.astype(np.float64),
            }
        )
        found = table.groupby(["target", "low", "high"])["inside"].agg(["size", "mean"]).reset_index()
        return found.rename(columns={"size": "cells", "mean": "inside"})

    @property
    def understood(self) -> dict[str, Any]:
        """What was read and what was not, as plain values: columns, unused, warnings, notes, files, counts."""
        return {
            "place": self.place,
            "kind": self.kind,
            "rows": self.rows,
            "cells": self.cells,
            "conditions": self.condition_count,
            "histogram": self.is_histogram,
            "columns": [
                {"column": line.header, "role": line.role, "unit": line.unit, "unit_from": line.unit_from,
                 "rows": line.rows}
                for line in self.roles
            ],
            "unused": [
                {"kind": item.kind, "name": item.name, "reason": item.reason, "explains": item.explains, "p": item.p}
                for item in self.unused
            ],
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "read_voltage_v": self.read_voltage,
            "lower_limit_a": self.lower_limit,
            "upper_limit_a": self.upper_limit,
            "windows": [
                {"target_a": row.target, "low_a": row.low, "high_a": row.high, "cells": int(row.cells),
                 "inside": row.inside}
                for row in self.windows.itertuples()
            ],
        }  # fmt: skip

    def where(self, mask: NDArray[np.bool_]) -> Self:
        """Return the rows of a mask."""
        return replace(self, columns={role: values[mask] for role, values in self.columns.items()})

    def describe(self) -> str:
        """Return what was read, column by column, and what was not, as text."""
        told = [(str(line), line.unit_from, str(line.rows)) for line in self.roles]
        heads = ("role = column [unit]", "unit from", "rows")
        widths = [max(len(name), *(len(row[at]) for row in told)) if told else 0 for at, name in enumerate(heads)]
        lines = [f"{self.place}: {self._size()} ({self.kind})"]
        lines += [
            f"  {role:<{widths[0]}}  {unit:<{widths[1]}}  {rows:>{widths[2]}}"
            for role, unit, rows in ([heads, *told] if told else [])
        ]
        lines += [f"  not used: {item}" for item in self.unused]
        lines += [
            f"  window {engineering(row.low, 'A', 3)} to {engineering(row.high, 'A', 3)}: {row.inside:.1%} of"
            f" {row.cells} cells end inside"
            for row in self.windows.itertuples()
        ]
        lines += [f"  warning: {text}" for text in self.warnings]
        lines += [f"  note: {text}" for text in self.notes]
        return "\n".join(lines)

    def _size(self) -> str:
        rows, cells = self.rows, self.cells
        if self.is_histogram:
            return f"{rows} bins of histograms, {cells} cells"
        if cells == rows:
            return f"{rows} cells"
        counts = {
            name: len(np.unique(self.columns[role]))
            for role, name in zip(CONDITIONS, ("times", "temperatures", "bakes"), strict=True)
            if role in self.columns
        }
        at = " and ".join(f"{count} {name}" for name, count in counts.items() if count > 1)
        return f"{cells} cells, {rows} reads" + (f" at {at}" if at else "")

    def _codes(self, roles: Sequence[str]) -> NDArray[np.int64]:
        codes = np.zeros(self.rows, dtype=np.int64)
        for role in roles:
            if role in self.columns:
                distinct, own = np.unique(self.columns[role], return_inverse=True)
                codes = np.unique(codes * len(distinct) + own, return_inverse=True)[1]
        return codes
