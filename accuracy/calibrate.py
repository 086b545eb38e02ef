"""Where scripts find `ideal_cells` and `layer_mode`, beside the function of this name (`accuracy.calibrate`)."""

from accuracy.calibration.calibrate import calibrate, calibration_report, ideal_cells
from accuracy.layers.modes import layer_mode

__all__ = ["calibrate", "calibration_report", "ideal_cells", "layer_mode"]
