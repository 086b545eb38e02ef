"""Many designs at once: a data frame in, a data frame out, through the same formulas as one design."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from circuits import CoreDesign
from circuits.designs import NegativeWeights, design_from_mapping
from devicekit.common.errors import DesignError, unknown_name
from energy.core_cost import with_structure
from energy.core_formulas import COUNT_COLUMNS
from energy.core_model import ADCS, Values, constants, default_conductance
from energy.errors import EnergyError
from energy.expressions import Array
from energy.formulas import needed
from energy.library import Library
from energy.library_files import load_library
from energy.uncertainty import draw_constants

DEFAULTS: Mapping[str, Any] = {
    field.name: field.default for field in dataclasses.fields(CoreDesign) if field.name != "name"
} | {"adc": "ramp"}
"""Columns of a sweep and what a design has where a column is absent."""

_CHUNK = 4096
_NEGATIVE: tuple[NegativeWeights, ...] = get_args(NegativeWeights)
_TEXTS = {
    "negative_weights": _NEGATIVE,
    "subtraction": ("analog", "digital"),
    "weight_scale": ("layer", "column", "given"),
    "input_accumulation": ("analog", "digital"),
    "input_encoding": ("bit_serial", "voltage", "pulse_width"),
    "adc_range": ("calibrated", "full"),
    "adc": ADCS,
}
_INTEGERS = ("matrix_rows", "matrix_columns", "weight_bits", "max_rows")
_OPTIONAL = ("bits_per_cell", "input_bits", "bits_per_input_slice", "accumulator_bits")

Column = NDArray[Any]


def estimate_designs(
    designs: pd.DataFrame,
    library: str | Path | Library = "sonos_40nm",
    cell: Any = None,
    *,
    structure: str | None = None,
    intervals: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Return what many cores cost; the numbers are those of `estimate_core`, one by one.

    Args:
        designs: one row a design; columns are fields of `CoreDesign` and ``adc``, absent ones have its defaults, an
            empty cell (None, NaN) stands for none. ``adc_bits`` may hold a tuple, one number a slice.
        library: name, path or library of components.
        cell: a `devicekit.Cell` whose read current and voltage replace the library's.
        structure: a structural alternative.
        intervals: add the 95 % interval of energy and area (columns ``_low``, ``_high``); takes about a hundred times
            longer.
        seed: seed of the draws behind the intervals.

    Returns:
        Results and counts, in the order and with the index of `designs`.

    Raises:
        DesignError: an unknown column, or an impossible design; the message names the row.
        EnergyError: unknown library, structure or converter, or a cell of another technology.
    """
    loaded = load_library(library)
    if structure is not None:
        loaded = with_structure(loaded, structure)
    if cell is not None:
        loaded = loaded.with_cell(cell)
    columns = _columns(designs)
    _refuse(columns, designs)
    kinds = _kinds_of_weights(columns)
    conductance = _conductance(kinds, loaded)
    wanted = [*(formula.name for formula in loaded.results), *COUNT_COLUMNS]
    formulas, names = needed(loaded.formulas, wanted)
    fixed = {name: value for name, value in constants(loaded).items() if name in names}
    parts = []
    for chunk in _chunks(columns, _CHUNK):
        arrays = {name: value for name, value in _arrays(chunk, loaded, conductance).items() if name in names}
        values = formulas.evaluate({**fixed, **arrays})
        size = len(chunk["matrix_rows"])
        parts.append({name: np.broadcast_to(values[name][:, 0, 0], size) for name in wanted})
    table = pd.DataFrame({name: _joined([part[name] for part in parts]) for name in wanted}, index=designs.index)
    if intervals:
        for name, (low, high) in _intervals(columns, kinds, loaded, seed).items():
            table[f"{name}_low"], table[f"{name}_high"] = low, high
    return table


def _joined(parts: Sequence[Array]) -> Array:
    return np.concatenate(parts) if parts else np.zeros(0)


def _chunks(columns: Mapping[str, Column], size: int) -> Iterator[dict[str, Column]]:
    count = len(columns["matrix_rows"])
    for start in range(0, count, size):
        yield {name: column[start : start + size] for name, column in columns.items()}


def _intervals(
    columns: Mapping[str, Column], kinds: Sequence[tuple[int, int, int]], library: Library, seed: int
) -> dict[str, tuple[Array, Array]]:
    """Return low and high of energy and area for every design, with the draws of `estimate_core`."""
    results = ("energy_fj_per_op", "area_mm2")
    formulas, names = needed(library.formulas, results)
    draws = draw_constants(library, seed=seed)
    conductance = _conductance(kinds, library, draws)
    fixed = {name: value for name, value in constants(library, draws).items() if name in names}
    found: dict[str, list[Array]] = {name: [] for name in results}
    for chunk in _chunks(columns, 128):
        arrays = {name: value for name, value in _arrays(chunk, library, conductance, draws).items() if name in names}
        values = formulas.evaluate({**fixed, **arrays})
        for name in results:
            drawn = np.broadcast_to(values[name][:, :, 0], (len(chunk["matrix_rows"]), values[name].shape[1]))
            found[name].append(np.quantile(drawn, [0.025, 0.975], axis=1))
    joined = {name: np.concatenate(parts, axis=1) if parts else np.zeros((2, 0)) for name, parts in found.items()}
    return {name: (pair[0], pair[1]) for name, pair in joined.items()}


# -- columns of fields ------------------------------------------------------------------------------------------------


def _columns(designs: pd.DataFrame) -> dict[str, Column]:
    """Return every field as an array: codes for texts, numbers with NaN for none, tuples for sliced converters."""
    for name in designs.columns:
        if name not in DEFAULTS and name != "name":
            raise DesignError(unknown_name("column", str(name), DEFAULTS))
    size = len(designs)
    columns: dict[str, Column] = {}
    for name, default in DEFAULTS.items():
        given = designs[name] if name in designs.columns else None
        if name in _TEXTS:
            known = list(_TEXTS[name])
            if given is None:
                columns[name] = np.full(size, known.index(default))
            else:
                codes, texts = pd.factorize(given)
                places = np.array([known.index(text) if text in known else -1 for text in texts] or [-1])
                columns[name] = np.where(codes < 0, -1, places[codes])
        elif name == "adc_bits":
            columns |= _adc_columns(given, default, size)
        elif given is None:
            columns[name] = np.full(size, np.nan if default is None else float(default))
        else:
            numbers = pd.to_numeric(given, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
            # What is there but no number must not pass for none.
            columns[name] = np.where(np.isnan(numbers) & given.notna().to_numpy(), -1.0, numbers)
    return columns


def _adc_columns(given: pd.Series | None, default: int, size: int) -> dict[str, Column]:
    """Return the converters' bits: one number (NaN for none), and a table row for those with one a slice."""
    single = np.full(size, float(default))
    sliced: Column = np.full(size, -1)
    table: list[tuple[int, ...]] = []
    if given is not None:
        numbers = pd.to_numeric(given, errors="coerce") if given.dtype == object else given
        single = numbers.to_numpy(dtype=np.float64, na_value=np.nan).copy()
        if given.dtype == object:
            for index, value in enumerate(given):
                if isinstance(value, tuple | list):
                    sliced[index] = len(table)
                    table.append(tuple(value))
                    single[index] = np.nan
                elif single[index] != single[index] and not (value is None or value != value):
                    single[index] = -1.0
    rows = np.empty(size, dtype=object)
    for position in np.flatnonzero(sliced >= 0):
        rows[position] = table[sliced[position]]
    return {"adc_bits": single, "adc_rows": rows}


def _sliced(columns: Mapping[str, Column]) -> list[int]:
    """Return the rows whose converters differ between slices."""
    return [index for index, row in enumerate(columns["adc_rows"]) if row is not None]


def _derived(columns: Mapping[str, Column]) -> dict[str, Column]:
    negative = columns["negative_weights"]
    offset = (negative == 1) | (negative == 2)
    complement = (negative == 3) | (negative == 4)
    magnitude = columns["weight_bits"] - np.where(offset, 0, 1)
    cell_bits = np.where(np.isnan(columns["bits_per_cell"]), magnitude, columns["bits_per_cell"])
    input_bits = np.nan_to_num(columns["input_bits"], nan=0.0)
    slice_bits = np.where(np.isnan(columns["bits_per_input_slice"]), input_bits, columns["bits_per_input_slice"])
    with np.errstate(divide="ignore", invalid="ignore"):
        slices = complement + np.ceil(magnitude / cell_bits)
    return {
        "offset": offset,
        "complement": complement,
        "magnitude": magnitude,
        "cell_bits": cell_bits,
        "input_bits": input_bits,
        "input_slice_bits": np.where(input_bits == 0, 0.0, slice_bits),
        "slices": slices,
    }


def _refuse(columns: Mapping[str, Column], designs: pd.DataFrame) -> None:
    """Refuse the first impossible design, in the words of `CoreDesign`."""
    own = _derived(columns)
    bad = np.zeros(len(designs), dtype=bool)
    for name in _TEXTS:
        bad |= columns[name] < 0
    for name in _INTEGERS:
        bad |= ~((columns[name] >= 1) & (columns[name] % 1 == 0))
    for name in _OPTIONAL:
        bad |= ~(np.isnan(columns[name]) | ((columns[name] >= 1) & (columns[name] % 1 == 0)))
    bad |= (columns["weight_bits"] < 2) | (columns["weight_bits"] > 16) | (own["input_bits"] > 16)
    bad |= own["cell_bits"] > own["magnitude"]
    bad |= ~(np.isfinite(columns["r_p_hat"]) & (columns["r_p_hat"] >= 0))
    adc = columns["adc_bits"]
    bad |= ~(np.isnan(adc) | ((adc >= 1) & (adc <= 24) & (adc % 1 == 0)))
    for index in _sliced(columns):
        row = columns["adc_rows"][index]
        fits = all(not isinstance(b, bool) and isinstance(b, int | np.integer) and 1 <= b <= 24 for b in row)
        bad[index] |= not fits or len(row) != own["slices"][index]
    digital = columns["input_accumulation"] == 1
    bad |= (columns["subtraction"] == 1) & (columns["negative_weights"] != 0)
    flipped = columns["flipped_encoding"]
    bad |= ~((flipped == 0) | (flipped == 1)) | ((flipped == 1) & (columns["negative_weights"] == 0))
    bad |= (own["input_bits"] == 0) & digital
    given_slice = ~np.isnan(columns["bits_per_input_slice"])
    bad |= given_slice & (own["input_bits"] > 0) & (columns["bits_per_input_slice"] > own["input_bits"])
    bad |= ~np.isnan(columns["accumulator_bits"]) & digital
    wired = columns["r_p_hat"] > 0
    bad |= wired & (columns["input_encoding"] == 1)
    bad |= wired & (columns["input_encoding"] == 0) & (own["input_slice_bits"] != 1)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        label = designs.index[first]
        if columns["adc"][first] < 0:
            raise EnergyError(f"Row {label}: " + unknown_name("ADC", str(designs["adc"].iloc[first]), ADCS))
        try:
            design_from_mapping({"name": f"row {label}"} | design_fields(designs.iloc[first]))
        except DesignError as error:
            raise DesignError(f"Row {label}: {error}") from None
        raise AssertionError(f"row {label} is refused by the sweep alone")


def design_fields(row: pd.Series) -> dict[str, Any]:
    """Return one row of a sweep as fields of `CoreDesign`: whole numbers as integers, an empty cell as None.

    Args:
        row: the row; ``adc`` and ``name`` are left out.
    """
    fields: dict[str, Any] = {}
    for name, value in row.items():
        if name in ("adc", "name"):
            continue
        if isinstance(value, tuple | list):
            fields[str(name)] = tuple(int(entry) for entry in value)
        elif value is None or value != value:
            fields[str(name)] = None
        elif name == "flipped_encoding":
            fields[str(name)] = bool(value)
        elif isinstance(value, float | np.floating) and name != "r_p_hat" and float(value).is_integer():
            fields[str(name)] = int(value)
        else:
            fields[str(name)] = value.item() if isinstance(value, np.generic) else value
    return fields


def _arrays(
    columns: Mapping[str, Column], library: Library, conductance: Array, draws: Mapping[str, Array] | None = None
) -> Values:
    """Return what the formulas read, (designs, 1 or draws, slices or 1): `core_model.design_arrays` for columns."""
    own = _derived(columns)
    size = len(own["slices"])
    widest = int(own["slices"].max())
    valid = np.arange(widest) < own["slices"][:, None]
    adc = np.nan_to_num(columns["adc_bits"], nan=0.0)
    adc_bits = valid * adc[:, None]
    has_adc = adc > 0
    for index in _sliced(columns):
        adc_bits[index, : int(own["slices"][index])] = columns["adc_rows"][index]
        has_adc[index] = True
    input_bits, slice_bits = own["input_bits"], own["input_slice_bits"]
    longest = int(np.ceil(input_bits / np.maximum(slice_bits, 1)).max())
    steps = np.arange(max(longest, 1))
    left = input_bits[:, None] - steps * slice_bits[:, None]
    widths = np.asarray(np.clip(left, 0, slice_bits[:, None]), dtype=np.float64)
    widths[input_bits == 0, 0] = 1
    encoding, converter = columns["input_encoding"], columns["adc"]
    per_bit = np.atleast_1d((draws or {}).get("activity.per_bit", np.array([library.si["activity.per_bit"]])))
    flat = {
        "matrix_rows": columns["matrix_rows"],
        "matrix_columns": columns["matrix_columns"],
        "weight_bits": columns["weight_bits"],
        "cell_bits": own["cell_bits"],
        "max_rows": columns["max_rows"],
        "input_bits": input_bits,
        "input_slice_bits": slice_bits,
        "input_resolution": np.where(input_bits > 0, input_bits, np.inf),
        "accumulator_resolution": np.nan_to_num(columns["accumulator_bits"], nan=np.inf),
        "differential": columns["negative_weights"] == 0,
        "offset": own["offset"],
        "complement": own["complement"],
        "unit_column": columns["negative_weights"] == 2,
        "digital_subtraction": columns["subtraction"] == 1,
        "digital_inputs": columns["input_accumulation"] == 1,
        "flipped": columns["flipped_encoding"],
        "pulse_width": encoding == 2,
        "voltage_inputs": encoding == 1,
        "has_adc": has_adc,
        "ramp_adc": converter == 0,
        "sar_adc": converter == 1,
        "flash_adc": converter == 2,
    }
    arrays: dict[str, Array] = {}
    for name, value in flat.items():
        arrays[name] = np.asarray(value, dtype=np.float64).reshape(size, 1, 1)
    arrays["adc_bits"] = adc_bits[:, None, :]
    arrays["slice_valid"] = valid[:, None, :].astype(np.float64)
    arrays["input_slice_width"] = widths[:, None, :]
    arrays["input_activity"] = np.minimum(per_bit, 1.0)[None, :, None] * (widths[:, None, :] > 0)
    arrays["mean_conductance"] = conductance[columns["kind_of_weights"], :, :widest]
    return arrays


def _kinds_of_weights(columns: dict[str, Column]) -> list[tuple[int, int, int]]:
    """Add a column that numbers the ways in which weights are stored; return them: mapping, weight and cell bits."""
    own = _derived(columns)
    key = (columns["negative_weights"] * 100 + columns["weight_bits"]) * 100 + own["cell_bits"]
    found, columns["kind_of_weights"] = np.unique(key.astype(np.int64), return_inverse=True)
    return [(int(k) // 10_000, int(k) // 100 % 100, int(k) % 100) for k in found]


def _conductance(
    kinds: Sequence[tuple[int, int, int]], library: Library, draws: Mapping[str, Array] | None = None
) -> Array:
    """Return the default mean conductance of each way in which weights are stored, (kinds, 1 or draws, slices)."""
    rows = []
    for negative, weight_bits, cell_bits in kinds:
        design = CoreDesign(negative_weights=_NEGATIVE[negative], weight_bits=weight_bits, bits_per_cell=cell_bits)
        rows.append(default_conductance(design, library, draws))
    widest = max((row.shape[1] for row in rows), default=1)
    table = np.zeros((len(rows), rows[0].shape[0] if rows else 1, widest))
    for index, row in enumerate(rows):
        table[index, :, : row.shape[1]] = row
    return table
