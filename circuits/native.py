"""Small C kernels: compile a C source that ships with a package, once, and load it with ctypes.

A wheel built where a compiler is carries the library in a folder ``_native`` beside the source; in a checkout, or in a
wheel built without one, it is compiled on first use into the user's cache folder. Without any compiler the answer is
None and the caller takes its numba or numpy kernel instead. This file uses the standard library only, because the
build hook (``hatch_build.py``) loads it before anything is installed.

Flags that a kernel needs stand in its source, in a comment that begins a line with ``Compiled with:``, so that whoever
compiles it, now or for a wheel, reads them in one place.
"""

from __future__ import annotations

import ctypes
import functools
import glob
import hashlib
import itertools
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

DEFAULT_FLAGS = ("-O3", "-std=gnu11")

SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")

_FIXED_FLAGS = ("-shared", "-fPIC", "-Wall")

_OWN_FLAGS = re.compile(r"^[ \t]*(?:/\*+|\*|//+)?[ \t]*Compiled with:(.*)$", re.MULTILINE)

_ROOT = Path(__file__).resolve().parents[1]
"""What packages lie in."""

_one_at_a_time = threading.Lock()
_tried: set[tuple[Path, Path]] = set()
"""Sources that were compiled on behalf of another, and into which folder: what was refused once will be again."""


def find_compiler() -> str | None:
    """Return the C compiler: the environment variable ``CC``, else cc, gcc or clang, else None."""
    given = os.environ.get("CC")
    names = [given] if given else ["cc", "gcc", "clang"]
    return next((path for path in map(shutil.which, names) if path), None)


@functools.cache
def load_library(source: Path) -> ctypes.CDLL | None:
    """Return the compiled library of a C source, compiled now if it never was, or None where that cannot be.

    Where it must be compiled, the other kernels of its package are too, as many at a time as there are processors; it
    waits for all of them.

    Args:
        source: path of a self-contained C file; `compiler_flags` says how it is compiled.

    Returns:
        The library, or None: no compiler, a compiler that refuses the source, no folder to write to, or the
        environment variable ``DEVICEKIT_NO_NATIVE`` set. With ``DEVICEKIT_SANITIZE`` set, kernels are compiled to stop
        the process at the first access out of bounds or undefined operation (the process needs ASan's run-time
        library loaded first; see tests/circuits/test_sanitized_kernels.py).
    """
    if os.environ.get("DEVICEKIT_NO_NATIVE"):
        return None
    name, cache = library_name(source), _cache_folder()
    _remove_strays(cache)
    shipped = _open(source.parent / "_native" / name)
    if shipped is not None:
        return shipped
    with _one_at_a_time:
        if not _trusted(cache / name) and find_compiler() is not None:
            _announce(cache)
            _compile_with_neighbours(source, cache)
    return _open(cache / name) if _trusted(cache / name) else None


def _compile_with_neighbours(source: Path, cache: Path) -> None:
    others = [path for path in _neighbours(source) if (path, cache) not in _tried and _is_missing(path, cache)]
    _tried.update((path, cache) for path in [source, *others])
    if others:
        try:
            with ThreadPoolExecutor(processors()) as pool:
                list(pool.map(lambda path: compile_library(path, cache), [source, *others]))
            return
        except RuntimeError:  # no more threads, as where the interpreter ends
            pass
    compile_library(source, cache)


def _neighbours(source: Path) -> list[Path]:
    """Return the other C sources of the package that one lies in; none where it lies in none of ours."""
    try:
        package = _ROOT / source.resolve().relative_to(_ROOT).parts[0]
    except ValueError:
        return []
    if not package.is_dir():
        return []
    # Editors leave files that begin with a dot.
    return sorted(path for path in package.rglob("*.c") if path != source and not path.name.startswith("."))


def _is_missing(source: Path, cache: Path) -> bool:
    """Return whether a source that can be read has no library yet, neither shipped nor kept."""
    try:
        name = library_name(source)
    except (OSError, ValueError):
        return False
    return not (source.parent / "_native" / name).is_file() and not _trusted(cache / name)


def processors() -> int:
    """Return how many processors the process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _announce(cache: Path) -> None:
    """Say once to whoever sits at a terminal why nothing happens for some seconds."""
    if find_compiler() is not None and sys.stderr is not None and sys.stderr.isatty():
        print(f"Compiling C kernels into {cache} (once, half a minute of one processor) ...", file=sys.stderr)


def compile_library(source: Path, folder: Path) -> Path | None:
    """Compile a C source into a folder under the name `library_name` gives it.

    Args:
        source: path of a self-contained C file.
        folder: where the library shall lie; made if need be.

    Returns:
        Path of the library, or None where it cannot be made.
    """
    compiler = find_compiler()
    if compiler is None:
        return None
    target = folder / library_name(source)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix=f"{_scratch()}{os.getpid()}-", dir=folder) as work:
            # Compiled aside and renamed: another process never sees half a library.
            fresh = Path(work) / target.name
            command = [compiler, *compiler_flags(source), *_FIXED_FLAGS, str(source), "-o", str(fresh), "-lm"]
            # The compiler's own temporaries go with the folder when this process is killed.
            places = {**os.environ, "TMPDIR": work}
            subprocess.run(command, check=True, capture_output=True, timeout=120, env=places)
            fresh.chmod(0o755)
            digest = Path(work) / "digest"
            digest.write_text(_digest(fresh))
            digest.replace(target.with_suffix(".sha256"))
            fresh.replace(target)
    except (OSError, subprocess.SubprocessError):
        return None
    return target


def compiler_flags(source: Path) -> tuple[str, ...]:
    """Return the flags that a C source is compiled with, beside those that make a shared library.

    They are `DEFAULT_FLAGS`, those after ``Compiled with:`` at the beginning of a comment's line in the source, and,
    where ``DEVICEKIT_SANITIZE`` is set, `SANITIZE`. ``-march=native`` is for no kernel: its library may be used on
    another processor; ``target_clones`` in the source picks vector units at run time.

    Args:
        source: path of the C file.

    Raises:
        ValueError: a comment's text begins with ``Compiled with:``, but no flags follow.
    """
    own: list[str] = []
    for text in _OWN_FLAGS.findall(source.read_text(encoding="utf-8")):
        words = (word.rstrip(".,;") for word in text.partition("*/")[0].split())
        flags = list(itertools.takewhile(lambda word: word.startswith("-"), words))
        if not flags:
            raise ValueError(f"{source}: expected flags after 'Compiled with:' on the same line, but got {text!r:.80}.")
        own += flags
    return (*DEFAULT_FLAGS, *own, *(SANITIZE if os.environ.get("DEVICEKIT_SANITIZE") else ()))


def library_name(source: Path) -> str:
    """Return the file name of a source's library: its stem and a hash of text, headers, flags, system and processor.

    Args:
        source: path of the C file.
    """
    key = hashlib.sha256(source.read_bytes())
    for name in sorted(set(re.findall(rb'#include "([^"]+)"', source.read_bytes()))):
        key.update((source.parent / name.decode()).read_bytes())
    key.update("\0".join([*compiler_flags(source), *_FIXED_FLAGS, sys.platform, platform.machine()]).encode())
    return f"{source.stem}-{key.hexdigest()[:16]}{'.dll' if sys.platform == 'win32' else '.so'}"


def _scratch() -> str:
    """Return how names of folders begin in which this machine compiles; the process id follows."""
    return f"compiling-{platform.node()[:20]}-"


def _remove_strays(folder: Path) -> None:
    """Remove the folders of processes that were killed while they compiled."""
    if os.name != "posix":
        return
    for path in folder.glob(f"{glob.escape(_scratch())}*"):
        owner = path.name.removeprefix(_scratch()).partition("-")[0]
        try:
            os.kill(int(owner), 0)
        except ProcessLookupError:
            shutil.rmtree(path, ignore_errors=True)
        except (OSError, ValueError):
            continue


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _trusted(path: Path) -> bool:
    """Return whether a cached library is whole, and nobody but this user (or root) can have written it.

    A library that was cut short by a full disk can crash the process that loads it, and one that somebody else may
    write runs their code.
    """
    try:
        if path.with_suffix(".sha256").read_text() != _digest(path):
            return False
        if not hasattr(os, "getuid"):
            return True
        owned = [(place.stat().st_uid, place.stat().st_mode) for place in (path, path.parent)]
    except (OSError, UnicodeDecodeError):
        return False
    return all(uid in (os.getuid(), 0) and not mode & 0o022 for uid, mode in owned)


def _open(path: Path) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(str(path)) if path.is_file() else None
    except OSError:
        return None


def _cache_folder() -> Path:
    """The user's own folder: a library that others could replace must not be loaded."""
    given = os.environ.get("XDG_CACHE_HOME")
    if given:
        return Path(given) / "devicekit"
    home = Path.home()
    return (home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache") / "devicekit"
