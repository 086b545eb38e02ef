"""Exceptions that devicekit raises on bad input, and the message for an unknown name.

Every room raises a subclass of `DevicekitError` at its boundary. The command prints such an error as one message
and exits with code 2; anything else that escapes is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DevicekitError(Exception):
    """Input that cannot be used; the message names it, what was required and what was received."""


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
