"""The exception of this room."""

from __future__ import annotations

from devicekit.common.errors import DevicekitError


class EnergyError(DevicekitError):
    """A component library, an override, an activity or a request for a cost cannot be used."""
