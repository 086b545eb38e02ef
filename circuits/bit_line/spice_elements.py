"""Netlist lines of the transistors that follow the EKV law, n-channel or mirrored."""

from __future__ import annotations

from circuits.bit_line.transistor_cell import TransistorCell


def select_element(base: TransistorCell, name: str, drain: str, source: str, sign: int = 1) -> str:
    """Return the netlist line of the select transistor of a selected row.

    Args:
        base: the cell it belongs to.
        name: unique part of the element's name.
        drain: node.
        source: node.
        sign: -1 for a p-channel cell, all of whose voltages and currents have the other sign.
    """
    slope = base.select_source_slope * base.thermal_voltage
    return ekv_element(name, drain, source, base.select_specific_current, slope, base.select_pinch_off, sign)


def ekv_element(
    name: str, drain: str, source: str, current: float, slope_voltage: float, p: float, sign: int = 1
) -> str:
    """Return a behavioural current source that follows the EKV law of `circuits.transistor_cell`.

    Args:
        name: unique part of the element's name.
        drain: node.
        source: node.
        current: specific current [A].
        slope_voltage: source slope times U_T [V].
        p: pinch-off in units of U_T.
        sign: as for `select_element`.
    """
    scale, half = 0.5 / slope_voltage, 0.5 * float(p)
    minus = "-" if sign > 0 else "+"
    forward, reverse = (
        f"ln(1+exp({half!r}{minus}{scale!r}*{'0' if node == '0' else f'v({node})'}))" for node in (source, drain)
    )
    return f"b{name} {drain} {source} i={sign * current!r}*({forward}^2-{reverse}^2)"
