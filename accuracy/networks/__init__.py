"""Networks to evaluate: by name, with the field's usual parameter names, or the user's own."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from accuracy.networks.errors import NetworkError
from accuracy.networks.registry import ENTRIES, Entry
from accuracy.networks.weights import lay_in, locate, read_state
from devicekit.errors import unknown_name
from devicekit.paths import data_path

__all__ = ["NetworkError", "data_set", "describe", "load", "names"]


def names() -> tuple[str, ...]:
    """Return the names of all networks, bundled ones first."""
    return tuple(sorted(ENTRIES, key=lambda name: not ENTRIES[name].bundled))


def data_set(name: str) -> str:
    """Return the name of the data set that a network reads, for `accuracy.data_sets.load`.

    Raises:
        NetworkError: unknown network.
    """
    return _entry(name).data_set


def describe(name: str) -> str:
    """Return what a network is and whose weights it takes.

    Raises:
        NetworkError: unknown network.
    """
    return _entry(name).description


def load(name: str, weights: str | Path | None = None, *, seed: int = 0) -> nn.Module:
    """Return a network in inference mode.

    Args:
        name: one of `names()`.
        weights: None for the bundled weights; a file (.safetensors, .pt, .pth, .th), or a folder that holds the file
            of the network's usual name; or ``"random"`` for an untrained network.
        seed: of the random weights; the same seed gives the same weights.

    Raises:
        NetworkError: unknown name; no weights given for a network that is not bundled, or none found (the message
            names the file expected); weights that do not fit.
    """
    entry = _entry(name)
    model = _build(entry, seed)
    if weights != "random":
        if weights is None:
            if not entry.bundled:
                raise NetworkError(
                    f"Network {name!r} is not bundled: give its weights (a file, or a folder with {entry.file!r}), "
                    'or "random" for an untrained network.'
                )
            path = data_path(f"networks/{entry.file}")
        else:
            path = locate(name, weights, entry.file, entry.folder)
        lay_in(model, read_state(path), path)
    return model.eval()


def _entry(name: str) -> Entry:
    if name not in ENTRIES:
        raise NetworkError(unknown_name("network", name, ENTRIES))
    return ENTRIES[name]


def _build(entry: Entry, seed: int) -> nn.Module:
    # torch's initialisers draw from the global generator; leave the caller's untouched.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return entry.build()
