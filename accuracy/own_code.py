"""Functions of the user's that the command is told of: ``module:function`` or ``file.py:function``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from devicekit.common.errors import DevicekitError, unknown_name


def own_function(name: str, what: str, error: type[DevicekitError]) -> Callable[[], Any]:
    """Return a function of the user's.

    Args:
        name: ``package.module:function`` (importable, the working folder included) or ``path/file.py:function``.
        what: what it makes, for messages.
        error: what is raised.

    Raises:
        DevicekitError: `error`, where there is no such module, file or function.
    """
    place, _, attribute = name.rpartition(":")
    if not place or not attribute:
        raise error(f"Expected a {what} of your own as module:function or file.py:function, but got {name!r}.")
    module = _from_file(Path(place), error) if place.endswith(".py") else _from_import(place, what, error)
    function = getattr(module, attribute, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise error(unknown_name(f"function of {place}", attribute, known))
    found: Callable[[], Any] = function
    return found


def _from_file(path: Path, error: type[DevicekitError]) -> ModuleType:
    specification = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or specification is None or specification.loader is None:
        raise error(f"Expected a Python file at {path}, but there is none.")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _from_import(place: str, what: str, error: type[DevicekitError]) -> ModuleType:
    # A command's own folder is on the path, the folder it was called in is not.
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.append(here)
    try:
        return importlib.import_module(place)
    except ImportError as reason:
        raise error(f"The module {place!r} of the {what} cannot be imported: {reason}.") from None
    finally:
        if added:
            sys.path.remove(here)
