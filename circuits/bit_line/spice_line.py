"""Bit lines in ngspice: the netlist of a column, its current, and the run that confirms the exact ladder solution."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.bit_line.line_errors import BitLinePoint, draw_array
from circuits.bit_line.resistances import Feed, LineResistances
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
    r_in_hat: float = 0.0,
    r_s_hat: float = 0.0,
    feed: Feed = "readout",
    workers: int | None = None,
    timeout: float = 300.0,
) -> NDArray[np.float64]:
    """Return the currents of bit lines as ngspice finds them, one run for each pattern and column.

    Where the cells' other end is fed along the rows, all columns of a pattern are one run.

    Args:
        conductance: as for `solve_bit_lines`; for transistors the current that each cell is programmed to at V_D.
        active: as for `solve_bit_lines`.
        r_p_hat: as for `solve_bit_lines`; the minimum cell resistance of a transistor cell is V_D / I_max.
        cell: ``"resistor"``, ``"transistor"`` for the bundled SONOS cell, or a cell of your own: a `TransistorCell`
            with other parameters, or a `SpiceCell` with your model file.
        orientation: end of a transistor cell that lies on the bit line; a cell of your own brings its own.
        r_in_hat: as for `solve_bit_lines`.
        r_s_hat: as for `solve_bit_lines`.
        feed: as for `solve_bit_lines`.
        workers: ngspice processes at once; None for one a processor.
        timeout: seconds after which a run is given up.

    Returns:
        Currents in units of one full cell, shape (batch, columns).

    Raises:
        CircuitError: as for `solve_bit_lines`, or an unknown kind of cell.
        MissingDependencyError: ngspice or PySpice is absent.
        SpiceError: ngspice refuses or does not converge.
    """
    lines = LineResistances(r_p_hat, r_in_hat, r_s_hat, feed)
    cells, on, _ = check_bit_line(conductance, active, lines)
    netlists, full_current = _netlists(cells, on, lines, cell, orientation)
    columns = cells.shape[1] if lines.feed == "rows" else 1
    vectors = [f"vread{column}#branch" for column in range(columns)]
    results = spice.run_netlists(netlists, vectors, workers=workers, timeout=timeout)
    currents = np.array([[result[vector][0] for vector in vectors] for result in results]) / full_current
    return np.abs(currents).reshape(on.shape[0], cells.shape[1])


def _netlists(
    cells: NDArray[Any],
    on: NDArray[np.bool_],
    lines: LineResistances,
    cell: CellKind | TransistorCell | SpiceCell,
    orientation: Orientation,
) -> tuple[list[str], float]:
    """Return a netlist for each pattern and column, patterns first, and the full current [A].

    One for each pattern, where the columns share the lines that feed their cells.
    """
    columns = range(cells.shape[1])
    together = [slice(None)] if lines.feed == "rows" else [slice(column, column + 1) for column in columns]
    if isinstance(cell, str) and cell == "resistor":
        unit = _unit(lines)

        def resistor(state: float, name: str, near: str, other: str) -> list[str]:
            return [f"rc{name} {other} {near} {unit / state!r}"]

        made = _Array(lines, unit, (0.0, 0.1), resistor, [])
        there = np.where(cells > 0, cells, -np.inf)
        return [made.netlist(there[:, part], row) for row in on for part in together], 0.1 / unit
    transistor = _transistor(cell, orientation)
    base = transistor.base if isinstance(transistor, SpiceCell) else transistor
    unit = base.drive_voltage / base.full_current
    wires = [value * unit for value in (lines.r_p_hat, lines.r_in_hat, lines.r_s_hat) if value]
    if wires and min(wires) < _LEAST_WIRE:
        raise CircuitError(
            f"Expected `r_p_hat` of 0 or wires of at least {_LEAST_WIRE} Ohm, but got {min(wires):.3g} Ohm."
        )
    state = transistor.prepare(cells.astype(np.float64))
    made = _transistor_array(transistor, lines, unit)
    return [made.netlist(state[:, part], row) for row in on for part in together], base.full_current


def _transistor(cell: Any, orientation: Orientation) -> TransistorCell | SpiceCell:
    if isinstance(cell, TransistorCell | SpiceCell):
        return cell
    if cell != "transistor":
        raise CircuitError(unknown_name("`cell`", str(cell), ["resistor", "transistor"]))
    return load_transistor_cell("sonos_cell", orientation)


def _unit(lines: LineResistances) -> float:
    """Return the resistance of a full resistor cell [Ohm] with which no wire is too small for ngspice."""
    wires = [value for value in (lines.r_p_hat, lines.r_in_hat, lines.r_s_hat) if value]
    return max(_UNIT, _LEAST_WIRE / min(wires)) if wires else _UNIT


@dataclass(frozen=True)
class _Array:
    """Lines of an array around its cells, in ngspice.

    Attributes:
        lines: resistances.
        unit: what they are relative to [Ohm].
        volts: at which bit lines are read, and at which the cells' other end is fed.
        cell: elements of a cell of a state: their name, the node of the bit line, that of the other end.
        header: lines before all cells.
    """

    lines: LineResistances
    unit: float
    volts: tuple[float, float]
    cell: Callable[[float, str, str, str], list[str]]
    header: list[str]

    def netlist(self, states: NDArray[Any], on: NDArray[np.bool_]) -> str:
        """Return the netlist of some columns whose cells have states of shape (rows, columns), -inf for no cell."""
        rows, columns = states.shape
        read, fed = self.volts
        text = ["bit line", *self.header, f"vdrive drive 0 {fed!r}"]
        for column in range(columns):
            for row in np.flatnonzero(on & (states[:, column] > -np.inf)):
                name = f"{column}_{row}"
                text += self.cell(float(states[row, column]), name, f"n{name}", self._other(column, int(row)))
            # Without resistance a wire of 0 V keeps the same node names.
            text += [
                self._wire(f"w{column}_{row}", f"n{column}_{row}", f"n{column}_{row + 1}", self.lines.r_p_hat)
                for row in range(rows)
            ]
            text.append(self._wire(f"in{column}", f"n{column}_{rows}", f"read{column}", self.lines.r_in_hat))
            text.append(f"vread{column} read{column} 0 {read!r}")
        if self.lines.r_s_hat:
            text += self._feed(rows, columns)
        saved = " ".join(f"i(vread{column})" for column in range(columns))
        return "\n".join([*text, spice.PRECISE_OPTIONS, f".save {saved}", ".op", ".end"])

    def _wire(self, name: str, first: str, second: str, resistance: float) -> str:
        return f"r{name} {first} {second} {resistance * self.unit!r}" if resistance else f"v{name} {first} {second} 0"

    def _other(self, column: int, row: int) -> str:
        return f"s{column}_{row}" if self.lines.r_s_hat else "drive"

    def _feed(self, rows: int, columns: int) -> list[str]:
        """Return the wires of the lines at the cells' other end, each towards where it is fed."""
        text = []
        for column in range(columns):
            for row in range(rows):
                towards = {
                    "readout": f"s{column}_{row + 1}" if row + 1 < rows else "drive",
                    "far": f"s{column}_{row - 1}" if row else "drive",
                    "rows": f"s{column - 1}_{row}" if column else "drive",
                }[self.lines.feed]
                text.append(self._wire(f"s{column}_{row}", f"s{column}_{row}", towards, self.lines.r_s_hat))
        return text


def _transistor_array(cell: TransistorCell | SpiceCell, lines: LineResistances, unit: float) -> _Array:
    """Select and memory transistor of every selected cell; an idle select transistor is open, as in the ladder."""
    base = cell.base if isinstance(cell, SpiceCell) else cell
    at_source = base.orientation == "source"
    header, sign = (list(cell.header), cell.sign) if isinstance(cell, SpiceCell) else ([], 1)

    def elements(state: float, name: str, near: str, other: str) -> list[str]:
        drain, source = (other, near) if at_source else (near, other)
        select = select_element(base, f"s{name}", drain, f"m{name}", sign)
        if isinstance(cell, SpiceCell):
            return [select, *cell.elements(f"c{name}", f"m{name}", source, cell.programmed_value(state))]
        slope = base.sonos_source_slope * base.thermal_voltage
        return [select, ekv_element(f"c{name}", f"m{name}", source, base.sonos_specific_current, slope, state)]

    drive = sign * base.drive_voltage
    return _Array(lines, unit, (0.0, drive) if at_source else (drive, 0.0), elements, header)


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
            # Lines that are fed together are run together.
            line, on = conductance if point.shares_rows else conductance[:, [column]], active[[pattern]]
            try:
                (netlist,), full_current = _netlists(line, on, point.lines, cell, "source")
            except CircuitError as error:
                if "wires of at least" not in str(error):
                    raise
                left_out = left_out or f"wires below {_LEAST_WIRE} Ohm, which ngspice cannot hold"
                continue
            left = seconds - (time.monotonic() - begin)
            try:
                if left <= 0:
                    raise SpiceError("no time")
                vectors = [f"vread{own}#branch" for own in range(line.shape[1])]
                result = spice.run_netlist(netlist, vectors, timeout=left)
            except SpiceError:
                if time.monotonic() - begin < seconds:
                    raise
                left_out = f"time limit of {seconds:g} s"
                continue
            exact = solve_bit_lines(line, on, cell="transistor", model=cell, **point.lines.to_dict())[0]
            simulated = np.array([abs(float(result[vector][0])) for vector in vectors]) / full_current
            there = simulated > 0
            worst = max(worst, float(np.max(np.abs(exact[there] / simulated[there] - 1), initial=0.0)))
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
