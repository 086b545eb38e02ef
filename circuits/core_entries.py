"""Parts of a core as a core file has them: what is bundled by its name, everything else written out."""

from __future__ import annotations

import dataclasses
from typing import Any

from circuits.design_files import bundled_sets, load_design, load_designs
from circuits.designs import CoreDesign
from circuits.peripherals.load import SIZED, Peripherals, load_peripherals, peripheral_names, sized_names
from circuits.peripherals.model import PeripheralModel
from devicekit.cells.cell import Cell
from devicekit.cells.device_files import device_names, load_device
from devicekit.cells.device_writing import device_content


def design_entry(design: CoreDesign, *, of_wires: bool) -> str | dict[str, Any]:
    """Return a bundled design's name, or all fields; with wires, the resistance is theirs."""
    own = design.to_mapping()
    for bundle in bundled_sets():
        for name, known in load_designs(bundle).items():
            same = {"name": design.name} | ({"r_p_hat": design.r_p_hat} if of_wires else {})
            if known.to_mapping() | same == own and load_design(name) == known:
                return name
    del own["name"]
    return {
        key: "none" if value is None else list(value) if isinstance(value, tuple) else value
        for key, value in own.items()
    }


def cell_recipe(cell: Cell) -> str:
    """Return Python that makes a cell as it is read.

    Raises:
        DeviceError: the cell has no form in a file.
    """
    entry = cell_entry(cell)
    made = (
        f"devicekit.load_device({entry!r})"
        if isinstance(entry, str)
        else f"devicekit.cells.device_files.cell_from_content({entry!r}, 'cell')"
    )
    bias = "" if cell.compensation is None else f", compensation={cell.compensation.to_dict()!r}"
    return f"{made}.at(time={cell.time!r}, temperature={cell.temperature!r}{bias})"


def cell_entry(cell: Cell) -> str | dict[str, Any]:
    """Return a bundled device's name, or a cell as programmed in the form of a device file.

    Raises:
        DeviceError: the cell has no form in a file.
    """
    as_programmed = dataclasses.replace(cell, time=0.0, temperature=None, compensation=None)
    content = device_content(as_programmed, title=cell.name)
    if cell.name in device_names() and device_content(load_device(cell.name), title=cell.name) == content:
        return cell.name
    return content


def peripherals_entry(model: Peripherals, design: CoreDesign) -> str | dict[str, Any]:
    """Return the name under which a design finds bundled peripherals, or all their fields."""
    if not isinstance(model, PeripheralModel):
        bundled = model.design in sized_names() and load_peripherals(SIZED, design) == model
        return SIZED if bundled else model.to_dict()
    for name in peripheral_names():
        if load_peripherals(name, design) == model:
            return name
    return model.model_dump(mode="json", exclude_none=True)
