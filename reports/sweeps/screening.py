"""Points of a sweep whose accuracy is estimated without trials."""

from __future__ import annotations

from typing import Any

from circuits import Core, NetworkCores, Wires
from reports.network_step import LoadedNetwork, beyond_envelopes
from reports.results import Values
from reports.study import Study
from reports.wire_rule import USUAL_RESISTANCE, leaves_wires_open

DRAWS = 512
_sensitivities: dict[Any, Any] = {}
"""Of each network and its images, measured once a process."""


def screened_values(study: Study, network: LoadedNetwork, cores: NetworkCores) -> Values:
    """Return the screened accuracy of a point.

    Where trials would let line currents decide on wires, the screen has the usual ones.

    Args:
        study: of the point.
        network: with its images.
        cores: as built.

    Returns:
        ``screened`` (`Screened.to_dict`), ``image_draws`` (draws of the loss over images alone) and ``refused``: why
        there is no estimate (then ``screened`` is None); plain values.
    """
    from accuracy import ScreeningError, screen_core

    try:
        for core in cores.kinds:
            _check(study, core)
        wired = cores.each(lambda own: own.replace(wires=Wires(USUAL_RESISTANCE)) if leaves_wires_open(own) else own)
        with beyond_envelopes():
            # Trials say which models are used beyond what they are known for.
            found = screen_core(_sensitivities_of(study, network), wired, seed=study.seed)
    except ScreeningError as error:
        return {"screened": None, "image_draws": [], "refused": str(error)}
    values = {key: value for key, value in found.to_dict().items() if key != "core"}
    drawn = [float(f"{value:.7g}") for value in found.image_draws(DRAWS, study.seed)]
    return {"screened": values, "image_draws": drawn, "refused": ""}


def _check(study: Study, core: Core) -> None:
    from accuracy import ScreeningError

    if study.metric != "top1":
        raise ScreeningError(f"The screen estimates top1 accuracy, not {study.metric!r}.")
    if study.draw_cells:
        raise ScreeningError("The screen takes the cell model as fitted: leave `draw_cells` to trials.")
    if study.project_signs and core.design.weight_code.one_sign:
        raise ScreeningError("The screen has no law for weights that `project_signs` sets to zero.")


def _sensitivities_of(study: Study, network: LoadedNetwork) -> Any:
    from accuracy import measure_sensitivities

    key = (network.fingerprint, study.images, study.calibration_images, study.exclude)
    if key not in _sensitivities:
        _sensitivities[key] = measure_sensitivities(
            network.model,
            network.batches(study, "test", study.images),
            network.batches(study, "calibration", study.calibration_images),
            exclude=study.exclude,
        )
    return _sensitivities[key]
