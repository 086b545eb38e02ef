"""The exception of training."""

from __future__ import annotations

from devicekit.common.errors import DevicekitError


class TrainingError(DevicekitError):
    """A training cannot start or go on: settings, data or a checkpoint that do not fit, or a loss that is no number."""
