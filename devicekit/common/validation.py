"""Settings from outside, checked by pydantic, with one clear message where they are not allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from devicekit.common.errors import DevicekitError, unknown_name

Settings = TypeVar("Settings", bound=BaseModel)


def validated(model: type[Settings], values: Mapping[str, Any], where: str, raising: type[DevicekitError]) -> Settings:
    """Return settings from plain values.

    Args:
        model: their class.
        values: the attributes by name.
        where: what the values came from, for the message.
        raising: the error of the room.

    Raises:
        DevicekitError: `raising`, for an unknown key (with the nearest names) or a value that is not allowed.
    """
    for key in values:
        if key not in model.model_fields:
            raise raising(f"{where}: " + unknown_name("key", key, model.model_fields))
    try:
        return model(**values)
    except ValidationError as error:
        key, reason, received = problem_of(error)
        # A whole sentence says what it got.
        got = "" if reason.endswith(".") else f", but got {received!r}."
        raise raising(f"{where}: `{key}`: {reason}{got}") from None


def problem_of(error: ValidationError) -> tuple[str, str, Any]:
    """Return the first thing that validation found: its key, the reason in words, and what was received."""
    first = error.errors()[0]
    return ".".join(map(str, first["loc"])), str(first["msg"]).removeprefix("Value error, "), first["input"]
