"""The circuits' part of a study: the bit line confirmed in ngspice, how far its models hold, what stands around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from circuits import CoreDesign, confirm_bit_line, load_peripherals, peripheral_names
from circuits.bit_line.line_errors import BitLinePoint, Pairing, bit_line_errors, pairing_of
from reports.cache import ResultCache, code_hash
from reports.results import LineError, PeripheralSummary, SpiceCheck
from reports.table import in_prefix, significant

RESISTANCES = (1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4)
"""Normalised wire resistances of the error map."""
ACTIVITY = 0.5
# Mean conductance over both cells of a pair, and of offset cells: the published averages (design notes, section 5).
MEAN_CONDUCTANCE: dict[Pairing, float] = {"differential": 0.02, "offset": 0.5}
_COLUMNS, _PATTERNS = 8, 32


def confirm_spice() -> SpiceCheck:
    """Run the bit line in ngspice, or take the recorded values where there is no ngspice."""
    found = confirm_bit_line()
    note = "There is no ngspice on this machine; these values were recorded when the package was made."
    return SpiceCheck(
        simulator=f"ngspice {found.ngspice_version}",
        cells=found.cells,
        relative_difference=found.relative_difference,
        recorded=found.recorded,
        note=note if found.recorded else "",
    )


def line_errors(designs: Sequence[CoreDesign], cache: ResultCache, seed: int) -> tuple[LineError, ...]:
    """Return how wrong each model of a bit line is on the arrays of each design, over wire resistance.

    Lines of the same length and kind are solved once. What is exact is the transistor cell, solved by Newton's method.

    Args:
        designs: the core designs.
        cache: earlier results.
        seed: of cells and inputs.
    """
    errors = []
    for rows, pairing in dict.fromkeys((design.rows_per_array, pairing_of(design)) for design in designs):
        names = [design.name for design in designs if (design.rows_per_array, pairing_of(design)) == (rows, pairing)]
        inputs = {"rows": rows, "pairing": pairing, "seed": seed, "code": code_hash(("devicekit", "circuits"))}
        known = cache.get("wires", inputs)
        if known is None:
            known = {"entries": _solve(rows, pairing, seed)}
            cache.put("wires", inputs, known)
        errors += [LineError(designs=tuple(names), **entry) for entry in known["entries"]]
    return tuple(errors)


def _solve(rows: int, pairing: Pairing, seed: int) -> list[dict[str, Any]]:
    entries = []
    mean = MEAN_CONDUCTANCE[pairing]
    for r_p_hat in RESISTANCES:
        point = BitLinePoint(rows, r_p_hat, ACTIVITY, mean, pairing)
        table = bit_line_errors(point, columns=_COLUMNS, patterns=_PATTERNS, seed=seed)
        for row in table.to_dict(orient="records"):
            found = {
                "rows": rows,
                "pairing": pairing,
                "mean_conductance": mean,
                "r_p_hat": r_p_hat,
                "model": str(row["model"]),
                "line_error": abs(float(row["line_error"])),
                "error_lsb": float(row["error_lsb"]),
                "error_lsb_gain_removed": float(row["error_lsb_gain_removed"]),
            }
            assert all(math.isfinite(value) for value in found.values() if isinstance(value, float))
            entries.append(found)
    return entries


def peripheral_summary(technology: str) -> PeripheralSummary | None:
    """Return the recorded characterisation of the circuits around an array; None where there is none for a technology.

    Args:
        technology: the cell's technology, whose name the characterisation bears.
    """
    if technology not in peripheral_names():
        return None
    model = load_peripherals(technology)
    figures = [
        ("gain, mean over columns", significant(model.gain, 4), ""),
        ("gain, spread over columns", significant(100 * model.gain_sigma, 2), "%"),
        ("offset, spread over columns", significant(model.offset_sigma_lsb, 3), "LSB"),
        ("noise of one conversion, rms", significant(model.noise_lsb, 2), "LSB"),
        ("random bit patterns, bits in powers of two, rms", significant(model.pattern_scatter_lsb, 2), "LSB"),
        ("random bit patterns, bits as the circuit weighs them, rms", significant(model.pattern_lsb, 2), "LSB"),
        ("largest integral non-linearity", significant(max(map(abs, model.inl_lsb)), 2), "LSB"),
    ]
    for name, constant in model.energy.items():
        value, unit, _ = in_prefix(constant.value, constant.unit, digits=3)
        figures.append((f"energy of a conversion, {name.replace('_', ' ')}", value, unit))
    return PeripheralSummary(
        name=model.name,
        kind=model.kind,
        source=model.source,
        adc_bits=model.adc_bits,
        inl_lsb=tuple(model.inl_lsb),
        figures=tuple(figures),
    )
