"""Weights as a codebook: product-quantised networks, stored as NumPy archives.

Of a compressed layer an archive holds ``NAME.codebook`` (entries, block) and ``NAME.codes_matrix`` (output channels,
blocks of a channel): a channel's weights are the entries that its codes name, one after the other (Martinez et al.,
"Permute, quantize, and fine-tune", CVPR 2021). Other layers are whole. Of a batch norm only weight and bias are stored:
its statistics are folded into them, so that its mean is 0 and its variance 1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from accuracy.networks.errors import NetworkError
from accuracy.networks.weights import State
from accuracy.networks.weights import lay_in as lay_in_state
from devicekit.common.foreign import numpy_archive

CODES, CODEBOOK = ".codes_matrix", ".codebook"


def lay_in(model: nn.Module, path: Path) -> None:
    """Copy the decoded weights of an archive into a module, in place.

    Raises:
        NetworkError: no such archive, codes beyond their codebook, or weights that do not fit the module.
    """
    state: State = {}
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    with numpy_archive(path, NetworkError, "an archive of codebooks and codes") as archive:
        for name in archive.files:
            if name.endswith(CODES):
                layer = name.removesuffix(CODES)
                codes, book = archive[name], archive[layer + CODEBOOK]
                if codes.max() >= len(book):
                    raise NetworkError(f"{path}: expected codes below {len(book)} in {name!r}, but got {codes.max()}.")
                weight = np.float32(book[codes.reshape(-1)]).reshape(len(codes), -1)
                shape = shapes.get(f"{layer}.weight", weight.shape)
                state[f"{layer}.weight"] = torch.from_numpy(
                    weight.reshape(shape) if int(np.prod(shape)) == weight.size else weight
                )
            elif not name.endswith(CODEBOOK):
                state[name] = torch.from_numpy(np.asarray(archive[name], dtype=np.float32))
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            state[f"{name}.running_mean"] = torch.zeros(module.num_features)
            # The norm adds eps to the variance.
            state[f"{name}.running_var"] = torch.full((module.num_features,), 1.0 - module.eps)
    lay_in_state(model, state, path)
