"""What one memory cell does: measurements in, fitted error models out."""

from devicekit.errors import (
    DesignError,
    DeviceError,
    DevicekitError,
    MeasurementError,
    MissingDependencyError,
    UnitError,
)
from devicekit.paths import data_path
from devicekit.provenance import Constant

__all__ = [
    "Constant",
    "DesignError",
    "DeviceError",
    "DevicekitError",
    "MeasurementError",
    "MissingDependencyError",
    "UnitError",
    "data_path",
]
