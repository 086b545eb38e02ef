"""The exception of the network loaders."""

from __future__ import annotations

from devicekit.common.errors import DevicekitError


class NetworkError(DevicekitError):
    """A network is unknown, or its weights are absent or do not fit; the message names the file expected."""
