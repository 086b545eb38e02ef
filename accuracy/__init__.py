"""What a network loses: quantise, map, analog arrays, calibrate, evaluate."""

# The module comes first: the function of its name is what the package has.
import accuracy.calibrate  # noqa: F401
from accuracy import data_sets, networks, training
from accuracy.calibration.activity import mean_activity, measure_activity
from accuracy.calibration.calibrate import calibrate, calibration_report
from accuracy.calibration.line_currents import measure_line_currents
from accuracy.data_sets import DataSet, DataSetError
from accuracy.errors import (
    CalibrationError,
    ConversionError,
    ConversionWarning,
    EvaluationError,
    EvaluationWarning,
    InputError,
    InputRangeWarning,
    MappingError,
)
from accuracy.evaluation.evaluate import evaluate
from accuracy.evaluation.layer_report import LayerReport, layer_report
from accuracy.evaluation.measures import metric_names
from accuracy.evaluation.metrics import Binary, CrossEntropy, MeanSquaredError, Perplexity, TopK
from accuracy.evaluation.results import Accuracy
from accuracy.layer_kinds import (
    CompositeKind,
    LayerKind,
    MatrixKind,
    RandomInput,
    layer_kinds,
    register_layer_kind,
)
from accuracy.layers.conversion import synchronize
from accuracy.layers.convert import analog_layers, convert
from accuracy.layers.cover import coverage
from accuracy.layers.coverage import Coverage
from accuracy.layers.matrix import AnalogMatrix
from accuracy.layers.shapes import layer_shapes
from accuracy.mapping.operators import ConvolutionOperator, MatrixOperator
from accuracy.networks import NetworkError
from accuracy.screening.calibration import ScreenCalibration, calibrate_screen
from accuracy.screening.errors import ScreeningError
from accuracy.screening.screen import Screened, screen, screen_core
from accuracy.screening.sensitivities import Sensitivities, measure_sensitivities
from circuits import Faults

__all__ = [
    "Accuracy",
    "AnalogMatrix",
    "Binary",
    "CalibrationError",
    "CompositeKind",
    "ConversionError",
    "ConversionWarning",
    "ConvolutionOperator",
    "Coverage",
    "CrossEntropy",
    "DataSet",
    "DataSetError",
    "EvaluationError",
    "EvaluationWarning",
    "Faults",
    "InputError",
    "InputRangeWarning",
    "LayerKind",
    "LayerReport",
    "MappingError",
    "MatrixKind",
    "MatrixOperator",
    "MeanSquaredError",
    "NetworkError",
    "Perplexity",
    "RandomInput",
    "ScreenCalibration",
    "Screened",
    "ScreeningError",
    "Sensitivities",
    "TopK",
    "analog_layers",
    "calibrate",
    "calibrate_screen",
    "calibration_report",
    "convert",
    "coverage",
    "data_sets",
    "evaluate",
    "layer_kinds",
    "layer_report",
    "layer_shapes",
    "mean_activity",
    "measure_activity",
    "measure_line_currents",
    "measure_sensitivities",
    "metric_names",
    "networks",
    "register_layer_kind",
    "screen",
    "screen_core",
    "synchronize",
    "training",
]
