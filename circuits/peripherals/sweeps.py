"""The same characterisation at several temperatures and process corners."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from circuits.peripherals.characterization import Characterization, Progress, characterize
from circuits.peripherals.model import PeripheralModel
from circuits.peripherals.parameters import NOMINAL_TEMPERATURE, Parameters, load_parameters
from devicekit.common.provenance import Constant

TEMPERATURES = (248.15, NOMINAL_TEMPERATURE, 358.15)
"""-25, 27 and 85 degrees Celsius [K]."""


def sweep(
    parameters: str | Path | Parameters = "sonos_40nm",
    *,
    temperatures: Sequence[float] = TEMPERATURES,
    corners: Sequence[str] | None = None,
    patterns: int = 16,
    transistors: bool = True,
    unsigned: bool = False,
    input_bits: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[PeripheralModel]:
    """Return models at every temperature of the typical corner, and at every corner of the nominal temperature.

    The ramp is calibrated at the nominal temperature of each corner, as a chip is once, and stays so at other
    temperatures. Mismatch is left out: what remains moves all columns alike.

    Args:
        parameters: as for `characterize`.
        temperatures: [K].
        corners: corners beside the typical one; None takes all that the parameters name.
        patterns: random bit patterns.
        transistors: as for `characterize`.
        unsigned: as for `characterize`.
        input_bits: as for `characterize`.
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
    if unsigned or input_bits is not None:
        p = p.for_use(unsigned=unsigned or p.unsigned, input_bits=input_bits)
    moved = [p.at(corner=corner) for corner in (p.corners if corners is None else corners)]
    for temperature in temperatures:
        p.at(temperature=temperature)
    points = 1 + len(temperatures) + len(moved)

    def run(parameters: Parameters, done: int, *, calibrate: bool) -> Characterization:
        result = characterize(
            parameters, columns=0, patterns=patterns, transistors=transistors, calibrate=calibrate, seed=seed
        )
        if progress is not None:
            progress(done, points)
        return result

    chip = run(p, 1, calibrate=True)
    models = []
    for number, temperature in enumerate(temperatures, start=2):
        warm = chip.parameters.at(temperature=temperature)
        models.append(chip.model if temperature == chip.model.temperature else run(warm, number, calibrate=False).model)
    for number, corner in enumerate(moved, start=2 + len(temperatures)):
        models.append(run(corner, number, calibrate=True).model)
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
