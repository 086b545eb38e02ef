"""What the wires and peripherals do: core designs, bit lines, SPICE, integrator, accumulator and ramp converter."""

from circuits.bit_line import solve_bit_lines
from circuits.design_files import design_notes, load_design, load_designs
from circuits.designs import CoreDesign, split_rows
from circuits.errors import CircuitError, SpiceError
from circuits.network_values import Activity, LayerShape

__all__ = [
    "Activity",
    "CircuitError",
    "CoreDesign",
    "LayerShape",
    "SpiceError",
    "design_notes",
    "load_design",
    "load_designs",
    "solve_bit_lines",
    "split_rows",
]
