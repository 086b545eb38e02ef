"""What a core costs: components with provenance, counts, energy, area, latency."""

from energy.core_cost import STRUCTURES, CoreCost, estimate_core
from energy.errors import EnergyError
from energy.library import Library
from energy.library_files import library_names, load_library

__all__ = ["STRUCTURES", "CoreCost", "EnergyError", "Library", "estimate_core", "library_names", "load_library"]
