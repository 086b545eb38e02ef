"""What one memory cell does: measurements in, fitted error models out."""

from typing import TYPE_CHECKING, Any

from devicekit.cells.cell import Cell, Spatial
from devicekit.cells.compensation import ReadCompensation
from devicekit.cells.device_files import device_names, load_device
from devicekit.cells.device_writing import save_device
from devicekit.cells.drift_law import ClippedLogarithm, DriftLaw
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
from devicekit.cells.retention_laws import RetentionLaw
from devicekit.cells.subthreshold import MeasuredTemperature, SubthresholdTemperature, threshold_spread
from devicekit.cells.tails import Tail
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
    from devicekit.pulses.fit_pulses import PulseFit, fit_pulses
    from devicekit.pulses.pulse_data import PulseData
    from devicekit.pulses.pulse_files import read_pulses
    from devicekit.pulses.pulse_values import UpdateVariation
    from devicekit.pulses.update_models import UpdateBranch, UpdateModel

__all__ = [
    "Cell",
    "ClippedLogarithm",
    "Constant",
    "DesignError",
    "DeviceError",
    "DeviceFit",
    "DevicekitError",
    "Domain",
    "DriftLaw",
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
    "PulseData",
    "PulseFit",
    "ReadCompensation",
    "Retention",
    "RetentionLaw",
    "RetentionPoint",
    "SaturatingExponential",
    "Spatial",
    "Spline",
    "StateIndependent",
    "StateProportional",
    "SubthresholdTemperature",
    "Table",
    "TableShift",
    "Tail",
    "UnitError",
    "UnitWarning",
    "UpdateBranch",
    "UpdateModel",
    "UpdateVariation",
    "data_path",
    "device_names",
    "digital_levels",
    "error_models",
    "fit_device",
    "fit_pulses",
    "fit_read_noise",
    "load_device",
    "parameter",
    "read_measurements",
    "read_pulses",
    "register_error_model",
    "save_device",
    "state_overlap",
    "threshold_spread",
]

# These need pandas, scipy and lmfit (which brings matplotlib): seconds that whoever only uses a cell need not wait.
_LATER = {
    "DeviceFit": "devicekit.fits.device_fits",
    "Measurements": "devicekit.measurements.measurements",
    "PulseData": "devicekit.pulses.pulse_data",
    "PulseFit": "devicekit.pulses.fit_pulses",
    "UpdateBranch": "devicekit.pulses.update_models",
    "UpdateModel": "devicekit.pulses.update_models",
    "UpdateVariation": "devicekit.pulses.pulse_values",
    "digital_levels": "devicekit.cells.digital_levels",
    "fit_device": "devicekit.fits.fit_pipeline",
    "fit_pulses": "devicekit.pulses.fit_pulses",
    "fit_read_noise": "devicekit.fits.repeated_reads",
    "read_measurements": "devicekit.measurements.reading",
    "read_pulses": "devicekit.pulses.pulse_files",
    "state_overlap": "devicekit.cells.digital_levels",
}


def __getattr__(name: str) -> Any:
    """Import the slow parts when they are first asked for."""
    if name in _LATER:
        from importlib import import_module

        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
