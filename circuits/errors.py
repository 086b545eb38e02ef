"""The exceptions of this room beside `DesignError`."""

from __future__ import annotations

from devicekit.common.errors import DevicekitError


class CircuitError(DevicekitError):
    """An array, pattern or parameter of a circuit cannot be used."""


class SpiceError(CircuitError):
    """ngspice refused a netlist or did not converge; the text holds ngspice's own lines."""
