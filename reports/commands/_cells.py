"""Which cells a command reads, and when: options that fill in what a core leaves open."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from circuits import Core

USUAL_DEVICE = "sonos_40nm_tcas2022"
_PARTS = ("age", "temperature", "compensation")


@dataclass(frozen=True)
class CellsRead:
    """Which cells are read, and when: the options of the command, or what a core says itself.

    Attributes:
        device: cell by name or file, ``"ideal"``; None for the core's own, or the usual one.
        age: time since programming.
        temperature: of the read.
        error_scale: factor on the spread of the cells.
        compensation: bias that follows the temperature of the read.
    """

    device: str | None
    age: str | None
    temperature: str | None
    error_scale: float = 1.0
    compensation: str | None = None

    def built(self, core: Core, **parts: Any) -> Core:
        """Return a core with what it leaves open filled in.

        Args:
            core: from its name.
            **parts: peripherals, ADC and wires.

        Raises:
            DevicekitError: a part that the core has itself, or an age or temperature of ideal cells.
        """
        from circuits import as_core
        from circuits.core_choice import given_twice
        from devicekit import DeviceError

        changes = {name: value for name in _PARTS if (value := getattr(self, name))}
        for name in changes:
            if getattr(core, name):
                raise given_twice(name, core)
        cell = self.device
        if self.device == "ideal":
            if core.cell is not None:
                raise given_twice("cell", core)
            if changes:
                raise DeviceError(
                    "Ideal cells neither age nor feel heat: leave out --age, --temperature and --compensation."
                )
            cell = None
        elif self.device is None and core.cell is None:
            cell = USUAL_DEVICE
        built = as_core(core.replace(**changes) if changes else core, cell=cell, **parts)
        if self.error_scale == 1.0:
            return built
        if built.cell is None:
            raise DeviceError("Ideal cells have no errors to scale: leave out --error-scale.")
        return built.replace(cell=replace(built.cell, error_scale=self.error_scale))

    def beside(self, core: Core, **parts: Any) -> Core:
        """Return the core of some layers with what it leaves open filled in, but for the cells: those of the rest.

        Cells of its own are read when and as the others are.

        Args:
            core: from its name.
            **parts: peripherals, ADC and wires; a name of peripherals is looked up for this core's own use.

        Raises:
            DevicekitError: parts that do not go together.
        """
        needless = ("adc", "peripherals") if core.design.adc_bits is None else ()
        changes = {name: own for name, own in parts.items() if name not in needless}
        if core.cell is not None:
            changes |= {name: getattr(self, name) for name in _PARTS}
        changes = {name: own for name, own in changes.items() if own is not None and not getattr(core, name)}
        filled = core.replace(**changes) if changes else core
        if filled.cell is None or self.error_scale == 1.0:
            return filled
        return filled.replace(cell=replace(filled.cell, error_scale=self.error_scale))
