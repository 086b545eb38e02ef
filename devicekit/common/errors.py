"""Exceptions that devicekit raises on bad input, and the message for an unknown name.

Every room raises a subclass of `DevicekitError` at its boundary. The command prints such an error as one message
and exits with code 2; anything else that escapes is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST_MESSAGE = 1000
"""Characters of the longest message: what was received may be a whole file."""


def shortened(message: str, longest: int) -> str:
    """Return a message of at most so many characters; the middle gives way, since file and reason stand at the ends."""
    if len(message) <= longest:
        return message
    half = (longest - 5) // 2
    return f"{message[:half]} ... {message[-half:]}"


class DevicekitError(Exception):
    """Input that cannot be used; the message names it, what was required and what was received.

    Args:
        message: one or a few sentences; the middle of a message that does not end is left out.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(shortened(str(message), LONGEST_MESSAGE))


class MeasurementError(DevicekitError):
    """A measurement file or table cannot be read as cell currents; the message names the file and line or column."""


class DeviceError(DevicekitError):
    """A cell, error model or device file is impossible, unknown or malformed."""


class DesignError(DevicekitError):
    """A core design is impossible, unknown or malformed."""


class MissingDependencyError(DevicekitError):
    """An optional program or package is needed and absent; the message says how to install it."""


class UnitError(DevicekitError):
    """A quantity has an unknown unit or one of the wrong dimension."""


def nearest_names(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return the known names most like `name`, best first.

    Args:
        name: what the user wrote.
        known: the names that exist.
        count: how many to return at most.

    Returns:
        Names in their own spelling; empty when nothing is close.
    """
    spelling = {candidate.lower(): candidate for candidate in known}
    return [spelling[match] for match in difflib.get_close_matches(name.lower(), spelling, n=count, cutoff=0.4)]


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown name: what was asked, the nearest names, and all names when they are few.

    Args:
        kind: what the name stands for, such as ``"design"``.
        name: what the user wrote.
        known: the names that exist.
    """
    names = list(known)
    message = f"Unknown {kind} {name!r:.80}."
    nearest = nearest_names(name[:80], names)
    if nearest:
        message += f" Did you mean {' or '.join(map(repr, nearest))}?"
    if names and len(names) <= 20:
        message += f" Known: {', '.join(sorted(names))}."
    return message
