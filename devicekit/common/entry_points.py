"""Parts that installed packages add to devicekit, by the entry points of their distributions."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any


class ExtensionWarning(UserWarning):
    """An installed package offers a part that cannot be used; it is left out."""


def load_entry_points(group: str, register: Callable[[Any], object]) -> list[str]:
    """Return the names of the entry points of a group whose objects were loaded and registered.

    One that cannot be loaded, or that `register` refuses, is left out with an `ExtensionWarning` that names the
    package: what is installed beside devicekit must not stop it.

    Args:
        group: such as ``"devicekit.error_models"``.
        register: takes the loaded object.
    """
    loaded = []
    for point in sorted(entry_points(group=group), key=lambda each: each.name):
        try:
            register(point.load())
        except Exception as error:
            package = point.dist.name if point.dist is not None else point.value
            warnings.warn(
                f"{point.name!r} of the package {package!r} ({group}) is left out: {type(error).__name__}: {error}",
                ExtensionWarning,
                stacklevel=2,
            )
        else:
            loaded.append(point.name)
    return loaded
