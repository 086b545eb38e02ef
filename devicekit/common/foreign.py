"""Files that others wrote: whatever a reader makes of a broken one becomes one named error, of one readable length."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from devicekit.common.errors import DevicekitError, shortened

LONGEST_REASON = 400
LARGEST_TOML = 50_000_000


@contextmanager
def reading(path: str | Path, error: type[DevicekitError], what: str) -> Iterator[None]:
    """Turn anything that a reader raises on a foreign file into a named error.

    Readers of archives, pictures, tables and pickles raise dozens of unrelated types on damaged files (zlib, zip, XML,
    Unicode, struct, recursion, memory), a few of them undocumented; a list of them is never whole.

    Args:
        path: the file, for the message.
        error: the room's own error; one that is named already passes as it is.
        what: what the file was expected to be, such as ``"a readable picture"``.

    Raises:
        DevicekitError: of type `error`; it names the file and the reader's reason in at most 400 characters.
    """
    try:
        yield
    except DevicekitError:
        raise
    except FileNotFoundError:
        raise error(f"{path}: there is no such file.") from None
    except IsADirectoryError:
        raise error(f"{path}: expected a file, but it is a folder.") from None
    except Exception as reason:
        raise error(shortened(f"{path}: not {what}: {describe(reason)}.", LONGEST_REASON)) from reason


@contextmanager
def numpy_archive(path: str | Path, error: type[DevicekitError], what: str) -> Iterator[Any]:
    """Open a NumPy archive (``.npz``) of plain arrays; reading them inside is guarded too.

    Args:
        path: the file.
        error: the room's own error.
        what: what the archive was expected to be.

    Raises:
        DevicekitError: of type `error`, see `reading`; also of an archive with objects that would run code.
    """
    # Opened here: numpy leaves the file open where it turns out not to be an archive.
    with (
        reading(path, error, what),
        Path(path).open("rb") as file,
        np.load(file, allow_pickle=False) as archive,
    ):
        yield archive


def read_toml(path: str | Path, error: type[DevicekitError]) -> dict[str, Any]:
    """Return the content of a TOML file.

    Args:
        path: the file.
        error: the room's own error.

    Raises:
        DevicekitError: of type `error`: no such file, no TOML, or one of more than 50 MB.
    """
    with reading(path, error, "a TOML file"):
        if Path(path).stat().st_size > LARGEST_TOML:
            raise error(f"{path}: a TOML file of more than {LARGEST_TOML // 10**6} MB is not read.")
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))


def describe(reason: BaseException) -> str:
    """Return what an exception says in one line, its type where it says nothing."""
    text = " ".join(str(reason).split())
    if isinstance(reason, OSError) and reason.strerror:
        text = reason.strerror
    return text.rstrip(".") or type(reason).__name__
