"""Integrator, rescaling accumulator, gain stage and ramp converter: their model, and the SPICE that it comes from."""

from circuits.peripherals.apply import apply_peripherals, draw_columns, noise_rms, non_linearity
from circuits.peripherals.model import (
    ColumnErrors,
    PeripheralError,
    PeripheralModel,
    load_peripherals,
    peripheral_names,
)

__all__ = [
    "ColumnErrors",
    "PeripheralError",
    "PeripheralModel",
    "apply_peripherals",
    "draw_columns",
    "load_peripherals",
    "noise_rms",
    "non_linearity",
    "peripheral_names",
]
