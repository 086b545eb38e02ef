"""The two-transistor SONOS cell: EKV currents as array functions, and the calibrated cell as an object.

Voltages in here are in units of U_T = kT/q. A transistor's current is ``I_S (F(p - s / n) - F(p - d / n))`` with
``F(x) = ln(1 + exp(x / 2))^2``, source and drain voltages s and d against the body, source slope n, and
``p = (V_G - V_T) / (n_g U_T)``. Source: Enz, Krummenacher, Vittoz 1995, doi 10.1007/BF01239381.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError

from circuits.errors import CircuitError
from devicekit.common.errors import unknown_name
from devicekit.common.foreign import read_toml
from devicekit.common.numbers import is_real, is_temperature
from devicekit.common.paths import data_path
from devicekit.common.provenance import Constant

Orientation = Literal["source", "drain"]

BOLTZMANN_OVER_CHARGE = 1.380649e-23 / 1.602176634e-19
"""k/q [V/K], exact in the SI of 2019."""


@numba.njit(cache=True, inline="always")
def _interpolation(x: float) -> tuple[float, float]:
    """Return F(x) = ln(1 + exp(x/2))^2 and its derivative, without overflow and without cancellation below."""
    if x > 0:
        small = math.exp(-0.5 * x)
        root = 0.5 * x + math.log1p(small)
        return root * root, root / (1.0 + small)
    large = math.exp(0.5 * x)
    root = math.log1p(large)
    return root * root, root * large / (1.0 + large)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _evaluate(
    pinch_off: NDArray[np.float64],
    sources: NDArray[np.float64],
    drains: NDArray[np.float64],
    sonos: tuple[float, float],
    select: tuple[float, float, float],
    current: NDArray[np.float64],
    by_source: NDArray[np.float64],
    by_drain: NDArray[np.float64],
) -> None:
    """Solve the node between the two transistors of each cell by Newton's method, at source and drain voltages [U_T].

    Writes current [A], its fall with the source's voltage and its rise with the drain's [A per U_T].
    """
    sonos_current, sonos_slope = sonos
    select_current, select_slope, select_pinch_off = select
    for k in range(pinch_off.size):
        p = pinch_off[k]
        if p == -np.inf:
            current[k] = by_source[k] = by_drain[k] = 0.0
            continue
        source, drain = sources[k], drains[k]
        at_drive, at_drive_slope = _interpolation(select_pinch_off - drain / select_slope)
        forward, forward_slope = _interpolation(p - source / sonos_slope)
        # The select transistor is nearly linear, and the mismatch falls monotonically with the middle voltage: from
        # the voltage that the largest possible current gives, two steps reach rounding. Clipping covers cells that
        # the select transistor can hardly carry.
        reverse, reverse_slope = _interpolation(p - drain / sonos_slope)
        select_conductance = select_current * at_drive_slope / select_slope
        middle = drain - sonos_current * (forward - reverse) / (
            select_conductance + sonos_current * reverse_slope / sonos_slope
        )
        middle = max(middle, source)
        for _ in range(60):
            inner, inner_slope = _interpolation(select_pinch_off - middle / select_slope)
            reverse, reverse_slope = _interpolation(p - middle / sonos_slope)
            select_conductance = select_current * inner_slope / select_slope
            reverse_conductance = sonos_current * reverse_slope / sonos_slope
            mismatch = select_current * (inner - at_drive) - sonos_current * (forward - reverse)
            step = min(max(mismatch / (select_conductance + reverse_conductance), -2.0), 2.0)
            middle += step
            if abs(step) < 1e-8:
                break
        # The last step is below the root of the rounding error: a linear correction is exact.
        current[k] = sonos_current * (forward - reverse) + reverse_conductance * step
        share = select_conductance / (select_conductance + reverse_conductance)
        by_drain[k] = select_current * at_drive_slope / select_slope * (1.0 - share)
        by_source[k] = sonos_current * forward_slope / sonos_slope * share


@dataclass(frozen=True, kw_only=True)
class TransistorCell:
    """A select transistor in series with a SONOS transistor whose threshold voltage is programmed.

    Attributes:
        drive_voltage: V_D across the cell when the bit line is at virtual ground [V].
        full_current: current of a cell at G_max [A].
        temperature: [K].
        sonos_specific_current: I_S of the SONOS transistor [A].
        sonos_gate_slope: n_g of the SONOS transistor.
        sonos_source_slope: n_s of the SONOS transistor.
        sonos_gate_voltage: [V].
        select_specific_current: I_S of the select transistor [A].
        select_gate_slope: n_g of the select transistor.
        select_source_slope: n_s of the select transistor.
        select_threshold_voltage: [V].
        select_gate_voltage: of a selected row [V].
        orientation: which end lies on the bit line. ``source``: the drive line is at V_D, the bit line at virtual
            ground, and a rising bit line raises the source. ``drain``: the source line is grounded, the bit line is
            held at V_D and sags, and with it only the drain.

    Raises:
        CircuitError: a value is not a positive number (voltages may have either sign).
    """

    drive_voltage: float = 0.1
    full_current: float = 1.6e-6
    temperature: float = 300.15
    sonos_specific_current: float = 10e-6
    sonos_gate_slope: float = 2.0
    sonos_source_slope: float = 1.0
    sonos_gate_voltage: float = 0.0
    select_specific_current: float = 5e-6
    select_gate_slope: float = 1.3
    select_source_slope: float = 1.0
    select_threshold_voltage: float = 0.45
    select_gate_voltage: float = 1.1
    orientation: Orientation = "source"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "orientation":
                if value not in get_args(Orientation):
                    raise CircuitError(unknown_name("`orientation` of a cell", str(value), get_args(Orientation)))
                continue
            signed = field.name.endswith(("threshold_voltage", "gate_voltage"))
            if not is_real(value):
                raise CircuitError(f"Expected `{field.name}` of a transistor cell to be a number, but got {value!r}.")
            too_cold = field.name == "temperature" and not is_temperature(value)
            if too_cold or (not signed and value <= 0):
                raise CircuitError(f"Expected `{field.name}` of a transistor cell to be above 0, but got {value!r}.")

    @property
    def thermal_voltage(self) -> float:
        """U_T = kT/q [V]."""
        return BOLTZMANN_OVER_CHARGE * self.temperature

    @property
    def _drive(self) -> float:
        return self.drive_voltage / self.thermal_voltage

    @property
    def select_pinch_off(self) -> float:
        """The select transistor's p when its row is on."""
        overdrive = self.select_gate_voltage - self.select_threshold_voltage
        return overdrive / (self.select_gate_slope * self.thermal_voltage)

    def pinch_off(self, conductance: ArrayLike) -> NDArray[np.float64]:
        """Return the SONOS transistor's p = (V_G - V_T) / (n_g U_T) at which a cell carries its target current.

        The current through the select transistor gives the middle node in closed form; p then follows from the SONOS
        transistor's own equation by Newton's method on ln I, which is concave and rising.

        Args:
            conductance: target currents at V_D in units of the full current, of any shape, at least 0.

        Returns:
            p of the same shape; -inf (an open cell) for a target of 0.

        Raises:
            CircuitError: a target above what the select transistor can carry.
        """
        target = np.asarray(conductance, dtype=np.float64) * self.full_current
        drive = self._drive
        at_drive = _f(self.select_pinch_off - drive / self.select_source_slope)
        root = np.sqrt(target / self.select_specific_current + at_drive)
        middle = self.select_source_slope * (self.select_pinch_off - 2.0 * np.log(np.expm1(root)))
        if np.any(middle <= 0):
            most = self.select_specific_current * (_f(self.select_pinch_off) - at_drive)
            raise CircuitError(
                f"A cell's target of {target.max():.3g} A is more than its select transistor can carry at "
                f"V_D = {self.drive_voltage:g} V ({most:.3g} A)."
            )
        with np.errstate(divide="ignore"):
            goal = np.log(target / self.sonos_specific_current)
        across = middle / self.sonos_source_slope
        p = np.maximum(goal - np.log(-np.expm1(-across)), -700.0)
        for _ in range(100):
            # F(p) - F(p - d) = (a - b)(a + b) with a, b the logarithms; log1p keeps it exact deep in weak inversion.
            a, b = np.logaddexp(0.0, 0.5 * p), np.logaddexp(0.0, 0.5 * (p - across))
            value = (a - b) * (a + b)
            derivative = a / (1.0 + np.exp(-0.5 * p)) - b / (1.0 + np.exp(-0.5 * (p - across)))
            step = (goal - np.log(value)) * value / derivative
            p = np.where(np.isneginf(goal), p, p + np.clip(step, -5.0, 5.0))
            if np.all(np.abs(np.where(np.isneginf(goal), 0.0, step)) <= 4e-15 * (1 + np.abs(p))):
                break
        else:
            raise CircuitError(f"No state of the SONOS transistor was found that carries {target.max():.3g} A at V_D.")
        return np.where(np.isneginf(goal), -np.inf, p)

    def prepare(self, conductance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the state of each cell by which `evaluate` knows it: its pinch-off, see there.

        Args:
            conductance: as for `pinch_off`.
        """
        return self.pinch_off(conductance)

    def threshold_voltage(self, conductance: ArrayLike) -> NDArray[np.float64]:
        """Return the programmed threshold voltage [V] that gives each target; +inf for an open cell.

        Args:
            conductance: as for `pinch_off`.

        Raises:
            CircuitError: as for `pinch_off`.
        """
        return self.sonos_gate_voltage - self.pinch_off(conductance) * self.sonos_gate_slope * self.thermal_voltage

    def evaluate(self, pinch_off: ArrayLike, drop: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return a cell's current and how fast it falls, at a bit line that is off its ideal voltage.

        Args:
            pinch_off: p of the SONOS transistors, see `pinch_off`.
            drop: how far the bit line has moved towards the other end of the cell, in units of V_D; broadcast
                against `pinch_off`.

        Returns:
            Current in units of the full current, and minus its derivative by `drop`; both of the broadcast shape.
        """
        current, slope, _ = self.evaluate_ends(pinch_off, drop, 0.0)
        return current, slope

    def evaluate_ends(
        self, pinch_off: ArrayLike, drop: ArrayLike, sag: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return a cell's current and how fast it falls, where both of its ends are off their ideal voltages.

        In weak inversion the source's voltage counts by V_D / U_T, the drain's hardly: the channel ends before it.

        Args:
            pinch_off: as for `evaluate`.
            drop: of the bit line, as for `evaluate`.
            sag: how far the line at the other end has moved towards the bit line, in units of V_D: the supply line
                below V_D, or, where the bit line is at the drain, the source line above ground.

        Returns:
            Current in units of the full current, and minus its derivatives by `drop` and by `sag`; all of the broadcast
            shape.
        """
        p, v, e = np.broadcast_arrays(*(np.asarray(part, dtype=np.float64) for part in (pinch_off, drop, sag)))
        at_drain = self.orientation == "drain"
        source, below_drive = (e, v) if at_drain else (v, e)
        current, by_source, by_drain = np.empty(p.size), np.empty(p.size), np.empty(p.size)
        _evaluate(
            np.ascontiguousarray(p).ravel(),
            np.ascontiguousarray(source).ravel() * self._drive,
            self._drive - np.ascontiguousarray(below_drive).ravel() * self._drive,
            (self.sonos_specific_current, self.sonos_source_slope),
            (self.select_specific_current, self.select_source_slope, self.select_pinch_off),
            current,
            by_source,
            by_drain,
        )
        scale = 1.0 / self.full_current
        slopes = [(slope * (scale * self._drive)).reshape(p.shape) for slope in (by_source, by_drain)]
        by_drop, by_sag = slopes[::-1] if at_drain else slopes
        return (current * scale).reshape(p.shape), by_drop, by_sag


def relative_slope(conductance: float, cell: TransistorCell | None = None) -> float:
    """Return how fast a cell's current falls with its bit line's voltage, over the current [1/V].

    The one home of this slope for circuits that load a bit line: 38/V for a bundled cell of 4 % of G_max, whose source
    lies on the line in weak inversion; 33/V at G_max.

    Args:
        conductance: of the cell over G_max.
        cell: None for the bundled one.
    """
    known = load_transistor_cell() if cell is None else cell
    current, slope = known.evaluate(known.pinch_off(conductance), 0.0)
    return float(slope / current) / known.drive_voltage


def _f(x: float) -> float:
    return float(np.logaddexp(0.0, 0.5 * x) ** 2)


def load_transistor_cell(
    name_or_path: str | Path = "sonos_cell", orientation: Orientation = "source"
) -> TransistorCell:
    """Return a transistor cell: a bundled one, or that of a TOML file.

    Args:
        name_or_path: name of a bundled file of ``data/circuits/``, or the path of a TOML file in the same form, where
            each parameter is a table with value, unit, kind, source and optionally interval.
        orientation: which end of the cell lies on the bit line.

    Raises:
        CircuitError: no such file, no TOML, a parameter missing, unknown or without provenance.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        known = [file.stem for file in data_path("circuits").glob("*_cell.toml")]
        if str(name_or_path) not in known:
            raise CircuitError(unknown_name("transistor cell", str(name_or_path), known))
        path = data_path(f"circuits/{name_or_path}.toml")
    content = read_toml(path, CircuitError)
    flat: dict[str, Any] = {}
    for key, table in content.items():
        if isinstance(table, dict) and "value" not in table:
            flat |= {f"{key}_{inner}": value for inner, value in table.items()}
        else:
            flat[key] = table
    known = [field.name for field in dataclasses.fields(TransistorCell) if field.name != "orientation"]
    values: dict[str, float] = {}
    for key, table in flat.items():
        if key not in known:
            raise CircuitError(f"{path}: " + unknown_name("parameter", key, known))
        try:
            values[key] = Constant.model_validate(table).value
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"]))
            raise CircuitError(f"{path}: parameter {key!r}: {where}: {problem['msg']}.") from None
    missing = [key for key in known if key not in values]
    if missing:
        raise CircuitError(f"{path}: missing parameters: {', '.join(missing)}.")
    try:
        return TransistorCell(orientation=orientation, **values)
    except CircuitError as error:
        raise CircuitError(f"{path}: {error}") from None
