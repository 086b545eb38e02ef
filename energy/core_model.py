"""The one evaluation of a core's formulas, for one design and for 100 000: designs in, every quantity out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from circuits import Activity, CoreDesign, LineCurrents, NetworkStatistics, WeightCode, assumed_line_currents
from circuits.adc_kinds import adc_kind_names
from circuits.designs import SIZE_FIELDS
from devicekit import Cell
from energy.adc_formulas import flag
from energy.errors import EnergyError
from energy.expressions import Array
from energy.library import Library
from energy.statistics import mean_states

Values = dict[str, Array]

NO_SPREAD = {"energy_spread": 0, "area_spread": 0}
"""Of designs whose structural error is not asked for, see `energy.structural_error`."""


def weight_values(design: CoreDesign) -> dict[str, Any]:
    """Return what the formulas read of how weights are stored and converted; lists for what differs between slices."""
    code = design.weight_code
    return {
        "weight_bits": design.weight_bits,
        "cell_bits": design.cell_bits,
        "bias_rows": design.bias_rows,
        "slices": code.slices,
        "lines_per_column": code.lines,
        "offset": int(code.offset != 0),
        "unit_column": int(code.unit_column),
        "digital_subtraction": int(design.subtraction == "digital"),
        "flipped": int(design.flipped_encoding),
        "has_adc": int(design.adc_bits is not None),
        "adc_bits": list(design.adc_bits_per_slice) or [0] * code.slices,
        "slice_valid": [1] * code.slices,
    }


def input_values(design: CoreDesign) -> dict[str, Any]:
    """Return what the formulas read of how inputs are applied; a list for what differs between input slices."""
    return {
        "input_bits": design.input_bits or 0,
        "input_slice_bits": design.input_slice_bits,
        "input_resolution": design.input_bits or math.inf,
        "accumulator_resolution": design.accumulator_bits or math.inf,
        "digital_inputs": int(design.input_accumulation == "digital"),
        "pulse_width": int(design.input_encoding == "pulse_width"),
        "voltage_inputs": int(design.input_encoding == "voltage"),
        "input_slice_width": input_widths(design.input_bits or 0, design.input_slice_bits),
    }


def size_values(design: CoreDesign) -> dict[str, Any]:
    """Return what the formulas read of a design's size."""
    return {name: getattr(design, name) for name in SIZE_FIELDS}


def range_values(design: CoreDesign) -> dict[str, int]:
    """Return what the formulas read of the range that is converted."""
    return {"calibrated_range": int(design.range_from_data)}


def adc_values(adc: str) -> dict[str, int]:
    """Return what the formulas read of the kind of ADC: a flag for each kind there is."""
    return {flag(kind): int(adc == kind) for kind in adc_kind_names()}


def field_values(design: CoreDesign, adc: str) -> dict[str, Any]:
    """Return what the formulas read of one design: numbers, and a list for what differs between slices."""
    return weight_values(design) | input_values(design) | size_values(design) | range_values(design) | adc_values(adc)


def input_widths(input_bits: int, slice_bits: int) -> list[int]:
    """Return the bits of each input slice, least significant first; the last takes the rest.

    An input that is not quantised is one slice of one unit time.
    """
    if input_bits == 0:
        return [1]
    full, rest = divmod(input_bits, slice_bits)
    return [slice_bits] * full + ([rest] if rest else [])


def default_activity(design: CoreDesign, library: Library, aged: Cell | None = None) -> Activity:
    """Return the activity of a design where none is measured, from the library's statistics.

    Args:
        design: the design.
        library: gives the activity of an input bit, the mean magnitude of weights and the on/off ratio.
        aged: the cell where it is read at another time or temperature than it was programmed at.
    """
    widths = input_widths(design.input_bits or 0, design.input_slice_bits)
    conductance = default_conductance(design.weight_code, library, aged=aged)[0]
    return Activity(
        conductance,
        np.full(len(widths), library.in_si("activity.per_bit")),
        source="the library's statistics (activity.per_bit, activity.mean_magnitude)",
        most=max(1.0, float(conductance.max())),
        lines=default_line_currents(design, library),
    )


def default_line_currents(design: CoreDesign, library: Library) -> LineCurrents:
    """Return the line currents of a design where none are measured, from the library's statistics and cell.

    Args:
        design: the design.
        library: gives the statistics, and the current and on/off ratio of a cell.
    """
    statistics = NetworkStatistics(
        min(library.in_si("activity.per_bit"), 1.0),
        min(library.in_si("activity.mean_magnitude"), 1.0),
        "the library's statistics (activity.per_bit, activity.mean_magnitude)",
    )
    return assumed_line_currents(design, statistics=statistics, i_max=library.in_si("cell.i_max"))


_OF_CONDUCTANCE = ("activity.mean_magnitude", "cell.off_on_ratio")


def default_conductance(
    code: WeightCode, library: Library, draws: Mapping[str, Array] | None = None, aged: Cell | None = None
) -> Array:
    """Return the mean conductance of each slice where none is measured, in units of G_max.

    Args:
        code: how weights are stored.
        library: gives the mean magnitude of weights and the on/off ratio.
        draws: draws (draws,) of constants by name, which replace the library's.
        aged: the cell where it is read at another time or temperature than it was programmed at.

    Returns:
        Shape (draws, slices), one row where neither constant is drawn; see `energy.statistics.mean_states`.
    """
    mean_magnitude, g_min = (
        np.atleast_1d(draws[name] if draws and name in draws else np.float64(library.in_si(name)))[:, None]
        for name in _OF_CONDUCTANCE
    )
    return np.asarray(g_min + (1 - g_min) * mean_states(code, mean_magnitude, aged))


def default_draws(
    designs: Sequence[CoreDesign], library: Library, arrays: Values, draws: Values, aged: Cell | None = None
) -> Values:
    """Return the design arrays with the default activity drawn as well: it is as uncertain as its statistics.

    Args:
        designs: the designs, none with a measured activity.
        library: the library.
        arrays: `design_arrays` of them.
        draws: draws of constants by name, shape (draws,).
        aged: see `default_conductance`.
    """
    drawn = dict(arrays)
    if any(name in draws for name in _OF_CONDUCTANCE):
        slices = arrays["mean_conductance"].shape[-1]
        rows = [default_conductance(design.weight_code, library, draws, aged) for design in designs]
        drawn["mean_conductance"] = np.stack([np.pad(row, ((0, 0), (0, slices - row.shape[1]))) for row in rows])
    if "activity.per_bit" in draws:
        valid = arrays["input_slice_width"] > 0
        drawn["input_activity"] = np.minimum(draws["activity.per_bit"], 1.0)[None, :, None] * valid
    return drawn


def check_activity(design: CoreDesign, activity: Activity) -> None:
    """Refuse an activity of another design.

    Raises:
        EnergyError: it has not one conductance a weight slice, or not one activity an input slice.
    """
    for name, got, wanted in (
        ("mean_conductance", len(activity.mean_conductance), design.slices),
        ("input_activity", len(activity.input_activity), design.input_slices),
    ):
        if got != wanted:
            raise EnergyError(
                f"Design {design.name!r}: expected `{name}` of the activity to have {wanted} entries, one a slice, "
                f"but got {got}."
            )


def stacked(columns: Sequence[Sequence[float]] | Sequence[float]) -> Array:
    """Return values as (designs, 1, slices), shorter lists filled with 0."""
    if all(isinstance(column, int | float) for column in columns):
        return np.array(columns, dtype=np.float64)[:, None, None]
    rows = [np.atleast_1d(np.asarray(column, dtype=np.float64)) for column in columns]
    width = max(row.size for row in rows)
    result = np.zeros((len(rows), 1, width))
    for index, row in enumerate(rows):
        result[index, 0, : row.size] = row
    return result


def constants(library: Library, draws: dict[str, Array] | None = None) -> Values:
    """Return the library's constants as arrays for the formulas: their values, or draws of shape (1, draws, 1).

    Args:
        library: the library.
        draws: by name, shape (draws,); constants without draws keep their value.
    """
    values: Values = {name: np.float64(value) * np.ones((1, 1, 1)) for name, value in library.si.items()}
    for name, draw in (draws or {}).items():
        values[name] = draw[None, :, None]
    return values


def design_arrays(designs: Sequence[CoreDesign], activities: Sequence[Activity], adcs: Sequence[str]) -> Values:
    """Return every field of the formulas as an array (designs, 1, slices or 1).

    Args:
        designs: the designs.
        activities: one a design.
        adcs: kind of ADC of each design.
    """
    rows = [field_values(design, adc) for design, adc in zip(designs, adcs, strict=True)]
    for row, activity in zip(rows, activities, strict=True):
        row["mean_conductance"] = activity.mean_conductance
        row["input_activity"] = activity.input_activity
        row |= NO_SPREAD
    return {name: stacked([row[name] for row in rows]) for name in rows[0]}


def evaluate(library: Library, arrays: Values, draws: dict[str, Array] | None = None) -> Values:
    """Return every quantity of every design.

    Args:
        library: components and constants.
        arrays: `design_arrays`, or the same made by a sweep.
        draws: draws of constants, see `constants`.

    Returns:
        Arrays broadcastable to (designs, draws, slices) by name.
    """
    return library.formulas.evaluate({**constants(library, draws), **arrays})
