"""What one memory cell does: measurements in, fitted error models out."""

from devicekit.cells import Cell, Spatial
from devicekit.device_files import device_names, load_device
from devicekit.device_fits import DeviceFit
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
from devicekit.fit_pipeline import fit_device
from devicekit.measurements import Measurements, read_measurements
from devicekit.paths import data_path
from devicekit.provenance import Constant
from devicekit.repeated_reads import fit_read_noise
from devicekit.retention import ExtrapolationWarning, Retention, RetentionPoint

__all__ = [
    "Cell",
    "Constant",
    "DesignError",
    "DeviceError",
    "DeviceFit",
    "DevicekitError",
    "ErrorModel",
    "ExtrapolationWarning",
    "MeasurementError",
    "Measurements",
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
    "fit_device",
    "fit_read_noise",
    "load_device",
    "read_measurements",
]
