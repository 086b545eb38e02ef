"""Shapes of a network's layers from a CSV file, where the network itself is not at hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from circuits import LayerShape
from devicekit.common.errors import DesignError
from devicekit.common.foreign import reading
from devicekit.common.paths import is_file
from energy.errors import EnergyError

LARGEST = 10**9
"""Rows, columns, products or groups of the largest layer that is believed."""
COLUMNS = ("name", "rows", "columns", "mvms", "groups")


def read_layers(path: str | Path) -> list[LayerShape]:
    """Return the layers of a CSV file with columns ``name, rows, columns`` and perhaps ``mvms, groups``.

    Args:
        path: the file; ``mvms`` and ``groups`` are 1 where absent.

    Raises:
        EnergyError: no such file, no table, a missing column, or an entry that is no whole number above 0.
    """
    path = Path(path)
    if not is_file(path):
        raise EnergyError(f"No file of layers {str(path)!r}.")
    with reading(path, EnergyError, "a CSV table"):
        table = pd.read_csv(path, comment="#", skipinitialspace=True, dtype={"name": str})
    missing = [name for name in COLUMNS[:3] if name not in table.columns]
    if missing:
        raise EnergyError(
            f"{path}: missing column {', '.join(missing)}; found {', '.join(map(str, table.columns)):.200}."
        )
    if table.empty:
        raise EnergyError(f"{path}: expected a row for each layer, but found none.")
    layers = []
    for number, row in enumerate(table.to_dict(orient="records"), start=1):
        sizes = {}
        for key in COLUMNS[1:]:
            value = row.get(key, 1)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value % 1 == 0:
                raise EnergyError(
                    f"{path}: row {number}: expected `{key}` to be a whole number, but got {value!r:.60}."
                )
            if value > LARGEST:
                raise EnergyError(f"{path}: row {number}: expected `{key}` up to {LARGEST:g}, but got {value!r:.40}.")
            sizes[key] = int(value)
        try:
            layers.append(
                LayerShape(
                    name=str(row["name"]),
                    rows=sizes["rows"],
                    columns=sizes["columns"],
                    mvms=sizes["mvms"],
                    groups=sizes["groups"],
                )
            )
        except DesignError as error:
            raise EnergyError(f"{path}: row {number}: {error}") from None
    return layers
