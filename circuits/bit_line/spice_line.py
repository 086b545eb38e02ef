"""Bit lines in ngspice: the netlist of a column, its current, and the run that confirms the exact ladder solution."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.bit_line.solve import check_bit_line, solve_bit_lines
from circuits.bit_line.spice_cell import SpiceCell, ekv_element, select_element
from circuits.bit_line.transistor_cell import Orientation, TransistorCell, load_transistor_cell
from circuits.errors import CircuitError
from circuits.spice import simulator as spice
from devicekit.common.errors import unknown_name
from devicekit.common.paths import data_path
from devicekit.common.plain import PlainValues

CellKind = Literal["resistor", "transistor"]

_UNIT = 62_500.0
"""Resistance [Ohm] of a resistor cell at G_max: V_D / I_max = 0.1 V / 1.6 uA. The result does not depend on it."""
_LEAST_WIRE = 1e-2
"""ngspice raises resistances below 1 mOhm to 1 mOhm; wires are kept well above [Ohm]."""


def simulate_bit_line(
    conductance: ArrayLike,
    active: ArrayLike,
    r_p_hat: float,
    cell: CellKind | TransistorCell | SpiceCell = "resistor",
    orientation: Orientation = "source",
    *,
    workers: int | None = None,
) -> NDArray[np.float64]:
    """Return the currents of bit lines as ngspice finds them, one run for each pattern and column.

    Args:
        conductance: as for `solve_bit_lines`; for transistors the current that each cell is programmed to at V_D.
        active: as for `solve_bit_lines`.
        r_p_hat: as for `solve_bit_lines`; the minimum cell resistance of a transistor cell is V_D / I_max.
        cell: ``"resistor"``, ``"transistor"`` for the bundled SONOS cell, or a cell of your own: a `TransistorCell`
            with other parameters, or a `SpiceCell` with your model file.
        orientation: end of a transistor cell that lies on the bit line; a cell of your own brings its own.
        workers: ngspice processes at once; None for one a processor.

    Returns:
        Currents in units of one full cell, shape (batch, columns).

    Raises:
        CircuitError: as for `solve_bit_lines`, or an unknown kind of cell.
        MissingDependencyError: ngspice or PySpice is absent.
        SpiceError: ngspice refuses or does not converge.
    """
    cells, on, resistance = check_bit_line(conductance, active, r_p_hat)
    if isinstance(cell, str) and cell == "resistor":
        netlists = [_resistor_netlist(cells[:, j], row, resistance) for row in on for j in range(cells.shape[1])]
        full_current = 0.1 / _unit(resistance)
    else:
        transistor = _transistor(cell, orientation)
        base = transistor.base if isinstance(transistor, SpiceCell) else transistor
        full_current = base.full_current
        wire = resistance * base.drive_voltage / full_current
        if 0 < wire < _LEAST_WIRE:
            raise CircuitError(
                f"Expected `r_p_hat` of 0 or wires of at least {_LEAST_WIRE} Ohm, but got {wire:.3g} Ohm."
            )
        state = transistor.prepare(cells.astype(np.float64))
        netlists = [
            _transistor_netlist(transistor, state[:, j], row, wire) for row in on for j in range(cells.shape[1])
        ]
    results = spice.run_netlists(netlists, ["vread#branch"], workers=workers)
    currents = np.array([result["vread#branch"][0] for result in results]) / full_current
    return np.abs(currents).reshape(on.shape[0], cells.shape[1])


def _transistor(cell: Any, orientation: Orientation) -> TransistorCell | SpiceCell:
    if isinstance(cell, TransistorCell | SpiceCell):
        return cell
    if cell != "transistor":
        raise CircuitError(unknown_name("`cell`", str(cell), ["resistor", "transistor"]))
    return load_transistor_cell("sonos_cell", orientation)


def _unit(r_p_hat: float) -> float:
    return max(_UNIT, _LEAST_WIRE / r_p_hat) if r_p_hat else _UNIT


def _line(rows: int, wire: float, elements: list[str], drive: float, read: float) -> str:
    """The wires, the drive line and the readout, around the cells of a column."""
    lines = ["bit line", *elements, f"vdrive drive 0 {drive!r}", f"vread n{rows} 0 {read!r}"]
    # Without wire resistance all cells meet in one node; a wire of 0 V keeps the same node names.
    kind, value = ("r", repr(wire)) if wire else ("v", "0")
    lines += [f"{kind}w{row} n{row} n{row + 1} {value}" for row in range(rows)]
    return "\n".join([*lines, spice.PRECISE_OPTIONS, ".save i(vread)", ".op", ".end"])


def _resistor_netlist(conductance: NDArray[Any], on: NDArray[np.bool_], r_p_hat: float) -> str:
    unit = _unit(r_p_hat)
    elements = [f"rc{row} drive n{row} {unit / float(conductance[row])!r}" for row in _present(conductance, on)]
    return _line(len(conductance), r_p_hat * unit, elements, 0.1, 0.0)


def _present(conductance: NDArray[Any], on: NDArray[np.bool_]) -> list[int]:
    return [int(row) for row in np.flatnonzero(on & (conductance > 0))]


def _transistor_netlist(
    cell: TransistorCell | SpiceCell, state: NDArray[np.float64], on: NDArray[np.bool_], wire: float
) -> str:
    """Select and memory transistor of every selected cell; an idle select transistor is open, as in the ladder."""
    base = cell.base if isinstance(cell, SpiceCell) else cell
    at_source = base.orientation == "source"
    elements = list(cell.header) if isinstance(cell, SpiceCell) else []
    for row in np.flatnonzero(on & (state > -np.inf)):
        drain, source = ("drive", f"n{row}") if at_source else (f"n{row}", "0")
        elements.append(select_element(base, f"s{row}", drain, f"m{row}"))
        if isinstance(cell, SpiceCell):
            elements.append(f"vg{row} g{row} 0 {float(state[row])!r}")
            elements.append(cell.element(f"c{row}", f"m{row}", f"g{row}", source))
        else:
            slope = base.sonos_source_slope * base.thermal_voltage
            current = base.sonos_specific_current
            elements.append(ekv_element(f"c{row}", f"m{row}", source, current, slope, state[row]))
    return _line(len(state), wire, elements, base.drive_voltage, 0.0 if at_source else base.drive_voltage)


@dataclass(frozen=True)
class BitLineConfirmation(PlainValues):
    """Largest difference between ngspice and the exact solution on a bit line.

    Attributes:
        ngspice_version: of the ngspice that ran.
        relative_difference: largest relative difference of `solve_bit_lines` from ngspice.
        cells: rows of the bit line.
        recorded: True when ngspice is absent here and the values come from a run recorded with the package.
    """

    ngspice_version: str
    relative_difference: float
    cells: int
    recorded: bool


def confirm_bit_line(cells: int = 64, seed: int = 0) -> BitLineConfirmation:
    """Return how far ngspice and `solve_bit_lines` differ on a bit line; recorded values where ngspice is absent.

    Three patterns (all on, half on, a tenth on) of random conductances at r_p_hat = 1e-3.

    Args:
        cells: rows of the line; recorded values exist for 64.
        seed: of conductances and patterns.

    Raises:
        SpiceError: ngspice is there and fails.
        MissingDependencyError: ngspice is absent and another number of cells than the recorded is asked for.
    """
    if spice.spice_missing() is not None:
        recorded = json.loads(data_path("circuits/bit_line_confirmation.json").read_text())
        if (cells, seed) != (recorded["cells"], recorded["seed"]):
            spice.require_spice()
        return BitLineConfirmation(recorded["ngspice_version"], recorded["relative_difference"], cells, recorded=True)
    rng = np.random.default_rng(seed)
    conductance = rng.random((cells, 1))
    active = rng.random((3, cells)) < np.array([[1.0], [0.5], [0.1]])
    simulated = simulate_bit_line(conductance, active, 1e-3)
    difference = float(np.max(np.abs(solve_bit_lines(conductance, active, 1e-3) / simulated - 1)))
    return BitLineConfirmation(spice.ngspice_version(), difference, cells, recorded=False)
