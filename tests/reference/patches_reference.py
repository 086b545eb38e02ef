"""What the rows of a convolution's array see at each output position, gathered one number at a time."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np


def gather(x: np.ndarray, layer: Any, out_shape: tuple[int, ...], transposed: bool = False) -> np.ndarray:
    """Inputs of every output position.

    Args:
        x: (batch, channels, *extent), already padded where the layer pads with anything but zeros.
        layer: anything with kernel_size, stride, padding, dilation (tuples of integers) and groups.
        out_shape: extent of the output.
        transposed: whether it is a transposed convolution.

    Returns:
        (groups, batch * positions, rows): rows are ordered (channel of the group, kernel position); positions run
        over the output in order.
    """
    batch, channels = x.shape[:2]
    own = channels // layer.groups
    kernel = list(itertools.product(*(range(k) for k in layer.kernel_size)))
    positions = list(itertools.product(*(range(n) for n in out_shape)))
    result = np.zeros((layer.groups, batch * len(positions), own * len(kernel)))
    for group, b, (i, position) in itertools.product(range(layer.groups), range(batch), enumerate(positions)):
        for c, (k, offset) in itertools.product(range(own), enumerate(kernel)):
            source = []
            for axis, (out, tap) in enumerate(zip(position, offset, strict=True)):
                stride, padding, dilation = layer.stride[axis], layer.padding[axis], layer.dilation[axis]
                if transposed:
                    at, rest = divmod(out + padding - tap * dilation, stride)
                    source.append(at if rest == 0 else -1)
                else:
                    source.append(out * stride - padding + tap * dilation)
            if all(0 <= at < n for at, n in zip(source, x.shape[2:], strict=True)):
                value = x[(b, group * own + c, *source)]
                result[group, b * len(positions) + i, c * len(kernel) + k] = value
    return result
