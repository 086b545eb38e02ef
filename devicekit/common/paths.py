"""Paths: the folder `data/` in a checkout or an installed wheel, and files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devicekit.common.errors import DevicekitError, unknown_name

_PACKAGE = Path(__file__).resolve().parents[1]


def is_file(path: str | Path) -> bool:
    """Return whether a path is that of a file; False for a name that no file can have (too long, a null byte)."""
    return os.path.isfile(path)


def exists(path: str | Path) -> bool:
    """Return whether a file or folder exists; False for a name that none can have."""
    return os.path.exists(path)


def data_path(name: str = ".") -> Path:
    """Return the path of a file or folder of the project's `data/`.

    A wheel carries the folder as `devicekit/data`; a checkout has it beside the package.

    Args:
        name: path relative to `data/`, with forward slashes.

    Returns:
        An existing path.

    Raises:
        DevicekitError: nothing of that name is there; the message names the nearest files.
    """
    for root in (_PACKAGE / "data", _PACKAGE.parent / "data"):
        if root.is_dir():
            path = root / name
            if path.exists():
                return path
            siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
            raise DevicekitError(unknown_name("data file", path.name, siblings) + f" Looked in {path.parent}.")
    raise DevicekitError("The folder `data` was not found beside the package devicekit; reinstall the distribution.")


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Write a file whole or not at all: yield a temporary path that takes the place of `path` on success.

    Args:
        path: where the file shall stand; its folder is made.

    Yields:
        A path in the same folder to write to; removed when the block raises.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; a result is meant to be read by others as any new file is.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
