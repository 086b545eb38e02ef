"""Results as plain values: what JSON, and a reader without our classes, can hold."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any


class PlainValues:
    """A data class whose fields are plain already, units in their names."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name as plain values, as JSON can hold them."""
        assert dataclasses.is_dataclass(self)
        return plain_dict({field.name: getattr(self, field.name) for field in dataclasses.fields(self)})


def plain_dict(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with plain values, see `plain`."""
    return {key: plain(value) for key, value in values.items()}


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it.

    Args:
        value: mappings, sequences, numbers, text; also numpy values, dataclasses, pydantic models, data frames (one
            mapping a row), paths, and what has a `to_dict`. What is not finite becomes None.

    Raises:
        TypeError: a kind of value that JSON has no form for.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    if isinstance(value, Path | date):
        return str(value)
    if hasattr(value, "to_dict"):
        return plain(value.to_dict(orient="records") if hasattr(value, "iterrows") else value.to_dict())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    raise TypeError(f"A value of type {type(value).__name__} has no JSON form: {value!r}")
