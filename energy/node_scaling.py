"""Scaling between technology nodes, for the circuits where it is known: static digital CMOS.

Nothing is known of how SONOS cells, integrators, comparators or ramp generators of this kind scale, so those are
refused at another node unless their own values are given there.
"""

from __future__ import annotations

import tomllib
from functools import cache
from typing import Any

import numpy as np

from devicekit.common.paths import data_path
from energy.errors import EnergyError

SCALINGS = ("none", "digital_energy", "digital_area")
"""How a constant follows the node: not at all, as digital energy (and leakage) or as digital area."""


@cache
def _tables() -> dict[str, Any]:
    with data_path("components/node_scaling.toml").open("rb") as file:
        return tomllib.load(file)


def _at(node_nm: float, columns: list[float]) -> float:
    nodes = _tables()["node_nm"]
    if not nodes[0] <= node_nm <= nodes[-1]:
        raise EnergyError(f"Digital scaling is known from {nodes[0]} to {nodes[-1]} nm, but got {node_nm:g} nm.")
    return float(np.interp(node_nm, nodes, columns))


def scale_factor(scaling: str, from_nm: float, to_nm: float, from_v: float, to_v: float) -> float:
    """Return the factor of a constant between two nodes and supplies.

    Energy goes as ``a V^2 + b V + c`` with coefficients of the node, area as a table; both are interpolated linearly
    between nodes (Stillmaker & Baas 2017, doi 10.1016/j.vlsi.2017.02.002).

    Args:
        scaling: one of `SCALINGS`.
        from_nm: node of the constant [nm].
        to_nm: node wanted [nm].
        from_v: supply of the constant [V].
        to_v: supply wanted [V].

    Raises:
        EnergyError: a node outside the tables.
    """
    if scaling == "none":
        return 1.0
    tables = _tables()
    if scaling == "digital_area":
        return _at(to_nm, tables["area"]) / _at(from_nm, tables["area"])

    def energy(node_nm: float, volts: float) -> float:
        a, b, c = (_at(node_nm, list(column)) for column in zip(*tables["energy"], strict=True))
        return a * volts**2 + b * volts + c

    return energy(to_nm, to_v) / energy(from_nm, from_v)
