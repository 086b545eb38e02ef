"""Update models as the lookup tables that CrossSim trains with: the change of conductance by state and by chance.

The form is that of CrossSim's `create_lookup_table`: a text file each for rising and falling pulses,
`dG_increasing.txt` and `dG_decreasing.txt`; a line that says what follows, a line of conductances [S], a line of
cumulative probabilities from 0 to 1, and a matrix of changes [S] with a row for each probability and a column for each
conductance. Both files share their conductances and probabilities, evenly spaced. CrossSim draws a probability and
looks the change up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import special

from devicekit.common.errors import DeviceError
from devicekit.common.file_sets import replacing_together
from devicekit.pulses.update_models import UpdateModel

Floats = NDArray[np.float64]
FILES = ("dG_increasing.txt", "dG_decreasing.txt")
_TITLE = "1st Row = Gbins, 2nd Row = CDF Points, 3rd row onward =  dG matrix (rows= CDF, columns = Gbins) "


@dataclass(frozen=True, eq=False)
class LookupTable:
    """Changes of one direction.

    Attributes:
        conductance: rising, evenly spaced [S], shape (states,).
        probability: 0 to 1, evenly spaced, shape (points,).
        change: change that is not exceeded with that probability [S], shape (points, states).
    """

    conductance: Floats
    probability: Floats
    change: Floats


def lookup_table(model: UpdateModel, up: bool, points: int = 501) -> LookupTable:
    """Return the changes of one direction: the mean change plus the noise of a pulse at every probability.

    The ends of the distribution, probability 0 and 1, are taken half a step inside: a normal has none.

    Args:
        model: an update model with that direction, conductances in S.
        up: whether pulses raise the conductance.
        points: of both grids.
    """
    if points < 2:
        raise DeviceError(f"Expected `points` to be at least 2, but got {points!r}.")
    conductance = np.linspace(model.g_min, model.g_max, points)
    probability = np.linspace(0.0, 1.0, points)
    inside = np.clip(probability, 0.5 / (points - 1), 1.0 - 0.5 / (points - 1))
    change = model.change(conductance, up) + special.ndtri(inside)[:, None] * model.noise(conductance, up)
    return LookupTable(conductance, probability, change)


def write_tables(model: UpdateModel, folder: str | Path, points: int = 501, unit: str = "S") -> tuple[Path, Path]:
    """Write both lookup tables.

    Args:
        model: an update model with both directions.
        folder: made where it is not there.
        points: of both grids; CrossSim's own tables have 501.
        unit: of the model's conductances.

    Returns:
        The paths of the rising and the falling table.

    Raises:
        DeviceError: one direction was not measured, or conductances have no unit.
    """
    if unit != "S":
        raise DeviceError("CrossSim's tables hold conductances in S, but the pulses were given without a unit.")
    tables = [lookup_table(model, up, points) for up in (True, False)]
    place = Path(folder)
    with replacing_together(place) as together:
        for name, table in zip(FILES, tables, strict=True):
            with (together / name).open("w", encoding="utf-8") as file:
                file.write(_TITLE + "\n")
                for row in (table.conductance, table.probability):
                    file.write(",".join(repr(float(value)) for value in row) + "\n")
                np.savetxt(file, table.change, delimiter=",", fmt="%.9e")
    return place / FILES[0], place / FILES[1]


def read_table(path: str | Path) -> LookupTable:
    """Return a lookup table from its file.

    Raises:
        DeviceError: the file is no table of that form.
    """
    place = Path(path)
    try:
        lines = place.read_text(encoding="utf-8").splitlines()
        rows = [np.array(line.split(","), dtype=np.float64) for line in lines[1:] if line.strip()]
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise DeviceError(f"{place}: cannot be read as a lookup table: {error}.") from error
    if len(rows) < 3 or any(len(row) != len(rows[0]) for row in rows[2:]) or len(rows) - 2 != len(rows[1]):
        raise DeviceError(
            f"{place}: expected a line of conductances, a line of probabilities and a row of changes for each"
            " probability."
        )
    return LookupTable(rows[0], rows[1], np.stack(rows[2:]))
