"""Functions of the user's that the command is told of: ``module:function`` or ``file.py:function``.

A file is loaded as a module of a package that stands for its folder: its classes are found again by what unpickles, its
helpers by relative imports, and no file is taken for an installed module of the same name.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from devicekit.common.errors import DevicekitError, shortened, unknown_name
from devicekit.common.foreign import LONGEST_REASON, describe

_FOLDER = "devicekit_own_"
_LIBRARIES = (
    str(Path(__file__).parent),
    str(Path(torch.__file__).parent),
    *{sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")},
)
_files: dict[str, tuple[str, bytes]] = {}
"""Path and text of the files that are loaded, by the name of their module."""


def own_function(name: str, what: str, error: type[DevicekitError]) -> Callable[[], Any]:
    """Return a function of the user's without arguments; what it raises becomes one message.

    Args:
        name: as for `own_attribute`.
        what: what it makes, for messages.
        error: what is raised.

    Raises:
        DevicekitError: as `own_attribute`, or an exception in the function, with its place.
    """
    function = own_attribute(name, what, error)

    @functools.wraps(function)
    def guarded() -> Any:
        with naming_errors(f"The {what} {name!r} cannot be made", error):
            return function()

    return guarded


def own_attribute(name: str, what: str, error: type[DevicekitError]) -> Any:
    """Return something of the user's that can be called, or has the methods of a metric.

    Args:
        name: ``package.module:function`` (importable, the working folder included) or ``path/file.py:function``.
            Modules beside the file, or beside the package it belongs to, can be imported by it, relatively too;
            installed ones go before them.
        what: what it is or makes, for messages.
        error: what is raised.

    Raises:
        DevicekitError: `error`, where there is no such module, file or function, or an exception in it, with its place.
    """
    place, _, attribute = name.rpartition(":")
    if not place or not attribute:
        raise error(f"Expected a {what} of your own as module:function or file.py:function, but got {name!r}.")
    module = _from_file(Path(place), error) if place.endswith(".py") else _from_import(place, what, error)
    function = getattr(module, attribute, None)
    if not (callable(function) or hasattr(function, "compute") or hasattr(function, "scores")):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise error(unknown_name(f"function of {place}", attribute, known))
    return function


@contextmanager
def naming_errors(what: str, named: type[DevicekitError]) -> Iterator[None]:
    """Turn whatever the user's code raises into an error that says where.

    Args:
        what: what cannot be done because of it, as the beginning of a sentence.
        named: what is raised.

    Raises:
        DevicekitError: `named`, with file and line of the user's code, the exception's type and what it says.
    """
    try:
        yield
    except (DevicekitError, KeyboardInterrupt, GeneratorExit):
        raise
    # SystemExit too: a file that ends the program when it is imported ends the report in silence.
    except BaseException as error:
        if isinstance(error, SyntaxError):
            place, reason = f"{error.filename}:{error.lineno}", error.msg
        else:
            place, reason = _place(error), describe(error)
        kind = type(error).__name__
        text = reason if reason == kind else f"{kind}: {reason}"
        raise named(f"{what}: {place}: {shortened(text, LONGEST_REASON)}.") from error


def _place(error: BaseException) -> str:
    """Return file and line of the innermost frame in the user's code; of the innermost of all where there is none."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    own = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)]
    last = (own or frames)[-1]
    return f"{last.filename}:{last.lineno}"


def _from_file(path: Path, error: type[DevicekitError]) -> ModuleType:
    if not path.is_file():
        raise error(f"Expected a Python file at {path}, but there is none.")
    path = path.resolve()
    # The outermost package the file belongs to lies in this folder; relative imports reach as far up.
    parts, folder = [path.stem.replace(".", "_")], path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    # A package of our own around the folder, so that no file is taken for an installed module of the same name.
    name = ".".join([_FOLDER + hashlib.sha256(str(folder).encode()).hexdigest()[:12], *parts])
    text = path.read_bytes()
    known = sys.modules.get(name)
    if known is not None and _files.get(name) == (str(path), text):
        return known
    _importable(folder)
    with naming_errors(f"{path} cannot be loaded", error):
        return _execute(name, path, text)


def _execute(name: str, path: Path, text: bytes) -> ModuleType:
    """Run a file's text as a module that is found under its name by what unpickles or imports relatively."""
    outer, *inner = name.split(".")
    if outer not in sys.modules:
        package = ModuleType(outer)
        package.__path__ = [str(path.parents[len(inner) - 1])]
        sys.modules[outer] = package
    for depth in range(1, len(inner)):
        importlib.import_module(".".join([outer, *inner[:depth]]))
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None
    module = importlib.util.module_from_spec(specification)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        # Not through the loader: its compiled file is told from an edited one by size and second only.
        exec(compile(text, str(path), "exec", dont_inherit=True), vars(module))
    except BaseException:
        sys.modules.pop(name)
        if before is not None:
            sys.modules[name] = before
        raise
    _files[name] = str(path), text
    return module


def loaded_files() -> Mapping[str, tuple[str, bytes]]:
    """Return path and text of the user's files in this process by module name, for `restore_files` in another."""
    return dict(_files)


def restore_files(files: Mapping[str, tuple[str, bytes]]) -> None:
    """Load the user's files in a worker process, so that objects of their classes can be unpickled there.

    Args:
        files: from `loaded_files`.
    """
    for name, (path, text) in files.items():
        if name not in sys.modules:
            _execute(name, Path(path), text)


def _importable(folder: Path) -> None:
    """Let modules of a folder be imported, now and later (a network may import when it runs); installed ones first."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _from_import(place: str, what: str, error: type[DevicekitError]) -> ModuleType:
    # A command's own folder is on the path, the folder it was called in is not.
    _importable(Path.cwd())
    with naming_errors(f"The module {place!r} of the {what} cannot be imported", error):
        try:
            return importlib.import_module(place)
        except ModuleNotFoundError as reason:
            if f"{place}.".startswith(f"{reason.name}."):
                raise error(f"The module {place!r} of the {what} cannot be imported: {reason}.") from None
            raise
