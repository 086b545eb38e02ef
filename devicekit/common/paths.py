"""Paths: the folder `data/` in a checkout or an installed wheel, and files that are written whole or not at all."""

from __future__ import annotations

import errno
import glob
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devicekit.common.errors import DevicekitError, unknown_name

NO_SPACE = (errno.ENOSPC, errno.EFBIG, *([errno.EDQUOT] if hasattr(errno, "EDQUOT") else []))
"""Errors of a disk, or a quota, that is full."""

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
    start = f".{target.stem}."
    for stray in left_by_the_dead(target.parent, start, target.suffix):
        stray.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(prefix=start + owner_mark(), suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        try:
            yield temporary
        except OSError as error:
            # A write to a full disk does not say which file it was.
            if error.filename is None and error.errno in NO_SPACE:
                error.filename = str(target)
            raise
        # mkstemp makes files private; a result is meant to be read by others as any new file is.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        try:
            temporary.replace(target)
        except OSError as error:
            # The user knows no temporary.
            error.filename, error.filename2 = str(target), None
            raise
    finally:
        temporary.unlink(missing_ok=True)


def checked_file_name(name: str, what: str, error: type[DevicekitError]) -> str:
    """Return a name that may become a file's: it stays in its folder on every system.

    Args:
        name: the user's.
        what: what it names, for the message.
        error: what is raised.

    Raises:
        DevicekitError: `error`, for an empty name, one with a separator or another character that files cannot have
            everywhere, one of dots only, or one of more than 100 bytes.
    """
    wrong = sorted({character for character in name if character in '/\\:*?"<>|' or not character.isprintable()})
    if not name.strip(" .") or wrong or name != name.strip() or name.endswith("."):
        found = f" ({' '.join(map(repr, wrong))})" if wrong else ""
        raise error(f"Expected {what} to be usable as a file's name, but got {name!r}{found}.")
    if len(name.encode()) > LONGEST_FILE_NAME:
        raise error(
            f"Expected {what} of at most {LONGEST_FILE_NAME} bytes, but got {len(name.encode())}: {name[:40]!r}..."
        )
    return name


def checked_name(name: str, what: str, error: type[DevicekitError]) -> str:
    """Return a name that tables, messages and pages show: one line that a terminal only prints.

    Args:
        name: the user's.
        what: what it names, for the message.
        error: what is raised.

    Raises:
        DevicekitError: `error`, for a name that is no text, empty, over-long, or has characters that do not print.
    """
    if not isinstance(name, str) or not name.strip():
        raise error(f"Expected {what} to be a non-empty text, but got {name!r:.80}.")
    if len(name.encode(errors="replace")) > LONGEST_FILE_NAME:
        raise error(f"Expected {what} of at most {LONGEST_FILE_NAME} bytes, but got {len(name)}: {name[:40]!r}...")
    if not name.isprintable():
        raise error(f"Expected {what} to be one line of printable characters, but got {name!r}.")
    return name


LONGEST_FILE_NAME = 100
"""Bytes of a user's name that becomes a file's: endings and temporary names are added to it."""


def owner_mark() -> str:
    """Return what a temporary name holds of the process that writes it: machine and process id."""
    return f"{_machine()}{os.getpid()}."


def left_by_the_dead(folder: Path, start: str, end: str = "") -> list[Path]:
    """Return temporaries in a folder whose process, on this machine, was killed before it could remove them.

    Args:
        folder: where to look; it need not be there.
        start: of their names, before `owner_mark`.
        end: of their names.
    """
    prefix, strays = start + _machine(), []
    for path in folder.glob(f"{glob.escape(prefix)}*{glob.escape(end)}"):
        owner = path.name.removeprefix(prefix).partition(".")[0]
        if owner.isdecimal() and not _runs(int(owner)):
            strays.append(path)
    return strays


def _machine() -> str:
    return f"{platform.node()[:20]}-"


def _runs(process: int) -> bool:
    """Return whether a process of this machine runs; True where that cannot be asked."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
