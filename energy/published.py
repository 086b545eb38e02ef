"""Published costs of cores, read as they were printed: the last digit is the precision."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from devicekit.common.paths import data_path, is_file
from energy.errors import EnergyError

COLUMNS = {"energy_fj_per_op": "energy_fj_per_op", "area_mm2": "area_mm2"}
"""Columns of a file of published costs, and the result each one is compared with."""


@dataclass(frozen=True)
class Printed:
    """A published number with the digits it was printed with.

    Attributes:
        text: the digits.
        source: where it is printed.
    """

    text: str
    source: str = ""

    @property
    def value(self) -> float:
        """The number."""
        return float(self.text)

    @property
    def half_digit(self) -> float:
        """Half a unit of the last digit: what rounding may have taken away."""
        exponent = Decimal(self.text).as_tuple().exponent
        assert isinstance(exponent, int)
        return 0.5 * 10.0**exponent

    @property
    def decimals(self) -> int:
        """Digits behind the point."""
        exponent = Decimal(self.text).as_tuple().exponent
        assert isinstance(exponent, int)
        return max(0, -exponent)

    def agrees(self, value: float) -> bool:
        """Whether a value, rounded to the printed digits, is the printed number."""
        return f"{value:.{self.decimals}f}" == f"{self.value:.{self.decimals}f}"


def load_published(name_or_path: str | Path = "cores_published.csv") -> dict[str, dict[str, Printed]]:
    """Return published costs by design and column.

    Args:
        name_or_path: a file of ``data/published``, or a path. Columns ``design`` and those of `COLUMNS`; lines that
            begin with ``#`` are remarks.

    Raises:
        EnergyError: no such file, a missing column, or an entry that is no positive number.
    """
    bundled = data_path("published") / str(name_or_path)
    path = bundled if is_file(bundled) else Path(name_or_path)
    if not is_file(path):
        raise EnergyError(f"No file of published costs {str(name_or_path)!r}.")
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [(number, line) for number, line in enumerate(lines, start=1) if line.strip() and line[0] != "#"]
    reader = csv.DictReader([line for _, line in kept])
    missing = {"design", *COLUMNS} - set(reader.fieldnames or ())
    if missing:
        raise EnergyError(f"{path}: missing column {', '.join(sorted(missing))}; found {reader.fieldnames}.")
    table: dict[str, dict[str, Printed]] = {}
    for (number, _), row in zip(kept[1:], reader, strict=True):
        table[row["design"]] = {}
        for column in COLUMNS:
            printed = Printed(
                (row[column] or "").strip(), f"{path.name}, line {number}, {column} of design {row['design']}"
            )
            try:
                good = Decimal(printed.text) > 0
            except InvalidOperation:
                good = False
            if not good:
                raise EnergyError(f"{path}:{number}: expected {column} to be a number above 0, got {row[column]!r}.")
            table[row["design"]][column] = printed
    return table
