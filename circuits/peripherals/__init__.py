"""Integrator, rescaling accumulator, gain stage and ramp ADC: their model, and the SPICE that it comes from."""

from circuits.peripherals.apply import apply_peripherals, draw_columns, noise_rms, non_linearity
from circuits.peripherals.characterization import Characterization, characterize
from circuits.peripherals.grid import PeripheralGrid
from circuits.peripherals.grid_runs import simulate_grid
from circuits.peripherals.load import Peripherals, load_peripherals, peripheral_names, sized_names
from circuits.peripherals.model import ColumnErrors, PeripheralError, PeripheralModel
from circuits.peripherals.parameters import Parameters, load_parameters, parameter_names
from circuits.peripherals.sizing import Load, Sizing, size_peripherals
from circuits.peripherals.sweeps import sweep, with_intervals

__all__ = [
    "Characterization",
    "ColumnErrors",
    "Load",
    "Parameters",
    "PeripheralError",
    "PeripheralGrid",
    "PeripheralModel",
    "Peripherals",
    "Sizing",
    "apply_peripherals",
    "characterize",
    "draw_columns",
    "load_parameters",
    "load_peripherals",
    "noise_rms",
    "non_linearity",
    "parameter_names",
    "peripheral_names",
    "simulate_grid",
    "size_peripherals",
    "sized_names",
    "sweep",
    "with_intervals",
]
