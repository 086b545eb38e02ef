"""Constants of a fitted cell (full scale, on/off ratio, read voltage): as given, as stated in the file, or assumed."""

from __future__ import annotations

import math
from pathlib import Path

from devicekit.common.provenance import Constant, kind_named
from devicekit.common.quantities import parse_quantity
from devicekit.measurements.measurements import Measurements


class CellFacts:
    """Constants of a cell with their provenance, and a note for each that had to be assumed.

    Attributes:
        provenance: constants by name.
        notes: sentences about assumptions.
    """

    def __init__(self, measurements: Measurements) -> None:
        self.measurements = measurements
        self.provenance: dict[str, Constant] = {}
        self.notes: list[str] = []

    def number(self, name: str, given: float | str | None, unit: str, otherwise: float, reason: str) -> float:
        """Return one constant in SI units: the given one, else the file's, else the assumed one.

        Args:
            name: its name, also the key in the file's metadata.
            given: the argument of `fit_device`; None: not given.
            unit: SI unit, empty for a pure number.
            otherwise: the value to assume.
            reason: why that value, for the note.

        Raises:
            UnitError: text that is no quantity of that unit.
        """
        place = Path(self.measurements.place).name
        stated = self.measurements.metadata.get(name)
        # As the file says of it; else a number beside the data is of their kind: resampled is not measured.
        kind = kind_named(self.measurements.metadata.get(f"{name}_kind", self.measurements.kind))
        if given is not None:
            value, source = parse_quantity(given, unit or "dimensionless", f"`{name}`"), "given by the user"
            kind = "assumed"
        elif stated is not None:
            value = parse_quantity(_number_or_text(stated), unit or "dimensionless", f"{place}: {name}")
            source = f"stated in {place}"
        elif name == "read_voltage" and self.measurements.read_voltage is not None:
            value, source = self.measurements.read_voltage, f"the measurements of {place} were read with it"
        else:
            value, kind, source = otherwise, "assumed", reason
            self.notes.append(f"{name} is assumed: {value:.4g} {unit}".rstrip() + f", {reason}")
        if math.isfinite(value):
            self.provenance[name] = Constant(value=value, unit=unit or "1", kind=kind, source=source)
        return value


def _number_or_text(stated: str) -> float | str:
    try:
        return float(stated)
    except ValueError:
        return stated
