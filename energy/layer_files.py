"""Shapes of a network's layers from a CSV file, where the network itself is not at hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from circuits import LayerShape
from devicekit.common.errors import DesignError
from energy.errors import EnergyError

COLUMNS = ("name", "rows", "columns", "mvms", "groups")


def read_layers(path: str | Path) -> list[LayerShape]:
    """Return the layers of a CSV file with columns ``name, rows, columns`` and perhaps ``mvms, groups``.

    Args:
        path: the file; ``mvms`` and ``groups`` are 1 where absent.

    Raises:
        EnergyError: no such file, no table, a missing column, or an entry that is no whole number above 0.
    """
    path = Path(path)
    if not path.is_file():
        raise EnergyError(f"No file of layers {str(path)!r}.")
    try:
        table = pd.read_csv(path, comment="#", skipinitialspace=True, dtype={"name": str})
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise EnergyError(f"{path}: not a CSV table: {error}.") from error
    missing = [name for name in COLUMNS[:3] if name not in table.columns]
    if missing:
        raise EnergyError(f"{path}: missing column {', '.join(missing)}; found {', '.join(map(str, table.columns))}.")
    layers = []
    for number, row in enumerate(table.to_dict(orient="records"), start=1):
        sizes = {}
        for key in COLUMNS[1:]:
            value = row.get(key, 1)
            if isinstance(value, bool) or not isinstance(value, int | float) or value != value or value % 1:
                raise EnergyError(f"{path}: row {number}: expected `{key}` to be a whole number, but got {value!r}.")
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
