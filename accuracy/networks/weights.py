"""Weight files: found in a folder, read without running code, and laid into a module with a clear complaint."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from accuracy.layer_kinds import OwnCodes
from accuracy.networks.errors import NetworkError
from devicekit.common.foreign import reading
from devicekit.common.paths import is_file

State = dict[str, torch.Tensor]


def locate(network: str, weights: str | Path, file: str, folder: str, others: Sequence[str] = ()) -> Path:
    """Return the weight file that a user's path means.

    Args:
        network: the network's name, for the message.
        weights: a file, or a folder that holds `file` or `folder`/`file`.
        file: the file name this network's weights have in a data folder.
        folder: sub-folder looked in as well.
        others: names of files that will do where there is no `file`.

    Raises:
        NetworkError: there is none.
    """
    path = Path(weights)
    if is_file(path):
        return path
    if path.is_dir():
        for name in (file, *others):
            for candidate in (path / name, path / folder / name):
                if candidate.is_file():
                    return candidate
        raise NetworkError(f"Network {network!r}: expected its weights in {path / file}, but there is no such file.")
    raise NetworkError(f"Network {network!r}: expected weights at {path}, but there is no such file or folder.")


def read_state(path: Path) -> State:
    """Return the tensors of a ``.safetensors`` file, or of a ``.pt``/``.pth``/``.th`` state dict (weights only).

    A state dict wrapped as ``{"state_dict": ...}`` and names that start with ``module.`` (a parallel wrapper's) are
    unwrapped.

    Raises:
        NetworkError: another suffix, or not readable as such.
    """
    if path.suffix == ".safetensors":
        with reading(path, NetworkError, "a readable safetensors file"):
            state: State = load_file(path)
        return state
    if path.suffix not in (".pt", ".pth", ".th"):
        raise NetworkError(
            f"{path}: expected weights as .safetensors, .pt, .pth or .th (.npz if quantised), but got {path.suffix!r}."
        )
    with reading(path, NetworkError, "a readable state dict"):
        content = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise NetworkError(f"{path}: expected a state dict of tensors, but got {type(content).__name__}.")
    return {name.removeprefix("module."): value for name, value in content.items()}


def lay_in(model: nn.Module, state: State, path: Path) -> None:
    """Copy tensors into a module; every parameter and running statistic must be there, with its shape.

    Args:
        model: changed in place.
        state: tensors by name. ``num_batches_tracked`` may be missing: it plays no part in inference.
        path: where they come from, for the message.

    Raises:
        NetworkError: missing, unexpected or misshapen tensors; the message names the first few.
    """
    expected = model.state_dict()
    missing = [name for name in expected if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in expected]
    misshapen = [
        f"{name} {tuple(state[name].shape)} for {tuple(expected[name].shape)}"
        for name in expected
        if name in state and state[name].shape != expected[name].shape
    ]
    problems = [
        f"{len(found)} {what} ({', '.join(found[:3])}{', ...' if len(found) > 3 else ''})"
        for what, found in (("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen))
        if found
    ]
    if problems:
        raise NetworkError(f"{path}: weights do not fit {type(model).__name__}: {'; '.join(problems)}.")
    broken = [name for name, value in state.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if broken:
        raise NetworkError(f"{path}: expected finite weights, but found NaN or infinity in {', '.join(broken[:3])}.")
    model.load_state_dict(state, strict=False)
    for name, codes in _own_codes(path).items():
        OwnCodes(**codes).say(model.get_submodule(name))


OWN_CODES = "devicekit.own_codes"
"""Entry of a safetensors file's metadata: JSON of the codes of each layer, by its name."""


def _own_codes(path: Path) -> dict[str, dict[str, Any]]:
    """The codes that layers of a weight file were trained to, by name."""
    if path.suffix != ".safetensors":
        return {}
    with reading(path, NetworkError, "a readable safetensors file"), safe_open(path, "pt") as file:
        found = (file.metadata() or {}).get(OWN_CODES, "{}")
        codes: dict[str, dict[str, Any]] = json.loads(found)
    return codes


def codes_metadata(model: nn.Module) -> dict[str, str]:
    """Return metadata for a safetensors file that says which codes the layers of a network were trained to.

    Args:
        model: whose layers say so themselves (`accuracy.layer_kinds.OwnCodes`).
    """
    codes = {name: OwnCodes.of(module) for name, module in model.named_modules()}
    known = {name: asdict(own) for name, own in codes.items() if own.weight_step is not None}
    return {OWN_CODES: json.dumps(known)} if known else {}
