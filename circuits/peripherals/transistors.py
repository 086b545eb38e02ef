"""Transistor-level parts of the ADC: MOSFET models, bias, ramp source and comparator.

ngspice's level-1 MOSFET (square law) with a handful of parameters: enough for bias currents, delays and energy, and
simple enough that gain, slew and noise have closed forms. A foundry's cards give better numbers, not other circuits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from circuits.peripherals.netlist import Netlist
from circuits.peripherals.parameters import Parameters

_JUNCTION_LENGTH = 0.12e-6
"""Extent of drain and source junctions along the channel [m]."""


OXIDE_PERMITTIVITY = 3.9 * 8.854214871e-12
"""Of silicon dioxide, as ngspice's MOSFET models have it [F/m]."""


def add_models(netlist: Netlist, p: Parameters) -> None:
    """Add the two MOSFET models."""
    for kind in ("nch", "pch"):
        netlist.circuit.model(kind, _polarity(kind), **_card(p, kind))


def _polarity(kind: str) -> str:
    return "nmos" if kind == "nch" else "pmos"


def _card(p: Parameters, kind: str) -> dict[str, float]:
    """Return the parameters of a model card."""
    name, sign = _polarity(kind), 1.0 if kind == "nch" else -1.0
    return {
        "level": 1,
        # KP follows mobility by itself: ngspice scales it with (T/Tnom)^-1.5.
        "vto": sign * p[f"transistor.{name}_threshold"],
        "kp": p[f"transistor.{name}_transconductance"],
        "lambda": p["transistor.channel_length_modulation"],
        "tox": p["transistor.oxide_thickness"],
        "cgso": p["transistor.overlap_capacitance"],
        "cgdo": p["transistor.overlap_capacitance"],
        "cj": p["transistor.junction_capacitance"],
    }


def flicker_coefficient(p: Parameters, kind: str, width: float, length: float) -> float:
    """Return SPICE's KF with which a level-1 transistor shows the flicker noise that the parameters give its gate.

    Level 1 has S_I = KF I / (f W L C_ox^2) and gm^2 = 2 K W/L I, hence KF = (S_V W L f) C_ox^2 2 K W/L.

    Args:
        p: parameters.
        kind: ``"nch"`` or ``"pch"``.
        width: W [m].
        length: L [m].
    """
    name = _polarity(kind)
    oxide = OXIDE_PERMITTIVITY / p["transistor.oxide_thickness"]
    transconductance = 2 * p[f"transistor.{name}_transconductance"] * width / length
    return float(p[f"transistor.{name}_flicker"] * oxide**2 * transconductance)


def _transistor(
    netlist: Netlist,
    p: Parameters,
    name: str,
    nodes: tuple[str, str, str],
    kind: str,
    width: float,
    length: float | None = None,
    rails: tuple[str, str] = ("0", "supply"),
) -> None:
    """Add a transistor with drain, gate and source, of the comparator's length unless given; bulks at the rails."""
    drain, gate, source = nodes
    length = p["comparator.length"] if length is None else length
    bulk = rails[0] if kind == "nch" else rails[1]
    area = _JUNCTION_LENGTH * width
    model = kind
    flicker = flicker_coefficient(p, kind, width, length) if netlist.flicker else 0.0
    if flicker:
        # KF goes with W/L, so that each transistor needs a card of its own.
        model = f"{kind}_{name}"
        netlist.circuit.model(model, _polarity(kind), kf=flicker, af=1, **_card(p, kind))
    netlist.circuit.M(
        name, drain, gate, source, bulk, model=model, width=width, length=length, drain_area=area, source_area=area
    )


def _mirror_width(p: Parameters, current: float) -> float:
    """Return the width of a PMOS current source of overdrive 0.15 V [m]."""
    return float(2 * current * p["comparator.length"] / (p["transistor.pmos_transconductance"] * 0.15**2))


def add_bias(netlist: Netlist, p: Parameters) -> None:
    """Add the reference that all columns share; its own supply current is not part of a column's energy."""
    current = p["comparator.tail_current"]
    netlist.voltage("bias_supply", "bias_supply", "0", p["supply.voltage"])
    width, length = _mirror_width(p, current), p["comparator.length"]
    netlist.circuit.M("bias", "bias", "bias", "bias_supply", "bias_supply", model="pch", width=width, length=length)
    netlist.current("bias", "bias", "0", current)


def add_comparator(
    netlist: Netlist,
    p: Parameters,
    plus: str,
    minus: str,
    out: str,
    own: str,
    threshold_errors: NDArray[np.float64],
) -> None:
    """Add a comparator whose output goes high when v(plus) exceeds v(minus).

    Args:
        netlist: where.
        p: parameters.
        plus: the ramp.
        minus: the column's voltage.
        out: the decision.
        own: suffix of its inner nodes.
        threshold_errors: errors of the input pair's and the load's threshold, each put on one of the two [V].
    """
    tail, mirror, first, second = (f"{node}{own}" for node in ("tail", "mirror", "first", "second"))
    current, output = p["comparator.tail_current"], p["comparator.output_current"]
    _transistor(netlist, p, f"tail{own}", (tail, "bias", "supply"), "pch", _mirror_width(p, current))
    # A threshold error in series with the gate is the same as one of the transistor.
    plus_gate, load_gate = f"plus_gate{own}", f"load_gate{own}"
    netlist.voltage(f"pair_error{own}", plus_gate, plus, float(threshold_errors[0]))
    netlist.voltage(f"load_error{own}", load_gate, mirror, float(threshold_errors[1]))
    width, load, load_length = (p[f"comparator.{name}"] for name in ("input_width", "load_width", "load_length"))
    _transistor(netlist, p, f"plus{own}", (first, plus_gate, tail), "pch", width)
    _transistor(netlist, p, f"minus{own}", (mirror, minus, tail), "pch", width)
    _transistor(netlist, p, f"diode{own}", (mirror, mirror, "0"), "nch", load, load_length)
    _transistor(netlist, p, f"load{own}", (first, load_gate, "0"), "nch", load, load_length)
    # The second stage is the load scaled to its current, so that the trip point has no systematic offset.
    _transistor(netlist, p, f"second{own}", (second, first, "0"), "nch", load * 2 * output / current, load_length)
    _transistor(netlist, p, f"source{own}", (second, "bias", "supply"), "pch", _mirror_width(p, output))
    # As the ramp rises above the column its side of the pair turns off: `first` falls, `second` rises.
    for stage, (entry, exit_) in enumerate(((second, f"inverted{own}"), (f"inverted{own}", out))):
        _transistor(netlist, p, f"n{stage}{own}", (exit_, entry, "0"), "nch", 0.3e-6)
        _transistor(netlist, p, f"p{stage}{own}", (exit_, entry, "supply"), "pch", 0.9e-6)
    netlist.capacitor(f"decide{own}", out, "0", p["comparator.load_capacitance"])


def add_ramp_source(netlist: Netlist, p: Parameters) -> None:
    """Add a cascoded PMOS current source into the node ``ramp``, with its reference branch, on its own supply."""
    current = p.ramp_current * (1 + p["adc.ramp_error"])
    netlist.voltage("ramp_supply", "ramp_supply", "0", p["supply.voltage"])
    width, length = _mirror_width(p, current), p["comparator.length"]

    def add(name: str, drain: str, gate: str, source: str) -> None:
        netlist.circuit.M(name, drain, gate, source, "ramp_supply", model="pch", width=width, length=length)

    # A wide-swing cascode: the bias of the cascode gates leaves 0.2 V across the current sources.
    cascode = p["supply.voltage"] - p["transistor.pmos_threshold"] - 0.15 - 0.2
    netlist.voltage("cascode", "cascode", "0", cascode)
    add("reference", "upper", "gate", "ramp_supply")
    add("reference_cascode", "gate", "cascode", "upper")
    netlist.current("ramp_reference", "gate", "0", current)
    add("ramp", "inner", "gate", "ramp_supply")
    add("ramp_cascode", "ramp", "cascode", "inner")


def add_amplifier_rails(netlist: Netlist, p: Parameters) -> None:
    """Add rails either side of mid-supply, and the references that all amplifiers share and no column pays for."""
    half, threshold = p["supply.voltage"] / 2, p["transistor.nmos_threshold"]
    netlist.voltage("vdd", "vdd", "0", half)
    netlist.voltage("vss", "vss", "0", -half)
    netlist.voltage("bias_rail", "bias_rail", "0", -half)
    current = p["amplifier.tail_current"]
    length = p["amplifier.length"]
    width = _width(p, "nch", current, p["amplifier.load_overdrive"])
    netlist.circuit.M("nbias", "nbias", "nbias", "bias_rail", "bias_rail", model="nch", width=width, length=length)
    netlist.current("nbias", "0", "nbias", current)
    # The pair's source sits at -(V_T + V_ov) below the input at mid-supply; each cascode leaves its margin.
    pair, load, margin = p["amplifier.input_overdrive"], p["amplifier.load_overdrive"], p["amplifier.margin"]
    source = -(threshold + pair)
    netlist.voltage("ncascode", "ncascode", "0", source + pair + margin + threshold + pair)
    netlist.voltage("pcascode", "pcascode", "0", half - load - margin - p["transistor.pmos_threshold"] - load)


def _width(p: Parameters, kind: str, current: float, overdrive: float) -> float:
    """Return the width at which a transistor of the amplifier carries a current [m]."""
    name = _polarity(kind)
    factor = p[f"transistor.{name}_transconductance"]
    return float(2 * current * p["amplifier.length"] / (factor * overdrive**2))


def add_telescopic_amplifier(netlist: Netlist, p: Parameters, plus: str, minus: str, out: str, own: str) -> None:
    """Add a telescopic cascode amplifier: NMOS pair and cascodes, wide-swing cascoded PMOS mirror, NMOS tail.

    Args:
        netlist: where; `add_amplifier_rails` has been called.
        p: parameters.
        plus: input that raises the output.
        minus: input that lowers it.
        out: the output.
        own: suffix of its inner nodes.
    """
    half = p["amplifier.tail_current"] / 2
    pair, load = p["amplifier.input_overdrive"], p["amplifier.load_overdrive"]
    tail, mirror = f"atail{own}", f"amirror{own}"

    def add(name: str, nodes: tuple[str, str, str], kind: str, width: float) -> None:
        _transistor(netlist, p, f"a{name}{own}", nodes, kind, width, p["amplifier.length"], ("vss", "vdd"))

    add("tail", (tail, "nbias", "vss"), "nch", _width(p, "nch", 2 * half, load))
    for side, (gate, drain) in enumerate(((plus, mirror), (minus, out))):
        lower, upper = f"alower{side}{own}", f"aupper{side}{own}"
        add(f"pair{side}", (lower, gate, tail), "nch", _width(p, "nch", half, pair))
        add(f"ncascode{side}", (drain, "ncascode", lower), "nch", _width(p, "nch", half, pair))
        add(f"pcascode{side}", (drain, "pcascode", upper), "pch", _width(p, "pch", half, load))
        add(f"load{side}", (upper, mirror, "vdd"), "pch", _width(p, "pch", half, load))
