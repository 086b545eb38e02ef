"""What one memory cell does: measurements in, fitted error models out."""

from typing import TYPE_CHECKING, Any

from devicekit.cells.cell import Cell, Spatial
from devicekit.cells.device_files import device_names, load_device
from devicekit.cells.device_writing import save_device
from devicekit.cells.error_model import Domain, ErrorModel, parameter
from devicekit.cells.error_models import (
    Polynomial,
    PowerLaw,
    SaturatingExponential,
    Spline,
    StateIndependent,
    StateProportional,
    Table,
)
from devicekit.cells.error_registry import error_models, register_error_model
from devicekit.cells.mean_shifts import MeanShift, PolynomialShift, TableShift
from devicekit.cells.retention import ExtrapolationWarning, Retention, RetentionPoint
from devicekit.cells.subthreshold import MeasuredTemperature, SubthresholdTemperature, threshold_spread
from devicekit.common.entry_points import ExtensionWarning
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
from devicekit.common.unit_checks import UnitWarning

if TYPE_CHECKING:
    from devicekit.cells.digital_levels import digital_levels, state_overlap
    from devicekit.fits.device_fits import DeviceFit
    from devicekit.fits.fit_pipeline import fit_device
    from devicekit.fits.repeated_reads import fit_read_noise
    from devicekit.measurements.measurements import Measurements
    from devicekit.measurements.reading import read_measurements

__all__ = [
    "Cell",
    "Constant",
    "DesignError",
    "DeviceError",
    "DeviceFit",
    "DevicekitError",
    "Domain",
    "ErrorModel",
    "ExtensionWarning",
    "ExtrapolationWarning",
    "MeanShift",
    "MeasuredTemperature",
    "MeasurementError",
    "Measurements",
    "MissingDependencyError",
    "Polynomial",
    "PolynomialShift",
    "PowerLaw",
    "Retention",
    "RetentionPoint",
    "SaturatingExponential",
    "Spatial",
    "Spline",
    "StateIndependent",
    "StateProportional",
    "SubthresholdTemperature",
    "Table",
    "TableShift",
    "UnitError",
    "UnitWarning",
    "data_path",
    "device_names",
    "digital_levels",
    "error_models",
    "fit_device",
    "fit_read_noise",
    "load_device",
    "parameter",
    "read_measurements",
    "register_error_model",
    "save_device",
    "state_overlap",
    "threshold_spread",
]

# These need pandas, scipy and lmfit (which brings matplotlib): seconds that whoever only uses a cell need not wait.
_LATER = {
    "DeviceFit": "devicekit.fits.device_fits",
    "Measurements": "devicekit.measurements.measurements",
    "digital_levels": "devicekit.cells.digital_levels",
    "fit_device": "devicekit.fits.fit_pipeline",
    "fit_read_noise": "devicekit.fits.repeated_reads",
    "read_measurements": "devicekit.measurements.reading",
    "state_overlap": "devicekit.cells.digital_levels",
}


def __getattr__(name: str) -> Any:
    """Import the slow parts when they are first asked for."""
    if name in _LATER:
        from importlib import import_module

        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
