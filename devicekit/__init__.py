"""What one memory cell does: measurements in, fitted error models out."""

from devicekit.cells import Cell, Spatial
from devicekit.device_files import device_names, load_device
from devicekit.error_models import (
    ErrorModel,
    Polynomial,
    PowerLaw,
    SaturatingExponential,
    Spline,
    StateIndependent,
    StateProportional,
    Table,
)
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
from devicekit.retention import ExtrapolationWarning, Retention, RetentionPoint

__all__ = [
    "Cell",
    "Constant",
    "DesignError",
    "DeviceError",
    "DevicekitError",
    "ErrorModel",
    "ExtrapolationWarning",
    "MeasurementError",
    "MissingDependencyError",
    "Polynomial",
    "PowerLaw",
    "Retention",
    "RetentionPoint",
    "SaturatingExponential",
    "Spatial",
    "Spline",
    "StateIndependent",
    "StateProportional",
    "Table",
    "UnitError",
    "data_path",
    "device_names",
    "load_device",
]
