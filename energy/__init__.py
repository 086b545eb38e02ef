"""What a core costs: components with provenance, counts, energy, area, latency; networks, sweeps, calibration."""

from typing import TYPE_CHECKING, Any

from energy.core_cost import STRUCTURES, CoreCost, estimate_core
from energy.errors import EnergyError
from energy.explanations import Explanation
from energy.layer_files import read_layers
from energy.library import Library
from energy.library_files import library_names, load_library
from energy.network_cost import NetworkCost, estimate_network
from energy.priors import Prior, load_priors
from energy.published import Printed, load_published
from energy.sweeps import design_fields, estimate_designs

if TYPE_CHECKING:
    from energy.calibration import Calibration, calibrate
    from energy.reproduction import Reproduction
    from energy.validation import compare_structures, leave_one_out, structural_scales

__all__ = [
    "STRUCTURES",
    "Calibration",
    "CoreCost",
    "EnergyError",
    "Explanation",
    "Library",
    "NetworkCost",
    "Printed",
    "Prior",
    "Reproduction",
    "calibrate",
    "compare_structures",
    "design_fields",
    "estimate_core",
    "estimate_designs",
    "estimate_network",
    "leave_one_out",
    "library_names",
    "load_library",
    "load_priors",
    "load_published",
    "read_layers",
    "structural_scales",
]

# Fitting needs lmfit, which takes two seconds to import: whoever only asks for a cost need not wait for it.
_FITTING = {
    "Calibration": "energy.calibration",
    "Reproduction": "energy.reproduction",
    "calibrate": "energy.calibration",
    "compare_structures": "energy.validation",
    "leave_one_out": "energy.validation",
    "structural_scales": "energy.validation",
}


def __getattr__(name: str) -> Any:
    """Import what fits libraries when it is first asked for."""
    if name in _FITTING:
        from importlib import import_module

        return getattr(import_module(_FITTING[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
