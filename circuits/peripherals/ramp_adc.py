"""The ramp ADC: one ramp generator, a comparator in every column, a counter that stops at the comparator.

The ramp rises by one code a clock period and passes half a code below the range when the counter starts, which so
reads rint((v - lo) / LSB); it sets out eight codes earlier, when comparators are still settling. Comparators are
behavioural (gain, bandwidth, offset) or transistors: a PMOS differential pair with mirror load, a common-source stage
and two inverters. The supply current of the transistors, integrated over a conversion, is the only energy that this
model claims.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.peripherals.model import PeripheralError
from circuits.peripherals.netlist import Netlist, supply_charge
from circuits.peripherals.parameters import Parameters
from circuits.peripherals.transistors import add_bias, add_comparator, add_models, add_ramp_source
from circuits.spice.simulator import run_netlist, run_netlists

OPTIONS = ".options reltol=1e-4 abstol=1e-12 vntol=1e-6 chgtol=1e-17 itl1=500 itl4=100"
"""Ten times tighter, crossings of the transistor comparator move by under 0.005 LSB."""
_STEP = 0.5
"""Largest time step with transistors, in clock periods; a fifth of it moves crossings by under 0.005 LSB."""
LEAD = 4e-9
"""Time for which the ramp is held at its start before it rises [s]."""
_RUN_UP = 8
"""Codes by which the ramp starts below the range."""
_OVERRUN = 0.125
"""Share of full-scale signal by which the ramp runs past it, so that late comparators still decide."""


@dataclass(frozen=True)
class RampRun:
    """Times, readings and energies of one conversion of many columns.

    Attributes:
        inputs: input voltages from zero signal, shape (columns,) [V].
        crossings: time from the ramp's start to each comparator's decision, shape (columns,) [s]; NaN where it never
            decided.
        clock_period: of the counter [s].
        codes: number of codes.
        lsb: one code [V].
        comparator_energy: supply energy of one comparator over one conversion, mean over columns [J]; None for
            behavioural comparators.
        ramp_energy: supply energy of the ramp generator over one conversion [J]; None if behavioural.
        time: of the waveforms [s].
        ramp: the ramp's voltage from zero signal [V].
    """

    inputs: NDArray[np.float64]
    crossings: NDArray[np.float64]
    clock_period: float
    codes: int
    lsb: float
    comparator_energy: float | None
    ramp_energy: float | None
    time: NDArray[np.float64]
    ramp: NDArray[np.float64]

    @property
    def readings(self) -> NDArray[np.float64]:
        """Continuous reading of each column in codes: what the counter rounds."""
        return self.crossings / self.clock_period - 0.5

    def counts(self, jitter: float = 0.0, generator: np.random.Generator | None = None) -> NDArray[np.int64]:
        """Return what the counter reads: clock edges before each decision, none before the first period.

        Args:
            jitter: rms jitter of the counting edge [s].
            generator: source of the jitter; None leaves it out.
        """
        crossings = np.where(np.isnan(self.crossings), np.inf, self.crossings)
        if generator is not None:
            crossings = crossings + jitter * generator.standard_normal(crossings.shape)
        edges = np.arange(1, self.codes) * self.clock_period
        return np.searchsorted(edges, crossings, side="right").astype(np.int64)

    def transitions(self) -> NDArray[np.float64]:
        """Return the input voltage at which each code is left for the next, shape (codes - 1,) [V].

        Needs inputs in rising order; between them the crossing time is interpolated. NaN where they do not reach.
        """
        edges = np.arange(1, self.codes) * self.clock_period
        return np.asarray(np.interp(edges, self.crossings, self.inputs, left=np.nan, right=np.nan))


def code_voltages(p: Parameters) -> NDArray[np.float64]:
    """Return the ideal voltage of every code from zero signal, shape (codes,) [V]."""
    return np.linspace(p.lowest_voltage, p.full_scale_voltage, p.codes)


def simulate_ramp_adc(
    parameters: Parameters | Sequence[Parameters],
    inputs: ArrayLike | None = None,
    *,
    transistors: bool = False,
    threshold_errors: ArrayLike | None = None,
    columns_a_run: int | None = None,
) -> RampRun:
    """Return one conversion of many columns in ngspice; they share the ramp, as on the chip.

    Args:
        parameters: one set for all columns, or one a column; the ramp takes the first.
        inputs: input voltages from zero signal, shape (columns,) [V]; None takes the voltage of every code.
        transistors: whether comparators and ramp generator are transistors.
        threshold_errors: error of the threshold voltage of the input pair and of its load, shape (columns, 2) [V];
            transistors only.
        columns_a_run: columns that share a netlist; each netlist has the same ramp. None takes 64, and 1 for
            transistors, whose decisions each need time steps of their own. Transistors in one netlist kick each other
            through the ramp.

    Raises:
        PeripheralError: shapes that do not fit.
        MissingDependencyError: ngspice or PySpice is absent.
        SpiceError: a run fails.
    """
    first = parameters if isinstance(parameters, Parameters) else parameters[0]
    voltages = code_voltages(first) if inputs is None else np.asarray(inputs, dtype=np.float64)
    sets = [parameters] * len(voltages) if isinstance(parameters, Parameters) else list(parameters)
    errors = np.zeros((len(voltages), 2)) if threshold_errors is None else np.asarray(threshold_errors, np.float64)
    if voltages.ndim != 1 or len(sets) != len(voltages) or errors.shape != (len(voltages), 2):
        raise PeripheralError(
            f"Expected inputs of shape (columns,), a parameter set for each column and threshold errors of shape "
            f"(columns, 2), but got {voltages.shape}, {len(sets)} sets and {errors.shape}."
        )
    columns_a_run = columns_a_run or (1 if transistors else 64)
    chunks = [slice(i, i + columns_a_run) for i in range(0, len(voltages), columns_a_run)]
    netlists = [
        _transistor_netlist(sets[c], voltages[c], errors[c]) if transistors else _netlist(sets[c], voltages[c])
        for c in chunks
    ]
    own = min(columns_a_run, len(voltages))
    nodes = ["time", "ramp", "vsupply#branch", "vramp_supply#branch", *(f"decide{k}" for k in range(own))]
    results = run_netlists(netlists, nodes)
    level = first["supply.voltage"] / 2 if transistors else first["adc.decision_level"]
    crossings = np.concatenate(
        [
            [_crossing(result["time"], result[f"decide{k}"], level) for k in range(len(voltages[c]))]
            for c, result in zip(chunks, results, strict=True)
        ]
    )
    time = np.asarray(results[0]["time"])
    comparator_energy = ramp_energy = None
    if transistors:
        end = _start(first) + first.codes / first["adc.clock_frequency"]
        supply = first["supply.voltage"]
        total = sum(supply_charge(r["time"], r["vsupply#branch"], _start(first), end) for r in results)
        comparator_energy = supply * total / len(voltages)
        ramp_energy = supply * supply_charge(time, results[0]["vramp_supply#branch"], _start(first), end)
    origin = _origin(first) if transistors else 0.0
    return RampRun(
        inputs=voltages,
        crossings=crossings - _start(first),
        clock_period=1 / first["adc.clock_frequency"],
        codes=first.codes,
        lsb=first.lsb_voltage,
        comparator_energy=comparator_energy,
        ramp_energy=ramp_energy,
        time=time,
        ramp=np.asarray(results[0]["ramp"]) - origin,
    )


def _duration(p: Parameters) -> float:
    overrun = _OVERRUN * (1 - p.zero) * p.codes
    return _start(p) + (p.codes + overrun) / p["adc.clock_frequency"]


def _start(p: Parameters) -> float:
    """When the counter starts [s]."""
    return LEAD + _RUN_UP / p["adc.clock_frequency"]


def _lowest(p: Parameters) -> float:
    """Voltage from which the ramp sets out, from zero signal [V]."""
    return p.lowest_voltage - (0.5 + _RUN_UP) * p.lsb_voltage


def _origin(p: Parameters) -> float:
    """Return the voltage of zero signal at the comparators' inputs, whose common mode is mid-range [V]."""
    return p["comparator.common_mode"] - (p.lowest_voltage + p.full_scale_voltage) / 2


def _crossing(time: NDArray[np.float64], wave: NDArray[np.float64], level: float) -> float:
    """Return when a wave first rises through a level, interpolated between its points; NaN if never."""
    above = np.flatnonzero(wave > level)
    if above.size == 0 or above[0] == 0:
        return math.nan if above.size == 0 else 0.0
    k = int(above[0])
    share = (level - wave[k - 1]) / (wave[k] - wave[k - 1])
    return float(time[k - 1] + share * (time[k] - time[k - 1]))


def _netlist(sets: Sequence[Parameters], voltages: NDArray[np.float64]) -> str:
    p = sets[0]
    netlist = Netlist("ramp ADC", p.temperature)
    # The generator is held at the ramp's first voltage by a switch that opens at LEAD.
    netlist.voltage("start", "start", "0", _lowest(p))
    netlist.clock("hold", [(0.0, 1.0), (LEAD, 1.0), (LEAD + 1e-12, 0.0)])
    netlist.switch("hold", "start", "ramp", "hold", 0.0, 1e13)
    netlist.current("ramp", "0", "ramp", p.ramp_current * (1 + p["adc.ramp_error"]))
    netlist.capacitor("ramp", "ramp", "0", p["adc.ramp_capacitance"])
    # The output resistance returns to the ramp's start, where the current is set.
    netlist.resistor("ramp", "ramp", "start", p["adc.ramp_resistance"], noisy=False)
    for k, (own, voltage) in enumerate(zip(sets, voltages, strict=True)):
        netlist.voltage(f"in{k}", f"in{k}", "0", float(voltage))
        gain, bandwidth = own["adc.comparator_gain"], own["adc.comparator_bandwidth"]
        netlist.amplifier(
            f"comparator{k}",
            "ramp",
            f"in{k}",
            f"decide{k}",
            dc_gain=gain,
            gain_bandwidth=bandwidth * min(gain, 1e9),
            offset=own["adc.comparator_offset"],
        )
    step = 0.5 / p["adc.clock_frequency"]
    return netlist.text(OPTIONS, f".tran {step!r} {_duration(p)!r} 0 {step!r}")


def _transistor_netlist(sets: Sequence[Parameters], voltages: NDArray[np.float64], errors: NDArray[np.float64]) -> str:
    p = sets[0]
    netlist = Netlist("ramp ADC of transistors", p.temperature)
    add_models(netlist, p)
    netlist.voltage("supply", "supply", "0", p["supply.voltage"])
    add_bias(netlist, p)
    netlist.voltage("start", "start", "0", _origin(p) + _lowest(p))
    netlist.clock("hold", [(0.0, 1.0), (LEAD, 1.0), (LEAD + 1e-12, 0.0)])
    netlist.switch("hold", "start", "ramp", "hold", 0.0, 1e13)
    add_ramp_source(netlist, p)
    netlist.capacitor("ramp", "ramp", "0", p["adc.ramp_capacitance"])
    for k, voltage in enumerate(voltages):
        netlist.voltage(f"in{k}", f"in{k}", "0", float(voltage) + _origin(p))
        add_comparator(netlist, sets[k], "ramp", f"in{k}", f"decide{k}", str(k), errors[k])
    step = _STEP / p["adc.clock_frequency"]
    return netlist.text(OPTIONS, f".tran {step!r} {_duration(p)!r} 0 {step!r}")


def comparator_noise_netlist(p: Parameters, *, transistors: bool, flicker: bool = False) -> str:
    """Return the netlist of one comparator at its trip point, with a noise analysis of its decision node.

    Args:
        p: parameters.
        transistors: whether the comparator is of transistors; its noise is then that of the pair and its load up to
            the first stage's output.
        flicker: whether transistors have flicker noise beside their thermal noise.
    """
    netlist = Netlist("comparator at its trip point", p.temperature, flicker=flicker)
    if transistors:
        add_models(netlist, p)
        netlist.voltage("supply", "supply", "0", p["supply.voltage"])
        add_bias(netlist, p)
        middle = p["comparator.common_mode"]
        netlist.voltage("ramp", "ramp", "0", f"dc {middle!r} ac 1")
        netlist.voltage("input", "input", "0", middle)
        add_comparator(netlist, p, "ramp", "input", "decide", "", np.zeros(2))
        node = "first"
    else:
        netlist.voltage("ramp", "ramp", "0", "dc 0 ac 1")
        netlist.voltage("input", "input", "0", 0.0)
        gain = p["adc.comparator_gain"]
        netlist.amplifier(
            "comparator",
            "ramp",
            "input",
            "decide",
            dc_gain=gain,
            gain_bandwidth=p["adc.comparator_bandwidth"] * min(gain, 1e9),
            noise_density=p["adc.comparator_noise_density"],
        )
        node = "decide"
    return netlist.text(".options gmin=1e-15 reltol=1e-6", f".noise v({node}) Vramp dec 40 1 1e13")


def simulate_comparator_noise(p: Parameters, *, transistors: bool = False, flicker: bool = False) -> float:
    """Return a comparator's noise at its input by ngspice's noise analysis, rms [V].

    The output noise is integrated over all frequencies and divided by the gain at low frequency.

    Args:
        p: parameters.
        transistors: whether the comparator is of transistors.
        flicker: whether they have flicker noise, from 1 Hz on.
    """
    result = run_netlist(comparator_noise_netlist(p, transistors=transistors, flicker=flicker))
    spectrum, total = result.plots["noise1"], result.plots["noise2"]
    if total["onoise_total"][0] == 0:
        return 0.0
    gain = float(spectrum["onoise_spectrum"][0] / spectrum["inoise_spectrum"][0])
    return float(total["onoise_total"][0]) / gain
