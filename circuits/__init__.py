"""What the wires and peripherals do: core designs, bit lines, SPICE, integrator, accumulator and ramp ADC."""

from circuits.adc import Adc, adc_names, load_adc
from circuits.adc_confirmation import AdcConfirmation, confirm_adc
from circuits.adc_figures import AdcFigures, adc_figures
from circuits.adc_kinds import AdcKind, AdcParameter, adc_kind_names, register_adc_kind
from circuits.adc_transfer import AdcErrors, adc_codes, quantisation_variance, transition_levels
from circuits.bit_line.affine import PreparedCells
from circuits.bit_line.checked import CellModel
from circuits.bit_line.envelope import EnvelopeWarning, expected_error_lsb, warn_outside_envelope
from circuits.bit_line.figure import plot_envelope
from circuits.bit_line.line_errors import BitLinePoint, bit_line_errors, envelope, error_map
from circuits.bit_line.resistances import LineResistances
from circuits.bit_line.solve import solve_bit_lines, solve_bit_serial
from circuits.bit_line.spice_cell import CellSweep, SpiceCell
from circuits.bit_line.spice_line import (
    BitLineConfirmation,
    LineConfirmation,
    confirm_bit_line,
    confirm_lines,
    simulate_bit_line,
)
from circuits.bit_line.transistor_cell import TransistorCell, load_transistor_cell
from circuits.bit_line.verdict import simplest_models, verdict
from circuits.bit_line.wire_cost import wire_error_lsb
from circuits.converters.drawn import Converters
from circuits.core import Core, load_core
from circuits.core_choice import as_core, choose_cores, load_cores
from circuits.core_parts import Faults, Wires
from circuits.cores_of_layers import NetworkCores, network_cores
from circuits.design_files import design_notes, load_design, load_designs
from circuits.designs import CoreDesign, split_rows
from circuits.errors import CircuitError, SpiceError
from circuits.line_currents import LineCurrents, assumed_line_currents
from circuits.network_values import Activity, LayerShape
from circuits.peripherals import (
    Characterization,
    ColumnErrors,
    Load,
    Parameters,
    PeripheralError,
    PeripheralGrid,
    PeripheralModel,
    Sizing,
    apply_peripherals,
    characterize,
    draw_columns,
    load_parameters,
    load_peripherals,
    parameter_names,
    peripheral_names,
    simulate_grid,
    size_peripherals,
)
from circuits.weight_codes import WeightCode, register_weight_code, weight_code, weight_codes
from circuits.weight_statistics import NetworkStatistics, network_statistics

__all__ = [
    "Activity",
    "Adc",
    "AdcConfirmation",
    "AdcErrors",
    "AdcFigures",
    "AdcKind",
    "AdcParameter",
    "BitLineConfirmation",
    "BitLinePoint",
    "CellModel",
    "CellSweep",
    "Characterization",
    "CircuitError",
    "ColumnErrors",
    "Converters",
    "Core",
    "CoreDesign",
    "EnvelopeWarning",
    "Faults",
    "LayerShape",
    "LineConfirmation",
    "LineCurrents",
    "LineResistances",
    "Load",
    "NetworkCores",
    "NetworkStatistics",
    "Parameters",
    "PeripheralError",
    "PeripheralGrid",
    "PeripheralModel",
    "PreparedCells",
    "Sizing",
    "SpiceCell",
    "SpiceError",
    "TransistorCell",
    "WeightCode",
    "Wires",
    "adc_codes",
    "adc_figures",
    "adc_kind_names",
    "adc_names",
    "apply_peripherals",
    "as_core",
    "assumed_line_currents",
    "bit_line_errors",
    "characterize",
    "choose_cores",
    "confirm_adc",
    "confirm_bit_line",
    "confirm_lines",
    "design_notes",
    "draw_columns",
    "envelope",
    "error_map",
    "expected_error_lsb",
    "load_adc",
    "load_core",
    "load_cores",
    "load_design",
    "load_designs",
    "load_parameters",
    "load_peripherals",
    "load_transistor_cell",
    "network_cores",
    "network_statistics",
    "parameter_names",
    "peripheral_names",
    "plot_envelope",
    "quantisation_variance",
    "register_adc_kind",
    "register_weight_code",
    "simplest_models",
    "simulate_bit_line",
    "simulate_grid",
    "size_peripherals",
    "solve_bit_lines",
    "solve_bit_serial",
    "split_rows",
    "transition_levels",
    "verdict",
    "warn_outside_envelope",
    "weight_code",
    "weight_codes",
    "wire_error_lsb",
]
