"""The wires' part of a study: how wrong each model of a bit line is on the arrays of its designs."""

from __future__ import annotations

from collections.abc import Sequence

from circuits import BitLinePoint, CoreDesign, bit_line_errors
from circuits.bit_line.line_errors import Pairing, pairing_of
from devicekit.common.plain import plain
from reports.cache import ResultCache, code_hash
from reports.results import Values

RESISTANCES = (1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4)
"""Normalised wire resistances of the error map."""
ACTIVITY = 0.5
# Mean conductance over both cells of a pair, and of offset cells: the published averages (design notes, section 5).
MEAN_CONDUCTANCE: dict[Pairing, float] = {"differential": 0.02, "offset": 0.5}
_COLUMNS, _PATTERNS = 8, 32


def line_errors(designs: Sequence[CoreDesign], cache: ResultCache, seed: int) -> list[Values]:
    """Return how wrong each model of a bit line is on the arrays of each design, over wire resistance.

    Lines of the same length and kind are solved once. What is exact is the transistor cell, solved by Newton's method.

    Args:
        designs: the core designs.
        cache: earlier results.
        seed: of cells and inputs.

    Returns:
        The rows of `bit_line_errors` as plain values, each with the names of the ``designs`` it holds for.
    """
    kinds: dict[tuple[int, Pairing], list[str]] = {}
    for design in designs:
        kinds.setdefault((design.rows_per_array, pairing_of(design)), []).append(design.name)
    errors: list[Values] = []
    for (rows, pairing), names in kinds.items():
        inputs = {"rows": rows, "pairing": pairing, "seed": seed, "code": code_hash()}
        known = cache.get("wires", inputs)
        if known is None:
            known = {"entries": _solve(rows, pairing, seed)}
            cache.put("wires", inputs, known)
        errors += [{"designs": names, **entry} for entry in known["entries"]]
    return errors


def _solve(rows: int, pairing: Pairing, seed: int) -> list[Values]:
    entries: list[Values] = []
    mean = MEAN_CONDUCTANCE[pairing]
    for r_p_hat in RESISTANCES:
        point = BitLinePoint(rows, r_p_hat, ACTIVITY, mean, pairing)
        entries += plain(bit_line_errors(point, columns=_COLUMNS, patterns=_PATTERNS, seed=seed))
    return entries
