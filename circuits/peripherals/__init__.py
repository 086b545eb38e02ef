"""Integrator, rescaling accumulator, gain stage and ramp ADC: their model, and the SPICE that it comes from."""

from circuits.peripherals.apply import apply_peripherals, draw_columns, noise_rms, non_linearity
from circuits.peripherals.characterization import Characterization, characterize
from circuits.peripherals.model import (
    ColumnErrors,
    PeripheralError,
    PeripheralModel,
    load_peripherals,
    peripheral_names,
)
from circuits.peripherals.parameters import Parameters, load_parameters, parameter_names
from circuits.peripherals.sweeps import sweep, with_intervals

__all__ = [
    "Characterization",
    "ColumnErrors",
    "Parameters",
    "PeripheralError",
    "PeripheralModel",
    "apply_peripherals",
    "characterize",
    "draw_columns",
    "load_parameters",
    "load_peripherals",
    "noise_rms",
    "non_linearity",
    "parameter_names",
    "peripheral_names",
    "sweep",
    "with_intervals",
]
