"""Netlist of a column up to the ADC: current conveyor, integrator, rescaling accumulator, gain stage.

One input bit after the other: the two bit lines' currents are subtracted by the conveyor and integrated; the result
is sampled on one capacitor, which then shares its charge with an equal one, so that what was there before is halved
with every bit (least significant bit first); at the end a gain stage fits the sum to the ADC's range. Voltages
count from mid-supply. The tests hold every error of it to a closed form (`tests/reference/peripheral_closed_forms.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.peripherals.model import PeripheralError
from circuits.peripherals.netlist import Netlist, piecewise, supply_charge
from circuits.peripherals.parameters import Parameters
from circuits.peripherals.transistors import add_amplifier_rails, add_models, add_telescopic_amplifier
from circuits.spice.simulator import run_netlists

OPTIONS = ".options reltol=1e-5 abstol=1e-14 vntol=1e-8 chgtol=1e-19 itl1=500 itl4=100"
"""Ten times tighter, the gain stage's output moves by under 0.005 LSB."""
TRANSISTOR_OPTIONS = ".options reltol=1e-4 abstol=1e-12 vntol=1e-6 chgtol=1e-17 itl1=500 itl4=200"
"""MOSFET charges do not converge to the tolerances of the macromodels."""
_STEP = 100e-12
"""Largest time step [s]."""


@dataclass(frozen=True)
class FrontEndRun:
    """Voltages and energies of one simulation of the front end; all voltages count from mid-supply.

    Attributes:
        integrator: output of the integrator at the end of each bit's integration, shape (columns, bits) [V].
        accumulator: voltage of the holding capacitor after each bit, shape (columns, bits) [V].
        gain_stage: output of the gain stage when conversion starts, shape (columns,) [V].
        time: of the waveforms [s].
        amplifier_energy: supply energy of one integrator's amplifier over all bits of a conversion, mean over columns
            [J]; None where it is not of transistors.
        waveforms: of the first column by node: ``out`` (integrator), ``hold`` (accumulator), ``gained`` (gain stage).
    """

    integrator: NDArray[np.float64]
    accumulator: NDArray[np.float64]
    gain_stage: NDArray[np.float64]
    time: NDArray[np.float64]
    amplifier_energy: float | None
    waveforms: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Schedule:
    """When what happens [s]: integration of bit k starts at `starts[k]`."""

    starts: NDArray[np.float64]
    integration: float
    transfer: float
    edge: float
    stop: float

    @classmethod
    def of(cls, p: Parameters) -> Schedule:
        """Return the schedule of a parameter set; the first bit follows one transfer time of reset, twice as long."""
        transfer = p["timing.transfer_time"]
        starts = np.array([2 * transfer + k * p.bit_period for k in range(p.bits)])
        stop = float(starts[-1] + p.bit_period + p["timing.gain_time"])
        return cls(starts, p["timing.integration_time"], transfer, p["timing.edge_time"], stop)

    @property
    def guard(self) -> float:
        """Time between one clock's falling and the next one's rising, a tenth of the transfer time."""
        return 0.1 * self.transfer

    @property
    def samples(self) -> NDArray[np.float64]:
        """End of each bit's integration, when the sampling switch starts to open."""
        return self.starts + self.integration

    @property
    def held(self) -> NDArray[np.float64]:
        """When each bit has been shared, just before the next integration."""
        return self.starts + self.integration + self.transfer - self.edge

    def pulses(self, windows: list[tuple[float, float]]) -> list[tuple[float, float]]:
        """Return the corners of a clock that is high in the given windows; edges start at their ends."""
        points = [(0.0, 1.0 if windows[0][0] <= 0 else 0.0)]
        for start, end in windows:
            if start > 0:
                points += [(start, 0.0), (start + self.edge, 1.0)]
            points += [(end, 1.0), (end + self.edge, 0.0)]
        return points


def simulate_front_end(
    parameters: Parameters | list[Parameters],
    bit_levels: ArrayLike,
    *,
    common_levels: ArrayLike | float = 1.0,
    transistors: bool = False,
    columns_a_run: int | None = None,
) -> FrontEndRun:
    """Return what the front end of many columns does in ngspice.

    Args:
        parameters: one set for all columns, or one a column.
        bit_levels: difference current of each bit in units of ``input.full_scale_current``, least significant bit
            first, shape (columns, bits). With unsigned parameters there is one line a column, which carries it.
        common_levels: current that both bit lines carry beside it in units of ``input.common_current``; a number, or
            of the shape of `bit_levels`. Without meaning for unsigned parameters.
        transistors: whether the integrator's amplifier is of transistors.
        columns_a_run: columns that share a netlist; None takes 16, and 4 with transistors.

    Returns:
        Sampled voltages of every column in the order given.

    Raises:
        PeripheralError: shapes that do not fit.
        MissingDependencyError: ngspice or PySpice is absent.
        SpiceError: a run fails.
    """
    levels = np.atleast_2d(np.asarray(bit_levels, dtype=np.float64))
    sets = [parameters] * len(levels) if isinstance(parameters, Parameters) else parameters
    bits = sets[0].bits
    if levels.ndim != 2 or levels.shape[1] != bits or len(sets) != len(levels):
        raise PeripheralError(
            f"Expected bit levels of shape (columns, {bits}) with a parameter set for each column, but got the shape "
            f"{levels.shape} and {len(sets)} sets."
        )
    common = np.broadcast_to(np.asarray(common_levels, dtype=np.float64), levels.shape)
    schedule = Schedule.of(sets[0])
    columns_a_run = columns_a_run or (4 if transistors else 16)
    chunks = [range(i, min(i + columns_a_run, len(levels))) for i in range(0, len(levels), columns_a_run)]
    netlists = []
    for chunk in chunks:
        netlist = Netlist("front end of columns", sets[0].temperature)
        add_clocks(netlist, schedule)
        if transistors:
            add_models(netlist, sets[0])
            add_amplifier_rails(netlist, sets[0])
        for k in chunk:
            add_column(netlist, sets[k], schedule, levels[k], common[k], str(k - chunk.start), transistors)
        netlists.append(
            netlist.text(
                TRANSISTOR_OPTIONS if transistors else OPTIONS, f".tran {_STEP!r} {schedule.stop!r} 0 {_STEP!r}"
            )
        )
    nodes = ["time", "vvdd#branch"] + [f"{node}{k}" for node in ("out", "hold", "gained") for k in range(columns_a_run)]
    results = run_netlists(netlists, nodes)
    integrator, accumulator = np.empty_like(levels), np.empty_like(levels)
    gained = np.empty(len(levels))
    for chunk, result in zip(chunks, results, strict=True):
        time = result["time"]
        for k in chunk:
            own = str(k - chunk.start)
            integrator[k] = np.interp(schedule.samples, time, result["out" + own])
            accumulator[k] = np.interp(schedule.held, time, result["hold" + own])
            gained[k] = result["gained" + own][-1]
    energy = None
    if transistors:
        window = float(schedule.starts[0]) - schedule.transfer, float(schedule.starts[-1]) + sets[0].bit_period
        charges = [supply_charge(result["time"], result["vvdd#branch"], *window) for result in results]
        energy = sets[0]["supply.voltage"] * sum(charges) / len(levels)
    first = results[0]
    waveforms = {node: np.asarray(first[node + "0"]) for node in ("out", "hold", "gained")}
    return FrontEndRun(integrator, accumulator, gained, np.asarray(first["time"]), energy, waveforms)


def add_clocks(netlist: Netlist, schedule: Schedule) -> None:
    """Add the clocks that all columns share.

    Sampling ends with the integration. In the transfer time charge is shared and the integrator is reset, after a
    guard of a tenth of it; the rows change to the next bit as soon as the sample is taken.
    """
    guard = schedule.guard
    before = float(schedule.starts[0]) - guard
    netlist.clock(
        "sampling",
        schedule.pulses([(float(s), float(e)) for s, e in zip(schedule.starts, schedule.samples, strict=True)]),
    )
    sharing = [(float(e) + guard, float(e) + schedule.transfer - guard) for e in schedule.samples]
    netlist.clock("sharing", schedule.pulses([(0.0, before), *sharing]))
    resets = [(float(e) + guard, float(e) + schedule.transfer) for e in schedule.samples]
    netlist.clock("resetting", schedule.pulses([(0.0, float(schedule.starts[0])), *resets]))
    netlist.clock("clearing", schedule.pulses([(0.0, before)]))


def add_column(
    netlist: Netlist,
    p: Parameters,
    schedule: Schedule,
    levels: NDArray[np.float64],
    common: NDArray[np.float64],
    own: str,
    transistors: bool = False,
) -> None:
    """Add one column, whose nodes end in `own`."""
    add_conveyor(netlist, p, schedule, levels, common, own)
    add_integrator(netlist, p, own, transistors)
    add_accumulator(netlist, p, own)
    add_gain_stage(netlist, p, own)


def add_conveyor(
    netlist: Netlist,
    p: Parameters,
    schedule: Schedule,
    levels: NDArray[np.float64],
    common: NDArray[np.float64],
    own: str,
) -> None:
    """Add the bit lines' currents and the conveyor that subtracts them into the node ``sum``."""
    if p.unsigned:
        common = np.zeros_like(common)
    for sign, line in ((1.0, "p"),) if p.unsigned else ((0.5, "p"), (-0.5, "n")):
        currents = common * p["input.common_current"] + sign * levels * p["input.full_scale_current"]
        changes = np.concatenate([[0.0], schedule.samples[:-1]])
        points = [(0.0, float(currents[0]))]
        for start, value, previous in zip(changes[1:], currents[1:], currents[:-1], strict=True):
            # The rows change one edge after the sample, so that it is not touched.
            points += [
                (float(start + schedule.edge), float(previous)),
                (float(start + 2 * schedule.edge), float(value)),
            ]
        bit_line, sense = f"line_{line}{own}", f"sense_{line}{own}"
        _add_cells(netlist, p, f"{line}{own}", bit_line, points)
        if p["conveyor.input_resistance"] > 0:
            netlist.capacitor(f"line_{line}{own}", bit_line, "0", p["input.bit_line_capacitance"])
            netlist.resistor(f"conveyor_{line}{own}", bit_line, sense, p["conveyor.input_resistance"], noisy=False)
        else:
            netlist.voltage(f"short_{line}{own}", bit_line, sense, 0.0)
        netlist.voltage(f"sense_{line}{own}", sense, "0", 0.0)
        # Half of the lines' difference on each; a line alone has none to be different from.
        mismatch = 0.0 if p.unsigned else sign * p["conveyor.mismatch"]
        gain = (1 + p["conveyor.gain_error"]) * (1 + mismatch)
        ends = (f"sum{own}", "0") if line == "p" else ("0", f"sum{own}")
        netlist.mirror(f"mirror_{line}{own}", *ends, f"sense_{line}{own}", gain)
    if p["conveyor.offset_current"]:
        netlist.current(f"conveyor_offset{own}", f"sum{own}", "0", p["conveyor.offset_current"])
    netlist.resistor(f"conveyor_out{own}", f"sum{own}", "0", p["conveyor.output_resistance"], noisy=False)


def _add_cells(netlist: Netlist, p: Parameters, name: str, bit_line: str, points: list[tuple[float, float]]) -> None:
    """Add a bit line's cells: their current falls as the conveyor lets the line rise."""
    if p["input.cell_conductance"] * p["conveyor.input_resistance"] == 0:
        netlist.current(name, "0", bit_line, piecewise(points) if len(points) > 1 else points[0][1])
        return
    # A node carries the current, a volt a microampere: well above ngspice's tolerance of voltages.
    drawn = f"drawn_{name}"
    scaled = [(time, 1e6 * current) for time, current in points]
    netlist.voltage(drawn, drawn, "0", piecewise(scaled) if len(scaled) > 1 else scaled[0][1])
    fall = f"(1-{p['input.cell_conductance']!r}*v({bit_line}))"
    netlist.circuit.B(name, "0", bit_line, current_expression=f"1e-6*v({drawn})*{fall}")


def add_integrator(netlist: Netlist, p: Parameters, own: str, transistors: bool = False) -> None:
    """Add the integrator from ``sum`` to ``out``, with the macromodel of its amplifier or the transistors."""
    total, out = f"sum{own}", f"out{own}"
    netlist.capacitor(f"integrate{own}", total, out, p["integrator.capacitance"])
    netlist.capacitor(f"virtual{own}", total, "0", p["integrator.parasitic_capacitance"])
    netlist.switch(f"reset{own}", total, out, "resetting", p["integrator.reset_resistance"], 1e13)
    # Charge into the virtual ground lowers the output; the parameter is what the output's capacitor receives.
    charge = -p["integrator.injected_charge"]
    netlist.clock_kick(f"reset_kick{own}", "resetting", total, charge, p["supply.voltage"])
    if transistors:
        netlist.voltage(f"amplifier_offset{own}", f"plus{own}", "0", p["integrator.offset_voltage"])
        add_telescopic_amplifier(netlist, p, f"plus{own}", total, out, own)
        return
    netlist.amplifier(
        f"integrator{own}",
        "0",
        total,
        out,
        dc_gain=p["integrator.dc_gain"],
        gain_bandwidth=p["integrator.gain_bandwidth"],
        output_swing=p["integrator.output_swing"],
        offset=p["integrator.offset_voltage"],
    )


def add_accumulator(netlist: Netlist, p: Parameters, own: str) -> None:
    """Add the switches and capacitors from ``out`` over ``sample`` to ``hold``."""
    sample, hold = f"sample{own}", f"hold{own}"
    on, off = p["accumulator.on_resistance"], p["accumulator.off_resistance"]
    netlist.switch(f"sampling{own}", f"out{own}", sample, "sampling", on, off)
    netlist.capacitor(f"sample{own}", sample, "0", p["accumulator.capacitance"] * (1 + p["accumulator.mismatch"]))
    netlist.capacitor(f"sample_parasitic{own}", sample, "0", p["accumulator.parasitic_1"])
    netlist.switch(f"sharing{own}", sample, hold, "sharing", on, off)
    netlist.capacitor(f"hold{own}", hold, "0", p["accumulator.capacitance"])
    netlist.capacitor(f"hold_parasitic{own}", hold, "0", p["accumulator.parasitic_2"])
    netlist.switch(f"clearing{own}", hold, "0", "clearing", on, off)
    charge, swing = p["accumulator.injected_charge"], p["supply.voltage"]
    netlist.clock_kick(f"sampling_kick{own}", "sampling", sample, charge, swing)
    for node in (sample, hold):
        netlist.clock_kick(f"sharing_kick_{node}", "sharing", node, charge, swing)


def add_gain_stage(netlist: Netlist, p: Parameters, own: str, *, noise: bool = False) -> None:
    """Add the gain stage from ``hold`` to ``gained``: a non-inverting amplifier with a resistive divider."""
    gain, gained, tap = p["gain_stage.gain"], f"gained{own}", f"tap{own}"
    lower = p["gain_stage.resistance"] / gain
    upper = lower * (gain * (1 + p["gain_stage.gain_error"]) - 1)
    if upper > 0:
        netlist.resistor(f"upper{own}", gained, tap, upper, noisy=noise)
        netlist.resistor(f"lower{own}", tap, "0", lower, noisy=noise)
    else:
        netlist.voltage(f"unity{own}", gained, tap, 0.0)
    netlist.amplifier(
        f"gain{own}",
        f"hold{own}",
        tap,
        gained,
        dc_gain=p["gain_stage.dc_gain"],
        gain_bandwidth=p["gain_stage.gain_bandwidth"],
        output_swing=p["gain_stage.output_swing"],
        offset=p["gain_stage.offset_voltage"],
        noise_density=p["gain_stage.noise_density"] if noise else 0.0,
    )
