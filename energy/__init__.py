"""What a core costs: components with provenance, counts, energy, area, latency; networks, sweeps, calibration."""

from energy.calibration import Calibration, calibrate
from energy.core_cost import STRUCTURES, CoreCost, estimate_core
from energy.errors import EnergyError
from energy.library import Library
from energy.library_files import library_names, load_library
from energy.network_cost import NetworkCost, estimate_network
from energy.sweeps import estimate_designs
from energy.validation import compare_structures, leave_one_out

__all__ = [
    "STRUCTURES",
    "Calibration",
    "CoreCost",
    "EnergyError",
    "Library",
    "NetworkCost",
    "calibrate",
    "compare_structures",
    "estimate_core",
    "estimate_designs",
    "estimate_network",
    "leave_one_out",
    "library_names",
    "load_library",
]
