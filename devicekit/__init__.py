"""What one memory cell does: measurements in, fitted error models out."""

from typing import TYPE_CHECKING, Any

from devicekit.cells.cell import Cell, Spatial
from devicekit.cells.device_files import device_names, load_device
from devicekit.cells.error_models import (
    ErrorModel,
    Polynomial,
    PowerLaw,
    SaturatingExponential,
    Spline,
    StateIndependent,
    StateProportional,
    Table,
)
from devicekit.cells.retention import ExtrapolationWarning, Retention, RetentionPoint
from devicekit.common.errors import (
    DesignError,
    DeviceError,
    DevicekitError,
    MeasurementError,
    MissingDependencyError,
    UnitError,
)
from devicekit.common.paths import data_path
from devicekit.common.provenance import Constant

if TYPE_CHECKING:
    from devicekit.fits.device_fits import DeviceFit
    from devicekit.fits.fit_pipeline import fit_device
    from devicekit.fits.repeated_reads import fit_read_noise
    from devicekit.measurements.measurements import Measurements, read_measurements

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

# Fitting needs pandas and lmfit (which brings matplotlib): seconds that whoever only uses a cell need not wait.
_FITTING = {
    "DeviceFit": "devicekit.fits.device_fits",
    "Measurements": "devicekit.measurements.measurements",
    "fit_device": "devicekit.fits.fit_pipeline",
    "fit_read_noise": "devicekit.fits.repeated_reads",
    "read_measurements": "devicekit.measurements.measurements",
}


def __getattr__(name: str) -> Any:
    """Import what fits cells when it is first asked for."""
    if name in _FITTING:
        from importlib import import_module

        return getattr(import_module(_FITTING[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
