"""A memory cell whose SONOS transistor is a model card of the user's own, known only through ngspice.

The programmed threshold voltage is a shift of the gate voltage, so every card can be programmed. ngspice sweeps gate
and bit line once; a spline of ln(I / (V_D - v)) over both then gives currents and slopes anywhere, so that affine and
re-linearised cells and Newton's method work for the card as they do for the cell of our own.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import RectBivariateSpline

from circuits.bit_line.transistor_cell import TransistorCell, load_transistor_cell
from circuits.errors import CircuitError
from circuits.spice import simulator as spice
from circuits.spice.model_cards import card_lines
from devicekit.common.paths import is_file

GATE_POINTS, DROP_POINTS = 61, 25
LEAST_STATE = 1e-6
"""Lowest target that is swept; below it the current follows the gate exponentially, as it does there."""


@dataclass(frozen=True, kw_only=True)
class SpiceCell:
    """A select transistor of `base` in series with a transistor of the user's model file.

    Attributes:
        library: file with the ``.model`` card or the subcircuit.
        model: name of the card, or of a subcircuit with terminals drain, gate, source, body.
        instance: parameters of one transistor, such as ``"w=120n l=40n"``.
        kind: ``mosfet`` for a card, ``subcircuit``.
        section: section of a ``.lib`` file with several.
        base: drive voltage, full current, temperature, orientation and the select transistor.
        gate_range: gate voltages [V] between which every state lies.

    Raises:
        CircuitError: no such file, or a name that is no name.
    """

    library: Path
    model: str
    instance: str = ""
    kind: Literal["mosfet", "subcircuit"] = "mosfet"
    section: str | None = None
    base: TransistorCell = field(default_factory=load_transistor_cell)
    gate_range: tuple[float, float] = (-0.5, 1.5)

    def __post_init__(self) -> None:
        object.__setattr__(self, "library", Path(self.library).resolve())
        if not is_file(self.library):
            raise CircuitError(f"Expected `library` to be a model file, but {self.library} is none.")
        if not re.fullmatch(r"\w+", self.model):
            raise CircuitError(f"Expected `model` to be the name of a card or subcircuit, but got {self.model!r}.")
        if not re.fullmatch(r"[\w=.+\-*/(){}' \t]*", self.instance):
            raise CircuitError(
                f"Expected `instance` to be parameters of one transistor, such as 'w=120n l=40n', but got "
                f"{self.instance!r:.80}."
            )
        if not self.gate_range[0] < self.gate_range[1]:
            raise CircuitError(f"Expected `gate_range` to rise, but got {self.gate_range!r}.")

    @property
    def header(self) -> list[str]:
        """The statements of the model file that ngspice may see, and the cell's temperature.

        Raises:
            CircuitError: see `circuits.spice.model_cards.card_lines`.
        """
        return [*card_lines(self.library, self.section), f".options temp={self.base.temperature - 273.15!r}"]

    def element(self, name: str, drain: str, gate: str, source: str) -> str:
        """Return the netlist line of one transistor, its body grounded.

        Args:
            name: unique part of the element's name.
            drain: node.
            gate: node.
            source: node.
        """
        letter = "m" if self.kind == "mosfet" else "x"
        return f"{letter}{name} {drain} {gate} {source} 0 {self.model} {self.instance}"

    @property
    def _table(self) -> _Table:
        # Remembered for equal cells, anew when the file has changed.
        return _characterise(self, self.library.stat().st_mtime_ns)

    def prepare(self, conductance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the gate voltage [V] that gives each target current at V_D; -inf for an open cell.

        Args:
            conductance: targets in units of the full current, of any shape.

        Raises:
            CircuitError: a target that the transistor does not reach within `gate_range`.
            MissingDependencyError: ngspice is absent.
            SpiceError: ngspice refuses the card.
        """
        return self._table.gate(np.asarray(conductance, dtype=np.float64))

    def evaluate(self, state: ArrayLike, drop: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return current and minus its slope, as `TransistorCell.evaluate` does.

        Args:
            state: gate voltages, see `prepare`.
            drop: see `TransistorCell.evaluate`.
        """
        return self._table.evaluate(np.asarray(state, dtype=np.float64), np.asarray(drop, dtype=np.float64))


class _Table:
    """Splines of s = ln(i / (1 - v)) over gate voltage and bit-line drop v; linear in the gate below the lowest."""

    def __init__(self, gate: NDArray[np.float64], drop: NDArray[np.float64], current: NDArray[np.float64]) -> None:
        self._lowest, self._highest = float(gate[0]), float(gate[-1])
        self._spline = RectBivariateSpline(gate, drop, np.log(current / (1 - drop)))
        self._below = float(self._spline.ev(self._lowest, 0.0, dx=1))
        self._most = float(np.exp(self._spline.ev(self._highest, 0.0)))

    def _log(self, gate: NDArray[Any], drop: NDArray[Any], dy: int = 0) -> NDArray[np.float64]:
        inside = np.maximum(gate, self._lowest)
        value = self._spline.ev(inside, drop, dy=dy)
        return np.asarray(value if dy else value + self._below * (gate - inside), dtype=np.float64)

    def gate(self, target: NDArray[np.float64]) -> NDArray[np.float64]:
        if target.size and target.max() > self._most:
            raise CircuitError(
                f"A cell's target of {target.max():.4g} full currents is more than the model's transistor carries "
                f"({self._most:.4g}) within `gate_range`."
            )
        used = target > 0
        goal = np.log(target[used])
        low = float(self._spline.ev(self._lowest, 0.0))
        gate = np.where(goal < low, self._lowest + (goal - low) / self._below, 0.0)
        lower, upper = np.full(goal.shape, self._lowest), np.full(goal.shape, self._highest)
        for _ in range(60):
            middle = 0.5 * (lower + upper)
            above = self._spline.ev(middle, 0.0) > goal
            upper, lower = np.where(above, middle, upper), np.where(above, lower, middle)
        result = np.full(target.shape, -np.inf)
        result[used] = np.where(goal < low, gate, 0.5 * (lower + upper))
        return result

    def evaluate(
        self, gate: NDArray[np.float64], drop: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        gate, drop = np.broadcast_arrays(gate, drop)
        used = gate > -np.inf
        current, slope = np.zeros(gate.shape), np.zeros(gate.shape)
        per_volt = np.exp(self._log(gate[used], drop[used]))
        left = 1 - drop[used]
        current[used] = left * per_volt
        slope[used] = per_volt * (1 - left * self._log(gate[used], drop[used], dy=1))
        return current, slope


@functools.lru_cache(maxsize=16)
def _characterise(cell: SpiceCell, changed: int) -> _Table:
    """Sweep gate and bit line in ngspice: first the gate alone, to find where the states lie."""
    coarse = np.linspace(*cell.gate_range, 121)
    at_rest = _sweep(cell, coarse, np.array([0.0]))[:, 0]
    usable = (at_rest > LEAST_STATE) & (np.minimum.accumulate(at_rest[::-1])[::-1] == at_rest)
    reached = np.flatnonzero(at_rest >= 1.0)
    if reached.size == 0 or not usable.any():
        raise CircuitError(
            f"The transistor {cell.model!r} of {cell.library.name} carries {at_rest.min():.3g} to {at_rest.max():.3g} "
            f"full currents between gate voltages of {cell.gate_range[0]:g} and {cell.gate_range[1]:g} V: "
            "expected it to pass from nearly off to above one."
        )
    low, high = coarse[np.flatnonzero(usable)[0]], coarse[min(reached[0] + 3, coarse.size - 1)]
    gate = np.linspace(low, high, GATE_POINTS)
    # Up to just short of V_D, where current and slope vanish together and only their ratio is needed.
    drop = np.linspace(0.0, 0.98, DROP_POINTS)
    return _Table(gate, drop, _sweep(cell, gate, drop))


def _sweep(cell: SpiceCell, gate: NDArray[np.float64], drop: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return currents in units of the full current, shape (gate, drop)."""
    base = cell.base
    at_source = base.orientation == "source"
    # One cell for each bit-line voltage, all under one gate that is swept.
    lines = ["characterisation", *cell.header, f"vdrive drive 0 {base.drive_voltage!r}", "vgate gate 0 0"]
    for k, v in enumerate(drop.tolist()):
        level = v * base.drive_voltage if at_source else base.drive_voltage * (1 - v)
        drain, source = ("drive", f"n{k}") if at_source else (f"n{k}", "0")
        lines += [f"vr{k} n{k} 0 {level!r}", select_element(base, f"s{k}", drain, f"m{k}")]
        lines.append(cell.element(f"c{k}", f"m{k}", "gate", source))
    step = float(gate[1] - gate[0])
    # Half a step beyond, so that rounding does not drop the last point.
    lines += [spice.PRECISE_OPTIONS, f".dc vgate {float(gate[0])!r} {float(gate[-1]) + 0.5 * step!r} {step!r}", ".end"]
    names = [f"vr{k}#branch" for k in range(drop.size)]
    result = spice.run_netlist("\n".join(lines), names)
    currents = np.stack([result[name][: gate.size] for name in names], axis=1)
    return np.asarray(np.abs(currents) / base.full_current, dtype=np.float64)


def select_element(base: TransistorCell, name: str, drain: str, source: str) -> str:
    """Return the netlist line of the select transistor of a selected row.

    Args:
        base: the cell it belongs to.
        name: unique part of the element's name.
        drain: node.
        source: node.
    """
    return ekv_element(
        name,
        drain,
        source,
        base.select_specific_current,
        base.select_source_slope * base.thermal_voltage,
        base.select_pinch_off,
    )


def ekv_element(name: str, drain: str, source: str, current: float, slope_voltage: float, p: float) -> str:
    """Return a behavioural current source that follows the EKV law of `circuits.transistor_cell`.

    Args:
        name: unique part of the element's name.
        drain: node.
        source: node.
        current: specific current [A].
        slope_voltage: source slope times U_T [V].
        p: pinch-off in units of U_T.
    """
    scale, half = 0.5 / slope_voltage, 0.5 * float(p)
    forward, reverse = (
        f"ln(1+exp({half!r}-{scale!r}*{'0' if node == '0' else f'v({node})'}))" for node in (source, drain)
    )
    return f"b{name} {drain} {source} i={current!r}*({forward}^2-{reverse}^2)"
