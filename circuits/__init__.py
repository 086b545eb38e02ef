"""What the wires and peripherals do: core designs, bit lines, SPICE, integrator, accumulator and ramp converter."""

from circuits.design_files import design_notes, load_design, load_designs
from circuits.designs import CoreDesign, split_rows
from circuits.network_values import Activity, LayerShape

__all__ = ["Activity", "CoreDesign", "LayerShape", "design_notes", "load_design", "load_designs", "split_rows"]
