"""What the wires and peripherals do: core designs, bit lines, SPICE, integrator, accumulator and ramp ADC."""

from circuits.bit_line.affine import PreparedCells
from circuits.bit_line.envelope import EnvelopeWarning, expected_error_lsb, warn_outside_envelope
from circuits.bit_line.line_errors import BitLinePoint
from circuits.bit_line.solve import solve_bit_lines, solve_bit_serial
from circuits.bit_line.spice_cell import SpiceCell
from circuits.bit_line.spice_line import BitLineConfirmation, confirm_bit_line, simulate_bit_line
from circuits.bit_line.transistor_cell import TransistorCell, load_transistor_cell
from circuits.design_files import choose_designs, design_notes, load_design, load_designs
from circuits.designs import CoreDesign, split_rows
from circuits.errors import CircuitError, SpiceError
from circuits.network_values import Activity, LayerShape
from circuits.peripherals import (
    Characterization,
    ColumnErrors,
    PeripheralError,
    PeripheralModel,
    apply_peripherals,
    characterize,
    draw_columns,
    load_parameters,
    load_peripherals,
    peripheral_names,
)
from circuits.weight_codes import WeightCode, register_weight_code, weight_code, weight_codes

__all__ = [
    "Activity",
    "BitLineConfirmation",
    "BitLinePoint",
    "Characterization",
    "CircuitError",
    "ColumnErrors",
    "CoreDesign",
    "EnvelopeWarning",
    "LayerShape",
    "PeripheralError",
    "PeripheralModel",
    "PreparedCells",
    "SpiceCell",
    "SpiceError",
    "TransistorCell",
    "WeightCode",
    "apply_peripherals",
    "characterize",
    "choose_designs",
    "confirm_bit_line",
    "design_notes",
    "draw_columns",
    "expected_error_lsb",
    "load_design",
    "load_designs",
    "load_parameters",
    "load_peripherals",
    "load_transistor_cell",
    "peripheral_names",
    "register_weight_code",
    "simulate_bit_line",
    "solve_bit_lines",
    "solve_bit_serial",
    "split_rows",
    "warn_outside_envelope",
    "weight_code",
    "weight_codes",
]
