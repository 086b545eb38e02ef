"""What an evaluation's result depends on, as plain values and hashes: what a kept result is found again by."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from circuits import Core, NetworkCores, WeightCode
from devicekit import Cell
from devicekit.common.plain import plain
from reports.cache import code_hash
from reports.fingerprint import fingerprint
from reports.study import Study
from reports.wire_rule import leaves_wires_open

if TYPE_CHECKING:
    from torch import Tensor, nn

    from accuracy.batches import Batch
    from accuracy.data_sets import Source

PROBE_IMAGES = 16
"""Test images that tell whether a network computes the same as in an earlier run."""


def evaluation_inputs(study: Study, network: str, cores: NetworkCores) -> dict[str, Any]:
    """Return everything that an evaluation's result depends on, as plain values.

    Args:
        study: the study.
        network: the network's fingerprint.
        cores: as built, with their cells.
    """
    return {
        **cores_fingerprint(cores, lambda core: core_fingerprint(core) | _open_wires(core)),
        "network": network,
        "metric": study.metric,
        "exclude": list(study.exclude),
        "images": study.images,
        "calibration_images": study.calibration_images,
        "correction_images": study.correction_images if cores.core.corrections else None,
        "trials": study.trials,
        "tolerance": study.tolerance,
        "draw_cells": study.draw_cells,
        "project_signs": study.project_signs,
        "seed": study.seed,
        "code": code_hash(),
    }


def cores_fingerprint(cores: NetworkCores, of: Callable[[Core], dict[str, Any]]) -> dict[str, Any]:
    """Return everything of a network's cores that a result depends on; names of designs left out.

    Args:
        cores: as built.
        of: gives it for one core, with the ``design`` as a mapping.

    Returns:
        ``core``, and, where layers may have others, ``overrides``: pattern and core in the order in which they hold.
    """

    def nameless(core: Core) -> dict[str, Any]:
        found = of(core)
        return {**found, "design": plain({key: own for key, own in found["design"].items() if key != "name"})}

    others = [] if len(cores.kinds) == 1 else [[pattern, nameless(core)] for pattern, core in cores.overrides.items()]
    return {"core": nameless(cores.core), **({"overrides": others} if others else {})}


def _open_wires(core: Core) -> dict[str, Any]:
    return {"wires": "by line currents" if leaves_wires_open(core) else None}


def core_fingerprint(core: Core) -> dict[str, Any]:
    """Return everything of a core that accuracy depends on: plain values, and hashes over what it does.

    Args:
        core: the core as built.
    """
    peripherals = core.column_peripherals
    adc = [
        None
        if own is None
        else (own.noise_lsb, own.thresholds_lsb, *([own.kind, dict(own.circuit)] if own.circuit else []))
        for own in core.adc_errors
    ]
    return {
        "design": core.design.to_mapping(),
        "weight_code": code_fingerprint(core.design.weight_code),
        "cell": None if core.cell is None else cell_fingerprint(core.cell),
        "adc": plain(adc),
        "peripherals": None if peripherals is None else peripherals.model_dump(mode="json"),
        "bit_line": core.bit_line,
        **({} if core.orientation == "source" else {"orientation": core.orientation}),
        **({"lines": core.lines.to_dict()} if core.lines.any else {}),
        "corrections": list(core.corrections),
        "faults": plain(core.faults),
    }


def code_fingerprint(code: WeightCode) -> str:
    """Return a hash over how a form stores every weight: it may come from a package that `code_hash` does not see.

    Args:
        code: the form.
    """
    facts = (code.name, code.lines, code.unit_column, code.one_sign, code.worth, code.offset)
    digest = hashlib.sha256(repr(facts).encode())
    digest.update(code.digits(np.arange(-code.largest, code.largest + 1)).tobytes())
    return digest.hexdigest()


def cell_fingerprint(cell: Cell) -> str:
    """Return a hash over everything that a cell holds, and over its means and spreads for the whole range of targets.

    What it is called and where its numbers come from is left out. The numbers settle laws from outside this package.

    Args:
        cell: the cell.
    """
    target = np.linspace(0.0, cell.i_max, 513)
    held = {field.name: getattr(cell, field.name) for field in dataclasses.fields(cell) if field.name not in _LABELS}
    return fingerprint(held, cell.mean(target), cell.sigma(target), cell.read_sigma(target))


_LABELS = ("name", "provenance")
"""Of a cell: what says nothing of what it does."""


def network_fingerprint(model: nn.Module, data: Source, metric: Any = None) -> str:
    """Return a hash over what a network computes on a data set, over the data and a metric.

    It covers parameters and all that the modules hold, the code they reach, the registered kinds of layers, pixels,
    labels and preprocessing, and the outputs in double precision for some images, which settle what cannot be looked
    into (compiled extensions).

    Args:
        model: the float network, in inference mode.
        data: its data set.
        metric: what is counted: a name, or the user's own.
    """
    from accuracy.layer_kinds.registry import layer_kinds

    examples = [data.fingerprint(part) for part in ("calibration", "test")]
    preprocess = getattr(data, "preprocess", None)
    probe = probe_of(data)
    outputs = _precise_outputs(model, probe)
    return fingerprint(
        model, layer_kinds(), data.name, data.classes, preprocess, examples, probe.arguments, probe.keywords,
        probe.labels, outputs, metric,
    )  # fmt: skip


def probe_of(data: Source) -> Batch:
    """Return the images that tell networks apart.

    Args:
        data: the network's data set.
    """
    from accuracy.batches import batch_of

    return batch_of(next(iter(data.batches("test", PROBE_IMAGES, PROBE_IMAGES))))


def _precise_outputs(model: nn.Module, probe: Batch) -> Any:
    """Return the outputs in float64, to nine digits, or as they are from a network that takes float32 only."""
    import torch

    # A network that draws random numbers draws the same ones each time.
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        try:
            outputs = probe.mapped(_double).run(copy.deepcopy(model).double())
        except Exception:
            # The user's code may insist on float32 by any exception; that it runs at all was tried before.
            torch.manual_seed(0)
            return probe.run(model)
        # The last digits depend on the number of threads.
        return torch.utils._pytree.tree_map_only(torch.Tensor, _to_nine_digits, outputs)


def _double(values: Tensor) -> Tensor:
    return values.double() if values.is_floating_point() else values


def _to_nine_digits(values: Tensor) -> Any:
    if not values.is_floating_point() or not values.numel():
        return values
    largest = float(values.abs().max())
    if not 0 < largest < math.inf:
        return values
    # Adding 0 makes -0 to 0.
    return f"{largest:.8e}", (values / largest * 1e9).round() + 0.0
