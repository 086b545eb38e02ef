"""A whole array of resistor cells by Kirchhoff's current law at every node of every line, with a dense solver."""

from __future__ import annotations

import numpy as np


def solve_array(
    conductance: np.ndarray, on: np.ndarray, r_p_hat: float, r_in_hat: float, r_s_hat: float, feed: str
) -> np.ndarray:
    """Currents into the virtual grounds of one input pattern.

    Each cell lies between a node of its bit line and a node of the line at its other end. A resistance of 0 joins its
    two nodes, which are one unknown then.

    Args:
        conductance: (rows, columns).
        on: (rows,) bool.
        r_p_hat: between nodes of a bit line; once more behind the last.
        r_in_hat: behind that.
        r_s_hat: between nodes of the other line; once more to where it is fed.
        feed: "readout", "far" or "rows".

    Returns:
        (columns,), in units of a full cell.
    """
    rows, columns = conductance.shape
    names: dict[tuple, tuple] = {}

    def root(node: tuple) -> tuple:
        while node in names:
            node = names[node]
        return node

    branches = []

    def branch(first: tuple, second: tuple, resistance: float) -> None:
        if resistance > 0:
            branches.append((first, second, 1 / resistance))
        elif root(first) != root(second):
            # What is fixed stays: ground and drive have no other name.
            low, high = sorted((root(first), root(second)), key=lambda node: node[0] != "fixed")
            names[high] = low

    ground, drive = ("fixed", 0), ("fixed", 1)
    for c in range(columns):
        for r in range(rows):
            branch(("bit", r, c), ("bit", r + 1, c), r_p_hat)
            towards = {
                "readout": ("fed", r + 1, c) if r + 1 < rows else drive,
                "far": ("fed", r - 1, c) if r else drive,
                "rows": ("fed", r, c - 1) if c else drive,
            }[feed]
            branch(("fed", r, c), towards, r_s_hat)
            if on[r] and conductance[r, c] > 0:
                branches.append((("bit", r, c), ("fed", r, c), float(conductance[r, c])))
        branch(("bit", rows, c), ("in", c), r_in_hat)
        branch(("in", c), ground, 0.0)
    nodes = sorted({root(node) for ends in branches for node in ends[:2]} - {ground, drive})
    place = {node: k for k, node in enumerate(nodes)}
    matrix, source = np.zeros((len(nodes), len(nodes))), np.zeros(len(nodes))
    for first, second, y in branches:
        one, other = root(first), root(second)
        for own, far in ((one, other), (other, one)):
            if own in place:
                matrix[place[own], place[own]] += y
                if far in place:
                    matrix[place[own], place[far]] -= y
                elif far == drive:
                    source[place[own]] += y
    volts = np.linalg.solve(matrix, source) if nodes else np.zeros(0)

    def voltage(node: tuple) -> float:
        own = root(node)
        return volts[place[own]] if own in place else float(own[1])

    # The current of a column is that of its cells: what goes in at the other end comes out at the virtual ground.
    return np.array(
        [
            sum(
                conductance[r, c] * (voltage(("fed", r, c)) - voltage(("bit", r, c)))
                for r in range(rows)
                if on[r] and conductance[r, c] > 0
            )
            for c in range(columns)
        ]
    )
