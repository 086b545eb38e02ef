"""A table whose columns are understood: arrays by role in SI, one row a cell (or a bin), with what was left out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from devicekit.measurements.column_roles import ColumnRole
from devicekit.measurements.raw_tables import RawTable, Unused

Array = NDArray[np.generic]


@dataclass
class Interpreted:
    """Arrays by role, with how they were found.

    Attributes:
        place: the file, for errors.
        columns: numbers in SI by role; labels (``cell``, ``die``, ``state``, ...) as numbers or text.
        roles: the account of the columns.
        notes: what was assumed or done.
        warnings: what may make the numbers wrong.
        unused: what was not read.
        spare: entries of columns without a role, one a row.
        tables: the raw tables.
        table_of: which of them each row is from.
        row_of: and which row of it.
        metadata: what the file says about itself.
        read_voltage: [V].
        lower_limit: currents at it are known only to be as small [A]; None: none.
        upper_limit: currents at it are known only to be as large [A]; None: none.
        absolute_time: whether times are stamps of a clock.
        borrowed_target: whether the targets' unit is not their own.
        target_scale: factor that turned the numbers of the target column into SI.
    """

    place: str
    columns: dict[str, Array] = field(default_factory=dict)
    roles: list[ColumnRole] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unused: list[Unused] = field(default_factory=list)
    spare: dict[str, Array] = field(default_factory=dict)
    tables: tuple[RawTable, ...] = ()
    table_of: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    row_of: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    metadata: dict[str, str] = field(default_factory=dict)
    read_voltage: float | None = None
    lower_limit: float | None = None
    upper_limit: float | None = None
    absolute_time: bool = False
    borrowed_target: bool = False
    target_scale: float = 1.0

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values()))) if self.columns else 0

    @property
    def is_histogram(self) -> bool:
        """Whether rows are bins."""
        return "count" in self.columns

    def kept(self, mask: NDArray[np.bool_]) -> Interpreted:
        """Return the rows of a mask."""
        return replace(
            self,
            columns={role: values[mask] for role, values in self.columns.items()},
            spare={name: values[mask] for name, values in self.spare.items()},
            table_of=self.table_of[mask],
            row_of=self.row_of[mask],
        )

    def where(self, row: int) -> str:
        """Return ``file:line`` of a row."""
        return self.tables[int(self.table_of[row])].row(int(self.row_of[row]))

    def numbers(self, role: str) -> NDArray[np.float64]:
        """Return a column as numbers."""
        return np.asarray(self.columns[role], dtype=np.float64)
