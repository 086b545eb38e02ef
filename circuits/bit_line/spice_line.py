"""Bit lines in ngspice: the netlist of a column, its current, and the run that confirms the exact ladder solution."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.bit_line.line_errors import BitLinePoint, draw_array
from circuits.bit_line.solve import check_bit_line, solve_bit_lines
from circuits.bit_line.spice_cell import SpiceCell
from circuits.bit_line.spice_elements import ekv_element, select_element
from circuits.bit_line.transistor_cell import Orientation, TransistorCell, load_transistor_cell
from circuits.errors import CircuitError, SpiceError
from circuits.spice import simulator as spice
from devicekit.common.errors import MissingDependencyError, shortened, unknown_name
from devicekit.common.foreign import LONGEST_REASON
from devicekit.common.paths import data_path
from devicekit.common.plain import PlainValues

CellKind = Literal["resistor", "transistor"]

_UNIT = 62_500.0
"""Resistance [Ohm] of a resistor cell at G_max: V_D / I_max = 0.1 V / 1.6 uA. The result does not depend on it."""
CONFIRMATION_SECONDS = 20.0
"""Time that ngspice has to confirm the solver, so that a broken one does not keep a report waiting."""
_LEAST_WIRE = 1e-2
"""ngspice raises resistances below 1 mOhm to 1 mOhm; wires are kept well above [Ohm]."""
MOST_LINES = 3
"""Lines of an array that `confirm_lines` runs at most."""


def simulate_bit_line(
    conductance: ArrayLike,
    active: ArrayLike,
    r_p_hat: float,
    cell: CellKind | TransistorCell | SpiceCell = "resistor",
    orientation: Orientation = "source",
    *,
    workers: int | None = None,
    timeout: float = 300.0,
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
        timeout: seconds after which a run is given up.

    Returns:
        Currents in units of one full cell, shape (batch, columns).

    Raises:
        CircuitError: as for `solve_bit_lines`, or an unknown kind of cell.
        MissingDependencyError: ngspice or PySpice is absent.
        SpiceError: ngspice refuses or does not converge.
    """
    cells, on, resistance = check_bit_line(conductance, active, r_p_hat)
    netlists, full_current = _netlists(cells, on, resistance, cell, orientation)
    results = spice.run_netlists(netlists, ["vread#branch"], workers=workers, timeout=timeout)
    currents = np.array([result["vread#branch"][0] for result in results]) / full_current
    return np.abs(currents).reshape(on.shape[0], cells.shape[1])


def _netlists(
    cells: NDArray[Any],
    on: NDArray[np.bool_],
    resistance: float,
    cell: CellKind | TransistorCell | SpiceCell,
    orientation: Orientation,
) -> tuple[list[str], float]:
    """Return a netlist for each pattern and column, patterns first, and the full current [A]."""
    if isinstance(cell, str) and cell == "resistor":
        netlists = [_resistor_netlist(cells[:, j], row, resistance) for row in on for j in range(cells.shape[1])]
        return netlists, 0.1 / _unit(resistance)
    transistor = _transistor(cell, orientation)
    base = transistor.base if isinstance(transistor, SpiceCell) else transistor
    wire = resistance * base.drive_voltage / base.full_current
    if 0 < wire < _LEAST_WIRE:
        raise CircuitError(f"Expected `r_p_hat` of 0 or wires of at least {_LEAST_WIRE} Ohm, but got {wire:.3g} Ohm.")
    state = transistor.prepare(cells.astype(np.float64))
    netlists = [_transistor_netlist(transistor, state[:, j], row, wire) for row in on for j in range(cells.shape[1])]
    return netlists, base.full_current


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
    elements, sign = (list(cell.header), cell.sign) if isinstance(cell, SpiceCell) else ([], 1)
    for row in np.flatnonzero(on & (state > -np.inf)):
        drain, source = ("drive", f"n{row}") if at_source else (f"n{row}", "0")
        elements.append(select_element(base, f"s{row}", drain, f"m{row}", sign))
        if isinstance(cell, SpiceCell):
            elements += cell.elements(f"c{row}", f"m{row}", source, cell.programmed_value(float(state[row])))
        else:
            slope = base.sonos_source_slope * base.thermal_voltage
            current = base.sonos_specific_current
            elements.append(ekv_element(f"c{row}", f"m{row}", source, current, slope, state[row]))
    drive = sign * base.drive_voltage
    return _line(len(state), wire, elements, drive, 0.0 if at_source else drive)


@dataclass(frozen=True)
class BitLineConfirmation(PlainValues):
    """Largest difference between ngspice and the exact solution on a bit line.

    Attributes:
        ngspice_version: of the ngspice that ran.
        relative_difference: largest relative difference of `solve_bit_lines` from ngspice.
        cells: rows of the bit line.
        recorded: True when ngspice did not answer here and the values come from a run recorded with the package.
        reason: why they do.
    """

    ngspice_version: str
    relative_difference: float
    cells: int
    recorded: bool
    reason: str = ""


def confirm_bit_line(cells: int = 64, seed: int = 0) -> BitLineConfirmation:
    """Return how far ngspice and `solve_bit_lines` differ on a bit line; recorded values where ngspice cannot say.

    That is where it is absent, fails, or has no answer after 20 s.

    Three patterns (all on, half on, a tenth on) of random conductances at r_p_hat = 1e-3.

    Args:
        cells: rows of the line; recorded values exist for 64.
        seed: of conductances and patterns.

    Raises:
        SpiceError: ngspice is there and fails, and other cells than the recorded ones are asked for.
        MissingDependencyError: ngspice is absent, and other cells than the recorded ones are asked for.
    """
    rng = np.random.default_rng(seed)
    conductance = rng.random((cells, 1))
    active = rng.random((3, cells)) < np.array([[1.0], [0.5], [0.1]])
    try:
        # All at once, so that one that hangs does not keep the others waiting.
        simulated = simulate_bit_line(conductance, active, 1e-3, workers=len(active), timeout=CONFIRMATION_SECONDS)
        version = spice.ngspice_version(CONFIRMATION_SECONDS)
    except (SpiceError, MissingDependencyError) as error:
        recorded = json.loads(data_path("circuits/bit_line_confirmation.json").read_text())
        if (cells, seed) != (recorded["cells"], recorded["seed"]):
            raise
        return _recorded(str(error))
    difference = float(np.max(np.abs(solve_bit_lines(conductance, active, 1e-3) / simulated - 1)))
    return BitLineConfirmation(version, difference, cells, recorded=False)


def _recorded(reason: str) -> BitLineConfirmation:
    """Return what ngspice said when it was recorded, and why that stands in."""
    recorded = json.loads(data_path("circuits/bit_line_confirmation.json").read_text())
    values = recorded["ngspice_version"], recorded["relative_difference"], recorded["cells"]
    return BitLineConfirmation(*values, recorded=True, reason=shortened(reason, LONGEST_REASON))


@dataclass(frozen=True)
class LineConfirmation(PlainValues):
    """Largest difference between ngspice and Newton's method on lines of the arrays that are asked about.

    Attributes:
        ngspice_version: of the ngspice that ran.
        relative_difference: largest relative difference of `solve_bit_lines` from ngspice.
        cells: rows of the longest line that was run.
        recorded: always False: the lines were run.
        lines: that were run, each with one pattern; the longest line and the largest wire resistance first.
        places: arrays, of those asked about, from which they come.
        of_places: arrays that were asked about.
        seconds: that the runs took.
        left_out: why arrays were left out, empty where none was.
    """

    ngspice_version: str
    relative_difference: float
    cells: int
    recorded: bool
    lines: int
    places: int
    of_places: int
    seconds: float
    left_out: str = ""

    def sentence(self) -> str:
        """Return it in words."""
        less = f" Left out: {self.left_out}." if self.left_out else ""
        return (
            f"ngspice {self.ngspice_version} ran {self.lines} of these very lines (up to {self.cells} rows, "
            f"{self.places} of {self.of_places} arrays, {self.seconds:.1f} s): Newton's method, the reference here, "
            f"agrees to {self.relative_difference:.1e}.{less}"
        )


def confirm_lines(
    points: Sequence[BitLinePoint],
    transistor: TransistorCell | SpiceCell | None = None,
    *,
    columns: int = 16,
    patterns: int = 64,
    seed: int = 0,
    seconds: float = CONFIRMATION_SECONDS,
) -> LineConfirmation | BitLineConfirmation | None:
    """Return how far ngspice and Newton's method differ on the very lines of `bit_line_errors`, within a time limit.

    Each array gives the line and the pattern with the largest current, where wires matter most; arrays in which they
    matter most come first. Further lines follow while time is left.

    Args:
        points: the arrays.
        transistor: as for `bit_line_errors`.
        columns: as for `bit_line_errors`.
        patterns: as for `bit_line_errors`.
        seed: as for `bit_line_errors`.
        seconds: time limit, which ends a start or a run under way.

    Returns:
        The recorded values of `confirm_bit_line` with the reason, where ngspice is absent, fails, or finishes no line
        in time; None where no line has wires that ngspice can hold.
    """
    begin = time.monotonic()
    try:
        version = spice.ngspice_version(max(seconds, 1e-3))
        return _run_lines(
            version,
            points,
            load_transistor_cell() if transistor is None else transistor,
            (columns, patterns, seed),
            begin,
            seconds,
        )
    except (SpiceError, MissingDependencyError) as error:
        return _recorded(str(error))


def _run_lines(
    version: str,
    points: Sequence[BitLinePoint],
    cell: TransistorCell | SpiceCell,
    drawn: tuple[int, int, int],
    begin: float,
    seconds: float,
) -> LineConfirmation | None:
    """Run lines until the time is up.

    Raises:
        SpiceError: ngspice fails, or no line was finished in time.
    """
    columns, patterns, seed = drawn
    worst, lines, longest, left_out = 0.0, 0, 0, ""
    confirmed = set()
    arrays = [draw_array(point, cell, columns=columns, patterns=patterns, seed=seed) for point in points]
    order = sorted(range(len(points)), key=lambda k: -(points[k].rows ** 2) * points[k].r_p_hat)
    for rank in range(MOST_LINES):
        for k in order:
            point, (conductance, _, active) = points[k], arrays[k]
            if rank >= conductance.shape[1] * active.shape[0] or left_out.startswith("time"):
                continue
            current = active @ conductance
            pattern, column = np.unravel_index(np.argsort(-current, axis=None)[rank], current.shape)
            line, on = conductance[:, [column]], active[[pattern]]
            try:
                (netlist,), full_current = _netlists(line, on, point.r_p_hat, cell, "source")
            except CircuitError as error:
                if "wires of at least" not in str(error):
                    raise
                left_out = left_out or f"wires below {_LEAST_WIRE} Ohm, which ngspice cannot hold"
                continue
            left = seconds - (time.monotonic() - begin)
            try:
                if left <= 0:
                    raise SpiceError("no time")
                result = spice.run_netlist(netlist, ["vread#branch"], timeout=left)
            except SpiceError:
                if time.monotonic() - begin < seconds:
                    raise
                left_out = f"time limit of {seconds:g} s"
                continue
            exact = float(solve_bit_lines(line, on, point.r_p_hat, "transistor", model=cell)[0, 0])
            simulated = abs(float(result["vread#branch"][0])) / full_current
            worst = max(worst, abs(exact / simulated - 1) if simulated else 0.0)
            lines, longest = lines + 1, max(longest, point.rows)
            confirmed.add(k)
    if not lines and left_out.startswith("time"):
        raise SpiceError(f"ngspice finished no line within {seconds:g} s.")
    if not lines:
        return None
    if len(confirmed) == len(points):
        left_out = ""
    spent = time.monotonic() - begin
    return LineConfirmation(version, worst, longest, False, lines, len(confirmed), len(points), spent, left_out)
