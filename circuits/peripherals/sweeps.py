"""The same characterisation at several temperatures and process corners."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from circuits.peripherals.characterization import Progress, characterize
from circuits.peripherals.model import PeripheralModel
from circuits.peripherals.parameters import NOMINAL_TEMPERATURE, Parameters, load_parameters
from devicekit.provenance import Constant

TEMPERATURES = (248.15, NOMINAL_TEMPERATURE, 358.15)
"""-25, 27 and 85 degrees Celsius [K]."""


def sweep(
    parameters: str | Path | Parameters = "sonos_40nm",
    *,
    temperatures: Sequence[float] = TEMPERATURES,
    corners: Sequence[str] | None = None,
    patterns: int = 16,
    transistors: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[PeripheralModel]:
    """Characterise at every temperature of the typical corner, and at every corner of the nominal temperature.

    Mismatch is left out: what remains moves all columns alike.

    Args:
        parameters: as for `characterize`.
        temperatures: [K].
        corners: corners beside the typical one; None takes all that the parameters name.
        patterns: random bit patterns.
        transistors: as for `characterize`.
        seed: of the patterns, the same everywhere.
        progress: called with (points done, points).

    Returns:
        One model a point: temperatures in the order given, then corners.

    Raises:
        PeripheralError: unknown corner or impossible temperature.
        MissingDependencyError: ngspice or PySpice is absent.
        SpiceError: a run fails.
    """
    p = parameters if isinstance(parameters, Parameters) else load_parameters(parameters)
    points: list[tuple[float | None, str | None]] = [(temperature, None) for temperature in temperatures]
    points += [(None, corner) for corner in (p.corners if corners is None else corners)]
    models = []
    for number, (temperature, corner) in enumerate(points, start=1):
        moved = p.at(temperature=temperature, corner=corner)
        run = characterize(moved, columns=0, patterns=patterns, transistors=transistors, seed=seed)
        models.append(run.model)
        if progress is not None:
            progress(number, len(points))
    return models


def with_intervals(model: PeripheralModel, others: Sequence[PeripheralModel]) -> PeripheralModel:
    """Return a model whose energies and figures carry the interval that they cover over a sweep.

    Args:
        model: the nominal model.
        others: models of the sweep.
    """

    def widened(constant: Constant, seen: list[Constant]) -> Constant:
        values = [constant.value, *(other.value for other in seen if math.isfinite(other.value))]
        return constant.model_copy(update={"interval": (min(values), max(values))})

    return model.model_copy(
        update={
            kind: {
                name: widened(
                    constant, [getattr(other, kind)[name] for other in others if name in getattr(other, kind)]
                )
                for name, constant in getattr(model, kind).items()
            }
            for kind in ("energy", "figures")
        }
    )
