"""The exception of the data loaders."""

from __future__ import annotations

from devicekit.common.errors import DevicekitError


class DataSetError(DevicekitError):
    """A data set is unknown, absent from the folder given, or malformed; the message names the file expected."""
