"""Elements that the peripheral netlists are made of, added to a PySpice circuit.

PySpice itself is imported by `circuits.spice.simulator.new_circuit`; this module only calls the circuit object.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.spice.simulator import new_circuit

BOLTZMANN = 1.380649e-23
"""Boltzmann constant [J/K] (exact, SI)."""
CHARGE = 1.602176634e-19
"""Elementary charge [C] (exact, SI)."""

_STAGE = 1e-3
"""Transconductance inside the amplifier macromodel [S]; only its ratio to the pole's R and C has a meaning."""
_NEAR_IDEAL_GAIN = 1e9
"""Stands for an infinite gain: its error is below double precision's use here, and the matrix stays regular."""
_LEAST_RESISTANCE = 1e-2
"""Stands for a zero resistance of a switch [Ohm]; with a picofarad it settles in 1e-14 s."""


class Netlist:
    """A PySpice circuit under construction.

    Args:
        title: first line of the netlist.
        temperature: of every element [K].
        flicker: whether transistors have flicker noise, beside their thermal noise.
    """

    def __init__(self, title: str, temperature: float, *, flicker: bool = False):
        self.circuit: Any = new_circuit(title)
        self.temperature = temperature
        self.flicker = flicker

    def text(self, *lines: str) -> str:
        """Return the whole netlist, ready to run.

        Args:
            *lines: analyses and options.
        """
        celsius = self.temperature - 273.15
        return "\n".join([str(self.circuit), f".options temp={celsius!r} tnom=27", *lines, ".end"])

    def resistor(self, name: str, a: str, b: str, value: float, *, noisy: bool = True) -> None:
        """Add a resistor; an infinite one is left out."""
        if math.isfinite(value):
            self.circuit.R(name, a, b, max(value, _LEAST_RESISTANCE), raw_spice="" if noisy else "noisy=0")

    def capacitor(self, name: str, a: str, b: str, value: float) -> None:
        """Add a capacitor; one of zero is left out."""
        if value != 0:
            self.circuit.C(name, a, b, value)

    def voltage(self, name: str, a: str, b: str, value: float | str) -> None:
        """Add a voltage source with a number or a waveform."""
        self.circuit.V(name, a, b, value)

    def current(self, name: str, a: str, b: str, value: float | str) -> None:
        """Add a current source from a through the source to b."""
        self.circuit.I(name, a, b, value)

    def mirror(self, name: str, a: str, b: str, source: str, gain: float) -> None:
        """Add a copy of the current through a voltage source, flowing from a through the copy to b."""
        self.circuit.F(name, a, b, f"V{source}", gain)

    def transconductor(self, name: str, a: str, b: str, plus: str, minus: str, value: float) -> None:
        """Add a current of value * (v(plus) - v(minus)) from a through the source to b."""
        self.circuit.VCCS(name, a, b, plus, minus, transconductance=value)

    def follower(self, name: str, a: str, b: str, plus: str, minus: str, gain: float = 1.0) -> None:
        """Add a voltage of gain * (v(plus) - v(minus)) between a and b."""
        self.circuit.VCVS(name, a, b, plus, minus, voltage_gain=gain)

    def switch(self, name: str, a: str, b: str, clock: str, on: float, off: float) -> None:
        """Add a switch that conducts while the clock node is at 1 V.

        The conductance goes from off to on exponentially with the clock, so that Newton steps stay smooth: a hard
        switch in an amplifier's feedback does not converge.
        """
        on, off = max(on, _LEAST_RESISTANCE), min(off, 1e15)
        slope = math.log(off / on)
        self.circuit.B(name, a, b, current_expression=f"v({a},{b})*exp({slope!r}*(v({clock})))/{off!r}")

    def clock(self, name: str, points: list[tuple[float, float]]) -> None:
        """Add a clock node between 0 V and 1 V, given by its corners (time [s], level)."""
        self.circuit.V(name, name, "0", piecewise(points))

    def clock_kick(self, name: str, clock: str, node: str, charge: float, voltage: float) -> None:
        """Couple a clock to a node so that `charge` is left there when the switch of that clock opens.

        Only the second half of the clock's fall couples: what comes while the channel still conducts goes back to
        the driven side. A falling NMOS gate takes charge away; for a positive charge (a PMOS, or an over-compensated
        switch) the inverted clock is coupled.
        """
        if charge == 0:
            return
        gate = f"{name}_gate"
        level = -math.copysign(2 * voltage, charge)
        self.circuit.B(f"{name}_drive", gate, "0", voltage_expression=f"{level!r}*min(v({clock}),0.5)")
        self.capacitor(f"{name}_overlap", gate, node, abs(charge) / voltage)

    def amplifier(
        self,
        name: str,
        plus: str,
        minus: str,
        out: str,
        *,
        dc_gain: float,
        gain_bandwidth: float,
        output_swing: float = math.inf,
        offset: float = 0.0,
        noise_density: float = 0.0,
    ) -> None:
        """Add an amplifier with one pole: finite gain, gain-bandwidth product, soft output limits, offset and noise.

        out = swing * tanh(x / swing), x = A / (1 + j f A / GBW) * (v(plus) - v(minus) + offset + noise)
        """
        gain = min(dc_gain, _NEAR_IDEAL_GAIN)
        pole = f"{name}_pole"
        self.transconductor(f"{name}_in", "0", pole, plus, minus, _STAGE)
        self.resistor(f"{name}_pole", pole, "0", gain / _STAGE, noisy=False)
        if math.isfinite(gain_bandwidth):
            self.capacitor(f"{name}_pole", pole, "0", _STAGE / (2 * math.pi * gain_bandwidth))
        if offset:
            self.current(f"{name}_offset", "0", pole, _STAGE * offset)
        if noise_density:
            # A resistor to ground shows the voltage noise 4kTR; its node drives the stage beside the input.
            self.resistor(f"{name}_noise", f"{name}_noise", "0", noise_density**2 / (4 * BOLTZMANN * self.temperature))
            self.transconductor(f"{name}_noise", "0", pole, f"{name}_noise", "0", _STAGE)
        if math.isfinite(output_swing):
            limit = repr(output_swing)
            self.circuit.B(f"{name}_out", out, "0", voltage_expression=f"{limit}*tanh(v({pole})/{limit})")
        else:
            self.follower(f"{name}_out", out, "0", pole, "0")


def piecewise(points: list[tuple[float, float]]) -> str:
    """Return ngspice's piecewise linear waveform through corners (time [s], value)."""
    return "pwl(" + " ".join(f"{time!r} {value!r}" for time, value in points) + ")"


def supply_charge(time: NDArray[np.float64], branch: NDArray[np.float64], start: float, end: float) -> float:
    """Return the charge that a supply delivers [C]; SPICE counts a delivering source's current negative.

    Args:
        time: of the waveform [s].
        branch: current through the source [A].
        start: of the window [s].
        end: of the window [s].
    """
    inside = (time > start) & (time < end)
    grid = np.concatenate([[start], time[inside], [end]])
    return float(-np.trapezoid(np.interp(grid, time, branch), grid))
