"""Evaluations as tasks: what is sent to a worker, what comes back, and what the result depends on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Literal

import torch

from accuracy.own_code import restore_files
from circuits import Activity, Core, NetworkCores
from devicekit.common.foreign import describe
from devicekit.common.plain import plain
from reports.cache import code_hash
from reports.errors import StudyError
from reports.evaluation_key import core_fingerprint, cores_fingerprint, evaluation_inputs
from reports.network_step import LoadedNetwork, evaluate_afresh
from reports.results import Values
from reports.store.store import CODE_ROOMS, key_of
from reports.study import Study
from reports.sweeps.networks import forget_networks, network_of

Kind = Literal["accuracy", "cost", "screen"]
DRAWN = ("energy_gated_uj", "area_mm2", "latency_us")
"""Totals of a network whose draws are kept beside their values."""


@dataclass(frozen=True)
class Task:
    """One evaluation.

    Attributes:
        kind: ``"accuracy"``: trials, activities and layer reports; ``"cost"``: of the core and of the network;
            ``"screen"``: accuracy without trials.
        inputs: everything the result depends on.
        study: of its point.
        cores: as built.
        network: fingerprint of the network.
        activities: measured activity by layer, plain values; empty for the library's statistics.
        threads: that torch may use; results do not depend on the number of workers because this is fixed.
        files: files of the user's code that are loaded.
    """

    kind: Kind
    inputs: Mapping[str, Any]
    study: Study
    cores: NetworkCores
    network: str
    activities: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 1
    files: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """Key of the evaluation in a store."""
        return key_of(self.inputs)


@dataclass(frozen=True)
class Outcome:
    """What came of a task.

    Attributes:
        result: plain values; None where it failed.
        reason: why it failed.
        seconds: how long it took [s].
    """

    result: Values | None
    reason: str = ""
    seconds: float = 0.0


def accuracy_inputs(study: Study, network: str, cores: NetworkCores) -> dict[str, Any]:
    """Return everything that the accuracy of a point depends on.

    Args:
        study: of the point.
        network: the network's fingerprint.
        cores: as built.
    """
    return {"kind": "accuracy", **evaluation_inputs(study, network, cores)}


def cost_inputs(
    study: Study, network: LoadedNetwork, cores: NetworkCores, activities: Mapping[str, Any]
) -> dict[str, Any]:
    """Return everything that the costs of a point depend on.

    Args:
        study: of the point.
        network: with its layers.
        cores: as built.
        activities: measured activity by layer; empty for the library's statistics.
    """
    return {
        "kind": "cost",
        **cores_fingerprint(cores, _paid),
        # Where a row tells its cores apart, it does so by their names.
        **({"names": [own.name for own in cores.kinds]} if len(cores.kinds) > 1 else {}),
        "layers": plain(network.layers),
        "activities": plain(activities),
        "library": library_fingerprint(study.library),
        "seed": study.seed,
        "code": code_hash(CODE_ROOMS),
    }


def _paid(core: Core) -> dict[str, Any]:
    """Return everything of a core that its costs depend on."""
    cell = core.cell
    return core_fingerprint(core) | {
        "adc_costs": plain(core.adc_in_use.to_mapping()),
        "technology": None
        if cell is None
        else plain([cell.technology, cell.time, cell.temperature, cell.compensation]),
    }


def screen_inputs(study: Study, network: str, cores: NetworkCores) -> dict[str, Any]:
    """Return everything that the screened accuracy of a point depends on: all but how often cells are programmed.

    Args:
        study: of the point.
        network: the network's fingerprint.
        cores: as built.
    """
    inputs = accuracy_inputs(study, network, cores)
    return {key: value for key, value in inputs.items() if key not in _OF_TRIALS} | {"kind": "screen"}


_OF_TRIALS = ("trials", "tolerance", "correction_images", "draw_cells")


@cache
def library_fingerprint(library: str) -> str:
    """Return a hash over the component library that a name or a file stands for.

    Args:
        library: as in a study.
    """
    from energy import load_library
    from reports.fingerprint import fingerprint

    return fingerprint(load_library(library))


_one_at_a_time = threading.Lock()
"""A worker of a cluster may have several threads; torch's settings are the process's."""


def run_task(task: Task) -> Outcome:
    """Return what comes of a task; whatever is raised becomes its reason, so that the other tasks go on.

    Args:
        task: the task.
    """
    began = time.monotonic()
    with _one_at_a_time:
        before = torch.get_num_threads()
        torch.set_num_threads(task.threads)
        try:
            restore_files(task.files)
            result = _MAKERS[task.kind](task)
        except Exception as error:
            # The user's network, images and files run here and may raise anything.
            return Outcome(None, describe(error), time.monotonic() - began)
        finally:
            torch.set_num_threads(before)
    return Outcome(result, "", time.monotonic() - began)


def _network(task: Task) -> LoadedNetwork:
    network = network_of(task.study)
    if network.fingerprint != task.network:
        # A worker of a cluster outlives runs: what it has may be of an earlier one.
        forget_networks()
        network = network_of(task.study)
    if network.fingerprint != task.network:
        raise StudyError(f"The network {network.name!r} or its images are not those that this run began with.")
    return network


def _accuracy(task: Task) -> Values:
    return evaluate_afresh(task.study, _network(task), task.cores, lambda *_: None)


def _cost(task: Task) -> Values:
    from energy import estimate_core, estimate_network

    own: dict[str, Any] = {"library": task.study.library, "seed": task.study.seed}
    activities = {name: Activity(**values) for name, values in task.activities.items()}
    whole = estimate_network(_network(task).layers, task.cores, activities, **own)
    costs = {"cost": estimate_core(task.cores.core, **own).to_dict(), "network_cost": whole.to_dict()}
    for values in costs.values():
        # The same core has another name in another study.
        del values["design"]
    return {
        **costs,
        "draws": {name: [float(f"{value:.7g}") for value in whole.draws_of(name)] for name in DRAWN},
    }


def _screen(task: Task) -> Values:
    from reports.sweeps.screening import screened_values

    return screened_values(task.study, _network(task), task.cores)


_MAKERS: dict[Kind, Callable[[Task], Values]] = {"accuracy": _accuracy, "cost": _cost, "screen": _screen}
