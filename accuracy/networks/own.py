"""The user's own networks: ``module:function``, or ``file.py:function``, that makes a module."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from torch import nn

from accuracy.networks.errors import NetworkError
from devicekit.common.errors import unknown_name


def is_own(name: str) -> bool:
    """Say whether a network's name means a function of the user's."""
    return ":" in name


def build(name: str) -> nn.Module:
    """Return what the user's function makes.

    Args:
        name: ``package.module:function`` (importable, the working folder included) or ``path/file.py:function``. The
            function takes no arguments (a class without required arguments will do).

    Raises:
        NetworkError: no such module, file or function, or it does not return a `torch.nn.Module`.
    """
    place, _, attribute = name.rpartition(":")
    if not place or not attribute:
        raise NetworkError(f"Expected a network of your own as module:function or file.py:function, but got {name!r}.")
    module = _from_file(Path(place)) if place.endswith(".py") else _from_import(place)
    function = getattr(module, attribute, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise NetworkError(unknown_name(f"function of {place}", attribute, known))
    model = function()
    if not isinstance(model, nn.Module):
        raise NetworkError(f"Expected {name} to return a torch.nn.Module, but got {type(model).__name__}.")
    return model


def _from_file(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or specification is None or specification.loader is None:
        raise NetworkError(f"Expected a Python file at {path}, but there is none.")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _from_import(place: str) -> ModuleType:
    # A command's own folder is on the path, the folder it was called in is not.
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.append(here)
    try:
        return importlib.import_module(place)
    except ImportError as error:
        raise NetworkError(f"The module {place!r} of the network cannot be imported: {error}.") from None
    finally:
        if added:
            sys.path.remove(here)
