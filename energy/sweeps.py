"""Many designs at once: a data frame in, a data frame out, through the same formulas as one design.

A hundred thousand designs are many combinations of few ways to store weights, to apply inputs and to convert. Each of
these parts is checked and read once for each way that occurs, by a `CoreDesign` that has it; rows only look it up.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from circuits import Adc, CoreDesign, WeightCode
from circuits.adc_kinds import DEFAULT_KIND, adc_kind
from circuits.core import CellLike
from circuits.designs import INPUT_FIELDS, SIZE_FIELDS, WEIGHT_FIELDS, is_count
from devicekit import Cell, load_device
from devicekit.common.errors import DesignError, DevicekitError, unknown_name
from energy.adc_costs import with_adc
from energy.adc_formulas import flag
from energy.core_cost import with_structure
from energy.core_formulas import COUNT_COLUMNS, FIELDS
from energy.core_model import (
    NO_SPREAD,
    Values,
    adc_values,
    constants,
    default_conductance,
    input_values,
    range_values,
    stacked,
    weight_values,
)
from energy.expressions import Array
from energy.formulas import needed
from energy.library import Library
from energy.library_files import load_library
from energy.statistics import as_aged
from energy.structural_error import with_spreads
from energy.uncertainty import draw_constants

DEFAULTS: Mapping[str, Any] = {
    field.name: field.default for field in dataclasses.fields(CoreDesign) if field.name != "name"
} | {"adc": DEFAULT_KIND}
"""Columns of a sweep and what a design has where a column is absent."""

_CHUNK = 4096


def estimate_designs(
    designs: pd.DataFrame,
    library: str | Path | Library = "sonos_40nm",
    cell: CellLike | None = None,
    *,
    structure: str | None = None,
    intervals: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Return energy, area, latency and counts of many cores; the numbers of `estimate_core`, one row a design.

    Args:
        designs: one row a design; columns are fields of `CoreDesign` and ``adc``, a known kind; absent ones have its
            defaults, an empty cell (None, NaN) stands for none. ``adc_bits`` may hold a tuple, one number a slice.
        library: name, path or library of components.
        cell: the memory cell, or its name, see `estimate_core`.
        structure: a structural alternative.
        intervals: add the 95 % interval of energy and area (columns ``_low``, ``_high``); takes about a hundred times
            longer.
        seed: seed of the draws behind the intervals.

    Returns:
        Results and counts, in the order and with the index of `designs`; a column ``periphery_borrowed_from`` where the
        cell is of another technology than the library that lends.

    Raises:
        DesignError: an unknown column, or an impossible design; the message names the row.
        EnergyError: unknown library or structure, or a cell of another technology.
    """
    loaded = load_library(library)
    if structure is not None:
        loaded = with_structure(loaded, structure)
    if cell is not None:
        loaded = loaded.with_cell(load_device(cell))
    sweep = _read(designs)
    for kind in dict.fromkeys(designs.get("adc", ())):
        loaded = with_adc(loaded, Adc(kind))
    aged = None if cell is None else as_aged(load_device(cell))
    conductance = _conductance(sweep.codes, loaded, aged)
    wanted = [*(formula.name for formula in loaded.results), *COUNT_COLUMNS]
    formulas, names = needed(loaded.formulas, wanted)
    fixed = {name: value for name, value in constants(loaded).items() if name in names}
    parts = []
    for rows in _chunks(len(designs), _CHUNK):
        values = formulas.evaluate({**fixed, **_arrays(sweep, rows, names, loaded, conductance)})
        size = rows.stop - rows.start
        parts.append({name: np.broadcast_to(values[name][:, 0, 0], size) for name in wanted})
    table = pd.DataFrame({name: _joined([part[name] for part in parts]) for name in wanted}, index=designs.index)
    if intervals:
        for name, (low, high) in _intervals(sweep, len(designs), loaded, seed, aged).items():
            table[f"{name}_low"], table[f"{name}_high"] = low, high
    if loaded.borrowed:
        table["periphery_borrowed_from"] = loaded.borrowed
    return table


def _joined(parts: Sequence[Array]) -> Array:
    return np.concatenate(parts) if parts else np.zeros(0)


def _chunks(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _intervals(
    sweep: _Sweep, count: int, library: Library, seed: int, aged: Cell | None
) -> dict[str, tuple[Array, Array]]:
    """Return low and high of energy and area for every design, with the draws of `estimate_core`."""
    results = ("energy_fj_per_op", "area_mm2")
    formulas, names = needed(library.formulas, results)
    draws = draw_constants(library, seed=seed)
    conductance = _conductance(sweep.codes, library, aged, draws)
    fixed = {name: value for name, value in constants(library, draws).items() if name in names}
    central = _conductance(sweep.codes, library, aged)
    read = frozenset(FIELDS) | set(map(flag, library.adc_kinds))
    found: dict[str, list[Array]] = {name: [] for name in results}
    for rows in _chunks(count, 128):
        arrays = _arrays(sweep, rows, names, library, conductance, draws)
        spreads = with_spreads(library, _arrays(sweep, rows, read, library, central))
        values = formulas.evaluate({**fixed, **arrays, **{name: spreads[name] for name in NO_SPREAD}})
        for name in results:
            drawn = np.broadcast_to(values[name][:, :, 0], (rows.stop - rows.start, values[name].shape[1]))
            found[name].append(np.quantile(drawn, [0.025, 0.975], axis=1))
    joined = {name: np.concatenate(parts, axis=1) if parts else np.zeros((2, 0)) for name, parts in found.items()}
    return {name: (pair[0], pair[1]) for name, pair in joined.items()}


# -- rows of a data frame as parts of designs -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """One part of the designs.

    Attributes:
        rows: which way each design has this part, shape (designs,).
        ways: what the formulas read of each way: numbers, and lists for what differs between slices.
    """

    rows: NDArray[np.intp]
    ways: list[dict[str, Any]]

    @cached_property
    def tables(self) -> Values:
        """Every value, (ways, 1, slices or 1)."""
        return {name: stacked([way[name] for way in self.ways]) for name in self.ways[0]}

    @cached_property
    def slices(self) -> NDArray[np.intp]:
        """Slices of each way."""
        return np.array([max((np.size(value) for value in way.values()), default=1) for way in self.ways])

    def values(self, rows: slice, names: Collection[str]) -> Values:
        """Return some values of some designs, (designs, 1, slices of the longest or 1)."""
        own = self.rows[rows]
        longest = int(self.slices[own].max())
        return {name: table[own][:, :, :longest] for name, table in self.tables.items() if name in names}


@dataclass(frozen=True)
class _Sweep:
    """Many designs: their parts, every weight code among them, and which of those each design has."""

    parts: list[_Part]
    codes: list[WeightCode]
    code_rows: NDArray[np.intp]


def _weights(fields: Mapping[str, Any]) -> dict[str, Any]:
    design = CoreDesign(**fields)
    return {"code": design.weight_code, **weight_values(design)}


def _inputs(fields: Mapping[str, Any]) -> dict[str, Any]:
    design = CoreDesign(**fields)
    return input_values(design) | range_values(design)


def _unread(fields: Mapping[str, Any]) -> dict[str, Any]:
    CoreDesign(**fields)
    return {}


def _size(fields: Mapping[str, Any]) -> dict[str, Any]:
    return dict(fields) if all(map(is_count, fields.values())) else _unread(fields)


def _adc(fields: Mapping[str, Any]) -> dict[str, Any]:
    return dict(adc_values(adc_kind(fields["adc"]).name))


_READ = (*WEIGHT_FIELDS, *INPUT_FIELDS, *SIZE_FIELDS, "adc")
_PARTS: tuple[tuple[tuple[str, ...], Callable[[Mapping[str, Any]], dict[str, Any]]], ...] = (
    (WEIGHT_FIELDS, _weights),
    (INPUT_FIELDS, _inputs),
    *(((name,), _size) for name in SIZE_FIELDS),
    (("adc",), _adc),
    *(((name,), _unread) for name in DEFAULTS if name not in _READ),
)
"""Columns that go together, and what checks them and returns what the formulas read of them."""


def _read(designs: pd.DataFrame) -> _Sweep:
    """Return the designs of a data frame.

    Raises:
        DesignError: an unknown column, or an impossible design or ADC; the message names the row.
    """
    for name in designs.columns:
        if name not in DEFAULTS and name != "name":
            raise DesignError(unknown_name("column", str(name), DEFAULTS))
    impossible = np.zeros(len(designs), dtype=bool)
    parts = []
    for names, read in _PARTS:
        rows, ways = _ways(designs, names)
        values: list[dict[str, Any]] = []
        possible = np.ones(len(ways), dtype=bool)
        for way, fields in enumerate(ways):
            try:
                values.append(read(fields))
            except DevicekitError:
                possible[way] = False
        impossible |= ~possible[rows]
        parts.append(_Part(rows, values))
    if impossible.any():
        _refuse(designs, int(np.flatnonzero(impossible)[0]))
    own = [way.pop("code") for way in parts[0].ways]
    places = {code: place for place, code in enumerate(dict.fromkeys(own))}
    return _Sweep(parts, list(places), np.array([places[code] for code in own], dtype=np.intp)[parts[0].rows])


def _ways(designs: pd.DataFrame, names: Sequence[str]) -> tuple[NDArray[np.intp], list[dict[str, Any]]]:
    """Return which combination of some columns each row has, and what each combination is."""
    given = [name for name in names if name in designs.columns]
    rows = np.zeros(len(designs), dtype=np.intp)
    for name in given:
        column = designs[name]
        if column.dtype == object:
            column = column.map(lambda value: tuple(value) if isinstance(value, list) else value)
        places, values = pd.factorize(column, use_na_sentinel=False)
        rows, _ = pd.factorize(rows * len(values) + places)
    _, first = np.unique(rows, return_index=True)
    columns = {name: [_field(name, value) for value in designs[name].iloc[first].tolist()] for name in given}
    absent = {name: DEFAULTS[name] for name in names if name not in given}
    return rows, [absent | {name: values[way] for name, values in columns.items()} for way in range(len(first))]


def _refuse(designs: pd.DataFrame, row: int) -> NoReturn:
    """Refuse a row in the words of `CoreDesign`, or for its ADC."""
    label = designs.index[row]
    fields = {str(name): designs[name].iloc[row] for name in designs.columns}
    try:
        adc_kind(fields.get("adc", DEFAULTS["adc"]))
        CoreDesign(**{**design_fields(fields), "name": f"row {label}"})
    except DesignError as error:
        raise DesignError(f"Row {label}: {error}") from None
    raise AssertionError(f"row {label} is refused by the sweep alone")


def design_fields(row: pd.Series | Mapping[str, Any]) -> dict[str, Any]:
    """Return one row of a sweep as fields of `CoreDesign`: whole numbers as integers, an empty cell as None.

    Args:
        row: the row; ``adc`` and ``name`` are left out.
    """
    return {str(name): _field(str(name), value) for name, value in row.items() if name not in ("adc", "name")}


def _field(name: str, value: Any) -> Any:
    if isinstance(value, tuple | list):
        return tuple(_field(name, entry) for entry in value)
    if value is None or value is pd.NA or value != value:
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if name == "flipped_encoding":
        return bool(value) if value in (0, 1) else value
    if isinstance(value, float) and name != "r_p_hat" and value.is_integer():
        return int(value)
    return value


def _arrays(
    sweep: _Sweep,
    rows: slice,
    names: Collection[str],
    library: Library,
    conductance: Array,
    draws: Mapping[str, Array] | None = None,
) -> Values:
    """Return what the formulas read of some designs: `core_model.design_arrays` with the default activity."""
    arrays: Values = {}
    for part in sweep.parts:
        arrays |= part.values(rows, {"slice_valid", "input_slice_width", *names})
    per_bit = np.atleast_1d((draws or {}).get("activity.per_bit", np.array([library.si["activity.per_bit"]])))
    arrays["input_activity"] = np.minimum(per_bit, 1.0)[None, :, None] * (arrays["input_slice_width"] > 0)
    arrays["mean_conductance"] = conductance[sweep.code_rows[rows], :, : arrays["slice_valid"].shape[2]]
    arrays |= {name: np.zeros((1, 1, 1)) for name in NO_SPREAD}
    return {name: value for name, value in arrays.items() if name in names}


def _conductance(
    codes: Sequence[WeightCode], library: Library, aged: Cell | None, draws: Mapping[str, Array] | None = None
) -> Array:
    """Return the default mean conductance of each way in which weights are stored, (codes, 1 or draws, slices)."""
    rows = [default_conductance(code, library, draws, aged) for code in codes]
    widest = max((row.shape[1] for row in rows), default=1)
    table = np.zeros((len(rows), rows[0].shape[0] if rows else 1, widest))
    for index, row in enumerate(rows):
        table[index, :, : row.shape[1]] = row
    return table
