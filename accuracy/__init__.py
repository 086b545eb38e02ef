"""What a network loses: quantise, map, analog arrays, calibrate, evaluate."""

from accuracy import data_sets, networks
from accuracy.activity import mean_activity, measure_activity
from accuracy.calibrate import calibrate, calibration_report
from accuracy.convert import analog_layers, convert
from accuracy.data_sets import DataSet, DataSetError
from accuracy.errors import (
    CalibrationError,
    ConversionError,
    ConversionWarning,
    EvaluationError,
    InputError,
    InputRangeWarning,
    MappingError,
)
from accuracy.evaluate import evaluate
from accuracy.layer_report import LayerReport, layer_report
from accuracy.matrix import AnalogMatrix
from accuracy.networks import NetworkError
from accuracy.physics import Faults
from accuracy.results import Accuracy
from accuracy.shapes import layer_shapes

__all__ = [
    "Accuracy",
    "AnalogMatrix",
    "CalibrationError",
    "ConversionError",
    "ConversionWarning",
    "DataSet",
    "DataSetError",
    "EvaluationError",
    "Faults",
    "InputError",
    "InputRangeWarning",
    "LayerReport",
    "MappingError",
    "NetworkError",
    "analog_layers",
    "calibrate",
    "calibration_report",
    "convert",
    "data_sets",
    "evaluate",
    "layer_report",
    "layer_shapes",
    "mean_activity",
    "measure_activity",
    "networks",
]
