"""What a network loses: quantise, map, analog arrays, calibrate, evaluate."""

from accuracy.calibrate import calibrate
from accuracy.convert import analog_layers, convert
from accuracy.errors import (
    CalibrationError,
    ConversionError,
    ConversionWarning,
    EvaluationError,
    InputError,
    InputRangeWarning,
    MappingError,
)
from accuracy.evaluate import Accuracy, evaluate
from accuracy.matrix import AnalogMatrix
from accuracy.shapes import layer_shapes

__all__ = [
    "Accuracy",
    "AnalogMatrix",
    "CalibrationError",
    "ConversionError",
    "ConversionWarning",
    "EvaluationError",
    "InputError",
    "InputRangeWarning",
    "MappingError",
    "analog_layers",
    "calibrate",
    "convert",
    "evaluate",
    "layer_shapes",
]
