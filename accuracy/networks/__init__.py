"""Networks to evaluate: by name, with the field's usual parameter names, or the user's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from accuracy.batches import Batch
from accuracy.networks import own, tflite
from accuracy.networks.errors import NetworkError
from accuracy.networks.onnx_file import is_onnx
from accuracy.networks.own import is_own
from accuracy.networks.registry import ENTRIES, Entry
from accuracy.networks.weights import lay_in, locate, read_state
from accuracy.own_code import naming_errors
from devicekit.common.errors import unknown_name
from devicekit.common.paths import data_path

__all__ = ["NetworkError", "data_set", "describe", "is_own", "load", "names", "quantised", "try_out"]


def names() -> tuple[str, ...]:
    """Return the names of all networks, bundled ones first."""
    return tuple(sorted(ENTRIES, key=lambda name: not ENTRIES[name].bundled))


def data_set(name: str) -> str:
    """Return the name of the data set that a network reads, for `accuracy.data_sets.load`.

    Raises:
        NetworkError: unknown network, or the user's own, whose data set only the user knows.
    """
    if is_own(name):
        raise NetworkError(
            f"Say which data set (--data-set) the network {name!r} reads; only networks known by name bring theirs."
        )
    return _entry(name).data_set


def describe(name: str) -> str:
    """Return what a network is and whose weights it takes.

    Raises:
        NetworkError: unknown network.
    """
    if is_onnx(name):
        return f"the network of the ONNX file {name}"
    return f"the user's own network {name}" if is_own(name) else _entry(name).description


def load(name: str, weights: str | Path | None = None, *, seed: int = 0) -> nn.Module:
    """Return a network in inference mode.

    Layers of a quantised network hold its real weights and say their own codes (`weight_step` and the like, see
    `accuracy.layer_kinds.OwnCodes`), which designs with ``weight_scale="given"`` map unchanged.

    Args:
        name: one of `names()`; or a network of the user's own as ``module:function`` or ``file.py:function``, or an
            ONNX file (``file.onnx``), for which the package onnx2torch is needed.
        weights: None for the bundled weights (or, for the user's own network, the weights its function made); a file
            (.safetensors, .pt, .pth, .th, or .npz for a quantised network), or a folder that holds the file of the
            network's usual name (a bundled network takes its bundled weights where the folder has none, so that the
            folder of its images will do); or ``"random"`` for an untrained network.
        seed: of the random weights; the same seed gives the same weights.

    Raises:
        NetworkError: unknown name; no weights given for a network that is not bundled, or none found (the message
            names the file expected); weights that do not fit; weights beside an ONNX file; an ONNX file that cannot be
            read.
    """
    if is_onnx(name) and weights is not None:
        raise NetworkError(f"The ONNX file {name} holds its own weights; leave `weights` (--weights) out.")
    if is_own(name):
        model = _seeded(lambda: own.build(name), seed)
        if weights not in (None, "random"):
            path = locate(name, weights, "weights.safetensors", ".")
            lay_in(model, read_state(path), path)
        return model.eval()
    entry = _entry(name)
    if weights == "random":
        return _seeded(entry.build, seed).eval()
    # The file before the module: a missing file is said at once, not after filling 143 million random weights.
    path = _weight_file(name, entry, weights)
    if path.suffix == ".npz" and entry.archive is not None:
        model = _seeded(entry.build, seed)
        entry.archive(model, path)
    else:
        state = {key: value for key, value in read_state(path).items() if not key.startswith(entry.ignore)}
        model = _seeded(entry.build, seed)
        lay_in(model, state if entry.rename is None else entry.rename(state), path)
    return model.eval()


def try_out(name: str, model: nn.Module, batch: Batch) -> Any:
    """Return a network's outputs for a batch; whatever its code raises becomes one message.

    Args:
        name: as given to `load`, for the message.
        model: what `load` returned.
        batch: of the data.

    Raises:
        NetworkError: the network cannot run on such inputs; the message says where in its code, and why.
    """
    shapes = ", ".join(str(tuple(tensor.shape)) for tensor in batch.tensors)
    what = f"The network {name!r} cannot run on inputs of shape {shapes}"
    with naming_errors(what, NetworkError), torch.inference_mode():
        return batch.run(model)


def quantised(name: str, weights: str | Path, activations: bool = True) -> tflite.QuantisedGraph:
    """Return a quantised network as it was published: the graph, with every tensor rounded to its 8-bit code.

    The digital 8-bit reference of the floating-point module that `load` gives for the same name.

    Args:
        name: a quantised network.
        weights: its archive, or a folder that holds it.
        activations: whether activations are rounded; without, the graph in floating point.

    Raises:
        NetworkError: unknown or not quantised, or no archive.
    """
    entry = _entry(name)
    if not entry.quantised:
        known = [other for other in ENTRIES if ENTRIES[other].quantised]
        raise NetworkError(f"Network {name!r} is not quantised; quantised are {', '.join(known)}.")
    return tflite.QuantisedGraph(tflite.read(_weight_file(name, entry, weights)), activations).eval()


def _entry(name: str) -> Entry:
    if name not in ENTRIES:
        raise NetworkError(
            unknown_name("network", name, ENTRIES) + " A network of your own is given as module:function."
        )
    return ENTRIES[name]


def _weight_file(name: str, entry: Entry, weights: str | Path | None) -> Path:
    if weights is not None:
        try:
            return locate(name, weights, entry.file, entry.folder, entry.other_files)
        except NetworkError:
            if not (entry.bundled and Path(weights).is_dir()):
                raise
    if not entry.bundled:
        raise NetworkError(
            f"Network {name!r} is not bundled: give its weights (a file, or a folder with {entry.file!r}), "
            'or "random" for an untrained network.'
        )
    return data_path(f"networks/{entry.file}")


def _seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    # torch's initialisers draw from the global generator; leave the caller's untouched.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
