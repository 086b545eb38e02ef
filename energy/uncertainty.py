"""Draws of a library's constants: what turns intervals of components into intervals of a core."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from devicekit.common.provenance import Constant
from energy.expressions import Array
from energy.library import Library

DRAWS = 512
_Z = 1.959963984540054  # 97.5 % quantile of the standard normal


def draw_constant(constant: Constant, generator: np.random.Generator, size: int) -> Array:
    """Return draws of a constant in its own unit.

    Where the interval is positive, the logarithm is taken as normal on each side of the value, so that the value is
    the median and the interval's ends are the 2.5 % and 97.5 % quantiles; an interval that starts at 0 is uniform.

    Args:
        constant: the constant, with an interval.
        generator: source of randomness.
        size: number of draws.
    """
    assert constant.interval is not None
    low, high = constant.interval
    if low <= 0 or constant.value <= 0:
        return generator.uniform(low, high, size)
    z = generator.standard_normal(size)
    width = np.where(z < 0, math.log(constant.value / low), math.log(high / constant.value)) / _Z
    return np.asarray(constant.value * np.exp(z * width))


def draw_constants(library: Library, count: int = DRAWS, seed: int = 0) -> dict[str, Array]:
    """Return draws [SI] of every constant that has an interval.

    Constants that were calibrated together are drawn together (``library.draws``); each other one from its own
    interval, from a stream of its own, so that adding a constant leaves the draws of the rest as they were.

    Args:
        library: the library.
        count: number of draws.
        seed: seed of the draws.
    """
    generator = np.random.default_rng([seed, 0])
    joint: dict[str, Array] = {}
    if library.draws:
        available = len(next(iter(library.draws.values())))
        # Without replacement as long as there are enough: the file's draws are the distribution.
        chosen = (
            generator.permutation(available)[:count] if count <= available else generator.integers(0, available, count)
        )
        joint = {name: values[chosen] for name, values in library.draws.items()}
    for name, constant in library.constants.items():
        if constant.interval is not None and name not in joint:
            own = np.random.default_rng([seed, 1, *name.encode()])
            factor = library.si[name] / constant.value if constant.value else 1.0
            joint[name] = factor * draw_constant(constant, own, count)
    return joint


def shared_constants(libraries: Sequence[Library]) -> set[str]:
    """Return the constants that are one and the same in all of some libraries that have them, and drawn alike.

    Args:
        libraries: the libraries.
    """
    shared = set()
    for name in {name for library in libraries for name in library.constants}:
        own = [library for library in libraries if name in library.constants]
        first = own[0]
        if all(
            other.constants[name] == first.constants[name]
            and np.array_equal(other.draws.get(name, ()), first.draws.get(name, ()))
            for other in own[1:]
        ):
            shared.add(name)
    return shared


def draw_all(libraries: Mapping[str, Library], count: int = DRAWS, seed: int = 0) -> dict[str, Array]:
    """Return draws [SI] of the constants of several libraries together, see `draw_constants`.

    Args:
        libraries: by a prefix for the names of constants that are not the same in all of them.
        count: number of draws.
        seed: seed of the draws.
    """
    shared = shared_constants(list(libraries.values()))
    return {
        name if name in shared else prefix + name: drawn
        for prefix, library in libraries.items()
        for name, drawn in draw_constants(library, count, seed).items()
    }
