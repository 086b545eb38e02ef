"""The exception of studies."""

from __future__ import annotations

from devicekit.common.errors import DevicekitError


class StudyError(DevicekitError):
    """A study file is malformed, or asks for what cannot be put together; the message names the file and the key."""
