"""SAR and ramp ADCs as netlists: charge redistribution on a capacitor array, and a ramp of unequal, drooping currents.

What ngspice finds is compared with `circuits.converters.drawn`: the netlists know charges, switches and currents, not
transition levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.converters.drawn import Floats, Integers
from circuits.peripherals.model import PeripheralError
from circuits.peripherals.netlist import Netlist
from circuits.spice.simulator import run_netlists

_TEMPERATURE = 300.15
_OPTIONS = ".options reltol=1e-5 abstol=1e-14 vntol=1e-8 chgtol=1e-19 itl1=500 itl4=200"
_EDGE = 5e-11
_SAMPLE = 5e-9
_BIT = 5e-9
_SHARP = 1e-5
"""Comparator: its output goes from one side to the other within so many volts; the decision is the sign."""
_PER_RUN = 8
"""SAR ADCs that share a netlist."""


@dataclass(frozen=True)
class SarCircuit:
    """Assumed sizes of a charge-redistribution SAR ADC.

    Attributes:
        unit_capacitance: of one unit [F].
        parasitic_capacitance: of the common plate to ground [F]; it attenuates what the comparator sees and no more.
        switch_resistance: of the switches that drive the capacitors [Ohm].
        reference: full scale [V].
    """

    unit_capacitance: float = 1e-15
    parasitic_capacitance: float = 3e-14
    switch_resistance: float = 500.0
    reference: float = 1.0


def simulate_sar(
    capacitors: ArrayLike,
    values: ArrayLike,
    offsets_lsb: ArrayLike = 0.0,
    circuit: SarCircuit | None = None,
) -> Integers:
    """Return the codes that SAR ADCs find in ngspice, each in its own loop: sample, try a bit, compare, keep or not.

    Bottom-plate sampling: the common plate is held at ground while all capacitors take the input; it floats before they
    leave it. Then the charge is redistributed bit by bit; a switch strobes what the comparator says onto a capacitor
    that holds the bit.

    Args:
        capacitors: in units, the most significant bit first and the last unit behind; shape (converters, bits + 1).
        values: to convert [LSB], shape (converters,).
        offsets_lsb: of the comparators, positive reads too high [LSB].
        circuit: sizes; None for the assumed ones.

    Raises:
        PeripheralError: shapes that do not fit.
        MissingDependencyError: ngspice or PySpice is absent.
        SpiceError: a run fails.
    """
    sizes = SarCircuit() if circuit is None else circuit
    array = np.atleast_2d(np.asarray(capacitors, dtype=np.float64))
    wanted = np.asarray(values, dtype=np.float64)
    offsets = np.broadcast_to(np.asarray(offsets_lsb, dtype=np.float64), wanted.shape)
    if wanted.ndim != 1 or len(array) != len(wanted) or array.shape[1] < 2:
        raise PeripheralError(
            f"Expected capacitors of shape (converters, bits + 1) and a value for each converter, but got "
            f"{array.shape} and {wanted.shape}."
        )
    bits = array.shape[1] - 1
    groups = [slice(start, start + _PER_RUN) for start in range(0, len(wanted), _PER_RUN)]
    netlists = [_sar_netlist(array[group], wanted[group], offsets[group], sizes) for group in groups]
    nodes = [f"hold{k}_{bit}" for k in range(min(_PER_RUN, len(wanted))) for bit in range(bits)]
    results = run_netlists(netlists, nodes)
    codes = []
    for group, result in zip(groups, results, strict=True):
        for k in range(len(wanted[group])):
            kept = [int(result[f"hold{k}_{bit}"][-1] > 0.5) for bit in range(bits)]
            codes.append(int("".join(map(str, kept)), 2))
    return np.array(codes, dtype=np.int64)


def _sar_netlist(capacitors: Floats, values: Floats, offsets: Floats, c: SarCircuit) -> str:
    bits = capacitors.shape[1] - 1
    lsb = c.reference / 2**bits
    netlist = Netlist("SAR ADC by charge redistribution", _TEMPERATURE)
    netlist.clock("hold_plate", [(0.0, 1.0), (_SAMPLE, 1.0), (_SAMPLE + _EDGE, 0.0)])
    release = _SAMPLE + 4 * _EDGE
    netlist.clock("take_input", [(0.0, 1.0), (release, 1.0), (release + _EDGE, 0.0)])
    first = release + 4 * _EDGE
    for bit in range(bits):
        start = first + bit * _BIT
        end = start + 0.9 * _BIT
        netlist.clock(f"trial{bit}", [(0, 0), (start, 0), (start + _EDGE, 1), (end, 1), (end + _EDGE, 0)])
        low, high = start + 0.6 * _BIT, start + 0.8 * _BIT
        netlist.clock(f"strobe{bit}", [(0, 0), (low, 0), (low + _EDGE, 1), (high, 1), (high + _EDGE, 0)])
        netlist.clock(f"after{bit}", [(0, 0), (end, 0), (end + _EDGE, 1)])
    for k, (units, value, offset) in enumerate(zip(capacitors, values, offsets, strict=True)):
        # Half a code is added at the sampling, as chips do with their last unit.
        netlist.voltage(f"in{k}", f"in{k}", "0", float((value + 0.5) * lsb))
        netlist.switch(f"plate{k}", f"plate{k}", "0", "hold_plate", c.switch_resistance, 1e15)
        netlist.capacitor(f"plate{k}", f"plate{k}", "0", c.parasitic_capacitance)
        total = float(units.sum()) * c.unit_capacitance
        seen = float(offset * lsb * total / (total + c.parasitic_capacitance))
        netlist.circuit.B(
            f"decide{k}", f"decide{k}", "0", voltage_expression=f"0.5-0.5*tanh((v(plate{k})-({seen!r}))/{_SHARP!r})"
        )
        for place, unit in enumerate(units):
            own = f"{k}_{place}"
            if place < bits:
                kept = f"v(trial{place})+v(after{place})*(v(hold{own})>0.5 ? 1 : 0)"
                level = f"v(take_input)*v(in{k})+(1-v(take_input))*{c.reference!r}*({kept})"
                netlist.switch(f"strobe{own}", f"decide{k}", f"hold{own}", f"strobe{place}", 1e3, 1e15)
                netlist.capacitor(f"hold{own}", f"hold{own}", "0", 1e-14)
            else:
                level = f"v(take_input)*v(in{k})"
            netlist.circuit.B(f"drive{own}", f"drive{own}", "0", voltage_expression=level)
            netlist.resistor(f"drive{own}", f"drive{own}", f"bottom{own}", c.switch_resistance, noisy=False)
            netlist.capacitor(f"unit{own}", f"bottom{own}", f"plate{k}", float(unit) * c.unit_capacitance)
    step = _BIT / 20
    return netlist.text(_OPTIONS, f".tran {step!r} {first + bits * _BIT!r} 0 {step!r}")


@dataclass(frozen=True)
class RampConversion:
    """What ngspice finds of a ramp and of the columns that watch it.

    Attributes:
        levels: of the ramp at the counter's edges, its ends calibrated; shape (2**bits - 1,) [LSB].
        codes: of each column, shape (columns,).
    """

    levels: Floats
    codes: Integers


_PERIOD = 1e-9


def simulate_ramp(
    steps: Sequence[float] | NDArray[np.float64],
    droop: float,
    values: ArrayLike,
    offsets_lsb: ArrayLike = 0.0,
) -> RampConversion:
    """Return one conversion of many columns by a ramp whose current differs from period to period, in ngspice.

    A current source charges a capacitor, its current another one in each clock period; an output conductance takes part
    of it away. A first run finds where the ramp stands at the first and last edge, as a chip's calibration does; in the
    second, comparators of every column watch the ramp and a counter stops at each.

    Args:
        steps: current of each clock period over the nominal one, shape (2**bits - 2,).
        droop: time of the ramp over the time constant of its generator, see `circuits.converters.drawn.bow_shape`.
        values: to convert [LSB], shape (columns,).
        offsets_lsb: of the comparators, positive reads too high [LSB].

    Raises:
        MissingDependencyError: ngspice or PySpice is absent.
        SpiceError: a run fails.
    """
    currents = np.asarray(steps, dtype=np.float64)
    wanted = np.asarray(values, dtype=np.float64)
    offsets = np.broadcast_to(np.asarray(offsets_lsb, dtype=np.float64), wanted.shape)
    edges = _PERIOD * np.arange(1, currents.size + 2)
    (free,) = run_netlists([_ramp_netlist(currents, droop, np.empty(0), np.empty(0))], ["time", "ramp"])
    ends = np.interp(edges[[0, -1]], free["time"], free["ramp"])
    lsb = float(ends[1] - ends[0]) / currents.size
    levels = 0.5 + (np.interp(edges, free["time"], free["ramp"]) - ends[0]) / lsb
    inputs = ends[0] + (wanted - 0.5) * lsb
    nodes = ["time", "ramp", *(f"decide{k}" for k in range(len(wanted)))]
    (watched,) = run_netlists([_ramp_netlist(currents, droop, inputs, offsets * lsb)], nodes)
    crossings = []
    for k in range(len(wanted)):
        above = np.flatnonzero(watched[f"decide{k}"] > 0)
        if above.size == 0:
            crossings.append(np.inf)
        elif above[0] == 0:
            crossings.append(0.0)
        else:
            at = int(above[0])
            pair = watched[f"decide{k}"][at - 1 : at + 1]
            times = watched["time"][at - 1 : at + 1]
            crossings.append(float(times[0] - pair[0] * (times[1] - times[0]) / (pair[1] - pair[0])))
    return RampConversion(levels, np.searchsorted(edges, crossings, side="left").astype(np.int64))


def _ramp_netlist(currents: Floats, droop: float, inputs: Floats, offsets: Floats) -> str:
    netlist = Netlist("ramp ADC of unequal currents", _TEMPERATURE)
    capacitance, total = 1e-12, _PERIOD * currents.size
    one = capacitance * 1e-2 / _PERIOD  # 10 mV a step
    points, edge = [(0.0, one), (_PERIOD - 1e-12, one)], 1e-12
    for place, current in enumerate(currents):
        start = _PERIOD * (place + 1)
        points += [(start, float(current) * one), (start + _PERIOD - edge, float(current) * one)]
    netlist.current("ramp", "0", "ramp", "pwl(" + " ".join(f"{t!r} {i!r}" for t, i in points) + ")")
    netlist.capacitor("ramp", "ramp", "0", capacitance)
    # The conductance returns to where the ramp stands at the first edge, so that only what comes after droops.
    netlist.voltage("start", "start", "0", 1e-2)
    if droop:
        netlist.transconductor("droop", "ramp", "0", "ramp", "start", capacitance * droop / total)
    for k, (value, offset) in enumerate(zip(inputs, offsets, strict=True)):
        netlist.voltage(f"in{k}", f"in{k}", "0", float(value))
        netlist.amplifier(
            f"comparator{k}",
            "ramp",
            f"in{k}",
            f"decide{k}",
            dc_gain=1e4,
            gain_bandwidth=np.inf,
            output_swing=1.0,
            offset=-float(offset),
        )
    step = _PERIOD / 10
    return netlist.text(
        _OPTIONS + "\n.ic v(ramp)=0", f".tran {step!r} {_PERIOD * (currents.size + 2)!r} 0 {step!r} uic"
    )
