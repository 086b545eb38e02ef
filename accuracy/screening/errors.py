"""Why a network or a design cannot be screened."""

from __future__ import annotations

from devicekit.common.errors import DevicekitError


class ScreeningError(DevicekitError):
    """A network, its data or a design has something that the screen has no law for: it needs trials."""
