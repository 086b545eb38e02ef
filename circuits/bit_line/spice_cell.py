"""A memory cell of the user's own model file, known only through ngspice: a transistor or a two-terminal element.

A transistor's programmed threshold voltage is a shift of its gate voltage, so every card can be programmed; a
two-terminal cell is programmed by a parameter of its subcircuit. ngspice sweeps state and bit line once; a spline of
ln(I / (V_D - v)) over both then gives currents and slopes anywhere, so that affine and re-linearised cells and Newton's
method work for the card as they do for the cell of our own.
"""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.bit_line.cell_card import CellCard, in_one_line, read_card
from circuits.bit_line.spice_elements import select_element
from circuits.bit_line.spice_table import (
    StateScale,
    Table,
    gate_span,
    make_table,
    parameter_span,
)
from circuits.bit_line.transistor_cell import TransistorCell, load_transistor_cell
from circuits.errors import CircuitError
from circuits.spice import simulator as spice
from circuits.spice.card_contents import assignments, spice_number
from circuits.spice.model_cards import card_lines
from devicekit.common.errors import unknown_name
from devicekit.common.paths import is_file
from devicekit.common.plain import PlainValues


@dataclass(frozen=True, kw_only=True)
class SpiceCell:
    """A select transistor of `base` in series with a transistor or a two-terminal cell of the user's model file.

    Attributes:
        library: file with the ``.model`` card or the subcircuit.
        model: name of the card, or of a subcircuit.
        instance: parameters of one transistor or cell, such as ``"w=120n l=40n"``.
        kind: ``mosfet`` for a card, ``subcircuit``; None for what the file holds under the name.
        section: section of a ``.lib`` file with several.
        base: drive voltage, full current, temperature, orientation and the select transistor.
        gate_range: gate voltages [V] between which every state lies; None to search for off and the full current.
        polarity: ``n`` or ``p``, whose voltages and currents have the other sign; None for what the card says.
        terminals: roles of a subcircuit's terminals in its own order: drain, gate, source, body, or top (on the select
            transistor) and bottom, or open; None for what their names say, else this order.
        state_parameter: parameter by which a two-terminal cell is programmed; None for its only one.
        state_range: its values between which every state lies; None to search from its declared value.

    Raises:
        CircuitError: no such file, or a name that is no name.
    """

    library: Path
    model: str
    instance: str = ""
    kind: Literal["mosfet", "subcircuit"] | None = None
    section: str | None = None
    base: TransistorCell = field(default_factory=load_transistor_cell)
    gate_range: tuple[float, float] | None = None
    polarity: Literal["n", "p"] | None = None
    terminals: tuple[str, ...] | None = None
    state_parameter: str | None = None
    state_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "library", Path(self.library).resolve())
        if not is_file(self.library):
            raise CircuitError(f"Expected `library` to be a model file, but {self.library} is none.")
        for name in ("model", "state_parameter"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and re.fullmatch(r"\w+", value)):
                what = "a card or subcircuit" if name == "model" else "a parameter"
                raise CircuitError(f"Expected `{name}` to be the name of {what}, but got {value!r:.80}.")
        if not re.fullmatch(r"[\w=.+\-*/(){}' \t]*", self.instance):
            raise CircuitError(
                f"Expected `instance` to be parameters of one transistor, such as 'w=120n l=40n', but got "
                f"{self.instance!r:.80}."
            )
        for name in ("gate_range", "state_range"):
            value = getattr(self, name)
            if value is None:
                continue
            if len(value) != 2 or not all(math.isfinite(end) for end in value) or not value[0] < value[1]:
                raise CircuitError(f"Expected `{name}` to rise, from one number to another, but got {value!r}.")
            object.__setattr__(self, name, (float(value[0]), float(value[1])))
        if self.terminals is not None:
            object.__setattr__(self, "terminals", tuple(self.terminals))
        for name, values in (("polarity", ("n", "p")), ("kind", ("mosfet", "subcircuit"))):
            if getattr(self, name) not in (None, *values):
                raise CircuitError(unknown_name(f"`{name}`", str(getattr(self, name)), values))

    @property
    def card(self) -> CellCard:
        """What the model file says of the cell.

        Raises:
            CircuitError: see `circuits.spice.model_cards.card_lines` and `circuits.bit_line.cell_card.read_card`.
        """
        return _read(self, self.library.stat().st_mtime_ns)

    @property
    def header(self) -> list[str]:
        """The statements of the model file that ngspice may see, and the cell's temperature.

        Raises:
            CircuitError: as for `card`.
        """
        return [*self.card.header, f".options temp={self.base.temperature - 273.15!r}"]

    @property
    def sign(self) -> int:
        """-1 for a p-channel transistor, else 1: the sign of all its voltages and currents."""
        return self.card.sign

    def programmed_value(self, state: float) -> float:
        """Return the gate voltage [V] or the state parameter's value of a state.

        Args:
            state: one of `prepare`.
        """
        scale = self._characterised[1]
        return self.sign * state if scale is None else scale.parameter(state)

    def elements(self, name: str, drain: str, source: str, value: float) -> list[str]:
        """Return the netlist lines of one programmed transistor or two-terminal cell, a body grounded.

        Args:
            name: unique part of the element's name.
            drain: node, of the top of a two-terminal cell.
            source: node, of its bottom.
            value: gate voltage or state parameter.
        """
        card = self.card
        nodes = {"drain": drain, "top": drain, "gate": f"g{name}", "source": source, "bottom": source, "body": "0"}
        own = " ".join(nodes.get(role, f"o{name}_{place}") for place, role in enumerate(card.roles))
        line = f"{'m' if card.mosfet else 'x'}{name} {own} {self.model}"
        if card.state_parameter is None:
            return [f"vg{name} g{name} 0 {value!r}", f"{line} {self.instance}"]
        others = {
            key: text for key, text in assignments(self.instance).items() if key.lower() != card.state_parameter.lower()
        } | {card.state_parameter: repr(value)}
        return [" ".join([line, *(f"{key}={text}" for key, text in others.items())])]

    @property
    def _characterised(self) -> tuple[Table, StateScale | None]:
        # Remembered for equal cells, anew when the file has changed.
        return _characterise(self, self.library.stat().st_mtime_ns)

    @property
    def least_target(self) -> float:
        """Lowest target that the cell can be programmed to beside open; 0 for a cell that turns off."""
        return self._characterised[0].least

    def understood(self) -> CellSweep:
        """Return what the model file was taken for and between which states it was swept.

        Raises:
            CircuitError: as for `prepare`.
        """
        table, _ = self._characterised
        card, span = self.card, table.span
        ends = sorted(self.programmed_value(float(t)) for t in (span.state[0], span.state[-1]))
        tried = sorted(self.programmed_value(t) for t in span.tried)
        return CellSweep(
            model=self.model,
            kind="transistor" if card.state_parameter is None else "two-terminal",
            polarity=None if card.state_parameter else ("p" if card.sign < 0 else "n"),
            terminals=card.roles,
            programmed="gate voltage" if card.state_parameter is None else card.state_parameter,
            low=ends[0],
            high=ends[1],
            searched_low=tried[0],
            searched_high=tried[1],
            given=(self.gate_range or self.state_range) is not None,
            full=self.programmed_value(float(table.state(np.array([1.0]))[0])),
            least_target=table.least,
        )

    def prepare(self, conductance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the state that gives each target current at V_D; -inf for an open cell.

        It rises with the current: the gate voltage [V] of an n-channel transistor, minus that of a p-channel one, the
        state parameter of a two-terminal cell or its logarithm, with a sign; see `programmed_value`.

        Args:
            conductance: targets in units of the full current, of any shape.

        Raises:
            CircuitError: a cell that does not pass from off to the full current, or a target that it does not reach.
            MissingDependencyError: ngspice is absent.
            SpiceError: ngspice refuses the card.
        """
        return self._characterised[0].state(np.asarray(conductance, dtype=np.float64))

    def evaluate(self, state: ArrayLike, drop: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return current and minus its slope, as `TransistorCell.evaluate` does.

        Args:
            state: see `prepare`.
            drop: see `TransistorCell.evaluate`.
        """
        table = self._characterised[0]
        return table.evaluate(np.asarray(state, dtype=np.float64), np.asarray(drop, dtype=np.float64))


@dataclass(frozen=True)
class CellSweep(PlainValues):
    """How a SPICE cell was understood, and between which states it is known.

    Attributes:
        model: name of the card.
        kind: ``transistor`` or ``two-terminal``.
        polarity: ``n`` or ``p`` of a transistor.
        terminals: roles of the terminals in the card's own order.
        programmed: ``gate voltage`` [V], or the name of the state parameter.
        low: end of the states that are swept.
        high: other end.
        searched_low: end of the range that was searched for off and the full current.
        searched_high: other end.
        given: True when the range was given, False when it was searched.
        full: gate voltage or parameter at the full current.
        least_target: lowest target beside open, in units of the full current; 0 for a cell that turns off.
    """

    model: str
    kind: Literal["transistor", "two-terminal"]
    polarity: Literal["n", "p"] | None
    terminals: tuple[str, ...]
    programmed: str
    low: float
    high: float
    searched_low: float
    searched_high: float
    given: bool
    full: float
    least_target: float

    def sentence(self) -> str:
        """Return it in words."""
        transistor = self.kind == "transistor"
        what = f"{self.polarity}-channel transistor" if transistor else "two-terminal cell behind the select transistor"
        unit = " V" if transistor else ""
        how = "given" if self.given else "found by searching"
        off = (
            "off at one end"
            if self.least_target == 0
            else f"at least {self.least_target:.3g} of the full current, to which the lowest state is set"
        )
        return (
            f"{self.model}: {what}, terminals {' '.join(self.terminals)}; {self.programmed} from {self.low:.4g} to "
            f"{self.high:.4g}{unit} ({how} {self.searched_low:.4g} to {self.searched_high:.4g}{unit}), full current at "
            f"{self.full:.4g}{unit}, {off}."
        )


@functools.lru_cache(maxsize=64)
def _read(cell: SpiceCell, changed: int) -> CellCard:
    return read_card(
        card_lines(cell.library, cell.section),
        cell.library.name,
        cell.model,
        instance=cell.instance,
        kind=cell.kind,
        polarity=cell.polarity,
        terminals=cell.terminals,
        state_parameter=cell.state_parameter,
    )


@functools.lru_cache(maxsize=16)
def _characterise(cell: SpiceCell, changed: int) -> tuple[Table, StateScale | None]:
    """Sweep state and bit line in ngspice: first the state alone, to find where the states lie."""
    card = cell.card
    who = f"The cell {cell.model!r} of {cell.library.name}"
    for option, wrong in (
        ("gate_range", card.state_parameter is not None),
        ("state_range", card.state_parameter is None),
    ):
        if wrong and getattr(cell, option) is not None:
            kind = "transistors" if option == "gate_range" else "two-terminal cells"
            raise CircuitError(f"`{option}` is of {kind}, which {cell.model!r} of {cell.library.name} is not.")
    with in_one_line(cell.library.name, cell.model):
        if card.state_parameter is None:

            def by_gate(state: NDArray[np.float64], drop: NDArray[np.float64]) -> NDArray[np.float64]:
                return _sweep(cell, card.sign * state, drop)

            span = gate_span(by_gate, cell.gate_range, card.sign, who)
            return make_table(by_gate, span, who), None

        def at_rest(value: NDArray[np.float64]) -> NDArray[np.float64]:
            return _sweep(cell, value, np.array([0.0]))[:, 0]

        default = None if card.state_default is None else spice_number(card.state_default)
        span, scale = parameter_span(at_rest, card.state_parameter, default, cell.state_range, who)

        def by_parameter(state: NDArray[np.float64], drop: NDArray[np.float64]) -> NDArray[np.float64]:
            return _sweep(cell, np.array([scale.parameter(float(t)) for t in state]), drop)

        return make_table(by_parameter, span, who), scale


def _sweep(cell: SpiceCell, value: NDArray[np.float64], drop: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return currents in units of the full current, shape (value, drop)."""
    base, sign = cell.base, cell.sign
    at_source = base.orientation == "source"
    drive = sign * base.drive_voltage
    # One cell for each state, all on one bit line whose voltage is swept.
    lines = ["characterisation", *cell.header, f"vdrive drive 0 {drive!r}", "vline line 0 0"]
    for k, own in enumerate(value.tolist()):
        drain, source = ("drive", f"n{k}") if at_source else (f"n{k}", "0")
        lines += [f"vr{k} n{k} line 0", select_element(base, f"s{k}", drain, f"m{k}", sign)]
        lines += cell.elements(f"c{k}", f"m{k}", source, own)
    levels = drive * drop if at_source else drive * (1 - drop)
    first, last = float(levels[0]), float(levels[-1])
    step = (last - first) / (drop.size - 1) if drop.size > 1 else 1.0
    # Half a step beyond, so that rounding does not drop the last point.
    lines += [spice.PRECISE_OPTIONS, f".dc vline {first!r} {last + 0.5 * step!r} {step!r}", ".end"]
    names = [f"vr{k}#branch" for k in range(value.size)]
    result = spice.run_netlist("\n".join(lines), names)
    currents = np.stack([result[name][: drop.size] for name in names])
    return np.asarray((sign if at_source else -sign) * currents / base.full_current, dtype=np.float64)
