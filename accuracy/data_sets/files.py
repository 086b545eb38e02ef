"""Finding a data set's files in the folder a user gives."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from accuracy.data_sets.errors import DataSetError


def first_existing(directory: Path, folder: str, names: Iterable[str]) -> Path | None:
    """Return the first of several files or folders that exists in a directory or its sub-folder; None if none does.

    Args:
        directory: what the user gave.
        folder: sub-folder looked in as well, so that the folder above several data sets does too.
        names: relative paths, most wanted first.
    """
    for name in names:
        for candidate in (directory / name, directory / folder / name):
            if candidate.exists():
                return candidate
    return None


def find(directory: Path, folder: str, names: Iterable[str], what: str) -> Path:
    """Return the first of several files that exists, or say what was expected where.

    Args:
        directory: what the user gave.
        folder: sub-folder looked in as well.
        names: relative paths, most wanted first.
        what: what the file holds, for the message.

    Raises:
        DataSetError: none exists.
    """
    wanted = tuple(names)
    found = first_existing(directory, folder, wanted)
    if found is None:
        others = f" (or {', '.join(wanted[1:])})" if len(wanted) > 1 else ""
        raise DataSetError(
            f"Expected {what} in {directory / wanted[0]}{others}, but there is no such file (nor in {folder}/)."
        )
    return found
